"""How the tape grows: filling rows under grad, and a value carried through many grads, must take linear time."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import plugrad as pg

from .base import BackendBench


class FillRows(BackendBench):
    """Rows written one by one under grad, forward and backward; four times the rows should take four times as long."""

    cases: ClassVar[list[list[int]]] = [[2_500, 10_000]]
    case_names: ClassVar[list[str]] = ["rows"]

    def prepare(self, *case: Any) -> None:
        self.rows = int(case[0])
        self.w = self.on_device(np.ones(8))

    def compute(self) -> pg.Tensor:
        def fill(w: pg.Tensor) -> pg.Tensor:
            z = pg.zeros((self.rows, 8), dtype="float64", device=self.device)
            for i in range(self.rows):
                z[i] = w * float(i)
            return pg.sum(z * z)

        return pg.grad(fill)(self.w)

    def expected(self) -> np.ndarray:
        return np.full(8, 2.0 * np.sum(np.arange(self.rows, dtype=np.float64) ** 2))

    def time_fill(self, *case: Any) -> None:
        self.compute()


class CarriedValue(BackendBench):
    """Steps of ``value_and_grad`` through which a value is carried; twice the steps should take twice as long."""

    cases: ClassVar[list[list[int]]] = [[1_000, 2_000]]
    case_names: ClassVar[list[str]] = ["steps"]

    def prepare(self, *case: Any) -> None:
        self.steps = int(case[0])
        self.w = self.on_device(np.ones(3))

    def compute(self) -> pg.Tensor:
        carried = self.w
        for _ in range(self.steps):
            held = carried

            def loss(w: pg.Tensor, held: pg.Tensor = held) -> tuple[pg.Tensor, pg.Tensor]:
                h = w * held * 0.5
                return pg.sum(h), h

            (_, carried), _ = pg.value_and_grad(loss, has_aux=True)(self.w)
        return carried

    def expected(self) -> np.ndarray:
        return np.full(3, 0.5**self.steps)

    def time_steps(self, *case: Any) -> None:
        self.compute()
