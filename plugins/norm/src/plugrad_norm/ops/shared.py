"""What the ops of this package share: half precision, batch dimensions, and messages. Knows no op."""

from __future__ import annotations

from typing import Any

import plugrad as pg
from plugrad.errors import ShapeError

_HALF = (pg.float16, pg.bfloat16)


def wide(x: pg.Tensor) -> pg.Tensor:
    """``x`` in the precision to compute in: half precision is widened to float32."""
    return x.astype(pg.float32) if x.dtype in _HALF else x


def narrow(like: pg.Tensor, *xs: pg.Tensor) -> tuple[pg.Tensor, ...]:
    """Results in the dtype that ``like`` has."""
    return tuple([x.astype(like.dtype) for x in xs])


def repeated(size: int, x: pg.Tensor, batched: bool) -> pg.Tensor:
    """``x`` with a batch dimension in front, repeated if it had none."""
    return x if batched else pg.broadcast_to(x.reshape((1, *x.shape)), (size, *x.shape))


def check_vectors(name: str, x: Any, n: int, axis: int, **vectors: Any) -> None:
    """ShapeError unless every vector has the shape (n,), the size of ``x`` along ``axis``."""
    for label, v in vectors.items():
        if tuple(v.shape) != (n,):
            raise ShapeError(
                f"{name}: {label} has shape {v.shape}, x has shape {x.shape}; "
                f"give {label} the shape ({n},), the size of x along axis {axis}"
            )
