"""Bodies that stand for all groups: a chain, a row that is broadcast, an optimizer's step, a group with reductions. For
the catalogue and the tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from plugrad.backend import Spec
from plugrad.program import Body, Eqn, Lit, Operand

from . import grouping, reduction
from .bodies import Text
from .text import Entry


class Builder:
    """Writes a body: equations one after the other, values by number."""

    def __init__(self, shape: tuple[int, ...], *operands: Spec) -> None:
        self.shape, self.count = shape, len(operands)
        self.specs, self.eqns = list(operands), list[Eqn]()

    def add(self, op: str, *ins: Operand, dtype: Any = None, **attrs: Any) -> int:
        """An equation's number. ``dtype``: of the result, where it is not that of the last operand; an attribute of
        ``cast``.
        """
        last = ins[-1]
        of = np.dtype(dtype) if dtype is not None else last.dtype if isinstance(last, Lit) else self.specs[last].dtype
        shape = self.shape
        if "axis" in attrs:
            shape = tuple([1 if a in attrs["axis"] else n for a, n in enumerate(shape)])
            if not attrs["keepdims"]:
                shape = tuple([n for a, n in enumerate(self.shape) if a not in attrs["axis"]])
        if op == "cast":
            attrs["dtype"] = of
        self.specs.append(Spec(shape, of))
        self.eqns.append(Eqn(op, tuple(ins), (len(self.specs) - 1,), tuple(sorted(attrs.items()))))
        return len(self.specs) - 1

    def body(self, *outputs: int) -> Body:
        """What was written; reductions last."""
        eqns = sorted(self.eqns, key=lambda e: e.op in reduction.OPS)
        return Body(self.count, tuple(self.specs), tuple(eqns), outputs, self.shape)


def chain(shape: tuple[int, ...], dtype: Any = np.float32) -> Body:
    """tanh(a * b + c) * d."""
    b = Builder(shape, *[Spec(shape, np.dtype(dtype))] * 4)
    return b.body(b.add("mul", b.add("tanh", b.add("add", b.add("mul", 0, 1), 2)), 3))


def layer(m: int, n: int, dtype: Any = np.float32) -> Body:
    """relu(x + row), and whether it is positive."""
    of = np.dtype(dtype)
    b = Builder((m, n), Spec((m, n), of), Spec((n,), of))
    y = b.add("nn.relu", b.add("add", 0, 1))
    return b.body(y, b.add("less", Lit(0.0, of), y, dtype=np.bool_))


def softmax(m: int, n: int, dtype: Any = np.float32) -> Body:
    """exp(x - column), its sums over rows, and the largest of each column."""
    of = np.dtype(dtype)
    b = Builder((m, n), Spec((m, n), of), Spec((m, 1), of))
    y = b.add("exp", b.add("sub", 0, 1))
    return b.body(y, b.add("sum", y, axis=(1,), keepdims=True), b.add("max", y, axis=(0,), keepdims=False))


def step(shape: tuple[int, ...], dtype: Any = np.float32) -> Body:
    """Adam: parameter, both averages, gradient and two numbers to the new parameter and averages."""
    of = np.dtype(dtype)
    b = Builder(shape, *[Spec(shape, of)] * 4, Spec((), of), Spec((), of))
    first = b.add("add", b.add("mul", 1, Lit(0.9, of)), b.add("mul", 3, Lit(0.1, of)))
    second = b.add("add", b.add("mul", 2, Lit(0.999, of)), b.add("mul", b.add("mul", 3, 3), Lit(0.001, of)))
    root = b.add("add", b.add("mul", b.add("sqrt", second), 5), Lit(1e-8, of))
    return b.body(b.add("sub", 0, b.add("div", b.add("mul", 4, first), root)), first, second)


def entries() -> Iterator[Entry]:
    """Kernels of these bodies in their usual forms."""
    for dtype, lanes in ((np.float32, 4), (np.float64, 2)):
        yield grouping.each(Text(chain((64,), dtype)), grouping.Each("dddd", lanes, 0, False, True))
        yield grouping.each(Text(chain((64,), dtype)), grouping.Each("vvvv", 1, 3, True, False))
        yield grouping.each(Text(layer(8, 16, dtype)), grouping.Each("dd", lanes, 2, False, False))
        yield grouping.each(Text(step((64,), dtype)), grouping.Each("dddduu", lanes, 0, False, True))
        text = Text(softmax(8, 16, dtype))
        for cut in (reduction.Shape(256, True, 1, 1, False), reduction.Shape(8, False, 1, 1, False)):
            yield grouping.reduced(text, grouping.Reduced("vv", cut, False, (0,), True))
            yield grouping.reduced(text, grouping.Reduced("vv", cut, True, (0, 1), False))
