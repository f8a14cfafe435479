"""Calls of every operation and runs of every optimizer of this package, for the conformance kit, with the algorithms of
the papers in NumPy as references. Only the kit imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from plugrad.errors import DTypeError, ShapeError
from plugrad.testing import Operand, OpSample, OptimizerSample, accumulators, values

Memory = dict[str, Any]
Rule = Callable[[np.ndarray, np.ndarray, Memory, int], np.ndarray]
SHAPES: tuple[tuple[int, ...], ...] = ((3, 4), (), (5,), (0, 3), (2, 1, 3), (40, 70))


def samples() -> Iterator[OpSample | OptimizerSample]:
    """All of them."""
    yield from _descent()
    yield from _momentum()
    yield from _adam()
    yield from _wrong()
    yield from _optimizers()


# -- operations


def descent_step(p: np.ndarray, g: np.ndarray, rate: np.ndarray, *, weight_decay: float) -> np.ndarray:
    """Against the gradient of the loss and of weight_decay |p|^2 / 2."""
    return np.asarray(p - rate * (g + weight_decay * p))


def sgd_step(
    p: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    rate: np.ndarray,
    gain: np.ndarray,
    *,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The parameter and its momentum (Polyak 1964; Nesterov's form after Sutskever and others 2013)."""
    d = g + weight_decay * p
    m = momentum * m + gain * d
    return np.asarray(p - rate * (d + momentum * m if nesterov else m)), np.asarray(m)


def adam_step(
    p: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    rate: np.ndarray,
    correction1: np.ndarray,
    correction2: np.ndarray,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> tuple[np.ndarray, ...]:
    """The parameter and its two moments (Kingma, Ba 2015; decoupled: Loshchilov, Hutter 2019)."""
    d = g if decoupled else g + weight_decay * p
    m, v = beta1 * m + (1.0 - beta1) * d, beta2 * v + (1.0 - beta2) * d**2
    step = (m / correction1) / (np.sqrt(v / correction2) + eps)
    shrunk = p - rate * weight_decay * p if decoupled else p
    return np.asarray(shrunk - rate * step), np.asarray(m), np.asarray(v)


RATE = accumulators(low=0.01, high=0.5)


def _descent() -> Iterator[OpSample]:
    name = "optim.descent_step"
    for shape in SHAPES:
        for decay in (0.0, 0.1):
            operands = values(*shape), values(*shape), RATE
            yield OpSample(name, operands, {"weight_decay": decay}, "sum", reference=descent_step)


def _momentum() -> Iterator[OpSample]:
    name, gain = "optim.sgd_step", accumulators(low=0.5, high=1.0)
    for shape in SHAPES:
        for nesterov in (False, True):
            for decay in (0.0, 0.1):
                attrs = {"momentum": 0.9, "nesterov": nesterov, "weight_decay": decay}
                operands = values(*shape), values(*shape), accumulators(*shape), RATE, gain
                yield OpSample(name, operands, attrs, "sum", reference=sgd_step)


def _adam() -> Iterator[OpSample]:
    name = "optim.adam_step"
    base: dict[str, Any] = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-6}
    for shape in SHAPES:
        for decay, decoupled in ((0.0, False), (0.1, False), (0.1, True), (0.0, True)):
            attrs = {**base, "weight_decay": decay, "decoupled": decoupled}
            moments = accumulators(*shape), accumulators(*shape, low=0.1, high=2.0)
            operands = values(*shape), values(*shape), *moments, RATE, *[accumulators(low=0.1, high=0.9)] * 2
            yield OpSample(name, operands, attrs, "sum", reference=adam_step)
    first = np.array([1.0, -2.0, 0.0]), np.array([1e-3, 0.5, 0.0]), np.zeros(3), np.zeros(3)
    scalars = np.array(0.1), np.array(0.1), np.array(0.01)
    for decoupled in (False, True):
        attrs = {**base, "weight_decay": 0.0, "decoupled": decoupled}
        yield OpSample(name, (*first, *scalars), attrs, "sum", smooth=False, reference=adam_step, dtypes="f4 f8")


def _wrong() -> Iterator[OpSample]:
    """An operand of another shape, a scalar that has one, a moment of another dtype."""
    descent: dict[str, Any] = {"weight_decay": 0.0}
    sgd = {**descent, "momentum": 0.9, "nesterov": False}
    adam = {**descent, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "decoupled": False}
    for name, attrs, tensors, scalars in (
        ("optim.descent_step", descent, 2, 1),
        ("optim.sgd_step", sgd, 3, 2),
        ("optim.adam_step", adam, 4, 3),
    ):
        good: list[Any] = [values(3, 4) for _ in range(tensors)] + [RATE] * scalars
        for i in range(1, tensors + scalars):
            wrong = values(3, 1) if i < tensors else values(1)
            yield OpSample(name, (*good[:i], wrong, *good[i + 1 :]), attrs, raises=ShapeError)
        whole = Operand(good[-1].shape, 1, 2, "i8")
        yield OpSample(name, (*good[:-1], whole), attrs, raises=DTypeError)


# -- optimizers


def sgd(
    rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    unbiased: bool = False,
) -> Rule:
    """Descent with momentum; the first gradient is taken whole, the unbiased average is corrected as Adam's."""

    def step(p: np.ndarray, g: np.ndarray, memory: Memory, t: int) -> np.ndarray:
        d = g + weight_decay * p
        if unbiased:
            memory["m"] = momentum * memory.get("m", 0.0) + (1.0 - momentum) * d
            return np.asarray(p - rate * memory["m"] / (1.0 - momentum**t))
        memory["m"] = d if t == 1 else momentum * memory["m"] + (1.0 - dampening) * d
        return np.asarray(p - rate * (d + momentum * memory["m"] if nesterov else memory["m"]))

    return step


def adam(
    rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> Rule:
    """Algorithm 1 of Kingma and Ba (2015), algorithm 2 of Loshchilov and Hutter (2019)."""

    def step(p: np.ndarray, g: np.ndarray, memory: Memory, t: int) -> np.ndarray:
        d = g if decoupled else g + weight_decay * p
        memory["m"] = betas[0] * memory.get("m", 0.0) + (1.0 - betas[0]) * d
        memory["v"] = betas[1] * memory.get("v", 0.0) + (1.0 - betas[1]) * d**2
        m, v = memory["m"] / (1.0 - betas[0] ** t), memory["v"] / (1.0 - betas[1] ** t)
        decay = weight_decay * p if decoupled else 0.0
        return np.asarray(p - rate * (m / (np.sqrt(v) + eps) + decay))

    return step


def _optimizers() -> Iterator[OptimizerSample]:
    """With weight decay the minimum is another one, so nothing is said about how close it comes."""
    descents: tuple[tuple[float, dict[str, Any]], ...] = (
        (0.1, {}),
        (0.05, {"momentum": 0.9}),
        (0.05, {"momentum": 0.9, "nesterov": True}),
        (0.05, {"momentum": 0.5, "dampening": 0.3}),
        (0.1, {"momentum": 0.9, "unbiased": True}),
        (0.1, {"weight_decay": 0.1}),
        (0.05, {"momentum": 0.9, "weight_decay": 0.1}),
        (0.05, {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    )
    for rate, options in descents:
        yield _optimizer("sgd", sgd, rate, options)
    adams: tuple[tuple[float, dict[str, Any]], ...] = (
        (0.1, {}),
        (0.05, {"betas": (0.9, 0.99), "eps": 1e-4}),
        (0.1, {"decoupled": True}),
        (0.1, {"weight_decay": 0.1}),
        (0.1, {"weight_decay": 0.1, "decoupled": True}),
    )
    for rate, options in adams:
        yield _optimizer("adam", adam, rate, options)


def _optimizer(name: str, rule: Callable[..., Rule], rate: float, options: dict[str, Any]) -> OptimizerSample:
    decays = bool(options.get("weight_decay"))
    decay = "none" if not decays else "parameter" if options.get("decoupled") else "gradient"
    config = {"learning_rate": rate, **options}
    return OptimizerSample(name, config, rule(rate, **options), decay, minimises=not decays)
