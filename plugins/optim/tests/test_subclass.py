"""An optimizer of one's own: what a subclass owes, and what is said where it lacks it."""

from __future__ import annotations

from typing import Any

import pytest

import plugrad as pg
from plugrad.errors import ShapeError
from plugrad_optim import Optimizer


class Plain(Optimizer):
    """Descent, by the default scalars."""

    def advance(self, p: Any, g: Any, slots: Any, scalars: Any) -> Any:
        (rate,) = scalars
        return p - rate * g, {}


class Summed(Optimizer):
    moments = ("total",)
    answer: Any = None

    def advance(self, p: Any, g: Any, slots: Any, scalars: Any) -> Any:
        total = slots["total"] + g
        return (p - scalars[0] * total, {"total": total}) if self.answer is None else self.answer(p, total)


def step(optimizer: Optimizer, w: pg.Parameter) -> None:
    w.grad = None
    (w * w).sum().backward()
    optimizer.step()


def test_scalars_default_to_the_rate(device: str) -> None:
    w = pg.Parameter([3.0, 1.0])
    step(Plain([w], 0.5), w)
    assert w.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_stay(dtype: str) -> None:
    w = pg.Parameter(pg.asarray([3.0], dtype=dtype, device="numpy"))
    optimizer = Summed([w], 0.25)
    step(optimizer, w)
    step(optimizer, w)
    assert w.dtype.name == dtype and w.item() == -0.75  # 3, then 1.5 and a total of 6 + 3
    assert optimizer.state_dict()["0.total"].dtype == pg.dtypes.as_dtype("float64" if dtype == "float64" else "float32")


def test_dtypes_stay_in_update() -> None:
    w = [pg.asarray([3.0], dtype="float16", device="numpy")]
    optimizer = Summed(None, 0.25)
    (new,), state = optimizer.update([w[0] * 2], optimizer.init(w), w)
    assert (new.dtype.name, new.item(), state["0"]["total"].dtype.name) == ("float16", 1.5, "float32")


def test_without_advance() -> None:
    class Empty(Optimizer):
        pass

    with pytest.raises(TypeError, match=r"^Empty: an optimizer needs a method advance\(self, p, g, slots, scalars\)"):
        Empty([pg.Parameter([1.0])], 0.1)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (lambda p, total: p, TypeError, "a tuple of the new parameter and a dict with the moments total"),
        (lambda p, total: (p, {}), TypeError, "a dict with the moments total"),
        (lambda p, total: (p.sum(), {"total": total}), ShapeError, r"returned shape \(\) in the place of \(2,\)"),
        (lambda p, total: (p, {"total": total.sum()}), ShapeError, r"returned shape \(\) in the place of \(2,\)"),
    ],
)
def test_wrong_answers_change_nothing(answer: Any, error: type[Exception], words: str) -> None:
    w = pg.Parameter([3.0, 1.0])
    optimizer = Summed([w], 0.5)
    optimizer.answer = answer
    with pytest.raises(error, match=rf"^Summed.advance: it .*{words}"):
        step(optimizer, w)
    assert w.tolist() == [3.0, 1.0] and optimizer.state_dict()["0.total"].tolist() == [0.0, 0.0]
