"""Several threads: each has modes, scopes and levels of its own; what they share loses nothing."""

import sys
import threading

import numpy as np
import pytest

import plugrad as pg
from plugrad import Op, dispatch, table
from plugrad.backend import BACKENDS
from plugrad.errors import LeakedTracerError, RecordingError
from plugrad.op import OPS
from plugrad.reference.backend import NumpyBackend
from plugrad.state import ACTIVE, OPEN, state

THREADS = 8


@pytest.fixture(autouse=True)
def eager_switching():
    """Threads take turns as often as the interpreter allows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)
    assert not ACTIVE[0] and not OPEN


def together(work, threads=THREADS):
    """``work(k)`` in every thread k at once, on the reference device; what each returned. Raises the first error."""
    gate, errors, found = threading.Barrier(threads), [], [None] * threads

    def run(k):
        try:
            with pg.device("numpy"):
                gate.wait(60)
                found[k] = work(k)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=run, args=(k,), daemon=True) for k in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(600)
    assert not any(worker.is_alive() for worker in workers)
    if errors:
        raise errors[0]
    return found


# -- transformations and the tape


def hessians(rounds):
    """vmap(hessian) over shared weights, which are leaves of the tape and borrowed memory besides."""
    weights = pg.asarray(np.linspace(-1.0, 1.0, 9).reshape(3, 3)).requires_grad_()
    xs = [pg.asarray(np.linspace(-0.5, 0.5 + k, 12).reshape(4, 3)) for k in range(THREADS)]

    def loss(x):
        return pg.sum(pg.tanh(weights @ x) ** 2) + pg.sum(weights * weights)

    second = pg.vmap(pg.hessian(loss))
    wanted = [second(x).detach().numpy() for x in xs]

    def work(k):
        return sum(not np.array_equal(second(xs[k]).detach().numpy(), wanted[k]) for _ in range(rounds))

    assert together(work) == [0] * THREADS
    assert not np.array_equal(wanted[0], wanted[1])


def test_hessians_over_shared_weights():
    hessians(30)


@pytest.mark.slow
def test_a_thousand_rounds_of_hessians():
    hessians(1000)


@pytest.mark.parametrize("shape", [(), (5,)])
def test_no_gradient_is_lost(shape):
    """Integers in floats, so that the sum is exact in any order."""
    rounds = 200
    w, v = [pg.tensor(np.full(shape, n), dtype="float64").requires_grad_() for n in (2, 3)]

    def work(k):
        for i in range(rounds):
            pg.sum(w * float(k + i) + v * 2.0).backward()

    together(work)
    wanted = sum(k + i for k in range(THREADS) for i in range(rounds))
    np.testing.assert_array_equal(w.grad.numpy(), np.full(shape, wanted))
    np.testing.assert_array_equal(v.grad.numpy(), np.full(shape, 2 * THREADS * rounds))


def test_one_backward_frees_a_shared_tape():
    """The others hear of it, whenever they come; none meets a node that is half freed."""
    for _ in range(30):
        w = pg.tensor([1.0, 2.0]).requires_grad_()
        y = w
        for _ in range(10):
            y = y * 1.0 + 0.0
        loss = pg.sum(y)

        def work(k, loss=loss):
            try:
                loss.backward()
            except RecordingError as error:
                assert "retain_graph" in str(error)
                return 0
            return 1

        assert sum(together(work, 4)) >= 1


def test_a_retained_tape_serves_every_thread():
    w = pg.tensor([1.0, 2.0]).requires_grad_()
    loss = pg.sum(w * w)
    together(lambda k: [loss.backward(retain_graph=True) for _ in range(50)])
    assert w.grad.tolist() == [2.0 * THREADS * 50, 4.0 * THREADS * 50]


# -- modes


def test_modes_are_of_one_thread():
    """Half of the threads are in no_grad, a vmap, a stage, a strict promotion and on another device; half are not."""
    w, table_ = pg.tensor([1.0, 2.0, 3.0]).requires_grad_(), pg.tensor(np.arange(6.0).reshape(2, 3))

    def inside(k):
        for _ in range(60):
            with pg.no_grad():
                assert not (w * 2.0).requires_grad
                assert pg.vmap(lambda row: pg.sum(row * 2.0))(table_).tolist() == [6.0, 24.0]
            graph = pg.stage(lambda x: pg.exp(x) * 2.0, table_).graph
            assert [e.op.name for e in graph.equations] == ["exp", "mul"]
            with pg.promotion("strict"), pytest.raises(pg.errors.DTypeError):
                pg.asarray([1]) + table_
            assert (w * 2.0).requires_grad

    def outside(k):
        for _ in range(200):
            y = w * 2.0
            assert y.requires_grad and y.tr is None
            assert (pg.asarray([1]) + pg.asarray([1.0])).tolist() == [2.0]
            assert pg.zeros(1).device == "numpy" and state().top is None and state().stage is None

    together(lambda k: inside(k) if k % 2 else outside(k))


def test_one_block_may_be_entered_by_many_threads():
    """Each gets back what it had before, in whatever order they leave."""
    block, w, gate = pg.no_grad(), pg.tensor([1.0]).requires_grad_(), threading.Barrier(2)

    def first(k):
        with block:
            gate.wait(60)  # the second may enter
            gate.wait(60)  # and has
            assert not (w + 1.0).requires_grad
        assert (w + 1.0).requires_grad
        gate.wait(60)

    def second(k):
        gate.wait(60)
        with pg.no_grad():
            with block:
                gate.wait(60)
                gate.wait(60)  # the first has left
            assert not (w + 1.0).requires_grad
        assert (w + 1.0).requires_grad

    together(lambda k: second(k) if k else first(k), 2)
    assert not block.before


def test_many_open_scopes():
    """More of them than there are bits, over all threads."""
    gate = threading.Barrier(THREADS)

    def deep(n, x):
        if n == 0:
            gate.wait(60)
            return x * x * x
        y, pullback = pg.vjp(lambda v: deep(n - 1, v), x)
        assert pullback(y.ones_like())[0].item() == 12.0
        return y

    def work(k):
        return [pg.grad(lambda x: deep(12, x))(2.0).item() for _ in range(3)]

    assert together(work) == [[12.0] * 3] * THREADS


def in_a_thread(work):
    (found,) = together(lambda k: work(), 1)
    return found


def test_a_value_inside_a_transformation_stays_in_its_thread():
    def f(x):
        return in_a_thread(lambda: pg.sum(x * 2.0))

    x = pg.tensor([1.0, 2.0])
    with pytest.raises(LeakedTracerError, match="multiply|mul.*in another thread"):
        pg.vmap(f)(x)
    with pytest.raises(LeakedTracerError, match="in another thread"):
        pg.jvp(f, (x,), (x,))
    with pytest.raises(LeakedTracerError, match="in another thread"):
        pg.stage(f, x)
    with pytest.raises(RecordingError, match="mul: .*is being differentiated in another thread; call .detach"):
        pg.grad(f)(x)
    assert pg.grad(lambda x: x * in_a_thread(lambda: x.detach() * 2.0))(3.0).item() == 6.0


def test_backward_crosses_threads():
    """The tape of ``backward()`` belongs to no thread."""
    w = pg.tensor([1.0, 2.0]).requires_grad_()
    y = in_a_thread(lambda: w * w)
    in_a_thread(lambda: pg.sum(y).backward())
    assert w.grad.tolist() == [2.0, 4.0]


# -- state that threads share


def test_a_generator_hands_out_each_key_once():
    generator = pg.random.Generator(3, device="numpy")
    found = together(lambda k: [tuple(generator.key().tolist()) for _ in range(100)])
    keys = sorted(key for keys in found for key in keys)
    assert keys == [(3, i) for i in range(100 * THREADS)]


def test_scalars_are_lifted_once_for_all():
    x = pg.tensor([1.0])

    def work(k):
        found = []
        for i in range(400):
            with pg.no_grad():
                found.append((x.be, (x + float(i % 50)).item()))
        return found

    assert together(work) == [[(0, 1.0 + i % 50) for i in range(400)]] * THREADS
    assert all(t.born == 0 for t in list(dispatch._lifted.values()))


def test_writes_to_views_of_one_tensor(monkeypatch):
    monkeypatch.setenv("PLUGRAD_VIEW_WRITE", "ignore")
    base = pg.tensor(np.arange(THREADS * 64.0).reshape(THREADS, 64))
    before = base.numpy().copy()
    whole = [base.reshape((-1,)), base[:, ::-1], base.T]

    def work(k):
        views = [base[k], base[k], base.T[:, k]]
        for i in range(100):
            for view in views:
                view += 1.0
                view[i % 64] = -1.0
        return [view.numpy() for view in views]

    for k, views in enumerate(together(work)):
        wanted = before[k].copy()
        for i in range(100):
            wanted += 1.0
            wanted[i % 64] = -1.0
        for view in views:
            np.testing.assert_array_equal(view, wanted)
    np.testing.assert_array_equal(base.numpy(), before)
    np.testing.assert_array_equal(whole[0].numpy(), before.reshape(-1))
    np.testing.assert_array_equal(whole[1].numpy(), before[:, ::-1])


def test_compiled_functions_are_shared():
    w = pg.tensor([2.0, 3.0])
    f = pg.compile(lambda x, n: pg.sum(x * w) * n)
    xs = [pg.tensor([float(k), 1.0]) for k in range(THREADS)]
    found = together(lambda k: [f(xs[k], float(i % 3)).item() for i in range(30)])
    assert found == [[(2.0 * k + 3.0) * (i % 3) for i in range(30)] for k in range(THREADS)]


# -- registration beside dispatch


@pytest.fixture
def registry():
    """Ops, backends and kernels registered within the test are taken out again."""
    ops, count, extra = set(OPS), len(BACKENDS), {key: list(found) for key, found in table._extra.items()}
    yield
    for name in set(OPS) - ops:
        del OPS[name]
    del BACKENDS[count:]
    for op in OPS.values():
        for rows in op.tables:
            del rows[count:]
    table._extra.clear()
    table._extra.update(extra)


def named(number):
    return type(f"Backend{number}", (NumpyBackend,), {"name": f"threads{number}"})()


def test_registration_beside_dispatch(registry):
    """Backends and ops appear while others compute: every op has a row for every backend, in the right place."""
    x = pg.tensor([1.0, 2.0])

    def work(k):
        if k < 2:
            return [dispatch.add_backend(named(10 * k + i)) for i in range(5)]
        if k < 4:
            return [Op(f"threads.op{k}_{i}", decompose=lambda x: x + 1.0) for i in range(50)]
        for _ in range(200):
            assert (x * x + x).tolist() == [2.0, 6.0]
            for name in [name for name in list(OPS) if name.startswith("threads.")][-3:]:
                assert OPS[name](x).tolist() == [2.0, 3.0]
        return []

    found = together(work)
    assert sorted(found[0] + found[1]) == list(range(len(BACKENDS) - 10, len(BACKENDS)))
    assert all(len(rows) == len(BACKENDS) for op in OPS.values() for rows in op.tables)
    for index in found[0] + found[1]:
        assert all(op.table[index][code] is not None for op in OPS.values() for code in op.codes)
        y = pg.asarray([3.0], device=BACKENDS[index].name)
        assert (y * y).tolist() == [9.0] and (y * y).device == BACKENDS[index].name


def test_one_of_many_definitions_wins(registry):
    def work(k):
        made = 0
        for i in range(30):
            try:
                Op(f"threads.same{i}", decompose=lambda x: x)
                made += 1
            except pg.errors.PluginError as error:
                assert "is defined already" in str(error)
        return made

    assert sum(together(work)) == 30


def test_kernels_are_swapped_whole(registry):
    """A dispatch meets the old kernel or the new one."""
    x = pg.tensor([1.0, 2.0])
    op = Op("threads.swapped", decompose=lambda x: x * 1.0)

    def work(k):
        if k == 0:
            for i in range(1, 60):
                dispatch.add_kernel(op.name, "numpy", pg.Kernel(lambda v, i=i: v * i, priority=i, provider="test"))
            return []
        return [op(x).tolist()[1] / 2.0 for _ in range(300)]

    for values in together(work)[1:]:
        assert values == sorted(values) and set(values) <= set(map(float, range(1, 60)))
    assert op(x).tolist() == [59.0, 118.0]
