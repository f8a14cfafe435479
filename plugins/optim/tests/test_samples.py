"""Every step and optimizer has samples, and they are right: what the papers' formulas give, over five steps too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import plugrad as pg
import plugrad_optim.ops  # noqa: F401  registers them
from plugrad.plugins import loader
from plugrad.testing import OpSample, OptimizerSample
from plugrad_optim.samples import samples

SAMPLES = list(samples())
OPS = [s for s in SAMPLES if isinstance(s, OpSample)]
OPTIMIZERS = [s for s in SAMPLES if isinstance(s, OptimizerSample)]
STEPS = 5


def described(sample: OptimizerSample) -> str:
    return f"{sample.name} {sample.config}"


@pytest.mark.parametrize("op", sorted(name for name in pg.OPS if name.startswith("optim.")))
def test_every_step_is_called_rightly_and_compared(op: str):
    calls = [s for s in OPS if s.op == op and s.raises is None]
    assert any(s.reference for s in calls) and any(s.smooth for s in calls)


def test_every_optimizer_is_run_and_compared():
    entries = loader.registry().select("component", "optimizer").values()
    own = {e.name for e in entries if e.provider.entry_point == "optim"}
    assert own and {s.name for s in OPTIMIZERS if s.reference and s.minimises} == own
    assert {(s.name, s.decay) for s in OPTIMIZERS} == {
        *[(name, decay) for name in own for decay in ("none", "gradient")],
        ("adam", "parameter"),
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", sorted({s.op for s in OPS}))
def test_steps(run_sample: Callable[[Any, str], None], op: str, dtype: str):
    for sample in OPS:
        if sample.op == op:
            run_sample(sample, dtype)


@pytest.mark.parametrize("sample", OPTIMIZERS, ids=described)
def test_optimizers_follow_their_formula(device: str, sample: OptimizerSample):
    rng, memory = np.random.default_rng(0), {}
    wanted, minimum = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    p = pg.Parameter(wanted, dtype="float64")
    optimizer = pg.create("optimizer", sample.name, params=[p], **sample.config)
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        (((p - minimum) ** 2).sum() * 0.5).backward()
        optimizer.step()
        assert sample.reference is not None
        wanted = sample.reference(wanted, wanted - minimum, memory, step)
        np.testing.assert_allclose(p.detach().numpy(), wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("sample", [s for s in OPTIMIZERS if s.decay != "none"], ids=described)
def test_decay_is_added_to_what_is_said(sample: OptimizerSample):
    """Where the gradient is zero, only decoupled decay of Adam shrinks a parameter by its share."""
    p = pg.Parameter([4.0, -2.0], dtype="float64", device="numpy")
    optimizer = pg.create("optimizer", sample.name, params=[p], **sample.config)
    p.grad = pg.zeros(2, dtype="float64", device="numpy")
    optimizer.step()
    rate, decay = sample.config["learning_rate"], sample.config["weight_decay"]
    shrunk = np.array([4.0, -2.0]) * (1.0 - rate * decay)
    assert (sample.decay == "parameter") == (sample.name == "adam" and np.allclose(p.detach().numpy(), shrunk))


@pytest.mark.parametrize("sample", [s for s in OPTIMIZERS if s.minimises], ids=described)
def test_those_that_minimise_do(sample: OptimizerSample):
    curvature = np.array([1.0, 2.0, 0.5])
    p = pg.Parameter([1.0, -1.0, 0.5], dtype="float64", device="numpy")
    optimizer = pg.create("optimizer", sample.name, params=[p], **sample.config)
    for _ in range(200):
        optimizer.zero_grad()
        ((p * p) * pg.asarray(curvature, device="numpy")).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(p.detach().numpy(), 0.0, atol=1e-3)
