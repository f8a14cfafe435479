"""What explain says of calls that did not go as hoped: not staged, recorded, one graph a batch size; and in full."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import ConcretizationError


def T(*shape):
    return pg.ones(shape, device="numpy")


def test_a_failed_staging_is_told():
    def f(x, y=None):
        x = x * 2.0
        if y is not None and x.sum() > 0:
            return x
        return x @ x

    g = pg.compile(f)
    with pytest.raises(ConcretizationError):
        g(T(3), T(1))
    with pytest.raises(pg.errors.ShapeError):
        g(T(2, 3))
    g(T(3))
    first, second, third = pg.explain(g).kinds
    assert first.staged == second.staged == 0 and not (first.graphs or second.graphs or third.failed)
    assert first.failed.startswith("ConcretizationError: bool: this bool tensor")
    assert second.failed.startswith("ShapeError: matmul: ")
    line = f.__code__.co_firstlineno
    assert (first.where, second.where) == (f"{__file__}:{line + 2}", f"{__file__}:{line + 4}")
    text = str(pg.explain(g))
    assert "could not be staged yet: ShapeError: matmul: " in text and "again because" not in text
    assert f"test_explain_causes.py:{line + 4}" in text


def test_a_failure_to_stage_again_is_told_until_it_works():
    settings = {"fail": False}

    @pg.compile
    def f(x):
        if settings["fail"]:
            raise ZeroDivisionError("no way")
        return x * 2.0

    f(T(2))
    settings["fail"] = True
    with pytest.raises(ZeroDivisionError):
        f(T(2))
    (kind,) = pg.explain(f).kinds
    assert (kind.staged, kind.failed) == (1, "ZeroDivisionError: no way")
    assert "could not be staged when it was last tried: ZeroDivisionError: no way" in str(pg.explain(f))
    settings.update(fail=False, other=1)
    f(T(2))
    assert not any(kind.failed for kind in pg.explain(f).kinds)


def test_the_result_that_is_on_the_tape_is_named():
    w = pg.Parameter([1.0, 2.0])

    def step(x, detach):
        w.grad = None
        loss = (x * w).sum()
        loss.backward()
        return x * 2.0, loss.detach() if detach else loss

    f = pg.compile(step)
    x = T(2)
    f(x, False)
    f(x, True)
    taped, calm = [kind.graphs[0] for kind in pg.explain(f).kinds]
    assert (taped.runs, calm.runs, calm.because) == ("recorded", "compiled", "")
    assert taped.because.startswith("its result 1 of 2, float32[], is on the tape of backward()")
    assert "recorded, because its result 1 of 2" in str(pg.explain(f)) and "return x.detach()" in taped.because
    g = pg.compile(lambda x: (x * w).sum())
    g(x)
    assert pg.explain(g).kinds[0].graphs[0].because.startswith("its result is on the tape")
    h = pg.compile(lambda x: (x * x).sum())
    pg.grad(h)(x)
    assert pg.explain(h).kinds[0].graphs[0].because == "a transformation around it, such as grad, differentiates it"
    kept = pg.zeros(2, device="numpy")

    @pg.compile
    def writes(x):
        kept.rebind(x * w)
        return x + 1.0

    writes(x)
    assert "op by op 1 time: what it writes is recorded; write x.detach()" in str(pg.explain(writes))


def batch(n):
    return pg.asarray(np.arange(n * 4, dtype=np.float32).reshape(n, 4) / 7, device="numpy")


@pytest.mark.parametrize("read", [False, True], ids=["written", "read"])
def test_a_training_step_by_backward_is_one_graph_for_all_batches(read):
    """``read``: gradients of the call before are added to, as nobody forgets them."""

    def run(transform):
        w = pg.Parameter(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3))
        calls = []

        def step(x):
            calls.append(1)
            if not read:
                w.grad = None
            loss = (pg.tanh(x @ w) ** 2).mean()
            loss.backward()
            w.assign(w.detach() - 0.1 * w.grad)
            return loss.detach()

        f = transform(step)
        return [f(batch(n)).item() for n in (8, 6, 3, 8, 5, 7)], w, calls, f

    got, w, calls, f = run(lambda f: pg.compile(f, batched=0))
    wanted, v, _, _ = run(lambda f: f)
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    np.testing.assert_allclose(w.detach().numpy(), v.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(w.grad.numpy(), v.grad.numpy(), rtol=1e-6)
    assert len(calls) == (4 if read else 3)  # at first there is no gradient to read
    (kind,) = pg.explain(f).kinds
    assert kind.apart == "" and kind.graphs[-1].seconds[0] == 0


@pytest.mark.parametrize("ddof", [0, 1])
def test_the_variance_of_a_sample(ddof):
    def f(x):
        centred = x - x.mean(axis=0)
        return (centred * centred).sum(axis=0) * (1 / (x.shape[0] - ddof)), x * (x.shape[0] / (x.shape[0] - 1.0))

    def g(x):
        centred = x - x.mean(axis=0)
        return (centred * centred).sum(axis=0) * (1 / (x.shape[0] - ddof))

    calls = []
    fast = pg.compile(lambda x: (calls.append(1), g(x))[1], batched=0)
    for n in (7, 4, 9, 12, 5):
        np.testing.assert_allclose(fast(batch(n)).numpy(), g(batch(n)).numpy(), rtol=1e-6)
    assert len(calls) == 3
    both, calls = pg.compile(lambda x: (calls.append(1), f(x))[1], batched=0), []
    for n in (7, 4, 9, 12, 5):
        for found, wanted in zip(both(batch(n)), f(batch(n)), strict=True):
            np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-6)
    assert len(calls) == 3


def test_why_there_is_not_one_graph_for_all_batches_is_told():
    f = pg.compile(lambda x: x * (2.0 / (x.shape[0] + 3)), batched=0)
    for n in (2, 4, 5):
        f(batch(n))
    (kind,) = pg.explain(f).kinds
    assert "neither proportional to the size nor divided by it" in kind.apart
    assert "no graph for batches of any size: a number is 0." in str(pg.explain(f))


def test_the_report_in_full():
    settings = {"scale": 0.0}
    f = pg.compile(lambda x: x * settings["scale"])
    for i in range(16):
        settings["scale"] = float(i)
        f(T(3))
    report = pg.explain(f)
    assert repr(report) == str(report) and "... and 3 more, which .full() shows" in str(report)
    full = report.full()
    assert "... and" not in full and all(why in full for why in report.kinds[0].reasons)
    assert len(full.splitlines()) == len(str(report).splitlines()) + 2
    plan = pg.memory_plan(f)
    assert repr(plan) == str(plan)
