"""The NVIDIA GPU backend of plugrad. Importing this package imports nothing of CUDA."""

from __future__ import annotations
