"""One graph for batches of any size: two graphs, staged for two sizes, say how each number depends on the size.

The equations of both are the same but for numbers. One that differs is a linear function of the batch size, or one of
``FORMS``; what fits neither, or another number of equations, means that the function is staged for each size. A graph
for a third size is written down from that, and every equation asks its op's shape rule whether it agrees.

While such a function is staged, the sizes that user code reads tell whether they were decided upon (``dims``).
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..backend import Spec
from ..dispatch import lift
from ..interpreters.stage import Equation, Graph, Var
from ..tensor import LITERAL, Tensor, tupled

Form = Callable[[int], Any]
"""A value as a function of the batch size."""


FORMS: tuple[Callable[[float, int], float], ...] = (
    lambda c, n: c / n,
    lambda c, n: c * n,
    lambda c, n: c / (n - 1),
    lambda c, n: c * n / (n - 1),
)
"""How a float depends on a size of 2 at least: means, sums, variances of a sample."""


class Unsolved(Exception):
    """Two graphs do not say what the graph for another size is. Why, in words."""


def alike(a: Graph, b: Graph) -> bool:
    """Whether two graphs are the same but for their variables."""
    names: dict[Var, Var] = {}

    def same(vs: Sequence[Var], ws: Sequence[Var]) -> bool:
        pairs = [(names.setdefault(v, w), w) for v, w in zip(vs, ws, strict=False)]
        return len(vs) == len(ws) and all(v is w for v, w in pairs) and all(v.kind == w.kind for v, w in zip(vs, ws))

    if len(a.equations) != len(b.equations) or not same(a.inputs, b.inputs) or len(a.constants) != len(b.constants):
        return False
    for (h, v), (k, w) in zip(a.constants, b.constants, strict=True):
        numbers = h.base is LITERAL and k.base is LITERAL
        if not same([v], [w]) or not (_number(h) == _number(k) if numbers else h is k or _same(h, k)):
            return False
    for e, f in zip(a.equations, b.equations, strict=True):
        if e.op is not f.op or not same(e.inputs, f.inputs) or not same(e.outputs, f.outputs):
            return False
        if e.attrs.keys() != f.attrs.keys() or not all(_equal(e.attrs[k], f.attrs[k]) for k in e.attrs):
            return False
    ends = same(a.outputs, b.outputs) and len(a.state) == len(b.state)
    return ends and all(h is k and same([v], [w]) for (h, v), (k, w) in zip(a.state, b.state, strict=True))


def _equal(x: Any, y: Any) -> bool:
    return alike(x, y) if isinstance(x, Graph) and isinstance(y, Graph) else repr(x) == repr(y)


class Template:
    """The graph of a function for any batch size, from those for ``sizes``."""

    def __init__(self, first: Graph, second: Graph, sizes: tuple[int, int]) -> None:
        self.graph, self.sizes = first, sizes
        self.pairs: dict[Var, Var] = {}
        self.specs: dict[Var, Form] = {}
        self._match(first.inputs, second.inputs)
        self._gradients(first, second)
        if len(first.constants) != len(second.constants):
            raise Unsolved("it captures another number of tensors")
        self.literals: dict[Var, Form] = {}
        for (h, v), (k, w) in zip(first.constants, second.constants, strict=True):
            self._match([v], [w])
            if h.base is LITERAL and k.base is LITERAL and h.shape == k.shape == ():
                self.literals[v] = self._solved(_number(h), _number(k), "a number", _rounding(h))
            elif h is not k and not _same(h, k):
                raise Unsolved(f"a constant of shape {h.shape} is another one")
        if len(first.equations) != len(second.equations):
            counts = f"{len(first.equations)} operations for one size, {len(second.equations)} for another"
            raise Unsolved(f"it runs {counts}")
        self.attrs = [self._equation(a, b) for a, b in zip(first.equations, second.equations, strict=True)]
        self._ends(first.outputs, second.outputs)
        for (h, v), (k, w) in zip(first.state, second.state, strict=True):
            if h is not k:
                raise Unsolved("it writes other tensors")
            self._ends([v], [w])
        self._ends([v for _, v in first.gradients], [w for _, w in second.gradients])

    def _match(self, vs: Sequence[Var], ws: Sequence[Var]) -> None:
        """The same values of both graphs."""
        for v, w in zip(vs, ws, strict=True):
            if (v.be, v.dev, v.spec.dtype) != (w.be, w.dev, w.spec.dtype):
                raise Unsolved(f"a value is {v.spec.dtype} for one size and {w.spec.dtype} for another")
            self.pairs[v] = w
            self.specs[v] = self._solved(v.spec.shape, w.spec.shape, "a shape")

    def _gradients(self, first: Graph, second: Graph) -> None:
        """Gradients from outside that both graphs read, or write: of the same tensors, in the same way."""
        if _gradients(first) != _gradients(second):
            raise Unsolved("it reads or writes gradients of other tensors")
        places = [[v for _, v in g.met if v is not None] for g in (first, second)]
        self._match(*places)

    def _ends(self, vs: Sequence[Var], ws: Sequence[Var]) -> None:
        if len(vs) != len(ws) or any(self.pairs.get(v) is not w for v, w in zip(vs, ws, strict=True)):
            raise Unsolved("its results come from other operations")

    def _equation(self, a: Equation, b: Equation) -> dict[str, Form]:
        if a.op is not b.op or a.attrs.keys() != b.attrs.keys() or a.hidden != b.hidden:
            raise Unsolved(f"{a.op.name} stands where {b.op.name} stands for another size")
        if [self.pairs[v] for v in a.inputs] != list(b.inputs) or len(a.outputs) != len(b.outputs):
            raise Unsolved(f"{a.op.name} has other operands")
        self._match(a.outputs, b.outputs)
        return {name: self._solved(a.attrs[name], b.attrs[name], f"{a.op.name}: {name}") for name in a.attrs}

    def _solved(self, a: Any, b: Any, what: str, rounded: Callable[[float], float] = float) -> Form:
        """The form of which both are instances, floats being ``rounded`` as those of the graphs were."""
        n, m = self.sizes
        if isinstance(a, Graph) and isinstance(b, Graph):
            inner = Template(a, b, self.sizes)
            return inner.at
        if isinstance(a, tuple) and type(a) is type(b) and len(a) == len(b):
            forms = [self._solved(x, y, what) for x, y in zip(a, b, strict=True)]
            build = type(a)._make if hasattr(a, "_make") else tuple
            return lambda size: build([form(size) for form in forms])
        if type(a) is not type(b):
            raise Unsolved(f"{what} is {a!r} for {n}, {b!r} for {m}")
        if a is b or (not isinstance(a, (np.ndarray, Tensor)) and a == b and repr(a) == repr(b)):
            return lambda size: a
        if type(a) is int:
            slope = Fraction(b - a, m - n)
            return lambda size: _whole(a + slope * (size - n), what)
        if type(a) is float:
            for form in FORMS:
                factor = float(f"{a / form(1.0, n):.6g}")
                if rounded(form(factor, n)) == a and rounded(form(factor, m)) == b:
                    return functools.partial(form, factor)
        known = "neither proportional to the size nor divided by it or by one less"
        raise Unsolved(f"{what} is {a!r} for {n} and {b!r} for {m}, which is {known}")

    def at(self, size: int) -> Graph:
        """The graph for a batch size. Unsolved where a number is no integer there, or a shape rule disagrees."""
        new = {v: Var(v.id, Spec(self.specs[v](size), v.spec.dtype), v.be, v.dev) for v in self.pairs}
        graph = copy.copy(self.graph)
        equations = []
        for e, forms in zip(self.graph.equations, self.attrs, strict=True):
            attrs = {name: form(size) for name, form in forms.items()}
            inputs, outputs = tuple([new[v] for v in e.inputs]), tuple([new[v] for v in e.outputs])
            if e.op.name == "slice" and not _inside(inputs[0].spec.shape, attrs):
                raise Unsolved(f"a slice would leave the tensor for {size}")
            found = tupled(e.op.spec(*[v.like() for v in inputs], **attrs))
            if [(tuple(s.shape), s.dtype) for s in found] != [tuple(v.spec) for v in outputs]:
                raise Unsolved(f"{e.op.name} would give another shape for {size}")
            equations.append(e._replace(attrs=attrs, inputs=inputs, outputs=outputs))
        graph.equations = tuple(equations)
        graph.inputs = tuple([new[v] for v in self.graph.inputs])
        graph.outputs = tuple([new[v] for v in self.graph.outputs])
        graph.constants = tuple([(self._constant(h, v, size), new[v]) for h, v in self.graph.constants])
        graph.fixed = {new[v] for v in self.graph.fixed if v in new}
        graph.state = tuple([(h, new[v]) for h, v in self.graph.state])
        graph.gradients = tuple([(k, new[v]) for k, v in self.graph.gradients])
        graph.met = [(h, None if v is None else new[v]) for h, v in self.graph.met]
        return graph

    def _constant(self, h: Tensor, v: Var, size: int) -> Tensor:
        form = self.literals.get(v)
        if form is None or (value := form(size)) == _number(h):
            return h
        return lift("compile", value, h)


def _gradients(g: Graph) -> list[Any]:
    """Of which tensors a graph reads and writes gradients, and which are one and the same."""
    found: list[Any] = [[(id(h), v is None) for h, v in g.met], [k for k, _ in g.gradients]]
    return [
        *found,
        *[[(id(h), x if type(x) is int else id(x)) for h, x in pairs] for pairs in (g.slots, g.ties, g.sources)],
    ]


def _inside(shape: tuple[int, ...], attrs: dict[str, Any]) -> bool:
    """Whether a slice stays within a shape."""
    axes = zip(shape, attrs["start"], attrs["size"], attrs["step"], strict=True)
    return all(not size or (0 <= start < n and 0 <= start + (size - 1) * step < n) for n, start, size, step in axes)


def _number(h: Tensor) -> Any:
    return h.concrete("compile").numpy().item()


def _rounding(h: Tensor) -> Callable[[float], float]:
    """How a Python number becomes one of this tensor's dtype."""
    return lambda x: float(np.asarray(x, h.dtype))


def _same(h: Tensor, k: Tensor) -> bool:
    """Whether two constants hold the same."""
    if (h.shape, h.dt, h.be, h.dev) != (k.shape, k.dt, k.be, k.dev) or h.tr is not None or k.tr is not None:
        return False
    return bool(np.array_equal(h.detach().numpy(), k.detach().numpy()))


def _whole(x: Fraction, what: str) -> int:
    if x.denominator != 1:
        raise Unsolved(f"{what} would be {x}")
    return int(x)
