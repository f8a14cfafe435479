"""The array functions, by family. Importing this package installs Tensor's operators and methods."""

from . import (
    arrange,
    assignment,
    contraction,
    creation,
    dlpack,
    einsum,
    elementary,
    elementwise,
    fft,
    guarded,
    indexing,
    linalg,
    movement,
    operators,
    random,
    reduction,
    sorting,
    windows,
)
from . import public as public  # last: it wraps what the families offer

# fmt: off
__all__ = [
    "arrange",
    "assignment",
    "contraction",
    "creation",
    "dlpack",
    "einsum",
    "elementary",
    "elementwise",
    "fft",
    "guarded",
    "indexing",
    "linalg",
    "movement",
    "operators",
    "random",
    "reduction",
    "sorting",
    "windows",
]
# fmt: on
