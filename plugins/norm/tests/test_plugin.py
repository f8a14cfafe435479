"""What the distribution registers."""

from __future__ import annotations

import pytest

import plugrad as pg
import plugrad_norm
from plugrad.plugins import lookup


@pytest.mark.parametrize(
    ("name", "config", "kind"),
    [
        ("layer_norm", {"shape": 4}, plugrad_norm.LayerNorm),
        ("batch_norm1d", {"num_features": 3}, plugrad_norm.BatchNorm1d),
        ("batch_norm2d", {"num_features": 3, "momentum": 0.2}, plugrad_norm.BatchNorm2d),
        ("dropout", {"p": 0.25}, plugrad_norm.Dropout),
    ],
)
def test_layers_by_name(name: str, config: dict[str, object], kind: type):
    assert type(pg.create("layer", name, **config)) is kind


@pytest.mark.parametrize("name", ["layer_norm", "layer_norm_bwd", "batch_norm", "batch_norm_bwd", "dropout"])
def test_ops_by_name(name: str):
    assert lookup(f"norm.{name}").name == f"norm.{name}"


def test_public_names():
    assert len(set(plugrad_norm.__all__)) == len(plugrad_norm.__all__)
    for name in plugrad_norm.__all__:
        assert getattr(plugrad_norm, name).__doc__
