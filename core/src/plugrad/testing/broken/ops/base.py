"""How a faulty op is made for a while, and the honest one from which they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ....backend import BACKENDS, Kernel, Spec
from ....errors import ShapeError
from ....op import OPS, Op
from ....ops.elementwise import exp
from ....ops.reduction import sum as sum_
from ....tensor import Tensor
from ...kit.declare import OpSample, values
from ...kit.declared import with_samples
from ..fault import Fault

NAME = "broken.op"
X, W, Y = values(3, 4), values(4), values(40, 70)
Flags = Sequence[bool]


def scaled_spec(x: Any, w: Any) -> Spec:
    """x of any shape, w of the size of its last axis."""
    if x.ndim == 0 or w.shape != x.shape[-1:]:
        raise ShapeError(f"{NAME}: x has shape {x.shape}, w {w.shape}; w needs the shape {x.shape[-1:]}")
    return Spec(x.shape, x.dtype)


def scaled(x: Tensor, w: Tensor) -> Tensor:
    """exp(x) w, along the last axis."""
    return exp(x) * w


def scaled_vjp(g: Tensor, y: Tensor, xs: Sequence[Tensor], need: Flags) -> tuple[Tensor | None, ...]:
    """Its cotangents."""
    x, w = xs
    return g * exp(x) * w if need[0] else None, rows(g * exp(x)) if need[1] else None


def rows(t: Tensor) -> Tensor:
    """The sum over all axes but the last."""
    return sum_(t, axis=tuple(range(t.ndim - 1)))


def scaled_numpy(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The same in NumPy."""
    return np.asarray(np.exp(x) * w)


RULES: dict[str, Any] = {
    "dtypes": "float",
    "together": (0, 1),
    "saves": (0, 1),
    "save_output": False,
    "spec": scaled_spec,
    "decompose": scaled,
    "vjp": scaled_vjp,
}
SAMPLES: tuple[OpSample, ...] = (
    OpSample(NAME, (X, W), reference=scaled_numpy),
    OpSample(NAME, (Y, values(70)), reference=scaled_numpy),
    OpSample(NAME, (X, values(3)), raises=ShapeError),
)


@contextmanager
def made(
    samples: Sequence[OpSample] = SAMPLES,
    kernel: Callable[..., Any] | None = None,
    kind: type[Op] = Op,
    **changed: Any,
) -> Iterator[str]:
    """Within the block there is an op with these rules instead of the honest ones, and these samples of it.

    ``kernel``: its kernel on the reference backend.
    """
    if kernel is not None:
        backend = BACKENDS[0]
        kernels = backend.kernels
        backend.kernels = {**kernels, NAME: Kernel(kernel, provider="broken")}
    try:
        kind(NAME, **{**RULES, **changed})
    finally:
        if kernel is not None:
            backend.kernels = kernels
    try:
        with with_samples(samples):
            yield NAME
    finally:
        del OPS[NAME]


def fault(name: str, what: str, *rules: str, **changed: Any) -> Fault:
    """A fault of ops, caught by the checks of these rules ("derivatives"; "values.float16" for those of values)."""
    named = [
        f"values.{NAME}.{rule.partition('.')[2]}" if rule.startswith("values.") else f"op.{NAME}.{rule}"
        for rule in rules
    ]
    return Fault(f"op.{name}", what, tuple(named), partial(made, **changed), "op")
