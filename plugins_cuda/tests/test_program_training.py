"""A training step under ``plugrad.compile`` on the device: the losses of the eager step, in one graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad_cuda import runtime

nn = pytest.importorskip("plugrad_nn")
optim = pytest.importorskip("plugrad_optim")

STEPS = 5


def losses(device: str, compiled: bool) -> tuple[list[float], list[tuple[int, int]]]:
    """Losses of steps of Adam on a small net; and the launches and graphs of each step."""
    pg.manual_seed(0)
    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((8, 6), dtype=np.float32), rng.integers(0, 3, 8)) for _ in range(3)]
    with pg.device(device):
        model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
        optimizer = optim.Adam(model, learning_rate=1e-2)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = pg.compile(step) if compiled else step
    found, counts = [], []
    counters = runtime.of("0").counters
    for k in range(STEPS):
        x, y = [pg.asarray(a, device=device) for a in batches[k % 3]]
        before = counters.launches, counters.graphs
        loss = run(x, y)
        counts.append((counters.launches - before[0], counters.graphs - before[1]))
        found.append(float(loss.numpy()))
    return found, counts


def test_a_step_is_one_graph_and_learns_what_the_eager_step_does(cuda: str) -> None:
    by_numpy, _ = losses("numpy", False)
    eager, kernels = losses(cuda, False)
    compiled, graphs = losses(cuda, True)
    np.testing.assert_allclose(eager, by_numpy, rtol=1e-5)
    np.testing.assert_allclose(compiled, by_numpy, rtol=1e-5)
    assert eager[3] < eager[0], "of the same batch"
    assert min(kernels)[0] > 50
    assert graphs[1:] == [(0, 1)] * (STEPS - 1)
    assert graphs[0][0] * 2 < min(kernels)[0] and not graphs[0][1]
