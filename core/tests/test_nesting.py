"""Transformations nested in every order agree with differences and with one another; perturbations are not confused."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.testing import check_derivatives

R = np.random.default_rng(3)
X, Y = pg.asarray(R.normal(size=(5, 4)), device="numpy"), pg.asarray(R.normal(size=(5, 2)), device="numpy")


def params():
    r = np.random.default_rng(4)
    return {
        "w1": pg.asarray(r.normal(size=(4, 6))),
        "b1": pg.asarray(r.normal(size=6)),
        "w2": pg.asarray(r.normal(size=(6, 2))),
    }


def mlp(p, x):
    return pg.tanh(x @ p["w1"] + p["b1"]) @ p["w2"]


def loss(p, x=X, y=Y):
    d = mlp(p, x) - y
    return pg.mean(d * d)


def conv(p, x):
    """A 3x3 convolution by strided slices, as the nn plugin decomposes it."""
    n = x.shape[-1] - 2
    columns = pg.stack([x[..., i : i + n, j : j + n] for i in range(3) for j in range(3)], axis=-1)
    return pg.matmul(columns, p)


def conv_loss(p):
    x = pg.asarray(np.cos(np.arange(72.0)).reshape(2, 6, 6))
    h = pg.maximum(pg.tanh(conv(p["w"], x)), 0.1)
    return pg.sum(pg.max(h, axis=(1, 2)) * p["v"])


def conv_params():
    r = np.random.default_rng(5)
    return {"w": pg.asarray(r.normal(size=(9, 3)) * 0.3), "v": pg.asarray(r.normal(size=3))}


NETS = {"mlp": (loss, params), "conv": (conv_loss, conv_params)}


def flat(tree):
    return np.concatenate([t.numpy().ravel() for t in pg.tree.leaves(tree)])


def unflat(like, vector):
    at, out = 0, []
    for t in pg.tree.leaves(like):
        out.append(pg.reshape(vector[at : at + t.size], t.shape))
        at += t.size
    return pg.tree.flatten(like)[2](out)


@pytest.mark.parametrize("net", NETS)
def test_every_order_of_derivative_agrees(net):
    f, make = NETS[net]
    p = make()
    vector = pg.asarray(flat(p))
    direction = np.random.default_rng(6).normal(size=vector.shape)
    v = pg.asarray(direction)

    def g(x):
        return f(unflat(p, x))

    gradient = pg.grad(g)(vector)
    eps = 1e-6
    difference = (g(vector + v * eps).item() - g(vector - v * eps).item()) / (2 * eps)
    assert abs(np.dot(gradient.numpy(), direction) - difference) < 1e-6
    hv_difference = (pg.grad(g)(vector + v * eps).numpy() - pg.grad(g)(vector - v * eps).numpy()) / (2 * eps)
    candidates = {
        "hessian @ v": pg.hessian(g)(vector).numpy() @ direction,
        "jvp of grad": pg.jvp(pg.grad(g), (vector,), (v,))[1].numpy(),
        "hvp": pg.hvp(g, (vector,), (v,)).numpy(),
        "grad of grad": pg.grad(lambda x: pg.sum(pg.grad(g)(x) * v))(vector).numpy(),
        "grad of jvp": pg.grad(lambda x: pg.jvp(g, (x,), (v,))[1])(vector).numpy(),
        "jacrev of grad": pg.jacrev(pg.grad(g))(vector).numpy() @ direction,
        "jacfwd of jacfwd": pg.jacfwd(pg.jacfwd(g))(vector).numpy() @ direction,
        "jacrev of jacfwd": pg.jacrev(pg.jacfwd(g))(vector).numpy() @ direction,
        "grad of checkpoint": pg.jvp(pg.grad(pg.checkpoint(g)), (vector,), (v,))[1].numpy(),
        "hessian of checkpoint": pg.hessian(pg.checkpoint(g))(vector).numpy() @ direction,
        "grad of grad of checkpoint": pg.grad(lambda x: pg.sum(pg.grad(pg.checkpoint(g))(x) * v))(vector).numpy(),
        "checkpoint of grad": pg.grad(lambda x: pg.sum(pg.checkpoint(pg.grad(g))(x) * v))(vector).numpy(),
        "staged": pg.jvp(pg.stage(pg.grad(g), vector), (vector,), (v,))[1].numpy(),
        "stage of grad of grad": pg.stage(pg.grad(lambda x: pg.sum(pg.grad(g)(x) * v)), vector)(vector).numpy(),
    }
    for name, found in candidates.items():
        np.testing.assert_allclose(found, hv_difference, rtol=1e-6, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(found, candidates["jvp of grad"], rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("net", NETS)
def test_backward_equals_grad(net):
    f, make = NETS[net]
    p = make()
    wanted = flat(pg.grad(f)(p))
    leaves = pg.tree.map(lambda t: t.detach().requires_grad_(), p)
    f(leaves).backward()
    np.testing.assert_allclose(
        np.concatenate([t.grad.numpy().ravel() for t in pg.tree.leaves(leaves)]), wanted, rtol=1e-14
    )


def test_vmap_of_grad_is_a_loop_of_grads():
    p = params()
    xs, ys = pg.asarray(R.normal(size=(7, 4))), pg.asarray(R.normal(size=(7, 2)))
    batched = pg.vmap(pg.grad(loss), in_axes=(None, 0, 0))(p, xs, ys)
    for i in range(7):
        one = pg.grad(loss)(p, xs[i], ys[i])
        for k in p:
            np.testing.assert_allclose(batched[k][i].numpy(), one[k].numpy(), rtol=1e-12, atol=1e-12)


def test_grad_of_vmap_and_checkpoint_inside():
    p = params()
    xs, ys = pg.asarray(R.normal(size=(7, 4))), pg.asarray(R.normal(size=(7, 2)))

    def total(p, body):
        return pg.sum(pg.vmap(lambda x, y: body(p, x, y))(xs, ys))

    plain, saved = pg.grad(lambda p: total(p, loss))(p), pg.grad(lambda p: total(p, pg.checkpoint(loss)))(p)
    looped = pg.grad(lambda p: sum(loss(p, xs[i], ys[i]) for i in range(7)))(p)
    for k in p:
        np.testing.assert_allclose(plain[k].numpy(), looped[k].numpy(), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(saved[k].numpy(), looped[k].numpy(), rtol=1e-12, atol=1e-12)


def test_perturbation_confusion():
    """The classic cases: the inner derivative must not see the outer perturbation."""

    def d(f):
        return lambda x: pg.jvp(f, (x,), (pg.asarray(1.0, dtype="float64"),))[1]

    x = pg.asarray(2.0, dtype="float64")

    def check(inner, outer):
        assert outer(lambda x: x * inner(lambda y: x + y)(pg.asarray(1.0, dtype="float64")))(x).item() == 1.0
        assert outer(lambda x: x * inner(lambda y: x * y)(x))(x).item() == 4.0
        assert outer(lambda x: inner(lambda y: x * y * y)(x) * x)(x).item() == 6 * 4.0

    for inner in (pg.grad, d):
        for outer in (pg.grad, d):
            check(inner, outer)


def test_third_derivatives_in_mixed_modes():
    x = pg.asarray(0.7, dtype="float64")
    one = pg.asarray(1.0, dtype="float64")

    def f(x):
        return pg.sin(x) * pg.exp(x)

    def d(g):
        return lambda x: pg.jvp(g, (x,), (one,))[1]

    wanted = 2 * np.exp(0.7) * (np.cos(0.7) - np.sin(0.7))
    for a in (pg.grad, d):
        for b in (pg.grad, d):
            for c in (pg.grad, d):
                np.testing.assert_allclose(a(b(c(f)))(x).item(), wanted, rtol=1e-12)


def test_vmap_of_hessian_and_nested_vmap():
    xs = pg.asarray(R.normal(size=(3, 4)))
    found = pg.vmap(pg.hessian(lambda x: pg.sum(pg.sin(x) * x[::-1])))(xs)
    for i in range(3):
        np.testing.assert_allclose(
            found[i].numpy(), pg.hessian(lambda x: pg.sum(pg.sin(x) * x[::-1]))(xs[i]).numpy(), rtol=1e-12, atol=1e-14
        )
    a, b = pg.asarray(R.normal(size=(3,))), pg.asarray(R.normal(size=(4,)))
    table = pg.vmap(lambda x: pg.vmap(lambda y: x * y + pg.sin(y))(b))(a)
    np.testing.assert_allclose(table.numpy(), np.outer(a.numpy(), b.numpy()) + np.sin(b.numpy()), rtol=1e-14)


def test_vmap_axes():
    x = pg.asarray(R.normal(size=(2, 3, 4)))
    f = pg.vmap(lambda v: v * 2, in_axes=1, out_axes=2)
    np.testing.assert_array_equal(f(x).numpy(), np.moveaxis(x.numpy() * 2, 1, 2))
    tree = {"a": x, "b": pg.asarray(R.normal(size=(3,)))}
    got = pg.vmap(
        lambda t: {"s": pg.sum(t["a"]) + t["b"], "c": t["b"]}, in_axes=({"a": 1, "b": 0},), out_axes={"s": 0, "c": 0}
    )(tree)
    np.testing.assert_allclose(got["s"].numpy(), x.numpy().sum((0, 2)) + tree["b"].numpy(), rtol=1e-13)
    assert pg.vmap(lambda v, w: w, in_axes=(0, None))(x, pg.asarray(1.0)).shape == (2,)


def test_jacobians_of_matrices():
    def f(x):
        return pg.sin(x) @ x.T

    x = pg.asarray(R.normal(size=(2, 3)))
    forward, reverse = pg.jacfwd(f)(x), pg.jacrev(f)(x)
    assert forward.shape == (2, 2, 2, 3)
    np.testing.assert_allclose(forward.numpy(), reverse.numpy(), rtol=1e-12, atol=1e-14)


def test_functions_run_once():
    count = []

    def f(x):
        count.append(1)
        return pg.sum(x * x)

    x = pg.asarray([1.0, 2.0])
    for transform in (pg.jacfwd, pg.jacrev, pg.hessian, pg.grad):
        count.clear()
        transform(f)(x)
        assert len(count) == 1, transform


def test_argnums_aux_and_structures():
    x, y = pg.asarray([1.0, 2.0]), pg.asarray([3.0, 4.0])
    (value, aux), (gx, gy) = pg.value_and_grad(lambda x, y: (pg.sum(x * y), x * 2), argnums=(0, 1), has_aux=True)(x, y)
    assert value.item() == 11.0 and gx.tolist() == [3.0, 4.0] and gy.tolist() == [1.0, 2.0]
    assert aux.tolist() == [2.0, 4.0] and not aux.mask
    g = pg.grad(lambda d: pg.sum(d["p"] * d["q"][0]))({"p": x, "q": (y, pg.asarray([1, 2]))})
    assert g["p"].tolist() == [3.0, 4.0] and g["q"][1] is None
    assert pg.grad(lambda x, y: pg.sum(x * y), argnums=-1)(x, y).tolist() == [1.0, 2.0]


def test_pullback_of_several_outputs():
    _, pullback = pg.vjp(lambda x: (x * 2, {"s": pg.sin(x)}), pg.asarray([0.0, 1.0], dtype="float64"))
    one = pg.ones(2, dtype="float64")
    np.testing.assert_allclose(pullback((one, {"s": one}))[0].numpy(), 2 + np.cos([0.0, 1.0]))
    np.testing.assert_allclose(pullback((one, {"s": one * 0}))[0].numpy(), [2.0, 2.0])


def test_a_gradient_that_does_not_depend_is_zero():
    g = pg.grad(lambda x, y: pg.sum(y), argnums=(0, 1))(pg.ones(2), pg.ones(3))
    assert g[0].tolist() == [0.0, 0.0]


def test_hvp_of_several_arguments():
    x, y = pg.asarray([1.0, 2.0], dtype="float64"), pg.asarray([3.0, 4.0], dtype="float64")
    hx, hy = pg.hvp(lambda a, b: pg.sum(a * a * b), (x, y), (pg.ones_like(x), pg.zeros_like(y)))
    assert hx.tolist() == [6.0, 8.0] and hy.tolist() == [2.0, 4.0]


def test_closures_over_recorded_values():
    """grad inside a function that is itself being differentiated, closing over the outer variable."""

    def outer(x):
        def inner(y):
            return pg.sum(pg.vmap(lambda v: v * x)(y)) * x

        return pg.sum(pg.grad(inner)(pg.asarray([1.0, 2.0], dtype="float64")))

    assert pg.grad(outer)(pg.asarray(3.0, dtype="float64")).item() == 12.0
    check_derivatives(lambda x: outer(x) * x, pg.asarray(1.5, dtype="float64"))


def test_control_flow_on_values():
    def f(x):
        return x * 2 if x > 0 else x * 3

    assert pg.grad(f)(1.0).item() == 2.0 and pg.grad(f)(-1.0).item() == 3.0
    assert pg.jvp(f, (pg.asarray(1.0),), (pg.asarray(1.0),))[1].item() == 2.0
