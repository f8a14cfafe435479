"""Operands that several families need: elements that keep away from kinks, or that differ from their neighbours."""

from __future__ import annotations

import numpy as np

_STEPS = (29, 41, 17, 7)
_PRIME = 101


def apart(*shape: int, seed: int = 0) -> np.ndarray:
    """Elements of both signs, a quarter or more away from zero.

    >>> float(np.abs(apart(3, 4)).min()) >= 0.25
    True
    """
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.25, 2.0, shape)
    return np.where(rng.random(shape) < 0.5, -size, size)


def distinct(*shape: int, layout: str = "NCHW") -> np.ndarray:
    """Images whose elements differ by an eighth or more within every window of up to 4 by 4; exact in every floating
    dtype.

    >>> distinct(1, 1, 2, 2).tolist()
    [[[[-6.25, -5.375], [-4.125, -3.25]]]]
    """
    steps = _STEPS if layout == "NCHW" else (_STEPS[0], *_STEPS[2:], _STEPS[1])
    places = np.indices(shape)
    found = sum(step * place for step, place in zip(steps, places, strict=True))
    return (np.asarray(found) % _PRIME - _PRIME // 2) / 8.0
