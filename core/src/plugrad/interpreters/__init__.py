"""Levels above the kernels: forward mode, batching, staging.

Only values under them are wrapped; reverse mode needs none of this.
"""

from .batch import Batch
from .jvp import JVP
from .stage import Equation, Graph, Stage, Var

__all__ = ["JVP", "Batch", "Equation", "Graph", "Stage", "Var"]
