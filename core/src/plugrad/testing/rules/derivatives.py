"""The derivatives of an op: against differences, against one another, on the device against the reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...op import OPS, Op
from ...ops.creation import asarray
from ...tensor import Tensor
from ...transforms import vjp
from ..contract.subject import Subject, called, compare
from ..derivatives import check_derivatives
from .call import Call, smooth, smooth_in_one

MANY, FEW = 8, 2
"""Samples of an op whose derivatives are checked, and those of a quick run."""
ROUGH = {"svd": 1e-4, "eig": 1e-4, "eigvals": 1e-4, "eigh": 1e-4, "pinv": 1e-4, "expm": 1e-4}
"""Tolerance of central differences for ops whose second derivatives are large."""


def agree(name: str, device: str, quick: bool = False) -> None:
    """Forward mode agrees with central differences, reverse mode with forward mode."""
    _consistent(name, device, 1, quick)


def second(name: str, device: str) -> None:
    """The gradient's own derivatives agree with its central differences and with one another."""
    _consistent(name, device, 2, True)


def _consistent(name: str, device: str, order: int, quick: bool) -> None:
    for call in in_double(OPS[name], Subject(device), quick):
        f, xs = call.function()
        with called(call.what):
            check_derivatives(f, *xs, order=order, difference=ROUGH.get(name, 1e-6))


def in_double(op: Op, subject: Subject, quick: bool) -> Iterator[Call]:
    """In double precision: differences in any other say little."""
    for dtype in ("f8", "c16"):
        yield from smooth(op, subject, dtype, FEW if quick else MANY)


def each_alone(name: str, device: str, quick: bool = False) -> None:
    """The gradient with respect to one operand is the same whether or not the others are differentiated too."""
    for call in of_several(OPS[name], Subject(device), quick):
        f, xs = call.function()
        with called(call.what):
            together = _pulled(f, xs)
        for i, x in enumerate(xs):

            def one(t: Tensor, i: int = i, xs: tuple[Tensor, ...] = xs, f: Any = f) -> Any:
                return f(*xs[:i], t, *xs[i + 1 :])

            with called(f"{call.what}, operand {call.floats[i]} alone"):
                alone = _pulled(one, (x,))[0]
            what = f"{call.what}: the gradient of operand {call.floats[i]} alone and beside the others"
            compare(what, alone, together[i], "sum")


def of_several(op: Op, subject: Subject, quick: bool) -> Iterator[Call]:
    """Those that can be differentiated with respect to two operands or more."""
    found = smooth_in_one(op, subject, ("f8", "f4", "c16", "c8"), FEW if quick else MANY)
    return (call for call in found if len(call.floats) > 1)


def as_reference(name: str, device: str, quick: bool = False) -> None:
    """In single and half precision: gradients have their operand's dtype, device and shape, and are those that the
    reference computes in double precision.
    """
    subject = Subject(device)
    for call in in_single(OPS[name], subject, quick):
        f, xs = call.function()
        with called(f"the gradient of {call.what}"):
            y, pull = vjp(f, *xs)
            seeds = tuple([_seed(t) for t in y])
            found = pull(seeds)
        wanted = _on_reference(call, seeds)
        for place, x, got, exact in zip(call.floats, xs, found, wanted, strict=True):
            what = f"the gradient of {call.what} for operand {place}"
            came = f"{got.dtype} {got.shape} on {got.device}"
            fits = (got.dtype, got.shape, got.device) == (x.dtype, x.shape, x.device)
            assert fits, f"{what}: expected {x.dtype} {x.shape} on {x.device}, came {came}"
            if np.isfinite(exact).all():
                compare(what, subject.host(got.val), exact.astype(x.dtype), "derivative")


def in_single(op: Op, subject: Subject, quick: bool) -> Iterator[Call]:
    """In single and half precision; in a quick run in single."""
    if quick:
        yield from smooth_in_one(op, subject, ("f4", "c8"), FEW)
    for dtype in () if quick else ("f4", "f2", "bf2", "c8"):
        yield from smooth(op, subject, dtype, MANY)


def _on_reference(call: Call, seeds: tuple[Tensor, ...]) -> list[np.ndarray]:
    """The same gradients on the reference, in double precision."""
    wide = [x.astype("complex128" if x.dtype.kind == "c" else "float64") for x in _floating(call)]
    operands = list(call.sample.operands)
    for place, x in zip(call.floats, wide, strict=True):
        operands[place] = x
    twin = Call(call.op, call.sample._replace(operands=tuple(operands)), Subject("numpy"))
    f, xs = twin.function()
    y, pull = vjp(f, *xs)
    given = [asarray(g.numpy().astype(t.dtype), device="numpy") for g, t in zip(seeds, y, strict=True)]
    return [g.numpy() for g in pull(tuple(given))]


def _floating(call: Call) -> list[np.ndarray]:
    return [call.sample.operands[i] for i in call.floats]


def _seed(y: Tensor) -> Tensor:
    """A cotangent that depends on nothing but the result's shape."""
    n = np.arange(max(int(np.prod(y.shape)), 1))[: int(np.prod(y.shape))].reshape(y.shape)
    return asarray((np.cos(n) + 0.5).astype(y.dtype), device=y.device)


def _pulled(f: Any, xs: tuple[Tensor, ...]) -> list[np.ndarray]:
    y, pull = vjp(f, *xs)
    return [g.numpy() for g in pull(tuple([_seed(t) for t in y]))]


def follow_values(name: str, device: str) -> None:
    """What comes out while derivatives are taken is what comes out without."""
    for call in in_one(OPS[name], Subject(device)):
        f, xs = call.function()
        plain, (recorded, _) = f(*xs), vjp(f, *xs)
        for a, b in zip(plain, recorded, strict=True):
            compare(f"{call.what}, recorded and not", b.detach().numpy(), a.numpy(), "sum")


def in_one(op: Op, subject: Subject, quick: bool = False) -> Iterator[Call]:
    """In one precision, single if there is one."""
    return smooth_in_one(op, subject, ("f4", "f8", "c8", "c16"), FEW)
