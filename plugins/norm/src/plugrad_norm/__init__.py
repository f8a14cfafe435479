"""Normalisation and dropout: layers, and the ops under them. Knows the public plugrad and nothing else."""

from __future__ import annotations

from .functional import batch_norm, dropout, layer_norm
from .layers import BatchNorm1d, BatchNorm2d, Dropout, LayerNorm

__all__ = ["BatchNorm1d", "BatchNorm2d", "Dropout", "LayerNorm", "batch_norm", "dropout", "layer_norm"]
__version__ = "0.1.0"
