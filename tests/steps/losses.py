"""The loss of a batch, whole or as the mean of its examples' own under ``vmap``."""

from __future__ import annotations

from collections.abc import Callable

import plugrad as pg

Loss = Callable[[pg.Module, pg.Tensor, pg.Tensor], pg.Tensor]
Measure = Callable[[pg.Tensor, pg.Tensor], pg.Tensor]


def of_batch(measure: Measure) -> Loss:
    """measure(model(x), y)."""
    return lambda model, x, y: measure(model(x), y)


def per_example(measure: Measure, axis: int = 0) -> Loss:
    """The mean over examples of ``measure`` on a batch of one; ``axis`` is the batch's in x, and 0 in y. Examples draw
    different random numbers.
    """

    def loss(model: pg.Module, x: pg.Tensor, y: pg.Tensor) -> pg.Tensor:
        def one(model: pg.Module, x: pg.Tensor, y: pg.Tensor) -> pg.Tensor:
            return measure(model(pg.expand_dims(x, axis=axis)), pg.expand_dims(y, axis=0))

        return pg.mean(pg.vmap(one, in_axes=(None, axis, 0), randomness="different")(model, x, y))

    return loss
