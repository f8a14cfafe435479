"""einops works on tensors once this module is imported.

>>> import einops, plugrad.interop.einops
>>> einops.rearrange(pg.zeros((2, 3, 4)), "a b c -> (c a) b").shape
(8, 3)

``einops.array_api`` needs no import. The layers of ``einops.layers`` belong to other frameworks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from einops._backends import AbstractBackend  # the only place from which a backend can be added

from ..dtypes import KIND
from ..ops import arrange, creation, movement, reduction
from ..ops.einsum import einsum
from ..tensor import Tensor


class PlugradBackend(AbstractBackend):
    """What einops asks of a framework; it finds the class by looking at the subclasses of its own."""

    framework_name = "plugrad"

    def is_appropriate_type(self, tensor: Any) -> bool:
        return isinstance(tensor, Tensor)

    def from_numpy(self, x: Any) -> Tensor:
        return creation.asarray(x)

    def to_numpy(self, x: Tensor) -> Any:
        return x.detach().numpy()

    def arange(self, start: int, stop: int) -> Tensor:
        return creation.arange(start, stop)

    def transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        return movement.permute_dims(x, axes)

    def reduce(self, x: Tensor, operation: str, axes: Sequence[int]) -> Tensor:
        return getattr(reduction, operation)(x, axis=tuple(axes))

    def stack_on_zeroth_dimension(self, tensors: Sequence[Tensor]) -> Tensor:
        return movement.stack(tensors)

    def add_axis(self, x: Tensor, new_position: int) -> Tensor:
        return movement.expand_dims(x, new_position)

    def add_axes(self, x: Tensor, n_axes: int, pos2len: dict[int, int]) -> Tensor:
        for position in sorted(pos2len):
            x = movement.expand_dims(x, position)
        return movement.broadcast_to(x, tuple([pos2len.get(i, d) for i, d in enumerate(x.shape)]))

    def tile(self, x: Tensor, repeats: Sequence[int]) -> Tensor:
        return arrange.tile(x, tuple(repeats))

    def concat(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
        return movement.concat(tensors, axis=axis)

    def is_float_type(self, x: Tensor) -> bool:
        return KIND[x.dt] in "fc"

    def einsum(self, pattern: str, *x: Tensor) -> Tensor:
        return einsum(pattern, *x)
