"""Section: the short run of every kernel under one tool of compute-sanitizer ("memcheck" or "racecheck").

What the tool prints is recorded while it runs. If time is up or a signal ends the section, what came is judged.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .records import Section, read, section

OPTIONS = {
    # cuda.bindings asks the driver for functions that it may not have: such answers are no faults of a kernel.
    "memcheck": ("--leak-check=no", "--report-api-errors=no"),
    "racecheck": ("--racecheck-report=all",),
}
SUMMARY = re.compile(r"(?:ERROR|RACECHECK) SUMMARY: (\d+) (?:error|hazard)")
REPORT = re.compile(r"=========\s+(.*\S)")
HEADING = re.compile(r"========= (?!COMPUTE-SANITIZER)(?!.*SUMMARY)\S")
"""The first line of a report; those that tell where it was are indented."""
REFUSED = ("Device not supported", "No attachable process found", "not supported on this")
"""What the tool says where it cannot work at all, whatever the kernels do."""
FAULTY = 99
"""The exit status that the tool is told to give when it found something."""
SPARE = 3.0
"""Seconds of the section's that are kept to judge what came."""
MOST_NOTED = 40


class Stopped(BaseException):
    """A signal asked this section to end."""


def judge(running: Section, tool: str, status: int | None, output: str, ran: bool = True) -> None:
    """One case from what the tool printed; ``status`` None: it was ended. ``ran``: whether any kernel did."""
    reports = [line for line in REPORT.findall(output) if "SUMMARY" not in line and "COMPUTE-SANITIZER" not in line]
    refusal = next((line for line in reports for word in REFUSED if word in line), None)
    summary = SUMMARY.search(output)
    if refusal:
        running.absent(f"compute-sanitizer cannot work on this machine: {refusal}")
    elif summary is None and status is None:
        if reports:
            running.case(tool, "failed", f"found before it was stopped: {' | '.join(reports[:8])}")
        running.write("cut", text=f"{tool}: stopped before its end")
    elif summary is None:
        ending = " ".join(output.strip().splitlines()[-3:])
        running.case(tool, "failed", f"no summary came; status {status}: {ending}")
    elif int(summary[1]) or status:
        running.case(tool, "failed", f"{summary[0]}; status {status}; {' | '.join(reports[:8])}")
    elif not ran:
        running.note(f"{summary[0]}, but no call ran")
    else:
        running.case(tool, "passed", summary[0])


def stop(number: int, frame: object) -> None:
    """The handler of SIGTERM."""
    signal.signal(number, signal.SIG_IGN)
    raise Stopped


def watched(running: Section, command: Sequence[str]) -> tuple[int | None, str]:
    """Run the command until it ends, time is up or a signal comes; its status if it ended, and what it printed.

    The first lines of its reports become notes as they come.
    """
    lines: list[str] = []
    ended: list[bool] = []
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=os.environ.copy(),
        start_new_session=True,
    )  # fmt: skip

    def end() -> None:
        ended.append(True)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(max(running.left - SPARE, 0.1), end)
    timer.start()
    noted = 0
    try:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
            if HEADING.match(line) and noted < MOST_NOTED:
                noted += 1
                running.note(line.removeprefix("=========").strip())
        process.wait()
    except Stopped:
        end()
        process.wait()
    finally:
        timer.cancel()
    return (None if ended and process.returncode < 0 else process.returncode), "".join(lines)


def main() -> None:
    """Run the tool; its path and name are the two further arguments."""
    with section() as running:
        path, tool = running.rest
        if not path:
            running.absent("compute-sanitizer was found neither on the PATH nor in a CUDA folder")
            return
        signal.signal(signal.SIGTERM, stop)
        with tempfile.TemporaryDirectory() as scratch:
            records = Path(scratch) / "records"
            script = [sys.executable, "-m", "gpu.short_run", "--records", str(records), "--only", running.only]
            script += ["--seconds", str(running.left - 5), *(["--emulated"] if running.emulated else [])]
            command = [path, "--tool", tool, f"--error-exitcode={FAULTY}", "--target-processes=all", *OPTIONS[tool]]
            status, output = watched(running, [*command, *script])
            found = read(records)
        cases = [record for record in found if record["kind"] == "case"]
        for record in cases:
            running.case(f"{tool}: {record['name']}", record["outcome"], record["detail"])
        for record in found:
            if record["kind"] in ("note", "cut", "torn"):
                running.write(record["kind"], text=record["text"])
        judge(running, tool, status, output, any(case["outcome"] == "passed" for case in cases))


if __name__ == "__main__":
    main()
