"""Positions out of range (K8 of ``plugrad.backend``): refused before anything is written, or reported late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...dtypes import DTYPES
from ...errors import DeviceError
from ...op import OPS, Op
from .subject import Subject, called, compare, reference

OPS_AT_POSITIONS = ("gather", "scatter_add", "take_along", "scatter", "scatter_mul", "scatter_min", "scatter_max")
OVER_SEVERAL = OPS_AT_POSITIONS[3:]
"""Their axis is a tuple."""
FAR = 10**6
LONG, LATE = 64, 50
"""A list of positions whose bad one comes late."""


def checks() -> list[tuple[str, Callable[[str], None]]]:
    """Kernels, and the forms of scatter_add and scatter that write."""
    return [("kernels.bad_index", bad_index), ("inplace.bad_index", bad_index_into)]


def bad_index(device: str) -> None:
    """K8: a position out of range raises IndexError, or a late DeviceError where work is queued; nothing is corrupted,
    and the device works on or says that it cannot.
    """
    subject = Subject(device)
    for name in OPS_AT_POSITIONS:
        op = OPS[name]
        for code in subject.codes(op):
            if subject.kernels(op, code) and subject.stores("i8"):
                for axis in (0, 1):
                    for operands, words in _calls(op, code, axis):
                        _refused(subject, op, code, _attr(op, axis), operands, words)


def _attr(op: Op, axis: int) -> Any:
    return (axis,) if op.name in OVER_SEVERAL else axis


def _calls(op: Op, code: int, axis: int) -> list[tuple[list[np.ndarray], str]]:
    """Operands with one bad position, and its description."""
    x = np.moveaxis(np.arange(12).reshape(3, 4) % 7, 0, axis).astype(DTYPES[code])
    found = []
    for position in (3, -4, FAR, -FAR):
        found.append(([x, np.array([0, position])], f"position {position} along an axis of size 3"))
    at = np.arange(LONG) % 3
    at[LATE] = 3
    found.append(([x, at], f"position 3 at place {LATE} of {LONG} along an axis of size 3"))
    empty = np.moveaxis(np.zeros((0, 4), DTYPES[code]), 0, axis)
    found.append(([empty, np.zeros(1, np.int64)], "position 0 along an axis of size 0"))
    return [(_operands(op, axis, x, at), words) for (x, at), words in found]


def _operands(op: Op, axis: int, x: np.ndarray, at: np.ndarray) -> list[np.ndarray]:
    if op.name == "take_along":
        across = [1, 1]
        across[axis], across[1 - axis] = at.size, x.shape[1 - axis]
        turned = at[:, None] if axis == 0 else at[None, :]
        return [x, np.array(np.broadcast_to(turned, across))]
    if op.name == "gather":
        return [x, at]
    added = list(x.shape)
    added[axis] = at.size
    return [x, at, np.ones(added, x.dtype)]


def _refused(subject: Subject, op: Op, code: int, axis: Any, operands: list[np.ndarray], words: str) -> None:
    tensors = [subject.put(a) for a in operands]
    what = f"{op.name}: {words}, axis {axis}, of {operands[0].dtype} on {subject.device}"
    late = raised(subject, what, lambda: op(*tensors, axis=axis).val)
    try:
        for i in range(len(operands)):
            compare(f"{what}: operand {i}, after the error", subject.host(tensors[i].val), operands[i])
        good = [operands[0], np.zeros_like(operands[1]), *operands[2:]]
        if operands[0].size:
            found = subject.host(op(*[subject.put(a) for a in good], axis=axis).val)
            compare(f"{what}: the next call", found, reference(op, code, good, {"axis": axis})[0], "sum")
    except DeviceError as error:
        assert late, f"{what}: after an IndexError the device must go on, but came {type(error).__name__}: {error}"


def raised(subject: Subject, what: str, call: Callable[[], Any]) -> bool:
    """Asserts that the call raises, or to_host of its value does, and says whether it was a late error."""
    wanted = "IndexError" + (" or a late DeviceError" if subject.backend.is_async else "")
    try:
        subject.host(call())
    except IndexError as error:
        return isinstance(error, DeviceError)
    except Exception as error:
        came = f"{type(error).__name__}: {error}"
        assert subject.backend.is_async and isinstance(error, DeviceError), f"{what}: expected {wanted}, came {came}"
        return True
    raise AssertionError(f"{what}: expected {wanted}, came a result")


def bad_index_into(device: str) -> None:
    """K8 of the forms of scatter_add and scatter in `into`: nothing is written to ``out``, be it operand 0 or memory of
    its own.
    """
    subject = Subject(device)
    for op in (OPS["scatter_add"], OPS["scatter"]):
        form = subject.backend.into.get(op.name)
        for code in subject.codes(op) if form is not None and subject.stores("i8") else ():
            for axis in (0, 1):
                for operands, words in _calls(op, code, axis):
                    what = f"into: {op.name}: {words}, axis {axis}"
                    for own in (True, False):
                        _unwritten(subject, form, _attr(op, axis), operands, what, own)


def _unwritten(subject: Subject, form: Any, axis: Any, operands: list[np.ndarray], what: str, own: bool) -> None:
    values = [subject.put(a).val for a in operands]
    out = subject.backend.empty(operands[0].shape, operands[0].dtype, subject.ordinal) if own else values[0]
    if out is NotImplemented:
        return
    where = "memory of its own" if own else "operand 0"
    what = f"{what}, out is {where}, of {operands[0].dtype} on {subject.device}"
    with called(what):
        before = subject.host(out)
    declined: list[bool] = []

    def call() -> Any:
        if form(out, *values, axis=axis) is NotImplemented:
            declined.append(True)
            raise IndexError
        return out

    if not raised(subject, what, call):
        how = "declined" if declined else "raised"
        compare(f"{what}: it {how}, but out changed", subject.host(out), before)
