"""Derivatives by the implicit function theorem: of solutions of linear systems and of roots, whatever found them.

The solver runs once and is not differentiated. Where F(x, p) = 0, dx = -(dF/dx)^-1 (dF/dp) dp: the derivative is one
more linear system, at the solution, of a matrix that is known by its products only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import tree
from .custom import _Function
from .errors import LeakedTracerError, RecordingError, ShapeError, StateError, article
from .op import Cotangents, Flags
from .ops.common import repeated, stop_gradient
from .state import state
from .structured import opened
from .tape import no_grad
from .tensor import Tensor, Tensors, tupled
from .transforms import F, as_leaves, functions, jvp, vjp, vmap

Pair = Callable[[Tensors, Tensors], Tensors]
"""A function of the unknowns (or of a right side, or a guess) and of the tensors that the user's function captures."""


def _filled(ts: Cotangents, xs: Sequence[Tensor]) -> Tensors:
    return tuple([x.zeros_like() if t is None else t for t, x in zip(ts, xs, strict=True)])


def _forward(apply: Pair, x: Tensors, p: Tensors, ts: Cotangents) -> Tensors | None:
    """The tangent of ``apply(x, p)`` for those of ``p``; None if there is none."""
    moving = [i for i, t in enumerate(ts) if t is not None]

    def f(*q: Tensor) -> Tensors:
        new = dict(zip(moving, q, strict=True))
        return apply(x, tuple([new.get(i, v) for i, v in enumerate(p)]))

    if not moving:
        return None
    found: Tensors = jvp(f, tuple([p[i] for i in moving]), tuple([ts[i] for i in moving]))[1]
    return found


def _back(apply: Pair, x: Tensors, p: Tensors, g: Tensors) -> list[Tensor | None]:
    """Minus the cotangents of ``p`` for one of ``apply(x, p)``."""
    return [None if c is None else -c for c in vjp(lambda *q: apply(x, q), *p)[1](g)]


def _adjoint(apply: Pair) -> Pair:
    """The adjoint of a function that is linear in its first argument."""
    return lambda g, p: vjp(lambda *v: apply(v, p), *[c.zeros_like() for c in g])[1](g)


class _Solution(_Function):
    """What ``solve`` gives for its ``n`` unknowns and p: its operands are a right side or a guess, then p.

    Not in the registry: it lives as long as its call.
    """

    save_output = True

    def __init__(self, name: str, n: int, apply: Pair, solve: Pair) -> None:
        self.name, self.partials, self.n, self.apply, self.solve = name, None, n, apply, solve

    def decompose(self, *xs: Tensor) -> Tensors:
        return self.solve(xs[: self.n], xs[self.n :])

    def lanes(self, axes: Sequence[int | None]) -> _Solution:
        """The same for a batch, with p mapped along ``axes``."""
        raise NotImplementedError

    def batch(self, size: int, xs: Tensors, batched: Flags) -> Any:
        flags = [b or i < self.n for i, b in enumerate(batched)]
        op = self.lanes([0 if b else None for b in flags[self.n :]])
        return op(*[repeated(size, x, b) if f else x for x, b, f in zip(xs, batched, flags, strict=True)])


class _Linear(_Solution):
    """The x for which ``apply(x, p)`` is the right side; ``back`` solves the adjoint system."""

    def __init__(self, n: int, apply: Pair, solve: Pair, back: Pair) -> None:
        super().__init__("linear_solve", n, apply, solve)
        self.back = back

    def jvp(self, ts: Cotangents, y: Any, xs: Tensors) -> Any:
        """A dx = db - dA x."""
        b, p, x = xs[: self.n], xs[self.n :], tupled(y)
        right = _filled(ts[: self.n], b)
        if (change := _forward(self.apply, x, p, ts[self.n :])) is not None:
            right = tuple([r - c for r, c in zip(right, change, strict=True)])
        return self(*right, *p)

    def vjp(self, g: Any, y: Any, xs: Tensors, need: Flags) -> Cotangents:
        p, x = xs[self.n :], tupled(y)
        w = self.adjoint()(*_filled(tupled(g), x), *p)
        return [*w, *_back(self.apply, x, p, w)]

    def adjoint(self) -> _Linear:
        """The system of the adjoint."""
        return _Linear(self.n, _adjoint(self.apply), self.back, self.solve)

    def lanes(self, axes: Sequence[int | None]) -> _Linear:
        return _Linear(self.n, *[_lanes(f, self.n, axes) for f in (self.apply, self.solve, self.back)])


class _Root(_Solution):
    """The x for which ``apply(x, p)`` is zero; ``linear`` has the derivative of that, for x and p, as its matrix."""

    def __init__(self, name: str, n: int, apply: Pair, solve: Pair, linear: _Linear) -> None:
        super().__init__(name, n, apply, solve)
        self.system = linear

    def jvp(self, ts: Cotangents, y: Any, xs: Tensors) -> Any:
        x, p = tupled(y), xs[self.n :]
        change = _forward(self.apply, x, p, ts[self.n :])
        return None if change is None else self.system(*[-c for c in change], *x, *p)

    def vjp(self, g: Any, y: Any, xs: Tensors, need: Flags) -> Cotangents:
        x, p = tupled(y), xs[self.n :]
        w = self.system.adjoint()(*_filled(tupled(g), x), *x, *p)
        return [*[None] * self.n, *_back(self.apply, x, p, w)]

    def lanes(self, axes: Sequence[int | None]) -> _Root:
        system = self.system.lanes([*[0] * self.n, *axes])
        apply, solve = [_lanes(f, self.n, axes) for f in (self.apply, self.solve)]
        return _Root(self.name, self.n, apply, solve, system)


def _lanes(f: Pair, n: int, axes: Sequence[int | None]) -> Pair:
    found: Pair = vmap(f, ((0,) * n, tuple(axes)), randomness="same")
    return found


class _Equation:
    """A user's function of a tree x, as one of its leaves and of the tensors that it captures, those p."""

    def __init__(self, name: str, f: F, x: Any) -> None:
        self.name = name
        self.leaves, _, self.build = as_leaves(x, unique=False)
        self.n = len(self.leaves)
        if not self.n:
            raise ShapeError(
                f"{name}: got {article(type(x).__name__)} without a tensor in it; give the unknowns as tensors"
            )
        (self.graph,), written, self.captured = opened(name, [lambda *v: self.flat(f(self.build(v)))], [self.leaves])
        self.needed = len(self.captured)
        if written:
            got = f"the function writes to a {written[0].describe()} from outside"
            raise StateError(f"{name}: {got}; give what it computes as its result")

    def flat(self, y: Any) -> Tensors:
        """The leaves of a result, which must be like x."""
        found, _, build = as_leaves(y, unique=False)
        for path, a, b in zip(tree.paths(self.build, "x"), self.leaves, found):
            if a.shape != b.shape:
                raise ShapeError(
                    f"{self.name}: {path} has shape {a.shape}, the result there {b.shape}; they must agree"
                )
        if build != self.build:
            raise ShapeError(f"{self.name}: a result has another structure than x; give a tree like it")
        return tuple(found)

    def apply(self, x: Tensors, p: Tensors) -> Tensors:
        """The function at x."""
        return self.graph(*x, *p[: self.needed])

    def solver(self, solve: F, apply: Pair, *lead: Tensor) -> Pair:
        """A solver of trees, given a function and a tree, as one of leaves; tensors like ``lead`` stand before p.

        Inside a level what it captures joins p: its values are of that level, but its rules run below.
        """

        def flat(b: Tensors, q: Tensors) -> Tensors:
            with no_grad():
                return self.flat(solve(lambda x: self.build(apply(self.flat(x), q)), self.build(b)))

        if state().top is None:
            return flat
        n, given = self.n, (*self.leaves, *lead, *self.captured)
        try:
            (graph,), written, captured = opened(self.name, [lambda *v: flat(v[:n], v[n:])], [given])
        except LeakedTracerError:  # it looks at values
            return flat
        if written:
            return flat
        self.captured += map(stop_gradient, captured)
        m = len(given) - n + len(captured)
        return lambda b, q: graph(*b, *q[:m])


def linear_solve(matvec: F, b: Any, solve: F, transpose_solve: F | None = None, symmetric: bool = False) -> Any:
    """The x for which ``matvec(x)`` is ``b``, as ``solve(matvec, b)`` finds it, with the derivative of the solution.

    ``matvec`` is linear and gives a tree like ``b``; it may use tensors from outside, which are differentiated too.
    Reverse mode solves with the adjoint A*: by ``transpose_solve(vecmat, b)``, or for ``symmetric`` (A = A*) by
    ``solve``.

    A solver by conjugate gradients:

    >>> import plugrad as pg
    >>> def cg(matvec, b):
    ...     def step(state):
    ...         x, r, p = state
    ...         q = matvec(p)
    ...         a = pg.sum(r * r) / pg.sum(p * q)
    ...         new = r - a * q
    ...         return x + a * p, new, new + pg.sum(new * new) / pg.sum(r * r) * p
    ...     return pg.while_loop(lambda state: pg.sum(state[1] ** 2) > 1e-12, step, (b * 0, b, b))[0]
    >>> def energy(k):
    ...     x = linear_solve(lambda x: k * x, pg.asarray([1.0, 2.0]), cg, symmetric=True)
    ...     return pg.sum(x)
    >>> [round(g, 4) for g in pg.grad(energy)(pg.asarray([2.0, 4.0])).tolist()]
    [-0.25, -0.125]
    """
    functions("linear_solve", matvec=matvec, solve=solve)
    if transpose_solve is not None:
        functions("linear_solve", transpose_solve=transpose_solve)
    equation = _Equation("linear_solve", matvec, b)

    def missing(*_: Any) -> Any:
        raise RecordingError("linear_solve: reverse mode needs transpose_solve=, or symmetric=True if the matrix is")

    forth = equation.solver(solve, equation.apply)
    back = missing if transpose_solve is None else equation.solver(transpose_solve, _adjoint(equation.apply))
    op = _Linear(equation.n, equation.apply, forth, forth if symmetric else back)
    return equation.build(op(*equation.leaves, *equation.captured))


def custom_root(f: F, initial_guess: Any, solve: F, tangent_solve: F) -> Any:
    """The x for which ``f(x)`` is zero, as ``solve(f, initial_guess)`` finds it, with the derivative of the root.

    ``f`` gives a tree like x and may use tensors from outside, in which the root is differentiated; it does not depend
    on the guess. ``tangent_solve(g, y)`` gives the x for which the linear ``g(x)`` is ``y``: the derivative of ``f`` at
    the root or, in reverse mode, the adjoint of that. Scalars need only ``lambda g, y: y / g(y * 0 + 1)``.

    The square root by Newton's method:

    >>> import plugrad as pg
    >>> def newton(f, x):
    ...     def step(x):
    ...         y, dy = pg.jvp(f, (x,), (x * 0 + 1,))
    ...         return x - y / dy
    ...     return pg.while_loop(lambda x: pg.abs(f(x)) > 1e-5, step, x)
    >>> def root(a):
    ...     return custom_root(lambda x: x * x - a, a, newton, lambda g, y: y / g(y * 0 + 1))
    >>> round(root(pg.asarray(4.0)).item(), 4), round(pg.grad(root)(4.0).item(), 4)
    (2.0, 0.25)
    """
    functions("custom_root", f=f, solve=solve, tangent_solve=tangent_solve)
    equation = _Equation("custom_root", f, initial_guess)
    n = equation.n

    def slope(v: Tensors, q: Tensors) -> Tensors:
        """The derivative at q = (x, p) in a direction."""
        found: Tensors = jvp(lambda *x: equation.apply(x, q[n:]), q[:n], v)[1]
        return found

    first = equation.solver(solve, equation.apply)
    linear = _Linear(n, slope, *[equation.solver(tangent_solve, f, *equation.leaves) for f in (slope, _adjoint(slope))])
    op = _Root("custom_root", n, equation.apply, first, linear)
    return equation.build(op(*equation.leaves, *equation.captured))
