"""Where images keep their channels and their two spatial axes: NCHW or NHWC."""

from __future__ import annotations

from typing import Any

from plugrad import Tensor, permute_dims

from .arguments import Pair


def channel_axis(layout: str) -> int:
    """The axis of the channels."""
    return 1 if layout == "NCHW" else 3


def spatial_axis(layout: str) -> int:
    """The axis of the height; the width follows it."""
    return 2 if layout == "NCHW" else 1


def image_size(x: Any, layout: str) -> Pair:
    """Height and width."""
    a = spatial_axis(layout)
    return x.shape[a], x.shape[a + 1]


def with_size(shape: tuple[int, ...], size: Pair, layout: str) -> tuple[int, ...]:
    """A shape of images with another height and width."""
    a = spatial_axis(layout)
    return (*shape[:a], *size, *shape[a + 2 :])


def image_shape(layout: str, n: int, channels: int, size: Pair) -> tuple[int, ...]:
    """The shape of ``n`` images."""
    return (n, channels, *size) if layout == "NCHW" else (n, *size, channels)


def to_nchw(x: Tensor, layout: str) -> Tensor:
    """A view with the channels before the spatial axes."""
    return x if layout == "NCHW" else permute_dims(x, (0, 3, 1, 2))


def from_nchw(x: Tensor, layout: str) -> Tensor:
    """The inverse of ``to_nchw``."""
    return x if layout == "NCHW" else permute_dims(x, (0, 2, 3, 1))


def to_cnhw(x: Tensor, layout: str) -> Tensor:
    """A view with the channels first, then the examples."""
    return permute_dims(x, (1, 0, 2, 3) if layout == "NCHW" else (3, 0, 1, 2))
