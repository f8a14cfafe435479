"""What a builder gives: model, optimizer, batches, and the step in one of the styles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import plugrad as pg
import plugrad_optim as optim

from .styles import STYLES

Batch = tuple[pg.Tensor, pg.Tensor]
Arrays = list[tuple[np.ndarray, np.ndarray]]


@dataclass
class Steps:
    """A workload ready to run.

    ``batches`` are pairs (x, y) on the device, to be taken in turn; ``make`` gives a step, a function of one batch
    whose result is the loss before the update, from a transformation such as ``plugrad.compile`` or the identity.
    """

    model: pg.Module
    optimizer: optim.Optimizer
    batches: list[Batch]
    make: Callable[[Callable[[Any], Any]], Callable[[pg.Tensor, pg.Tensor], pg.Tensor]]

    def step(self) -> Callable[[pg.Tensor, pg.Tensor], pg.Tensor]:
        """The step as it was written."""
        return self.make(lambda f: f)

    def compiled(self) -> Callable[[pg.Tensor, pg.Tensor], pg.Tensor]:
        """The step under ``plugrad.compile``: gradients, update and writes together."""
        return self.make(pg.compile)


def assemble(
    make_model: Callable[[], pg.Module],
    loss: Callable[..., pg.Tensor],
    arrays: Arrays,
    *,
    device: str,
    seed: int,
    style: str,
    learning_rate: float = 1e-3,
) -> Steps:
    """Steps of Adam on ``loss(model, x, y)`` in a style; the default generator starts at ``seed`` for the weights, and
    goes on from there for dropout.
    """
    pg.manual_seed(seed)
    with pg.device(device):
        model = make_model()
        optimizer = optim.Adam(model, learning_rate=learning_rate)
        batches = [(pg.asarray(x), pg.asarray(y)) for x, y in arrays]
    return Steps(model, optimizer, batches, lambda transform: STYLES[style](model, optimizer, loss, transform))


def normals(seed: int, n: int, shape: tuple[int, ...]) -> np.ndarray:
    """(n, *shape) seeded float32 normals: ``n`` batches."""
    return np.random.default_rng(seed).standard_normal((n, *shape), dtype=np.float32)


def labels(seed: int, n: int, batch: int, count: int) -> np.ndarray:
    """(n, batch) seeded int64 labels below ``count``."""
    return np.random.default_rng(seed + 1).integers(0, count, (n, batch))
