"""Two-dimensional convolution (cross-correlation, as everywhere in deep learning) and its two adjoints.

The three operations form a closed family: each is linear in both operands, and the derivatives of each are the other
two, so gradients of any order stay whole. The decompositions lay the windows out as columns and multiply once (im2col:
Chellapilla, Puri, Simard 2006).
"""

from __future__ import annotations

import math
from typing import Any

from plugrad import OPS, Op, Spec, Tensor, matmul, matrix_transpose, permute_dims, reshape
from plugrad.errors import ShapeError

from .arguments import LAYOUTS, Padding, Pair, floating, integer, one_of, paddings, pair
from .batching import folded, merged, unmerged
from .layout import channel_axis, from_nchw, image_shape, image_size, spatial_axis, to_cnhw, to_nchw
from .windows import crop_spatial, pad_spatial, windows

_WINDOWS, _FOLD = OPS["windows"], OPS["fold"]


def _matrix(w: Tensor, groups: int) -> Tensor:
    """Weights (out, in / groups, kh, kw) as (groups, out / groups, kh * kw * in / groups), in the columns' order."""
    o, c, kh, kw = w.shape
    return reshape(permute_dims(w, (0, 2, 3, 1)), (groups, o // groups, kh * kw * c))


class _Bilinear(Op):
    """What the three have in common."""

    dtypes = "float"
    together = (0, 1)
    multilinear = (0, 1)


class _Conv2d(_Bilinear):
    """y[n, o, i, j] = sum over c, u, v of x[n, c, stride * i + dilation * u, stride * j + dilation * v] w[o, c, u, v].

    x is padded with zeros; with groups, output channels of a group see the input channels of that group.
    """

    name = "nn.conv2d"

    def spec(self, x: Any, w: Any, *, stride: Pair, padding: Padding, dilation: Pair, groups: int, layout: str) -> Spec:
        if x.ndim != 4 or w.ndim != 4:
            wanted = f"{layout} and (out, in / groups, kh, kw)"
            raise ShapeError(
                f"{self.name}: input of shape {x.shape} and weight of shape {w.shape}; they need 4 axes each, {wanted}"
            )
        c, o, taken = x.shape[channel_axis(layout)], w.shape[0], w.shape[1] * groups
        if taken != c:
            raise ShapeError(
                f"{self.name}: input of shape {x.shape} ({layout}) has {c} channels, but weight of shape {w.shape} "
                f"with groups={groups} takes {taken}; give the weight {c} / groups input channels, or another layout"
            )
        if o % groups:
            raise ShapeError(
                f"{self.name}: {o} output channels of weight {w.shape} do not divide into groups={groups}; "
                "use a multiple of groups"
            )
        found = windows(self.name, x.shape, spatial_axis(layout), (w.shape[2], w.shape[3]), stride, padding, dilation)
        return Spec(image_shape(layout, x.shape[0], o, found.out), x.dtype)

    def decompose(
        self, x: Tensor, w: Tensor, *, stride: Pair, padding: Padding, dilation: Pair, groups: int, layout: str
    ) -> Tensor:
        x = pad_spatial(to_nchw(x, layout), padding, 2)
        n, c, h, wide = x.shape
        x, matrix = reshape(x, (n, groups, c // groups, h, wide)), _matrix(w, groups)
        found = _WINDOWS(x, axis=(3, 4), window=(w.shape[2], w.shape[3]), stride=stride, dilation=dilation, at=2)
        oh, ow = found.shape[5:]
        y = matmul(matrix, reshape(found, (n, groups, matrix.shape[2], oh * ow)))
        return from_nchw(reshape(y, (n, w.shape[0], oh, ow)), layout)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, **attrs: Any) -> Any:
        x, w = xs
        gx = CONV2D_INPUT_BWD(g, w, size=image_size(x, attrs["layout"]), **attrs) if need[0] else None
        gw = CONV2D_WEIGHT_BWD(g, x, kernel=(w.shape[2], w.shape[3]), **attrs) if need[1] else None
        return gx, gw

    def batch(self, size: int, xs: Any, batched: Any, /, **attrs: Any) -> Tensor:
        x, w = xs
        if not batched[1]:
            return folded(self, size, (x,), (True,), attrs, w)
        at = channel_axis(attrs["layout"])
        many = merged(size, w, True, 0)
        if not batched[0] and attrs["groups"] == 1:
            return unmerged(size, self(x, many, **attrs), at)
        attrs["groups"] *= size
        return unmerged(size, self(merged(size, x, batched[0], at), many, **attrs), at)


class _Conv2dInputBwd(_Bilinear):
    """The adjoint of conv2d in its input: cotangents g of the result and weights w give the cotangent of an input of
    the given ``size``.
    """

    name = "nn.conv2d_input_bwd"

    def spec(
        self, g: Any, w: Any, *, size: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int, layout: str
    ) -> Spec:
        _four_axes(self.name, g, w, "weight (out, in / groups, kh, kw)")
        shape = image_shape(layout, g.shape[0], w.shape[1] * groups, size)
        found = windows(self.name, shape, spatial_axis(layout), (w.shape[2], w.shape[3]), stride, padding, dilation)
        _matches(self.name, g, image_shape(layout, g.shape[0], w.shape[0], found.out))
        return Spec(shape, g.dtype)

    def decompose(
        self,
        g: Tensor,
        w: Tensor,
        *,
        size: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
        layout: str,
    ) -> Tensor:
        n, o, oh, ow = (g := to_nchw(g, layout)).shape
        rows = reshape(g, (n, groups, o // groups, oh * ow))
        columns = matmul(matrix_transpose(_matrix(w, groups)), rows)
        parts = reshape(columns, (n, groups, w.shape[2], w.shape[3], w.shape[1], oh, ow))
        padded = size[0] + sum(padding[0]), size[1] + sum(padding[1])
        x = _FOLD(parts, axis=(3, 4), size=padded, stride=stride, dilation=dilation, at=2)
        return from_nchw(crop_spatial(reshape(x, (n, w.shape[1] * groups, *padded)), padding, 2), layout)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, size: Pair, **attrs: Any) -> Any:
        """``g`` is a cotangent of an input, so it may take the input's place."""
        gy, w = xs
        to_gy = CONV2D(g, w, **attrs) if need[0] else None
        to_w = CONV2D_WEIGHT_BWD(gy, g, kernel=(w.shape[2], w.shape[3]), **attrs) if need[1] else None
        return to_gy, to_w

    def batch(self, size: int, xs: Any, batched: Any, /, **attrs: Any) -> Tensor:
        g, w = xs
        if not batched[1]:
            return folded(self, size, (g,), (True,), attrs, w)
        at = channel_axis(attrs["layout"])
        attrs["groups"] *= size
        return unmerged(size, self(merged(size, g, batched[0], at), merged(size, w, True, 0), **attrs), at)


class _Conv2dWeightBwd(_Bilinear):
    """The adjoint of conv2d in its weight: cotangents g of the result and inputs x give the cotangent of weights of the
    given ``kernel``.
    """

    name = "nn.conv2d_weight_bwd"

    def spec(
        self, g: Any, x: Any, *, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int, layout: str
    ) -> Spec:
        _four_axes(self.name, g, x, f"input {layout}")
        found = windows(self.name, x.shape, spatial_axis(layout), kernel, stride, padding, dilation)
        at = channel_axis(layout)
        _matches(self.name, g, image_shape(layout, x.shape[0], g.shape[at], found.out))
        return Spec((g.shape[at], x.shape[at] // groups, *kernel), g.dtype)

    def decompose(
        self,
        g: Tensor,
        x: Tensor,
        *,
        kernel: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
        layout: str,
    ) -> Tensor:
        x, g = pad_spatial(to_cnhw(x, layout), padding, 2), to_cnhw(g, layout)  # one product over all examples: no sum
        c, n, h, wide = x.shape
        o, cells, rows = g.shape[0], math.prod(g.shape[1:]), math.prod(kernel) * (c // groups)
        x = reshape(x, (groups, c // groups, n, h, wide))
        found = _WINDOWS(x, axis=(3, 4), window=kernel, stride=stride, dilation=dilation, at=1)
        columns = matrix_transpose(reshape(found, (groups, rows, cells)))
        product = matmul(reshape(g, (groups, o // groups, cells)), columns)
        return permute_dims(reshape(product, (o, *kernel, c // groups)), (0, 3, 1, 2))

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, kernel: Pair, **attrs: Any) -> Any:
        """``g`` is a cotangent of a weight, so it may take the weight's place."""
        gy, x = xs
        to_gy = CONV2D(x, g, **attrs) if need[0] else None
        to_x = CONV2D_INPUT_BWD(gy, g, size=image_size(x, attrs["layout"]), **attrs) if need[1] else None
        return to_gy, to_x

    def batch(self, size: int, xs: Any, batched: Any, /, **attrs: Any) -> Tensor:
        g, x = xs
        at = channel_axis(attrs["layout"])
        many = merged(size, g, batched[0], at)
        if batched[1] or attrs["groups"] > 1:
            attrs["groups"] *= size
            x = merged(size, x, batched[1], at)
        return unmerged(size, self(many, x, **attrs), 0)


def _four_axes(name: str, g: Any, other: Any, wanted: str) -> None:
    if g.ndim != 4 or other.ndim != 4:
        shapes = f"a cotangent of shape {g.shape} and an operand of shape {other.shape}"
        raise ShapeError(f"{name}: {shapes}; they need 4 axes each, those of the result and {wanted}")


def _matches(name: str, g: Any, shape: tuple[int, ...]) -> None:
    if g.shape != shape:
        raise ShapeError(
            f"{name}: the cotangent has shape {g.shape}, the result of the convolution {shape}; they must agree"
        )


CONV2D, CONV2D_INPUT_BWD, CONV2D_WEIGHT_BWD = _Conv2d(), _Conv2dInputBwd(), _Conv2dWeightBwd()


def convolution_padding(name: str, padding: Any, kernel: Pair, stride: Pair, dilation: Pair) -> Padding:
    """Padding in full; ``"same"`` keeps the size of the image (stride 1), with the odd element after it; ``"valid"`` is
    none.
    """
    if isinstance(padding, str):
        if one_of(name, "padding", padding, ("same", "valid")) == "valid":
            return (0, 0), (0, 0)
        if stride != (1, 1):
            raise ShapeError(
                f"{name}: padding='same' with stride {stride} cannot keep the size; "
                "use stride 1, or give the padding in numbers"
            )
        high, wide = [d * (k - 1) for d, k in zip(dilation, kernel)]
        return (high // 2, high - high // 2), (wide // 2, wide - wide // 2)
    return paddings(name, padding)


def _one_image(name: str, x: Tensor, weight: Tensor, groups: int, layout: str) -> None:
    """ShapeError where three axes are no image: more often than not, they are images without channels."""
    axis = channel_axis(layout)
    c, taken = x.shape[axis - 1], weight.shape[1] * groups
    if c != taken:
        raise ShapeError(
            f"{name}: x has shape {x.shape}, one image ({layout[1:]}) of {c} channels, but weight of shape "
            f"{weight.shape} with groups={groups} takes {taken}; for images without channels pass "
            f"expand_dims(x, axis={axis})"
        )


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int | Pair = 1,
    padding: int | Pair | Padding | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    layout: str = "NCHW",
) -> Tensor:
    """Convolve images with ``weight`` (out, in / groups, kh, kw) without flipping it, and add ``bias`` (out,).

    ``x`` is (n, in, h, w), or (n, h, w, in) with ``layout="NHWC"``; one image without n will do. The result has (h +
    padding - dilation * (kh - 1) - 1) // stride + 1 rows, columns likewise. ``padding`` is an integer, (height, width),
    ((top, bottom), (left, right)), ``"same"`` or ``"valid"``. Floating dtypes. ShapeError for channels, groups or
    kernels that do not fit.

    >>> import plugrad
    >>> conv2d(plugrad.ones((1, 1, 3, 3)), plugrad.ones((1, 1, 2, 2))).tolist()
    [[[[4.0, 4.0], [4.0, 4.0]]]]
    """
    name = "conv2d"
    x = floating(name, "x", x, weight)
    weight = floating(name, "weight", weight, x)
    one_of(name, "layout", layout, LAYOUTS)
    if weight.ndim != 4:
        raise ShapeError(f"{name}: weight has shape {weight.shape}; it needs 4 axes, (out, in / groups, kh, kw)")
    if x.ndim == 3:
        _one_image(name, x, weight, groups, layout)
        whole = conv2d(
            reshape(x, (1, *x.shape)),
            weight,
            bias,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            layout=layout,
        )
        return reshape(whole, whole.shape[1:])
    strides, dilations = pair(name, "stride", stride), pair(name, "dilation", dilation)
    attrs = {
        "stride": strides,
        "padding": convolution_padding(name, padding, (weight.shape[2], weight.shape[3]), strides, dilations),
        "dilation": dilations,
        "groups": integer(name, "groups", groups, 1),
        "layout": layout,
    }
    if bias is None:
        return CONV2D(x, weight, **attrs)
    bias = floating(name, "bias", bias, x)
    if bias.shape != (weight.shape[0],):
        raise ShapeError(
            f"{name}: bias has shape {bias.shape}, but weight {weight.shape} gives {weight.shape[0]} channels; "
            f"use ({weight.shape[0]},)"
        )
    return CONV2D(x, weight, **attrs) + (bias if layout == "NHWC" else reshape(bias, (weight.shape[0], 1, 1)))
