"""Linear algebra: the linalg extension of the Python Array API, and ``expm``, ``kron`` and ``solve_triangular``."""

from .ops.linalg import *
from .ops.linalg import __all__ as __all__
