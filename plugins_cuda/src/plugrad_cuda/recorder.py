"""A device that notes launches instead of making them. Kernels of this package run on it unchanged: their operands are
values at made-up addresses, so what they launch can be told apart by the memory that it uses, and repeated elsewhere.

A made-up address is ``base(k)`` and an offset, k the number of a piece of memory. It has more than 64 bits: whatever
takes it for a real one fails at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .array import DeviceArray
from .layout import Layout
from .runtime import Runtime
from .text import Entry

_SPAN = 80
_MIDDLE = 1 << (_SPAN - 1)


def base(k: int) -> int:
    """The address at which piece ``k`` begins; offsets may be negative."""
    return ((k + 1) << _SPAN) + _MIDDLE


def piece(address: int) -> tuple[int, int] | None:
    """The piece of memory and the offset of a made-up address; None for a real one."""
    k = (address >> _SPAN) - 1
    return (k, address - base(k)) if k >= 0 else None


class Noted(NamedTuple):
    """A launch with the arguments that it was given."""

    op: str
    kernel: Any
    config: Any
    arguments: tuple[Any, ...]


class Unrecordable(Exception):
    """What was asked of the device cannot be noted and repeated: it moves data to or from the host, or waits."""


class Tape:
    """What is noted: launches, new pieces of memory and their sizes, and the names under which indices are reported."""

    def __init__(self, pieces: int) -> None:
        self.launches: list[Noted] = []
        self.reports: list[str] = []
        self.sizes: dict[int, int] = {}
        self.pieces = pieces


class Recorder:
    """Has of a ``Runtime`` what kernels use. One a device, since plans are kept by it; one thread at a time records."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.ordinal = runtime.ordinal
        self.kernel, self.config = runtime.kernel, runtime.config
        self.report_pointer = runtime.report_pointer
        self.recording = threading.RLock()
        self._tape: Tape | None = None

    @contextmanager
    def noting(self, tape: Tape) -> Iterator[None]:
        """Note on this tape, for as long as the block runs."""
        with self.recording:
            before, self._tape = self._tape, tape
            try:
                yield
            finally:
                self._tape = before

    @property
    def tape(self) -> Tape:
        if self._tape is None:
            raise Unrecordable("a value of a recording was used after its end")
        return self._tape

    def value(self, address: int, layout: Layout) -> DeviceArray:
        """A value at an address, real or made up."""
        recorder: Any = self
        return DeviceArray(recorder, None, address if layout.nbytes else 0, layout)

    def enter(self, op: str) -> None:
        """Nothing is to be entered."""

    def empty(self, layout: Layout, op: str) -> DeviceArray:
        """A value on a new piece of memory."""
        tape = self.tape
        if not layout.nbytes:
            return self.value(0, layout)
        k = tape.pieces
        tape.pieces += 1
        tape.sizes[k] = layout.nbytes
        return self.value(base(k), layout)

    def launch(self, op: str, kernel: Any, config: Any, *arguments: Any) -> None:
        """Note a launch."""
        self.tape.launches.append(Noted(op, kernel, config, arguments))

    def reporter(self, what: str) -> np.uint32:
        """As of the runtime; it has to be asked for again before each run."""
        self.tape.reports.append(what)
        return self.runtime.reporter(what)

    def prepare(self, op: str, entries: Sequence[Entry]) -> None:
        """As of the runtime."""
        self.runtime.prepare(op, entries)

    def __getattr__(self, name: str) -> Any:
        raise Unrecordable(f"{name}: a recorded program cannot use it")


_recorders: dict[Runtime, Recorder] = {}


def of(runtime: Runtime) -> Recorder:
    """The recorder of a device."""
    return _recorders.get(runtime) or _recorders.setdefault(runtime, Recorder(runtime))
