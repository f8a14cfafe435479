"""Memory: what a backend may offer beside values, borrowed or uninitialised, and that it lets go of what is dropped."""

from __future__ import annotations

import gc
import mmap
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...dtypes import CODE, DTYPES
from ...op import OPS
from ...ops.creation import asarray
from ..kit.check import NotHere
from .host import arrays
from .kernels import Call, calls, share
from .layouts import LAYOUTS, operands
from .subject import Subject, compare

STATM = Path("/proc/self/statm")
"""Where Linux tells how much memory the process has."""
ROUNDS, MEGABYTES, PATIENCE = 48, 4, 3


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """borrow, empty, dlpack, and what is let go."""
    return [
        ("memory.borrow", borrow),
        ("memory.borrowed_memory", borrowed_memory),
        ("memory.empty", empty_memory),
        ("memory.lent", lent_memory),
        ("memory.values_are_let_go", values_are_let_go),
        ("memory.returned", returned),
    ]


def borrow(device: str) -> None:
    """borrow gives the elements, shape and dtype of an array of any layout, or NotImplemented."""
    subject = Subject(device)
    for code in sorted(subject.stored):
        for form, a in arrays(code).items():
            value = subject.backend.borrow(a, subject.ordinal)
            if value is not NotImplemented:
                what = f"borrow: {form} {a.dtype.name} {a.shape} on {device}"
                compare(what, subject.host(value), a)
                spec = subject.backend.spec(value)
                assert tuple(spec) == (a.shape, a.dtype), f"{what}: spec() says {spec.dtype} {spec.shape}"


def borrowed_memory(device: str) -> None:
    """An array that asarray may have borrowed is never written, and what was computed from it stays."""
    subject = Subject(device)
    a: Any = np.ones((3, 4), subject.usual)
    x = asarray(a, device=device)
    y = x[1:]
    x[0] = 0
    compare(f"asarray: the array, after a write to its tensor on {device}", a, np.ones((3, 4), a.dtype))
    compare(f"asarray: a view of the tensor, after that write on {device}", y.numpy(), np.ones((2, 4), a.dtype))


def empty_memory(device: str) -> None:
    """empty gives memory of the asked shape and dtype, of its own each time, or NotImplemented; `into` without kernels
    needs it.
    """
    subject = Subject(device)
    for code in sorted(subject.stored):
        for shape in ((2, 3), (), (0, 4)):
            value, second = [subject.backend.empty(shape, DTYPES[code], subject.ordinal) for _ in range(2)]
            if value is NotImplemented:
                derived = sorted(n for n in subject.backend.into if n in OPS and n not in subject.backend.kernels)
                assert not derived, f"empty: {subject.backend.name} has only `into` forms of {', '.join(derived)}"
                return
            spec = subject.backend.spec(value)
            wanted = f"asked for {DTYPES[code]} {shape} on {device}"
            assert tuple(spec) == (shape, DTYPES[code]), f"empty: {wanted}, came {spec}"
            assert not share(subject, value, second), f"empty: {wanted} twice, the two share memory"


def lent_memory(device: str) -> None:
    """numpy(), which looks at the memory that dlpack lends, gives the elements of every dtype in every layout."""
    subject = Subject(device)
    for code in sorted(subject.stored):
        for layout in LAYOUTS:
            for a in (np.arange(24).reshape(2, 3, 4).astype(DTYPES[code]), np.ones((), DTYPES[code])):
                operand = operands(subject, layout, (a,))[0]
                what = f"numpy: {layout.name} {a.dtype.name} {a.shape} on {device}"
                compare(what, operand.tensor.numpy(), operand.array)


def values_are_let_go(device: str) -> None:
    """After a call nobody holds the operands or the result but the caller: what is dropped can be freed, and the core
    sees when a value may be written.
    """
    subject = Subject(device)
    for call in calls(subject):
        if not call.op.alias and call.code in (CODE[subject.usual], max(subject.codes(call.op))):
            _let_go(subject, call)


def _holders(values: list[Any]) -> list[int]:
    """How many references there are to each."""
    return [sys.getrefcount(value) for value in values]


def _let_go(subject: Subject, call: Call) -> None:
    before = _holders(call.values)
    results = call.run()
    if results is NotImplemented:
        return
    made = list(results) if type(results) is tuple else [results]
    del results
    subject.wait()
    lone = _holders([object()]) * len(made)
    for what, values, wanted in (("operand", call.values, before), ("result", made, lone)):
        if _holders(values) != wanted:
            gc.collect()
        for i, (value, count, least) in enumerate(zip(values, _holders(values), wanted, strict=True)):
            if subject.backend.spec(value).shape:
                held = f"{call.what}: {what} {i} is held by {count - least} more after the call; let it go"
                assert count <= least, held


def returned(device: str) -> None:
    """Many large results, each dropped at once, take no more memory than a few. Seen where the system tells."""
    subject = Subject(device)
    if not STATM.exists():
        raise NotHere(f"this system has no {STATM} that tells how much memory is used")
    one = np.ones(MEGABYTES * 2**20 // subject.usual.itemsize, subject.usual)
    x = subject.put(one)
    steps: dict[str, Callable[[], Any]] = {
        "x + x": lambda: x + x,
        "x * x": lambda: x * x,
        "reshape and sum": lambda: x.reshape((2, -1)).sum(axis=0),
        "from the host": lambda: subject.put(one),
        "to the host": lambda: x.numpy(),
    }
    for name, step in steps.items():
        for _ in range(3):
            step()
        grown = [_grown(subject, step)]
        while (
            grown[-1] >= ROUNDS * MEGABYTES / 2 and len(grown) < PATIENCE
        ):  # a pool fills once, a leak again and again
            grown.append(_grown(subject, step))
        assert grown[-1] < ROUNDS * MEGABYTES / 2, (
            f"{name}, {ROUNDS} times {MEGABYTES} MB on {device}, each result dropped, {PATIENCE} times: "
            f"{', '.join(f'{size:.0f}' for size in grown)} MB did not come back"
        )


def _grown(subject: Subject, step: Callable[[], Any]) -> float:
    """Megabytes that the process has more after many steps than before."""
    gc.collect()
    subject.wait()
    before = _resident()
    for _ in range(ROUNDS):
        step()
    subject.wait()
    return (_resident() - before) / 2**20


def _resident() -> int:
    """Bytes of memory that the process has."""
    return int(STATM.read_text().split()[1]) * mmap.PAGESIZE
