"""ResNet-8 for small images: a stem and three residual blocks with batch normalisation; 32x32, batch 32."""

from __future__ import annotations

import plugrad as pg
import plugrad_nn as nn
import plugrad_norm as norm

from . import losses
from .steps import Steps, assemble, labels, normals

FULL = {"size": 32, "channels": (3, 16, 16, 32, 64), "classes": 10, "batch": 32}
SMALL = {"size": 8, "channels": (2, 4, 4, 6, 8), "classes": 5, "batch": 4}


class Block(pg.Module):
    """relu(f(x) + x), f two convolutions with batch normalisation; where channels or sizes change, x is projected by
    1x1.
    """

    def __init__(self, taken: int, given: int, stride: int) -> None:
        self.first = nn.Conv2d(taken, given, 3, stride=stride, padding=1, bias=False)
        self.first_norm = norm.BatchNorm2d(given)
        self.second = nn.Conv2d(given, given, 3, padding=1, bias=False)
        self.second_norm = norm.BatchNorm2d(given)
        self.shortcut = nn.Conv2d(taken, given, 1, stride=stride, bias=False) if (stride, given) != (1, taken) else None

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        y = nn.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        return nn.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ResNet(pg.Module):
    """(batch, c, size, size) -> (batch, count)."""

    def __init__(self, channels: tuple[int, ...], count: int, dropout: float, checkpoint: bool) -> None:
        c, stem, *widths = channels
        self.stem, self.stem_norm = nn.Conv2d(c, stem, 3, padding=1, bias=False), norm.BatchNorm2d(stem)
        pairs = list(zip([stem, *widths], widths))
        self.blocks = [Block(a, b, 1 if i == 0 else 2) for i, (a, b) in enumerate(pairs)]
        self.dropout, self.last, self.checkpoint = norm.Dropout(dropout), nn.Linear(widths[-1], count), checkpoint

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        x = nn.relu(self.stem_norm(self.stem(x)))
        for block in self.blocks:
            x = pg.checkpoint(block)(x) if self.checkpoint else block(x)
        return self.last(self.dropout(pg.mean(x, axis=(2, 3))))


def build(
    device: str,
    seed: int,
    *,
    style: str = "functional",
    size: int = FULL["size"],
    channels: tuple[int, ...] = FULL["channels"],
    classes: int = FULL["classes"],
    batch: int = FULL["batch"],
    batches: int = 4,
    dropout: float = 0.0,
    checkpoint: bool = False,
) -> Steps:
    """Softmax cross-entropy on random images and labels. Not per example: the statistics are those of a batch."""
    images = normals(seed, batches, (batch, channels[0], size, size))
    arrays = list(zip(images, labels(seed, batches, batch, classes)))
    make = lambda: ResNet(channels, classes, dropout, checkpoint)  # noqa: E731
    loss = losses.of_batch(nn.cross_entropy)
    return assemble(make, loss, arrays, device=device, seed=seed, style=style)
