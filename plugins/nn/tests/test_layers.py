"""Layers: parameters, configuration, what they compute, and where their weights come from."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as pg
import plugrad_nn as nn
from plugrad.errors import ShapeError


def test_linear(rng):
    layer = nn.Linear(4, 5)
    assert {name: p.shape for name, p in layer.named_parameters()} == {"weight": (5, 4), "bias": (5,)}
    x = pg.asarray(rng.normal(size=(2, 3, 4)).astype("float32"))
    layer.bias.assign(np.arange(5, dtype="float32"))
    np.testing.assert_allclose(
        layer(x).detach().numpy(), x.numpy() @ layer.weight.detach().numpy().T + np.arange(5), rtol=1e-5, atol=1e-5
    )
    bare = nn.Linear(4, 5, bias=False)
    assert [name for name, _ in bare.named_parameters()] == ["weight"]
    assert bare(x).shape == (2, 3, 5)
    assert repr(layer).startswith("Linear(4, 5")


def test_conv2d(rng):
    layer = nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), dilation=(1, 2), groups=2)
    assert {name: p.shape for name, p in layer.named_parameters()} == {"weight": (6, 2, 3, 2), "bias": (6,)}
    x = pg.asarray(rng.normal(size=(2, 4, 7, 6)).astype("float32"))
    layer.bias.assign(np.arange(6, dtype="float32"))
    wanted = nn.conv2d(x, layer.weight, layer.bias, stride=2, padding=(1, 0), dilation=(1, 2), groups=2)
    np.testing.assert_array_equal(layer(x).detach().numpy(), wanted.detach().numpy())
    last = nn.Conv2d(4, 6, 3, padding="same", layout="NHWC", bias=False)
    assert last(x.permute_dims((0, 2, 3, 1))).shape == (2, 7, 6, 6)
    said = "Conv2d(4, 6, kernel_size=(3, 2), stride=(2, 2), padding=((1, 1), (0, 0)), dilation=(1, 2), groups=2"
    assert repr(layer).startswith(said)
    assert "layout='NHWC'" in repr(last)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: nn.Linear(0, 3), "Linear: in_features is 0"),
        (lambda: nn.Linear(3, 2.5), "Linear: out_features is 2.5; give an integer"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d: groups=2 must divide in_channels=3 and out_channels=4"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), "Conv2d: groups=2 must divide"),
        (lambda: nn.Conv2d(4, 4, 0), "Conv2d: kernel_size is 0"),
        (lambda: nn.Conv2d(4, 4, 3, stride=2, padding="same"), "Conv2d: padding='same' with stride"),
        (lambda: nn.MaxPool2d((2, 2, 2)), r"MaxPool2d: kernel_size is \(2, 2, 2\)"),
        (lambda: nn.AvgPool2d(2, padding=-1), "AvgPool2d: padding is -1"),
        (lambda: nn.Embedding(3, 0), "Embedding: features is 0"),
    ],
)
def test_impossible_configurations(make, match):
    before = pg.random.generator().state.tolist()
    with pytest.raises(ShapeError, match=match):
        make()
    assert pg.random.generator().state.tolist() == before, "a failed construction draws nothing"


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Conv2d(3, 4, 3, layout="HWC"),
        lambda: nn.MaxPool2d(2, layout="HWC"),
        lambda: nn.GELU("erf"),
        lambda: nn.MSELoss("avg"),
    ],
)
def test_unknown_words(make):
    with pytest.raises(ValueError, match="; use '"):
        make()


def test_pooling_layers(rng):
    x = pg.asarray(rng.normal(size=(2, 3, 7, 6)))
    for layer, f in ((nn.MaxPool2d, nn.max_pool2d), (nn.AvgPool2d, nn.avg_pool2d)):
        np.testing.assert_array_equal(layer(2)(x).numpy(), f(x, 2).numpy())
        np.testing.assert_array_equal(layer(3, 2, 1)(x).numpy(), f(x, 3, stride=2, padding=1).numpy())
        turned = x.permute_dims((0, 2, 3, 1))
        np.testing.assert_array_equal(layer(2, layout="NHWC")(turned).numpy(), f(turned, 2, layout="NHWC").numpy())
        assert layer(2).parameters() == []
    assert repr(nn.MaxPool2d(3, 2, 1)) == "MaxPool2d((3, 3), stride=(2, 2), padding=((1, 1), (1, 1)))"


@pytest.mark.parametrize(
    ("layer", "f"),
    [
        (nn.ReLU(), nn.relu),
        (nn.LeakyReLU(0.2), lambda x: nn.leaky_relu(x, slope=0.2)),
        (nn.GELU(), nn.gelu),
        (nn.GELU("tanh"), lambda x: nn.gelu(x, approximate="tanh")),
        (nn.SiLU(), nn.silu),
        (nn.Tanh(), pg.tanh),
        (nn.Sigmoid(), nn.sigmoid),
        (nn.Softplus(), nn.softplus),
        (nn.Softmax(), nn.softmax),
        (nn.Softmax(axis=0), lambda x: nn.softmax(x, axis=0)),
    ],
    ids=lambda v: repr(v) if isinstance(v, pg.Module) else "",
)
def test_activation_layers(rng, layer, f):
    x = pg.asarray(rng.normal(size=(3, 4)))
    np.testing.assert_array_equal(layer(x).numpy(), f(x).numpy())


def test_flatten():
    x = pg.zeros((2, 3, 4, 5))
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(start=2)(x).shape == (2, 3, 20)
    assert nn.Flatten(start=-2)(x).shape == (2, 3, 20)
    assert nn.Flatten(start=0)(x).shape == (120,)
    assert nn.Flatten()(pg.zeros((0, 3, 4))).shape == (0, 12)
    with pytest.raises(ShapeError, match=r"Flatten: start=1 is out of range for shape \(3,\)"):
        nn.Flatten()(pg.zeros(3))


def test_embedding(rng):
    layer = nn.Embedding(5, 3)
    at = np.array([[4, 0], [2, 4]])
    np.testing.assert_array_equal(layer(pg.asarray(at)).detach().numpy(), layer.weight.detach().numpy()[at])
    layer(pg.asarray(at)).sum().backward()
    assert layer.weight.grad.tolist() == [[1.0] * 3, [0.0] * 3, [1.0] * 3, [0.0] * 3, [2.0] * 3]
    with pytest.raises(IndexError):
        layer(pg.asarray([5]))


def test_sequential():
    first, second = nn.Linear(4, 3), nn.Linear(3, 2)
    model = nn.Sequential(first, pg.tanh, second)
    assert len(model) == 3
    assert list(model) == [first, pg.tanh, second]
    assert (model[0], model[-1]) == (first, second)
    head = model[:2]
    assert isinstance(head, nn.Sequential)
    x = pg.ones((1, 4))
    np.testing.assert_array_equal(model(x).detach().numpy(), second(head(x)).detach().numpy())
    names = ["layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"]
    assert [name for name, _ in model.named_parameters()] == names
    with pytest.raises(IndexError, match="Sequential: layer 3 of 3; use -3 to 2"):
        model[3]
    with pytest.raises(TypeError, match="Sequential: layer 0 is a list"):
        nn.Sequential([first])
    assert nn.Sequential()(x) is x


def test_weights_come_from_the_default_generator(device):
    def build():
        pg.manual_seed(11)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(4, 3), nn.Embedding(3, 2))

    here = {name: p.detach().numpy() for name, p in build().named_parameters()}
    with pg.device("numpy"):
        there = {name: p.detach().numpy() for name, p in build().named_parameters()}
    assert here.keys() == there.keys()
    for name, value in here.items():
        np.testing.assert_array_equal(value, there[name], err_msg=name)
    weights = [v.ravel()[:4] for name, v in here.items() if name.endswith("weight")]
    assert not np.array_equal(weights[0], weights[1])
    assert all(p.device == device for p in build().parameters())


def test_keys_initialisers_dtypes_and_devices():
    key = pg.random.key(3)
    for make in (
        lambda **how: nn.Linear(4, 3, **how),
        lambda **how: nn.Conv2d(1, 3, 2, **how),
        lambda **how: nn.Embedding(4, 3, **how),
    ):
        before = pg.random.generator().state.tolist()
        one, two = make(key=key), make(key=key)
        assert pg.random.generator().state.tolist() == before
        assert (one.weight == two.weight).all()
        assert (make().weight != one.weight).any()
        assert (make(initialiser=nn.init.zeros).weight == 0).all()
        wide = make(dtype="float64", device="numpy")
        assert {p.dtype.name for p in wide.parameters()} == {"float64"}
        assert {p.device for p in wide.parameters()} == {"numpy"}


def test_losses_as_modules(rng):
    x, y = pg.asarray(rng.normal(size=(3, 4))), pg.asarray([0, 3, 1])
    p = pg.asarray(rng.uniform(size=(3, 4)))
    assert nn.CrossEntropyLoss()(x, y).item() == nn.cross_entropy(x, y).item()
    assert nn.CrossEntropyLoss("none")(x, y).shape == (3,)
    assert nn.MSELoss("sum")(x, p).item() == nn.mse_loss(x, p, reduction="sum").item()
    assert nn.BCEWithLogitsLoss()(x, p).item() == nn.binary_cross_entropy_with_logits(x, p).item()
    assert repr(nn.MSELoss()) == "MSELoss(reduction='mean')"


def test_state_goes_round():
    model, other = (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)) for _ in range(2))
    x = pg.ones((1, 1, 4, 4))
    other.load_state_dict({name: value.numpy() for name, value in model.state_dict().items()})
    np.testing.assert_array_equal(model(x).detach().numpy(), other(x).detach().numpy())


def test_layers_of_a_sequential_may_be_compiled(rng):
    x = pg.asarray(rng.normal(size=(5, 4)).astype("float32"))
    nets = [nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 8), nn.ReLU())) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    plain, mixed = nets
    mixed.layers = [pg.compile(layer) for layer in mixed.layers]
    assert len(mixed.parameters()) == 4 and list(mixed.state_dict()) == list(plain.state_dict())
    assert len(mixed[2]) == 2 and isinstance(mixed[0], nn.Linear) and repr(mixed) == repr(plain)
    for _ in range(2):
        for net in nets:
            net.zero_grad()
            (net(x) ** 2).sum().backward()
        for a, b in zip(plain.parameters(), mixed.parameters(), strict=True):
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-5, atol=1e-6)
    (kind,) = pg.explain(mixed[2]).kinds
    assert kind.staged == 1 and kind.graphs[0].runs == "recorded"
