"""The array functions, by family. Importing this package installs Tensor's operators and methods."""

from . import (
    assignment,
    contraction,
    creation,
    elementwise,
    fft,
    indexing,
    linalg,
    movement,
    operators,
    random,
    reduction,
)

# fmt: off
__all__ = [
    "assignment",
    "contraction",
    "creation",
    "elementwise",
    "fft",
    "indexing",
    "linalg",
    "movement",
    "operators",
    "random",
    "reduction",
]
# fmt: on
