"""One training step of 784-256-128-10 with ReLU, softmax cross-entropy and Adam, in plugrad and in PyTorch: eager, and
with each library's compiler (PyTorch's with graphs, of forward and backward; its Adam is fused either way).

Both start from the same weights; their losses must agree with NumPy's before the first step and with one another after.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from .cases import normal
from .peers import Library

RATE = 1e-3
Step = Callable[[], Any]


class Task:
    """The batch and the first weights."""

    def __init__(self, emulated: bool) -> None:
        self.sizes = (12, 7, 5, 3) if emulated else (784, 256, 128, 10)
        rows = 6 if emulated else 128
        self.images = normal(rows, self.sizes[0], seed=7)
        self.labels = np.arange(rows) % self.sizes[-1]
        layers = list(enumerate(itertools.pairwise(self.sizes)))
        self.weights = [normal(inner, outer, seed=k) / np.float32(inner**0.5) for k, (inner, outer) in layers]

    def expected(self) -> float:
        """The first loss in float64."""
        x = self.images.astype(np.float64)
        for number, weight in enumerate(self.weights):
            x = x @ weight.astype(np.float64)
            x = np.maximum(x, 0) if number < len(self.weights) - 1 else x
        shifted = x - x.max(axis=1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return float(-logs[np.arange(len(x)), self.labels].mean())


def in_plugrad(task: Task, library: Library, compiled: bool) -> Step:
    """A function that does one step and returns the loss before it, on the device."""
    pg, nn, optim = library.module, importlib.import_module("plugrad_nn"), importlib.import_module("plugrad_optim")
    pg.manual_seed(0)
    model = layered(nn, task)
    model = model.to(library.put(np.zeros(1, np.float32)).device)
    for (name, parameter), weight in zip(model.named_parameters(), interleaved(task), strict=True):
        fitted = weight if parameter.shape == weight.shape else weight.T
        if parameter.shape != fitted.shape:
            raise ValueError(f"mlp: {name} has shape {parameter.shape}, and {weight.shape} was to be put there")
        parameter.assign(library.put(np.ascontiguousarray(fitted)))
    images, labels = library.put(task.images), library.put(task.labels)
    optimizer = optim.Adam(model.parameters(), learning_rate=RATE)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = pg.compile(step) if compiled else step
    return lambda: run(images, labels)


def in_torch(task: Task, library: Library, compiled: bool) -> Step:
    """The same in PyTorch, with its fused Adam."""
    module = library.module
    model = layered(module.nn, task).cuda()
    with module.no_grad():
        for parameter, weight in zip(model.parameters(), interleaved(task), strict=True):
            parameter.copy_(library.put(np.ascontiguousarray(weight.T if weight.ndim == 2 else weight)))
    images, labels = library.put(task.images), library.put(task.labels)
    optimizer = module.optim.Adam(model.parameters(), lr=RATE, fused=True)

    def forward(x: Any, y: Any) -> Any:
        return module.nn.functional.cross_entropy(model(x), y)

    run = module.compile(forward, mode="reduce-overhead") if compiled else forward

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = run(images, labels)
        loss.backward()
        optimizer.step()
        return loss.detach().clone() if compiled else loss.detach()

    return step


def layered(nn: Any, task: Task) -> Any:
    """The net, which both libraries spell alike."""
    first, second, third = (nn.Linear(*pair) for pair in itertools.pairwise(task.sizes))
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)


def interleaved(task: Task) -> list[np.ndarray]:
    """Weights and biases (zeros) in the order of the parameters."""
    return [array for weight in task.weights for array in (weight, np.zeros(weight.shape[1], np.float32))]


STEPS: dict[str, Callable[[Task, Library, bool], Step]] = {"plugrad": in_plugrad, "torch": in_torch}


def checked(task: Task, library: Library, compiled: bool) -> tuple[Step, float]:
    """The step, after the first loss was compared with NumPy's; and the loss after five steps."""
    step = STEPS[library.name](task, library, compiled)
    losses = [float(library.get(step())) for _ in range(6)]
    if abs(losses[0] - task.expected()) > 1e-3 or not losses[-1] < losses[0]:
        raise AssertionError(f"losses {losses}; the first must be {task.expected()}, and the last lower")
    return step, losses[-1]
