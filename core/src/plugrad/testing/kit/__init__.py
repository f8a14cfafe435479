"""The kit: what authors declare (samples), and the checks that are made of it and of the tables of ops."""

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
