"""The plugins together: derivatives of whole networks in every order, and the same training on every backend."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as pg
import plugrad_nn as nn
import plugrad_norm as norm
import plugrad_optim as optim

DEVICES = [d for d, o in pg.plugins.available_backends().items() if o.available]


def image(n=3, seed=0, size=6):
    return np.random.default_rng(seed).normal(size=(n, 1, size, size))


def conv_net(device, dtype="float64"):
    pg.manual_seed(7)
    with pg.device(device):
        net = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Conv2d(3, 4, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16, 3),
        )
    for p in net.parameters():
        p.restore(pg.Parameter(p.detach().astype(dtype)).content())
    return net


def mlp(device):
    pg.manual_seed(3)
    with pg.device(device):
        net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    for p in net.parameters():
        p.restore(pg.Parameter(p.detach().astype("float64")).content())
    return net


def problem(kind, device):
    """A scalar function of one vector of all weights, and a direction."""
    net = conv_net(device) if kind == "conv" else mlp(device)
    x = pg.asarray(image() if kind == "conv" else np.random.default_rng(1).normal(size=(3, 4)), device=device)
    labels = pg.asarray(np.array([0, 2, 1]), device=device)
    leaves, _, build = pg.tree.flatten(net)
    shapes = [t.shape for t in leaves]
    vector = pg.concat([t.detach().reshape((-1,)) for t in leaves])

    def f(v):
        at, parts = 0, []
        for shape in shapes:
            n = int(np.prod(shape))
            parts.append(v[at : at + n].reshape(shape))
            at += n
        return nn.cross_entropy(build(parts)(x), labels)

    return f, vector, pg.asarray(np.random.default_rng(2).normal(size=vector.shape), device=device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_every_order_of_derivative(kind, device):
    f, x, v = problem(kind, device)
    d = v.numpy()
    eps = 1e-6
    g = pg.grad(f)
    difference = (f(x + v * eps).item() - f(x - v * eps).item()) / (2 * eps)
    assert abs(np.dot(g(x).numpy(), d) - difference) < 1e-6
    hv = (g(x + v * eps).numpy() - g(x - v * eps).numpy()) / (2 * eps)
    found = {
        "hvp": pg.hvp(f, (x,), (v,)),
        "grad of grad": pg.grad(lambda x: pg.sum(g(x) * v))(x),
        "grad of jvp": pg.grad(lambda x: pg.jvp(f, (x,), (v,))[1])(x),
        "jvp of grad of checkpoint": pg.jvp(pg.grad(pg.checkpoint(f)), (x,), (v,))[1],
        "grad of grad of checkpoint": pg.grad(lambda x: pg.sum(pg.grad(pg.checkpoint(f))(x) * v))(x),
        "vmap of hvp": pg.vmap(lambda t: pg.hvp(f, (x,), (t,)))(pg.expand_dims(v))[0],
    }
    if kind == "mlp":
        found["hessian"] = pg.hessian(f)(x) @ v
    for name, product in found.items():
        np.testing.assert_allclose(product.numpy(), hv, rtol=1e-6, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(product.numpy(), found["hvp"].numpy(), rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("device", DEVICES)
def test_per_example_gradients(device):
    net = conv_net(device)
    x, labels = pg.asarray(image(), device=device), pg.asarray(np.array([0, 2, 1]), device=device)

    def loss(net, x, label):
        return nn.cross_entropy(net(pg.expand_dims(x)), pg.expand_dims(label))

    each = pg.vmap(pg.grad(loss), in_axes=(None, 0, 0))(net, x, labels)
    for i in range(3):
        one = pg.grad(loss)(net, x[i], labels[i])
        for a, b in zip(pg.tree.leaves(each), pg.tree.leaves(one), strict=True):
            np.testing.assert_allclose(a[i].numpy(), b.numpy(), rtol=1e-10, atol=1e-12)


def train(device, steps=5):
    """Losses of a net with batch norm and dropout, and the random bits that its dropout would draw next."""
    pg.manual_seed(11)
    with pg.device(device):
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False),
            norm.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            norm.Dropout(0.3),
            nn.Linear(64, 5),
        )
        step = optim.Adam(net, learning_rate=0.01)
        losses = []
        for _ in range(steps):
            x = pg.asarray(image(16, size=8).astype(np.float32))
            labels = pg.asarray(np.arange(16) % 5)
            net.zero_grad()
            loss = nn.cross_entropy(net(x), labels)
            loss.backward()
            step.step()
            losses.append(loss.item())
        key = pg.random.generator().key()
        return losses, pg.random.bits(key.to(device), (1000,)).numpy(), net


@pytest.mark.parametrize("device", [d for d in DEVICES if d != "numpy"])
def test_the_same_training_on_every_backend(device):
    losses, bits, net = train(device)
    reference, reference_bits, reference_net = train("numpy")
    np.testing.assert_allclose(losses, reference, rtol=1e-5, atol=1e-5)
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(bits, reference_bits)
    for (name, a), (_, b) in zip(net.named_tensors(), reference_net.named_tensors(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("device", DEVICES)
def test_initial_weights_are_the_same_everywhere(device):
    for a, b in zip(conv_net(device, "float32").parameters(), conv_net("numpy", "float32").parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=2e-6, atol=1e-7)
