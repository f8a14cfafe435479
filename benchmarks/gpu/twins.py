"""Section: the same kernels on the emulated driver and on the hardware must give the same results.

What is under PLUGRAD_EMULATED differs between the two in its text (inline PTX and its twin in plain C++); everything
else may differ only where the compilers round differently. With --emulated two orders of the threads are compared.
"""

from __future__ import annotations

import importlib
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .records import ROOT, Section, read, section

SOURCES = ROOT / "plugins_cuda" / "src" / "plugrad_cuda"
MACRO = "PLUGRAD_EMULATED"
SPARE = 3.0
"""Seconds of the section's that are kept to compare the last results and to say how it ended."""


def guarded() -> list[str]:
    """The sources of kernels in which the emulated text differs."""
    paths = [path for suffix in ("cu", "cuh", "py") for path in sorted(SOURCES.rglob(f"*.{suffix}"))]
    return [
        str(path.relative_to(SOURCES))
        for path in paths
        if re.search(rf"#\s*(if|elif|ifdef|ifndef)\b.*\b{MACRO}\b", path.read_text(encoding="utf-8"))
    ]


Result = tuple[str, str, tuple[Any, ...]]
"""A call's name, its accuracy, and its arrays."""


def results(running: Section, folder: Path, name: str, order: str, emulated: bool, seconds: float) -> Iterator[Result]:
    """The results of the short run in processes of its own, each as it comes; they are ended when time is up."""
    until, processes = time.monotonic() + seconds, []
    for number in range(running.shards):
        records, kept = folder / f"{name}-{number}.jsonl", folder / f"{name}-{number}.pickle"
        command = [sys.executable, "-m", "gpu.short_run", "--records", records, "--only", running.only]
        command += ["--seconds", seconds, "--shards", running.shards, "--shard", number]
        command += [*(["--emulated"] if emulated else []), "--", kept, order]
        kept.touch()
        processes.append((records, kept, subprocess.Popen([str(word) for word in command])))
    with ExitStack() as stack:
        files = [stack.enter_context(kept.open("rb")) for _, kept, _ in processes]
        while any([process.poll() is None for _, _, process in processes]) and time.monotonic() < until:
            for file in files:
                yield from new(file)
            time.sleep(0.1)
        late = [process for _, _, process in processes if process.poll() is None]
        for process in late:
            process.kill()
            process.wait()
        for file in files:
            yield from new(file)
    for records, _, process in processes:
        for record in read(records):
            if record["kind"] == "case" and record["outcome"] != "passed":
                running.case(f"{name}: {record['name']}", record["outcome"], record["detail"])
            elif record["kind"] in ("cut", "torn"):
                running.write(record["kind"], text=f"{name}: {record['text']}")
        if process in late:
            running.write("cut", text=f"{name}: stopped, since time was up")
        elif process.returncode:
            running.case(name, "failed", f"the run ended with status {process.returncode}")


def new(file: Any) -> Iterator[Result]:
    """The results that were written whole since the last time."""
    while True:
        place = file.tell()
        try:
            yield pickle.load(file)
        except (EOFError, pickle.UnpicklingError):
            file.seek(place)
            return


def compare(running: Section, one: Iterable[Result], two: Iterable[Result], names: tuple[str, str]) -> None:
    """One case a call that both have, recorded as soon as the second of them comes: first all of ``two``."""
    agrees = importlib.import_module("plugrad.testing.contract.subject").compare
    others = {name: arrays for name, _, arrays in two}
    for name, accuracy, wanted in one:
        if name not in others:
            continue

        def work(name: str = name, accuracy: str = accuracy, wanted: Any = wanted) -> None:
            got = others[name]
            if len(got) != len(wanted):
                raise AssertionError(f"{len(got)} results, and {len(wanted)} were expected")
            for mine, theirs in zip(got, wanted, strict=True):
                agrees(f"{names[1]} against {names[0]}", mine, theirs, accuracy)

        running.check(name, work)


def forward(running: Section, folder: Path, name: str) -> Iterator[Result]:
    """The results of the emulated driver, in the time that is left when the first of them is asked for."""
    yield from results(running, folder, name, "forward", True, max(running.left - SPARE, 1.0))


def main() -> None:
    """Run both, compare."""
    with section() as running:
        compiler = os.environ.get("CXX") or "g++"
        if shutil.which(compiler) is None:
            running.absent(f"the emulated driver needs a C++ compiler, and {compiler} is not on the PATH")
            return
        files = guarded()
        if files:
            running.note(f"sources with a twin for the emulator: {', '.join(files)}")
        else:
            running.note(f"no kernel has a twin under {MACRO} yet; all kernels are compared as they are")
        names = ("emulated, threads forward", "emulated, threads in random order" if running.emulated else "hardware")
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            two = results(running, folder, names[1], "random", running.emulated, running.left / 3)
            compare(running, forward(running, folder, names[0]), two, names)


if __name__ == "__main__":
    main()
