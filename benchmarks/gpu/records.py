"""What a section hands to `tools/gpu_check`: one JSON object a line, written at once, so that it outlives a crash.

Kinds: ``fact`` (name, text), ``case`` (name, outcome, detail), ``figure`` (name, seconds and ratios), ``note`` (text),
``absent`` (text: the section cannot run here, which is no failure), ``cut`` (text: time was up before all was done),
``complete`` (the last line of a section that got to its end). A line that is no record is read as ``torn`` (text).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CUDA_TESTS = ROOT / "plugins_cuda" / "tests"
DEVICE = "cuda:0"
OUTCOMES = ("passed", "failed", "skipped")


class NotHereError(Exception):
    """Raised by a case that cannot run here, which is no failure."""


class Section:
    """The running section: its options, and where its records go."""

    def __init__(self, arguments: Sequence[str] | None = None) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--records", type=Path, required=True)
        parser.add_argument("--emulated", action="store_true")
        parser.add_argument("--only", default="")
        parser.add_argument("--seconds", type=float, default=60.0)
        parser.add_argument("--shards", type=int, default=1)
        parser.add_argument("--shard", type=int)
        parser.add_argument("rest", nargs="*")
        options = parser.parse_args(arguments)
        self.path: Path = options.records
        self.emulated: bool = options.emulated
        self.only: str = options.only
        self.shards: int = options.shards
        self.shard: int | None = options.shard
        self.rest: list[str] = options.rest
        self.seconds: float = options.seconds
        self.end = time.monotonic() + options.seconds

    @property
    def left(self) -> float:
        """Seconds until this section is to be done."""
        return self.end - time.monotonic()

    def wants(self, name: str) -> bool:
        """Whether the part with this name was asked for."""
        return self.only in name

    def mine(self, number: int) -> bool:
        """Whether the part with this number is for this process, where several share the work."""
        return self.shard is None or number % self.shards == self.shard

    def write(self, kind: str, **content: Any) -> None:
        """One record, in one call of the system, so that those of several processes do not mix."""
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, (json.dumps({"kind": kind, **content}) + "\n").encode())
        finally:
            os.close(file)

    def fact(self, name: str, text: object) -> None:
        """Something that was found out."""
        self.write("fact", name=name, text=str(text))

    def case(self, name: str, outcome: str, detail: str = "") -> None:
        """One thing that was checked; ``outcome`` is one of ``OUTCOMES``."""
        if outcome not in OUTCOMES:
            raise ValueError(f"case {name}: outcome {outcome!r}; use one of {', '.join(OUTCOMES)}")
        self.write("case", name=name, outcome=outcome, detail=detail[:2000])

    def check(self, name: str, work: Callable[[], str | None]) -> None:
        """Run ``work`` as a case: passed with the text it returns, or failed with what it raises."""
        try:
            detail = work() or ""
        except NotHereError as error:
            self.case(name, "skipped", str(error))
        except Exception as error:
            self.case(name, "failed", f"{type(error).__name__}: {error}")
        else:
            self.case(name, "passed", detail)

    def note(self, text: str) -> None:
        """Something the reader must know."""
        self.write("note", text=text)

    def absent(self, text: str) -> None:
        """What this section needs and does not find here."""
        self.write("absent", text=text)

    def emulate(self, **settings: Any) -> None:
        """Take the emulated driver, if that was asked for; before anything uses CUDA."""
        if self.emulated:
            load_emulator(**settings)

    def until_time_is_up(self, items: Sequence[Any], what: str, reserve: float = 3.0) -> Iterator[Any]:
        """The items, as long as there is time; says how many it left out."""
        for count, item in enumerate(items):
            if self.left < reserve:
                self.write("cut", text=f"time was up after {count} of {len(items)} {what}")
                return
            yield item


def load_emulator(**settings: Any) -> Any:
    """The module of the emulated driver, loaded."""
    if str(CUDA_TESTS) not in sys.path:
        sys.path.insert(0, str(CUDA_TESTS))
    emu = importlib.import_module("emu")
    emu.load(**settings)
    return emu


def driver_in_use() -> str:
    """Which driver this process has: "emulated", "real" or "none"."""
    emu = sys.modules.get("emu")
    if emu is not None and emu.loaded():
        return "emulated"
    return "real" if "/libcuda.so" in Path("/proc/self/maps").read_text() else "none"


@contextmanager
def section(arguments: Sequence[str] | None = None) -> Iterator[Section]:
    """The body of a section; its last record says that it got to its end."""
    running = Section(arguments)
    yield running
    if running.shard is None:
        running.write("complete")


def shared(module: str, body: Callable[[Section], None]) -> None:
    """The body of a section that several processes share: each compiles the kernels of its part."""
    with section() as running:
        if running.shard is not None or running.shards == 1:
            body(running)
            return
        command = [sys.executable, "-m", module]
        processes = [
            subprocess.Popen([*command, f"--shard={number}", *sys.argv[1:]]) for number in range(running.shards)
        ]
        for number, process in enumerate(processes):
            if process.wait():
                running.case(f"process {number}", "failed", f"it ended with status {process.returncode}")


def read(path: Path) -> list[dict[str, Any]]:
    """The records in a file; a line that is none, cut off while it was written, becomes a record ``torn``."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        whole = isinstance(record, dict) and "kind" in record
        found.append(record if whole else {"kind": "torn", "text": line[:300]})
    return found
