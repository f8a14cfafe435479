"""An op whose batching rule takes the batch in as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plugrad as pg


class Mixing(pg.Op):
    """A number made of all elements; under vmap, of those of the whole batch. In no registry."""

    opaque = differentiable = True
    has_vjp = False
    codes = frozenset(range(64))

    def __init__(self, name: str, reduce: Callable[[Any], Any]) -> None:
        self.name, self.decompose = name, reduce

    def spec(self, x: Any) -> pg.Spec:
        return pg.Spec((), x.dtype)

    def batch(self, size: int, xs: Any, batched: Any) -> Any:
        return pg.broadcast_to(self.decompose(xs[0]), (size,))
