"""Random transforms of a batch, for ``DataLoader(transform=...)``: ``transform(rng, *arrays) -> tuple`` of arrays.

The loader hands in a NumPy generator that depends on its seed, the epoch and the batch only, so a resumed run sees
the same augmented examples. A transform writes to none of its arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from plugrad.errors import ShapeError

from .dataset import Arrays, as_arrays

BatchTransform: TypeAlias = Callable[..., Any]


def compose(*transforms: BatchTransform) -> BatchTransform:
    """One transform after the other, in the order given."""

    def composed(rng: np.random.Generator, *arrays: np.ndarray) -> Arrays:
        for transform in transforms:
            arrays = as_arrays(transform(rng, *arrays))
        return arrays

    return composed


def random_shift(pixels: int) -> BatchTransform:
    """Move each image of the first array, (n, ..., rows, columns), by up to ``pixels`` along both axes; zeros come in.

    >>> rng = np.random.default_rng(0)
    >>> image = np.zeros((1, 1, 3, 3)); image[0, 0, 1, 1] = 5
    >>> moved, label = random_shift(1)(rng, image, np.array([4]))
    >>> moved.shape, float(moved.sum()), label
    ((1, 1, 3, 3), 5.0, array([4]))
    """
    if pixels < 0:
        raise ValueError(f"random_shift: pixels {pixels} must not be negative")

    def shift(rng: np.random.Generator, images: np.ndarray, *rest: np.ndarray) -> Arrays:
        if images.ndim < 3:
            raise ShapeError(f"random_shift: images have shape {images.shape}; pass (n, ..., rows, columns)")
        rows, columns = images.shape[-2:]
        down, right = rng.integers(0, 2 * pixels + 1, (2, len(images)))
        edge = [(0, 0)] * (images.ndim - 2) + [(pixels, pixels)] * 2
        padded = np.pad(images, edge)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), axis=(-2, -1))
        moved = windows[np.arange(len(images)), ..., down, right, :, :]
        return (np.ascontiguousarray(moved), *rest)

    return shift
