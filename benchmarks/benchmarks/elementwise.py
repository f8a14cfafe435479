"""Elementwise ops on arrays in cache and in memory, one of them a chain."""

from __future__ import annotations

from typing import Any

import numpy as np

import plugrad as pg

from .base import BackendBench, normal


class Elementwise(BackendBench):
    """One op on float32 arrays."""

    cases = (("add", "multiply", "exp", "tanh"), (1_000, 100_000, 1_000_000))
    case_names = ("op", "size")

    def prepare(self, *case: Any) -> None:
        self.name, size = case
        binary = self.name in {"add", "multiply"}
        self.arrays = [normal(size, seed=seed) for seed in range(2 if binary else 1)]
        self.inputs = [self.on_device(array) for array in self.arrays]
        self.function = getattr(pg, self.name)

    def compute(self) -> pg.Tensor:
        return self.function(*self.inputs)

    def expected(self) -> np.ndarray:
        return getattr(np, self.name)(*self.arrays)

    def time_op(self, *case: Any) -> None:
        self.compute()
        self.wait()
