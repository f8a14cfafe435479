"""Calls of the poolings and of their adjoints. What is compared lies apart, so that nothing changes within a step of a
difference quotient.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from plugrad.errors import ShapeError
from plugrad.testing import OpSample, values

from .convolution import Pair, from_nchw, padded, patches, to_nchw
from .operands import distinct

_NONE = ((0, 0), (0, 0))


def _shape(size: Pair, kernel: Pair, stride: Pair, padding: Any) -> Pair:
    n = [(d + sum(p) - k) // step + 1 for d, k, step, p in zip(size, kernel, stride, padding)]
    return n[0], n[1]


def _first_largest(patch: np.ndarray) -> tuple[np.ndarray, ...]:
    """Where the first largest element of each example's and channel's window is."""
    n, c, high, wide = patch.shape
    flat = patch.reshape((n, c, high * wide)).argmax(axis=2)
    return *np.indices((n, c)), flat // wide, flat % wide


def max_pool2d(x: np.ndarray, *, kernel: Pair, stride: Pair, padding: Any, layout: str) -> np.ndarray:
    """Window by window."""
    x = to_nchw(x, layout)
    y = np.zeros((*x.shape[:2], *_shape(x.shape[2:], kernel, stride, padding)))
    x = padded(x, padding, -np.inf)
    for i, j, at in patches(x.shape[2:], kernel, stride):
        y[:, :, i, j] = x[at].max(axis=(2, 3))
    return from_nchw(y, layout)


def max_pool2d_select(
    t: np.ndarray, x: np.ndarray, y: np.ndarray, *, kernel: Pair, stride: Pair, padding: Any, layout: str
) -> np.ndarray:
    """What ``t`` has where ``x`` is largest."""
    x, t = padded(to_nchw(x, layout), padding, -np.inf), padded(to_nchw(t, layout), padding)
    out = np.zeros(to_nchw(y, layout).shape)
    for i, j, at in patches(x.shape[2:], kernel, stride):
        out[:, :, i, j] = t[at][_first_largest(x[at])]
    return from_nchw(out, layout)


def max_pool2d_bwd(
    g: np.ndarray, x: np.ndarray, y: np.ndarray, *, kernel: Pair, stride: Pair, padding: Any, layout: str
) -> np.ndarray:
    """Each cotangent goes to the largest element of its window."""
    (top, _), (left, _) = padding
    g, x = to_nchw(g, layout), to_nchw(x, layout)
    h, wide = x.shape[2:]
    x = padded(x, padding, -np.inf)
    out = np.zeros(x.shape)
    for i, j, at in patches(x.shape[2:], kernel, stride):
        out[at][_first_largest(x[at])] += g[:, :, i, j]
    return from_nchw(out[:, :, top : top + h, left : left + wide], layout)


def avg_pool2d(x: np.ndarray, *, kernel: Pair, stride: Pair, padding: Any, layout: str) -> np.ndarray:
    """Window by window; padding counts."""
    x = to_nchw(x, layout)
    y = np.zeros((*x.shape[:2], *_shape(x.shape[2:], kernel, stride, padding)))
    x = padded(x, padding)
    for i, j, at in patches(x.shape[2:], kernel, stride):
        y[:, :, i, j] = x[at].mean(axis=(2, 3))
    return from_nchw(y, layout)


def avg_pool2d_bwd(g: np.ndarray, *, size: Pair, kernel: Pair, stride: Pair, padding: Any, layout: str) -> np.ndarray:
    """Each cotangent is shared by its window."""
    (top, _), (left, _) = padding
    g = to_nchw(g, layout)
    out = padded(np.zeros((*g.shape[:2], *size)), padding)
    for i, j, at in patches(out.shape[2:], kernel, stride):
        out[at] += g[:, :, i, j, None, None] / (kernel[0] * kernel[1])
    return from_nchw(out[:, :, top : top + size[0], left : left + size[1]], layout)


Case = tuple[tuple[int, ...], Pair, Pair, Any]
CASES: tuple[Case, ...] = (  # NCHW shape, kernel, stride, padding
    ((2, 3, 4, 6), (2, 2), (2, 2), _NONE),
    ((1, 2, 5, 7), (2, 3), (2, 3), _NONE),
    ((2, 1, 6, 5), (3, 3), (1, 1), _NONE),
    ((1, 2, 6, 7), (3, 2), (2, 1), _NONE),
    ((1, 2, 7, 8), (2, 2), (3, 4), _NONE),
    ((2, 2, 5, 5), (3, 3), (2, 2), ((1, 1), (1, 1))),
    ((1, 1, 4, 5), (2, 3), (2, 3), ((1, 0), (0, 1))),
    ((1, 2, 3, 4), (1, 1), (1, 1), _NONE),
    ((1, 2, 4, 4), (1, 1), (2, 2), _NONE),
    ((1, 1, 3, 4), (3, 4), (3, 4), _NONE),
    ((1, 3, 1, 6), (1, 2), (1, 2), _NONE),
    ((0, 2, 4, 4), (2, 2), (2, 2), _NONE),
    ((2, 9, 8, 8), (2, 2), (2, 2), _NONE),
)
LARGE: Case = ((1, 2, 40, 70), (3, 3), (2, 2), ((1, 1), (1, 1)))


def samples() -> Iterator[OpSample]:
    """All calls of the family."""
    for layout in ("NCHW", "NHWC"):
        for case in CASES:
            yield from _calls(case, layout)
    yield from _calls(LARGE, "NCHW", smooth=False)
    yield from _ties()
    yield from _wrong()


def _images(n: int, c: int, size: Pair, layout: str) -> tuple[int, ...]:
    return (n, c, *size) if layout == "NCHW" else (n, *size, c)


def _calls(case: Case, layout: str, smooth: bool = True) -> Iterator[OpSample]:
    """The poolings and their adjoints; ``smooth`` is False where so many elements would only take time.

    The adjoints of the maximum look for ``y`` in ``x``, so neither can be moved without the other, as a difference
    quotient would; but for windows of one element.
    """
    (n, c, h, wide), kernel, stride, padding = case
    attrs: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding, "layout": layout}
    x = distinct(*_images(n, c, (h, wide), layout), layout=layout)
    y = max_pool2d(x, **attrs)
    g, alone = values(*y.shape), smooth and kernel == (1, 1)
    yield OpSample("nn.max_pool2d", (x,), attrs, "exact", smooth, reference=max_pool2d)
    yield OpSample("nn.max_pool2d_select", (values(*x.shape), x, y), attrs, "exact", alone, reference=max_pool2d_select)
    yield OpSample("nn.max_pool2d_bwd", (g, x, y), attrs, "sum", alone, reference=max_pool2d_bwd)
    yield OpSample("nn.avg_pool2d", (values(*x.shape),), attrs, "sum", smooth, reference=avg_pool2d)
    sized = {**attrs, "size": (h, wide)}
    yield OpSample("nn.avg_pool2d_bwd", (g,), sized, "sum", smooth, reference=avg_pool2d_bwd)


def _ties() -> Iterator[OpSample]:
    """Of equal elements the first counts; infinities and NaN in the forward operation."""
    x = np.array([[1.0, 1.0, 0.0, 2.0], [1.0, 0.0, 2.0, 2.0], [3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 3.0]])[None, None]
    for kernel, stride, padding in (
        ((2, 2), (2, 2), _NONE),
        ((2, 2), (1, 1), _NONE),
        ((3, 3), (2, 2), ((1, 1), (1, 1))),
    ):
        attrs = {"kernel": kernel, "stride": stride, "padding": padding, "layout": "NCHW"}
        y = max_pool2d(x, **attrs)  # type: ignore[arg-type]
        operands = values(*y.shape), x, y
        yield OpSample("nn.max_pool2d", (x,), attrs, "exact", smooth=False, reference=max_pool2d)
        yield OpSample("nn.max_pool2d_bwd", operands, attrs, "sum", smooth=False, reference=max_pool2d_bwd)
        picked = values(*x.shape), x, y
        yield OpSample("nn.max_pool2d_select", picked, attrs, "exact", smooth=False, reference=max_pool2d_select)
    special = np.array([[np.nan, 1.0, np.inf, 0.0], [2.0, 3.0, 1.0, -np.inf]])[None, None]
    attrs = {"kernel": (2, 2), "stride": (2, 2), "padding": _NONE, "layout": "NCHW"}
    yield OpSample("nn.max_pool2d", (special,), attrs, "exact", smooth=False, reference=max_pool2d)


def _wrong() -> Iterator[OpSample]:
    attrs = {"kernel": (2, 2), "stride": (2, 2), "padding": _NONE, "layout": "NCHW"}
    x, y, odd = values(2, 3, 4, 4), values(2, 3, 2, 2), values(2, 3, 2, 1)
    for name in ("nn.max_pool2d", "nn.avg_pool2d"):
        yield OpSample(name, (values(3, 4, 4),), attrs, raises=ShapeError)
        yield OpSample(name, (values(1, 3, 1, 4),), attrs, raises=ShapeError)
    yield OpSample("nn.max_pool2d_bwd", (odd, x, y), attrs, raises=ShapeError)
    yield OpSample("nn.max_pool2d_bwd", (y, x, odd), attrs, raises=ShapeError)
    yield OpSample("nn.max_pool2d_select", (y, x, y), attrs, raises=ShapeError)
    yield OpSample("nn.max_pool2d_select", (x, x, odd), attrs, raises=ShapeError)
    yield OpSample("nn.avg_pool2d_bwd", (odd,), {**attrs, "size": (4, 4)}, raises=ShapeError)
    yield OpSample("nn.avg_pool2d_bwd", (values(3, 2, 2),), {**attrs, "size": (4, 4)}, raises=ShapeError)
