"""plugrad: arrays and automatic differentiation in which everything that computes is a plugin.

This module is the namespace of every backend, with the names of the Python Array API, and holds the transformations.
Devices are strings: ``"numpy"``, ``"cpu"``.
"""

# The array functions are those that the families name in their __all__.
import math

from . import dtypes, errors, fft, linalg, plugins, random, tree
from .backend import Backend, Kernel, Spec, __version__
from .checkpointing import checkpoint
from .compiler import compile
from .control import cond, fori_loop, scan, while_loop
from .custom import custom_jvp, custom_vjp
from .diagnostics import explain, find_nan, memory_plan, observe, profile, to_dot
from .dtypes import as_dtype, can_cast, finfo, iinfo, isdtype, promotion, result_type
from .fallback import fallback_report, reset_fallback_report
from .implicit import custom_root, linear_solve
from .interop.array_api import __array_api_version__, __array_namespace_info__
from .interop.array_api import missing as _missing
from .module import Module
from .op import OPS, Op
from .ops import (
    arrange,
    contraction,
    creation,
    elementary,
    elementwise,
    guarded,
    indexing,
    movement,
    reduction,
    sorting,
    windows,
)
from .ops.arrange import *
from .ops.contraction import *
from .ops.creation import *
from .ops.einsum import einsum
from .ops.elementary import *
from .ops.elementwise import *
from .ops.guarded import *
from .ops.indexing import *
from .ops.movement import *
from .ops.random import manual_seed
from .ops.reduction import *
from .ops.sorting import *
from .ops.windows import *
from .parameter import Buffer, Parameter
from .plugins import create, hookimpl
from .state import Observer
from .tape import no_grad
from .tensor import Tensor
from .transforms import grad, hessian, hvp, jacfwd, jacrev, jvp, stage, value_and_grad, vjp, vmap

bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64 = dtypes.DTYPES[:9]
float16, bfloat16, float32, float64, complex64, complex128 = dtypes.DTYPES[9:15]

e, inf, nan, pi, newaxis = math.e, math.inf, math.nan, math.pi, None

__all__ = ["OPS", "Backend", "Kernel", "Op", "Spec", "create", "errors", "hookimpl", "observe", "plugins"]
__all__ += ["fft", "linalg"]
__all__ += ["__array_api_version__", "__array_namespace_info__"]
__all__ += ["Buffer", "Module", "Parameter", "Tensor", "__version__", "manual_seed", "random", "tree"]
__all__ += ["custom_jvp", "custom_vjp", "grad", "hessian", "hvp", "jacfwd", "jacrev", "jvp", "value_and_grad", "vjp"]
__all__ += ["cond", "custom_root", "einsum", "fori_loop", "linear_solve", "scan", "while_loop"]
__all__ += ["checkpoint", "compile", "fallback_report", "no_grad", "reset_fallback_report", "stage", "vmap"]
__all__ += ["Observer", "explain", "find_nan", "memory_plan", "profile", "to_dot"]
__all__ += ["as_dtype", "bool", "int8", "int16", "int32", "int64", "promotion", "uint8", "uint16", "uint32", "uint64"]
__all__ += ["bfloat16", "complex64", "complex128", "float16", "float32", "float64"]
__all__ += ["can_cast", "e", "finfo", "iinfo", "inf", "isdtype", "nan", "newaxis", "pi", "result_type"]
__all__ += arrange.__all__
__all__ += contraction.__all__
__all__ += creation.__all__
__all__ += elementary.__all__
__all__ += elementwise.__all__
__all__ += guarded.__all__
__all__ += indexing.__all__
__all__ += movement.__all__
__all__ += reduction.__all__
__all__ += sorting.__all__
__all__ += windows.__all__


def __getattr__(name: str) -> object:
    raise _missing(name)


def __dir__() -> list[str]:
    return sorted(__all__)
