"""What the distribution registers."""

from __future__ import annotations

import pytest

import plugrad as pg
import plugrad_optim
from plugrad.plugins import lookup


def test_optimizers_by_name():
    w = pg.Parameter([1.0], device="numpy")
    sgd = pg.create("optimizer", "sgd", params=[w], learning_rate=0.5, momentum=0.9)
    adam = pg.create("optimizer", "adam", params=[w])
    assert type(sgd) is plugrad_optim.SGD and type(adam) is plugrad_optim.Adam
    assert (sgd.learning_rate, sgd.momentum, adam.learning_rate) == (0.5, 0.9, 1e-3)


def test_schedules_by_name():
    assert pg.create("schedule", "cosine", rate=1.0, steps=4)(2) == 0.5
    assert pg.create("schedule", "step", rate=1.0, every=1, factor=0.5)(2) == 0.25
    assert pg.create("schedule", "constant", rate=1.0)(2) == 1.0


@pytest.mark.parametrize("name", ["descent_step", "sgd_step", "adam_step"])
def test_ops_by_name(name: str):
    assert lookup(f"optim.{name}").name == f"optim.{name}"


def test_public_names():
    assert len(set(plugrad_optim.__all__)) == len(plugrad_optim.__all__)
    for name in plugrad_optim.__all__:
        assert getattr(plugrad_optim, name).__doc__
