"""Calls of the ops that sort and search."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from ..numbers import numbers
from .sample import Sample, Sampler


def _argsort(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for axis, descending in itertools.product((0, 1, 2), (False, True)):
        attrs = {"axis": axis, "descending": descending}
        yield Sample((numbers((2, 3, 4), dtype, -5, 5),), attrs, "exact", axis == 1)
        yield Sample(
            (np.round(numbers((2, 3, 4), dtype, -1, 1, 3)).astype(dtype),), attrs, "exact", smooth=False
        )  # ties
    yield Sample((numbers((0, 3), dtype, 0, 1),), {"axis": 0, "descending": False}, "exact")


def _searchsorted(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for side, shape in itertools.product(("left", "right"), ((3, 4), (), (0,))):
        operands = np.sort(numbers((7,), dtype, -5, 5)), numbers(shape, dtype, -6, 6, 1)
        yield Sample(operands, {"side": side}, "exact", shape == (3, 4))
    yield Sample((numbers((0,), dtype, 0, 1), numbers((3,), dtype, 0, 1)), {"side": "left"}, "exact")


SAMPLES: dict[str, Sampler] = {"argsort": _argsort, "sort": _argsort, "searchsorted": _searchsorted}
