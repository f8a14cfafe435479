"""A sample of a layer on a device: made from a seed, with parameters and state that are not those of its birth."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import plugrad as pg

from ..kit.declare import LayerSample
from .asking import arrays_of, is_floating, pattern, tensors_of, units

SPREAD = 0.1
"""How far parameters are moved from where they begin, so that none is exactly 0 or 1."""


class LayerTrial:
    """What a rule asks of one sample."""

    def __init__(self, sample: LayerSample, device: str, quick: bool) -> None:
        self.sample, self.device, self.quick = sample, device, quick

    def __str__(self) -> str:
        config = ", ".join([f"{k}={reprlib.repr(v)}" for k, v in self.sample.config.items()])
        shapes = ", ".join([str(tuple(one.shape)) for one in self.sample.inputs])
        return f"{self.sample.kind} {self.sample.name}({config}) of inputs {shapes or 'none'} on {self.device}"

    @property
    def full_device(self) -> str:
        """The device as tensors name it."""
        return pg.get_default_device()

    @property
    def right(self) -> bool:
        """Whether the call is one that must succeed."""
        return self.sample.raises is None

    @property
    def follows_the_seed(self) -> bool:
        """Whether it is known that no key was given: a function that makes it may give one, a class does not."""
        given = pg.tree.leaves(dict(self.sample.config))
        plain = self.sample.make is None or isinstance(self.sample.make, type)
        return plain and not given and "key" not in self.sample.config

    def units(self, dtype: np.dtype) -> float:
        """Units in the last place that the sample allows."""
        return units(self.sample.tolerance, dtype)

    def made(self, seed: int = 0) -> pg.Module:
        """A new layer, as a user makes it after ``manual_seed(seed)``."""
        pg.manual_seed(seed)
        make = self.sample.make or partial(pg.create, self.sample.kind, self.sample.name)
        layer = make(**self.sample.config)
        assert isinstance(layer, pg.Module), f"expected a plugrad.Module, came a {type(layer).__name__}"
        return layer

    def ready(self, dtype: np.dtype, training: bool = False, seed: int = 0) -> pg.Module:
        """A layer in a dtype and mode, its parameters moved a little, its state as one call in training leaves it."""
        layer = self.cast(self.made(seed), dtype)
        with pg.no_grad():
            for i, p in enumerate(layer.parameters()):
                if is_floating(p):
                    p.assign(p.detach() + SPREAD * pattern(p, 1.0 + 0.1 * i + 0.01 * seed))
            self.seed(layer, seed)
            layer.train()(*self.inputs(dtype))
        self.seed(layer, seed)
        return layer.train(training)

    def cast(self, layer: pg.Module, dtype: np.dtype) -> pg.Module:
        """Every real floating tensor of a layer in another dtype, in place: the handles stay the same."""
        for _, t in layer.named_tensors():
            if is_floating(t) and t.dtype != dtype:
                new = t.detach().astype(dtype)
                t.restore((*new.content()[:8], *t.content()[8:]))
        return layer

    def inputs(self, dtype: np.dtype, seed: int = 0) -> list[pg.Tensor]:
        """The inputs on the device."""
        return tensors_of(arrays_of(self.sample.inputs, dtype, seed), self.device)

    def seed(self, layer: pg.Module, seed: int) -> None:
        """Restart the default generator and those that the layer holds."""
        for one in generators(layer):
            one.seed(seed)


def generators(layer: pg.Module) -> Iterator[pg.random.Generator]:
    """The default generator, and those that a layer and its parts hold as attributes."""
    yield pg.random.generator()
    for m in layer.modules():
        yield from [v for v in vars(m).values() if isinstance(v, pg.random.Generator)]


def results(value: Any) -> list[pg.Tensor]:
    """The floating results of a call."""
    return [t for t in pg.tree.leaves(value) if is_floating(t)]


def loss(value: Any) -> pg.Tensor:
    """A scalar that depends on every floating result."""
    total = None
    for i, t in enumerate(results(value)):
        part = (t * pattern(t, 1.0 + 0.3 * i)).sum()
        total = part if total is None else total + part
    assert total is not None, "expected a floating result, came none"
    return total


def states(layer: pg.Module) -> list[tuple[str, pg.Tensor]]:
    """The tensors of a layer that are not trained: Buffers and constants."""
    return [(path, t) for path, t in layer.named_tensors() if not isinstance(t, pg.Parameter)]


Function = Callable[[list[pg.Tensor], list[pg.Tensor]], list[pg.Tensor]]


def function(
    trial: LayerTrial, layer: pg.Module, given: list[pg.Tensor]
) -> tuple[Function, list[pg.Tensor], list[pg.Tensor]]:
    """``f(parameters, floating inputs) -> floating results``, the same at every call, and where it stands now."""
    leaves, trained, build = pg.tree.flatten(layer)
    saved = [(t, t.detach()) for t in leaves if isinstance(t, pg.Buffer)]

    def f(weights: list[pg.Tensor], moved: list[pg.Tensor]) -> list[pg.Tensor]:
        for buffer, value in saved:
            buffer.assign(value)
        trial.seed(layer, 3)
        next_weight, next_input = iter(weights), iter(moved)
        module = build([next(next_weight) if on else t for t, on in zip(leaves, trained, strict=True)])
        return results(module(*[next(next_input) if is_floating(x) else x for x in given]))

    return f, [t.detach() for t, on in zip(leaves, trained, strict=True) if on], [x for x in given if is_floating(x)]
