"""Batching rules shared by the operations of this package: under vmap an operation stays one call where that is cheap."""

from __future__ import annotations

from typing import Any

from plugrad import Op, Tensor


def filled(size: int, x: Tensor, batched: bool) -> Tensor:
    """``x`` with the batch dimension in front, repeated if it had none."""
    return x if batched else x.reshape((1, *x.shape)).broadcast_to((size, *x.shape))


def folded(op: Op, size: int, xs: tuple[Tensor, ...], batched: tuple[bool, ...], attrs: dict[str, Any]) -> Tensor:
    """For ops that treat axis 0 as examples: the batch dimension becomes part of it."""
    whole = [filled(size, x, b) for x, b in zip(xs, batched, strict=True)]
    out = op(*[x.reshape((size * x.shape[1], *x.shape[2:])) for x in whole], **attrs)
    return out.reshape((size, whole[0].shape[1], *out.shape[1:]))  # type: ignore[no-any-return]
