"""Newton's method for smooth functions, by products with the Hessian: no matrix is made. Reads values on the host."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import plugrad as pg
from plugrad.errors import DTypeError

from . import structure
from .checks import number

Vector = list[pg.Tensor]
Function = Callable[..., pg.Tensor]


class Minimum(NamedTuple):
    """Where a minimisation ended: the point, the function and the norm of its gradient there, the iterations done."""

    x: Any
    value: float
    gradient_norm: float
    iterations: int
    converged: bool


def newton_cg(f: Callable[[Any], pg.Tensor], x: Any, *, iterations: int = 100, tolerance: float = 1e-6) -> Minimum:
    """A local minimum of the scalar function ``f``, begun at the tree or Module ``x``.

    It has converged where the norm of the gradient, over all parameters, is at most ``tolerance``.
    Each iteration solves Hessian d = -gradient by conjugate gradients, as exactly as the gradient is small, stops at
    negative curvature, and goes along d until the function falls as Armijo asks. It ends early, not converged, where no
    step along d lowers the function any more. Source: Nocedal, Wright, Numerical Optimization (2006), algorithm 7.1.

    >>> found = newton_cg(lambda v: ((v - 3.0) ** 4).sum() + (v * v).sum(), pg.asarray([0.0, 9.0], dtype="float64"))
    >>> found.converged, [round(v, 6) for v in found.x.tolist()]
    (True, [2.0, 2.0])
    """
    number("newton_cg", "iterations", iterations, 0)
    tolerance = number("newton_cg", "tolerance", tolerance, 0.0)
    leaves = structure.trained("newton_cg", x)
    for path, t in leaves.items():
        if t.dtype.kind == "c":
            raise DTypeError(f"newton_cg: {path!r} is {t.dtype}; give real and imaginary parts as two tensors")
    handles = list(leaves.values())

    def on_leaves(*v: pg.Tensor) -> pg.Tensor:
        return f(structure.rebuilt(x, {id(h): t for h, t in zip(handles, v, strict=True)}))

    point = [h.detach() for h in handles]
    with pg.no_grad():
        done, end = _iterate(on_leaves, point, int(iterations), tolerance)
    return done._replace(x=structure.rebuilt(x, {id(h): t for h, t in zip(handles, end, strict=True)}))


def _iterate(f: Function, x: Vector, iterations: int, tolerance: float) -> tuple[Minimum, Vector]:
    both = pg.value_and_grad(f, tuple(range(len(x))))
    for k in range(iterations + 1):
        y, g = both(*x)
        value, size = y.item(), _norm(g)
        if not math.isfinite(value):
            raise ValueError(f"newton_cg: the function is {value}; begin where it is finite")
        if size <= tolerance or k == iterations:
            break
        d = _direction(f, x, g, size)
        moved = _search(f, x, d, value, _dot(g, d))
        if moved is None:
            break
        x = moved
    return Minimum(None, value, size, k, size <= tolerance), x


def _direction(f: Function, x: Vector, g: Vector, size: float) -> Vector:
    """Conjugate gradients on Hessian d = -g."""
    enough = min(0.5, math.sqrt(size)) * size
    d: Vector = [t.zeros_like() for t in x]
    r = list(g)
    p = [-t for t in r]
    rr = _dot(r, r)
    for j in range(2 * sum(t.size for t in x)):
        hp = _product(f, x, p)
        bend = _dot(p, hp)
        if bend <= 0.0:
            return p if j == 0 else d
        step = rr / bend
        d, r = _along(d, step, p), _along(r, step, hp)
        before, rr = rr, _dot(r, r)
        if math.sqrt(rr) <= enough:
            break
        p = [b * (rr / before) - a for a, b in zip(r, p, strict=True)]
    return d


def _search(f: Function, x: Vector, d: Vector, value: float, slope: float) -> Vector | None:
    """The first of 1, 1/2, 1/4, ... along d that lowers f by a ten-thousandth of what its slope promises."""
    step = 1.0
    for _ in range(40):
        moved = _along(x, step, d)
        if f(*moved).item() <= value + 1e-4 * step * slope:
            return moved
        step *= 0.5
    return None


def _product(f: Function, x: Vector, v: Vector) -> Vector:
    found = pg.hvp(f, tuple(x), tuple(v))
    return list(found) if len(x) > 1 else [found]


def _along(x: Vector, step: float, d: Vector) -> Vector:
    return [a + b * step for a, b in zip(x, d, strict=True)]


def _dot(a: Vector, b: Vector) -> float:
    return math.fsum((s * t).sum().item() for s, t in zip(a, b, strict=True))


def _norm(a: Vector) -> float:
    return math.sqrt(_dot(a, a))
