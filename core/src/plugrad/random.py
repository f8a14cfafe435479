"""Random numbers as functions of a key, and generators that hand out keys."""

from .ops.random import *
from .ops.random import __all__ as __all__
