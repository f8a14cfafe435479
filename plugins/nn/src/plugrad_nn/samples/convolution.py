"""Calls of the convolution and of its two adjoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from plugrad.errors import ShapeError
from plugrad.testing import OpSample, values

Pair = tuple[int, int]
NONE = ((0, 0), (0, 0))


def to_nchw(x: np.ndarray, layout: str) -> np.ndarray:
    """Channels before the spatial axes."""
    return x if layout == "NCHW" else x.transpose(0, 3, 1, 2)


def from_nchw(x: np.ndarray, layout: str) -> np.ndarray:
    """The inverse."""
    return x if layout == "NCHW" else x.transpose(0, 2, 3, 1)


def padded(x: np.ndarray, padding: Any, value: float = 0.0) -> np.ndarray:
    """A border around NCHW images."""
    return np.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)


def patches(size: Pair, kernel: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Iterator[tuple[int, int, Any]]:
    """For every window of an image: its row, its column and the index of its elements."""
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    rows, columns = [(n - span) // step + 1 for n, span, step in zip(size, spans, stride)]
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride[0], j * stride[1]
            where = slice(top, top + spans[0], dilation[0]), slice(left, left + spans[1], dilation[1])
            yield i, j, (slice(None), slice(None), *where)


def _parts(channels: int, groups: int) -> Iterator[slice]:
    """The channels of each group."""
    each = channels // groups
    return (slice(k * each, (k + 1) * each) for k in range(groups))


def _size(size: Pair, kernel: Pair, stride: Pair, padding: Any, dilation: Pair) -> Pair:
    """How many windows there are each way."""
    n = [
        (d + sum(p) - gap * (k - 1) - 1) // step + 1
        for d, k, step, p, gap in zip(size, kernel, stride, padding, dilation)
    ]
    return n[0], n[1]


def conv2d(
    x: np.ndarray, w: np.ndarray, *, stride: Pair, padding: Any, dilation: Pair, groups: int, layout: str
) -> np.ndarray:
    """Window by window, group by group."""
    x = to_nchw(x, layout)
    y = np.zeros((len(x), len(w), *_size((x.shape[2], x.shape[3]), w.shape[2:], stride, padding, dilation)))
    x = padded(x, padding)
    for i, j, at in patches(x.shape[2:], w.shape[2:], stride, dilation):
        for c, o in zip(_parts(x.shape[1], groups), _parts(len(w), groups), strict=True):
            y[:, o, i, j] = np.einsum("ncuv,ocuv->no", x[at][:, c], w[o])
    return from_nchw(y, layout)


def conv2d_input_bwd(
    g: np.ndarray, w: np.ndarray, *, size: Pair, stride: Pair, padding: Any, dilation: Pair, groups: int, layout: str
) -> np.ndarray:
    """Every window adds to the elements that it read."""
    g, (top, left) = to_nchw(g, layout), (padding[0][0], padding[1][0])
    x = padded(np.zeros((len(g), w.shape[1] * groups, *size)), padding)
    for i, j, at in patches(x.shape[2:], w.shape[2:], stride, dilation):
        for c, o in zip(_parts(x.shape[1], groups), _parts(len(w), groups), strict=True):
            x[at][:, c] += np.einsum("no,ocuv->ncuv", g[:, o, i, j], w[o])
    return from_nchw(x[:, :, top : top + size[0], left : left + size[1]], layout)


def conv2d_weight_bwd(
    g: np.ndarray, x: np.ndarray, *, kernel: Pair, stride: Pair, padding: Any, dilation: Pair, groups: int, layout: str
) -> np.ndarray:
    """Every window adds what it read."""
    g, x = to_nchw(g, layout), padded(to_nchw(x, layout), padding)
    w = np.zeros((g.shape[1], x.shape[1] // groups, *kernel))
    for i, j, at in patches(x.shape[2:], kernel, stride, dilation):
        for c, o in zip(_parts(x.shape[1], groups), _parts(len(w), groups), strict=True):
            w[o] += np.einsum("no,ncuv->ocuv", g[:, o, i, j], x[at][:, c])
    return w


Case = tuple[tuple[int, ...], tuple[int, ...], Pair, Any, Pair, int]
CASES: tuple[Case, ...] = (  # NCHW shape, weight's shape, stride, padding, dilation, groups
    ((2, 3, 5, 6), (4, 3, 3, 2), (1, 1), NONE, (1, 1), 1),
    ((1, 1, 3, 3), (1, 1, 1, 1), (1, 1), NONE, (1, 1), 1),
    ((2, 2, 3, 4), (3, 2, 3, 4), (1, 1), NONE, (1, 1), 1),
    ((2, 3, 6, 7), (2, 3, 3, 3), (2, 3), ((1, 1), (1, 1)), (1, 1), 1),
    ((1, 2, 5, 5), (2, 2, 2, 3), (1, 2), ((1, 0), (2, 1)), (1, 1), 1),
    ((1, 2, 7, 8), (3, 2, 3, 2), (1, 1), ((2, 1), (0, 1)), (2, 3), 1),
    ((2, 4, 4, 5), (6, 2, 2, 2), (1, 1), NONE, (1, 1), 2),
    ((1, 3, 5, 4), (6, 1, 3, 3), (2, 1), ((1, 1), (1, 1)), (1, 1), 3),
    ((1, 2, 5, 6), (2, 2, 1, 1), (3, 3), NONE, (1, 1), 1),
    ((1, 1, 1, 9), (2, 1, 1, 4), (1, 2), NONE, (1, 2), 1),
    ((2, 2, 4, 4), (2, 2, 2, 2), (2, 2), NONE, (1, 1), 1),
    ((0, 2, 4, 4), (3, 2, 2, 2), (1, 1), NONE, (1, 1), 1),
    ((1, 5, 17, 19), (9, 5, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
)
LARGE: Case = ((1, 2, 40, 70), (3, 2, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)


def samples() -> Iterator[OpSample]:
    """All calls of the family."""
    for layout in ("NCHW", "NHWC"):
        for case in CASES:
            yield from _three(case, layout)
    yield from _three(LARGE, "NCHW", smooth=False)
    yield from _wrong()


def _three(case: Case, layout: str, smooth: bool = True) -> Iterator[OpSample]:
    """The convolution and its adjoints; ``smooth`` is False where so many elements would only take time."""
    (n, c, h, wide), (o, per, *kernel), stride, padding, dilation, groups = case
    attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "layout": layout}
    oh, ow = _size((h, wide), (kernel[0], kernel[1]), stride, padding, dilation)
    x = values(n, c, h, wide) if layout == "NCHW" else values(n, h, wide, c)
    g = values(n, o, oh, ow) if layout == "NCHW" else values(n, oh, ow, o)
    w, window = values(o, per, *kernel), {"kernel": tuple(kernel)}
    yield OpSample("nn.conv2d", (x, w), attrs, "sum", smooth, reference=conv2d)
    name = "nn.conv2d_input_bwd"
    yield OpSample(name, (g, w), {**attrs, "size": (h, wide)}, "sum", smooth, reference=conv2d_input_bwd)
    name = "nn.conv2d_weight_bwd"
    yield OpSample(name, (g, x), {**attrs, **window}, "sum", smooth, reference=conv2d_weight_bwd)


def _wrong() -> Iterator[OpSample]:
    attrs = {"stride": (1, 1), "padding": NONE, "dilation": (1, 1), "groups": 1, "layout": "NCHW"}
    image, weight = values(2, 4, 5, 5), values(6, 4, 3, 3)
    for x, w, changed in (
        (image, values(6, 3, 3, 3), {}),
        (image, weight, {"layout": "NHWC"}),
        (image, weight, {"groups": 2}),
        (image, values(5, 2, 3, 3), {"groups": 2}),
        (image, values(6, 4, 6, 3), {}),
        (image, weight, {"dilation": (1, 3)}),
        (values(4, 5, 5), weight, {}),
        (image, values(4, 3, 3), {}),
    ):
        yield OpSample("nn.conv2d", (x, w), {**attrs, **changed}, raises=ShapeError)
    for g, size in (((2, 6, 3, 4), (5, 5)), ((2, 5, 3, 3), (5, 5)), ((2, 6, 3, 3), (2, 5))):
        yield OpSample("nn.conv2d_input_bwd", (values(*g), weight), {**attrs, "size": size}, raises=ShapeError)
    for g, kernel in (((2, 6, 4, 3), (3, 3)), ((1, 6, 3, 3), (3, 3)), ((2, 6, 3, 3), (6, 3))):
        yield OpSample("nn.conv2d_weight_bwd", (values(*g), image), {**attrs, "kernel": kernel}, raises=ShapeError)
