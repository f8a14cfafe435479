"""What a plugin's author tests with. Independent rules check one another, so few oracles are needed."""

from .contract import backend_checks, check_backend
from .derivatives import check_derivatives, check_vmap, numerical_jvp
from .installed import require
from .kit import (
    Check,
    DatasetSample,
    LayerSample,
    NotHere,
    Operand,
    OpSample,
    OptimizerSample,
    accumulators,
    flags,
    labels,
    positions,
    values,
)
from .listing import checks
from .steps import FAST, FIRST_EVENING, STEPS, TRAINS_A_NET, Step, kernels_up_to

__all__ = [
    "FAST",
    "FIRST_EVENING",
    "STEPS",
    "TRAINS_A_NET",
    "Check",
    "DatasetSample",
    "LayerSample",
    "NotHere",
    "OpSample",
    "Operand",
    "OptimizerSample",
    "Step",
    "accumulators",
    "backend_checks",
    "check_backend",
    "check_derivatives",
    "check_vmap",
    "checks",
    "flags",
    "kernels_up_to",
    "labels",
    "numerical_jvp",
    "positions",
    "require",
    "values",
]
