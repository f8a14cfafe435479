"""Convolutional layers."""

from __future__ import annotations

from typing import Any

import plugrad
from plugrad import Module, Parameter, Tensor
from plugrad.errors import ShapeError

from .. import init
from ..ops.arguments import LAYOUTS, Padding, Pair, integer, one_of, pair
from ..ops.convolution import conv2d, convolution_padding
from .initial import Initialiser, initial


class Conv2d(Module):
    """Convolution of images (n, in_channels, h, w), or (n, h, w, in_channels) with ``layout="NHWC"``; see ``conv2d``
    for the sizes.

    ``weight`` is (out_channels, in_channels / groups, kh, kw) in either layout, from ``initialiser(key, shape, dtype=,
    device=)``; ``bias`` starts at zero. ``padding`` is an integer, (height, width), ((top, bottom), (left, right)),
    ``"same"`` or ``"valid"``.

    >>> import plugrad
    >>> Conv2d(1, 4, 3, padding=1)(plugrad.ones((2, 1, 8, 8))).shape
    (2, 4, 8, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | Padding | str = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        layout: str = "NCHW",
        *,
        key: Tensor | None = None,
        initialiser: Initialiser = init.kaiming_uniform,
        dtype: Any = None,
        device: str | None = None,
    ) -> None:
        name = "Conv2d"
        self.in_channels = integer(name, "in_channels", in_channels, 1)
        self.out_channels = integer(name, "out_channels", out_channels, 1)
        self.kernel_size = pair(name, "kernel_size", kernel_size)
        self.stride, self.dilation = pair(name, "stride", stride), pair(name, "dilation", dilation)
        self.padding = convolution_padding(name, padding, self.kernel_size, self.stride, self.dilation)
        self.groups, self.layout = integer(name, "groups", groups, 1), one_of(name, "layout", layout, LAYOUTS)
        if in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"{name}: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}; "
                "use a common divisor"
            )
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = initial(initialiser, key, shape, dtype, device)
        self.bias = Parameter(plugrad.zeros((out_channels,), dtype=dtype, device=device)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of ``x``."""
        return conv2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            layout=self.layout,
        )

    def extra_repr(self) -> str:
        said = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        for name, usual in (
            ("stride", (1, 1)),
            ("padding", ((0, 0), (0, 0))),
            ("dilation", (1, 1)),
            ("groups", 1),
            ("layout", "NCHW"),
        ):
            value = getattr(self, name)
            if value != usual:
                said.append(f"{name}={value!r}")
        return ", ".join(said)
