"""Functions with a derivative of their own: custom_vjp and custom_jvp.

The other modes are derived from the one that is given.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from . import tree
from .backend import Spec
from .errors import PluginError, ShapeError, StateError
from .interpreters.stage import Stage
from .op import Op
from .state import State, state
from .tensor import Tensor, Tensors, tupled
from .transforms import F, as_leaves, as_tensor, paired, vjp, vmap


def _filled(gs: Sequence[Tensor | None], xs: Sequence[Tensor]) -> Tensors:
    return tuple([x.zeros_like() if g is None else g for g, x in zip(gs, xs, strict=True)])


class _Function(Op):
    """One call of a user's function over tensors, recorded as one node. ``decompose`` is the function, whose result is
    a tuple (the tape takes a tuple of one apart), and ``rule`` the derivative.

    Not in the registry: it lives as long as its call.
    """

    opaque = True
    has_vjp = differentiable = True
    codes = frozenset(range(64))

    def __init__(self, call: _Call, decompose: F, rule: F) -> None:
        self.name, self.partials = call.name, None
        self.call, self.decompose, self.rule = call, decompose, rule

    def __reduce__(self) -> Any:
        raise TypeError(f"{self.name}: a custom function's record cannot be pickled")

    def has_jvp(self) -> bool:
        return True

    def spec(self, *xs: Any, **attrs: Any) -> Any:
        """Needed by stage only, which finds it by staging the function on its own; elsewhere the values tell."""
        if state().stage is None:
            return None
        with Stage() as level:
            found = self.decompose(*[level.new(x, x.be, x.dev) for x in xs])
            specs = tuple([Spec(t.shape, t.dtype) for t in found])
        written = [h for h, _ in level.log.handles.values()]
        if hidden := [*written, *[h for h, _ in level.constants if h.tr is not None]]:
            got = f"it {'writes to' if written else 'uses'} a {hidden[0].describe()} from outside"
            remedy = "give that as an argument" + (", and the new value as a result" if written else "")
            raise StateError(f"{self.name}: {got}, which a graph does not see; {remedy}")
        return specs


class _VjpFunction(_Function):
    """``rule(xs, residuals, gs)`` gives cotangents. Outputs are the result's leaves, then the residuals'."""

    save_output = True

    def residuals_of(self, y: Any) -> tuple[int, ...]:
        return tuple(range(self.call.results, len(y))) if isinstance(y, tuple) else ()

    def vjp(self, g: Any, y: Any, xs: Tensors, need: tuple[bool, ...]) -> Any:
        n = self.call.results
        ys = tupled(y)
        return self.rule(xs, ys[n:], _filled(tupled(g)[:n], ys[:n]))

    def batch(self, size: int, xs: Tensors, batched: tuple[bool, ...]) -> Any:
        axes = tuple([0 if b else None for b in batched])

        def backward(xs: Tensors, residuals: Tensors, gs: Tensors) -> list[Tensor | None]:
            found = vmap(self.rule, (axes, 0, 0), randomness="same")(xs, residuals, gs)
            return [c if b or c is None else c.sum(axis=0) for c, b in zip(found, batched, strict=True)]

        return _VjpFunction(self.call, vmap(self.decompose, axes, randomness="same"), backward)(*xs)


class _JvpFunction(_Function):
    """``rule(xs, ts)`` gives the tangents of the outputs."""

    def jvp(self, ts: Any, y: Any, xs: Tensors) -> Any:
        return self.rule(xs, _filled(ts, xs))

    def vjp(self, g: Any, y: Any, xs: Tensors, need: tuple[bool, ...]) -> Any:
        """The rule is linear in the tangents: pull back through it."""
        _, pullback = vjp(lambda *ts: tuple(self.rule(xs, ts)), *[x.zeros_like() for x in xs])
        return pullback(tupled(g))

    def batch(self, size: int, xs: Tensors, batched: tuple[bool, ...]) -> Any:
        axes = tuple([0 if b else None for b in batched])
        rule = vmap(self.rule, (axes, axes), randomness="same")
        return _JvpFunction(self.call, vmap(self.decompose, axes, randomness="same"), rule)(*xs)


class _Call:
    """The structures of one call, learnt when the function first runs."""

    results = 0

    def __init__(self, name: str, f: F, rules: tuple[F, ...], build: tree.TreeDef, running: list[State]) -> None:
        self.name, self.f, self.rules, self.build, self.running = name, f, rules, build, running

    def flat(self, y: Any) -> Tensors:
        outputs, _, self.build_y = as_leaves(y, unique=False)
        self.results = len(outputs)
        return tuple(outputs)


class _VjpCall(_Call):
    def forward(self, *leaves: Tensor) -> Tensors:
        self.running.append(state())
        try:
            pair = self.rules[0](*self.build(leaves))
        finally:
            self.running.remove(state())
        if not isinstance(pair, tuple) or len(pair) != 2:
            got = f"custom_vjp({self.name}): the forward rule returned a {type(pair).__name__}"
            raise PluginError(f"{got}; it must return a pair, (y, residuals)")
        kept, _, self.build_residuals = as_leaves(pair[1], unique=False)
        return (*self.flat(pair[0]), *kept)

    def rule(self, xs: Tensors, residuals: Tensors, gs: Tensors) -> list[Tensor | None]:
        name, count = f"custom_vjp({self.name})", len(self.build.root.children)
        found = self.rules[1](self.build_residuals(residuals), self.build_y(gs))
        if not isinstance(found, tuple) or len(found) != count:
            raise ShapeError(f"{name}: the backward rule must return a tuple of {count} cotangents, one an argument")
        return paired(self.build, xs, found, f"{name}: the cotangent")


class _JvpCall(_Call):
    def forward(self, *leaves: Tensor) -> Tensors:
        return self.flat(self.f(*self.build(leaves)))

    def rule(self, xs: Tensors, ts: Tensors) -> Tensors:
        return tuple(as_leaves(self.rules[0](self.build(xs), self.build(ts))[1], unique=False)[0])


class _Custom:
    """A decorated function. Its rules are set by ``setter``; a call of it is one ``op``."""

    setter = ""
    op: Any
    call: Any

    def __init__(self, f: F) -> None:
        functools.update_wrapper(self, f, updated=())
        self.f = f
        self.rules: tuple[F, ...] = ()
        self.running: list[State] = []
        """Of the threads that are in the forward rule, whose own calls of the function are plain ones."""

    def __call__(self, *args: Any) -> Any:
        kind = type(self).__name__
        name = getattr(self.f, "__name__", kind)
        if not self.rules:
            raise PluginError(f"{kind}({name}): no derivative was given; call {name}.{self.setter}")
        leaves, _, build = tree.flatten_each([as_tensor(a) for a in args])  # f(x, x) has two arguments
        if not leaves or (self.running and state() in self.running):
            return self.f(*args)
        call = self.call(name, self.f, self.rules, build, self.running)
        found = self.op(call, call.forward, call.rule)(*leaves)
        return call.build_y(found[: call.results])


class custom_vjp(_Custom):
    """Decorator: a function whose reverse derivative is given by ``defvjp(forward, backward)``.

    ``forward(*args) -> (y, residuals)``; ``backward(residuals, g) -> tuple`` of cotangents, one an argument (None for
    zero). Forward mode is derived by transposing ``backward``, batching by mapping both; gradients of gradients
    differentiate ``backward``. Arguments are trees; those without floating tensors are passed through.

    >>> import plugrad
    >>> @custom_vjp
    ... def double_gradient(x):
    ...     return x * 1.0
    >>> double_gradient.defvjp(lambda x: (x * 1.0, None), lambda _, g: (g * 2.0,))
    >>> plugrad.grad(double_gradient)(5.0).item()
    2.0
    """

    setter, op, call = "defvjp(forward, backward)", _VjpFunction, _VjpCall

    def defvjp(self, forward: F, backward: F) -> None:
        """Set the rules."""
        self.rules = forward, backward


class custom_jvp(_Custom):
    """Decorator: a function of tensors whose forward derivative is given by ``defjvp(rule)``, ``rule(primals,
    tangents) -> (y, dy)``.

    The rule must be linear in the tangents: reverse mode is derived by transposing it.

    >>> import plugrad
    >>> @custom_jvp
    ... def f(x):
    ...     return x * x
    >>> f.defjvp(lambda primals, tangents: (f(*primals), tangents[0] * 10.0))
    >>> plugrad.grad(f)(3.0).item()
    10.0
    """

    setter, op, call = "defjvp(rule)", _JvpFunction, _JvpCall

    def defjvp(self, rule: F) -> None:
        """Set the rule."""
        self.rules = (rule,)
