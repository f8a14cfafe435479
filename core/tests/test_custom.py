"""Functions with a derivative of their own, under every transformation."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import PluginError, ShapeError


def make_vjp():
    @pg.custom_vjp
    def f(x, w):
        return pg.sin(x) * w

    f.defvjp(lambda x, w: (pg.sin(x) * w, (x, w)), lambda r, g: (g * pg.cos(r[0]) * r[1], g * pg.sin(r[0])))
    return f


def make_jvp():
    @pg.custom_jvp
    def f(x, w):
        return pg.sin(x) * w

    def rule(primals, tangents):
        (x, w), (tx, tw) = primals, tangents
        return f(x, w), tx * pg.cos(x) * w + tw * pg.sin(x)

    f.defjvp(rule)
    return f


def plain(x, w):
    return pg.sin(x) * w


X, W, T = np.array([0.3, 1.2, -0.7]), np.array([2.0, -1.0, 0.5]), np.array([1.0, 2.0, 3.0])


@pytest.mark.parametrize("make", [make_vjp, make_jvp])
def test_every_transformation(make):
    f = make()
    x, w, t = pg.asarray(X), pg.asarray(W), pg.asarray(T)
    xs = pg.asarray(np.stack([X, X * 2, X - 1]))

    def results(f):
        def s(x, w):
            return pg.sum(f(x, w) * f(x, w))

        return {
            "value": f(x, w),
            "grad x": pg.grad(s)(x, w),
            "grad w": pg.grad(s, 1)(x, w),
            "jvp": pg.jvp(f, (x, w), (t, t))[1],
            "vmap": pg.vmap(f, in_axes=(0, None))(xs, w),
            "vmap grad": pg.vmap(pg.grad(s), in_axes=(0, None))(xs, w),
            "vmap grad w": pg.vmap(pg.grad(s, 1), in_axes=(0, None))(xs, w),
            "grad vmap w": pg.grad(lambda w: pg.sum(pg.vmap(s, in_axes=(0, None))(xs, w)))(w),
            "hessian": pg.hessian(s)(x, w),
            "grad grad": pg.grad(lambda x: pg.sum(pg.grad(s)(x, w) * t))(x),
            "grad grad w": pg.grad(lambda w: pg.sum(pg.grad(s)(x, w) * t))(w),
            "jvp grad": pg.jvp(lambda x: pg.grad(s)(x, w), (x,), (t,))[1],
            "jacrev": pg.jacrev(f)(x, w),
            "checkpoint": pg.grad(pg.checkpoint(s))(x, w),
            "stage": pg.stage(f, x, w)(x, w),
            "grad of stage": pg.grad(lambda x: pg.sum(pg.stage(f, x, w)(x, w)))(x),
            "stage of grad": pg.stage(pg.grad(s), x, w)(x, w),
        }

    got, wanted = results(f), results(plain)
    for k in wanted:
        np.testing.assert_allclose(got[k].numpy(), wanted[k].numpy(), rtol=1e-12, atol=1e-13, err_msg=k)


@pytest.mark.parametrize("mode", ["grad", "jvp", "vmap", "stage", "backward"])
def test_the_given_rule_is_used(mode):
    """Rules that are wrong on purpose: the gradient is doubled."""

    @pg.custom_vjp
    def f(x):
        return x * 1.0

    f.defvjp(lambda x: (x * 1.0, None), lambda _, g: (g * 2.0,))
    x = pg.asarray([1.0, 2.0])
    found = {
        "grad": lambda: pg.grad(lambda x: pg.sum(f(x)))(x),
        "jvp": lambda: pg.jvp(f, (x,), (pg.ones(2),))[1],
        "vmap": lambda: pg.vmap(pg.grad(lambda v: f(v)))(x),
        "stage": lambda: pg.grad(lambda x: pg.sum(pg.stage(f, x)(x)))(x),
        "backward": lambda: _backward(f, pg.asarray([1.0, 2.0])),
    }[mode]()
    assert found.tolist() == [2.0, 2.0]


def _backward(f, x):
    pg.sum(f(x.requires_grad_())).backward()
    return x.grad


def test_a_rule_of_its_own_in_second_order():
    @pg.custom_vjp
    def f(x):
        return x * x

    f.defvjp(lambda x: (x * x, x), lambda x, g: (g * 10.0 * x,))
    x = pg.asarray(3.0, dtype="float64")
    assert pg.grad(f)(x).item() == 30.0
    assert pg.grad(pg.grad(f))(x).item() == 10.0


def test_trees_and_static_arguments():
    @pg.custom_vjp
    def f(d, n):
        return {"out": d["a"] ** n}

    f.defvjp(
        lambda d, n: ({"out": d["a"] ** n}, {"a": d["a"], "n": n}),
        lambda r, g: ({"a": g["out"] * r["n"] * r["a"] ** (r["n"] - 1)}, None),
    )
    g = pg.grad(lambda d: pg.sum(f(d, 3)["out"]))({"a": pg.asarray([2.0])})
    assert g["a"].tolist() == [12.0]


def test_python_control_flow_inside():
    @pg.custom_vjp
    def f(x):
        return x if float(x) > 0 else -x

    f.defvjp(lambda x: (x if float(x) > 0 else -x, None), lambda _, g: (g,))
    assert pg.grad(f)(-3.0).item() == 1.0


def test_jvp_only_functions_of_trees():
    @pg.custom_jvp
    def f(d):
        return d["a"] * d["b"]

    f.defjvp(lambda p, t: (f(*p), t[0]["a"] * p[0]["b"] + p[0]["a"] * t[0]["b"]))
    g = pg.grad(lambda d: f(d))({"a": pg.asarray(2.0), "b": pg.asarray(5.0)})
    assert g["a"].item() == 5.0 and g["b"].item() == 2.0


def test_one_tensor_may_be_two_results_or_two_tangents():
    @pg.custom_jvp
    def f(x):
        y = x * 2.0
        return y, y

    f.defjvp(lambda p, t: (f(*p), [t[0] * 2.0] * 2))
    y, dy = pg.jvp(f, (pg.asarray(1.0),), (pg.asarray(3.0),))
    assert [v.item() for v in (*y, *dy)] == [2.0, 2.0, 6.0, 6.0]
    assert pg.grad(lambda x: f(x)[0] + f(x)[1] * 10.0)(1.0).item() == 22.0


def test_errors():
    @pg.custom_vjp
    def f(x):
        return x

    with pytest.raises(PluginError, match=r"f\.defvjp"):
        f(pg.ones(1))
    f.defvjp(lambda x: (x * 1.0, None), lambda _, g: g)
    with pytest.raises(ShapeError, match="tuple of 1 cotangents"):
        pg.grad(lambda x: pg.sum(f(x)))(pg.ones(1))
    f.defvjp(lambda x: (x * 1.0, None), lambda _, g: (pg.ones(3),))
    with pytest.raises(ShapeError, match=r"cotangent of shape \(3,\)"):
        pg.grad(lambda x: pg.sum(f(x)))(pg.ones(1))

    @pg.custom_jvp
    def h(x):
        return x

    with pytest.raises(PluginError, match=r"h\.defjvp"):
        h(pg.ones(1))


def test_an_op_with_only_a_vjp_has_every_derivative():
    class Cube(pg.Op):
        name = "test.cube"
        dtypes = "float"

        def spec(self, x):
            return pg.Spec(x.shape, x.dtype)

        def vjp(self, g, y, xs, need):
            return (g * xs[0] * xs[0] * 3.0,)

    from plugrad import Kernel, dispatch

    cube = Cube()
    dispatch.add_kernel("test.cube", "numpy", Kernel(lambda x: x**3))
    x = pg.asarray(X)
    np.testing.assert_allclose(pg.jvp(cube, (x,), (pg.asarray(T),))[1].numpy(), 3 * X**2 * T)
    np.testing.assert_allclose(np.diag(pg.hessian(lambda x: pg.sum(cube(x)))(x).numpy()), 6 * X)
    np.testing.assert_allclose(pg.vmap(lambda v: cube(v))(x).numpy(), X**3)
    np.testing.assert_allclose(pg.vmap(pg.grad(lambda v: cube(v)))(x).numpy(), 3 * X**2)


def test_stop_gradient_in_every_mode():
    x = pg.asarray(X)

    def f(x):
        return x * pg.stop_gradient(x)

    np.testing.assert_allclose(pg.jvp(f, (x,), (pg.asarray(T),))[1].numpy(), X * T)
    np.testing.assert_allclose(pg.grad(lambda x: pg.sum(f(x)))(x).numpy(), X)
    np.testing.assert_allclose(pg.vmap(pg.grad(f))(x).numpy(), X)


def test_casts_to_integers_cut_the_derivative():
    def f(x):
        return x * x.astype("int32").astype(x.dtype)

    x = pg.asarray(2.5, dtype="float64")
    assert pg.grad(f)(x).item() == 2.0
    assert pg.jvp(f, (x,), (pg.asarray(1.0, dtype="float64"),))[1].item() == 2.0


def test_gradients_keep_the_primals_dtype():
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        x = pg.ones(2, dtype=dtype)
        g = pg.grad(lambda x: pg.sum(x.astype("float32") * pg.ones(2)))(x)
        assert g.dtype == x.dtype
    g = pg.grad(lambda a, b: pg.sum(a * b), argnums=(0, 1))(pg.ones(2), pg.ones(2, dtype="float64"))
    assert g[0].dtype == np.float32 and g[1].dtype == np.float64


@pytest.mark.parametrize("make", [make_vjp, make_jvp])
def test_one_tensor_as_two_arguments_gets_the_sum_of_their_cotangents(make):
    f, x = make(), pg.asarray([0.5, 1.0, 2.0], dtype="float64")
    first = np.sin(x.numpy()) + x.numpy() * np.cos(x.numpy())
    second = 2 * np.cos(x.numpy()) - x.numpy() * np.sin(x.numpy())

    def same(x):
        return pg.sum(f(x, x))

    np.testing.assert_allclose(pg.grad(same)(x).numpy(), first)
    np.testing.assert_allclose(pg.jvp(same, (x,), (pg.ones_like(x),))[1].numpy(), first.sum())
    np.testing.assert_allclose(pg.grad(lambda x: pg.sum(pg.vmap(f)(x, x)))(x).numpy(), first)
    np.testing.assert_allclose(pg.hessian(same)(x).numpy(), np.diag(second))


def test_residuals_may_become_one_value_in_a_graph():
    f, x = make_vjp(), pg.asarray([0.5, 1.0], dtype="float64")
    again = pg.stage(lambda x: pg.sum(f(x * 1, x * 1)), x)  # staging finds that both are the same
    np.testing.assert_allclose(pg.grad(again)(x).numpy(), np.sin(x.numpy()) + x.numpy() * np.cos(x.numpy()))
