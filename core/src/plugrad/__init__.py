"""plugrad: arrays and automatic differentiation in which everything that computes is a plugin.

This module is the namespace of every backend, with the names of the Python Array API, and holds the transformations.
Devices are strings: ``"numpy"``, ``"cpu"``.
"""

# The array functions are those that the families name in their __all__.
from . import errors, plugins, tree
from .backend import Backend, Kernel, Spec
from .checkpointing import checkpoint
from .compiled import compile
from .custom import custom_jvp, custom_vjp
from .dispatch import observe
from .dtypes import DTYPES as _DTYPES
from .dtypes import as_dtype, promotion
from .fallback import fallback_report, reset_fallback_report
from .module import Module
from .op import OPS, Op
from .ops import contraction, creation, elementwise, indexing, movement, random, reduction
from .ops.contraction import *
from .ops.creation import *
from .ops.elementwise import *
from .ops.indexing import *
from .ops.movement import *
from .ops.random import manual_seed
from .ops.reduction import *
from .parameter import Buffer, Parameter
from .plugins import create, hookimpl
from .tape import no_grad
from .tensor import Tensor
from .transforms import grad, hessian, hvp, jacfwd, jacrev, jvp, stage, value_and_grad, vjp, vmap

bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, bfloat16, float32, float64 = _DTYPES[:13]
complex64, complex128 = _DTYPES[13:15]

__version__ = "0.1.0"

# fmt: off
__all__ = [  # noqa: RUF022 - those of the families follow
    "Backend", "Buffer", "Kernel", "Module", "OPS", "Op", "Parameter", "Spec", "Tensor",
    "__version__", "as_dtype", "bfloat16", "bool", "checkpoint", "compile", "complex128", "complex64", "create",
    "custom_jvp", "custom_vjp", "errors", "fallback_report", "float16", "float32", "float64", "grad", "hessian",
    "hookimpl", "hvp", "int16", "int32", "int64", "int8", "jacfwd", "jacrev", "jvp", "manual_seed", "no_grad",
    "observe", "plugins", "promotion", "random", "reset_fallback_report", "stage", "tree", "uint16", "uint32",
    "uint64", "uint8", "value_and_grad", "vjp", "vmap"
]
# fmt: on
__all__ += contraction.__all__
__all__ += creation.__all__
__all__ += elementwise.__all__
__all__ += indexing.__all__
__all__ += movement.__all__
__all__ += reduction.__all__
