"""Whole networks: derivatives of every order and kind agree, and training steps do what they should."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as pg
import plugrad_nn as nn
from plugrad.testing import check_derivatives


def net(dtype="float64"):
    pg.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, dtype=dtype),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 2, stride=2, dtype=dtype),
        nn.Tanh(),
        nn.AvgPool2d(2, 1),
        nn.Flatten(),
        nn.Linear(4, 3, dtype=dtype),
    )


def weights(model):
    """The parameters as a plain tree, and a loss of that tree."""
    names = [name for name, _ in model.named_parameters()]
    values = [p.detach() for p in model.parameters()]

    def loss(values, x, y):
        first, second, last = [tuple(values[i : i + 2]) for i in (0, 2, 4)]
        h = nn.max_pool2d(nn.gelu(nn.conv2d(x, *first, padding=1)), 2)
        h = nn.avg_pool2d(pg.tanh(nn.conv2d(h, *second, stride=2)), 2, stride=1)
        return nn.cross_entropy(nn.linear(h.reshape((h.shape[0], -1)), *last), y)

    assert len(names) == 6
    return values, loss


@pytest.fixture
def batch(rng):
    return pg.asarray(rng.normal(size=(5, 1, 8, 8))), pg.asarray(rng.integers(0, 3, size=5))


def close(a, b, tolerance=1e-10):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)


def test_all_ways_to_the_gradient_agree(batch):
    model = net()
    x, y = batch
    values, loss = weights(model)
    value, grads = pg.value_and_grad(lambda m, x, y: nn.cross_entropy(m(x), y))(model, x, y)
    trained = [g for _, g in grads.named_tensors()]
    nn.cross_entropy(model(x), y).backward()
    again = pg.grad(loss)(values, x, y)
    kept = pg.grad(lambda v: pg.checkpoint(lambda v: loss(v, x, y))(v))(values)
    staged = pg.stage(lambda v: pg.grad(loss)(v, x, y), values)(values)
    assert value.item() == pytest.approx(loss(values, x, y).item(), rel=1e-12)
    for one, two, three, four, five in zip(trained, model.parameters(), again, kept, staged, strict=True):
        for other in (two.grad, three, four, five):
            close(one, other)


def test_differences_and_second_order(batch):
    values, loss = weights(net())
    check_derivatives(lambda v: loss(v, *batch), values)


def test_hessian_vector_products_agree(batch, rng):
    values, loss = weights(net())
    direction = [pg.asarray(rng.normal(size=v.shape)) for v in values]

    def f(v):
        return loss(v, *batch)

    def slope(v):
        return sum((g * t).sum() for g, t in zip(pg.grad(f)(v), direction, strict=True))

    forward_over_reverse = pg.hvp(f, (values,), (direction,))
    reverse_over_reverse = pg.grad(slope)(values)
    reverse_over_forward = pg.grad(lambda v: pg.jvp(f, (v,), (direction,))[1])(values)
    for one, two, three in zip(forward_over_reverse, reverse_over_reverse, reverse_over_forward, strict=True):
        close(one, two)
        close(one, three)


def test_gradients_of_each_example(batch):
    values, loss = weights(net())
    x, y = batch
    each = pg.vmap(lambda x, y: pg.grad(loss)(values, x, y))(x.reshape((5, 1, 1, 8, 8)), y.reshape((5, 1)))
    mean = pg.grad(loss)(values, x, y)
    for one, two in zip(each, mean, strict=True):
        close(one.mean(axis=0), two)
    for i in range(5):
        for one, two in zip(each, pg.grad(loss)(values, x[i : i + 1], y[i : i + 1]), strict=True):
            close(one[i], two)


def test_many_nets_at_once(batch):
    """vmap over weights: each net of an ensemble, trained on the same batch."""
    x, y = batch
    values, loss = weights(net())
    many = [pg.stack([v, v * 0.5, -v]) for v in values]
    found = pg.vmap(lambda v: pg.grad(loss)(v, x, y))(many)
    for i in range(3):
        for one, two in zip(found, pg.grad(loss)([v[i] for v in many], x, y), strict=True):
            close(one[i], two)


def test_the_layout_of_images_makes_no_difference(rng):
    x = rng.normal(size=(4, 2, 8, 8))

    def build(layout):
        pg.manual_seed(2)
        make = {"layout": layout, "dtype": "float64"}
        pool = nn.MaxPool2d(2, layout=layout)
        return nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, **make), nn.ReLU(), pool, nn.Conv2d(4, 6, 3, groups=2, **make)
        )

    first, last = build("NCHW"), build("NHWC")
    one = pg.sin(first(pg.asarray(x)))
    two = pg.sin(last(pg.asarray(np.ascontiguousarray(x.transpose(0, 2, 3, 1)))))
    close(one, two.permute_dims((0, 3, 1, 2)))
    one.sum().backward()
    two.sum().backward()
    for a, b in zip(first.parameters(), last.parameters(), strict=True):
        close(a.grad, b.grad)


def test_training_steps_are_the_same_on_every_device(rng, device):
    x, y = rng.normal(size=(16, 1, 8, 8)).astype("float32"), rng.integers(0, 3, size=16)

    def losses(where):
        with pg.device(where):
            model = net("float32")
            found = []
            for _ in range(5):
                model.zero_grad()
                loss = nn.cross_entropy(model(pg.asarray(x)), pg.asarray(y))
                loss.backward()
                for p in model.parameters():
                    p.assign(p.detach() - p.grad * 0.3)
                found.append(loss.item())
        return found

    here = losses(device)
    assert here[-1] < here[0] - 0.1
    np.testing.assert_allclose(here, losses("numpy"), rtol=1e-5)


def test_a_step_needs_no_host(rng, device):
    """Every kernel of a training step runs on the device itself."""
    model = net("float32")
    x, y = pg.asarray(rng.normal(size=(4, 1, 8, 8)).astype("float32")), pg.asarray([0, 1, 2, 0])
    ran = []
    with pg.observe(lambda *event: ran.append(event)):
        nn.cross_entropy(model(x), y).backward()
    assert ran
    assert {(backend, how) for _, backend, how in ran} == {(device, "native")}


def test_one_weight_used_twice(rng):
    shared = nn.Linear(4, 4, dtype="float64")
    x = pg.asarray(rng.normal(size=(2, 4)))
    model = nn.Sequential(shared, nn.Tanh(), shared)
    assert len(model.parameters()) == 2
    model(x).sum().backward()
    w, b = shared.weight.detach(), shared.bias.detach()
    wanted = pg.grad(lambda w: nn.linear(pg.tanh(nn.linear(x, w, b)), w, b).sum())(w)
    close(shared.weight.grad, wanted)
