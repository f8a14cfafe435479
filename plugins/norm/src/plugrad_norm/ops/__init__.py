"""The ops ``norm.*``. Importing this module makes them."""

from __future__ import annotations

from .batch import BATCH_NORM, BATCH_NORM_BWD
from .drop import DROPOUT
from .layer import LAYER_NORM, LAYER_NORM_BWD

__all__ = ["BATCH_NORM", "BATCH_NORM_BWD", "DROPOUT", "LAYER_NORM", "LAYER_NORM_BWD"]
