"""Section: the short run of every kernel under one tool of compute-sanitizer ("memcheck" or "racecheck")."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from .records import Section, read, section

OPTIONS = {
    # cuda.bindings asks the driver for functions that it may not have: such answers are no faults of a kernel.
    "memcheck": ("--leak-check=no", "--report-api-errors=no"),
    "racecheck": ("--racecheck-report=all",),
}
SUMMARY = re.compile(r"(?:ERROR|RACECHECK) SUMMARY: (\d+) (?:error|hazard)")
REPORT = re.compile(r"=========\s+(.*\S)")
REFUSED = ("Device not supported", "No attachable process found", "not supported on this")
"""What the tool says where it cannot work at all, whatever the kernels do."""
FAULTY = 99
"""The exit status that the tool is told to give when it found something."""


def judge(running: Section, tool: str, status: int, output: str) -> None:
    """One case from what the tool printed."""
    reports = [line for line in REPORT.findall(output) if "SUMMARY" not in line and "COMPUTE-SANITIZER" not in line]
    refusal = next((line for line in reports for word in REFUSED if word in line), None)
    summary = SUMMARY.search(output)
    if refusal:
        running.absent(f"compute-sanitizer cannot work on this machine: {refusal}")
    elif summary is None:
        ending = " ".join(output.strip().splitlines()[-3:])
        running.case(tool, "failed", f"no summary came; status {status}: {ending}")
    elif int(summary[1]) or status:
        running.case(tool, "failed", f"{summary[0]}; status {status}; {' | '.join(reports[:8])}")
    else:
        running.case(tool, "passed", summary[0])


def main() -> None:
    """Run the tool; its path and name are the two further arguments."""
    with section() as running:
        path, tool = running.rest
        if not path:
            running.absent("compute-sanitizer was found neither on the PATH nor in a CUDA folder")
            return
        with tempfile.TemporaryDirectory() as scratch:
            records = Path(scratch) / "records"
            script = [sys.executable, "-m", "gpu.short_run", "--records", str(records), "--only", running.only]
            script += ["--seconds", str(running.left - 5), *(["--emulated"] if running.emulated else [])]
            command = [path, "--tool", tool, f"--error-exitcode={FAULTY}", "--target-processes=all", *OPTIONS[tool]]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            done = subprocess.run([*command, *script], text=True, check=False, env=os.environ.copy(), **pipes)
            print(done.stdout)
            found = read(records)
        for record in found:
            if record["kind"] == "case":
                running.case(f"{tool}: {record['name']}", record["outcome"], record["detail"])
            elif record["kind"] in ("note", "cut"):
                running.write(record["kind"], text=record["text"])
        judge(running, tool, done.returncode, done.stdout)


if __name__ == "__main__":
    main()
