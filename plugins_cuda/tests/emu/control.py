"""The emulation's own controls: settings, what went wrong last, what is allocated. Needs the library loaded."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

CHOICES = {"order": ("forward", "reverse", "random"), "guard": ("none", "end", "start")}


class Settings(TypedDict, total=False):
    """How the emulation runs.

    ``order`` of threads, blocks and streams: ``"forward"``, ``"reverse"``, ``"random"`` (drawn from ``seed``).
    ``deferred``: queued work runs only when something waits for it. ``guard``: on which side of *later* allocations
    unreadable memory begins at once (``"end"``, ``"start"``), or ``"none"``. ``memory``: the device's bytes.
    ``timeout``: seconds that one kernel may take (0: any).
    """

    order: str
    guard: str
    deferred: bool
    seed: int
    memory: int
    timeout: float


START: Settings = {
    "order": "forward",
    "guard": "end",
    "deferred": False,
    "seed": 0,
    "memory": 8 << 30,
    "timeout": 60.0,
}

_library: ctypes.CDLL | None = None
_settings: dict[str, Any] = dict(START)


@dataclass(frozen=True)
class Fault:
    """What went wrong: the driver's code, a kind, a sentence, and where (``block`` and ``thread`` only in a kernel)."""

    code: int
    kind: str
    what: str
    kernel: str
    block: tuple[int, int, int] | None
    thread: tuple[int, int, int] | None
    address: int

    def __str__(self) -> str:
        where = f"{self.kernel}: " if self.kernel else ""
        place = f" [block {self.block}, thread {self.thread}]" if self.block is not None else ""
        return f"{where}{self.kind}: {self.what}{place}"


@dataclass(frozen=True)
class Live:
    """An allocation that has not been freed; ``serial`` counts all that were made."""

    serial: int
    size: int
    pinned: bool


@dataclass(frozen=True)
class Report:
    """Figures of the process so far. ``missing``: driver functions that were called and that the emulation lacks."""

    live_bytes: int
    peak_bytes: int
    launches: int
    switches: int
    pending: int
    live: tuple[Live, ...]
    missing: tuple[str, ...]


class _Fault(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_int),
        ("in_kernel", ctypes.c_int),
        ("kind", ctypes.c_char_p),
        ("what", ctypes.c_char_p),
        ("work", ctypes.c_char_p),
        ("block", ctypes.c_uint * 3),
        ("thread", ctypes.c_uint * 3),
        ("address", ctypes.c_ulonglong),
    ]


class _Report(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_ulonglong)
        for name in ("live_bytes", "live_allocations", "peak_bytes", "launches", "switches", "pending", "missing")
    ]


def attach(library: ctypes.CDLL) -> None:
    """The loader's: from now on there is a library to control."""
    global _library
    library.emu_set.argtypes = [ctypes.c_char_p, ctypes.c_longlong]
    library.emu_missing.restype = ctypes.c_char_p
    _library = library


def attached() -> bool:
    """Whether the loader has been here."""
    return _library is not None


def _emulation() -> ctypes.CDLL:
    if _library is None:
        raise RuntimeError("the emulated CUDA driver is not loaded; call emu.load() first")
    return _library


def set_number(name: str, value: int) -> None:
    """Give the library one setting."""
    if _emulation().emu_set(name.encode(), value):
        raise ValueError(f"the emulated driver has no setting {name!r}")


def _number(name: str, value: Any) -> tuple[str, int]:
    """The setting as the library takes it."""
    if name not in START:
        raise TypeError(f"configure: no setting is called {name!r}; there are {', '.join(START)}")
    if name == "timeout":
        return "timeout_ms", round(value * 1000)
    if name not in CHOICES:
        return name, int(value)
    if value not in CHOICES[name]:
        raise ValueError(f"{name} must be one of {', '.join(CHOICES[name])}, not {value!r}")
    return name, CHOICES[name].index(value)


def configure(**settings: Unpack[Settings]) -> None:
    """Change how the emulation runs from now on; what is not given stays.

    Queued work is finished before the change; an error in it stays for later calls.
    """
    numbers = [_number(name, value) for name, value in settings.items()]
    _emulation().emu_finish()
    for name, number in numbers:
        set_number(name, number)
    _settings.update(settings)


@contextlib.contextmanager
def configured(**changes: Unpack[Settings]) -> Iterator[None]:
    """``configure(**changes)`` for a block, and back to what it was."""
    before = dict(_settings)
    configure(**changes)
    try:
        yield
    finally:
        configure(**{name: before[name] for name in changes})


def last_fault() -> Fault | None:
    """The last thing that the driver refused or that a kernel did wrong since the last ``reset()``, or ``None``."""
    plain = _Fault()
    _emulation().emu_fault(ctypes.byref(plain))
    if not plain.code:
        return None
    block, thread = (tuple(plain.block), tuple(plain.thread)) if plain.in_kernel else (None, None)
    texts = (plain.kind.decode(), plain.what.decode(), plain.work.decode())
    return Fault(plain.code, *texts, block, thread, plain.address)


def reset() -> None:
    """Make a context that an error broke usable again, which no real device does: for tests.

    Queued work is dropped, but for what it was to free: that is freed, and so is memory whose freeing was refused.
    Streams, events and other memory stay valid.
    """
    _emulation().emu_reset()


def live_bytes() -> int:
    """Bytes of device and page-locked memory that have not been freed."""
    plain = _Report()
    _emulation().emu_report(ctypes.byref(plain))
    return int(plain.live_bytes)


def report() -> Report:
    """All figures, the allocations that live, and the driver functions that were missed."""
    library, plain = _emulation(), _Report()
    library.emu_report(ctypes.byref(plain))
    serial, size, pinned = ctypes.c_ulonglong(), ctypes.c_ulonglong(), ctypes.c_int()
    live: list[Live] = []
    while library.emu_live(len(live), ctypes.byref(serial), ctypes.byref(size), ctypes.byref(pinned)):
        live.append(Live(serial.value, size.value, bool(pinned.value)))
    missing = tuple(library.emu_missing(index).decode() for index in range(plain.missing))
    figures = (plain.live_bytes, plain.peak_bytes, plain.launches, plain.switches, plain.pending)
    return Report(*figures, tuple(live), missing)


@contextlib.contextmanager
def leak_check() -> Iterator[None]:
    """Fails if the block leaves more memory allocated than it found, after all queued work and a garbage collection."""
    _settle()
    before = {live.serial for live in report().live}
    yield
    _settle()
    left = [live for live in report().live if live.serial not in before]
    if left:
        sizes = ", ".join(f"{live.size} (allocation {live.serial})" for live in left[:8])
        more = ", ..." if len(left) > 8 else ""
        raise AssertionError(f"{len(left)} allocations were not freed, bytes: {sizes}{more}")


def _settle() -> None:
    gc.collect()
    _emulation().emu_finish()
