"""Layers with a fault in their state and randomness, and in what they are under transformations."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import plugrad as pg

from ..fault import Fault
from ..mixing import Mixing
from .honest import MOMENTUM, Dense, Drop, Norm, fault

TRANSFORMATIONS: list[Fault] = []
_NUMBERS = itertools.count()

# -- state


@fault(TRANSFORMATIONS, "training_state inputs_unchanged", "a call in evaluation", reference=None)
class StateMovesInEvaluation(Norm):
    """Its running mean moves in evaluation mode too."""

    def forward(self, x: pg.Tensor) -> Any:
        self.follow(x)
        return (x - self.mean) * self.scale


@fault(TRANSFORMATIONS, "training_state", "called by backward", "mean after one call")
class BufferWrittenTwice(Norm):
    """It runs twice where gradients are taken, as if recomputed, and its running mean moves twice."""

    def forward(self, x: pg.Tensor) -> Any:
        if self.training and x.requires_grad:
            super().forward(x.detach())
        return super().forward(x)


@fault(TRANSFORMATIONS, "training_state", "StateError")
class StateIsNoBuffer(Norm):
    """Its running mean is a plain tensor, which it writes."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.mean = pg.zeros(n)

    def forward(self, x: pg.Tensor) -> Any:
        if self.training:
            self.mean.assign((1 - MOMENTUM) * self.mean + MOMENTUM * x.mean(axis=0))
        return (x - self.mean) * self.scale


@fault(TRANSFORMATIONS, "training_state", "recorded on the tape")
class StateIsRecorded(Norm):
    """Its running mean is on the tape, which grows with every call."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.mean = pg.zeros(n)

    def forward(self, x: pg.Tensor) -> Any:
        if self.training:
            object.__setattr__(self, "mean", (1 - MOMENTUM) * self.mean + MOMENTUM * x.mean(axis=0))
        return (x - self.mean) * self.scale


@fault(TRANSFORMATIONS, "training_state staging", "mean after one call", reference=None)
class StateCountsInPython(Norm):
    """Its state comes of a number that Python counts for all layers together."""

    def forward(self, x: pg.Tensor) -> Any:
        if self.training:
            self.mean.assign(pg.full(3, float(next(_NUMBERS)), dtype=x.dtype))
        return x * self.scale


# -- staging and batching


MEAN = Mixing("mean of everything", pg.mean)


@fault(TRANSFORMATIONS, "batching", "a loop", reference=None)
class ExamplesMix(Dense):
    """Under vmap a result depends on the other elements of the batch."""

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x) + MEAN(x)


@fault(TRANSFORMATIONS, "staging", "compiled and eager", reference=None)
class GraphFreezesANumber(Dense):
    """It multiplies with a number that Python counts, which a graph keeps as it was at the first call."""

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x) * (1 + next(_NUMBERS) % 7)


@fault(TRANSFORMATIONS, "staging batching", "ConcretizationError", reference=None)
class BranchesOnElements(Dense):
    """A Python branch looks at the elements of its input."""

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x) if x.sum().item() > 0 else super().forward(-x)


# -- randomness


@fault(TRANSFORMATIONS, "random", "evaluation")
class DropsInEvaluation(Drop):
    """It drops in evaluation mode too."""

    def forward(self, x: pg.Tensor) -> Any:
        return pg.where(self.kept(x), x * 2.0, 0.0)


@fault(TRANSFORMATIONS, "random", "two seeds give")
class DropsTheSameAlways(Drop):
    """It drops the same elements in every call."""

    def kept(self, x: pg.Tensor) -> pg.Tensor:
        return pg.random.bernoulli(pg.random.key(3), x.shape, p=0.5).to(x.device)


@fault(TRANSFORMATIONS, "random", "after the same seed")
class DropsByNumpy(Drop):
    """It draws from a generator of NumPy, so that no seed of plugrad makes a run repeatable."""

    numbers = np.random.default_rng(0)

    def kept(self, x: pg.Tensor) -> pg.Tensor:
        pg.random.generator().key()
        return pg.asarray(self.numbers.random(x.shape) < 0.5, device=x.device)


@fault(TRANSFORMATIONS, "staging training_state", "ConcretizationError")
class KeyIsAPythonNumber(Drop):
    """It draws a key, and makes a Python number of it, which no graph can do."""

    def kept(self, x: pg.Tensor) -> pg.Tensor:
        number = int(np.sum(pg.random.generator().key().numpy() % 1000))
        return pg.random.bernoulli(pg.random.key(number), x.shape, p=0.5).to(x.device)


@fault(TRANSFORMATIONS, "random", "random=False", reference=None)
class NoiseIsHidden(Dense):
    """It adds noise in training mode, which nobody declared."""

    def forward(self, x: pg.Tensor) -> Any:
        y = super().forward(x)
        if not self.training:
            return y
        return y + 0.1 * pg.random.normal(self.key(), y.shape).to(x.device).astype(x.dtype)


@fault(TRANSFORMATIONS, "unbiased", "mean of")
class DropIsNotScaled(Drop):
    """What it keeps in training is not scaled up for what it drops."""

    def forward(self, x: pg.Tensor) -> Any:
        return pg.where(self.kept(x), x, 0.0) if self.training else x
