"""Calls of every op: operands and attributes for a dtype, and how exact the results must be.

A module for each family of the core has its ``SAMPLES``, by op; a plugin declares those of its own ops. An op without
any is a fault, which a check reports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ....dtypes import CODE, DTYPES, SHORT, parse
from ...kit.declare import Operand, OpSample
from ...kit.declared import declared
from ..edges import edges
from . import basic, fft, indexing, linalg, sorting, windows
from .sample import Sample as Sample
from .sample import Sampler

_FAMILIES = (basic, fft, indexing, linalg, sorting, windows)
_SAMPLERS: dict[str, Sampler] = {name: f for family in _FAMILIES for name, f in family.SAMPLES.items()}


def samples(name: str, code: int) -> Iterator[Sample]:
    """Calls of the op on operands whose key has this dtype."""
    dtype = DTYPES[code]
    if name in _SAMPLERS:
        yield from plain(name, code)
        for operands, attrs, accuracy in edges(name, dtype):
            yield Sample(operands, attrs, accuracy)
    for one in declared_calls(name, code):
        yield realised(one, dtype)


def plain(name: str, code: int) -> Iterator[Sample]:
    """The calls of an op of the core without those at the edges."""
    if name in _SAMPLERS:
        yield from _SAMPLERS[name](name, DTYPES[code])


def has_samples(name: str) -> bool:
    """Whether there are calls for the op."""
    return name in _SAMPLERS or any(one.raises is None for one in of_op(name))


def of_op(name: str) -> list[OpSample]:
    """What was declared for an op."""
    return [one for one in declared().get(("op", name), ()) if isinstance(one, OpSample)]


def declared_calls(name: str, code: int) -> list[OpSample]:
    """The right calls that were declared for an op and a dtype."""
    return [one for one in of_op(name) if one.raises is None and code in parse(one.dtypes)]


def realised(sample: OpSample, dtype: np.dtype) -> Sample:
    """A declared call with operands of a dtype."""
    return Sample(
        arrays(sample, dtype), dict(sample.attrs), _units(sample.tolerance, dtype), sample.layouts, sample.smooth
    )


def arrays(sample: OpSample, dtype: np.dtype) -> tuple[np.ndarray, ...]:
    """The operands of a declared call; a floating array takes the dtype."""
    made: list[np.ndarray] = []
    for seed, one in enumerate(sample.operands):
        if isinstance(one, Operand):
            made.append(one.array(dtype, seed))
        else:
            made.append(one.astype(dtype) if one.dtype.kind in "fc" else one)
    return tuple(made)


def _units(tolerance: str | Mapping[str, float], dtype: np.dtype) -> str | float:
    if isinstance(tolerance, str):
        return tolerance
    return float(tolerance.get(SHORT[CODE[dtype]], tolerance.get("", 64.0)))
