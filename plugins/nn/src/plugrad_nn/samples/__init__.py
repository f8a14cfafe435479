"""Calls of every operation, layer and loss of this package, for the conformance kit. One module a family, named as its
operations' is; the references beside the samples are the textbooks' formulas in NumPy. Only the kit imports it.
"""

from __future__ import annotations

from collections.abc import Iterator

from plugrad.testing import LayerSample, OpSample

from . import activation, attention, convolution, layers, linear, losses, pooling

_FAMILIES = (activation, attention, convolution, linear, losses, pooling, layers)


def samples() -> Iterator[OpSample | LayerSample]:
    """All of them."""
    for family in _FAMILIES:
        yield from family.samples()
