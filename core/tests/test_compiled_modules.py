"""A compiled Module stands where the Module stood: parameters, state, modes, trees, copies, and the same results."""

import copy
import pickle

import numpy as np
import pytest

import plugrad as pg
from plugrad import tree


class Line(pg.Module):
    def __init__(self, n, m, key=0):
        self.weight = pg.Parameter(pg.random.normal(pg.random.key(key), (n, m)))
        self.bias = pg.Parameter(pg.zeros(m))
        self.mean = pg.Buffer(pg.zeros(n))

    def forward(self, x):
        if self.training:
            self.mean.assign(0.9 * self.mean + 0.1 * pg.mean(x, axis=0).detach())
        return (x - self.mean) @ self.weight + self.bias


class Chain(pg.Module):
    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        for layer in self.layers:
            x = pg.tanh(layer(x))
        return x


class Holder(pg.Module):
    def __init__(self, compiled):
        self.body = Line(3, 4)
        if compiled:
            self.body = pg.compile(self.body)
        self.head = Line(4, 2, 1)

    def forward(self, x):
        return self.head(pg.tanh(self.body(x)))


X = pg.random.normal(pg.random.key(7, device="numpy"), (5, 3))


def both():
    """The same net twice, parts of the second compiled."""
    plain, mixed = Chain(Line(3, 4), Line(4, 2, 1)), Chain(Line(3, 4), Line(4, 2, 1))
    mixed.layers[0] = pg.compile(mixed.layers[0])
    return plain, mixed


def equal(a, b):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-6, atol=1e-7)


def same_state(a, b):
    mine, theirs = a.state_dict(), b.state_dict()
    assert list(mine) == list(theirs)
    for name in mine:
        equal(mine[name], theirs[name])


def test_it_is_a_module_of_the_same_type_and_state():
    net = Line(3, 4)
    fast = pg.compile(net)
    assert isinstance(fast, Line) and isinstance(fast, pg.Module)
    assert type(fast).__name__ == "Line" and repr(fast) == repr(net) and type(fast).__doc__ == Line.__doc__
    assert [id(p) for p in fast.parameters()] == [id(p) for p in net.parameters()]
    assert list(fast.state_dict()) == list(net.state_dict()) == ["weight", "bias", "mean"]
    assert fast.mean is net.mean and vars(fast) is vars(net)
    equal(fast(X), Line(3, 4)(X))
    assert pg.explain(fast).kinds[0].staged == 1


def test_parts_of_a_tree_may_be_compiled():
    plain, mixed = both()
    assert len(mixed.parameters()) == 4 and len(mixed.buffers()) == 2
    same_state(plain, mixed)
    assert [path for path, _ in mixed.named_modules()] == [path for path, _ in plain.named_modules()]
    equal(plain(X), mixed(X))
    same_state(plain, mixed)
    held, other = Holder(True), Holder(False)
    assert list(held.state_dict()) == list(other.state_dict())
    equal(held(X), other(X))
    same_state(held, other)
    assert pg.explain(held.body).kinds[0].staged == 1


def test_modes_and_attributes_are_seen_both_ways():
    net = Line(3, 4)
    fast = pg.compile(net)
    fast(X)
    before = net.mean.numpy().copy()
    assert np.abs(before).max() > 0
    fast.eval()
    assert net.training is False
    fast(X)
    np.testing.assert_array_equal(net.mean.numpy(), before)
    net.train()
    fast(X)
    assert np.abs(net.mean.numpy() - before).max() > 0
    (kind,) = pg.explain(fast).kinds
    assert "Line.training was True, is False" in kind.reasons[0]
    net.weight = pg.Parameter(pg.zeros((3, 4)))
    assert fast.weight is net.weight and np.abs(fast(X).detach().numpy()).max() == 0
    fast.bias = pg.Parameter(pg.ones(4))
    equal(fast(X), pg.ones((5, 4)))
    fast.load_state_dict(Line(3, 4, 5).state_dict())
    equal(net.weight, Line(3, 4, 5).weight)


def test_a_change_of_mode_from_the_root_reaches_a_compiled_part():
    plain, mixed = both()
    for net in (plain, mixed):
        net(X)
        net.eval()
    equal(plain(X), mixed(X))
    same_state(plain, mixed)


@pytest.mark.parametrize("outer", [False, True], ids=["eager", "compiled"])
def test_training_with_a_compiled_part(outer):
    nets = both()

    def stepper(net):
        def step(x):
            net.zero_grad()
            loss = pg.mean((net(x) - 1.0) ** 2)
            loss.backward()
            with pg.no_grad():
                for p in net.parameters():
                    p -= 0.1 * p.grad
            return loss.detach()

        return step

    slow, fast = stepper(nets[0]), stepper(nets[1])
    fast = pg.compile(fast) if outer else fast
    for i in range(4):
        if i == 2:
            nets[0].eval()
            nets[1].eval()
        equal(slow(X), fast(X))
    same_state(*nets)
    if outer:
        assert pg.explain(fast).kinds[0].staged == 2  # the mode, and nothing else
        assert not pg.explain(nets[1].layers[0]).kinds


def test_copies_are_compiled_and_of_their_own():
    plain, mixed = both()
    want = plain(X)
    mixed.layers[0](X)
    for again in (copy.deepcopy(mixed), pickle.loads(pickle.dumps(mixed))):
        part = again.layers[0]
        assert type(part) is type(mixed.layers[0]) and part.weight is not mixed.layers[0].weight
        part.mean.assign(pg.zeros(3))
        equal(again(X), want)
        assert pg.explain(part).kinds[0].staged == 1
    one = copy.copy(mixed.layers[0])
    assert one.weight is mixed.layers[0].weight
    one.bias = pg.Parameter(pg.ones(4))
    assert mixed.layers[0].bias is not one.bias and pg.explain(one).kinds == ()


def test_in_trees_it_has_the_type_of_the_module():
    net = Line(3, 4).eval()
    fast = pg.compile(net)
    assert tree.flatten(fast)[2] == tree.flatten(net)[2]
    mine, theirs = [pg.grad(lambda m: (m(X) ** 2).sum())(m) for m in (fast, net)]
    assert type(mine) is Line
    equal(mine.weight, theirs.weight)
    doubled = tree.map(lambda a, b: a + b, fast, net)
    equal(doubled.weight, net.weight * 2)
    step = pg.compile(lambda m, x: m(x))
    equal(step(fast, X), step(net, X))
    assert len(pg.explain(step).kinds) == 1
    equal(pg.vmap(fast, in_axes=0)(X[:, None])[:, 0], net(X))
    equal(pg.jvp(fast, (X,), (X,))[1], pg.jvp(net, (X,), (X,))[1])


def test_what_reports_on_compiled_functions_takes_it():
    fast = pg.compile(Line(3, 4).eval())
    with pg.no_grad():
        fast(X)
        assert pg.explain(fast).name == "Line" and "Line: 1 kind of call" in str(pg.explain(fast, X))
        assert pg.memory_plan(fast, X).name == "Line" and "matmul" in pg.to_dot(fast)
    again = pg.compile(fast, donate=0)
    x = X.copy()
    with pg.no_grad():
        again(x)
    with pytest.raises(pg.errors.DonatedError):
        x.numpy()
    assert vars(again) is vars(fast)


def test_names_of_the_modules_own_do_not_matter():
    class Odd(pg.Module):
        def __init__(self):
            self.f, self.graphs, self.options, self.title = pg.ones(2), [1], "x", "y"

        def forward(self, x):
            return x * self.f

        def __deepcopy__(self, memo):
            raise AssertionError

    fast = pg.compile(Odd())
    assert fast(pg.ones(2)).tolist() == [1, 1] and (fast.graphs, fast.options, fast.title) == ([1], "x", "y")
    assert pg.compile(lambda x: fast(x) * 2.0)(pg.ones(2)).tolist() == [2, 2]


def test_inside_a_transformation_it_stays_sealed():
    def f(net, x):
        fast = pg.compile(net)
        with pytest.raises(pg.errors.StateError, match="rebuilt copy"):
            fast.note = 1
        return fast(x).sum()

    equal(pg.grad(f)(Line(3, 4).eval(), X).bias, pg.ones(4) * 5)
