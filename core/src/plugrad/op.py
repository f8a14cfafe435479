"""Op: a name, a shape rule, and one declaration of the derivative; forward mode, the transposed rule and batching are
derived from it.

An op knows no backend: kernels are found under its name. Cotangents pair by Re<g, t>, so an adjoint conjugates its
partial and ``x - lr * grad`` descends, complex numbers included.
"""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .backend import Spec
from .declared import ONE as ONE
from .declared import _OpBase
from .dtypes import bool_, parse
from .errors import PluginError, ShapeError
from .state import Scope
from .tape import backprop, leaf
from .tensor import Attrs, Tensor, Tensors, tupled
from .walk import conjugate as conjugate
from .walk import plain

OPS: dict[str, Op] = {}
"""Every op by name."""
REGISTERING = threading.RLock()
"""Held while an op, a backend or a kernel is registered, so that every op has a row for every backend."""

Cotangents = Sequence["Tensor | None"]
"""One an operand or result, None standing for zero; tangents too."""
Flags = tuple[bool, ...]
_NO_OPERANDS: tuple[int, ...] = ()
_NO_RULE: Any = None


@functools.lru_cache(8192)
def broadcast_shapes(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that the shapes broadcast to; ShapeError naming the op where they do not.

    >>> broadcast_shapes("add", (3, 1), (4,))
    (3, 4)
    """
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        listed, rule = ", ".join(map(str, shapes)), "sizes must agree or be 1, counted from the last axis"
        raise ShapeError(f"{name}: shapes {listed} do not broadcast; {rule}") from error


class Op(_OpBase):
    """Subclass for one op, or pass the rules to the constructor. Instances are stateless and register under their name.

    Primitives have kernels. An op with ``decompose`` is a composite (or a primitive that says what it is in simpler
    ones): its meaning is the decomposition, a backend may claim it by name, and any level that lacks a rule uses the
    decomposition.

    ``key``, ``dtypes``
        The operand whose dtype selects the kernel, and its legal dtypes (short names or groups).
    ``elementwise``
        Kernels broadcast; the shape rule, batching and the summation of cotangents are derived. ``boolean``: the
        result is bool.
    ``partials``
        Per operand ``f(y, *xs) -> dy/dx_i``, or None where it is zero.
    ``linear``
        Operands in which the op is jointly linear: the tangent is the op itself; ``vjp`` gives the transpose.
    ``multilinear``
        Operands in each of which it is linear; ``vjp`` gives the transposes.
    ``vjp``
        ``vjp(g, y, xs, need, **attrs)`` gives a cotangent or None per operand. With several outputs g and y are
        tuples, an unused g is None.
    ``jvp``
        ``jvp(ts, y, xs, **attrs)`` gives the tangent. Optional, derived otherwise.
    ``dual``
        ``dual(ts, xs, **attrs)`` gives the result and its tangent, for ops whose ``jvp`` would compute it again.
    ``batch``
        ``batch(size, xs, batched, **attrs)``, the batch dimension first. Optional for elementwise ops and composites.
        An attribute may be called ``size``, if the rule makes its own three positional (``/``).
    ``saves``, ``save_output``
        The operands whose values vjp reads (None: all), and whether it reads y, or which of several outputs. Others are
        kept as shape and dtype. An op with ``residuals`` keeps all operands.
    ``residuals``
        Outputs that exist for the backward only; cotangents on them (gradients of gradients) go by the decomposition.
    ``alias``
        The result may share memory with operand 0.
    ``together``
        Operands promoted to one dtype, or "all" (those of an elementwise op, unless it says otherwise).
    ``run``
        An implementation on handles, for ops that no single backend can run, such as moving between devices.
    ``opaque``
        Recorded as one node although no kernel runs it: functions with a derivative of their own, control flow. Its
        operands may be on several devices.
    """

    name: str = ""
    key: int = 0
    dtypes: str = "any"
    elementwise = boolean = alias = opaque = False
    linear = multilinear = residuals = _NO_OPERANDS
    vjp = jvp = dual = batch = decompose = run = _NO_RULE
    saves: tuple[int, ...] | None = None
    save_output: bool | tuple[int, ...] | None = None
    together: tuple[int, ...] | str = ()
    bind: ClassVar[Any] = None
    """The road to a kernel: ``bind(op, xs, attrs)``. Installed by dispatch."""
    registered: ClassVar[Any] = None
    """Called with each new op. Installed by dispatch, which fills the op's table."""
    named: ClassVar[Any] = None
    """The op of a name, whose plugin may have to be imported. Installed by the plugins."""

    def __init__(self, name: str = "", **rules: Any) -> None:
        self.name = name or self.name
        declared = getattr(type(self), "partials", None)
        self.partials = declared if isinstance(declared, (tuple, list)) else None  # else the base's own descriptor
        for rule, value in rules.items():
            if not hasattr(Op, rule):
                raise PluginError(f"Op {self.name!r}: unknown rule {rule!r}")
            setattr(self, rule, value)
        if not self.name:
            raise PluginError(f"{type(self).__name__}: an op needs a name, such as 'nn.softmax'")
        self.elementwise = self.elementwise or self.partials is not None
        self.together = self.together or ("all" if self.elementwise else ())
        if self.residuals:
            self.saves = None  # cotangents on residual outputs run the decomposition again, which reads every operand
        elif self.saves is None and self.linear and not self.multilinear:
            self.saves = ()
        if self.save_output is None:
            self.save_output = not (self.linear or self.multilinear)
        self.codes = parse(self.dtypes)
        self.has_vjp = self.partials is not None or self.vjp is not None
        self.differentiable = self.has_vjp or self.decompose is not None
        road = 1 if self.has_vjp else 2 if self.differentiable else 0
        self.prepare(self.boolean, road, self.saves, self.save_output, self.partials)
        self.tables = self.table, self.chain, self.scalars
        with REGISTERING:
            if self.name in OPS:
                raise PluginError(f"Op {self.name!r} is defined already, by {OPS[self.name]!r}; choose another name")
            Op.registered(self)
            OPS[self.name] = self  # last: another thread may find it at once

    def __call__(self, *xs: Any, **attrs: Any) -> Any:
        return Op.bind(self, xs, attrs)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __reduce__(self) -> Any:
        return _named, (self.name,)

    def spec(self, *xs: Any, **attrs: Any) -> Any:
        """Shape and dtype of the result (a tuple of them for several) from operands that have ``shape`` and ``dtype``;
        raises on bad ones.
        """
        shape = broadcast_shapes(self.name, *[x.shape for x in xs])
        return Spec(shape, bool_ if self.boolean else xs[self.key].dtype)

    # -- derived rules

    def vjp_rule(self, g: Any, y: Any, xs: Tensors, need: Flags, attrs: Attrs) -> Cotangents:
        """Cotangents of the operands, each of its operand's shape and dtype."""
        found: Cotangents
        if self.partials is not None:
            pairs = zip(self.partials, need, strict=True)
            found = [(g if p is ONE else g * conjugate(p(y, *xs))) if n and p else None for p, n in pairs]
        elif any(g[i] is not None for i in self.residuals_of(y)):
            found = self._vjp_residual(g, y, xs, need, attrs)
        elif self.vjp is None:
            found = self.vjp_by_decompose(g, xs, need, attrs)
        else:
            found = self.vjp(g, y, xs, need, **attrs)
        if not isinstance(found, (tuple, list)) or len(found) != len(xs):
            raise PluginError(f"{self.name}: vjp must return a tuple of {len(xs)} cotangents, None standing for zero")
        return [self.fit(c, x) if n else None for c, x, n in zip(found, xs, need, strict=True)]

    def residuals_of(self, y: Any) -> tuple[int, ...]:
        """The residual outputs of a call that returned ``y``."""
        return self.residuals

    def _vjp_residual(self, g: Any, y: Any, xs: Tensors, need: Flags, attrs: Attrs) -> Cotangents:
        """The declared rule for the results, the decomposition's for the residual outputs; both are summed."""
        extra = self.residuals_of(y)
        results = tuple([None if i in extra else c for i, c in enumerate(g)])
        found = self.vjp_by_decompose([c if i in extra else None for i, c in enumerate(g)], xs, need, attrs)
        if all(c is None for c in results):
            return found
        pairs = zip(map(self.fit, self.vjp(results, y, xs, need, **attrs), xs), found, strict=True)
        return [b if a is None else a if b is None else a + b for a, b in pairs]

    def fit(self, c: Tensor | None, x: Tensor) -> Tensor | None:
        """A rule's cotangent in the shape and dtype of its operand."""
        if c is None:
            return None
        if self.elementwise and c.shape != x.shape:
            c = unbroadcast(c, x.shape)
        if c.shape != x.shape:
            which = f"a cotangent of shape {c.shape} for an operand of shape {x.shape}"
            raise PluginError(f"{self.name}: vjp gives {which}; sum it over the axes that were broadcast")
        return c if c.dt == x.dt else c.astype(x.dtype)

    def jvp_rule(self, ts: Cotangents, y: Any, xs: Tensors, attrs: Attrs) -> Any:
        """Tangent of the output from the operands' tangents, None standing for zero."""
        if self.jvp is not None:
            return self.jvp(ts, y, xs, **attrs)
        if self.linear and all(ts[i] is None for i in self.linear):
            return None
        if self.linear:
            both = enumerate(zip(xs, ts, strict=True))
            args = [x if i not in self.linear else x.zeros_like() if t is None else t for i, (x, t) in both]
            return self(*args, **attrs)
        if self.multilinear:
            terms = [self(*xs[:i], t, *xs[i + 1 :], **attrs) for i in self.multilinear if (t := ts[i]) is not None]
        elif self.partials is not None:
            pairs = [(p, t) for p, t in zip(self.partials, ts, strict=True) if p is not None and t is not None]
            terms = [t.broadcast_to(y.shape) if p is ONE else t * p(y, *xs) for p, t in pairs]
        else:
            return self.jvp_by_vjp(ts, y, xs, attrs)
        return functools.reduce(operator.add, terms) if terms else None

    def jvp_by_vjp(self, ts: Cotangents, y: Any, xs: Tensors, attrs: Attrs) -> Any:
        """The tangent by transposing the vjp, which is linear in the cotangent: exact, also for several outputs."""
        many = type(y) is tuple
        need = tuple([t is not None for t in ts])
        with Scope() as scope:
            gs = [leaf(out.zeros_like(), scope) for out in tupled(y)]
            seeds = tuple([plain(g) for g in gs])
            found = self.vjp_rule(seeds if many else seeds[0], y, xs, need, attrs)
        pairs = [(c, t) for c, t in zip(found, ts, strict=True) if c is not None and t is not None]
        result = backprop(pairs, [g.node for g in gs], scope.bit, scope.start)
        return tuple(result) if many else result[0]

    def vjp_by_decompose(self, gs: Any, xs: Tensors, need: Flags, attrs: Attrs) -> Cotangents:
        """Cotangents by running and differentiating the decomposition, for those that a fused backward does not
        take.
        """
        with Scope() as scope:
            inputs = [leaf(x, scope) if n else x for x, n in zip(xs, need, strict=True)]
            # before the decomposition writes to them
            nodes = [t.node if n else None for t, n in zip(inputs, need, strict=True)]
            ys = self.decompose(*inputs, **attrs)
        pairs = zip(ys, gs, strict=True) if type(ys) is tuple else [(ys, gs)]
        seeds = [(y, g) for y, g in pairs if g is not None]
        return backprop(seeds, nodes, scope.bit, scope.start)

    def batch_rule(self, size: int, xs: Tensors, batched: Flags, attrs: Attrs) -> Any:
        """The op over a batch: batched operands carry the batch dimension first, and so does the result."""
        if self.batch is not None:
            return self.batch(size, xs, batched, **attrs)
        if self.elementwise:
            rank = max(x.ndim - b for x, b in zip(xs, batched, strict=True))
            return self(*[pad_rank(x, rank) if b else x for x, b in zip(xs, batched, strict=True)], **attrs)
        return loop(self, size, xs, batched, attrs)

    def reached(self, flags: Sequence[bool], results: int, attrs: Attrs) -> Sequence[bool]:
        """Which of the results depend on flagged operands, of which there are some."""
        return [True] * results

    def has_jvp(self) -> bool:
        """Whether forward mode keeps the op whole."""
        return bool(self.decompose is None or self.jvp or self.linear or self.multilinear or self.partials)

    def has_batch(self) -> bool:
        """Whether vmap keeps the op whole."""
        return bool(self.decompose is None or self.batch is not None or self.elementwise)


def _named(name: str) -> Any:
    """An op that was pickled."""
    return Op.named(name)


def pad_rank(x: Tensor, rank: int) -> Tensor:
    """Ones after the batch dimension, so that a batched operand broadcasts as its example would."""
    missing = rank - (x.ndim - 1)
    return x.reshape((*x.shape[:1], *(1,) * missing, *x.shape[1:])) if missing else x


def loop(op: Op, size: int, xs: Tensors, batched: Flags, attrs: Attrs) -> Any:
    """The batching rule of last resort: one call an example."""
    rows = [op(*[x[i] if b else x for x, b in zip(xs, batched, strict=True)], **attrs) for i in range(size)]
    columns = zip(*map(tupled, rows), strict=True)
    found = [OPS["concat"](*[t.reshape((1, *t.shape)) for t in column], axis=0) for column in columns]
    return tuple(found) if type(rows[0]) is tuple else found[0]


def unbroadcast(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The adjoint of broadcasting from ``shape``: sums over the axes that were added or stretched."""
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    axes = (*range(extra), *[i + extra for i, d in enumerate(shape) if d == 1 and g.shape[i + extra] != 1])
    return (g.sum(axis=axes) if axes else g).reshape(shape)


def elementwise(name: str, **rules: Any) -> Op:
    """An elementwise op: shape rule, batching and broadcasting are derived."""
    return Op(name, elementwise=True, **rules)
