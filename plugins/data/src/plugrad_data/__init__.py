"""Datasets, readers and loaders: from arrays and files to batches of tensors.

Knows nothing of models or of backends.
"""

from __future__ import annotations

from . import idx, transforms
from .dataset import ArrayDataset, Dataset, Subset, split
from .errors import DataFileError, MissingDataError, MissingExtraError
from .loader import DataLoader
from .named import digits, mnist

__all__ = [
    "ArrayDataset",
    "DataFileError",
    "DataLoader",
    "Dataset",
    "MissingDataError",
    "MissingExtraError",
    "Subset",
    "digits",
    "idx",
    "mnist",
    "split",
    "transforms",
]
