"""Pooling layers."""

from __future__ import annotations

from plugrad import Module, Tensor

from ..ops.arguments import LAYOUTS, Padding, Pair, one_of, paddings, pair
from ..ops.pooling import avg_pool2d, max_pool2d


class _Pool2d(Module):
    """The configuration of a window; ``stride`` is the window's size by default."""

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair | Padding = 0,
        layout: str = "NCHW",
    ) -> None:
        name = type(self).__name__
        self.kernel_size = pair(name, "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair(name, "stride", stride)
        self.padding, self.layout = paddings(name, padding), one_of(name, "layout", layout, LAYOUTS)

    def extra_repr(self) -> str:
        padding = f", padding={self.padding}" if self.padding != ((0, 0), (0, 0)) else ""
        return f"{self.kernel_size}, stride={self.stride}{padding}" + (
            f", layout={self.layout!r}" if self.layout != "NCHW" else ""
        )


class MaxPool2d(_Pool2d):
    """The largest element of each window; see ``max_pool2d``.

    >>> import plugrad
    >>> MaxPool2d(2)(plugrad.ones((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

    def forward(self, x: Tensor) -> Tensor:
        """The windows' maxima."""
        return max_pool2d(x, self.kernel_size, stride=self.stride, padding=self.padding, layout=self.layout)


class AvgPool2d(_Pool2d):
    """The mean of each window; see ``avg_pool2d``.

    >>> import plugrad
    >>> AvgPool2d(2)(plugrad.ones((1, 3, 8, 8))).shape
    (1, 3, 4, 4)
    """

    def forward(self, x: Tensor) -> Tensor:
        """The windows' means."""
        return avg_pool2d(x, self.kernel_size, stride=self.stride, padding=self.padding, layout=self.layout)
