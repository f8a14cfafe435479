"""Right layers and losses, which pass every check, and which the faulty ones derive from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import plugrad as pg

from ...kit.declare import LayerSample, labels, values
from ..fault import Fault
from ..seeded import NAME, Class, seeded

State = Mapping[str, np.ndarray]
X, OUT = (values(5, 3),), (5, 2)
MOMENTUM = 0.1


class Dense(pg.Module):
    """tanh(x w + b)"""

    def __init__(self, n: int, m: int) -> None:
        self.w = pg.Parameter(pg.random.normal(self.key(), (n, m)).to(pg.get_default_device()))
        self.b = pg.Parameter(pg.zeros(m))

    def key(self) -> pg.Tensor:
        """What the weights are drawn with."""
        return pg.random.generator().key()

    def forward(self, x: pg.Tensor) -> Any:
        """(batch, n) to (batch, m)."""
        if x.ndim != 2 or x.shape[1] != self.w.shape[0]:
            raise pg.errors.ShapeError(f"Dense: x has shape {x.shape}; give (batch, {self.w.shape[0]})")
        return pg.tanh(x @ self.w + self.b)


class Norm(pg.Module):
    """Subtracts the mean of the batch; in evaluation mode the mean that runs along in training."""

    def __init__(self, n: int) -> None:
        self.scale = pg.Parameter(pg.ones(n))
        self.mean: pg.Tensor = pg.Buffer(pg.zeros(n))

    def follow(self, x: pg.Tensor) -> None:
        """Move the running mean towards that of a batch."""
        self.mean.assign((1 - MOMENTUM) * self.mean + MOMENTUM * pg.stop_gradient(x.mean(axis=0)))

    def forward(self, x: pg.Tensor) -> Any:
        """(batch, n) to the same."""
        if not self.training:
            return (x - self.mean) * self.scale
        self.follow(x)
        return (x - x.mean(axis=0)) * self.scale


class Standard(pg.Module):
    """Each example with a mean of 0 and a variance of 1 over its features, times a scale."""

    axis = -1

    def __init__(self, n: int) -> None:
        self.scale = pg.Parameter(pg.ones(n))

    def forward(self, x: pg.Tensor) -> Any:
        """(batch, n) to the same."""
        y = x - x.mean(axis=self.axis, keepdims=True)
        return y / pg.sqrt((y * y).mean(axis=self.axis, keepdims=True) + 0.1) * self.scale


class Drop(pg.Module):
    """Half of the elements dropped, the others doubled."""

    def kept(self, x: pg.Tensor) -> pg.Tensor:
        """Which elements stay."""
        return pg.random.bernoulli(pg.random.generator().key(), x.shape, p=0.5).to(x.device)

    def forward(self, x: pg.Tensor) -> Any:
        """Any shape to the same."""
        return pg.where(self.kept(x), x * 2.0, 0.0) if self.training else x


class OwnDrop(Drop):
    """With a generator of its own."""

    def __init__(self) -> None:
        self.draws = pg.random.Generator(4, device="numpy")

    def kept(self, x: pg.Tensor) -> pg.Tensor:
        """Which elements stay."""
        return pg.random.bernoulli(self.draws.key(), x.shape, p=0.5).to(x.device)


class Net(pg.Module):
    """A Dense layer inside a layer."""

    def __init__(self) -> None:
        self.inner = Dense(3, 2)

    def forward(self, x: pg.Tensor) -> Any:
        """(batch, 3) to (batch, 2)."""
        return self.inner(x)


class Two(pg.Module):
    """Several parts, inputs and results."""

    def __init__(self) -> None:
        self.parts = [Dense(3, 4), Drop(), Dense(4, 2)]

    def forward(self, x: pg.Tensor, y: pg.Tensor) -> Any:
        """(batch, 3) and (batch, 2) to (batch, 2) and (batch,)."""
        for part in self.parts:
            x = part(x)
        return x * y, {"product": (x * y).sum(axis=1)}


class Table(pg.Module):
    """Rows of a table by number."""

    def __init__(self) -> None:
        self.rows = pg.Parameter(pg.random.normal(pg.random.generator().key(), (5, 2)).to(pg.get_default_device()))

    def forward(self, i: pg.Tensor) -> Any:
        """(batch,) to (batch, 2)."""
        return pg.take(self.rows, i, axis=0)


class Squares(pg.Module):
    """The mean of squared differences."""

    def forward(self, x: pg.Tensor, y: pg.Tensor) -> Any:
        """Two of one shape to a scalar."""
        return ((x - y) * (x - y)).mean()


def dense(state: State, x: np.ndarray) -> Any:
    """What Dense means."""
    return np.tanh(x @ state["w"] + state["b"])


def norm(state: State, x: np.ndarray) -> Any:
    """What Norm means after one call in training with the same inputs, which is what the kit asks."""
    return (x - MOMENTUM * x.mean(axis=0)) * state["scale"]


def standard(state: State, x: np.ndarray) -> Any:
    """What Standard means."""
    y = x - x.mean(axis=1, keepdims=True)
    return y / np.sqrt((y * y).mean(axis=1, keepdims=True) + 0.1) * state["scale"]


def drop(state: State, x: np.ndarray) -> Any:
    """What Drop means."""
    return x


def squares(state: State, x: np.ndarray, y: np.ndarray) -> Any:
    """What Squares means."""
    return ((x - y) ** 2).mean()


USE: dict[type, dict[str, Any]] = {
    Dense: {"config": {"n": 3, "m": 2}, "inputs": X, "output": OUT, "reference": dense},
    Norm: {"config": {"n": 3}, "inputs": X, "output": (5, 3), "reference": norm},
    Standard: {"config": {"n": 3}, "inputs": X, "output": (5, 3), "reference": standard},
    Drop: {"inputs": X, "output": (5, 3), "random": True, "unbiased": True, "reference": drop},
    Net: {"inputs": X, "output": OUT},
    Two: {"inputs": (values(5, 3), values(5, 2)), "output": OUT, "random": True},
    Table: {"inputs": (labels(4, classes=5),), "output": (4, 2)},
    Squares: {"inputs": (*X, *X), "output": (), "kind": "loss", "reference": squares},
}
"""What samples of these classes, and of those that derive from them, say."""


def sampled(cls: type, name: str = NAME, **about: Any) -> LayerSample:
    """The sample of a class."""
    use = next(USE[base] for base in cls.__mro__ if base in USE)
    return LayerSample(**{"name": name, "make": cls, **use, **about})


def fault(into: list[Fault], rules: str, *says: str, **about: Any) -> Callable[[Class], Class]:
    """Decorator of a faulty layer or loss."""
    return seeded(into, sampled, rules, *says, **about)


_ARRAY = (np.linspace(-1, 1, 6).reshape(2, 3),)
HONEST = {
    "dense": [
        sampled(Dense, "dense"),
        sampled(Dense, "dense", inputs=_ARRAY, output=(2, 2)),
        sampled(Dense, "dense", inputs=(values(5, 4),), raises=pg.errors.ShapeError),
    ],
    "own_drop": [sampled(OwnDrop, "own_drop")],
    "function": [sampled(Dense, "function", config={}, make=lambda: Dense(3, 2))],
    **{cls.__name__.lower(): [sampled(cls, cls.__name__.lower())] for cls in USE if cls is not Dense},
}
"""Right layers and losses, which pass every check: samples by name."""
