"""What the package registers, and what importing its plugin module costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import plugrad as pg
import plugrad_nn as nn
from plugrad.plugins import lookup
from plugrad_nn import plugin


@pytest.mark.parametrize("name", plugin.LAYERS)
def test_layers_by_name(name):
    config = {
        "linear": {"in_features": 3, "out_features": 2},
        "conv2d": {"in_channels": 1, "out_channels": 2, "kernel_size": 3},
        "embedding": {"entries": 4, "features": 2},
        "max_pool2d": {"kernel_size": 2},
        "multi_head_attention": {"features": 4, "heads": 2},
        "avg_pool2d": {"kernel_size": 2},
    }
    assert type(pg.create("layer", name, **config.get(name, {}))) is getattr(nn, plugin.LAYERS[name])


def test_every_layer_and_loss_is_registered():
    modules = {n for n in nn.__all__ if isinstance(getattr(nn, n), type) and issubclass(getattr(nn, n), pg.Module)}
    assert modules == {*plugin.LAYERS.values(), *plugin.LOSSES.values()}


@pytest.mark.parametrize("name", plugin.LOSSES)
def test_losses_by_name(name):
    assert pg.create("loss", name, reduction="sum").reduction == "sum"


@pytest.mark.parametrize("name", plugin.INITIALISERS)
def test_initialisers_by_name(name):
    assert pg.create("initialiser", name, key=pg.random.key(0), shape=(3, 4)).shape == (3, 4)


def test_ops_by_name():
    assert lookup("nn.conv2d").name == "nn.conv2d"


def test_all_ops_are_under_the_prefix_and_have_a_meaning():
    own = [op for op in pg.OPS.values() if type(op).__module__.startswith("plugrad_nn") or op.name.startswith("nn.")]
    assert len(own) > 10
    assert [op.name for op in own if not op.name.startswith("nn.") or op.decompose is None] == []


def test_importing_it_loads_no_backend_and_nothing_heavy():
    code = "import sys, plugrad_nn; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"plugrad", "plugrad_nn", "numpy"} <= loaded
    assert not loaded & {"scipy", "torch", "sklearn", "matplotlib"}
    assert {name for name in loaded if name.startswith("plugrad_")} == {"plugrad_nn"}
