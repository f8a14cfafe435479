"""Two-dimensional convolution (cross-correlation, as in every deep-learning library) and its two adjoints.

The three operations form a closed family: each is linear in both operands, and the derivatives of each are the other two, so gradients
of any order stay whole. The decomposition gathers the windows into columns and multiplies once (im2col).
"""

from __future__ import annotations

from typing import Any

from plugrad import Op, Spec, Tensor, concat, matmul, moveaxis
from plugrad.errors import ShapeError

from .arguments import LAYOUTS, Padding, Pair, floating, integer, one_of, pair, paddings
from .batching import filled, folded
from .windows import Windows, crop_spatial, pad_spatial, put, spatial, take, windows

NONE: Padding = ((0, 0), (0, 0))


def _to_nchw(x: Tensor, layout: str) -> Tensor:
    return x if layout == "NCHW" else x.permute_dims((0, 3, 1, 2))


def _from_nchw(x: Tensor, layout: str) -> Tensor:
    return x if layout == "NCHW" else x.permute_dims((0, 2, 3, 1))


def _image(layout: str, n: int, channels: int, size: Pair) -> tuple[int, int, int, int]:
    return (n, channels, *size) if layout == "NCHW" else (n, *size, channels)


def _channels(x: Any, layout: str) -> int:
    return int(x.shape[1 if layout == "NCHW" else 3])


def _size(x: Any, layout: str) -> Pair:
    a = spatial(layout)
    return x.shape[a], x.shape[a + 1]


def _columns(x: Tensor, w: Windows, axis: int) -> Tensor:
    """The windows along a new order of channels: (..., channels, H, W) -> (..., kh * kw * channels, oh, ow), ``axis`` being the channels'."""
    parts = take(x, w, axis + 1 if axis == x.ndim - 3 else x.ndim - 2)
    return parts[0] if len(parts) == 1 else concat(parts, axis=axis)


def _matrix(w: Tensor, groups: int) -> Tensor:
    """Weights (out, in / groups, kh, kw) -> (groups, out / groups, kh * kw * in / groups), in the order of the columns."""
    o, c, kh, kw = w.shape
    return w.permute_dims((0, 2, 3, 1)).reshape((groups, o // groups, kh * kw * c))


def _into_channels(x: Tensor, size: int, batched: bool, layout: str) -> Tensor:
    """A batch of images as one image with more channels: (B, N, C, H, W) -> (N, B * C, H, W)."""
    at = 1 if layout == "NCHW" else 3
    x = moveaxis(filled(size, x, batched), 0, at)
    return x.reshape((*x.shape[:at], x.shape[at] * x.shape[at + 1], *x.shape[at + 2 :]))


def _out_of_channels(x: Tensor, size: int, layout: str) -> Tensor:
    at = 1 if layout == "NCHW" else 3
    return moveaxis(x.reshape((*x.shape[:at], size, x.shape[at] // size, *x.shape[at + 1 :])), at, 0)


def _into_outputs(w: Tensor) -> Tensor:
    """A batch of weights as one with more outputs: (B, O, ...) -> (B * O, ...)."""
    return w.reshape((w.shape[0] * w.shape[1], *w.shape[2:]))


class _Conv2d(Op):
    r"""y[n, o, i, j] = sum over c, u, v of x[n, c, i * stride + u * dilation, j * stride + v * dilation] * w[o, c, u, v], x padded with zeros."""

    name = "nn.conv2d"
    dtypes = "float"
    together = (0, 1)
    multilinear = (0, 1)

    def spec(self, x: Any, w: Any, *, stride: Pair, padding: Padding, dilation: Pair, groups: int, layout: str) -> Spec:
        if x.ndim != 4 or w.ndim != 4:
            raise ShapeError(f"{self.name}: input {x.shape} and weight {w.shape} need 4 axes each: {layout}, and (out, in / groups, kh, kw)")
        c, o = _channels(x, layout), w.shape[0]
        if w.shape[1] * groups != c or o % groups:
            raise ShapeError(
                f"{self.name}: input {x.shape} ({layout}) has {c} channels, weight {w.shape} with groups={groups} takes {w.shape[1] * groups} "
                f"and gives {o}; the weight's shape must be (out, {c} / groups, kh, kw), both out and {c} divisible by groups"
            )
        found = windows(self.name, x.shape, spatial(layout), (w.shape[2], w.shape[3]), stride, padding, dilation)
        return Spec(_image(layout, x.shape[0], o, found.out), x.dtype)

    def decompose(self, x: Tensor, w: Tensor, *, stride: Pair, padding: Padding, dilation: Pair, groups: int, layout: str) -> Tensor:
        found = windows(self.name, x.shape, spatial(layout), (w.shape[2], w.shape[3]), stride, padding, dilation)
        x = pad_spatial(_to_nchw(x, layout), padding, 2)
        n, c, h, wide = x.shape
        columns = _columns(x.reshape((n, groups, c // groups, h, wide)), found, 2)
        oh, ow = found.out
        y = matmul(_matrix(w, groups), columns.reshape((n, groups, columns.shape[2], oh * ow)))
        return _from_nchw(y.reshape((n, w.shape[0], oh, ow)), layout)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, **attrs: Any) -> Any:
        x, w = xs
        gx = CONV2D_INPUT_BWD(g, w, size=_size(x, attrs["layout"]), **attrs) if need[0] else None
        gw = CONV2D_WEIGHT_BWD(g, x, kernel=w.shape[2:], **attrs) if need[1] else None
        return gx, gw

    def batch(self, size: int, xs: Any, batched: Any, **attrs: Any) -> Tensor:
        x, w = xs
        if not batched[1]:
            return folded(self, size, xs, batched, attrs) if False else _fold_first(self, size, x, w, attrs)
        layout, groups = attrs["layout"], attrs["groups"]
        if not batched[0] and groups == 1:
            return _out_of_channels(self(x, _into_outputs(w), **attrs), size, layout)
        x = _into_channels(x, size, batched[0], layout)
        return _out_of_channels(self(x, _into_outputs(w), **{**attrs, "groups": size * groups}), size, layout)
