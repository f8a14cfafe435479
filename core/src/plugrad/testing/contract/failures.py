"""Mistakes of a user: named, and raised before any kernel of the backend is called."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...dtypes import DTYPES
from ...errors import DeviceError, DTypeError, PlugradError, ShapeError
from ...ops import elementwise as ew
from ...ops.contraction import matmul
from ...ops.creation import asarray
from ...ops.indexing import take
from ...ops.movement import broadcast_to, concat, permute_dims, reshape, squeeze
from ...ops.reduction import max, sum
from .subject import Subject, compare


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """Shapes, dtypes, devices, and what is left behind."""
    return [
        ("failures.shapes", wrong_shapes),
        ("failures.dtypes", wrong_dtypes),
        ("failures.devices", wrong_devices),
        ("failures.writes", wrong_writes),
        ("failures.late_errors", late_errors),
    ]


def _refused(subject: Subject, what: str, error: type[Exception], call: Callable[[], Any]) -> None:
    """The call raises this error and no kernel runs."""
    with subject.counting() as calls:
        try:
            call()
        except error as raised:
            text = str(raised)
        except Exception as raised:
            came = f"{type(raised).__name__}: {raised}"
            raise AssertionError(f"{what} on {subject.device}: expected {error.__name__}, came {came}") from raised
        else:
            raise AssertionError(f"{what} on {subject.device}: expected {error.__name__}, came a result")
    assert not calls, f"{what} on {subject.device}: the kernels of {calls} were called before the {error.__name__}"
    assert text, f"{what} on {subject.device}: the {error.__name__} says nothing"


def wrong_shapes(device: str) -> None:
    """Operands, axes and shapes that do not fit raise ShapeError."""
    subject = Subject(device)
    subject.needs("f4")
    x, y, empty = [subject.put(np.ones(shape, np.float32)) for shape in ((3, 4), 5, 0)]
    mistakes: dict[str, Callable[[], Any]] = {
        "(3, 4) + (5,)": lambda: x + y,
        "(3, 4) @ (3, 4)": lambda: matmul(x, x),
        "reshape (3, 4) to (5, 2)": lambda: reshape(x, (5, 2)),
        "permute_dims by (0, 0)": lambda: permute_dims(x, (0, 0)),
        "broadcast_to (3, 4) to (4, 4)": lambda: broadcast_to(x, (4, 4)),
        "squeeze axis 0 of (3, 4)": lambda: squeeze(x, 0),
        "sum over axis 2 of (3, 4)": lambda: sum(x, axis=2),
        "max of no elements": lambda: max(empty),
        "concat (3, 4) and (5,)": lambda: concat([x, y]),
    }
    for what, call in mistakes.items():
        _refused(subject, what, ShapeError, call)


def wrong_dtypes(device: str) -> None:
    """Dtypes that an op is not defined for, or the backend does not store, raise DTypeError."""
    subject = Subject(device)
    if subject.stores("i4"):
        i = subject.put(np.ones(3, np.int32))
        _refused(subject, "exp of int32", DTypeError, lambda: ew.exp(i))
        _refused(subject, "where with an int32 condition", DTypeError, lambda: ew.where(i, i, i))
    if subject.stores("f4"):
        x = subject.put(np.ones(3, np.float32))
        _refused(subject, "invert of float32", DTypeError, lambda: ew.bitwise_invert(x))
        _refused(subject, "take at float32 positions", DTypeError, lambda: take(x, x, axis=0))
    strangers = [code for code in range(len(DTYPES)) if code not in subject.stored]
    for dtype in [DTYPES[code] for code in strangers]:
        _refused(subject, f"asarray of {dtype}", DTypeError, lambda: subject.put(np.ones(3, dtype)))  # noqa: B023
        if subject.stores("f4"):
            _refused(subject, f"float32 as {dtype}", DTypeError, lambda: x.astype(dtype))  # noqa: B023
    if subject.stores("f4") and not subject.stores("c8"):
        _refused(subject, "float32 + complex", DTypeError, lambda: x + 1j)


def wrong_devices(device: str) -> None:
    """Operands on two devices raise DeviceError, and so does a device that does not exist."""
    subject = Subject(device)
    if subject.index and subject.stores("f4"):
        here, there = subject.put(np.ones(3, np.float32)), asarray(np.ones(3, np.float32), device="numpy")
        _refused(subject, "a tensor on numpy + one here", DeviceError, lambda: there + here)
    missing = f"{subject.backend.name}:{len(tuple(subject.backend.devices())) + 90}"
    _refused(subject, f"asarray on {missing}", DeviceError, lambda: asarray(np.ones(3), device=missing))


def wrong_writes(device: str) -> None:
    """A write that does not fit raises, and leaves the tensor as it was."""
    subject = Subject(device)
    subject.needs("f4")
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    x, y = subject.put(a), subject.put(np.ones(5, np.float32))
    mistakes: dict[str, tuple[type[Exception], Callable[[], Any]]] = {
        "x[0] = five elements": (ShapeError, lambda: x.__setitem__(0, y)),
        "x[3] = 1": (IndexError, lambda: x.__setitem__(3, 1.0)),
        "x[0] = a complex number": (PlugradError, lambda: x.__setitem__(0, 1j)),
        "x += five elements": (ValueError, lambda: x.__iadd__(y)),
    }
    for what, (error, call) in mistakes.items():
        try:
            call()
        except error:
            pass
        else:
            raise AssertionError(f"{what} on {device}: expected {error.__name__}, came a result")
        compare(f"x after the refused {what} on {device}", x.numpy(), a)


def late_errors(device: str) -> None:
    """What was called after a call with a bad position is computed, or asking for it raises; it is nothing else."""
    subject = Subject(device)
    subject.needs("f4", "i8")
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    x, at = subject.put(a), subject.put(np.array([5]))
    pending: list[Any] = []
    with contextlib.suppress(IndexError):
        pending.append(take(x, at, axis=0).val)
    y = x + x
    waits: list[Callable[[], Any]] = [subject.wait, *[partial(subject.host, value) for value in pending]]
    for wait in waits:
        with contextlib.suppress(IndexError, DeviceError):
            wait()
    try:
        found = subject.host(y.val)
    except DeviceError:
        return
    compare(f"x + x, called after take of position 5 along an axis of size 3, on {device}", found, a + a)
