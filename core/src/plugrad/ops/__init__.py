"""The array functions, by family. Importing this package installs Tensor's operators and methods."""

from . import contraction, creation, elementwise, indexing, movement, operators, random, reduction

__all__ = ["contraction", "creation", "elementwise", "indexing", "movement", "operators", "random", "reduction"]
