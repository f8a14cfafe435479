"""The kit's checks of layers and losses: right ones pass all of them, and every seeded fault is noticed."""

import numpy as np
import pytest

import plugrad as pg
import plugrad.testing
from plugrad import dispatch
from plugrad.reference.backend import NumpyBackend
from plugrad.testing import LayerSample, values
from plugrad.testing.broken.layers import LAYERS
from plugrad.testing.broken.layers.honest import HONEST, OUT, Dense, Drop, X, sampled
from plugrad.testing.broken.layers.saving import TensorIsHidden
from plugrad.testing.broken.run import caught
from plugrad.testing.components.layers import checks
from plugrad.testing.kit.declared import with_samples


class Twin(NumpyBackend):
    name = "kit_layers_twin"


class Narrow(NumpyBackend):
    name = "kit_layers_narrow"
    dtypes = "b1 i4 i8 u4 u8 f4"


for _backend in (Twin(), Narrow()):
    dispatch.add_backend(_backend)


@pytest.mark.parametrize("device", ["numpy", "kit_layers_twin", "kit_layers_narrow"])
@pytest.mark.parametrize("name", HONEST)
def test_right_layers_pass(name, device):
    for check in checks(HONEST[name], device):
        check()


def test_names_kinds_and_subjects():
    found = {check.name: check for check in checks(HONEST["dense"], "numpy")}
    assert {check.name.split(".")[0] for check in checks(HONEST["squares"], "numpy")} == {"loss"}
    assert found["layer.dense.gradients"].subject == "dense" and found["layer.dense.gradients"].kind == "layer"
    assert {"layer.dense.errors", "layer.dense.reference", "layer.dense.second"} <= set(found)
    assert len(found) == len(checks(HONEST["dense"], "numpy"))


def test_quick_leaves_out_second_derivatives():
    full, quick = [{c.name for c in checks(HONEST["dense"], "numpy", q)} for q in (False, True)]
    assert full - quick == {"layer.dense.second"} and quick < full


def test_what_is_not_asked():
    rough = sampled(Dense, "rough", reference=None, smooth=False)
    names = {c.name.rpartition(".")[2] for c in checks([rough], "numpy")}
    assert not names & {"gradients", "second", "reference", "errors", "unbiased"}


def test_the_default_generator_is_put_back():
    pg.manual_seed(8)
    before = pg.random.generator().state.tolist()
    for check in checks(HONEST["drop"], "numpy"):
        check()
        assert pg.random.generator().state.tolist() == before and pg.get_default_device() == "numpy"


def test_a_registered_layer_is_made_by_name(monkeypatch):
    made = []
    monkeypatch.setattr(pg, "create", lambda kind, name, **config: made.append((kind, name)) or Dense(**config))
    for check in checks([LayerSample("by_name", {"n": 3, "m": 2}, X, OUT)], "numpy", quick=True):
        check()
    assert set(made) == {("layer", "by_name")}


def test_what_its_samples_make_needs_no_registration():
    with pytest.raises(pg.errors.ArgumentError, match="no layer 'dense_here'"):
        plugrad.testing.checks(layer="dense_here")
    with with_samples([sampled(Dense, "dense_here")]):
        (check,) = plugrad.testing.checks(layer="dense_here", only="pickling")
        check()
    unmade = LayerSample("dense_here", {"n": 3, "m": 2}, X)
    with with_samples([unmade]), pytest.raises(pg.errors.ArgumentError, match="no layer 'dense_here'"):
        plugrad.testing.checks(layer="dense_here")


# -- seeded faults


@pytest.mark.parametrize("fault", LAYERS, ids=str)
def test_a_fault_is_noticed(fault):
    found = caught(fault, quick=True)
    assert fault.unnoticed(found) == []
    message = found[fault.caught_by[0]]
    assert all(words in message for words in (*fault.says, "broken", "on numpy")), message


def test_every_rule_has_a_fault():
    named = {name.rpartition(".")[2] for fault in LAYERS for name in fault.caught_by}
    asked = {c.name.rpartition(".")[2] for samples in HONEST.values() for c in checks(samples, "numpy")}
    assert asked == named


def test_names_and_descriptions():
    assert len({fault.name for fault in LAYERS}) == len(LAYERS)
    for fault in LAYERS:
        assert fault.kind in ("layer", "loss") and fault.name.startswith(f"{fault.kind}.")
        assert fault.what.endswith(".") and fault.says


@pytest.mark.parametrize(
    ("rule", "sample", "text"),
    [
        ("random", sampled(Drop, random=False, reference=None), "random=False"),
        ("random", sampled(Dense, random=True), "random=True"),
        ("errors", sampled(Dense, inputs=(values(5, 4),), raises=pg.errors.DTypeError), "came ShapeError"),
    ],
)
def test_a_wrong_declaration_is_noticed(rule, sample, text):
    (check,) = [c for c in checks([sample], "numpy") if c.name.endswith(rule)]
    with pytest.raises(AssertionError, match=text):
        check()


class Elsewhere(Dense):
    def __init__(self, n, m):
        super().__init__(n, m)
        self.b = pg.Parameter(pg.zeros(m, device="numpy"))


@pytest.mark.parametrize(
    ("rule", "cls", "text"), [("device", TensorIsHidden, "DeviceError"), ("makes", Elsewhere, "b is on numpy")]
)
def test_a_layer_that_leaves_its_device_is_noticed(rule, cls, text):
    (check,) = [c for c in checks([sampled(cls)], "kit_layers_twin") if c.name.endswith(rule)]
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
    (check,) = [
        c for c in checks([LayerSample("sine", {}, X, make=Sine)], "kit_layers_crooked") if c.name.endswith("gradients")
    ]
    with pytest.raises(AssertionError, match="gradients here and on numpy"):
        check()
