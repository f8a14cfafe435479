"""Optimizers with a fault in the numbers: what a step is, its decay, its rate, its dtypes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import plugrad as pg

from ..fault import Fault
from ..mixing import Mixing
from .honest import DECAY, EPSILON, Adaptive, Decoupled, Descent, Momentum, Placed, Slots, fault, momentum, working

NUMBERS: list[Fault] = []
_CALLS = itertools.count()
Tensor = pg.Tensor

# -- the formula


@fault(NUMBERS, "reference", "step() and reference")
class StepIsTooFar(Momentum):
    """A step is a thousandth too long."""

    def size(self, number: int) -> Tensor:
        return self.rate * 1.001


@fault(NUMBERS, "reference", "step() and reference")
class StepsCountFromTwo(Momentum):
    """The first step has the bias correction of the second."""

    def count(self, slots: Slots, number: int) -> Tensor:
        return slots["t"] + 1 + (slots["t"] == 0)


@fault(NUMBERS, "reference", "step() and reference")
class NoBiasCorrection(Adaptive):
    """The mean of squares, which begins at zero, is not corrected for it."""

    def direction(self, p: Tensor, g: Tensor, m: Tensor, t: Tensor, placed: Placed) -> Tensor:
        return g / (pg.sqrt(m) + EPSILON)


@fault(NUMBERS, "reference", "step() and reference")
class EpsilonInsideTheRoot(Adaptive):
    """The small number is added under the root, where it should be beside it."""

    def direction(self, p: Tensor, g: Tensor, m: Tensor, t: Tensor, placed: Placed) -> Tensor:
        return g / pg.sqrt(m / placed(1.0 - 0.9 ** t.astype("float64")) + EPSILON)


@fault(NUMBERS, "reference", "step() and reference")
class NoRoot(Adaptive):
    """It divides by the mean of squares, and takes no root."""

    def direction(self, p: Tensor, g: Tensor, m: Tensor, t: Tensor, placed: Placed) -> Tensor:
        return g / (m / placed(1.0 - 0.9 ** t.astype("float64")) + EPSILON)


@fault(NUMBERS, "reference", "step() and reference")
class MeanIsReversed(Adaptive):
    """The mean of squares keeps a tenth of what it was, where it should take a tenth of what came."""

    def moment(self, p: Tensor, g: Tensor, m: Tensor, t: Tensor, placed: Placed) -> Tensor:
        return 0.1 * m + 0.9 * g * g


@fault(NUMBERS, "reference", "step() and reference")
class MomentAndGradientSwapped(Momentum):
    """The gradient is kept whole, and the moment corrected."""

    def moment(self, p: Tensor, g: Tensor, m: Tensor, t: Tensor, placed: Placed) -> Tensor:
        return 0.9 * g + m / placed(1.0 - 0.9 ** t.astype("float64"))


@fault(NUMBERS, "minimises", "height")
class GoesUphill(Momentum):
    """It moves along the gradient, where it should move against it."""

    def size(self, number: int) -> Tensor:
        return -self.rate


@fault(NUMBERS, "minimises", "height", reference=None)
class SignOfTheGradientIsLost(Momentum):
    """It moves by the size of the gradient, whatever its sign."""

    def decayed(self, p: Tensor, g: Tensor) -> Tensor:
        return pg.abs(g)


# -- decay


@fault(NUMBERS, "weight_decay", "no decay", config=DECAY, reference=momentum(decay=0.2))
class DecaysUndeclared(Momentum):
    """Its weights decay, and its declaration says that they do not."""


@fault(NUMBERS, "weight_decay", "decay of the parameter", config=DECAY, decay="parameter", reference=None)
class DecayOnTheWrongTerm(Decoupled):
    """Its decay should be decoupled, and goes through the gradient into the moment."""

    def decayed(self, p: Tensor, g: Tensor) -> Tensor:
        return g + self.weight_decay * p

    def direction(self, p: Tensor, g: Tensor, m: Tensor, t: Tensor, placed: Placed) -> Tensor:
        return m


@fault(NUMBERS, "weight_decay", "decay of the gradient", config=DECAY, decay="gradient", reference=None)
class DecayPassesTheMoment(Decoupled):
    """Its decay should be a part of the gradient, and shrinks the parameter past the moment."""


@fault(NUMBERS, "weight_decay", "decay of the parameter", config=DECAY, decay="parameter", reference=None)
class DecayWithoutTheRate(Decoupled):
    """Its decay is not multiplied with the learning rate."""

    def direction(self, p: Tensor, g: Tensor, m: Tensor, t: Tensor, placed: Placed) -> Tensor:
        return m + self.weight_decay * p / placed(self.rate)


# -- the learning rate


@fault(NUMBERS, "learning_rate", "set to", reference=None)
class RateCannotBeSet(Momentum):
    """Setting its learning rate does nothing."""

    @property
    def learning_rate(self) -> float:
        return float(self.rate.item())

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        pass


@fault(NUMBERS, "learning_rate", "made with it")
class RateOfConstruction(Momentum):
    """Its steps use the learning rate that it was made with."""

    def __init__(self, params: Any = None, learning_rate: float = 0.05, weight_decay: float = 0.0) -> None:
        super().__init__(params, learning_rate, weight_decay)
        self.first = self.rate.detach()

    def size(self, number: int) -> Tensor:
        return self.first


@fault(NUMBERS, "learning_rate", "made with 0.1", config={"learning_rate": 0.1}, reference=None)
class RateArgumentIsIgnored(Momentum):
    """Its learning rate is the default, whatever it is made with."""

    def __init__(self, params: Any = None, learning_rate: float = 0.05, weight_decay: float = 0.0) -> None:
        super().__init__(params, 0.05, weight_decay)


@fault(NUMBERS, "learning_rate", "learning_rate 0", reference=momentum(0.06))
class RateIsNeverZero(Momentum):
    """It moves with a learning rate of zero too."""

    def size(self, number: int) -> Tensor:
        return self.rate + 0.01


# -- dtypes


@fault(NUMBERS, "dtypes", "was float16, is float32")
class ParametersGrowWider(Momentum):
    """An update makes parameters of half precision float32."""

    def update(self, grads: Any, state: Any, params: Any) -> Any:
        new, after = super().update(grads, state, params)
        return (pg.tree.map(lambda t: t.astype(working(t.dtype)), new) if isinstance(new, dict) else new), after


@fault(NUMBERS, "dtypes", "of parameters of float32 is float64")
class MomentsAreDouble(Momentum):
    """Its moments are float64, whatever the parameters are, and fill the memory."""

    def moment_dtype(self, dtype: np.dtype) -> np.dtype:
        return pg.float64


@fault(NUMBERS, "dtypes", "of parameters of float16 is float16")
class MomentsAreHalf(Momentum):
    """The moments of parameters in half precision are in half precision too."""

    def moment_dtype(self, dtype: np.dtype) -> np.dtype:
        return dtype


@fault(NUMBERS, "dtypes", "of float16 and of float32")
class AddsInHalfPrecision(Momentum):
    """It adds in the parameter's own precision, which loses what is small beside what is large."""

    def moved(self, p: Tensor, g: Tensor, slots: Slots, number: int) -> tuple[Tensor, Slots]:
        new, after = super().moved(p, g, slots, number)
        return (new + 300.0) - 300.0, after


# -- under transformations


@fault(NUMBERS, "staging", "halved")
class RateIsAPythonNumber(Momentum):
    """Its learning rate is a Python number, which a graph freezes."""

    value = 0.05

    def __init__(self, params: Any = None, learning_rate: float = 0.05, weight_decay: float = 0.0) -> None:
        self.value = learning_rate
        super().__init__(params, learning_rate, weight_decay)

    @property
    def learning_rate(self) -> float:
        return self.value

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.value = value

    def size(self, number: int) -> Tensor:
        return pg.asarray(self.value, dtype="float64", device="numpy")


@fault(NUMBERS, "staging batching", "ConcretizationError")
class LooksAtGradients(Momentum):
    """A Python branch looks at the elements of a gradient."""

    def moved(self, p: Tensor, g: Tensor, slots: Slots, number: int) -> tuple[Tensor, Slots]:
        return (p, slots) if g.sum().item() == 0.0 else super().moved(p, g, slots, number)


_LARGEST = Mixing("largest of everything", lambda x: pg.max(pg.abs(x)))


@fault(NUMBERS, "batching", "a loop", reference=None)
class ModelsOfABatchMix(Momentum):
    """It divides by the largest element of a gradient; under vmap, by the largest of all models."""

    def decayed(self, p: Tensor, g: Tensor) -> Tensor:
        return g / _LARGEST(g)


@fault(NUMBERS, "differentiable", "central difference")
class UpdateIsDetached(Momentum):
    """An update has no derivative with respect to the parameters."""

    def update(self, grads: Any, state: Any, params: Any) -> Any:
        return super().update(grads, state, pg.tree.map(lambda t: t.detach(), params))


@fault(NUMBERS, "update_is_pure", "called twice", reference=None)
class UpdatesAreCounted(Momentum):
    """An update depends on how many there were before."""

    def size(self, number: int) -> Tensor:
        return self.rate * (1.0 + next(_CALLS))


@fault(NUMBERS, "update_is_pure", "writing to what")
class StateIsTheOldOne(Descent):
    """An update hands back a tensor of the state that it was given."""

    def moved(self, p: Tensor, g: Tensor, slots: Slots, number: int) -> tuple[Tensor, Slots]:
        new, after = super().moved(p, g, slots, number)
        return new, {**after, "m": slots["m"]}
