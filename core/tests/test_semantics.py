"""Corners of the semantics, each once wrong: writes to arguments, trees by name, captured values, recorded state."""

import warnings

import numpy as np
import pytest

import plugrad as pg
from plugrad import state
from plugrad.errors import LeakedTracerError, PluginError, ShapeError, StateError


def T(a, **kwargs):
    return pg.tensor(np.asarray(a, np.float64), **kwargs)


# -- functions that write to their arguments


def scaled(x):
    x *= 3
    return x.sum()


def moved(x):
    x[0] = x[1] * 2
    return (x * x).sum()


@pytest.mark.parametrize("wrap", [lambda f: f, pg.checkpoint])
def test_the_gradient_of_a_function_that_writes_to_its_argument(wrap):
    x = T([1.0, 2.0])
    assert pg.grad(wrap(scaled))(x).tolist() == [3.0, 3.0]
    assert pg.grad(wrap(moved))(x).tolist() == [0.0, 20.0]
    assert pg.jvp(wrap(moved), (x,), (T([0.0, 1.0]),))[1].item() == 20.0
    assert pg.vmap(pg.grad(wrap(moved)))(T([[1.0, 2.0]])).tolist() == [[0.0, 20.0]]
    assert x.tolist() == [1.0, 2.0]  # under a transformation the function has handles of its own


def test_jvp_keeps_the_primal_out_of_reach():
    def f(x):
        y = x * 1.0
        x[0] = 10.0
        return y

    x, t = T([1.0, 2.0]), T([1.0, 1.0])
    y, dy = pg.jvp(f, (x,), (t,))
    assert y.tolist() == [1.0, 2.0] and dy.tolist() == [1.0, 1.0]

    def g(v):
        x[0] = t[0] = 10.0  # the caller's handles, not the function's
        return v * 1.0

    y, dy = pg.jvp(g, (x,), (t,))
    assert y.tolist() == [1.0, 2.0] and dy.tolist() == [1.0, 1.0]
    t = T([1.0, 1.0])
    y, dy = pg.jvp(lambda x: x, (x,), (t,))
    dy += 1.0
    assert t.tolist() == [1.0, 1.0]


def test_a_graph_cannot_write_to_its_arguments():
    def f(x):
        x[...] = x * 0 + 5
        return x.sum()

    for wrap in (pg.compile(f), lambda x: pg.stage(f, x)):
        with pytest.raises(StateError, match="writes to an argument"):
            wrap(T([1.0, 2.0]))


# -- trees by name


def test_trees_are_matched_by_name():
    f = lambda d: d["a"] * 10 + d["b"]  # noqa: E731
    x = {"a": T(1.0), "b": T(1.0)}
    assert pg.jvp(f, (x,), ({"b": T(1.0), "a": T(0.0)},))[1].item() == 1.0
    _, pullback = pg.vjp(lambda v: {"p": v * 2, "q": v * 3}, T(1.0))
    assert pullback({"q": T(1.0), "p": T(10.0)})[0].item() == 23.0
    got = pg.tree.map(lambda a, b: a - b, {"a": T(1.0), "b": T(2.0)}, {"b": T(2.0), "a": T(1.0)})
    assert got["a"].item() == got["b"].item() == 0.0
    for wrong, words in (
        ({"a": T(1.0), "c": T(1.0)}, "b, c"),
        ([T(1.0), T(1.0)], "list"),
        ({"a": T(1.0), "b": 2.0}, r"float at (0\.)?b"),
    ):
        with pytest.raises(ValueError, match=words):
            pg.jvp(f, (x,), (wrong,))
        with pytest.raises(ValueError, match=words):
            pg.tree.map(lambda a, b: a, x, wrong)


def test_two_tangents_for_one_tensor():
    x = T(2.0)
    with pytest.raises(ValueError, match="two different values at 0.b"):
        pg.jvp(lambda d: d["a"] * d["b"], ({"a": x, "b": x},), ({"a": T(1.0), "b": T(5.0)},))


def test_none_in_a_tangent_is_zero():
    assert (
        pg.jvp(lambda d: d["a"] * d["b"], ({"a": T(2.0), "b": T(3.0)},), ({"a": T(1.0), "b": None},))[1].item() == 3.0
    )


def test_one_tensor_mapped_along_two_axes():
    x = T([[1.0, 2.0], [3.0, 4.0]])
    found = pg.vmap(lambda d: d["a"] - d["b"], in_axes=({"a": 0, "b": 1},))({"a": x, "b": x})
    assert found.tolist() == [[0.0, -1.0], [1.0, 0.0]]


def test_out_axes_of_none():
    x, c = T([1.0, 2.0]), T(5.0)
    y, same = pg.vmap(lambda v: (v, c), out_axes=(0, None))(x)
    assert y.shape == (2,) and same.shape == ()
    with pytest.raises(ShapeError, match="out_axes=None"):
        pg.vmap(lambda v: v, out_axes=None)(x)


class Part(pg.Module):
    def __init__(self, *parts):
        self.w = pg.Parameter(np.ones(1))
        self.parts = list(parts)

    def forward(self):
        return pg.sum(self.w)


def test_shared_modules_stay_shared_and_cost_nothing():
    shared = Part()
    g = pg.grad(lambda m: pg.sum(m.parts[0].w * (2.0 if m.parts[0] is m.parts[1] else 0.0)))(Part(shared, shared))
    assert g.parts[0].w.tolist() == [2.0]
    top = Part()
    for _ in range(40):  # 2 ** 40 paths
        top = Part(top, top)
    assert len(top.parameters()) == 41 and len(pg.tree.leaves(top)) == 41
    loop = Part()
    loop.parts.append(loop)
    assert len(loop.parameters()) == 1


# -- derivatives of functions with their own rule


def test_second_derivatives_of_a_custom_vjp_under_vmap():
    @pg.custom_vjp
    def f(x):
        return pg.sin(x)

    f.defvjp(lambda x: (pg.sin(x), x), lambda r, g: (g * pg.cos(r),))
    x = T([0.3, 0.7, 1.1])
    wanted = -np.sin(x.numpy())
    np.testing.assert_allclose(pg.vmap(pg.grad(pg.grad(f)))(x).numpy(), wanted, rtol=1e-12)
    np.testing.assert_allclose(pg.vmap(pg.hessian(f))(x).numpy(), wanted, rtol=1e-12)
    np.testing.assert_allclose(pg.vmap(lambda v: pg.jvp(pg.grad(f), (v,), (T(1.0),))[1])(x).numpy(), wanted, rtol=1e-12)


def test_a_wrong_cotangent_names_the_op():
    def op(name, vjp):
        return pg.Op(
            name, dtypes="float", spec=lambda x: pg.Spec(x.shape, x.dtype), decompose=lambda x: x * 2.0, vjp=vjp
        )

    wide = op("test.wide", lambda g, y, xs, need: (pg.ones(7, dtype="float64"),))
    bare = op("test.bare", lambda g, y, xs, need: g)
    with pytest.raises(
        PluginError, match=r"test\.wide: vjp gives a cotangent of shape \(7,\) for an operand of shape \(3,\)"
    ):
        pg.grad(lambda x: pg.sum(wide(x)))(T(np.ones(3)))
    with pytest.raises(PluginError, match=r"test\.bare: vjp must return a tuple of 1"):
        pg.grad(lambda x: pg.sum(bare(x)))(T(np.ones(3)))


def test_a_python_number_has_no_derivative():
    with pytest.raises(ShapeError, match="Python float.*without item"):
        pg.grad(lambda x: float(pg.sum(x)))(T([1.0]))
    with pytest.raises(ShapeError, match="Python float.*without item"):
        pg.grad(lambda x: (float(pg.sum(x)), x), has_aux=True)(T([1.0]))


# -- checkpoint


def test_captured_values_that_leave_a_checkpoint_untouched():
    w, x = T([1.0, 2.0]).requires_grad_(), T([1.0, 1.0]).requires_grad_()
    y, w2 = pg.checkpoint(lambda x: (x * 2, w))(x)
    (y.sum() + (w2 * 3).sum()).backward()
    assert w.grad.tolist() == [3.0, 3.0] and x.grad.tolist() == [2.0, 2.0]


def test_a_checkpoint_that_writes_outside_says_so():
    total = pg.zeros(2, dtype="float64")

    def f(x):
        total[0] = x[1]
        return x * 2

    with pytest.raises(StateError, match="checkpoint.*Buffer"):
        pg.checkpoint(f)(T([1.0, 2.0]).requires_grad_())
    assert total.tolist() == [0.0, 0.0]


def test_a_checkpoint_copies_borrowed_memory():
    a = np.array([1.0, 2.0])
    for given in (True, False):
        x, w = pg.asarray(a), T([1.0, 1.0]).requires_grad_()
        f = (lambda w, x: (w * x).sum()) if given else (lambda w, x=x: (w * x).sum())
        y = pg.checkpoint(f)(w, x) if given else pg.checkpoint(lambda w, x=x: (w * x).sum())(w)
        a[:] = 100.0
        y.backward()
        assert w.grad.tolist() == [1.0, 2.0]
        a[:] = [1.0, 2.0]


def test_a_checkpoint_remembers_the_default_device():
    from plugrad import dispatch
    from plugrad.reference.backend import NumpyBackend

    class Elsewhere(NumpyBackend):
        name = "elsewhere"

    dispatch.add_backend(Elsewhere())
    x = T([1.0, 2.0], device="elsewhere").requires_grad_()
    with pg.device("elsewhere"):
        y = pg.checkpoint(lambda x: x * pg.ones(2))(x)
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_integer_results_are_not_recorded():
    x = T([1.0, 3.0]).requires_grad_()
    y, i = pg.checkpoint(lambda x: (x * 2, pg.argmax(x)))(x)
    assert i.numpy() == 1 and not i.requires_grad and y.requires_grad


def test_integer_results_of_a_custom_function_are_not_recorded():
    @pg.custom_vjp
    def f(x):
        return x * 2, pg.argmax(x)

    f.defvjp(lambda x: ((x * 2, pg.argmax(x)), None), lambda _, g: (g[0] * 2,))
    y, i = f(T([1.0, 3.0]).requires_grad_())
    assert i.numpy() == 1 and not i.requires_grad and y.requires_grad


# -- graphs


def test_recording_a_borrowed_array_while_staging_leaves_it_whole():
    c = pg.asarray(np.array([1.0, 2.0]))
    h = pg.compile(pg.hessian(lambda x: (x * x * c).sum()))(T([1.0, 1.0]))
    assert h.tolist() == [[2.0, 0.0], [0.0, 4.0]] and c.tolist() == [1.0, 2.0]


def test_no_grad_inside_a_graph():
    def f(x):
        with pg.no_grad():
            y = x * x
        return (y + x).sum()

    x = T([3.0])
    assert pg.grad(f)(x).tolist() == pg.grad(pg.compile(f))(x).tolist() == [1.0]
    leaf = T([3.0]).requires_grad_()
    pg.compile(f)(leaf).backward()
    assert leaf.grad.tolist() == [1.0]


@pytest.mark.parametrize(
    "f",
    [
        lambda x, c: x * c.detach(),
        lambda x, c: pg.vmap(lambda v: v * c)(x.reshape((1,)))[0],
        lambda x, c: pg.vmap(lambda v: v * 1.0)(c.reshape((1,)))[0] * x,
        lambda x, c: pg.jvp(lambda v: v * x, (c,), (c,))[1],
        lambda x, c: pg.jvp(lambda v: v * x, (c,), (x,))[0],
        lambda x, c: pg.stop_gradient(c) * x,
        lambda x, c: pg.checkpoint(lambda v: v * c)(x),
    ],
)
def test_captured_tensors_are_read_at_each_call(f):
    c = T(2.0)
    g = pg.compile(lambda x: f(x, c))
    assert g(T(1.0)).item() == 2.0
    c.assign(T(5.0))
    assert g(T(1.0)).item() == 5.0


def test_a_captured_tensor_is_mapped_at_each_call():
    c = T([1.0, 2.0])
    f = pg.compile(lambda x: pg.vmap(lambda v: v * x)(c))
    assert f(T(1.0)).tolist() == [1.0, 2.0]
    c.assign(T([5.0, 6.0]))
    assert f(T(1.0)).tolist() == [5.0, 6.0]


@pytest.mark.parametrize("read", [lambda c: c.item(), float, bool, lambda c: c.numpy(), lambda c: c.tolist()])
def test_a_captured_value_cannot_be_read_while_staging(read):
    c = T(2.0)
    with pytest.raises(LeakedTracerError, match="freeze"):
        pg.stage(lambda x: x * (1.0 if read(c) is not None else 2.0), T(1.0))


class Holder(pg.Module):
    def __init__(self):
        self.c = [2.0]

    def forward(self, x):
        c = self.c[0] if isinstance(self.c, list) else float(self.c)
        return x * c if self.training else x

    def predict(self, x):
        return self.forward(x)


def test_guards_see_contents_and_methods():
    m = Holder()
    f, p, b = pg.compile(lambda x: m(x)), pg.compile(lambda x: m.predict(x)), pg.compile(m.predict)
    x = T(1.0)

    def check(wanted):
        assert f(x).item() == p(x).item() == b(x).item() == wanted

    check(2.0)
    m.c[0] = 3.0
    check(3.0)
    m.c = None
    m.c = [7.0]
    check(7.0)
    for v in range(3, 12):
        m.c = np.float32(v)
        check(v)
    m.eval()
    check(1.0)


def test_an_attribute_that_always_changes_warns_and_stays_bounded():
    m = Holder()
    f = pg.compile(lambda x: m(x))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for v in range(40):
            m.c = float(v)
            assert f(T(1.0)).item() == v
    assert any("changes from call to call" in str(w.message) for w in caught)
    assert max(len(v) for v in f.graphs.values()) <= 16


def test_python_numbers_stay_weak_in_a_graph():
    f = pg.compile(lambda x, n: x * n)
    assert f(T([1.0]), 0.1).item() == 0.1
    assert f(pg.ones(1, dtype="float16"), 2.0).dtype == np.float16
    assert f(T([1.0]), 0.2).item() == 0.2


def test_static_arrays_are_compared_by_contents():
    f = pg.compile(lambda d: d["x"] * float(d["n"][0]))

    class Box(pg.Module):
        def __init__(self, n):
            self.n = n

    for n in (2.0, 3.0, 2.0):
        assert f({"x": T(1.0), "n": np.array([n, n])}).item() == n
    a, b = [pg.tree.flatten(Box(np.array([v, v])))[2] for v in (1.0, 1.0)]
    assert a == b and a != pg.tree.flatten(Box(np.array([1.0, 2.0])))[2]


def test_results_of_a_graph_are_handles_of_their_own():
    a, b = pg.compile(lambda x: (x + 1, x + 1))(T([0.0]))
    a += 5.0
    assert a.tolist() == [6.0] and b.tolist() == [1.0]
    x = T([1.0])
    y = pg.compile(lambda x: x)(x)
    y += 1.0
    assert x.tolist() == [1.0]


# -- state


def test_augmented_writes_to_a_buffer_are_not_recorded():
    b, w = pg.Buffer(np.zeros(2)), T([1.0, 2.0]).requires_grad_()
    for _ in range(3):
        b += w
        b[0] = w[0]
    assert not b.requires_grad and b.node is None and b.tolist() == [1.0, 6.0]


def test_loaded_state_does_not_share_memory():
    m, arr = Part(), np.zeros(1)
    m.load_state_dict({"w": arr})
    arr[:] = 7.0
    assert m.w.tolist() == [0.0]


def test_no_grad_decorates_and_nests():
    @pg.no_grad()
    def f(x):
        return x * 2

    x = T([1.0]).requires_grad_()
    assert not f(x).requires_grad
    block = pg.no_grad()
    with block, block:
        pass
    assert (x * 2).requires_grad and state.ACTIVE[0] == 0


def test_gradients_may_be_arrays():
    x = T([1.0, 2.0]).requires_grad_()
    (x * 2).backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 20.0]


def test_messages_of_wrong_calls():
    with pytest.raises(ShapeError, match=r"must be tuples.*jvp\(f, \(x,\), \(t,\)\)"):
        pg.jvp(lambda x: x, T(1.0), T(1.0))
    with pytest.raises(TypeError, match="hessian|jacfwd.*Part.*hvp"):
        pg.hessian(lambda m: m())(Part())


def test_a_shape_rule_and_a_decomposition_that_disagree():
    op = pg.Op("test.disagree", dtypes="float", spec=lambda x: pg.Spec((1,), x.dtype), decompose=lambda x: x * 2.0)
    with pytest.raises(
        PluginError, match=r"test\.disagree: decompose gives float64 \(3,\), but spec says float64 \(1,\)"
    ):
        op(T(np.ones(3)))


def test_a_forward_rule_that_returns_no_pair():
    @pg.custom_vjp
    def f(x):
        return x

    f.defvjp(lambda x: x * 1.0, lambda r, g: (g,))
    with pytest.raises(PluginError, match="returned a Tensor; it must return a pair"):
        pg.grad(lambda x: pg.sum(f(x)))(T([1.0, 2.0]))


def test_unknown_kernel_names_are_told():
    from plugrad import dispatch
    from plugrad.errors import PluginWarning
    from plugrad.reference.backend import NumpyBackend

    class Typo(NumpyBackend):
        name = "typo"
        kernels = {**NumpyBackend.kernels, "matmull": NumpyBackend.kernels["matmul"], "nn.later": abs}

    with pytest.warns(PluginWarning, match="'typo': the core has no ops matmull.*did you mean 'matmul'"):
        dispatch.add_backend(Typo())


def test_a_backend_without_movement_kernels_can_be_written_to():
    from plugrad import dispatch
    from plugrad.errors import FallbackWarning
    from plugrad.reference.backend import NumpyBackend

    class Few(NumpyBackend):
        name = "few"
        kernels = {k: NumpyBackend.kernels[k] for k in ("add", "mul")}
        into = {}

    dispatch.add_backend(Few())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        x = pg.zeros((2, 2), device="few")
        x[0, 1] = 5.0
        row = x[1]
        row[0] = 7.0
    assert x.tolist() == [[0.0, 5.0], [0.0, 0.0]] and row.tolist() == [7.0, 0.0]


def test_scalars_reach_kernels_that_take_them():
    from plugrad import Kernel, dispatch
    from plugrad.reference.backend import NumpyBackend

    seen = []

    class Direct(NumpyBackend):
        name = "direct"
        kernels = {
            **NumpyBackend.kernels,
            "mul": Kernel(lambda x, y: seen.append(type(y)) or np.multiply(x, y), scalars=True),
        }

    dispatch.add_backend(Direct())
    x = pg.ones(2, device="direct")
    assert (x * 3.0).tolist() == [3.0, 3.0] and seen == [float]
    assert (x.astype("int32") * 0.5).dtype == np.float32
    pg.grad(lambda x: pg.sum(x * 2.0))(x)


def test_numbers_can_be_formatted():
    assert f"{T(1.23456):.3f}" == "1.235" and round(T(1.23456), 2) == 1.23 and f"{T([1.0])}".startswith("Tensor(")
