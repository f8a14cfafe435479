"""Dense layers and table look-ups."""

from __future__ import annotations

from typing import Any

import plugrad
from plugrad import Module, Parameter, Tensor

from .. import init
from ..ops.arguments import integer
from ..ops.linear import linear
from .initial import Initialiser, initial


class Linear(Module):
    """x weight^T + bias over the last axis: (..., in_features) -> (..., out_features).

    ``weight`` is (out_features, in_features), from ``initialiser(key, shape, dtype=, device=)``; ``bias`` starts at
    zero. Without a key the default generator gives one.

    >>> import plugrad
    >>> Linear(3, 2)(plugrad.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        key: Tensor | None = None,
        initialiser: Initialiser = init.kaiming_uniform,
        dtype: Any = None,
        device: str | None = None,
    ) -> None:
        self.in_features = integer("Linear", "in_features", in_features, 1)
        self.out_features = integer("Linear", "out_features", out_features, 1)
        self.weight = initial(initialiser, key, (out_features, in_features), dtype, device)
        self.bias = Parameter(plugrad.zeros((out_features,), dtype=dtype, device=device)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """The affine map of ``x``."""
        return linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}"


def _standard_normal(key: Tensor, shape: tuple[int, ...], *, dtype: Any, device: str | None) -> Tensor:
    drawn = plugrad.random.normal(key, shape, dtype=dtype)
    return drawn.to(plugrad.get_default_device() if device is None else device)


class Embedding(Module):
    """A table of vectors, read by integer: indices (...) -> (..., features). The table starts standard normal.

    >>> import plugrad
    >>> Embedding(10, 4)(plugrad.asarray([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    def __init__(
        self,
        entries: int,
        features: int,
        *,
        key: Tensor | None = None,
        initialiser: Initialiser = _standard_normal,
        dtype: Any = None,
        device: str | None = None,
    ) -> None:
        self.entries = integer("Embedding", "entries", entries, 1)
        self.features = integer("Embedding", "features", features, 1)
        self.weight = initial(initialiser, key, (entries, features), dtype, device)

    def forward(self, indices: Tensor) -> Tensor:
        """The rows of the table at ``indices``."""
        return plugrad.take(self.weight, indices, axis=0)

    def extra_repr(self) -> str:
        return f"{self.entries}, {self.features}"
