"""Functions with a derivative of their own: custom_vjp and custom_jvp.

The other modes are derived from the one that is given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from . import tree
from .backend import Spec
from .errors import PluginError, ShapeError
from .interpreters import Stage
from .op import Op
from .state import Scope, state
from .tape import backprop, leaf, plain
from .tensor import Tensor
from .transforms import as_leaves, vmap

F = Callable[..., Any]


class _Function(Op):
    """One call of a user's function over tensors, recorded as one node.

    Not in the registry: it lives as long as its call.
    """

    opaque = True
    save_output = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.codes = frozenset(range(64))
        self.has_vjp = self.differentiable = True

    def __reduce__(self) -> Any:
        raise TypeError(f"{self.name}: a custom function's record cannot be pickled")

    def has_jvp(self) -> bool:
        return True

    def has_batch(self) -> bool:
        return True

    def spec(self, *xs: Any, **attrs: Any) -> Any:
        """Needed by stage only, which finds it by staging the function on its own; elsewhere the values tell."""
        if state().stage is None:
            return None
        with Stage() as level:
            try:
                found = self.decompose(*[level.new(Spec(x.shape, x.dtype), x.be, x.dev) for x in xs])
            finally:
                level.log.undo()
        return (
            tuple([Spec(t.shape, t.dtype) for t in found])
            if isinstance(found, tuple)
            else Spec(found.shape, found.dtype)
        )


class _VjpFunction(_Function):
    """Outputs are the result's leaves, then the residuals'."""

    def __init__(self, call: _Call, forward: F, backward: F) -> None:
        super().__init__(call.name)
        self.call, self.forward, self.backward = call, forward, backward

    def decompose(self, *xs: Tensor) -> tuple[Tensor, ...]:
        return self.forward(*xs)

    def residuals_of(self, y: Any) -> tuple[int, ...]:
        return tuple(range(self.call.results, len(y))) if isinstance(y, tuple) else ()

    def vjp(self, g: Any, y: Any, xs: tuple[Tensor, ...], need: tuple[bool, ...]) -> Any:
        n = self.call.results
        ys, gs = (y, g) if isinstance(y, tuple) else ((y,), (g,))
        filled = tuple([o.zeros_like() if c is None else c for c, o in zip(gs[:n], ys[:n], strict=True)])
        return self.backward(xs, tuple(ys[n:]), filled)

    def batch(self, size: int, xs: tuple[Tensor, ...], batched: tuple[bool, ...]) -> Any:
        axes = tuple([0 if b else None for b in batched])

        def one(xs: tuple[Tensor, ...], residuals: tuple[Tensor, ...], gs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            found = self.backward(xs, residuals, gs)
            return tuple([x.zeros_like() if c is None else c for c, x in zip(found, xs, strict=True)])

        def backward(xs: tuple[Tensor, ...], residuals: tuple[Tensor, ...], gs: tuple[Tensor, ...]) -> list[Tensor]:
            found = vmap(one, (axes, 0, 0), randomness="same")(xs, residuals, gs)
            return [c if b else c.sum(axis=0) for c, b in zip(found, batched, strict=True)]

        return _VjpFunction(self.call, vmap(self.forward, axes, randomness="same"), backward)(*xs)


class custom_vjp:
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

    def __init__(self, f: F) -> None:
        functools.update_wrapper(self, f, updated=())
        self.f = f
        self.rules: tuple[F, F] | None = None

    def defvjp(self, forward: F, backward: F) -> None:
        """Set the rules."""
        self.rules = forward, backward

    def __call__(self, *args: Any) -> Any:
        name = getattr(self.f, "__name__", "custom_vjp")
        if self.rules is None:
            raise PluginError(f"custom_vjp({name}): no derivative was given; call {name}.defvjp(forward, backward)")
        leaves, _, build = as_leaves(args)
        if not leaves:
            return self.f(*args)
        call = _Call(name, *self.rules, build, len(args))
        found = _VjpFunction(call, call.forward, call.backward)(*leaves)
        return call.build_y(found[: call.results])


class _Call:
    """The structures of one call, learnt when the forward rule first runs."""

    def __init__(self, name: str, forward: F, backward: F, build: tree.TreeDef, count: int) -> None:
        self.name, self._forward, self._backward, self.build, self.count = name, forward, backward, build, count
        self.build_y: Any = None
        self._build_residuals: Any = None
        self.results = 0

    def forward(self, *leaves: Tensor) -> tuple[Tensor, ...]:
        pair = self._forward(*self.build(leaves))
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise PluginError(
                f"custom_vjp({self.name}): the forward rule returned a {type(pair).__name__}; it must return a pair, "
                "the result and what the backward rule needs: (y, residuals)"
            )
        y, residuals = pair
        outputs, _, self.build_y = as_leaves(y)
        kept, _, self._build_residuals = as_leaves(residuals)
        self.results = len(outputs)
        return (*outputs, *kept)

    def backward(
        self, xs: tuple[Tensor, ...], residuals: tuple[Tensor, ...], gs: tuple[Tensor, ...]
    ) -> list[Tensor | None]:
        found = self._backward(self._build_residuals(residuals), self.build_y(gs))
        if not isinstance(found, tuple) or len(found) != self.count:
            raise ShapeError(
                f"custom_vjp({self.name}): the backward rule must return a tuple of {self.count} cotangents, one an "
                "argument"
            )
        return _spread(self.name, self.build(xs), found)


def _spread(name: str, args: tuple[Any, ...], cotangents: tuple[Any, ...]) -> list[Tensor | None]:
    """Cotangents leaf by leaf; None for a whole argument stands for zeros."""
    leaves, _, structure = as_leaves(args)
    found = tree.leaves_like(structure, cotangents, f"custom_vjp({name}): the cotangent")
    for x, g in zip(leaves, found, strict=True):
        if g is not None and g.shape != x.shape:
            raise ShapeError(
                f"custom_vjp({name}): a cotangent of shape {g.shape} for an argument of shape {x.shape}; give it that"
            )
    return found


class _JvpFunction(_Function):
    save_output = False

    def __init__(self, name: str, f: F, rule: F) -> None:
        super().__init__(name)
        self.f, self.rule = f, rule

    def decompose(self, *xs: Tensor) -> Any:
        return self.f(*xs)

    def jvp(self, ts: Any, y: Any, xs: tuple[Tensor, ...]) -> Any:
        tangents = [x.zeros_like() if t is None else t for t, x in zip(ts, xs, strict=True)]
        return self.rule(xs, tuple(tangents))

    def vjp(self, g: Any, y: Any, xs: tuple[Tensor, ...], need: tuple[bool, ...]) -> Any:
        """The rule is linear in the tangents: record it from symbolic ones, and pull back."""
        with Scope() as scope:
            ts = [leaf(x.zeros_like(), scope) for x in xs]
            dy = self.rule(xs, tuple([plain(t) for t in ts]))
        pairs = zip(dy, g, strict=True) if isinstance(dy, tuple) else [(dy, g)]
        seeds = [(d, c) for d, c in pairs if c is not None]
        return backprop(seeds, [t.node for t in ts], scope.bit, scope.start)

    def batch(self, size: int, xs: tuple[Tensor, ...], batched: tuple[bool, ...]) -> Any:
        axes = tuple([0 if b else None for b in batched])

        def rule(xs: tuple[Tensor, ...], ts: tuple[Tensor, ...]) -> Any:
            return vmap(self.rule, (axes, axes), randomness="same")(xs, ts)

        return _JvpFunction(self.name, vmap(self.f, axes, randomness="same"), rule)(*xs)


class custom_jvp:
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

    def __init__(self, f: F) -> None:
        functools.update_wrapper(self, f, updated=())
        self.f = f
        self.rule: F | None = None

    def defjvp(self, rule: F) -> None:
        """Set the rule."""
        self.rule = rule

    def __call__(self, *args: Any) -> Any:
        name = getattr(self.f, "__name__", "custom_jvp")
        if self.rule is None:
            raise PluginError(f"custom_jvp({name}): no derivative was given; call {name}.defjvp(rule)")
        leaves, _, build = as_leaves(args)
        if not leaves:
            return self.f(*args)
        results: list[Any] = []

        def flat(*xs: Tensor) -> Any:
            outputs, _, build_y = as_leaves(self.f(*build(xs)))
            results[:] = [build_y]
            return outputs[0] if len(outputs) == 1 else tuple(outputs)

        def rule(xs: tuple[Tensor, ...], ts: tuple[Tensor, ...]) -> Any:
            assert self.rule is not None
            dy = as_leaves(self.rule(build(xs), build(ts))[1])[0]
            return dy[0] if len(dy) == 1 else tuple(dy)

        found = _JvpFunction(name, flat, rule)(*leaves)
        return results[0](found if isinstance(found, tuple) else (found,))
