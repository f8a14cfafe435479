"""One training step of a multilayer perceptron: forward, loss, backward, optimizer."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import plugrad as pg
import plugrad_nn as nn
import plugrad_optim as optim

from .base import BackendBench, normal

SIZES = (784, 256, 128, 10)


class MLPStep(BackendBench):
    """784-256-128-10 with ReLU, softmax cross-entropy and Adam."""

    cases = ((32, 128),)
    case_names = ("batch",)
    rtol = 1e-3

    def prepare(self, *case: Any) -> None:
        batch = case[0]
        pg.manual_seed(0)
        first, second, third = (nn.Linear(*pair) for pair in itertools.pairwise(SIZES))
        self.model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third).to(self.device)
        self.images, self.labels = normal(batch, SIZES[0]), np.arange(batch) % SIZES[-1]
        self.batch = self.on_device(self.images), self.on_device(self.labels)
        self.weights = [tensor.numpy().astype(np.float64) for tensor in self.model.state_dict().values()]
        self.optimizer = optim.Adam(self.model.parameters(), learning_rate=1e-3)

    def loss(self) -> pg.Tensor:
        return nn.cross_entropy(self.model(self.batch[0]), self.batch[1])

    def compute(self) -> pg.Tensor:
        return self.loss().detach()

    def expected(self) -> np.ndarray:
        x = self.images.astype(np.float64)
        matrices = [w for w in self.weights if w.ndim == 2]
        biases = [b for b in self.weights if b.ndim == 1]
        for layer, (weight, bias) in enumerate(zip(matrices, biases, strict=True)):
            weight = weight if weight.shape[0] == x.shape[1] else weight.T
            x = x @ weight + bias
            x = np.maximum(x, 0) if layer < len(matrices) - 1 else x
        shifted = x - x.max(axis=1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -logs[np.arange(len(x)), self.labels].mean()

    def time_step(self, *case: Any) -> None:
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()
        self.wait()
