"""Every operation and component has samples, and they are right: the reference backend gives what the formulas say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import plugrad as pg
import plugrad_norm.ops  # noqa: F401  registers them
from plugrad.plugins import loader
from plugrad.testing import LayerSample, OpSample
from plugrad_norm.samples import samples

SAMPLES = list(samples())
OPS = [s for s in SAMPLES if isinstance(s, OpSample)]
LAYERS = [s for s in SAMPLES if isinstance(s, LayerSample)]


@pytest.mark.parametrize("op", sorted(name for name in pg.OPS if name.startswith("norm.")))
def test_every_operation_is_called_rightly_and_compared(op: str):
    calls = [s for s in OPS if s.op == op and s.raises is None]
    assert any(s.reference for s in calls) and any(s.smooth for s in calls)


def test_every_component_is_made_rightly_and_compared():
    entries = [e for kind in ("layer",) for e in loader.registry().select("component", kind).values()]
    own = {(e.kind, e.name) for e in entries if e.provider.entry_point == "norm"}
    assert own and {(s.kind, s.name) for s in LAYERS if s.raises is None and s.reference} == own


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", sorted({s.op for s in OPS}))
def test_operations(run_sample: Callable[[Any, str], None], op: str, dtype: str):
    for sample in OPS:
        if sample.op == op:
            run_sample(sample, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted({s.name for s in LAYERS}))
def test_layers(run_sample: Callable[[Any, str], None], name: str, dtype: str):
    for sample in LAYERS:
        if sample.name == name:
            run_sample(sample, dtype)
