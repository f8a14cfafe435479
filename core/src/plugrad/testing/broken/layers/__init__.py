"""Layers and losses with one fault each."""

from .derivatives import DERIVATIVES
from .losses import LOSSES
from .results import RESULTS
from .saving import SAVING
from .transformations import TRANSFORMATIONS

LAYERS = [*RESULTS, *DERIVATIVES, *TRANSFORMATIONS, *SAVING, *LOSSES]
"""Faults of layers and losses."""

__all__ = ["LAYERS"]
