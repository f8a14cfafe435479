"""The operations that plugrad-nn owns, one module a family. Importing this module registers them under the prefix
``nn``.
"""

from . import activation, attention, convolution, linear, losses, pooling

__all__ = ["activation", "attention", "convolution", "linear", "losses", "pooling"]
