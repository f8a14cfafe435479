"""A sample of an optimizer on a device: parameters of several shapes, gradients that change from step to step."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

import plugrad as pg

from ..kit.declare import OptimizerSample
from .asking import held, tensors_of, usual, widest

SHAPES: Mapping[str, tuple[int, ...]] = {"w": (3, 4), "b": (4,), "s": (), "u": (2, 1, 3)}
STEPS = 6
Tensors = dict[str, pg.Tensor]


class OptimizerTrial:
    """What a rule asks of one sample."""

    def __init__(self, sample: OptimizerSample, device: str, quick: bool) -> None:
        self.sample, self.device, self.quick = sample, device, quick

    def __str__(self) -> str:
        config = ", ".join([f"{k}={reprlib.repr(v)}" for k, v in self.sample.config.items()])
        return f"optimizer {self.sample.name}({config}) on {self.device}"

    @property
    def dtype(self) -> np.dtype:
        """The dtype of rules that need only one."""
        return usual(self.device)

    @property
    def widest(self) -> np.dtype:
        """float64 if the device stores it."""
        return widest(self.device)

    @property
    def independent(self) -> bool:
        """Whether parameters are known not to look at one another: the reference is a function of one."""
        return self.sample.reference is not None

    def made(self, params: Any, **changes: Any) -> Any:
        """A new optimizer of these parameters; ``changes`` replace entries of the configuration."""
        make = self.sample.make or partial(pg.create, "optimizer", self.sample.name)
        return make(params=params, **{**self.sample.config, **changes})

    def arrays(self, dtype: np.dtype, names: Sequence[str] = tuple(SHAPES)) -> dict[str, np.ndarray]:
        """Where the parameters begin."""
        return {name: np.asarray(_numbers(name, 0) + 0.1).astype(dtype) for name in names}

    def gradients(self, step: int, dtype: np.dtype, names: Sequence[str] = tuple(SHAPES)) -> dict[str, np.ndarray]:
        """The gradients of step number ``step``, from 1: each step others, of other sizes."""
        return {name: np.asarray(_numbers(name, step) * (0.5 + 0.25 * step)).astype(dtype) for name in names}

    def put(self, arrays: Mapping[str, np.ndarray]) -> Tensors:
        """Plain tensors on the device."""
        return dict(zip(arrays, tensors_of(arrays.values(), self.device), strict=True))

    def parameters(self, dtype: np.dtype, names: Sequence[str] = tuple(SHAPES)) -> dict[str, pg.Parameter]:
        """New Parameters on the device."""
        return {k: pg.Parameter(a, device=self.device) for k, a in self.arrays(dtype, names).items()}

    def walk(self, optimizer: Any, params: Mapping[str, pg.Tensor], first: int, last: int) -> None:
        """``step()`` with the gradients of steps ``first`` to ``last``."""
        for k in range(first, last + 1):
            give(params, self.put(self.gradients(k, next(iter(params.values())).dtype, tuple(params))))
            optimizer.step()

    def stepped(
        self, dtype: np.dtype, steps: int, names: Sequence[str] = tuple(SHAPES), **changes: Any
    ) -> dict[str, np.ndarray]:
        """Where some steps of a new optimizer lead."""
        params = self.parameters(dtype, names)
        self.walk(self.made(params, **changes), params, 1, steps)
        return held(params.items())

    def updated(self, dtype: np.dtype, steps: int, names: Sequence[str] = tuple(SHAPES)) -> tuple[Any, Any, Tensors]:
        """(optimizer, state, parameters) after some chained updates, none of which ``step()`` knows of."""
        optimizer = self.made(self.parameters(dtype, names))
        params = self.put(self.arrays(dtype, names))
        state = optimizer.init(params)
        for k in range(1, steps + 1):
            params, state = optimizer.update(self.put(self.gradients(k, dtype, names)), state, params)
        return optimizer, state, params


def _numbers(name: str, step: int) -> np.ndarray:
    """Elements of both signs, none of them near 0."""
    rng = np.random.default_rng([step, *name.encode()])
    shape = SHAPES[name]
    return np.asarray(rng.uniform(0.3, 1.5, shape) * np.where(rng.random(shape) < 0.5, -1.0, 1.0))


def give(params: Mapping[str, pg.Tensor], grads: Mapping[str, pg.Tensor | None]) -> None:
    """Put gradients where ``backward()`` would."""
    for name, p in params.items():
        p.grad = grads[name]


def named(tree: Any) -> list[tuple[Any, pg.Tensor]]:
    """The tensors of a state, numbered."""
    return [(f"tensor {i} of the state", t) for i, t in enumerate(pg.tree.leaves(tree))]


def tensors_in(value: Any, path: str = "", seen: set[int] | None = None) -> list[tuple[str, pg.Tensor]]:
    """The tensors that an object's attributes and containers lead to, each once."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return []
    seen.add(id(value))
    if isinstance(value, pg.Tensor):
        return [(path, value)]
    if isinstance(value, Mapping):
        parts = list(value.items())
    elif isinstance(value, (list, tuple)):
        parts = list(enumerate(value))
    elif isinstance(value, pg.Module) or not path:
        parts = list(vars(value).items())
    else:
        return []
    return [found for key, part in parts for found in tensors_in(part, f"{path}.{key}" if path else str(key), seen)]


def saved(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A state dict as arrays."""
    return {k: np.array(v.detach().numpy() if isinstance(v, pg.Tensor) else v) for k, v in state.items()}
