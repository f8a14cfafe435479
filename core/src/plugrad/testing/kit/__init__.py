"""What authors declare for the kit (samples), and what a check is: what every other part of the kit knows."""

from .check import KINDS, Check, NotHere
from .declare import (
    DatasetSample,
    Declared,
    LayerSample,
    Operand,
    OpSample,
    OptimizerSample,
    accumulators,
    flags,
    labels,
    positions,
    values,
)

__all__ = ["KINDS", "Check", "DatasetSample", "Declared", "LayerSample", "NotHere", "OpSample", "Operand"]
__all__ += ["OptimizerSample", "accumulators", "flags", "labels", "positions", "values"]
