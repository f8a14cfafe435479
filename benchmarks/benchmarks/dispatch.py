"""What a call costs apart from its arithmetic: four elements, with and without a recorded derivative."""

from __future__ import annotations

from typing import Any

import numpy as np

import plugrad as pg

from .base import BackendBench, normal


class Add4(BackendBench):
    """x + y of four float32 elements."""

    def prepare(self, *case: Any) -> None:
        self.arrays = normal(4, seed=1), normal(4, seed=2)
        self.x, self.y = (self.on_device(array) for array in self.arrays)
        self.leaf = self.on_device(self.arrays[0]).requires_grad_()

    def compute(self) -> pg.Tensor:
        return self.x + self.y

    def expected(self) -> np.ndarray:
        return self.arrays[0] + self.arrays[1]

    def time_add(self, *case: Any) -> None:
        _ = self.x + self.y

    def time_add_recorded(self, *case: Any) -> None:
        _ = self.leaf + self.y


class Backward4(BackendBench):
    """sum(x * y) of four elements, forward and backward."""

    def prepare(self, *case: Any) -> None:
        self.arrays = normal(4, seed=1), normal(4, seed=2)
        self.x, self.y = (self.on_device(array) for array in self.arrays)
        self.gradient = pg.grad(lambda x, y: pg.sum(x * y))

    def compute(self) -> pg.Tensor:
        return self.gradient(self.x, self.y)

    def expected(self) -> np.ndarray:
        return self.arrays[1]

    def time_backward(self, *case: Any) -> None:
        leaf = self.x.detach().requires_grad_()
        (leaf * self.y).sum().backward()

    def time_grad(self, *case: Any) -> None:
        self.gradient(self.x, self.y)


class NumPyAdd4:
    """The same addition by NumPy itself: the yardstick."""

    def setup(self) -> None:
        self.x, self.y = normal(4, seed=1), normal(4, seed=2)

    def time_add(self) -> None:
        _ = self.x + self.y
