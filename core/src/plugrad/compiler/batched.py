"""One graph for batches of any size: two graphs, staged for two sizes, say how each number depends on the size.

The equations of both are the same but for numbers. One that differs is a linear function of the batch size, or a
constant divided by it; what fits neither, or another number of equations, means that the function is staged for each
size. A graph for a third size is written down from that, and every equation asks its op's shape rule whether it agrees.

While such a function is staged, the sizes that it reads of its arguments are ``Dim``s: integers that tell whether Python
compared them or rounded with them, as a decision taken for one size need not hold for another.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..backend import Spec
from ..fallback import user_line
from ..interpreters.stage import Equation, Graph, Var
from ..tensor import LITERAL, Tensor, tupled

Form = Callable[[int], Any]
"""A value as a function of the batch size."""


class Unsolved(Exception):
    """Two graphs do not say what the graph for another size is. Why, in words."""


class Dim(int):
    """A size that tells when it is decided upon."""

    decided: list[str]

    def __new__(cls, n: int, decided: list[str]) -> Dim:
        self = super().__new__(cls, n)
        self.decided = decided
        return self

    def __reduce__(self) -> Any:
        return int, (int(self),)


def _linear(name: str) -> Any:
    def method(self: Dim, *others: Any) -> Any:
        found = getattr(int, name)(self, *others)
        return Dim(found, self.decided) if type(found) is int else found

    return method


def _deciding(name: str) -> Any:
    def method(self: Dim, *others: Any) -> Any:
        self.decided.append(user_line())
        return getattr(int, name)(self, *others)

    return method


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "neg"):
    setattr(Dim, f"__{_name}__", _linear(f"__{_name}__"))
_COMPARED = ("lt", "le", "gt", "ge", "eq", "ne", "bool", "floordiv", "rfloordiv", "mod", "rmod", "divmod", "rdivmod")
for _name in (*_COMPARED, "pow", "rpow", "and", "rand", "or", "ror", "xor", "rxor", "lshift", "rlshift", "rshift"):
    setattr(Dim, f"__{_name}__", _deciding(f"__{_name}__"))
Dim.__hash__ = int.__hash__  # type: ignore[method-assign]


class Template:
    """The graph of a function for any batch size, from those for ``sizes``."""

    def __init__(self, first: Graph, second: Graph, sizes: tuple[int, int]) -> None:
        self.graph, self.sizes = first, sizes
        self.pairs: dict[Var, Var] = {}
        self.specs: dict[Var, Form] = {}
        self._match(first.inputs, second.inputs)
        if len(first.constants) != len(second.constants):
            raise Unsolved("it captures another number of tensors")
        self.literals: dict[Var, Form] = {}
        for (h, v), (k, w) in zip(first.constants, second.constants, strict=True):
            self._match([v], [w])
            if h.base is LITERAL and k.base is LITERAL and h.shape == k.shape == ():
                self.literals[v] = self._solved(_number(h), _number(k), "a number")
            elif h is not k and not _same(h, k):
                raise Unsolved(f"a constant of shape {h.shape} is another one")
        if len(first.equations) != len(second.equations):
            raise Unsolved(f"it runs {len(first.equations)} operations for one size, {len(second.equations)} for another")
        self.attrs = [self._equation(a, b) for a, b in zip(first.equations, second.equations, strict=True)]
        self._ends(first.outputs, second.outputs)
        for (h, v), (k, w) in zip(first.state, second.state, strict=True):
            if h is not k:
                raise Unsolved("it writes other tensors")
            self._ends([v], [w])
        if first.gradients or second.gradients or first.met or second.met:
            raise Unsolved("it reads or writes gradients")

    def _match(self, vs: Sequence[Var], ws: Sequence[Var]) -> None:
        """The same values of both graphs."""
        for v, w in zip(vs, ws, strict=True):
            if (v.be, v.dev, v.spec.dtype) != (w.be, w.dev, w.spec.dtype):
                raise Unsolved(f"a value is {v.spec.dtype} for one size and {w.spec.dtype} for another")
            self.pairs[v] = w
            self.specs[v] = self._solved(v.spec.shape, w.spec.shape, "a shape")

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

    def _solved(self, a: Any, b: Any, what: str) -> Form:
        """The form of which both are instances."""
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
            over, times = _simple(a * n), _simple(a / n)
            if over / n == a and over / m == b:
                return lambda size: over / size
            if times * n == a and times * m == b:
                return lambda size: times * size
        raise Unsolved(f"{what} is {a!r} for {n} and {b!r} for {m}, which is neither linear nor a quotient")

    def at(self, size: int) -> Graph:
        """The graph for a batch size. Unsolved where a number is no integer there, or a shape rule disagrees."""
        new = {v: Var(v.id, Spec(self.specs[v](size), v.spec.dtype), v.be, v.dev) for v in self.pairs}
        graph = copy.copy(self.graph)
        equations = []
        for e, forms in zip(self.graph.equations, self.attrs, strict=True):
            attrs = {name: form(size) for name, form in forms.items()}
            inputs, outputs = tuple([new[v] for v in e.inputs]), tuple([new[v] for v in e.outputs])
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
        return graph

    def _constant(self, h: Tensor, v: Var, size: int) -> Tensor:
        form = self.literals.get(v)
        if form is None or (value := form(size)) == _number(h):
            return h
        from ..dispatch import lift

        return lift("compile", value, h)


def _number(h: Tensor) -> Any:
    return h.concrete("compile").numpy().item()


def _same(h: Tensor, k: Tensor) -> bool:
    """Whether two constants hold the same."""
    if (h.shape, h.dt, h.be, h.dev) != (k.shape, k.dt, k.be, k.dev) or h.tr is not None or k.tr is not None:
        return False
    return bool(np.array_equal(h.detach().numpy(), k.detach().numpy()))


def _whole(x: Fraction, what: str) -> int:
    if x.denominator != 1:
        raise Unsolved(f"{what} would be {x}")
    return int(x)


def _simple(x: float) -> float:
    """The nearest integer, if the number is one but for rounding."""
    return float(round(x)) if abs(x - round(x)) < 1e-9 * max(1.0, abs(x)) else x
