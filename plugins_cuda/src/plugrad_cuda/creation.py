"""New values on a device."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import runtime
from .array import DeviceArray
from .elementwise import fill
from .elementwise import iota as positions
from .layout import Ints, dense


def full(*, shape: Ints, dtype: np.dtype, value: Any, device: str) -> DeviceArray:
    """Every element the same."""
    return fill(runtime.of(device), dense(dtype, shape), value)


def iota(*, size: int, dtype: np.dtype, device: str) -> DeviceArray:
    """0, 1, ... size - 1."""
    return positions(runtime.of(device), dense(dtype, (size,)))
