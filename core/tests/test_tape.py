"""Graph ids, lifetimes and the walk: no leaks, no recursion, no confusion, without the help of the cycle collector."""

import gc
import sys
import threading

import numpy as np
import pytest

import plugrad as pg
from plugrad import state
from plugrad.errors import RecordingError
from plugrad.tensor import Node


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def live_nodes():
    return sum(1 for o in gc.get_objects() if type(o) is Node)


def test_a_carried_value_costs_constant_memory(no_collector):
    w = pg.asarray(np.ones(3))
    carried = pg.asarray(np.ones(3))

    def step(carried):
        def loss(w):
            h = pg.sin(w * carried)
            return pg.sum(h), h

        (_, h), g = pg.value_and_grad(loss, has_aux=True)(w)
        return h * 0.5 + g * 0.1

    before = live_nodes()
    for _ in range(50):
        carried = step(carried)
    blocks = sys.getallocatedblocks()
    for _ in range(10_000):
        carried = step(carried)
    assert sys.getallocatedblocks() - blocks < 200
    assert live_nodes() - before <= 2
    assert not carried.mask


def test_a_thousand_live_pullbacks(no_collector):
    free = len(state._free_bits)
    pulls = [pg.vjp(lambda x, i=i: x * x * float(i), pg.asarray(2.0, dtype="float64"))[1] for i in range(1000)]
    assert len(state._free_bits) == free
    assert [p(pg.asarray(1.0, dtype="float64"))[0].item() for p in pulls] == [4.0 * i for i in range(1000)]


def test_a_bit_taken_again_is_not_mistaken():
    kept = []

    def f(x):
        kept.append(x * 3)
        return pg.sum(x * 3)

    pg.grad(f)(pg.asarray([1.0]))
    stale = kept[0]  # carries the bit of a scope that has ended
    assert pg.grad(lambda x: pg.sum(x * stale))(pg.asarray([1.0])).tolist() == [3.0]
    assert pg.grad(lambda x: pg.sum(stale * stale) + pg.sum(x))(pg.asarray([1.0])).tolist() == [1.0]


def test_more_open_scopes_than_bits():
    def nest(n):
        return (lambda x: x**70.0) if n == 0 else pg.grad(nest(n - 1))

    with_scopes = pg.grad(lambda x: deep(x, 70))(pg.asarray(1.0, dtype="float64"))
    assert with_scopes.item() == 71.0
    assert nest(3)(pg.asarray(1.0, dtype="float64")).item() == 70 * 69 * 68


def deep(x, n):
    """x ** (n + 1), as the integral of nested gradients: each level opens a scope."""
    return x if n == 0 else x * pg.grad(lambda y: y * deep(x, n - 1))(pg.asarray(1.0, dtype="float64"))


def test_a_long_tape_is_walked_and_freed_without_recursion(no_collector):
    x = pg.asarray(1.0, dtype="float64").requires_grad_()
    y = x
    for _ in range(300_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1.0
    z = x
    for _ in range(300_000):
        z = z * 1.0
    del z  # never walked: freed from the end
    assert live_nodes() < 1000


def test_freed_tape_says_the_remedy():
    x = pg.asarray([1.0]).requires_grad_()
    y = pg.sum(x * x)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4.0]
    with pytest.raises(RecordingError, match="retain_graph=True"):
        y.backward()


def test_backward_accumulates_and_zero():
    x = pg.asarray([1.0, 2.0]).requires_grad_()
    pg.sum(x * x).backward()
    pg.sum(x * 3).backward()
    assert x.grad.tolist() == [5.0, 7.0]


def test_a_value_used_twice_gets_the_sum():
    x = pg.asarray([1.0, 2.0]).requires_grad_()
    y = x * 2
    pg.sum(y * y + y).backward()
    assert x.grad.tolist() == [10.0, 18.0]


def test_create_graph_gives_differentiable_gradients():
    x = pg.asarray(2.0, dtype="float64").requires_grad_()
    (x * x * x).backward(create_graph=True)
    g = x.grad
    x.grad = None
    (g * g).backward()
    assert x.grad.item() == 2 * 12.0 * 12.0


def test_no_grad_and_grad_inside_it():
    x = pg.asarray([1.0]).requires_grad_()
    with pg.no_grad():
        assert not (x * 2).requires_grad
        assert pg.grad(lambda v: pg.sum(v * v))(pg.asarray([3.0])).tolist() == [6.0]


def test_backward_inside_grad_and_the_other_way_round():
    w = pg.asarray(2.0, dtype="float64").requires_grad_()
    g = pg.grad(lambda x: x * w)(pg.asarray(5.0, dtype="float64"))
    g.backward()
    assert w.grad.item() == 1.0


def test_observe_hears_each_leaf_when_its_gradient_is_final():
    from plugrad.tape import backward

    a, b = pg.asarray([1.0]).requires_grad_(), pg.asarray([2.0]).requires_grad_()
    heard = []
    h = a * a
    y = pg.sum(h * b + b)
    backward(y, observe=lambda t, g: heard.append((t is a, g.tolist())))
    assert sorted(heard) == [(False, [2.0]), (True, [4.0])]


def test_a_leaf_keeps_no_cycle(no_collector):
    before = live_nodes()
    for _ in range(100):
        x = pg.asarray([1.0]).requires_grad_()
        y = pg.sum(x * x)
        y.backward()
        del x, y
    assert live_nodes() - before <= 1


def test_saved_values_are_those_the_rule_reads():
    x = pg.asarray(np.ones(1000)).requires_grad_()
    y = (x + 1.0).reshape((10, 100))
    node = y.node
    assert all(t.val is None for t in node.inputs) and node.outputs[0].val is None
    z = pg.exp(x)
    assert z.node.inputs[0].val is None and z.node.outputs[0].val is not None


def fill(n):
    def f(w):
        z = pg.zeros((n, 8), dtype="float64")
        for i in range(n):
            z[i] = w * float(i)
        return pg.sum(z * z)

    return f


def test_filling_ten_thousand_rows_copies_the_array_a_constant_number_of_times(monkeypatch):
    """Linear time, forward and backward: each of the n writes touches its row only.

    A full copy a row would be quadratic.
    """
    from plugrad.dtypes import F8

    copies = {10: 0, 10_000: 0}
    table = pg.OPS["slice_update"].table
    plain = table[0][F8]

    def counting(x, *args, **attrs):
        copies[len(x)] += 1
        return plain(x, *args, **attrs)

    monkeypatch.setattr(pg.OPS["slice_update"], "table", [[counting if c == F8 else k for c, k in enumerate(table[0])]])
    for n in copies:
        g = pg.grad(fill(n))(pg.asarray(np.ones(8)))
        np.testing.assert_allclose(g.numpy(), 2.0 * sum(float(i) ** 2 for i in range(n)))
    assert copies[10_000] == copies[10] <= 1


def test_a_cotangent_handed_to_two_is_not_overwritten_by_one():
    """The rule of ``add`` hands one cotangent to both operands; filling a row backward zeroes its own in place."""

    def f(w, u):
        z = pg.zeros((2, 3), dtype="float64")
        z[0] = w
        z[1] = w
        return pg.sum((z + u) * 3.0)

    gw, gu = pg.grad(f, (0, 1))(pg.asarray(np.ones(3)), pg.asarray(np.ones((2, 3))))
    assert gw.tolist() == [6.0] * 3 and gu.tolist() == [[3.0] * 3] * 2


def test_each_id_is_recorded_at_exactly_one_level():
    inside = []

    def product(x, w):
        y = x * w
        inside.append((bool(y.mask), bool(y.val.mask)))
        return pg.sum(y)

    xs, w = pg.ones((2, 3)), pg.ones(3)
    pg.vmap(pg.grad(lambda x: product(x, w)))(xs)
    pg.vmap(lambda x: pg.grad(lambda v: product(x, v))(w))(xs)
    pg.grad(lambda x: pg.sum(pg.vmap(lambda x: product(x, w))(x)))(xs)
    pg.grad(lambda v: pg.sum(pg.vmap(lambda x: product(x, v))(xs)))(w)
    assert inside == [(True, False)] * 2 + [(False, True)] * 2


def test_rows_are_filled_in_their_own_buffer():
    seen = []

    def f(w):
        z = pg.zeros((50, 3), dtype="float64")
        first = id(z.val)
        for i in range(50):
            z[i] = w
        seen.append(id(z.val) == first)
        return pg.sum(z * z)

    assert pg.grad(f)(pg.asarray(np.ones(3))).tolist() == [100.0] * 3
    assert seen == [True]


def test_threads_keep_their_own_tapes():
    w = pg.asarray(np.arange(1.0, 5.0)).requires_grad_()
    results = {}

    def work(k):
        with pg.device("numpy"):
            for _ in range(50):
                h = pg.vmap(pg.hessian(lambda x: pg.sum(x * x * x * float(k))))(pg.asarray(np.ones((2, 3))))
                g = pg.grad(lambda v: pg.sum(v * w * float(k)))(pg.asarray(np.ones(4)))
            results[k] = h.numpy().sum(), g.detach().numpy().sum()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert results == {k: (36.0 * k, 10.0 * k) for k in range(4)}
    assert state.ACTIVE[0] == 0


def test_backward_errors():
    with pytest.raises(RecordingError, match="requires_grad_"):
        pg.ones(()).backward()
    x = pg.asarray([1.0, 2.0]).requires_grad_()
    with pytest.raises(RecordingError, match="gradient="):
        (x * 2).backward()
    with pytest.raises(RecordingError, match=r"shape \(3,\)"):
        (x * 2).backward(pg.ones(3))
    (x * 2).backward(pg.asarray([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 20.0]
