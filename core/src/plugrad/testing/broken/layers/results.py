"""Layers with a fault in what they are made of, and in what they give and refuse."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

import plugrad as pg

from ...kit.declare import values
from ..fault import Fault
from .honest import MOMENTUM, Dense, Drop, Norm, Standard, fault

RESULTS: list[Fault] = []
WRONG = {"inputs": (values(5, 4),), "output": None, "raises": pg.errors.ShapeError}
"""Inputs that a Dense layer must refuse."""

# -- what it is made of


@fault(RESULTS, "makes", "same tensors")
class SeedIsFixed(Dense):
    """Its weights are drawn with a key of its own, whatever the seed."""

    def key(self) -> pg.Tensor:
        return pg.random.key(0)


@fault(RESULTS, "makes", "changed")
class WeightsFromNumpy(Dense):
    """Its weights are drawn by a generator of NumPy, which no seed of plugrad reaches."""

    numbers = np.random.default_rng(0)

    def __init__(self, n: int, m: int) -> None:
        super().__init__(n, m)
        self.w = pg.Parameter(self.numbers.normal(size=(n, m)).astype(np.float32))


_COMMON = pg.Parameter(np.ones((3, 2), np.float32), device="numpy")


@fault(RESULTS, "makes", "of another")
class ParameterOfTheClass(Dense):
    """All instances have one Parameter in common."""

    def __init__(self, n: int, m: int) -> None:
        super().__init__(n, m)
        self.w = _COMMON


@fault(RESULTS, "makes", "expected a plugrad.Module", config={"n": 3, "m": 2}, inputs=(values(5, 3),))
class NoModule(Dense):
    """What makes it gives a function, whose parameters nobody finds."""

    def __new__(cls, n: int, m: int) -> Any:
        layer = Dense(n, m)
        return lambda x: layer(x)


@fault(RESULTS, "device", "another object")
class ToGivesACopy(Dense):
    """``to`` gives back a copy on the other device, and leaves the layer where it was."""

    def to(self, device: str) -> Any:
        return Dense.to(copy.deepcopy(self), device)


@fault(RESULTS, "device", "replaced")
class ToMakesNewParameters(Dense):
    """``to`` puts new Parameters in the place of those that an optimizer holds."""

    def to(self, device: str) -> Any:
        self.w = pg.Parameter(self.w.detach().to(device))
        self.b = pg.Parameter(self.b.detach().to(device))
        return self


# -- dtypes and numbers


@fault(RESULTS, "output", "expected a result of float64")
class ResultIsSingle(Dense):
    """Its result is float32, whatever its parameters and inputs are."""

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x).astype(pg.float32)


@fault(RESULTS, "output", "expected a result of float32")
class ResultIsDouble(Dense):
    """An array of float64 among its operands makes its result float64."""

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x) * pg.asarray(np.ones(1), device=x.device)


@fault(RESULTS, "output", "not finite")
class LogarithmOfNegatives(Dense):
    """It takes the logarithm of numbers of both signs."""

    def forward(self, x: pg.Tensor) -> Any:
        return pg.log(super().forward(x))


@fault(RESULTS, "output", "expected shape")
class ResultIsTurned(Dense):
    """The axes of its result are in another order than declared."""

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x).T


@fault(RESULTS, "reference", "layer and reference")
class BiasIsSubtracted(Dense):
    """The bias has the wrong sign."""

    def forward(self, x: pg.Tensor) -> Any:
        return pg.tanh(x @ self.w - self.b)


@fault(RESULTS, "reference", "layer and reference")
class NormalizesTheBatch(Standard):
    """It normalizes over the batch, where it should over the features."""

    axis = 0


@fault(RESULTS, "reference", "layer and reference")
class EpsilonOutsideTheRoot(Standard):
    """The small number is added to the deviation, where it should be to the variance."""

    def forward(self, x: pg.Tensor) -> Any:
        y = x - x.mean(axis=-1, keepdims=True)
        return y / (pg.sqrt((y * y).mean(axis=-1, keepdims=True)) + 0.1) * self.scale


@fault(RESULTS, "reference", "layer and reference")
class VarianceOfASample(Standard):
    """It divides the squares by one less than their number."""

    def forward(self, x: pg.Tensor) -> Any:
        y = x - x.mean(axis=-1, keepdims=True)
        return y / pg.sqrt((y * y).sum(axis=-1, keepdims=True) / (x.shape[-1] - 1) + 0.1) * self.scale


@fault(RESULTS, "reference", "layer and reference")
class MomentumIsReversed(Norm):
    """The running mean keeps a tenth of what it was, where it should take a tenth of what came."""

    def follow(self, x: pg.Tensor) -> None:
        self.mean.assign(MOMENTUM * self.mean + (1 - MOMENTUM) * pg.stop_gradient(x.mean(axis=0)))


@fault(RESULTS, "reference", "layer and reference")
class DropScalesInEvaluation(Drop):
    """It halves in evaluation mode what it has doubled in training already."""

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x) * (1.0 if self.training else 0.5)


@fault(RESULTS, "low_precision", "not finite", reference=None)
class ExponentialOverflows(Dense):
    """The exponential of a moderate number overflows in float16, and its logarithm does not bring it back."""

    def forward(self, x: pg.Tensor) -> Any:
        return pg.log(pg.exp(x * 8.0)) @ self.w + self.b


@fault(RESULTS, "low_precision", "float16 and float32")
class LargeTermCancels(Dense):
    """A large number is added and taken away again, which leaves few digits of a short dtype."""

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x) + 1000.0 - 1000.0


# -- what a call leaves behind


@fault(RESULTS, "inputs_unchanged", "input 0 changed")
class InputIsWritten(Dense):
    """It adds to its input in place."""

    def forward(self, x: pg.Tensor) -> Any:
        with pg.no_grad():
            x += 1.0
        return super().forward(x)


@fault(RESULTS, "inputs_unchanged", "Python attributes")
class CallsAreCounted(Dense):
    """It counts its calls in a Python attribute, which no transformation carries."""

    calls = 0

    def forward(self, x: pg.Tensor) -> Any:
        object.__setattr__(self, "calls", self.calls + 1)
        return super().forward(x)


@fault(RESULTS, "inputs_unchanged", "w changed", "training")
class WeightsShrinkInTraining(Dense):
    """A call in training shrinks its weights in place, behind the optimizer's back."""

    def forward(self, x: pg.Tensor) -> Any:
        if self.training:
            with pg.no_grad():
                self.w.assign(self.w * 0.9)
        return super().forward(x)


# -- errors, and no examples


@fault(RESULTS, "errors", "mean changed", inputs=(values(5, 4),), raises=pg.errors.ShapeError)
class ErrorAfterTheState(Norm):
    """It refuses inputs after its running mean has moved."""

    def forward(self, x: pg.Tensor) -> Any:
        self.mean.assign(self.mean + 1.0)
        if x.shape[1] != self.scale.shape[0]:
            raise pg.errors.ShapeError(f"ErrorAfterTheState: the last size is {x.shape[1]}")
        return super().forward(x)


@fault(RESULTS, "errors", "names neither", **WRONG)
class ErrorSaysNothing(Dense):
    """Its error does not say where it comes from."""

    def forward(self, x: pg.Tensor) -> Any:
        if x.shape[1] != 3:
            raise pg.errors.ShapeError("wrong shape")
        return super().forward(x)


@fault(RESULTS, "errors", "came ValueError", **WRONG)
class ErrorIsPythons(Dense):
    """It raises an error that is none of plugrad's."""

    def forward(self, x: pg.Tensor) -> Any:
        if x.shape[1] != 3:
            raise ValueError(f"ErrorIsPythons: the last size is {x.shape[1]}; give 3")
        return super().forward(x)


@fault(RESULTS, "errors", "came a result", **WRONG)
class WrongInputsAreCut(Dense):
    """It cuts inputs that are too wide, where it should refuse them."""

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x[:, :3])


@fault(RESULTS, "empty_batch", "ZeroDivisionError", reference=None)
class DividesByTheBatch(Dense):
    """It divides by the number of examples in Python."""

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x) * (1 / x.shape[0])


@fault(RESULTS, "empty_batch", "expected (0, 2)")
class NoExamplesBecomeOne(Dense):
    """For no examples it gives one of zeros."""

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x if x.shape[0] else pg.zeros((1, 3), dtype=x.dtype))
