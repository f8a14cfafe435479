"""A small convolutional net: two convolutions of 3x3 with max pooling, two dense layers; 28x28, batch 64."""

from __future__ import annotations

import plugrad as pg
import plugrad_nn as nn
import plugrad_norm as norm

from . import losses
from .steps import Steps, assemble, labels, normals

FULL = {"size": 28, "channels": (1, 32, 64), "hidden": 128, "classes": 10, "batch": 64}
SMALL = {"size": 8, "channels": (1, 4, 6), "hidden": 16, "classes": 5, "batch": 4}


class CNN(pg.Module):
    """(batch, c, size, size) -> (batch, count)."""

    def __init__(
        self, size: int, channels: tuple[int, int, int], hidden: int, count: int, dropout: float, checkpoint: bool
    ) -> None:
        a, b, c = channels
        self.first = nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(b, c, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.dense = nn.Linear(c * (size // 4) ** 2, hidden)
        self.dropout = norm.Dropout(dropout)
        self.last, self.checkpoint = nn.Linear(hidden, count), checkpoint

    def features(self, x: pg.Tensor) -> pg.Tensor:
        """(batch, c, size, size) -> (batch, features)."""
        x = self.second(self.first(x))
        return pg.reshape(x, (x.shape[0], -1))

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        x = pg.checkpoint(self.features)(x) if self.checkpoint else self.features(x)
        return self.last(self.dropout(nn.relu(self.dense(x))))


def build(
    device: str,
    seed: int,
    *,
    style: str = "functional",
    size: int = FULL["size"],
    channels: tuple[int, int, int] = FULL["channels"],
    hidden: int = FULL["hidden"],
    classes: int = FULL["classes"],
    batch: int = FULL["batch"],
    batches: int = 4,
    dropout: float = 0.0,
    checkpoint: bool = False,
    per_example: bool = False,
) -> Steps:
    """Softmax cross-entropy on random images and labels."""
    images = normals(seed, batches, (batch, channels[0], size, size))
    arrays = list(zip(images, labels(seed, batches, batch, classes)))
    loss = losses.per_example(nn.cross_entropy) if per_example else losses.of_batch(nn.cross_entropy)
    make = lambda: CNN(size, channels, hidden, classes, dropout, checkpoint)  # noqa: E731
    return assemble(make, loss, arrays, device=device, seed=seed, style=style)
