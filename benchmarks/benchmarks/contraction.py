"""Matrix products of square, tall and small operands."""

from __future__ import annotations

from typing import Any

import numpy as np

import plugrad as pg

from .base import BackendBench, normal


class MatMul(BackendBench):
    """(m, k) @ (k, n) in float32."""

    cases = (("16x16x16", "128x128x128", "512x512x512", "1024x64x64"),)
    case_names = ("m_k_n",)
    rtol = 1e-3

    def prepare(self, *case: Any) -> None:
        m, k, n = (int(size) for size in case[0].split("x"))
        self.left, self.right = normal(m, k, seed=1), normal(k, n, seed=2)
        self.inputs = self.on_device(self.left), self.on_device(self.right)

    def compute(self) -> pg.Tensor:
        return pg.matmul(*self.inputs)

    def expected(self) -> np.ndarray:
        return self.left.astype(np.float64) @ self.right

    def time_matmul(self, *case: Any) -> None:
        self.compute()
        self.wait()
