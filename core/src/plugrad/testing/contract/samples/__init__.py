"""Calls of every op of the core: operands and attributes for a dtype, and how exact the results must be.

A module for each family has its ``SAMPLES``, by op. An op of the core without any is a fault of these files, which a
check reports.
"""

from __future__ import annotations

from collections.abc import Iterator

from ....dtypes import DTYPES
from ..edges import edges
from . import basic, fft, indexing, linalg, sorting, windows
from .sample import Sample as Sample
from .sample import Sampler

_FAMILIES = (basic, fft, indexing, linalg, sorting, windows)
_SAMPLERS: dict[str, Sampler] = {name: f for family in _FAMILIES for name, f in family.SAMPLES.items()}


def samples(name: str, code: int) -> Iterator[Sample]:
    """Calls of the op on operands whose key has this dtype."""
    dtype = DTYPES[code]
    yield from _SAMPLERS[name](name, dtype)
    for operands, attrs, accuracy in edges(name, dtype):
        yield Sample(operands, attrs, accuracy)


def has_samples(name: str) -> bool:
    """Whether there are calls for the op."""
    return name in _SAMPLERS
