"""Layers, losses and initialisers, and the operations behind them, which any backend may claim by name.

Knows the public ``plugrad`` only: no backend, no other plugin.
"""

from __future__ import annotations

from . import functional, init, layers
from .functional import *
from .layers import *

__all__ = ["functional", "init"]
__all__ += functional.__all__
__all__ += layers.__all__
