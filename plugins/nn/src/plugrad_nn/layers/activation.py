"""Nonlinearities as layers, for use in ``Sequential``."""

from __future__ import annotations

import plugrad
from plugrad import Module, Tensor

from ..ops import activation as ops
from ..ops.arguments import one_of


class ReLU(Module):
    """Elementwise max(x, 0); see ``relu``."""

    def forward(self, x: Tensor) -> Tensor:
        """relu(x)."""
        return ops.relu(x)


class LeakyReLU(Module):
    """Elementwise x where positive, else slope * x; see ``leaky_relu``."""

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = float(slope)

    def forward(self, x: Tensor) -> Tensor:
        """leaky_relu(x)."""
        return ops.leaky_relu(x, slope=self.slope)

    def extra_repr(self) -> str:
        return f"slope={self.slope}"


class GELU(Module):
    """Elementwise x * P(Z <= x); see ``gelu``."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = one_of("GELU", "approximate", approximate, ("none", "tanh"))

    def forward(self, x: Tensor) -> Tensor:
        """gelu(x)."""
        return ops.gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        return "" if self.approximate == "none" else f"approximate={self.approximate!r}"


class SiLU(Module):
    """Elementwise x * sigmoid(x); see ``silu``."""

    def forward(self, x: Tensor) -> Tensor:
        """silu(x)."""
        return ops.silu(x)


class Tanh(Module):
    """Elementwise hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        """tanh(x)."""
        return plugrad.tanh(x)


class Sigmoid(Module):
    """Elementwise 1 / (1 + exp(-x)); see ``sigmoid``."""

    def forward(self, x: Tensor) -> Tensor:
        """sigmoid(x)."""
        return ops.sigmoid(x)


class Softplus(Module):
    """Elementwise log(1 + exp(x)); see ``softplus``."""

    def forward(self, x: Tensor) -> Tensor:
        """softplus(x)."""
        return ops.softplus(x)


class Softmax(Module):
    """Normalised exponentials along an axis; see ``softmax``."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """softmax(x)."""
        return ops.softmax(x, axis=self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"
