"""The kit's checks of optimizers: right ones pass all of them, and every seeded fault is noticed."""

import pytest

import plugrad as pg
from plugrad import dispatch
from plugrad.reference.backend import NumpyBackend
from plugrad.testing import OptimizerSample
from plugrad.testing.broken.optimizers import OPTIMIZERS
from plugrad.testing.broken.optimizers.honest import HONEST, Momentum, sampled
from plugrad.testing.broken.run import caught
from plugrad.testing.components.optimizers import checks


class Twin(NumpyBackend):
    name = "kit_optimizers_twin"


class Narrow(NumpyBackend):
    name = "kit_optimizers_narrow"
    dtypes = "b1 i4 i8 u4 u8 f4"


for _backend in (Twin(), Narrow()):
    dispatch.add_backend(_backend)


@pytest.mark.parametrize("device", ["numpy", "kit_optimizers_twin", "kit_optimizers_narrow"])
@pytest.mark.parametrize("name", HONEST)
def test_right_optimizers_pass(name, device):
    for check in checks(HONEST[name], device):
        check()


def test_names_kinds_and_subjects():
    found = {check.name: check for check in checks(HONEST["momentum"], "numpy", quick=True)}
    assert found["optimizer.momentum.staging"].subject == "momentum"
    assert found["optimizer.momentum.staging"].kind == "optimizer"
    assert "optimizer.momentum.reference" in found
    bare = {c.name.rpartition(".")[2] for c in checks([OptimizerSample("momentum", minimises=False)], "numpy")}
    assert {c.rpartition(".")[2] for c in found} - bare == {"reference", "minimises"}


def test_a_registered_optimizer_is_made_by_name(monkeypatch):
    made = []
    monkeypatch.setattr(pg, "create", lambda kind, name, **config: made.append((kind, name)) or Momentum(**config))
    for check in checks([OptimizerSample("by_name")], "numpy", quick=True):
        check()
    assert set(made) == {("optimizer", "by_name")}


# -- seeded faults


@pytest.mark.parametrize("fault", OPTIMIZERS, ids=str)
def test_a_fault_is_noticed(fault):
    found = caught(fault, quick=True)
    assert fault.unnoticed(found) == []
    message = found[fault.caught_by[0]]
    assert all(words in message for words in (*fault.says, "broken", "on numpy")), message


def test_every_rule_has_a_fault():
    named = {name.rpartition(".")[2] for fault in OPTIMIZERS for name in fault.caught_by}
    asked = {c.name.rpartition(".")[2] for samples in HONEST.values() for c in checks(samples, "numpy")}
    assert asked == named


def test_names_and_descriptions():
    assert len({fault.name for fault in OPTIMIZERS}) == len(OPTIMIZERS)
    for fault in OPTIMIZERS:
        assert fault.kind == "optimizer" and fault.name.startswith("optimizer.")
        assert fault.what.endswith(".") and fault.says


class OnHost(Momentum):
    moment_device = "numpy"


def test_moments_elsewhere_are_noticed():
    (check,) = [c for c in checks([sampled(OnHost)], "kit_optimizers_twin") if c.name.endswith(".device")]
    with pytest.raises(AssertionError, match="is on numpy"):
        check()
