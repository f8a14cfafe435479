"""A multilayer perceptron with ReLU: 784-256-128-10, batch 128."""

from __future__ import annotations

import itertools

import plugrad as pg
import plugrad_nn as nn
import plugrad_norm as norm

from . import losses
from .steps import Steps, assemble, labels, normals

FULL = {"widths": (784, 256, 128, 10), "batch": 128}
SMALL = {"widths": (20, 16, 12, 5), "batch": 8}


class MLP(pg.Module):
    """(batch, widths[0]) -> (batch, widths[-1]); dropout behind each ReLU."""

    def __init__(self, widths: tuple[int, ...], dropout: float, checkpoint: bool) -> None:
        *hidden, last = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        self.hidden = nn.Sequential(*[layer for linear in hidden for layer in _activated(linear, dropout)])
        self.last, self.checkpoint = last, checkpoint

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        return self.last(pg.checkpoint(self.hidden)(x) if self.checkpoint else self.hidden(x))


def _activated(linear: nn.Linear, dropout: float) -> list[pg.Module]:
    return [linear, nn.ReLU(), norm.Dropout(dropout)] if dropout else [linear, nn.ReLU()]


def build(
    device: str,
    seed: int,
    *,
    style: str = "functional",
    widths: tuple[int, ...] = FULL["widths"],
    batch: int = FULL["batch"],
    batches: int = 4,
    dropout: float = 0.0,
    checkpoint: bool = False,
    per_example: bool = False,
) -> Steps:
    """Softmax cross-entropy on random images and labels."""
    arrays = list(zip(normals(seed, batches, (batch, widths[0])), labels(seed, batches, batch, widths[-1])))
    loss = losses.per_example(nn.cross_entropy) if per_example else losses.of_batch(nn.cross_entropy)
    return assemble(lambda: MLP(widths, dropout, checkpoint), loss, arrays, device=device, seed=seed, style=style)
