"""A small convolutional net learns digits on the device, step for step as on the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as pg

pytestmark = pytest.mark.usefixtures("cuda")

STEPS, BATCH = 12, 32


def losses(device: str, images: np.ndarray, labels: np.ndarray) -> list[float]:
    import plugrad_nn as nn
    import plugrad_optim as optim

    pg.manual_seed(0)
    with pg.device(device):
        net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64, 10),
        )
        optimizer = optim.Adam(net.parameters(), learning_rate=1e-2)
        found = []
        for step in range(STEPS):
            part = slice(step * BATCH, (step + 1) * BATCH)
            net.zero_grad()
            loss = nn.functional.cross_entropy(net(pg.asarray(images[part])), pg.asarray(labels[part]))
            loss.backward()
            optimizer.step()
            found.append(loss.item())
    return found


def test_the_digits_net_trains_as_on_other_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sklearn", "plugrad_nn", "plugrad_optim", "plugrad_data"):
        pytest.importorskip(name, reason=f"no CUDA device is tried on digits without {name}")
    import plugrad_data as data

    monkeypatch.setenv("PLUGRAD_FALLBACK", "error")
    pairs: list[Any] = [data.digits()[i] for i in range(STEPS * BATCH)]
    images, labels = (np.stack([np.asarray(p[k]) for p in pairs]) for k in (0, 1))
    got = losses("cuda:0", images, labels)
    others = [d for d, o in pg.plugins.available_backends().items() if o.available and d in ("numpy", "cpu")]
    for other in others:
        np.testing.assert_allclose(got, losses(other, images, labels), rtol=0, atol=1e-4)
    assert got[-1] < got[0] - 0.5
