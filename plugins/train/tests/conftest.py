"""Stand-ins for the sibling distributions, so that these tests need plugrad alone: a net with state and dropout,
an optimizer, a loader."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import plugrad as pg
import plugrad_train


class Net(pg.Module):
    """Two layers on (n, 4) with dropout between them, and a Buffer that counts training steps."""

    def __init__(self, seed: int = 0, hidden: int = 8, drop: float = 0.25, generator=None) -> None:
        rng = np.random.default_rng(seed)
        self.first = Layer(rng, 4, hidden)
        self.second = Layer(rng, hidden, 3)
        self.seen = pg.Buffer(np.zeros((), np.float32))
        self.drop, self.generator = drop, generator

    def forward(self, x):
        hidden = pg.tanh(self.first(x))
        if self.training:
            self.seen.assign(self.seen + 1.0)
            draws = pg.random.uniform((self.generator or pg.random.generator()).key(), hidden.shape)
            hidden = pg.where(draws >= self.drop, hidden * (1.0 / (1.0 - self.drop)), pg.zeros_like(hidden))
        return self.second(hidden)


class Layer(pg.Module):
    """x @ w + b."""

    def __init__(self, rng, inputs: int, outputs: int) -> None:
        self.w = pg.Parameter((rng.normal(size=(inputs, outputs)) / inputs**0.5).astype(np.float32))
        self.b = pg.Parameter(np.zeros(outputs, np.float32))

    def forward(self, x):
        return x @ self.w + self.b


class Momentum:
    """Gradient descent with momentum over parameters that have a gradient."""

    def __init__(self, parameters, learning_rate: float = 0.1, momentum: float = 0.9) -> None:
        self.parameters = list(parameters)
        self.learning_rate, self.momentum = learning_rate, momentum
        self.velocity = [None] * len(self.parameters)

    def step(self) -> None:
        with pg.no_grad():
            for i, p in enumerate(self.parameters):
                if p.grad is not None:
                    old = self.velocity[i]
                    self.velocity[i] = p.grad.detach() if old is None else old * self.momentum + p.grad
                    p.assign(p.detach() - self.velocity[i] * self.learning_rate)

    def state_dict(self):
        return {"learning_rate": self.learning_rate, "velocity": list(self.velocity)}

    def load_state_dict(self, state) -> None:
        if len(state["velocity"]) != len(self.parameters):
            raise ValueError(f"Momentum: {len(state['velocity'])} velocities for {len(self.parameters)} parameters")
        self.learning_rate = state["learning_rate"]
        self.velocity = [None if v is None else pg.asarray(v) for v in state["velocity"]]


class Batches:
    """Shuffled batches of a fixed problem: which of three directions does a point lie in?"""

    def __init__(self, n: int = 50, size: int = 8, seed: int = 0, shuffle: bool = True) -> None:
        rng = np.random.default_rng(99)
        self.x = rng.normal(size=(n, 4)).astype(np.float32)
        self.y = (self.x @ rng.normal(size=(4, 3))).argmax(1)
        self.size, self.seed, self.shuffle, self.epoch = size, seed, shuffle, 0

    def __len__(self) -> int:
        return -(-len(self.x) // self.size)

    def __iter__(self):
        order = (
            np.random.default_rng([self.seed, self.epoch]).permutation(len(self.x))
            if self.shuffle
            else np.arange(len(self.x))
        )
        for i in range(len(self)):
            rows = order[i * self.size : (i + 1) * self.size]
            yield pg.asarray(self.x[rows]), pg.asarray(self.y[rows])
        self.epoch += 1

    def state_dict(self):
        return {"epoch": self.epoch, "seed": self.seed}

    def load_state_dict(self, state) -> None:
        if state["seed"] != self.seed:
            raise ValueError(f"Batches: seed {state['seed']}, here {self.seed}")
        self.epoch = state["epoch"]


def cross_entropy(logits, labels):
    """Mean of -log softmax at the label."""
    shifted = logits - pg.stop_gradient(pg.max(logits, axis=-1, keepdims=True))
    log_p = shifted - pg.log(pg.sum(pg.exp(shifted), axis=-1, keepdims=True))
    return -pg.sum(log_p * pg.one_hot(labels, 3, dtype=log_p.dtype)) / logits.shape[0]


def fit(model, optimizer=None, loss=cross_entropy, data=None, *, progress=False, **config):
    """``plugrad_train.fit``; what is not given is a stand-in."""
    optimizer = Momentum(model.parameters()) if optimizer is None else optimizer
    data = Batches() if data is None else data
    return plugrad_train.fit(model, optimizer, loss, data, progress=progress, **config)


@pytest.fixture(autouse=True)
def on_the_reference_backend():
    with pg.device("numpy"):
        pg.manual_seed(0)
        yield


@pytest.fixture
def make():
    """The stand-ins by name."""
    return SimpleNamespace(
        Net=Net, Layer=Layer, Momentum=Momentum, Batches=Batches, cross_entropy=cross_entropy, fit=fit
    )
