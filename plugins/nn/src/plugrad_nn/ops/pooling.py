"""Maximum and average over sliding windows, with their adjoints.

The maximum of a window belongs to its first element that attains it, as in PyTorch: forward and backward agree on ties.
Which element that is follows from the input and the result, so no index is kept.
"""

from __future__ import annotations

from typing import Any

from plugrad import Op, Spec, Tensor, add, maximum, pad, reshape, where
from plugrad.errors import ShapeError

from .arguments import LAYOUTS, Padding, Pair, floating, one_of, paddings, pair
from .batching import folded
from .layout import image_size, spatial_axis, with_size
from .windows import Windows, crop_spatial, pad_spatial, put, reduced, shared, take, windows

_INFINITY = float("inf")


def _padded(size: Pair, padding: Padding) -> Pair:
    return size[0] + sum(padding[0]), size[1] + sum(padding[1])


class _Pool(Op):
    """Shape rule and batching of a pooling operation: the operands are images, of which the last may be smaller."""

    dtypes = "float"

    def spec(self, *xs: Any, **attrs: Any) -> Spec:
        shape = xs[0].shape
        return Spec(with_size(shape, self.windows(shape, **attrs).out, attrs["layout"]), xs[0].dtype)

    def windows(self, shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Padding, layout: str) -> Windows:
        if len(shape) != 4:
            raise ShapeError(f"{self.name}: input of shape {shape}; it needs 4 axes, {layout}")
        return windows(self.name, shape, spatial_axis(layout), kernel, stride, padding)

    def batch(self, size: int, xs: Any, batched: Any, /, **attrs: Any) -> Tensor:
        return folded(self, size, xs, batched, attrs)


class _MaxPool2d(_Pool):
    """The largest element of each window; padding never wins."""

    name = "nn.max_pool2d"

    def decompose(self, x: Tensor, *, kernel: Pair, stride: Pair, padding: Padding, layout: str) -> Tensor:
        found = self.windows(x.shape, kernel, stride, padding, layout)
        return reduced(maximum, _pad_lowest(x, padding, layout), found, spatial_axis(layout))

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, **attrs: Any) -> Any:
        return (MAX_POOL2D_BWD(g, xs[0], y, **attrs),)

    def jvp(self, ts: Any, y: Tensor, xs: Any, **attrs: Any) -> Tensor:
        return MAX_POOL2D_SELECT(ts[0], xs[0], y, **attrs)


class _MaxPool2dSelect(_Pool):
    """The element of t at the place where x is largest, for each window: linear in t, and the adjoint of
    max_pool2d_bwd.
    """

    name = "nn.max_pool2d_select"
    linear = (0,)
    saves = (1, 2)

    def spec(self, t: Any, x: Any, y: Any, **attrs: Any) -> Spec:
        found = super().spec(x, **attrs)
        if t.shape != x.shape or y.shape != found.shape:
            raise ShapeError(
                f"{self.name}: tangent {t.shape}, input {x.shape} and result {y.shape}; "
                f"they must be {x.shape}, {x.shape} and {found.shape}"
            )
        return Spec(found.shape, t.dtype)

    def decompose(
        self, t: Tensor, x: Tensor, y: Tensor, *, kernel: Pair, stride: Pair, padding: Padding, layout: str
    ) -> Tensor:
        axis = spatial_axis(layout)
        found = self.windows(x.shape, kernel, stride, padding, layout)
        values = take(_pad_lowest(x, padding, layout), found, axis)
        *parts, chosen = take(pad_spatial(t, padding, axis), found, axis)
        for value, part in zip(values[-2::-1], parts[::-1], strict=True):
            chosen = where(value < y, chosen, part)
        return chosen

    def vjp(self, g: Tensor, out: Tensor, xs: Any, need: Any, **attrs: Any) -> Any:
        return (MAX_POOL2D_BWD(g, xs[1], xs[2], **attrs) if need[0] else None, None, None)


class _MaxPool2dBwd(_Pool):
    """The adjoint of max_pool2d at x with result y: each cotangent goes to the first largest element of its window."""

    name = "nn.max_pool2d_bwd"
    linear = (0,)
    saves = (1, 2)

    def spec(self, g: Any, x: Any, y: Any, **attrs: Any) -> Spec:
        wanted = super().spec(x, **attrs).shape
        if not g.shape == y.shape == wanted:
            raise ShapeError(
                f"{self.name}: the cotangent has shape {g.shape}, the result {y.shape}; "
                f"pooling {x.shape} gives {wanted}"
            )
        return Spec(x.shape, g.dtype)

    def decompose(
        self, g: Tensor, x: Tensor, y: Tensor, *, kernel: Pair, stride: Pair, padding: Padding, layout: str
    ) -> Tensor:
        axis = spatial_axis(layout)
        found = self.windows(x.shape, kernel, stride, padding, layout)
        parts, rest = [], g
        for value in take(_pad_lowest(x, padding, layout), found, axis)[:-1]:
            later = value < y
            parts.append(where(later, 0, rest))
            rest = where(later, rest, 0)
        whole = put([*parts, rest], found, _padded(image_size(x, layout), padding), axis)
        return crop_spatial(whole, padding, axis)

    def vjp(self, g: Tensor, out: Tensor, xs: Any, need: Any, **attrs: Any) -> Any:
        return (MAX_POOL2D_SELECT(g, xs[1], xs[2], **attrs) if need[0] else None, None, None)


class _AvgPool2d(_Pool):
    """The mean of each window; padding counts as zeros."""

    name = "nn.avg_pool2d"
    linear = (0,)

    def decompose(self, x: Tensor, *, kernel: Pair, stride: Pair, padding: Padding, layout: str) -> Tensor:
        axis = spatial_axis(layout)
        found = self.windows(x.shape, kernel, stride, padding, layout)
        total = reduced(add, pad_spatial(x, padding, axis), found, axis)
        return total * (1 / (kernel[0] * kernel[1]))

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, **attrs: Any) -> Any:
        return (AVG_POOL2D_BWD(g, size=image_size(xs[0], attrs["layout"]), **attrs),)


class _AvgPool2dBwd(_Pool):
    """The adjoint of avg_pool2d for inputs of the given ``size``: each cotangent is shared by its window."""

    name = "nn.avg_pool2d_bwd"
    linear = (0,)

    def spec(self, g: Any, *, size: Pair, **attrs: Any) -> Spec:
        shape = with_size(g.shape, size, attrs["layout"])
        if g.shape != super().spec(Spec(shape, g.dtype), **attrs).shape:
            raise ShapeError(
                f"{self.name}: the cotangent has shape {g.shape}, which no pooling of {shape} with {attrs} gives"
            )
        return Spec(shape, g.dtype)

    def decompose(self, g: Tensor, *, size: Pair, kernel: Pair, stride: Pair, padding: Padding, layout: str) -> Tensor:
        axis = spatial_axis(layout)
        found = self.windows(with_size(g.shape, size, layout), kernel, stride, padding, layout)
        share = g * (1 / (kernel[0] * kernel[1]))
        return crop_spatial(shared(share, found, _padded(size, padding), axis), padding, axis)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, size: Pair, **attrs: Any) -> Any:
        return (AVG_POOL2D(g, **attrs),)


def _pad_lowest(x: Tensor, padding: Padding, layout: str) -> Tensor:
    """Minus infinity around the image."""
    if padding == ((0, 0), (0, 0)):
        return x
    a = spatial_axis(layout)
    return pad(x, [(0, 0)] * a + [*padding] + [(0, 0)] * (x.ndim - a - 2), value=-_INFINITY)


MAX_POOL2D, MAX_POOL2D_SELECT, MAX_POOL2D_BWD = _MaxPool2d(), _MaxPool2dSelect(), _MaxPool2dBwd()
AVG_POOL2D, AVG_POOL2D_BWD = _AvgPool2d(), _AvgPool2dBwd()


def _pool(name: str, op: Op, x: Any, kernel_size: Any, stride: Any, padding: Any, layout: str) -> Tensor:
    x = floating(name, "x", x)
    one_of(name, "layout", layout, LAYOUTS)
    kernel = pair(name, "kernel_size", kernel_size)
    around = paddings(name, padding)
    for i in (0, 1):
        if 2 * max(around[i]) > kernel[i]:
            raise ShapeError(
                f"{name}: padding {around} is more than half of the kernel {kernel}, "
                "so some windows would hold nothing else; use less"
            )
    attrs = {
        "kernel": kernel,
        "stride": kernel if stride is None else pair(name, "stride", stride),
        "padding": around,
        "layout": layout,
    }
    if x.ndim == 3:
        y = op(reshape(x, (1, *x.shape)), **attrs)
        return reshape(y, y.shape[1:])
    return op(x, **attrs)


def max_pool2d(
    x: Tensor,
    kernel_size: int | Pair,
    *,
    stride: int | Pair | None = None,
    padding: int | Pair | Padding = 0,
    layout: str = "NCHW",
) -> Tensor:
    """The largest element of each window of an image (n, c, h, w), or (n, h, w, c) with ``layout="NHWC"``; one image
    without n will do.

    ``stride`` is the window's size by default. Padding, at most half of the window, never wins. Of equal elements the
    first gets the gradient; a window with NaN gives NaN. Floating dtypes.

    >>> import plugrad
    >>> max_pool2d(plugrad.asarray([[[[1.0, 2.0], [3.0, 4.0]]]]), 2).tolist()
    [[[[4.0]]]]
    """
    return _pool("max_pool2d", MAX_POOL2D, x, kernel_size, stride, padding, layout)


def avg_pool2d(
    x: Tensor,
    kernel_size: int | Pair,
    *,
    stride: int | Pair | None = None,
    padding: int | Pair | Padding = 0,
    layout: str = "NCHW",
) -> Tensor:
    """The mean of each window of an image (n, c, h, w), or (n, h, w, c) with ``layout="NHWC"``; one image without n
    will do.

    ``stride`` is the window's size by default. Padding, at most half of the window, counts as zeros. Floating dtypes.

    >>> import plugrad
    >>> avg_pool2d(plugrad.asarray([[[[1.0, 2.0], [3.0, 4.0]]]]), 2).tolist()
    [[[[2.5]]]]
    """
    return _pool("avg_pool2d", AVG_POOL2D, x, kernel_size, stride, padding, layout)
