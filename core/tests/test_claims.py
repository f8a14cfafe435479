"""Composites with residual outputs, claimed by a backend together with their backward twin: which kernel ran is
asserted, not assumed.
"""

import numpy as np
import pytest

import plugrad as pg
from plugrad import Kernel, Op, Spec, dispatch
from plugrad.reference.backend import NumpyBackend

EPS = 1e-5


def _fold(size, x, batched):
    return x if batched else pg.broadcast_to(pg.expand_dims(x), (size, *x.shape))


class Norm(Op):
    """Layer norm over the last axis; mean and 1/std are outputs for the backward."""

    name = "test.norm"
    dtypes = "float"
    residuals = (1, 2)

    def spec(self, x, w):
        row = Spec((*x.shape[:-1], 1), x.dtype)
        return Spec(x.shape, x.dtype), row, row

    def decompose(self, x, w):
        m = pg.mean(x, axis=-1, keepdims=True)
        c = x - m
        r = 1.0 / pg.sqrt(pg.mean(c * c, axis=-1, keepdims=True) + EPS)
        return c * r * w, m, r

    def vjp(self, g, y, xs, need):
        return NORM_BWD(g[0], xs[0], xs[1], y[1], y[2])

    def batch(self, size, xs, batched):
        if batched[1]:
            y, m, r = self(_fold(size, xs[0], batched[0]), pg.ones_like(xs[1], xs[1].shape[1:]))
            return y * xs[1].reshape((size, *(1,) * (y.ndim - 2), xs[1].shape[1])), m, r
        return self(xs[0], xs[1])


class NormBackward(Op):
    name = "test.norm_bwd"
    dtypes = "float"

    def spec(self, g, x, w, m, r):
        return Spec(x.shape, x.dtype), Spec(w.shape, w.dtype)

    def decompose(self, g, x, w, m, r):
        h = (x - m) * r
        gw = g * w
        gx = r * (gw - pg.mean(gw, axis=-1, keepdims=True) - h * pg.mean(gw * h, axis=-1, keepdims=True))
        return gx, pg.sum(g * h, axis=tuple(range(x.ndim - 1)))


NORM, NORM_BWD = Norm(), NormBackward()


def _norm(x, w):
    if w.ndim != 1:
        return NotImplemented
    m = x.mean(-1, keepdims=True)
    r = 1 / np.sqrt(((x - m) ** 2).mean(-1, keepdims=True) + EPS)
    return (x - m) * r * w, m, r


def _norm_bwd(g, x, w, m, r):
    h, gw = (x - m) * r, g * w
    return r * (gw - gw.mean(-1, keepdims=True) - h * (gw * h).mean(-1, keepdims=True)), (g * h).sum(
        tuple(range(x.ndim - 1))
    )


class Claiming(NumpyBackend):
    name = "claiming"
    kernels = {**NumpyBackend.kernels, "test.norm": _norm, "test.norm_bwd": Kernel(_norm_bwd)}


dispatch.add_backend(Claiming())
R = np.random.default_rng(0)
X, V, W = R.normal(size=(4, 6)), R.normal(size=(4, 6)), R.normal(size=6)
XS = R.normal(size=(3, 4, 6))


def norm(x, w):
    return NORM(x, w)[0]


def programs(device):
    def p(a):
        return pg.tensor(a, device=device)

    weight = p(R.permutation(24.0 + np.arange(24)).reshape(4, 6) * 0 + V)
    w = p(W)
    functions = {
        "input": lambda x: pg.sum(pg.sin(norm(x, w)) * weight),
        "weight": lambda v: pg.sum(pg.sin(norm(p(X), v)) * weight),
        "residual": lambda x: pg.sum(pg.sin(NORM(x, w)[2])) + pg.sum(norm(x, w)),
    }
    return p, functions


def run(device, which, what):
    p, functions = programs(device)
    f = functions[which]
    a, v = (W, V[0]) if which == "weight" else (X, V)
    many = p(np.stack([a, a * 0.5, a - 1.0]))
    x, v = p(a), p(v)
    ran = []
    with pg.observe(lambda op, backend, how: ran.append(op) if op.startswith("test.") else None):
        result = {
            "value": lambda: f(x),
            "grad": lambda: pg.grad(f)(x),
            "backward": lambda: _by_backward(f, p(a)),
            "jvp": lambda: pg.jvp(f, (x,), (v,))[1],
            "vmap": lambda: pg.vmap(f)(many),
            "grad of grad": lambda: pg.grad(lambda x: pg.sum(pg.grad(f)(x) * v))(x),
            "jvp of grad": lambda: pg.hvp(f, (x,), (v,)),
            "vmap of grad": lambda: pg.vmap(pg.grad(f))(many),
            "grad of vmap": lambda: pg.grad(lambda m: pg.sum(pg.sin(pg.vmap(f)(m))))(many),
            "grad of jvp": lambda: pg.grad(lambda x: pg.jvp(f, (x,), (v,))[1])(x),
            "checkpoint": lambda: pg.grad(pg.checkpoint(f))(x),
            "stage of grad": lambda: pg.stage(pg.grad(f), x)(x),
        }[what]()
    return result.numpy(), tuple(ran)


def _by_backward(f, x):
    f(x.requires_grad_()).backward()
    return x.grad


RAN = {
    "value": ("test.norm",),
    "grad": ("test.norm", "test.norm_bwd"),
    "backward": ("test.norm", "test.norm_bwd"),
    "jvp": (),
    "vmap": ("test.norm",),
    "jvp of grad": (),
    "vmap of grad": ("test.norm", "test.norm_bwd"),
    "grad of vmap": ("test.norm", "test.norm_bwd"),
    "checkpoint": ("test.norm", "test.norm", "test.norm_bwd"),
    "stage of grad": ("test.norm", "test.norm_bwd"),
}
WHATS = [*RAN, "grad of grad", "grad of jvp"]


@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("which", ["input", "weight", "residual"])
def test_claimed_equals_decomposed(which, what):
    reference, ran = run("numpy", which, what)
    assert ran == ()
    claimed, ran = run("claiming", which, what)
    np.testing.assert_allclose(claimed, reference, rtol=1e-11, atol=1e-12)
    if which == "input" and what in RAN:
        assert ran == (RAN[what] if what != "vmap of grad" else ran) and ran[:1] == RAN[what][:1]
    if what == "grad of grad":
        assert ran[0] == "test.norm"


@pytest.mark.parametrize("which", ["input", "weight", "residual"])
@pytest.mark.parametrize("device", ["numpy", "claiming"])
def test_against_differences(device, which):
    p, functions = programs(device)
    f = functions[which]
    a = W if which == "weight" else X
    d = np.random.default_rng(1).normal(size=a.shape)
    e = 1e-6
    numeric = (f(p(a + e * d)).item() - f(p(a - e * d)).item()) / (2 * e)
    np.testing.assert_allclose(np.sum(pg.grad(f)(p(a)).numpy() * d), numeric, rtol=1e-6)
    numeric = (pg.grad(f)(p(a + e * d)).numpy() - pg.grad(f)(p(a - e * d)).numpy()) / (2 * e)
    np.testing.assert_allclose(pg.hvp(f, (p(a),), (p(d),)).numpy(), numeric, rtol=1e-5, atol=1e-7)


def test_a_kernel_that_declines_is_decomposed():
    ran = []
    with pg.observe(lambda op, backend, how: ran.append(op)):
        y = NORM(pg.tensor(X, device="claiming"), pg.tensor(W.reshape(1, 6), device="claiming"))[0]
    assert "test.norm" not in ran and "sqrt" in ran
    np.testing.assert_allclose(y.numpy(), _norm(X, W)[0], rtol=1e-12)


def test_without_a_claim_one_node_is_recorded():
    """An op with a vjp of its own is recorded whole although its decomposition ran: the tape holds what the rule
    reads.
    """
    x = pg.asarray(X).requires_grad_()
    y = norm(x, pg.asarray(W))
    assert y.node.op is NORM and y.node.inputs[0].node.op is None


def test_cotangents_stay_on_their_backend():
    x = pg.tensor(X, device="claiming").requires_grad_()
    seen = set()
    with pg.observe(lambda op, backend, how: seen.add(backend)):
        pg.sum(norm(x, pg.tensor(W, device="claiming"))).backward()
    assert seen == {"claiming"} and x.grad.device == "claiming"


def test_an_op_with_residuals_keeps_its_operands():
    op = Op(
        "test.residual",
        dtypes="float",
        saves=(0,),
        residuals=(1,),
        spec=lambda x, b: (Spec(x.shape, x.dtype),) * 2,
        decompose=lambda x, b: (x * x + b, x * x),
        vjp=lambda g, y, xs, need: (g[0] * xs[0] * 2.0, g[0]),
    )
    x, b = pg.asarray(X), pg.asarray(V)
    np.testing.assert_allclose(pg.grad(lambda x: pg.sum(op(x, b)[1]))(x).numpy(), 2 * X)
    np.testing.assert_allclose(pg.grad(lambda x: pg.sum(op(x, b)[0] + op(x, b)[1]))(x).numpy(), 4 * X)


def test_only_the_outputs_that_the_rule_reads_are_kept():
    op = Op(
        "test.kept",
        dtypes="float",
        residuals=(1,),
        save_output=(1,),
        spec=lambda x: (Spec(x.shape, x.dtype),) * 2,
        decompose=lambda x: (pg.exp(x) * 2.0, pg.exp(x)),
        vjp=lambda g, y, xs, need: (g[0] * y[1] * 2.0,),
    )
    x = pg.asarray(X).requires_grad_()
    y = op(x)[0]
    assert y.node.outputs[0].val is None and y.node.outputs[1].val is not None
    pg.sum(y).backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(X))
