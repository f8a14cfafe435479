"""What a sample of a call is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np


class Sample(NamedTuple):
    """One call.

    ``accuracy``: a key of TOLERANCE, or units of the largest element. ``layouts``: the operands may be laid out in
    every way; else they are contiguous. ``smooth``: its derivatives exist.
    """

    operands: tuple[np.ndarray, ...]
    attrs: dict[str, Any]
    accuracy: str | float
    layouts: bool = False
    smooth: bool = True


Sampler = Callable[[str, np.dtype], Iterator[Sample]]
"""``f(op's name, dtype of the key operand)`` gives samples."""
