"""Schedules: plain functions from a step's number to a rate, for ``optimizer.learning_rate = schedule(step)``.

A "step" is whatever the caller counts: ``plugrad_train.Schedule(cosine(0.05, 12))`` counts epochs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .checks import number

Schedule = Callable[[int], float]


def constant(rate: float) -> Schedule:
    """The same rate at every step."""
    rate = number("constant", "rate", rate, 0.0)
    return lambda step: rate


def step_decay(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """``rate * factor ** (step // every)``.

    >>> schedule = step_decay(1.0, every=10, factor=0.5)
    >>> schedule(9), schedule(10), schedule(25)
    (1.0, 0.5, 0.25)
    """
    rate, factor = number("step_decay", "rate", rate, 0.0), number("step_decay", "factor", factor, 0.0)
    number("step_decay", "every", every, 1)
    return lambda step: rate * factor ** (step // every)


def cosine(rate: float, steps: int, warmup: int = 0, end: float = 0.0) -> Schedule:
    """From ``rate`` to ``end`` along half a cosine over ``steps`` steps, the first ``warmup`` of which rise linearly.

    >>> schedule = cosine(1.0, steps=12, warmup=2)
    >>> [schedule(k) for k in (0, 1, 2, 7, 12, 99)]
    [0.5, 1.0, 1.0, 0.5, 0.0, 0.0]
    """
    rate, end = number("cosine", "rate", rate, 0.0), number("cosine", "end", end, 0.0)
    number("cosine", "steps", steps, 1)
    number("cosine", "warmup", warmup, 0, steps)

    def schedule(step: int) -> float:
        if step < warmup:
            return rate * (step + 1) / warmup
        done = min((step - warmup) / (steps - warmup), 1.0)
        return end + (rate - end) * 0.5 * (1.0 + math.cos(math.pi * done))

    return schedule
