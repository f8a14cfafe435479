"""plugrad: arrays and automatic differentiation in which everything that computes is a plugin.

This module is the Python Array API namespace of every backend, and holds the transformations. Devices are strings: ``"numpy"``, ``"cpu"``.
"""

from . import errors, plugins, tree
from .backend import Backend, Kernel, Spec
from .checkpointing import checkpoint
from .custom import custom_jvp, custom_vjp
from .dispatch import observe
from .dtypes import (
    as_dtype,
    bfloat16,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    promotion,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .dtypes import bool_ as bool
from .fallback import fallback_report, reset_fallback_report
from .module import Module
from .op import OPS, Op
from .ops import random
from .ops.contraction import matmul, outer, tensordot
from .ops.creation import (
    arange,
    asarray,
    device,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    get_default_device,
    linspace,
    ones,
    ones_like,
    set_default_device,
    tensor,
    zeros,
    zeros_like,
)
from .ops.elementwise import (
    abs,
    add,
    astype,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    clip,
    conj,
    cos,
    divide,
    equal,
    erf,
    exp,
    expm1,
    floor,
    floor_divide,
    greater,
    greater_equal,
    imag,
    isfinite,
    isnan,
    less,
    less_equal,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    positive,
    pow,
    real,
    reciprocal,
    remainder,
    sign,
    sin,
    sqrt,
    square,
    stop_gradient,
    subtract,
    tan,
    tanh,
    where,
)
from .ops.indexing import one_hot, take, take_along_axis, tril, triu
from .ops.movement import (
    broadcast_arrays,
    broadcast_to,
    concat,
    copy,
    expand_dims,
    flip,
    matrix_transpose,
    moveaxis,
    pad,
    permute_dims,
    reshape,
    split,
    squeeze,
    stack,
)
from .ops.random import manual_seed
from .ops.reduction import all, any, argmax, argmin, cumulative_sum, max, mean, min, prod, std, sum, var
from .plugins import create, hookimpl
from .tape import no_grad
from .tensor import Buffer, Parameter, Tensor
from .transforms import grad, hessian, hvp, jacfwd, jacrev, jvp, stage, value_and_grad, vjp, vmap

__version__ = "0.1.0"
__array_api_version__ = "2025.12"
