"""Buffers and generators behave the same under every transformation: written once, primal only, never recorded."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import LeakedTracerError, RecordingError, StateError

R = np.random.default_rng(7)
X = R.normal(size=(8, 4))
W = R.normal(size=(4, 3))


class Net(pg.Module):
    """Normalises by batch statistics that it tracks, and drops entries at random."""

    def __init__(self, reduce=None):
        self.w = pg.Parameter(W)
        self.mean = pg.Buffer(np.zeros(3), name="Net.mean", reduce=reduce)
        self.count = pg.Buffer(np.zeros(()), name="Net.count", reduce=reduce and (lambda t: t[0]))
        self.generator = pg.random.Generator(5, device="numpy")
        self.state = self.generator.state
        self.drop = True

    def forward(self, x):
        h = pg.tanh(x @ self.w)
        m = pg.mean(h, axis=0)
        self.mean.assign(self.mean * 0.9 + m * 0.1)
        self.count.assign(self.count + 1.0)
        h = h - m
        if self.drop:
            h = pg.where(pg.random.uniform(self.generator.key(), h.shape) > 0.5, h * 2.0, 0.0)
        return h


def loss(net, x):
    h = net(x)
    return pg.sum(h * h * h) + pg.sum(h)


def stats(net):
    return [net.mean.numpy().copy(), net.count.numpy().copy(), net.state.numpy().copy()]


@pytest.fixture(scope="module")
def wanted():
    with pg.device("numpy"):
        net = Net()
        x = pg.asarray(X).requires_grad_()
        value = loss(net, x)
        value.backward()
        return value.item(), net.w.grad.numpy(), x.grad.numpy(), stats(net)


def check(net, wanted, value=None, grad=None):
    for got, ref in zip(stats(net), wanted[3], strict=True):
        np.testing.assert_allclose(got, ref, rtol=1e-13)
    for b in (net.mean, net.count, net.state):
        assert b.tr is None and not b.mask
    if value is not None:
        np.testing.assert_allclose(value.item(), wanted[0], rtol=1e-13)
    if grad is not None:
        np.testing.assert_allclose(grad.detach().numpy(), wanted[1], rtol=1e-12)


def test_once_is_once(wanted):
    assert wanted[3][1] == 1 and wanted[3][2].tolist() == [5, 1]


def test_value_and_grad(wanted):
    net = Net()
    value, g = pg.value_and_grad(loss)(net, pg.asarray(X))
    check(net, wanted, value, g.w)
    assert g.mean is None and isinstance(g, Net)
    assert not value.mask


def test_grad_of_a_closure(wanted):
    net = Net()
    gx = pg.grad(lambda x: loss(net, x))(pg.asarray(X))
    check(net, wanted)
    np.testing.assert_allclose(gx.detach().numpy(), wanted[2], rtol=1e-12)


def test_jvp(wanted):
    net = Net()
    t = R.normal(size=X.shape)
    value, dy = pg.jvp(lambda x: loss(net, x), (pg.asarray(X),), (pg.asarray(t),))
    check(net, wanted, value)
    np.testing.assert_allclose(dy.item(), np.sum(wanted[2] * t), rtol=1e-11)


def test_jvp_over_the_module(wanted):
    net = Net()
    tangent = pg.tree.map(lambda t: pg.asarray(np.ones(t.shape)), net)
    value, dy = pg.jvp(loss, (net, pg.asarray(X)), (tangent, pg.asarray(X * 0)))
    check(net, wanted, value)
    np.testing.assert_allclose(dy.item(), np.sum(wanted[1]), rtol=1e-11)


def test_second_order(wanted):
    v = pg.asarray(R.normal(size=X.shape))
    net = Net()
    product = pg.hvp(lambda x: loss(net, x), (pg.asarray(X),), (v,))
    check(net, wanted)
    net = Net()
    hessian = pg.hessian(lambda x: loss(net, x))(pg.asarray(X))
    check(net, wanted)
    np.testing.assert_allclose(
        np.tensordot(hessian.detach().numpy(), v.numpy(), 2), product.detach().numpy(), rtol=1e-10, atol=1e-12
    )
    net = Net()
    pg.jacrev(net)(pg.asarray(X))
    check(net, wanted)
    net = Net()
    pg.jacfwd(net)(pg.asarray(X))
    check(net, wanted)


def test_checkpoint_bit_for_bit(wanted):
    net = Net()
    value = pg.checkpoint(loss)(net, pg.asarray(X))
    check(net, wanted, value)
    value.backward()
    check(net, wanted)
    np.testing.assert_array_equal(net.w.grad.numpy(), wanted[1])
    net = Net()
    value, g = pg.value_and_grad(pg.checkpoint(loss))(net, pg.asarray(X))
    check(net, wanted, value, g.w)


def test_two_forwards_before_one_backward():
    plain, saved = Net(), Net()
    a, b = pg.asarray(X), pg.asarray(X * 0.5)
    (loss(plain, a) + loss(plain, b)).backward()
    f = pg.checkpoint(loss)
    (f(saved, a) + f(saved, b)).backward()
    np.testing.assert_array_equal(saved.w.grad.numpy(), plain.w.grad.numpy())
    for got, ref in zip(stats(saved), stats(plain), strict=True):
        np.testing.assert_array_equal(got, ref)


def test_nested_checkpoints(wanted):
    net = Net()

    def nested(net, x):
        inner = pg.checkpoint(lambda h: net(h))
        h = inner(x)
        return pg.sum(h * h * h) + pg.sum(h)

    value, g = pg.value_and_grad(pg.checkpoint(nested))(net, pg.asarray(X))
    check(net, wanted, value, g.w)


def test_checkpoint_of_captured_weights(wanted):
    net = Net()
    x = pg.asarray(X)
    pg.checkpoint(lambda v: loss(net, v))(x).backward()
    np.testing.assert_array_equal(net.w.grad.numpy(), wanted[1])


def test_hvp_of_checkpoint(wanted):
    v = pg.asarray(np.cos(X))
    plain, saved = Net(), Net()
    one = pg.hvp(lambda x: loss(plain, x), (pg.asarray(X),), (v,))
    two = pg.hvp(lambda x: pg.checkpoint(loss)(saved, x), (pg.asarray(X),), (v,))
    np.testing.assert_allclose(two.detach().numpy(), one.detach().numpy(), rtol=1e-12)
    check(saved, wanted)


def test_checkpoint_with_trees_and_arguments_written_to():
    def f(d, x):
        x[0] = x[0] * 2.0 + d["a"][0]
        return {"out": x * d["b"], "in": d["a"]}

    def total(saved, d, x):
        y = (pg.checkpoint(f) if saved else f)(d, x * 1.0)
        return pg.sum(y["out"] * y["out"]) + pg.sum(y["in"])

    d = {"a": pg.asarray([2.0, 3.0]), "b": pg.asarray(4.0)}
    one, two = [pg.grad(lambda d, s=s: total(s, d, pg.asarray([1.0, 1.0])))(d) for s in (False, True)]
    for k in d:
        np.testing.assert_array_equal(one[k].numpy(), two[k].numpy())


def test_nested_checkpoints_that_capture():
    """The inner re-run happens after the outer's has ended; it must know what stood for what when it ran first."""
    w = pg.asarray(1.5, dtype="float64")

    def f(x, w, c):
        def outer(x):
            h = pg.sin(x * w)

            def inner(v):
                return pg.cos(v * h) * w

            return c(inner)(x * h) * c(lambda v: pg.sin(v) * h * w)(x)

        return c(outer)(x)

    x = pg.asarray(0.7, dtype="float64")
    plain = pg.grad(lambda x, w: f(x, w, lambda g: g), (0, 1))(x, w)
    saved = pg.grad(lambda x, w: f(x, w, pg.checkpoint), (0, 1))(x, w)
    for a, b in zip(plain, saved, strict=True):
        np.testing.assert_allclose(b.item(), a.item(), rtol=1e-13)
    second = [pg.hessian(lambda x, c=c: f(x, w, c))(x).item() for c in (lambda g: g, pg.checkpoint)]
    np.testing.assert_allclose(second[1], second[0], rtol=1e-12)


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_draws_in_a_checkpoint_under_vmap(randomness):
    g = pg.random.Generator(3, device="numpy")

    def f(x):
        return pg.sum(pg.sin(x) * pg.random.uniform(g.key(), (4,)))

    found = []
    for body in (f, pg.checkpoint(f)):
        g.seed(3)
        found.append(pg.vmap(pg.grad(body), randomness=randomness)(pg.ones((3, 4))).numpy())
        assert g.state.tolist() == [3, 1]
    np.testing.assert_array_equal(found[0], found[1])


def test_checkpoint_saves_memory():
    def deep(x):
        for _ in range(20):
            x = pg.sin(x)
        return x

    def kept(f):
        x = pg.asarray(np.ones(10)).requires_grad_()
        seen, todo = set(), [f(x).node]
        while todo:
            n = todo.pop()
            if n is not None and id(n) not in seen:
                seen.add(id(n))
                todo += [t.node for t in n.inputs]
        return len(seen)

    assert kept(deep) > 20 and kept(pg.checkpoint(deep)) == 2


def test_stage_and_replay(wanted):
    net = Net()
    staged = pg.stage(lambda x: pg.value_and_grad(loss)(net, x), pg.asarray(X))
    assert stats(net)[1] == 0 and stats(net)[2].tolist() == [5, 0] and net.mean.tr is None
    value, g = staged(pg.asarray(X))
    check(net, wanted, value, g.w)
    staged(pg.asarray(X))
    twice = Net()
    loss(twice, pg.asarray(X))
    loss(twice, pg.asarray(X))
    for got, ref in zip(stats(net), stats(twice), strict=True):
        np.testing.assert_allclose(got, ref, rtol=1e-13)


def test_a_changed_weight_is_seen_by_replay():
    net, other = Net(), Net()
    staged = pg.stage(lambda x: pg.value_and_grad(loss)(net, x), pg.asarray(X))
    for n in (net, other):
        n.w.assign(n.w * 2.0)
    value, g = staged(pg.asarray(X))
    ref, ref_g = pg.value_and_grad(loss)(other, pg.asarray(X))
    np.testing.assert_allclose(value.item(), ref.item(), rtol=1e-13)
    np.testing.assert_allclose(g.w.detach().numpy(), ref_g.w.detach().numpy(), rtol=1e-12)


def test_two_handles_with_one_value_stay_two():
    shared = pg.asarray([1.0, 2.0])
    a, b = pg.Parameter([0.0, 0.0]), pg.Parameter([0.0, 0.0])
    a.assign(shared)
    b.assign(shared)
    staged = pg.stage(lambda x: pg.sum(a * x) + pg.sum(b * x * 10.0), pg.ones(2))
    b.assign([0.0, 1.0])
    assert staged(pg.ones(2)).item() == 3.0 + 10.0


def test_grad_of_a_staged_function(wanted):
    net = Net()
    gx = pg.grad(lambda x: pg.stage(lambda v: loss(net, v), x)(x))(pg.asarray(X))
    check(net, wanted)
    np.testing.assert_allclose(gx.detach().numpy(), wanted[2], rtol=1e-12)


def test_vmap_refuses_and_says_the_remedy():
    xs = pg.asarray(R.normal(size=(2, 8, 4)))
    net = Net()
    with pytest.raises(StateError, match=r"Net\.mean.*eval\(\).*reduce="):
        pg.vmap(net)(xs)
    net.drop = False
    net.mean.reduce = net.count.reduce = lambda t: pg.mean(t, axis=0)
    net = Net(reduce=lambda t: pg.mean(t, axis=0))
    net.drop = False
    assert pg.vmap(net)(xs).shape == (2, 8, 3)
    assert net.mean.shape == (3,) and net.count.item() == 1.0


def test_draws_under_vmap():
    x = pg.ones((3, 4))
    g = pg.random.Generator(1, device="numpy")

    def f(v):
        return v * pg.random.uniform(g.key(), (4,))

    with pytest.raises(StateError, match="randomness="):
        pg.vmap(f)(x)
    same = pg.vmap(f, randomness="same")(x).numpy()
    assert np.array_equal(same[0], same[1])
    different = pg.vmap(f, randomness="different")(x).numpy()
    assert len(np.unique(different)) == 12
    nested = pg.vmap(pg.vmap(lambda v: pg.random.uniform(g.key()) * v, randomness="different"), randomness="different")(
        x
    )
    assert len(np.unique(nested.numpy())) == 12
    keys = pg.random.split(pg.random.key(0), 3)
    mapped = pg.vmap(lambda k: pg.random.uniform(k, (4,)))(keys).numpy()
    np.testing.assert_array_equal(mapped, np.stack([pg.random.uniform(keys[i], (4,)).numpy() for i in range(3)]))


def test_attributes_of_a_rebuilt_module_raise():
    class Counts(pg.Module):
        def __init__(self):
            self.w = pg.Parameter([1.0])
            self.calls = 0

        def forward(self):
            self.calls += 1
            return pg.sum(self.w)

    m = Counts()
    m()
    assert m.calls == 1
    with pytest.raises(StateError, match="Counts.calls.*Buffer"):
        pg.grad(lambda m: m())(m)


def test_a_module_in_functional_use_is_off_the_users_tape():
    net = Net()
    value, g = pg.value_and_grad(loss)(net, pg.asarray(X))
    assert not value.requires_grad and not g.w.requires_grad
    value = loss(net, pg.asarray(X))
    assert value.requires_grad


def test_leaked_values_are_named():
    kept = []
    pg.vmap(lambda x: kept.append(x) or x)(pg.ones(3))
    with pytest.raises(LeakedTracerError, match="vmap that has ended"):
        kept[0] + 1
    pg.jvp(lambda x: kept.append(x) or x, (pg.ones(3),), (pg.ones(3),))
    with pytest.raises(LeakedTracerError, match="jvp that has ended"):
        pg.exp(kept[1])
    with pytest.raises(LeakedTracerError, match="stage"):
        pg.stage(lambda x: kept.append(x) or x, pg.ones(3))
        kept[2] * 2
    with pytest.raises(LeakedTracerError, match="where"):
        pg.vmap(lambda x: x if x > 0 else -x)(pg.ones(3))
    with pytest.raises(LeakedTracerError, match="stage"):
        pg.stage(lambda x: x * float(x), pg.asarray(1.0))


def test_writing_a_traced_value_outside():
    target = pg.zeros(3)
    with pytest.raises(StateError, match="Buffer"):
        pg.vmap(lambda x: target.__setitem__(0, x))(pg.ones(2))
    assert target.tolist() == [0.0, 0.0, 0.0]


def test_leaves_cannot_be_written_while_recorded():
    w = pg.Parameter([1.0, 2.0])
    with pytest.raises(RecordingError, match=r"no_grad\(\)"):
        w[0] = 5.0
    with pg.no_grad():
        w[0] = 5.0
    assert w.tolist() == [5.0, 2.0]
    w.assign([7.0, 8.0])
    pg.sum(w * w).backward()
    assert w.grad.tolist() == [14.0, 16.0]


def test_tied_weights():
    class Tied(pg.Module):
        def __init__(self):
            self.a = pg.Parameter(np.ones(3))
            self.b = self.a
            self.more = [self.a]

        def forward(self):
            return pg.sum(self.a * self.a * self.b * self.more[0])

    m = Tied()
    assert len(m.parameters()) == 1
    g = pg.grad(lambda m: m())(m)
    assert g.a.tolist() == [4.0] * 3 and g.a is g.b is g.more[0]
    m().backward()
    assert m.a.grad.tolist() == [4.0] * 3
