"""The recorder hears what really runs: in every thread, at every level of transformations, and changes nothing."""

import gc
import threading
import weakref

import numpy as np
import pytest

import plugrad as pg
from plugrad import Op, dispatch
from plugrad.backend import Spec
from plugrad.reference.backend import NumpyBackend
from plugrad.testing.capture import Recorder, load, replay_checks, save


class Meagre(NumpyBackend):
    """The reference without some of its kernels: what is composed, and what runs on the host."""

    name = "meagre"
    kernels = {k: f for k, f in NumpyBackend.kernels.items() if k not in ("tanh", "sqrt")}


class Claiming(NumpyBackend):
    """The reference with claims of the composites below, which a graph therefore keeps whole."""

    name = "claims_convolution"
    kernels = {
        **NumpyBackend.kernels,
        "capturetest.half": lambda x, *, words: np.exp(x * 0.5),
        "capturetest.half_bwd": lambda g, y, x: g * y * 0.5,
        "capturetest.called": lambda x, *, f: np.exp(x),
    }


for made in (Meagre(), Claiming()):
    if made.name not in [backend.name for backend in dispatch.BACKENDS]:
        dispatch.add_backend(made)


class Half(Op):
    """A composite with a backward rule that reads its result."""

    name = "capturetest.half"
    dtypes = "float"

    def spec(self, x, *, words):
        return Spec(x.shape, x.dtype)

    def decompose(self, x, *, words):
        return pg.exp(x * 0.5)

    def vjp(self, g, y, xs, need, *, words):
        return (HALF_BWD(g, y, xs[0]),)


class HalfBwd(Op):
    """Its twin."""

    name = "capturetest.half_bwd"
    dtypes = "float"

    def spec(self, g, y, x):
        return Spec(x.shape, x.dtype)

    def decompose(self, g, y, x):
        return g * y * 0.5


class Same(Op):
    """A composite whose result is its operand, and which has a backward rule that reads both."""

    name = "capturetest.same"

    def spec(self, x):
        return Spec(x.shape, x.dtype)

    def decompose(self, x):
        return x

    def vjp(self, g, y, xs, need):
        return (HALF_BWD(g, y, xs[0]),)


class Called(Op):
    """An attribute that no file can hold."""

    name = "capturetest.called"

    def spec(self, x, *, f):
        return Spec(x.shape, x.dtype)

    def decompose(self, x, *, f):
        return f(x)


class Outer(Op):
    """A composite of the one above."""

    name = "capturetest.outer"

    def spec(self, x):
        return Spec(x.shape, x.dtype)

    def decompose(self, x):
        return CALLED(x, f=pg.exp)


HALF, HALF_BWD, SAME, CALLED, OUTER = Half(), HalfBwd(), Same(), Called(), Outer()


@pytest.fixture
def known_ops(monkeypatch):
    """The ops of this file count as those of the core."""
    monkeypatch.setattr("plugrad.testing.capture.recorder.CORE", frozenset(pg.op.OPS))


def half(x):
    return HALF(x, words="a")


def recorded(f):
    """The distinct calls of a function: op and shapes, with their number."""
    with Recorder() as recorder:
        f()
    return {(call.op, *[x.shape for x in call.operands]): call.count for call in recorder.captured().calls}


def test_calls_that_are_alike_are_counted():
    x, y = pg.ones((2, 3)), pg.ones((2, 3), dtype="float64")

    def f():
        for _ in range(5):
            x + x
        y + y
        pg.sum(x, axis=0)
        pg.sum(x, axis=1)

    with Recorder() as recorder:
        f()
    found = [(c.op, c.operands[0].dtype, dict(c.attrs), c.count) for c in recorder.captured().calls]
    assert found == [
        ("add", "float32", {}, 5),
        ("add", "float64", {}, 1),
        ("sum", "float32", {"axis": (0,), "keepdims": False}, 1),
        ("sum", "float32", {"axis": (1,), "keepdims": False}, 1),
    ]
    assert recorder.captured().devices == ("numpy",)


def test_native_composed_and_fallback():
    x, y = pg.asarray([0.5], device="meagre"), pg.asarray([0.5])
    pg.reset_fallback_report()
    with Recorder() as recorder, pytest.warns(UserWarning, match="sqrt"):
        pg.sin(x), pg.tanh(x), pg.sqrt(x), pg.tanh(y)
    how = {call.op: call.how for call in recorder.captured().calls}
    assert (how["sin"], how["sqrt"]) == ({"native": 1}, {"fallback": 1})
    assert how["tanh"] == {"native": 1, "composed": 1}
    assert recorder.captured().devices == ("meagre", "numpy")


def test_a_composite_and_what_it_is_composed_of(known_ops):
    whole = recorded(lambda: half(pg.ones(4)))
    assert whole == {("capturetest.half", (4,)): 1, ("exp", (4,)): 1, ("full",): 1, ("mul", (4,), ()): 1}
    claimed = recorded(lambda: half(pg.ones(4, device="claims_convolution")))
    assert claimed == {("capturetest.half", (4,)): 1, ("full",): 1}


def test_under_grad_vmap_and_jvp_the_computed_shapes_are_recorded():
    x = pg.ones((5, 3))
    assert recorded(lambda: pg.vmap(pg.exp)(x)) == {("exp", (5, 3)): 1}
    grad = recorded(lambda: pg.grad(lambda v: pg.sum(pg.exp(v)))(x))
    assert grad["exp", (5, 3)] == 1 and grad["mul", (5, 3), (5, 3)] == 1
    assert recorded(lambda: pg.jvp(pg.exp, (x,), (x,))) == {("exp", (5, 3)): 1, ("mul", (5, 3), (5, 3)): 1}
    nested = recorded(lambda: pg.vmap(pg.grad(lambda v: pg.sum(pg.exp(v))))(x))
    assert nested["exp", (5, 3)] == 1 and ("exp", (3,)) not in nested


def test_what_is_staged_is_recorded_when_it_runs():
    x = pg.ones(3)
    assert recorded(lambda: pg.stage(pg.exp, x)) == {}
    assert recorded(lambda: pg.stage(lambda v: v + pg.exp(x), x)) == {}
    f = pg.compile(lambda v: pg.exp(v) + 1.0)
    assert recorded(lambda: [f(x), f(x), f(x)]) == {("add", (3,), ()): 3, ("exp", (3,)): 3}
    step = pg.compile(pg.grad(lambda v: pg.sum(pg.exp(v))))
    assert recorded(lambda: step(x))["exp", (3,)] == 1


def test_calls_of_all_threads_are_recorded():
    x = pg.ones(3)

    def work():
        for _ in range(50):
            pg.grad(lambda v: pg.sum(pg.exp(v)))(x)

    def f():
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert recorded(f)["exp", (3,)] == 200


def test_operands_are_looked_at_again_as_they_change():
    with Recorder() as recorder:
        for i in range(20):
            pg.exp(pg.asarray(np.full(7, float(i))))
    (call,) = [c for c in recorder.captured().calls if c.op == "exp"]
    assert (call.operands[0].elements["low"], call.operands[0].elements["high"]) == (0.0, 15.0)


def test_a_call_that_fails_is_not_recorded():
    def f():
        with pytest.raises(pg.errors.LinAlgError):
            pg.linalg.cholesky(pg.zeros((2, 2)) - 1.0)

    assert not any(key[0] == "cholesky" for key in recorded(f))


def test_control_flow_and_custom_functions_are_left_out_but_not_what_they_call():
    x = pg.asarray(2.0)
    f = pg.compile(lambda v: pg.cond(v > 1, pg.exp, pg.sin, v))

    @pg.custom_vjp
    def mine(v):
        return pg.tanh(v)

    mine.defvjp(lambda v: (pg.tanh(v), v), lambda v, g: (g * pg.cos(v),))
    with Recorder() as recorder:
        f(x)
        pg.grad(mine)(x)
    captured = recorder.captured()
    assert {"exp", "tanh", "cos"} <= {call.op for call in captured.calls}
    out = {one.op: one.reason for one in captured.left_out}
    assert "functions" in out["cond"] and "functions" in out["mine"]


def test_a_call_without_a_form_does_not_speak_for_the_one_around_it(known_ops):
    x = pg.ones(2, device="claims_convolution")
    with Recorder() as recorder:
        OUTER(x)
    assert [(call.op, call.how) for call in recorder.captured().calls] == [("capturetest.outer", {"composed": 1})]


def test_a_result_that_is_the_operand_itself_is_no_result_of_the_forward(known_ops, tmp_path):
    with Recorder() as recorder:
        pg.grad(lambda v: pg.sum(SAME(v) * 2.0))(pg.asarray([1.0, 2.0]))
    captured = recorder.captured()
    assert [call.forward for call in captured.calls if call.op == "capturetest.half_bwd"] == [None]
    save(captured, tmp_path / "x.json")
    assert load(tmp_path / "x.json") == captured


def test_ops_of_a_script_are_left_out_and_so_are_attributes_without_a_form(tmp_path):
    with Recorder() as recorder:
        CALLED(pg.ones(2), f=pg.exp)
        half(pg.ones(2))
        pg.ones(2).to("meagre")
    captured = recorder.captured()
    out = {one.op: one.reason for one in captured.left_out}
    assert "an attribute is a function" in out["capturetest.called"]
    assert "no plugin registers it" in out["capturetest.half"] and "no kernel" in out["to_device"]
    assert {call.op for call in captured.calls} == {"exp", "mul", "full"}
    save(captured, tmp_path / "x.json")
    assert load(tmp_path / "x.json") == captured


@pytest.mark.parametrize("transform", [lambda f: f, pg.compile], ids=["eager", "compiled"])
def test_results_of_the_forward_that_a_backward_reads_are_made_by_the_forward(transform, known_ops, monkeypatch):
    x = pg.asarray(np.linspace(-1, 1, 6), device="claims_convolution")
    with Recorder() as recorder:
        transform(pg.grad(lambda v: pg.sum(half(v) * 2.0)))(x)
    (call,) = [c for c in recorder.captured().calls if c.op == "capturetest.half_bwd"]
    assert (call.forward.op, call.forward.operands, call.forward.results) == ("capturetest.half", (2,), {1: 0})
    seen = []

    def bind(op, xs, attrs):
        seen.append((op, xs))
        return dispatch.bind(op, xs, attrs)

    monkeypatch.setattr(Op, "bind", staticmethod(bind))
    for check in replay_checks(recorder.captured(), "numpy"):
        check()
    ((_, y, v),) = [xs for op, xs in seen if op is HALF_BWD]
    assert np.unique(v.numpy()).size == 6
    np.testing.assert_allclose(y.numpy(), np.exp(v.numpy() / 2), rtol=1e-12)


def test_being_recorded_changes_nothing():
    def f():
        key, x = pg.random.key(3), pg.asarray(np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4))
        y = pg.Parameter(pg.random.normal(key, (4, 2)))
        loss = pg.sum(pg.tanh(x @ y) ** 2) * 0.1
        loss.backward()
        x[0] = 7.0
        x += 0.3
        return [loss.detach().numpy(), y.grad.numpy(), x.numpy()]

    before = f()
    with Recorder():
        during = f()
    assert all(np.array_equal(a, b) for a, b in zip(before, during, strict=True))


def test_the_order_does_not_depend_on_that_of_the_calls():
    x, y = pg.ones(2), pg.ones(3)

    def captured(*fs):
        with Recorder() as recorder:
            for f in fs:
                f()
        return recorder.captured()

    calls = [lambda: pg.exp(y), lambda: pg.exp(x), lambda: pg.sin(x)]
    assert captured(*calls) == captured(*calls[::-1])


def test_what_was_computed_is_not_kept_alive():
    with Recorder() as recorder:
        w = pg.Parameter([1.0, 2.0], device="numpy")
        y = pg.exp(w)
        alive = weakref.ref(y.val)
        pg.sum(y).backward()
        del y
        gc.collect()
        assert alive() is None
    assert "exp" in {call.op for call in recorder.captured().calls}
