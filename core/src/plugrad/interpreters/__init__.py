"""Levels above the kernels: forward mode, batching, staging.

Only values under them are wrapped; reverse mode needs none of this.
"""

from .levels import JVP, Batch
from .stage import Equation, Graph, Stage, Var

__all__ = ["JVP", "Batch", "Equation", "Graph", "Stage", "Var"]
