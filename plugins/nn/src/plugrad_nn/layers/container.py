"""Layers that arrange: one after another, and all axes of an example in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, overload

from plugrad import Module, Tensor, reshape
from plugrad.errors import ShapeError

Layer = Callable[[Any], Any]


class Sequential(Module):
    """Layers applied one after another: Modules, or any functions of one tensor. Indexing, ``len`` and iteration give
    the layers.

    >>> import plugrad
    >>> model = Sequential(plugrad.exp, plugrad.log)
    >>> len(model), model(plugrad.asarray([1.0])).tolist()
    (2, [1.0])
    """

    def __init__(self, *layers: Layer) -> None:
        for i, layer in enumerate(layers):
            if not callable(layer):
                raise TypeError(
                    f"Sequential: layer {i} is a {type(layer).__name__}; give Modules or functions, not a list of them"
                )
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        """The last layer's result."""
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...

    def __getitem__(self, index: int | slice) -> Layer | Sequential:
        if isinstance(index, slice):
            return Sequential(*self.layers[index])
        if not -len(self.layers) <= index < len(self.layers):
            raise IndexError(
                f"Sequential: layer {index} of {len(self.layers)}; use {-len(self.layers)} to {len(self.layers) - 1}"
            )
        return self.layers[index]


class Flatten(Module):
    """All axes from ``start`` on as one: (n, c, h, w) -> (n, c * h * w).

    >>> import plugrad
    >>> Flatten()(plugrad.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start: int = 1) -> None:
        self.start = start

    def forward(self, x: Tensor) -> Tensor:
        """``x`` reshaped."""
        if not -x.ndim <= self.start < max(x.ndim, 1):
            raise ShapeError(
                f"Flatten: start={self.start} is out of range for shape {x.shape}; use {-x.ndim} to {x.ndim - 1}"
            )
        start = self.start % max(x.ndim, 1)
        n = 1
        for d in x.shape[start:]:
            n *= d
        return reshape(x, (*x.shape[:start], n))

    def extra_repr(self) -> str:
        return "" if self.start == 1 else f"start={self.start}"
