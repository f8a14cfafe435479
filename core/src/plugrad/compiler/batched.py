"""One graph for batches of any size: two graphs, staged for two sizes, say how each number depends on the size.

The equations of both are the same but for numbers. One that differs is a linear function of the batch size, or a
constant divided by it; what fits neither, or another number of equations, means that the function is staged for each
size. A graph for a third size is written down from that, and every equation asks its op's shape rule whether it
agrees.

While such a function is staged, the sizes that user code reads of tensors are ``Dim``s: integers that tell whether
Python compared them or rounded with them, as a decision taken for one size need not hold for another.
"""

from __future__ import annotations

import copy
import math
import sys
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..backend import Spec
from ..dispatch import lift
from ..fallback import INTERNAL, user_line
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


def _of_user(level: int = 2) -> bool:
    """Whether the caller's caller is the user's own code."""
    return sys._getframe(level).f_globals.get("__name__", "").partition(".")[0] not in INTERNAL


def _linear(name: str) -> Any:
    def method(self: Dim, *others: Any) -> Any:
        found = getattr(int, name)(self, *others)
        if found is NotImplemented and isinstance(others[0], float) and _of_user():
            self.decided.append(user_line())  # a float may be rounded later
        return Dim(found, self.decided) if type(found) is int else found

    return method


def _deciding(name: str) -> Any:
    def method(self: Dim, *others: Any) -> Any:
        if _of_user():
            self.decided.append(user_line())
        return getattr(int, name)(self, *others)

    return method


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "neg"):
    setattr(Dim, f"__{_name}__", _linear(f"__{_name}__"))
_COMPARED = ("lt", "le", "gt", "ge", "eq", "ne", "bool", "floordiv", "rfloordiv", "mod", "rmod", "divmod", "rdivmod")
_ROUNDED = ("truediv", "abs", "round", "floor", "ceil", "trunc", "int", "float", "index")
for _name in (
    *_COMPARED,
    *_ROUNDED,
    "pow",
    "rpow",
    "and",
    "rand",
    "or",
    "ror",
    "xor",
    "rxor",
    "lshift",
    "rlshift",
    "rshift",
):
    setattr(Dim, f"__{_name}__", _deciding(f"__{_name}__"))
Dim.bit_length = _deciding("bit_length")  # type: ignore[method-assign]
Dim.__hash__ = int.__hash__  # type: ignore[method-assign]


class Watch:
    """A block in which user code of this thread reads sizes that equal ``size`` as ``Dim``s. ``decided`` has the lines
    that decided upon one.
    """

    open = 0
    lock = threading.Lock()
    usual: tuple[Any, ...] = ()
    here = threading.local()

    def __init__(self, size: int) -> None:
        self.size = size
        self.decided: list[str] = []

    def __enter__(self) -> Watch:
        self.before, Watch.here.watch = getattr(Watch.here, "watch", None), self
        with Watch.lock:
            if not Watch.open:
                Watch.usual = Tensor.shape, Tensor.size, Tensor.__len__, Tensor.__getitem__
                Tensor.shape, Tensor.size = property(_shape), property(_size)  # type: ignore[assignment, method-assign]
                Tensor.__len__, Tensor.__getitem__ = _length, _item  # type: ignore[method-assign]
            Watch.open += 1
        return self

    def __exit__(self, *_: object) -> None:
        Watch.here.watch = self.before
        with Watch.lock:
            Watch.open -= 1
            if not Watch.open:
                Tensor.shape, Tensor.size, Tensor.__len__, Tensor.__getitem__ = Watch.usual  # type: ignore


def _watching() -> Watch | None:
    watch: Watch | None = getattr(Watch.here, "watch", None)
    return watch


def _shape(t: Tensor) -> tuple[int, ...]:
    watch = _watching()
    if watch is None or watch.size not in t._shape or not _of_user():
        return t._shape
    return tuple([Dim(n, watch.decided) if n == watch.size else n for n in t._shape])


def _size(t: Tensor) -> int:
    watch, n = _watching(), math.prod(t._shape)
    return n if watch is None or watch.size not in t._shape or not _of_user() else Dim(n, watch.decided)


def _length(t: Tensor) -> int:
    watch = _watching()
    if watch is not None and t._shape and t._shape[0] == watch.size and _of_user():
        watch.decided.append(user_line())  # len() makes a plain integer of whatever it is given
    found: int = Watch.usual[2](t)
    return found


def _item(t: Tensor, index: Any) -> Any:
    """A slice of a batch that stops, or steps, where some sizes would not reach."""
    watch = _watching()
    if watch is not None and watch.size in t._shape:
        for part in index if isinstance(index, tuple) else (index,):
            bounds = (part.start, part.stop) if isinstance(part, slice) else ()
            fixed = any(type(b) is int and b != 0 for b in bounds) or (type(part) is int and not -2 <= part < 2)
            if fixed or (isinstance(part, slice) and part.step not in (None, 1)):
                watch.decided.append(user_line())
    return Watch.usual[3](t, index)


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
            over, times = float(f"{a * n:.6g}"), float(f"{a / n:.6g}")
            if rounded(over / n) == a and rounded(over / m) == b:
                return lambda size: over / size
            if rounded(times * n) == a and rounded(times * m) == b:
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
        return graph

    def _constant(self, h: Tensor, v: Var, size: int) -> Tensor:
        form = self.literals.get(v)
        if form is None or (value := form(size)) == _number(h):
            return h
        return lift("compile", value, h)


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
