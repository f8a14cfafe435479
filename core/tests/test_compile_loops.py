"""Derivatives of loops of unknown length: compiled as they are uncompiled."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import RecordingError

X, W = np.array([1.0, 2.0]), np.array([1.1, 1.3])
ROWS = np.linspace(0.5, 2.0, 8).reshape(4, 2)


def loop(x, w):
    return pg.while_loop(lambda c: pg.sum(c[0]) < 50, lambda c: (c[0] * c[0] * w + 1.0, c[1] + c[0] * x), (x, x * 0))


def score(x, w):
    a, b = loop(x, w)
    return pg.sum(a * a) + pg.sum(pg.sin(b))


def counted(x):
    return pg.sum(pg.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, c[1] * x), (0, x))[1])


def nested(x):
    def outer(c):
        inner = pg.while_loop(lambda d: d[0] < c[0], lambda d: (d[0] + 1, d[1] * x), (0, c[1]))
        return c[0] + 1, inner[1]

    return pg.sum(pg.while_loop(lambda c: c[0] < 3, outer, (0, x))[1])


def in_a_scan(x):
    def step(c, _):
        return pg.while_loop(lambda d: pg.sum(d) < 20, lambda d: d * 1.5 + x, c) * 0.5, None

    return pg.sum(pg.scan(step, x, length=3)[0])


def backward_inside(c, x, w):
    p = w.copy().requires_grad_()
    c(lambda x: score(x, p).backward())(x)
    return p.grad


def backward_outside(c, x, w):
    p = w.copy().requires_grad_()
    c(lambda x: score(x, p))(x).backward()
    return p.grad


def not_differentiated(c, x, w):
    p = w.copy().requires_grad_()
    pg.sum(c(lambda x: (loop(x, w)[0] * p, loop(x, p)))(x)[0]).backward()
    return p.grad


PROGRAMS = {
    "gradient inside": lambda c, x, w: c(pg.grad(score, (0, 1)))(x, w),
    "gradient outside": lambda c, x, w: pg.grad(c(score), (0, 1))(x, w),
    "backward inside": backward_inside,
    "backward outside": backward_outside,
    "recorded only": not_differentiated,
    "jvp inside": lambda c, x, w: c(lambda x: pg.jvp(lambda x: score(x, w), (x,), (x,)))(x),
    "jvp outside": lambda c, x, w: pg.jvp(c(lambda x: score(x, w)), (x,), (x,)),
    "vjp outside": lambda c, x, w: pg.vjp(c(loop), x, w)[1]((x, w)),
    "Hessian inside": lambda c, x, w: c(pg.hessian(lambda x: score(x, w)))(x),
    "Hessian outside": lambda c, x, w: pg.hessian(c(lambda x: score(x, w)))(x),
    "gradient of a gradient outside": lambda c, x, w: pg.grad(
        lambda x: pg.sum(pg.grad(c(lambda x: score(x, w)))(x))
    )(x),
    "a batch of gradients": lambda c, x, w: c(pg.vmap(pg.grad(score, (0, 1)), in_axes=(0, None)))(pg.asarray(ROWS), w),
    "gradients of a batch": lambda c, x, w: c(
        pg.grad(lambda r: pg.sum(pg.vmap(lambda x: score(x, w))(r)))
    )(pg.asarray(ROWS)),
    "vmap of it": lambda c, x, w: pg.vmap(c(pg.grad(score, (0, 1))))(pg.asarray(ROWS), pg.asarray(ROWS + 0.3)),
    "no step": lambda c, x, w: c(pg.grad(score, (0, 1)))(x * 100, w),
    "a counter": lambda c, x, w: c(pg.grad(counted))(x),
    "a loop in a loop": lambda c, x, w: c(pg.grad(nested))(x),
    "a loop in a scan": lambda c, x, w: c(pg.grad(in_a_scan))(x),
    "in a checkpoint": lambda c, x, w: c(pg.grad(pg.checkpoint(lambda x: score(x, w))))(x),
    "a limit in a tensor": lambda c, x, w: c(
        pg.grad(lambda x: pg.sum(pg.fori_loop(0, pg.asarray(3), lambda i, v: v * x, x)))
    )(x),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_derivatives(name):
    x, w = pg.asarray(X), pg.asarray(W)
    got, wanted = [pg.tree.leaves(PROGRAMS[name](c, x, w)) for c in (pg.compile, lambda f: f)]
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_a_gradient_of_a_gradient_inside_says_what_to_do():
    f = pg.compile(pg.grad(lambda x: pg.sum(pg.grad(lambda x: score(x, x))(x))))
    with pytest.raises(
        RecordingError, match="give max_steps=, use scan, or differentiate one of the two times forward"
    ):
        f(pg.asarray(X))
