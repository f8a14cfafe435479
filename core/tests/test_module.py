"""Modules as trees; saving, loading, moving; pytrees themselves."""

import collections
import copy
import pickle

import numpy as np
import pytest

import plugrad as pg
from plugrad import tree
from plugrad.errors import ShapeError


class Layer(pg.Module):
    def __init__(self, n, seed=0):
        self.w = pg.Parameter(np.random.default_rng(seed).normal(size=(n, n)))
        self.n = n

    def forward(self, x):
        return x @ self.w

    def extra_repr(self):
        return f"{self.n}"


class Net(pg.Module):
    def __init__(self):
        self.layers = [Layer(2), Layer(2, 1)]
        self.named = {"head": Layer(2, 2)}
        self.scale = pg.Buffer(np.ones(2), name="scale")
        self.plain = pg.asarray(np.zeros(1))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.named["head"](x) * self.scale


def test_walks():
    net = Net()
    assert [k for k, _ in net.named_parameters()] == ["layers.0.w", "layers.1.w", "named.head.w"]
    assert [k for k, _ in net.named_buffers()] == ["scale"]
    assert [k for k, _ in net.named_modules()] == ["", "layers.0", "layers.1", "named.head"]
    assert len(net.parameters()) == 3 and len(net.buffers()) == 1 and len(list(net.modules())) == 4
    assert list(net.state_dict()) == ["layers.0.w", "layers.1.w", "named.head.w", "scale", "plain"]


def test_modes_and_gradients():
    net = Net()
    assert net.eval() is net and not net.layers[1].training
    net.train()
    assert net.named["head"].training
    pg.sum(net(pg.asarray(np.ones((1, 2))))).backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_state_dict_round_trip():
    net, other = Net(), Net()
    for p in other.parameters():
        p.assign(p * 3.0)
    handles = net.parameters()
    net.load_state_dict({k: v.numpy() for k, v in other.state_dict().items()})
    assert net.parameters() == handles or all(a is b for a, b in zip(net.parameters(), handles, strict=True))
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
        assert a.is_leaf


def test_load_state_dict_names_every_problem_and_changes_nothing():
    net = Net()
    before = {k: v.numpy().copy() for k, v in net.state_dict().items()}
    state = {k: v.numpy() * 2 for k, v in net.state_dict().items()}
    del state["scale"]
    state["extra"] = np.zeros(1)
    state["layers.1.w"] = np.zeros((3, 3))
    with pytest.raises(
        ShapeError, match=r"missing 'scale'; unexpected 'extra'; 'layers.1.w' has shape \(3, 3\), the model \(2, 2\)"
    ):
        net.load_state_dict(state)
    for k, v in net.state_dict().items():
        np.testing.assert_array_equal(v.numpy(), before[k])


def test_assign_checks_before_it_writes():
    p = pg.Parameter([1.0, 2.0])
    with pytest.raises(ValueError, match=r"\(3,\), the parameter \(2,\)"):
        p.assign(np.zeros(3))
    p.assign(np.array([3.0, 4.0]))
    assert p.dtype == np.float32 and p.tolist() == [3.0, 4.0] and p.is_leaf


def test_pickle_and_copy():
    net = Net()
    net.layers[1] = net.layers[0]  # tied
    for clone in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert clone.layers[0].w is clone.layers[1].w
        assert isinstance(clone.scale, pg.Buffer) and clone.layers[0].w.is_leaf
        np.testing.assert_array_equal(clone.layers[0].w.detach().numpy(), net.layers[0].w.detach().numpy())
        clone.layers[0].w.assign(np.zeros((2, 2)))
        assert np.any(net.layers[0].w.detach().numpy() != 0)
    t = pg.asarray([1, 2]).reshape((2, 1))
    assert pickle.loads(pickle.dumps(t)).tolist() == [[1], [2]]
    leaf = pickle.loads(pickle.dumps(pg.ones(2).requires_grad_()))
    assert leaf.requires_grad
    shallow = copy.copy(t)
    shallow[0] = 9
    assert t.tolist() == [[1], [2]]


def test_repr_shows_the_tree():
    text = repr(Net())
    assert "layers.0: Layer(2" in text and "w: Parameter(shape=(2, 2), dtype=float64" in text
    assert "scale: Buffer(shape=(2,), dtype=float64, device='numpy')" in text


def test_an_undefined_forward():
    class Empty(pg.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty: define forward\(\)"):
        Empty()()


def test_trees():
    Point = collections.namedtuple("Point", "x y")
    x, y = pg.asarray([1.0]), pg.asarray([2.0])
    value = {"a": [x, (y, None)], "b": Point(x, "text"), "c": 3}
    leaves, trained, build = tree.flatten(value)
    assert leaves == [x, y] and trained == [True, True]
    rebuilt = build([y, x])
    assert rebuilt["a"][0] is y and rebuilt["b"].x is y and rebuilt["b"].y == "text" and rebuilt["c"] == 3
    assert tree.flatten(value)[2] == build and tree.flatten({"a": 1})[2] != tree.flatten({"a": 2})[2]
    with pytest.raises(ValueError, match="2 leaves, 1 were given"):
        build([x])
    with pytest.raises(ValueError, match="1 is in one of the two only"):
        tree.map(lambda a, b: a, [x, y], [x])
    assert tree.map(lambda a, b: a + b, [x, y], [y, y])[0].tolist() == [3.0]
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        tree.flatten(loop)


def test_registered_containers():
    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

    tree.register(Pair, lambda p: ((p.a, p.b), None), lambda aux, c: Pair(*c))
    g = pg.grad(lambda p: pg.sum(p.a * p.b))(Pair(pg.asarray([2.0]), pg.asarray([3.0])))
    assert g.a.tolist() == [3.0] and g.b.tolist() == [2.0]


def test_moving_a_module():
    from plugrad import dispatch
    from plugrad.reference.backend import NumpyBackend

    class Second(NumpyBackend):
        name = "second"

    dispatch.add_backend(Second())
    net = Net()
    handles = net.parameters()
    assert net.to("second") is net
    assert all(a is b for a, b in zip(net.parameters(), handles, strict=True)) and net.scale.device == "second"
    pg.sum(net(pg.ones((1, 2), dtype="float64", device="second"))).backward()
    assert net.layers[0].w.grad.device == "second"


def loss_of(m):
    return pg.sum(pg.tanh(m(pg.asarray(np.ones((1, 2))))) ** 2)


def test_a_rebuilt_module_knows_its_parameters():
    """Derivatives of derivatives with respect to a Module; updates by tree.map; ensembles by vmap; staging."""
    net = Net()
    v = tree.map(lambda p: p.detach() * 0 + 1.0, net)
    flat = lambda m: np.concatenate([t.detach().numpy().ravel() for t in tree.leaves(m)])  # noqa: E731
    product = pg.hvp(loss_of, (net,), (v,))
    eps = 1e-6
    moved = [
        tree.map(lambda p, t, s=s: p.detach() + t * s if isinstance(p, pg.Parameter) else p, net, v)
        for s in (eps, -eps)
    ]
    difference = (flat(pg.grad(loss_of)(moved[0])) - flat(pg.grad(loss_of)(moved[1]))) / (2 * eps)
    np.testing.assert_allclose(flat(product), difference, rtol=1e-5, atol=1e-7)
    nested = pg.grad(lambda m: sum(pg.sum(g) for g in tree.leaves(pg.grad(loss_of)(m))))(net)
    np.testing.assert_allclose(flat(nested), flat(product), rtol=1e-10, atol=1e-12)
    stacked = tree.map(lambda p: p if isinstance(p, pg.Buffer) else pg.stack([p.detach(), p.detach() * 0.5]), net)
    each = pg.vmap(pg.grad(loss_of))(stacked)
    np.testing.assert_allclose(
        each.layers[0].w[0].numpy(), pg.grad(loss_of)(net).layers[0].w.detach().numpy(), rtol=1e-12
    )
    staged = pg.stage(pg.grad(loss_of), net)
    np.testing.assert_allclose(flat(staged(net)), flat(pg.grad(loss_of)(net)), rtol=1e-12)


def test_a_container_may_stand_in_two_places():
    shared = [pg.asarray(1.0)]
    leaves, _, build = tree.flatten({"a": shared, "b": shared})
    assert len(leaves) == 1 and [v[0].item() for v in build([pg.asarray(2.0)]).values()] == [2.0, 2.0]


@pytest.mark.parametrize("wrapped", [False, True])
def test_vmap_over_a_module_leaves_its_buffers_to_the_caller(wrapped):
    class Counting(pg.Module):
        def __init__(self):
            self.w = pg.Parameter(np.ones((2, 3)))
            self.seen = pg.Buffer(np.zeros(3), reduce=lambda t: t.sum(axis=0))

        def forward(self, x):
            self.seen.assign(self.seen + x)
            return self.w * x

    net, xs = Counting(), pg.ones((2, 3), dtype="float64")
    if wrapped:
        y = pg.vmap(lambda d, x: d["net"](x), in_axes=({"net": 0}, 0))({"net": net}, xs)
    else:
        y = pg.vmap(lambda m, x: m(x))(net, xs)
    assert y.shape == (2, 3) and net.seen.tolist() == [2.0, 2.0, 2.0]


def test_a_tied_weight_stays_tied_in_a_rebuilt_module():
    net = Net()
    net.layers[1] = net.layers[0]
    pg.grad(lambda m: pg.sum(m.layers[0].w * 1.0) + (0.0 if m.layers[0].w is m.layers[1].w else 1 / 0))(net)
