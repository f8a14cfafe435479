"""A classifier of sequences by an LSTM (Hochreiter, Schmidhuber 1997): 128 cells, 50 steps, batch 32."""

from __future__ import annotations

import plugrad as pg
import plugrad_nn as nn
import plugrad_norm as norm

from . import losses
from .steps import Steps, assemble, labels, normals

FULL = {"length": 50, "features": 64, "cells": 128, "classes": 10, "batch": 32}
SMALL = {"length": 6, "features": 5, "cells": 8, "classes": 5, "batch": 4}
LOOPS = ("unrolled", "scan")

Carry = tuple[pg.Tensor, pg.Tensor]


class LSTM(pg.Module):
    """(length, batch, features) -> (batch, count), from the last hidden state.

    The gates lie side by side in the 4 cells rows of ``inputs`` and ``hidden``: input, forget, candidate,
    output.
    """

    def __init__(self, features: int, cells: int, count: int, dropout: float, checkpoint: bool, loop: str) -> None:
        if loop not in LOOPS:
            raise ValueError(f"LSTM: loop is {loop!r}; use one of {', '.join(LOOPS)}")
        self.inputs = nn.Linear(features, 4 * cells)
        self.hidden = nn.Linear(cells, 4 * cells, bias=False)
        self.dropout, self.last = norm.Dropout(dropout), nn.Linear(cells, count)
        self.cells, self.checkpoint, self.loop = cells, checkpoint, loop

    def cell(self, carry: Carry, x: pg.Tensor) -> Carry:
        """(h, c) after one step; ``x`` (batch, 4 cells) is the input's share of the gates."""
        h, c = carry
        n = self.cells
        z = x + self.hidden(h)
        c = nn.sigmoid(z[:, n : 2 * n]) * c + nn.sigmoid(z[:, :n]) * pg.tanh(z[:, 2 * n : 3 * n])
        return nn.sigmoid(z[:, 3 * n :]) * pg.tanh(c), c

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        x = self.inputs(x)
        start = pg.zeros((x.shape[1], self.cells), dtype=x.dtype, device=x.device)
        cell = pg.checkpoint(self.cell) if self.checkpoint else self.cell
        carry = start, start
        if self.loop == "scan":
            carry, _ = pg.scan(lambda carry, row: (cell(carry, row), None), carry, x)
        else:
            for t in range(x.shape[0]):
                carry = cell(carry, x[t])
        return self.last(self.dropout(carry[0]))


def build(
    device: str,
    seed: int,
    *,
    style: str = "functional",
    length: int = FULL["length"],
    features: int = FULL["features"],
    cells: int = FULL["cells"],
    classes: int = FULL["classes"],
    batch: int = FULL["batch"],
    batches: int = 4,
    dropout: float = 0.0,
    checkpoint: bool = False,
    per_example: bool = False,
    loop: str = "unrolled",
) -> Steps:
    """Softmax cross-entropy on random sequences and labels."""
    sequences = normals(seed, batches, (length, batch, features))
    arrays = list(zip(sequences, labels(seed, batches, batch, classes)))
    loss = losses.per_example(nn.cross_entropy, axis=1) if per_example else losses.of_batch(nn.cross_entropy)
    make = lambda: LSTM(features, cells, classes, dropout, checkpoint, loop)  # noqa: E731
    return assemble(make, loss, arrays, device=device, seed=seed, style=style)
