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
from pathlib import Path
from typing import Any

from .records import ROOT, Section, read, section

SOURCES = ROOT / "plugins_cuda" / "src" / "plugrad_cuda"
MACRO = "PLUGRAD_EMULATED"


def guarded() -> list[str]:
    """The sources of kernels in which the emulated text differs."""
    paths = [path for suffix in ("cu", "cuh", "py") for path in sorted(SOURCES.rglob(f"*.{suffix}"))]
    return [
        str(path.relative_to(SOURCES))
        for path in paths
        if re.search(rf"#\s*(if|elif|ifdef|ifndef)\b.*\b{MACRO}\b", path.read_text(encoding="utf-8"))
    ]


def results(running: Section, folder: Path, name: str, order: str, emulated: bool, seconds: float) -> dict[str, Any]:
    """The results of the short run, in processes of its own."""
    processes, found = [], {}
    for number in range(running.shards):
        records, kept = folder / f"{name}-{number}.jsonl", folder / f"{name}-{number}.pickle"
        command = [sys.executable, "-m", "gpu.short_run", "--records", records, "--only", running.only]
        command += ["--seconds", seconds, "--shards", running.shards, "--shard", number]
        command += [*(["--emulated"] if emulated else []), "--", kept, order]
        processes.append((records, kept, subprocess.Popen([str(word) for word in command])))
    for records, kept, process in processes:
        status = process.wait()
        for record in read(records):
            if record["kind"] == "case" and record["outcome"] != "passed":
                running.case(f"{name}: {record['name']}", record["outcome"], record["detail"])
            elif record["kind"] == "cut":
                running.write("cut", text=f"{name}: {record['text']}")
        if status or not kept.exists():
            running.case(name, "failed", f"the run ended with status {status}")
        else:
            found |= pickle.loads(kept.read_bytes())
    return found


def compare(running: Section, one: dict[str, Any], two: dict[str, Any], names: tuple[str, str]) -> None:
    """One case a call."""
    agrees = importlib.import_module("plugrad.testing.contract.subject").compare
    for name in sorted(one.keys() & two.keys()):
        accuracy, wanted = one[name]

        def work(name: str = name, accuracy: str = accuracy, wanted: Any = wanted) -> None:
            got = two[name][1]
            if len(got) != len(wanted):
                raise AssertionError(f"{len(got)} results, and {len(wanted)} were expected")
            for mine, theirs in zip(got, wanted, strict=True):
                agrees(f"{names[1]} against {names[0]}", mine, theirs, accuracy)

        running.check(name, work)


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
            one = results(running, folder, names[0], "forward", True, running.left - 1)
        compare(running, one, two, names)


if __name__ == "__main__":
    main()
