"""The windows of images, volumes or sequences as columns, and the sum that puts columns back (im2col and col2im)."""

from __future__ import annotations

import math
from typing import Any

from plugrad import OPS, Tensor, reshape
from plugrad.errors import ShapeError

from .arguments import floating, integer

_WINDOWS, _FOLD, _PAD, _SLICE = OPS["windows"], OPS["fold"], OPS["pad"], OPS["slice"]

Sizes = tuple[int, ...]


def _each(name: str, what: str, value: Any, count: int, least: int = 1) -> Sizes:
    """One integer for every spatial axis, or one each."""
    if not isinstance(value, (tuple, list)):
        return (integer(name, what, value, least),) * count
    if len(value) != count:
        raise ShapeError(f"{name}: {what} is {value!r}; give one integer, or one for each of {count} spatial axes")
    return tuple([integer(name, what, v, least) for v in value])


def unfold(x: Tensor, kernel_size: int | Sizes, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Tensor:
    """The windows of ``x`` (n, c, spatial axes) as columns (n, c times elements of a window, number of
    windows).

    As many spatial axes as ``kernel_size`` has numbers (all but two axes for an integer); one example without n will
    do. Rows count channels, then the elements of a window; columns count windows, the last axis fastest, as in PyTorch.
    ``stride``, ``padding`` (zeros on both sides) and ``dilation`` are integers, or one for each spatial axis.
    Floating dtypes. ShapeError for a window that does not fit.

    >>> import plugrad
    >>> unfold(plugrad.asarray([[[1.0, 2.0, 3.0]]]), 2).tolist()
    [[[1.0, 2.0], [2.0, 3.0]]]
    """
    name = "unfold"
    x = floating(name, "x", x)
    count = len(kernel_size) if isinstance(kernel_size, (tuple, list)) else x.ndim - 2
    if count < 1 or x.ndim not in (count + 1, count + 2):
        raise ShapeError(f"{name}: x of shape {x.shape} and kernel_size {kernel_size!r}; x needs (n, c, *spatial)")
    if x.ndim == count + 1:
        whole = unfold(reshape(x, (1, *x.shape)), kernel_size, stride=stride, padding=padding, dilation=dilation)
        return reshape(whole, whole.shape[1:])
    kernel, around = _each(name, "kernel_size", kernel_size, count), (0, 0, *_each(name, "padding", padding, count, 0))
    if any(around):
        x = _PAD(x, low=around, high=around, interior=(0,) * x.ndim)
    strides, gaps = _each(name, "stride", stride, count), _each(name, "dilation", dilation, count)
    _counts(name, x.shape[2:], kernel, strides, gaps)
    found = _WINDOWS(x, axis=tuple(range(2, x.ndim)), window=kernel, stride=strides, dilation=gaps, at=2)
    rows = x.shape[1] * math.prod(kernel)
    return reshape(found, (x.shape[0], rows, math.prod(found.shape[2 + count :])))


def fold(
    x: Tensor, output_size: Sizes, kernel_size: int | Sizes, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> Tensor:
    """The adjoint of ``unfold``: columns (n, c times elements of a window, number of windows) become (n, c, and
    ``output_size``).

    What several windows hold of one element is summed; what they hold of the padding is dropped. One example without n
    will do. Floating dtypes. ShapeError where there are not as many columns as windows of ``output_size``.

    >>> import plugrad
    >>> fold(plugrad.asarray([[[1.0, 2.0], [2.0, 3.0]]]), (3,), 2).tolist()
    [[[1.0, 4.0, 3.0]]]
    """
    name = "fold"
    x = floating(name, "x", x)
    if not isinstance(output_size, (tuple, list)):
        raise ShapeError(f"{name}: output_size is {output_size!r}; give the size of every spatial axis, such as (8, 8)")
    count = len(output_size)
    sizes, kernel = _each(name, "output_size", output_size, count), _each(name, "kernel_size", kernel_size, count)
    strides, gaps = _each(name, "stride", stride, count), _each(name, "dilation", dilation, count)
    around = _each(name, "padding", padding, count, 0)
    padded = tuple([d + 2 * p for d, p in zip(sizes, around)])
    counts, elements = _counts(name, padded, kernel, strides, gaps), math.prod(kernel)
    if x.ndim not in (2, 3) or x.shape[-2] % elements or x.shape[-1] != math.prod(counts):
        raise ShapeError(
            f"{name}: x of shape {x.shape}; windows {kernel} of {sizes} need (n, c * {elements}, {math.prod(counts)})"
        )
    lead = (*x.shape[:-2], x.shape[-2] // elements)
    parts = reshape(x, (*lead, *kernel, *counts))
    axes, rank = tuple(range(len(lead), len(lead) + count)), len(lead) + count
    out = _FOLD(parts, axis=axes, size=padded, stride=strides, dilation=gaps, at=len(lead))
    start = (*(0,) * len(lead), *around)
    return _SLICE(out, start=start, size=(*lead, *sizes), step=(1,) * rank) if any(around) else out


def _counts(name: str, sizes: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Sizes:
    """How many windows fit each way; ShapeError where none does."""
    spans = [gap * (k - 1) + 1 for k, gap in zip(kernel, dilation)]
    if any(span > d for d, span in zip(sizes, spans)):
        raise ShapeError(
            f"{name}: the kernel {kernel} with dilation {dilation} is larger than the padded input, whose sizes are "
            f"{sizes}; use a smaller kernel or more padding"
        )
    return tuple([(d - span) // step + 1 for d, span, step in zip(sizes, spans, stride)])
