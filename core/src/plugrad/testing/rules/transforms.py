"""An op under vmap and in a graph."""

from __future__ import annotations

from typing import Any

from ...dtypes import SHORT
from ...op import OPS
from ...tensor import Tensor, tupled
from ...transforms import stage
from ..contract.subject import Subject, called, compare
from ..derivatives import check_vmap
from .call import Call, calls

MANY, FEW = 6, 2
TOLERANCE = {"f8": 1e-11, "f4": 1e-4, "i8": 0.0, "i4": 0.0, "b1": 0.0, "u4": 0.0}


def batching(name: str, device: str, quick: bool = False) -> None:
    """vmap equals a loop, with every operand mapped and with each one alone."""
    subject = Subject(device)
    for call in calls(OPS[name], subject, _dtype(name, subject), FEW if quick else MANY):
        if call.sample.operands:
            with called(f"vmap of {call.what}"):
                check_vmap(_whole(call), *call.tensors(), tolerance=TOLERANCE.get(_dtype(name, subject), 1e-3))


def staging(name: str, device: str, quick: bool = False) -> None:
    """A graph gives what the call gives."""
    subject = Subject(device)
    for call in calls(OPS[name], subject, _dtype(name, subject), FEW if quick else MANY):
        if call.sample.operands:
            f, xs = _whole(call), call.tensors()
            with called(f"a graph of {call.what}"):
                wanted, found = f(*xs), stage(f, *xs)(*xs)
            for got, expected in zip(tupled(found), tupled(wanted), strict=True):
                compare(f"a graph of {call.what}", got.numpy(), expected.numpy(), "sum")


def _whole(call: Call) -> Any:
    def f(*xs: Tensor) -> Any:
        return call.op(*xs, **call.sample.attrs)

    return f


def _dtype(name: str, subject: Subject) -> str:
    """Double precision if there is one, else what the op takes."""
    legal = [SHORT[code] for code in subject.codes(OPS[name])]
    return next((one for one in ("f8", "f4", "i8", "i4", "b1") if one in legal), legal[0] if legal else "f4")
