"""A claim of ``norm.layer_norm`` with its twin is right under every transformation, and the expected kernels run.

Always with a backend made here, and with the CPU backend where that is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad.dispatch import add_backend
from plugrad.errors import BackendUnavailableError
from plugrad.reference.backend import NumpyBackend
from plugrad_norm import layer_norm
from plugrad_norm.ops import LAYER_NORM

F, B = "norm.layer_norm", "norm.layer_norm_bwd"


def _forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, *, eps: float) -> Any:
    assert w.ndim == b.ndim == 1
    mean = x.mean(-1, keepdims=True)
    rstd = 1.0 / np.sqrt(x.var(-1, keepdims=True) + eps)
    return (x - mean) * rstd * w + b, mean, rstd


def _backward(g: np.ndarray, x: np.ndarray, w: np.ndarray, mean: np.ndarray, rstd: np.ndarray) -> Any:
    assert w.ndim == 1
    rows, h, u = tuple(range(x.ndim - 1)), (x - mean) * rstd, g * w
    dx = rstd * (u - u.mean(-1, keepdims=True) - h * (u * h).mean(-1, keepdims=True))
    return dx, (g * h).sum(rows), g.sum(rows)


class Claiming(NumpyBackend):
    """The reference with the two claims."""

    name = "claims_layer_norm"
    kernels = {**NumpyBackend.kernels, F: _forward, B: _backward}


def _device(name: str) -> str:
    if name == Claiming.name and not any(b.name == name for b in pg.backend.BACKENDS):
        add_backend(Claiming())
    return name


@pytest.fixture(params=[Claiming.name, "cpu"])
def claimed(request: pytest.FixtureRequest) -> Iterator[str]:
    try:
        pg.zeros((), device=_device(request.param))
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    yield request.param


RNG = np.random.default_rng(4)
VALUES = {"x": RNG.normal(size=(4, 6)), "w": RNG.normal(size=6), "b": RNG.normal(size=6)}
BATCHES = {k: RNG.normal(size=(3, *v.shape)) for k, v in VALUES.items()}
DIRECTIONS = {k: RNG.normal(size=v.shape) for k, v in VALUES.items()}
WEIGHTS = RNG.normal(size=(4, 6))
Loss = Callable[[pg.Tensor], pg.Tensor]


class Case:
    """A scalar function of one operand, on one device."""

    def __init__(self, device: str, of: str, residual: bool) -> None:
        self.device = device
        self.of, self.residual = of, residual
        self.x = self.on(VALUES[of])
        self.t = self.on(DIRECTIONS[of])
        self.batch = self.on(BATCHES[of])

    def on(self, a: np.ndarray) -> pg.Tensor:
        return pg.asarray(a, device=self.device, copy=True)

    def f(self, v: pg.Tensor) -> pg.Tensor:
        operands = [v if name == self.of else self.on(a) for name, a in VALUES.items()]
        y, mean, rstd = LAYER_NORM(*operands, eps=1e-3)
        total = (pg.sin(y) * self.on(WEIGHTS)).sum()
        return total + pg.sin(rstd).sum() + (mean * mean * rstd).sum() if self.residual else total


def _tape(c: Case) -> pg.Tensor:
    x = c.on(VALUES[c.of]).requires_grad_()
    c.f(x).backward()
    assert x.grad is not None
    return x.grad


def _twice(c: Case) -> pg.Tensor:
    x = c.on(VALUES[c.of]).requires_grad_()
    c.f(x).backward(create_graph=True)
    g, x.grad = x.grad, None
    assert g is not None
    (g * c.t).sum().backward()
    assert x.grad is not None
    return x.grad


PROGRAMS: dict[str, tuple[Callable[[Case], pg.Tensor], list[str]]] = {
    "value": (lambda c: c.f(c.x), [F]),
    "grad": (lambda c: pg.grad(c.f)(c.x), [F, B]),
    "backward": (_tape, [F, B]),
    "jvp": (lambda c: pg.jvp(c.f, (c.x,), (c.t,))[1], []),
    "vmap": (lambda c: pg.vmap(c.f)(c.batch), [F]),
    "grad of grad": (lambda c: pg.grad(lambda v: (pg.grad(c.f)(v) * c.t).sum())(c.x), [F]),
    "backward of backward": (_twice, [F]),
    "jvp of grad": (lambda c: pg.hvp(c.f, (c.x,), (c.t,)), []),
    "grad of jvp": (lambda c: pg.grad(lambda v: pg.jvp(c.f, (v,), (c.t,))[1])(c.x), []),
    "vmap of grad": (lambda c: pg.vmap(pg.grad(c.f))(c.batch), [F, B]),
    "grad of vmap": (lambda c: pg.grad(lambda v: pg.sin(pg.vmap(c.f)(v)).sum())(c.batch), [F, B]),
    "grad of checkpoint": (lambda c: pg.grad(pg.checkpoint(c.f))(c.x), [F, F, B]),
    "staged": (lambda c: pg.stage(c.f, c.x)(c.x), [F]),
    "grad of staged": (lambda c: pg.grad(pg.stage(c.f, c.x))(c.x), [F, B]),
    "staged grad": (lambda c: pg.stage(pg.grad(c.f), c.x)(c.x), [F, B]),
}
SECOND = ("grad of grad", "backward of backward")
"""Where residual outputs carry gradients of gradients, which go by the decomposition; further kernels may run."""


def run(case: Case, what: str) -> tuple[np.ndarray, list[str]]:
    ran: list[str] = []

    def hear(op: str, backend: str, how: str) -> None:
        assert backend == case.device, f"{op} ran on {backend}"
        assert how == "native", f"{op} ran through the host"
        if op in (F, B):
            ran.append(op)

    with pg.observe(hear):
        y = PROGRAMS[what][0](case)
    return y.detach().numpy(), ran


@pytest.mark.parametrize("what", PROGRAMS)
@pytest.mark.parametrize("of", ["x", "w", "b"])
def test_claim_equals_decomposition_and_stays_fused(claimed: str, of: str, what: str):
    want, none = run(Case("numpy", of, residual=False), what)
    got, ran = run(Case(claimed, of, residual=False), what)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)
    assert none == []
    expected = PROGRAMS[what][1]
    if what in SECOND:
        assert ran[:1] == expected
    elif what == "grad of vmap" and of != "x":
        assert ran == [F]  # batched weights are applied after the op, which has nothing to differentiate then
    else:
        assert ran == expected


@pytest.mark.parametrize("what", PROGRAMS)
@pytest.mark.parametrize("of", ["x", "w"])
def test_losses_that_use_the_residual_outputs(claimed: str, of: str, what: str):
    want, _ = run(Case("numpy", of, residual=True), what)
    got, _ = run(Case(claimed, of, residual=True), what)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("of", ["x", "w", "b"])
def test_first_and_second_order_against_central_differences(claimed: str, of: str, residual: bool):
    c, plain = Case(claimed, of, residual), Case("numpy", of, residual)
    d, e = DIRECTIONS[of], 1e-5
    points = [plain.on(VALUES[of] + s * e * d) for s in (1.0, -1.0)]
    slope = (plain.f(points[0]).item() - plain.f(points[1]).item()) / (2 * e)
    np.testing.assert_allclose((run(c, "grad")[0] * d).sum(), slope, rtol=1e-7, atol=1e-9)
    bend = [pg.grad(plain.f)(p).numpy() for p in points]
    for what in ("grad of grad", "jvp of grad"):
        np.testing.assert_allclose(run(c, what)[0], (bend[0] - bend[1]) / (2 * e), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("batched", [(x, w, b) for x in (0, None) for w in (0, None) for b in (0, None)][:-1])
def test_batch_rules_equal_a_loop(claimed: str, batched: tuple[int | None, ...]):
    def everything(x: pg.Tensor, w: pg.Tensor, b: pg.Tensor) -> tuple[pg.Tensor, ...]:
        value, grads = pg.value_and_grad(lambda *a: (pg.sin(layer_norm(*a)) * WEIGHTS).sum(), (0, 1, 2))(x, w, b)
        return (value, *grads, *LAYER_NORM(x, w, b, eps=1e-3))

    pairs = [(BATCHES[n], VALUES[n]) for n in VALUES]
    args = [pg.asarray(many if a == 0 else one, device=claimed) for a, (many, one) in zip(batched, pairs, strict=True)]
    found = pg.vmap(everything, in_axes=batched)(*args)
    for i in range(3):
        alone = everything(*[v[i] if a == 0 else v for a, v in zip(batched, args, strict=True)])
        for got, want in zip(found, alone, strict=True):
            np.testing.assert_allclose(got.numpy()[i], want.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("batched", [(0, None, None), (None, 0, None), (0, 0, None), (0, 0, 0)])
def test_jacobians_under_vmap(claimed: str, batched: tuple[int | None, ...]):
    """jacrev inside vmap: cotangents batched twice, operands once or not at all."""
    pairs = [(BATCHES[n], VALUES[n]) for n in VALUES]
    args = [pg.asarray(many if a == 0 else one, device=claimed) for a, (many, one) in zip(batched, pairs, strict=True)]
    found = pg.vmap(pg.jacrev(layer_norm, 1), in_axes=batched)(*args)
    for i in range(3):
        want = pg.jacfwd(layer_norm, 1)(*[v[i] if a == 0 else v for a, v in zip(batched, args, strict=True)])
        np.testing.assert_allclose(found.numpy()[i], want.numpy(), rtol=1e-10, atol=1e-12)
