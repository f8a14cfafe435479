"""Batching rules that the operations share: under vmap an operation stays one call where that is cheap."""

from __future__ import annotations

from typing import Any

from plugrad import Op, Tensor, moveaxis


def filled(size: int, x: Tensor, batched: bool) -> Tensor:
    """``x`` with the batch dimension in front, repeated if it had none."""
    return x if batched else x.reshape((1, *x.shape)).broadcast_to((size, *x.shape))


def folded(
    op: Op, size: int, xs: tuple[Tensor, ...], batched: tuple[bool, ...], attrs: dict[str, Any], *rest: Tensor
) -> Tensor:
    """For ops whose axis 0 counts examples: the batch dimension becomes part of it. ``rest`` are operands without
    examples.
    """
    whole = [filled(size, x, b) for x, b in zip(xs, batched, strict=True)]
    out = op(*[x.reshape((size * x.shape[1], *x.shape[2:])) for x in whole], *rest, **attrs)
    return out.reshape((size, whole[0].shape[1], *out.shape[1:]))


def merged(size: int, x: Tensor, batched: bool, axis: int) -> Tensor:
    """The batch dimension as part of ``axis`` (counted without it), which becomes ``size`` times as long."""
    x = moveaxis(filled(size, x, batched), 0, axis)
    return x.reshape((*x.shape[:axis], size * x.shape[axis + 1], *x.shape[axis + 2 :]))


def unmerged(size: int, x: Tensor, axis: int) -> Tensor:
    """The inverse of ``merged``: the batch dimension in front again."""
    return moveaxis(x.reshape((*x.shape[:axis], size, x.shape[axis] // size, *x.shape[axis + 1 :])), axis, 0)
