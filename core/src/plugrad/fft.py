"""Discrete Fourier transforms: the fft extension of the Python Array API."""

from .ops.fft import *
from .ops.fft import __all__ as __all__
