"""The reference backend's class: values are ndarrays, movement ops are NumPy's own views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ..backend import Backend, Spec
from . import elementwise, fft, indexing, linalg, movement, random, reduction, sorting, windows

_FAMILIES = (elementwise, reduction, movement, indexing, sorting, random, linalg, fft, windows)


class NumpyBackend(Backend):
    """Runs everything, on the host, in NumPy."""

    name = "numpy"
    dtypes = "any"
    kernels: Mapping[str, Any] = {name: kernel for family in _FAMILIES for name, kernel in family.KERNELS.items()}
    into: ClassVar[Mapping[str, Any]] = {**elementwise.INTO, **indexing.INTO}

    def from_host(self, array: np.ndarray, device: str) -> np.ndarray:
        return np.array(array, copy=True, order="C")

    def to_host(self, value: Any) -> np.ndarray:
        view = np.asarray(value).view()
        view.flags.writeable = False
        return view

    def spec(self, value: Any) -> Spec:
        return Spec(value.shape, value.dtype)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, device: str) -> np.ndarray:
        return np.empty(shape, dtype)

    def carve(self, block: Any, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return np.ndarray(shape, dtype, block, offset)

    def borrow(self, array: np.ndarray, device: str) -> np.ndarray:
        return np.asarray(array)

    def dlpack(self, value: Any) -> np.ndarray:
        return np.asarray(value)
