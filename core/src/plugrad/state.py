"""What the running thread is doing: which graph ids it records, which interpreters are open, where writes are logged.

``ACTIVE[0]`` counts the blocks, over all threads, that changed anything here. While it is zero, every thread is in the
default state, and the hot path reads nothing thread-local.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from collections.abc import Callable
from typing import Any, Self

from .errors import StateError

sequence = itertools.count(1)
"""Numbers nodes and scopes in the order of their birth."""

serial = itertools.count(1)
"""Numbers interpreters, checkpoints and traces; a handle remembers the innermost one of its birth."""

ACTIVE = [0]
RECORDING = 1 << 62
"""In a thread's mask unless ``no_grad`` is in force; no tensor carries it."""
_lock = threading.Lock()


class State:
    """One thread's state. ``mask`` is the ids recordable here; ``scopes`` the open ids, oldest first, ``bits`` their
    bits; ``since`` the start of the youngest.
    """

    __slots__ = (
        "bits", "capture", "device", "draws", "log", "mask", "observers", "scopes", "since", "stage", "strict", "top",
        "uid",
    )  # fmt: skip

    def __init__(self) -> None:
        self.mask: int = RECORDING | 1
        self.scopes: tuple[Scope, ...] = ()
        self.bits: int = 0
        self.since: int = 0
        self.stage: Any = None
        self.capture: Any = None
        self.top: Any = None
        self.uid: int = 0
        self.log: Log | None = None
        self.draws: str = "ok"
        self.strict: bool = False
        self.device: tuple[int, str] | None = None
        self.observers: tuple[Any, ...] = ()


class _Local(threading.local):
    def __init__(self) -> None:
        self.state = State()


_local = _Local()


def state() -> State:
    """The running thread's state."""
    return _local.state


class within:
    """Set fields of the thread's state for a block. Several threads may be in one and the same block.

    >>> with within(mask=0):
    ...     state().mask
    0
    """

    __slots__ = ("active", "before", "changes")

    def __init__(self, **changes: Any) -> None:
        self.changes = changes
        self.before: dict[State, list[dict[str, Any]]] = {}
        self.active = int(changes.keys() != {"device"})  # the hot path does not depend on the default device

    def __enter__(self) -> Self:
        here = _local.state
        self.before.setdefault(here, []).append({name: getattr(here, name) for name in self.changes})
        for name, value in self.changes.items():
            setattr(here, name, value)
        with _lock:
            ACTIVE[0] += self.active
        return self

    def __exit__(self, *_: object) -> None:
        here = _local.state
        entered = self.before[here]
        for name, value in entered.pop().items():
            setattr(here, name, value)
        if not entered:
            del self.before[here]
        with _lock:
            ACTIVE[0] -= self.active


def recording(mask: int, run: Callable[..., Any], *args: Any) -> Any:
    """``run(*args)`` with these ids recordable: what ``within(mask=mask)`` does, for the hot path."""
    here = _local.state
    before = here.mask
    with _lock:
        ACTIVE[0] += 1
    here.mask = mask
    try:
        return run(*args)
    finally:
        here.mask = before
        with _lock:
            ACTIVE[0] -= 1


UNCHANGED = contextlib.nullcontext()
"""A block that changes nothing."""

WATCHING: list[tuple[Observer, ...]] = [()]
"""The observers whose blocks are open, the outermost first."""


def calm(here: State) -> bool:
    """Whether no level takes the calls of this thread, and nobody hears of them."""
    return here.stage is None and here.capture is None and not here.observers and not WATCHING[0]


Run = Callable[[], Any]


class Observer:
    """Hears of every call, in all threads, while its block is open. Subclass it; each method may be left as it is.

    ``call(run, op, xs, attrs)`` stands around a call of an op: ``run()`` gives its result. What a decomposition or a
    transformation makes of the call are calls inside it. ``pull(run, node, g)`` stands around the backward rule of a
    node: ``run()`` gives the cotangents of its operands. ``kernel(op, backend, how)`` hears of every kernel that ran,
    ``how`` being native or fallback. Writes in place allocate while anybody observes.

    A compiled function runs op by op while anybody observes who has not set ``compiled``, so that each op is heard of.
    With ``compiled`` on all of them it runs its programs as ever: ``program(run, program, device)`` stands around each
    run of one, and ``equation(run, eqn, program, device)`` around each equation where the core itself executes it;
    ``program`` is a ``plugrad.program.Program``, and what ``run()`` gives is to be returned. ``call`` and ``kernel``
    then hear only of what stands between programs.
    """

    compiled = False
    """Whether compiled functions stay compiled."""

    def call(self, run: Run, op: Any, xs: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        """Around a call."""
        return run()

    def pull(self, run: Run, node: Any, g: Any) -> Any:
        """Around a backward rule."""
        return run()

    def kernel(self, op: str, backend: str, how: str) -> None:
        """After a kernel."""

    def program(self, run: Run, program: Any, device: str) -> Any:
        """Around a run of a compiled program."""
        return run()

    def equation(self, run: Run, eqn: Any, program: Any, device: str) -> Any:
        """Around an equation of a compiled program that the core executes."""
        return run()

    def __enter__(self) -> Self:
        with _lock:
            WATCHING[0] = (*WATCHING[0], self)
            ACTIVE[0] += 1
        return self

    def __exit__(self, *_: object) -> None:
        with _lock:
            left = list(WATCHING[0])
            left.remove(self)
            WATCHING[0] = tuple(left)
            ACTIVE[0] -= 1


def watched(method: str, what: tuple[Any, ...], run: Callable[..., Any], *args: Any) -> Any:
    """``run(*args)`` inside this method of every observer, which is told of ``what``."""
    run = functools.partial(run, *args)
    for observer in reversed(WATCHING[0]):
        run = functools.partial(getattr(observer, method), run, *what)
    return run()


_free_bits = [1 << i for i in range(61, 0, -1)]
_more_bits = itertools.count(63)
OPEN: dict[int, Scope] = {}
"""The open scopes of all threads, by bit."""


class Scope(within):
    """A graph id, open while the function of a ``grad`` or ``vjp`` runs.

    The id is (bit, start). The bit is given back at the end; a node carries the id only if its sequence number is at
    least start, so a pullback may live on without limit, and a bit taken again is never mistaken for its former
    holder. Bit 0 belongs to ``backward()`` and is never taken. More than 61 open scopes spill into Python's long
    integers.
    """

    __slots__ = ("bit", "start")

    def __enter__(self) -> Self:
        with _lock:
            self.bit = _free_bits.pop() if _free_bits else 1 << next(_more_bits)
        here = _local.state
        self.start = next(sequence)
        self.changes = {"mask": here.mask | self.bit, "scopes": (*here.scopes, self), "since": self.start}
        self.changes["bits"] = here.bits | self.bit
        OPEN[self.bit] = self
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.changes = {}  # they hold this scope: a cycle
        del OPEN[self.bit]
        with _lock:
            _free_bits.append(self.bit)


HELD: dict[int, tuple[State, int]] = {}
"""By the id of a handle, the thread whose logs will undo what is written to it, and how many of them will."""


def check_held(handle: Any) -> None:
    """StateError for a write that another thread is about to undo."""
    held = HELD.get(id(handle))
    if held is not None and held[0] is not _local.state:
        other = "another thread is staging with it, or runs a checkpoint with it again, and would undo this write"
        raise StateError(f"write: {other}; give each thread its own instead of this {handle.describe()}")


class Log:
    """Handles older than the log, with what they held before their first write: an undo log for checkpoint and stage.
    One that ``holds`` is sure to undo, so that until then no other thread may write to its handles.
    """

    __slots__ = ("handles", "holds", "parent", "uid")

    def __init__(self, parent: Log | None, holds: bool = False) -> None:
        self.parent, self.holds, self.uid = parent, holds, next(serial)
        self.handles: dict[int, tuple[Any, tuple[Any, ...]]] = {}

    def keep(self, handle: Any) -> None:
        """Keep what the handle holds now."""
        if self.holds:
            with _lock:
                check_held(handle)
                HELD[id(handle)] = _local.state, HELD.get(id(handle), (None, 0))[1] + 1
        self.handles[id(handle)] = handle, handle.content()

    def note(self, handle: Any) -> None:
        """Keep what the handle holds now, in this log and those around it, unless it was noted before or is younger
        than the log.
        """
        log: Log | None = self
        while log is not None:
            if handle.born < log.uid and id(handle) not in log.handles:
                log.keep(handle)
            log = log.parent

    def undo(self) -> None:
        """Put every noted handle back, and let other threads write to it."""
        for handle, content in self.handles.values():
            handle.restore(content)
        if self.holds:
            with _lock:
                for key in self.handles:
                    here, count = HELD.pop(key)
                    if count > 1:
                        HELD[key] = here, count - 1
