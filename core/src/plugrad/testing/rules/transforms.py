"""An op under vmap and in a graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...dtypes import SHORT
from ...op import OPS, Op
from ...tensor import Tensor, tupled
from ...transforms import stage
from ..contract.subject import Subject, called, compare
from ..derivatives import check_vmap
from .call import Call, calls

MANY, FEW = 6, 2
TOLERANCE = {"f8": 1e-11, "f4": 1e-4, "i8": 0.0, "i4": 0.0, "b1": 0.0, "u4": 0.0}


def batching(name: str, device: str, quick: bool = False) -> None:
    """vmap equals a loop, with every operand mapped and with each one alone."""
    for call in with_operands(OPS[name], Subject(device), quick):
        with called(f"vmap of {call.what}"):
            check_vmap(_whole(call), *call.tensors(), tolerance=TOLERANCE.get(SHORT[call.code], 1e-3))


def staging(name: str, device: str, quick: bool = False) -> None:
    """A graph gives what the call gives."""
    for call in with_operands(OPS[name], Subject(device), quick):
        f, xs = _whole(call), call.tensors()
        with called(f"a graph of {call.what}"):
            wanted, found = f(*xs), stage(f, *xs)(*xs)
        for got, expected in zip(tupled(found), tupled(wanted), strict=True):
            compare(f"a graph of {call.what}", got.numpy(), expected.numpy(), "sum")


def with_operands(op: Op, subject: Subject, quick: bool) -> Iterator[Call]:
    """Calls with something to map or stage, in one dtype: double precision if there is one, else what the op takes."""
    legal = [SHORT[code] for code in subject.codes(op)]
    dtype = next((one for one in ("f8", "f4", "i8", "i4", "b1") if one in legal), legal[0] if legal else "f4")
    for call in calls(op, subject, dtype, FEW if quick else MANY):
        if call.sample.operands:
            yield call


def _whole(call: Call) -> Any:
    def f(*xs: Tensor) -> Any:
        return call.op(*xs, **call.sample.attrs)

    return f
