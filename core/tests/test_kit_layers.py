"""The kit's checks of layers: right layers pass all of them, and each check notices a layer that breaks its rule."""

import itertools

import numpy as np
import pytest

import plugrad as pg
from plugrad import dispatch
from plugrad.reference.backend import NumpyBackend
from plugrad.testing import LayerSample, labels, values
from plugrad.testing.kit.layers import checks


class Twin(NumpyBackend):
    name = "kit_layers_twin"


class Narrow(NumpyBackend):
    name = "kit_layers_narrow"
    dtypes = "b1 i4 i8 u4 u8 f4"


for _backend in (Twin(), Narrow()):
    dispatch.add_backend(_backend)


class Dense(pg.Module):
    def __init__(self, n, m):
        self.w = pg.Parameter(pg.random.normal(self.key(), (n, m)).to(pg.get_default_device()))
        self.b = pg.Parameter(pg.zeros(m))

    def key(self):
        return pg.random.generator().key()

    def forward(self, x):
        if x.ndim != 2 or x.shape[1] != self.w.shape[0]:
            raise pg.errors.ShapeError(f"Dense: x has shape {x.shape}; give (batch, {self.w.shape[0]})")
        return pg.tanh(x @ self.w + self.b)


class Norm(pg.Module):
    def __init__(self, n):
        self.scale = pg.Parameter(pg.ones(n))
        self.mean = pg.Buffer(pg.zeros(n))

    def forward(self, x):
        if not self.training:
            return (x - self.mean) * self.scale
        mean = x.mean(axis=0)
        self.mean.assign(0.5 * self.mean + 0.5 * pg.stop_gradient(mean))
        return (x - mean) * self.scale


class Drop(pg.Module):
    def forward(self, x):
        if not self.training:
            return x
        kept = pg.random.bernoulli(pg.random.generator().key(), x.shape, p=0.5).to(x.device)
        return pg.where(kept, x * 2.0, 0.0)


class OwnDrop(Drop):
    def __init__(self):
        self.draws = pg.random.Generator(4, device="numpy")

    def forward(self, x):
        kept = pg.random.bernoulli(self.draws.key(), x.shape, p=0.5).to(x.device) if self.training else None
        return x if kept is None else pg.where(kept, x * 2.0, 0.0)


class Two(pg.Module):
    def __init__(self):
        self.parts = [Dense(3, 4), Drop(), Dense(4, 2)]

    def forward(self, x, y):
        for part in self.parts:
            x = part(x)
        return x * y, {"product": (x * y).sum(axis=1)}


class Table(pg.Module):
    def __init__(self):
        self.rows = pg.Parameter(pg.random.normal(pg.random.generator().key(), (5, 2)).to(pg.get_default_device()))

    def forward(self, i):
        return pg.take(self.rows, i, axis=0)


class Squares(pg.Module):
    def forward(self, x, y):
        return ((x - y) * (x - y)).mean()


def dense(state, x):
    return np.tanh(x @ state["w"] + state["b"])


X, OUT = (values(5, 3),), (5, 2)
GOOD = {
    "dense": [
        LayerSample("Dense", {"n": 3, "m": 2}, X, OUT, reference=dense),
        LayerSample("Dense", {"n": 3, "m": 2}, (np.linspace(-1, 1, 6).reshape(2, 3),), (2, 2), reference=dense),
        LayerSample("Dense", {"n": 3, "m": 2}, (values(5, 4),), raises=pg.errors.ShapeError),
    ],
    "norm": [LayerSample("Norm", {"n": 3}, X, (5, 3), reference=lambda s, x: (x - s["mean"]) * s["scale"])],
    "drop": [LayerSample("Drop", {}, X, (5, 3), random=True, reference=lambda s, x: x)],
    "own_drop": [LayerSample("OwnDrop", {}, X, (5, 3), random=True)],
    "two": [LayerSample("Two", {}, (values(5, 3), values(5, 2)), OUT, random=True)],
    "table": [LayerSample("Table", {}, (labels(4, classes=5),), (4, 2))],
    "squares": [LayerSample("Squares", {}, (*X, *X), (), kind="loss", reference=lambda s, x, y: ((x - y) ** 2).mean())],
    "made": [LayerSample("made", inputs=X, output=OUT, make=lambda: Dense(3, 2))],
}


@pytest.fixture(autouse=True)
def found_by_name(monkeypatch):
    monkeypatch.setattr(pg, "create", lambda kind, name, **config: globals()[name](**config))


@pytest.mark.parametrize("device", ["numpy", "kit_layers_twin", "kit_layers_narrow"])
@pytest.mark.parametrize("name", GOOD)
def test_right_layers_pass(name, device):
    for check in checks(GOOD[name], device):
        check()


def test_names_kinds_and_subjects():
    found = {check.name: check for check in checks(GOOD["dense"], "numpy")}
    assert {check.name.split(".")[0] for check in checks(GOOD["squares"], "numpy")} == {"loss"}
    assert found["layer.Dense.gradients"].subject == "Dense" and found["layer.Dense.gradients"].kind == "layer"
    assert {"layer.Dense.errors", "layer.Dense.reference", "layer.Dense.second"} <= set(found)
    assert len(found) == len(checks(GOOD["dense"], "numpy"))


def test_quick_leaves_out_second_derivatives():
    full, quick = [{c.name for c in checks(GOOD["dense"], "numpy", q)} for q in (False, True)]
    assert full - quick == {"layer.Dense.second"} and quick < full


def test_what_is_not_asked():
    rough = LayerSample("Dense", {"n": 3, "m": 2}, X, smooth=False)
    names = {c.name.rpartition(".")[2] for c in checks([rough], "numpy")}
    assert not names & {"gradients", "second", "reference", "errors"}


def test_the_default_generator_is_put_back():
    pg.manual_seed(8)
    before = pg.random.generator().state.tolist()
    for check in checks(GOOD["drop"], "numpy"):
        check()
        assert pg.random.generator().state.tolist() == before and pg.get_default_device() == "numpy"


# -- layers with one fault each

NUMBERS = itertools.count()

whole = Dense.forward

Functional = type("Functional", (), {"__init__": lambda self, n, m: None})
HalfDerived = type("HalfDerived", (Dense,), {"forward": lambda self, x: whole(self, x) * pg.stop_gradient(x[:, :1])})
FixedKey = type("FixedKey", (Dense,), {"key": lambda self: pg.random.key(0)})
Single = type("Single", (Dense,), {"forward": lambda self, x: whole(self, x).astype(pg.float32)})
Infinite = type("Infinite", (Dense,), {"forward": lambda self, x: pg.log(whole(self, x))})
Turned = type("Turned", (Dense,), {"forward": lambda self, x: whole(self, x).reshape((2, 5))})
Unbiased = type("Unbiased", (Dense,), {"forward": lambda self, x: pg.tanh(x @ self.w - self.b)})
Overflowing = type("Overflowing", (Dense,), {"forward": lambda self, x: pg.log(pg.exp(x * 8.0)) @ self.w + self.b})
Cancelling = type("Cancelling", (Dense,), {"forward": lambda self, x: whole(self, x) + 1000.0 - 1000.0})
Lenient = type("Lenient", (Dense,), {"forward": lambda self, x: whole(self, x[:, :3])})
Dividing = type("Dividing", (Dense,), {"forward": lambda self, x: whole(self, x) * (1 / x.shape[0])})
Cut = type("Cut", (Dense,), {"forward": lambda self, x: pg.tanh(x @ self.w + self.b.detach())})
Frozen = type("Frozen", (Dense,), {"forward": lambda self, x: whole(self, x) * (1 + next(NUMBERS) % 7)})
Forgetful = type("Forgetful", (Dense,), {"state_dict": lambda self: {"w": self.w.detach()}})
Refreshed = type("Refreshed", (Dense,), {"__deepcopy__": lambda self, memo: type(self)(3, 2).eval()})
Clinging = type("Clinging", (Dense,), {"__deepcopy__": lambda self, memo: self})


class HostRandom(Dense):
    numbers = np.random.default_rng(0)

    def __init__(self, n, m):
        super().__init__(n, m)
        self.w = pg.Parameter(self.numbers.normal(size=(n, m)).astype(np.float32))


COMMON = pg.Parameter(np.ones((3, 2), np.float32), device="numpy")


class Shared(Dense):
    def __init__(self, n, m):
        super().__init__(n, m)
        self.w = COMMON


class Elsewhere(Dense):
    def __init__(self, n, m):
        super().__init__(n, m)
        self.b = pg.Parameter(pg.zeros(m, device="numpy"))


class Box:
    def __init__(self, content):
        self.content = content


class Hidden(Dense):
    def __init__(self, n, m):
        super().__init__(n, m)
        self.box = Box(pg.random.normal(self.key(), (m,)).to(pg.get_default_device()))

    def forward(self, x):
        return super().forward(x) + self.box.content.astype(x.dtype)


class Greedy(Dense):
    def forward(self, x):
        with pg.no_grad():
            x += 1.0
        return super().forward(x)


class Counting(Dense):
    calls = 0

    def forward(self, x):
        object.__setattr__(self, "calls", self.calls + 1)
        return super().forward(x)


class AlwaysFollowing(Norm):
    def forward(self, x):
        self.mean.assign(0.5 * self.mean + 0.5 * pg.stop_gradient(x.mean(axis=0)))
        return (x - self.mean) * self.scale


class Late(Norm):
    def forward(self, x):
        self.mean.assign(self.mean + 1.0)
        if x.shape[1] != 3:
            raise pg.errors.ShapeError("Late: the last size must be 3")
        return super().forward(x)


class Anonymous(Dense):
    def forward(self, x):
        if x.shape[1] != 3:
            raise pg.errors.ShapeError("wrong shape")
        return super().forward(x)


class Shrinking(Dense):
    def forward(self, x):
        return super().forward(x if x.shape[0] else pg.zeros((1, 3), dtype=x.dtype))


class HalfDerivedInTraining(Norm):
    def forward(self, x):
        return super().forward(x) * (pg.stop_gradient(x) if self.training else x)


class OnceDerived(Dense):
    def forward(self, x):
        y = super().forward(x)
        kept = pg.stop_gradient(y)
        return 2.0 * kept * y - kept * kept


class Idle(Dense):
    def __init__(self, n, m):
        super().__init__(n, m)
        self.unused = pg.Parameter(pg.ones(2))


class TapeOnly(Dense):
    def forward(self, x):
        w = self.w.detach() if x.requires_grad else self.w
        return pg.tanh(x @ w + self.b)


class TapeOnlyInput(Dense):
    def forward(self, x):
        return super().forward(x.detach() if x.requires_grad else x)


class Ticking(Norm):
    def forward(self, x):
        if self.training:
            self.mean.assign(pg.full(3, float(next(NUMBERS)), dtype=x.dtype))
        return x * self.scale


class _Mean(pg.Op):
    name = "kit_test.mean"
    dtypes = "float"

    def spec(self, x):
        return pg.Spec((), x.dtype)

    def decompose(self, x):
        return x.mean()

    def batch(self, size, xs, batched):
        return pg.broadcast_to(self(xs[0]), (size,))


MEAN = _Mean()
Mixing = type("Mixing", (Dense,), {"forward": lambda self, x: whole(self, x) + MEAN(x)})


class Branching(Dense):
    def forward(self, x):
        return super().forward(x) if x.sum().item() > 0 else super().forward(-x)


class PlainState(Norm):
    def __init__(self, n):
        super().__init__(n)
        self.mean = pg.zeros(n)

    def forward(self, x):
        if self.training:
            self.mean.assign(0.5 * self.mean + 0.5 * x.mean(axis=0))
        return (x - self.mean) * self.scale


class RecordedState(Norm):
    def __init__(self, n):
        super().__init__(n)
        self.mean = pg.zeros(n)

    def forward(self, x):
        if self.training:
            object.__setattr__(self, "mean", 0.5 * self.mean + 0.5 * x.mean(axis=0))
        return (x - self.mean) * self.scale


class Restless(Drop):
    def forward(self, x):
        kept = pg.random.bernoulli(pg.random.generator().key(), x.shape, p=0.5).to(x.device)
        return pg.where(kept, x * 2.0, 0.0)


class Constant(Drop):
    def forward(self, x):
        kept = pg.random.bernoulli(pg.random.key(3), x.shape, p=0.5).to(x.device)
        return pg.where(kept, x * 2.0, 0.0) if self.training else x


class Unseeded(Drop):
    numbers = np.random.default_rng(0)

    def forward(self, x):
        pg.random.generator().key()
        kept = pg.asarray(self.numbers.random(x.shape) < 0.5, device=x.device)
        return pg.where(kept, x * 2.0, 0.0) if self.training else x


class Deaf(pg.Module):
    def __init__(self):
        self.inner = Dense(3, 2)

    def forward(self, x):
        return self.inner(x)

    def train(self, mode=True):
        self.training = mode
        return self


class Mute(Dense):
    def train(self, mode=True):
        super().train(mode)


class Hasty(Dense):
    def load_state_dict(self, state):
        for name, t in self.named_tensors():
            t.assign(state[name])


class Trusting(Dense):
    def load_state_dict(self, state):
        for name, t in self.named_tensors():
            if name in state and tuple(state[name].shape) == t.shape:
                t.assign(state[name])


class Unpicklable(Dense):
    def __init__(self, n, m):
        super().__init__(n, m)
        self.act = lambda x: x


class Demoted(Dense):
    def __getstate__(self):
        return {"w": self.w, "b": self.b.detach(), "training": self.training}


def broken(cls, inputs=X, output=OUT, **more):
    config = {"n": 3} if issubclass(cls, Norm) else {} if issubclass(cls, (Drop, Deaf)) else {"n": 3, "m": 2}
    return LayerSample(cls.__name__, config, inputs, None if config != {"n": 3, "m": 2} else output, **more)


WRONG = (values(5, 4),)
BROKEN = [
    ("makes", broken(FixedKey), "same tensors"),
    ("makes", broken(HostRandom), "changed"),
    ("makes", broken(Shared), "of another"),
    ("makes", broken(Functional), "expected a plugrad.Module"),
    ("output", broken(Single), "expected a result of float64"),
    ("output", broken(Infinite), "not finite"),
    ("output", broken(Turned), "expected shape"),
    ("reference", broken(Unbiased, reference=dense), "layer and reference"),
    ("low_precision", broken(Overflowing), "not finite"),
    ("low_precision", broken(Cancelling), "float16 and float32"),
    ("inputs_unchanged", broken(Greedy), "input 0 changed"),
    ("inputs_unchanged", broken(Counting), "Python attributes"),
    ("inputs_unchanged", broken(AlwaysFollowing), "mean changed"),
    ("errors", broken(Late, WRONG, raises=pg.errors.ShapeError), "mean changed"),
    ("errors", broken(Anonymous, WRONG, raises=pg.errors.ShapeError), "names neither"),
    ("errors", broken(Lenient, WRONG, raises=pg.errors.ShapeError), "came a result"),
    ("errors", broken(Dense, WRONG, raises=pg.errors.DTypeError), "came ShapeError"),
    ("empty_batch", broken(Dividing), "ZeroDivisionError"),
    ("empty_batch", broken(Shrinking), r"expected \(0, 2\)"),
    ("gradients", broken(HalfDerived), "central difference"),
    ("gradients", broken(HalfDerivedInTraining), "(?s)training: .*central difference"),
    ("second", broken(OnceDerived), "central difference"),
    ("every_parameter_is_used", broken(Idle), "unused"),
    ("every_parameter_is_used", broken(Cut), "depends on b"),
    ("backward_and_grad_agree", broken(TapeOnly), "first call, w"),
    ("backward_and_grad_agree", broken(TapeOnlyInput), "input 0"),
    ("batching", broken(Mixing), "a loop"),
    ("staging", broken(Ticking), "mean after calls"),
    ("training_state", broken(Ticking), "mean after one call"),
    ("pickling", broken(Refreshed), "deepcopy: .* changed"),
    ("batching", broken(Branching), "ConcretizationError"),
    ("staging", broken(Branching), "ConcretizationError"),
    ("staging", broken(Frozen), "compiled and eager"),
    ("training_state", broken(PlainState), "StateError"),
    ("training_state", broken(RecordedState), "recorded on the tape"),
    ("training_state", broken(AlwaysFollowing), "a call in evaluation"),
    ("random", broken(Restless, random=True), "evaluation"),
    ("random", broken(Drop), "random=False"),
    ("random", broken(Dense, random=True), "random=True"),
    ("random", broken(Constant, random=True), "two seeds give"),
    ("random", broken(Unseeded, random=True), "after the same seed"),
    ("modes", broken(Deaf), "inner"),
    ("modes", broken(Mute), "NoneType"),
    ("state_dict", broken(Forgetful), "missing 'b'|keys"),
    ("state_dict", broken(Hasty), "changed"),
    ("state_dict", broken(Trusting), "came a result"),
    ("state_dict", broken(Hidden), "loaded state"),
    ("pickling", broken(Unpicklable), "raised"),
    ("pickling", broken(Clinging), "share"),
    ("pickling", broken(Demoted), "Parameter b .* became"),
]


@pytest.mark.parametrize(("rule", "sample", "text"), BROKEN, ids=[f"{r}-{s.name}" for r, s, _ in BROKEN])
def test_a_broken_layer_is_noticed(rule, sample, text):
    (check,) = [c for c in checks([sample], "numpy") if c.name == f"layer.{sample.name}.{rule}"]
    with pytest.raises(AssertionError, match=text) as caught:
        check()
    assert sample.name in str(caught.value) and "on numpy" in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "cls", "text"), [("device", Hidden, "DeviceError"), ("makes", Elsewhere, "b is on numpy")]
)
def test_a_layer_that_leaves_its_device_is_noticed(rule, cls, text):
    (check,) = [c for c in checks([broken(cls)], "kit_layers_twin") if c.name.endswith(rule)]
    with pytest.raises(AssertionError, match=text):
        check()


class Sine(pg.Module):
    def forward(self, x):
        return pg.sin(x)


def test_gradients_without_float64_are_compared_with_numpy():
    class Crooked(NumpyBackend):
        name = "kit_layers_crooked"
        dtypes = "b1 i4 i8 u4 u8 f4"
        kernels = {**NumpyBackend.kernels, "cos": lambda x: np.cos(x) * np.float32(0.9)}

    dispatch.add_backend(Crooked())
    (check,) = [c for c in checks([LayerSample("Sine", {}, X)], "kit_layers_crooked") if c.name.endswith("gradients")]
    with pytest.raises(AssertionError, match="gradients here and on numpy"):
        check()


def test_every_rule_has_a_broken_layer():
    known = {rule for rule, _, _ in BROKEN} | {"device"}
    asked = {c.name.rpartition(".")[2] for samples in GOOD.values() for c in checks(samples, "numpy")}
    assert asked == known
