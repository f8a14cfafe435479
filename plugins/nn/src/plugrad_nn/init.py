"""Initial weights as functions of a key: ``f(key, shape, ...)``. The numbers are drawn where the key lives, so one seed
gives the same weights on every device.

Shapes are those of the layers here: (out, in) for a dense weight, (out, in / groups, kh, kw) for a convolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plugrad
from plugrad import Tensor
from plugrad.errors import ShapeError

from .ops.arguments import one_of

__all__ = [
    "calculate_fans",
    "calculate_gain",
    "kaiming_normal",
    "kaiming_uniform",
    "ones",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0)}


def calculate_fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs feed one output of a weight, and how many outputs one input feeds.

    >>> calculate_fans((10, 64)), calculate_fans((32, 16, 3, 3))
    ((64, 10), (144, 288))
    """
    if len(shape) < 2:
        raise ShapeError(
            f"calculate_fans: shape {tuple(shape)} has no inputs and outputs; give (out, in, ...), or use zeros or ones"
        )
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def calculate_gain(nonlinearity: str, slope: float = 0.01) -> float:
    """How much a layer must amplify to keep the variance through the nonlinearity that follows: linear, sigmoid, tanh,
    relu or leaky_relu.

    >>> calculate_gain("linear")
    1.0
    """
    one_of("calculate_gain", "nonlinearity", nonlinearity, (*_GAINS, "leaky_relu"))
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + slope * slope))
    return _GAINS[nonlinearity]


def _uniform(key: Tensor, shape: Sequence[int], std: float, dtype: Any, device: str | None) -> Tensor:
    bound = math.sqrt(3.0) * std
    return _on(device, plugrad.random.uniform(key, shape, low=-bound, high=bound, dtype=dtype))


def _normal(key: Tensor, shape: Sequence[int], std: float, dtype: Any, device: str | None) -> Tensor:
    return _on(device, plugrad.random.normal(key, shape, std=std, dtype=dtype))


def _on(device: str | None, x: Tensor) -> Tensor:
    return x.to(plugrad.get_default_device() if device is None else device)


def _kaiming_std(name: str, shape: Sequence[int], mode: str, nonlinearity: str, slope: float) -> float:
    one_of(name, "mode", mode, ("fan_in", "fan_out"))
    fan = calculate_fans(shape)[mode == "fan_out"]
    return calculate_gain(nonlinearity, slope) / math.sqrt(max(fan, 1))


def _xavier_std(shape: Sequence[int], gain: float) -> float:
    return gain * math.sqrt(2.0 / max(sum(calculate_fans(shape)), 1))


def xavier_uniform(
    key: Tensor, shape: Sequence[int], *, gain: float = 1.0, dtype: Any = None, device: str | None = None
) -> Tensor:
    """Uniform with variance gain^2 * 2 / (fan_in + fan_out), after Glorot and Bengio (2010).

    >>> import plugrad
    >>> xavier_uniform(plugrad.random.key(0), (3, 4)).shape
    (3, 4)
    """
    return _uniform(key, shape, _xavier_std(shape, gain), dtype, device)


def xavier_normal(
    key: Tensor, shape: Sequence[int], *, gain: float = 1.0, dtype: Any = None, device: str | None = None
) -> Tensor:
    """Normal with variance gain^2 * 2 / (fan_in + fan_out), after Glorot and Bengio (2010).

    >>> import plugrad
    >>> xavier_normal(plugrad.random.key(0), (3, 4)).shape
    (3, 4)
    """
    return _normal(key, shape, _xavier_std(shape, gain), dtype, device)


def kaiming_uniform(
    key: Tensor,
    shape: Sequence[int],
    *,
    mode: str = "fan_in",
    nonlinearity: str = "relu",
    slope: float = 0.01,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Uniform with variance gain^2 / fan, after He, Zhang, Ren and Sun (2015); the gain is that of the ``nonlinearity``
    that follows.

    >>> import plugrad
    >>> kaiming_uniform(plugrad.random.key(0), (8, 4, 3, 3)).shape
    (8, 4, 3, 3)
    """
    return _uniform(key, shape, _kaiming_std("kaiming_uniform", shape, mode, nonlinearity, slope), dtype, device)


def kaiming_normal(
    key: Tensor,
    shape: Sequence[int],
    *,
    mode: str = "fan_in",
    nonlinearity: str = "relu",
    slope: float = 0.01,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Normal with variance gain^2 / fan, after He, Zhang, Ren and Sun (2015); the gain is that of the ``nonlinearity``
    that follows.

    >>> import plugrad
    >>> kaiming_normal(plugrad.random.key(0), (8, 4, 3, 3)).shape
    (8, 4, 3, 3)
    """
    return _normal(key, shape, _kaiming_std("kaiming_normal", shape, mode, nonlinearity, slope), dtype, device)


def zeros(key: Tensor | None, shape: Sequence[int], *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Zeros; the key is not used."""
    return plugrad.zeros(shape, dtype=dtype, device=device)


def ones(key: Tensor | None, shape: Sequence[int], *, dtype: Any = None, device: str | None = None) -> Tensor:
    """Ones; the key is not used."""
    return plugrad.ones(shape, dtype=dtype, device=device)
