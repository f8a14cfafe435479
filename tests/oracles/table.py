"""One line for each differentiable public function: how plugrad, torch and jax call it, and at which inputs.

A key is the function's name, and words that tell rows of one function apart. Every public function is here or in
``EXEMPT``. Where a corner differs, ``REASONS`` says why.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from rows import (
    A, ALONG, B, BINARY, COLUMN, CUBE, EMPTY, FILTERS, IMAGE, P, POSITIONS, Q, REDUCED, ROW, SQUARE, UNARY, W, Z,
    Row, every, numbers, same,
)  # fmt: skip

import plugrad as pg
import plugrad_nn as nn
import plugrad_norm as norm

T = torch.tensor
COND = A > 0


def attention(*xs: torch.Tensor, is_causal: bool = False) -> torch.Tensor:
    """PyTorch's, of parts that have derivatives of every kind."""
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return F.scaled_dot_product_attention(*xs, is_causal=is_causal)


# fmt: off
ROWS: dict[str, Row] = {
    # elementwise
    "abs": same("abs", A, corners=UNARY),
    "abs complex": same("abs", Z, corners=((np.zeros(2) * 1j,),)),
    "negative": same("negative", A, corners=UNARY),
    "positive": same("positive", A),
    "sign": same("sign", A, corners=UNARY),
    "floor": same("floor", A, corners=UNARY),
    "exp": same("exp", A, corners=UNARY),
    "exp complex": same("exp", Z),
    "expm1": same("expm1", A, corners=UNARY),
    "log": same("log", P, corners=UNARY),
    "log complex": same("log", Z),
    "log1p": same("log1p", P, corners=UNARY),
    "sqrt": same("sqrt", P, corners=UNARY),
    "sqrt complex": same("sqrt", Z),
    "square": same("square", A, corners=UNARY),
    "reciprocal": same("reciprocal", P, corners=UNARY),
    "sin": same("sin", A, corners=UNARY),
    "sin complex": same("sin", Z),
    "cos": same("cos", A, corners=UNARY),
    "tan": same("tan", A, corners=UNARY),
    "tanh": same("tanh", A, corners=UNARY),
    "erf": Row(pg.erf, torch.erf, jax.scipy.special.erf, (A,), UNARY),
    "conj": same("conj", Z),
    "real": same("real", Z),
    "imag": same("imag", Z),
    "add": same("add", A, ROW, corners=BINARY),
    "add complex": same("add", Z, A),
    "subtract": same("subtract", COLUMN, ROW, corners=BINARY),
    "multiply": same("multiply", A, COLUMN, corners=BINARY),
    "multiply complex": same("multiply", Z, W),
    "divide": same("divide", A, Q, corners=BINARY),
    "divide complex": same("divide", Z, W),
    "pow": same("pow", P, ROW, corners=BINARY),
    "pow 2": Row(lambda x: x**2, lambda x: x**2, lambda x: x**2, (A,), UNARY),
    "pow 3": Row(lambda x: x**3, lambda x: x**3, lambda x: x**3, (A,), UNARY),
    "pow half": Row(lambda x: x**0.5, lambda x: x**0.5, lambda x: x**0.5, (P,), UNARY),
    "remainder": same("remainder", A, P, corners=BINARY),
    "floor_divide": Row(pg.floor_divide, lambda x, y: torch.floor_divide(x.detach(), y.detach()), jnp.floor_divide, (A, P), BINARY),
    "maximum": same("maximum", A, B, corners=BINARY),
    "minimum": same("minimum", A, ROW, corners=BINARY),
    "where": Row(lambda x, y: pg.where(COND, x, y), lambda x, y: torch.where(T(COND), x, y), lambda x, y: jnp.where(COND, x, y), (A, B)),
    "clip": Row(lambda x: pg.clip(x, -0.5, 0.5), lambda x: torch.clip(x, -0.5, 0.5), lambda x: jnp.clip(x, -0.5, 0.5), (A,), UNARY),
    "astype": Row(lambda x: x.astype("complex128"), lambda x: x.to(torch.complex128), lambda x: x.astype("complex128"), (A,)),
    "stop_gradient": Row(lambda x: x * pg.stop_gradient(x), lambda x: x * x.detach(), lambda x: x * jax.lax.stop_gradient(x), (A,)),

    # reduction
    "sum": every(lambda xp, x: xp.sum(x), A, corners=REDUCED + EMPTY),
    "sum axis": Row(lambda x: pg.sum(x, axis=1), lambda x: x.sum(1), lambda x: x.sum(1), (CUBE,)),
    "prod": every(lambda xp, x: xp.prod(x), P, corners=REDUCED + EMPTY),
    "prod axis": Row(lambda x: pg.prod(x, axis=1), lambda x: x.prod(1), lambda x: x.prod(1), (A,)),
    "max": every(lambda xp, x: xp.max(x), A, corners=REDUCED),
    "max axis": Row(lambda x: pg.max(x, axis=1), lambda x: x.amax(1), lambda x: x.max(1), (A,)),
    "min": every(lambda xp, x: xp.min(x), A, corners=REDUCED),
    "mean": every(lambda xp, x: xp.mean(x), A, corners=REDUCED),
    "var": Row(lambda x: pg.var(x), lambda x: torch.var(x, correction=0), jnp.var, (A,), REDUCED),
    "var correction": Row(lambda x: pg.var(x, axis=1, correction=1), lambda x: torch.var(x, 1), lambda x: jnp.var(x, 1, ddof=1), (A,)),
    "std": Row(lambda x: pg.std(x), lambda x: torch.std(x, correction=0), jnp.std, (A,), REDUCED),
    "cumulative_sum": Row(lambda x: pg.cumulative_sum(x, axis=1), lambda x: x.cumsum(1), lambda x: x.cumsum(1), (A,)),

    # movement and indexing
    "reshape": every(lambda xp, x: xp.reshape(x, (2, 6)), A),
    "permute_dims": Row(lambda x: pg.permute_dims(x, (2, 0, 1)), lambda x: x.permute(2, 0, 1), lambda x: x.transpose(2, 0, 1), (CUBE,)),
    "transpose": Row(pg.transpose, lambda x: x.permute(2, 1, 0), jnp.transpose, (CUBE,)),
    "matrix_transpose": Row(pg.matrix_transpose, lambda x: x.mT, lambda x: x.mT, (CUBE,)),
    "moveaxis": every(lambda xp, x: xp.moveaxis(x, 0, 2), CUBE),
    "broadcast_to": every(lambda xp, x: xp.broadcast_to(x, (2, 3, 4)), COLUMN),
    "broadcast_arrays": Row(lambda x, y: pg.broadcast_arrays(x, y)[0] * y, lambda x, y: torch.broadcast_tensors(x, y)[0] * y, lambda x, y: jnp.broadcast_arrays(x, y)[0] * y, (COLUMN, ROW)),
    "expand_dims": Row(lambda x: pg.expand_dims(x, 1), lambda x: x[:, None], lambda x: x[:, None], (A,)),
    "squeeze": every(lambda xp, x: xp.squeeze(x, 1), COLUMN),
    "flip": Row(lambda x: pg.flip(x, axis=1), lambda x: x.flip(1), lambda x: jnp.flip(x, 1), (A,)),
    "concat": Row(lambda x, y: pg.concat([x, y], axis=1), lambda x, y: torch.cat([x, y], 1), lambda x, y: jnp.concatenate([x, y], 1), (A, COLUMN)),
    "stack": Row(lambda x, y: pg.stack([x, y], axis=1), lambda x, y: torch.stack([x, y], 1), lambda x, y: jnp.stack([x, y], 1), (A, B)),
    "split": Row(lambda x: pg.split(x, 2, axis=1)[1], lambda x: x[:, 2:], lambda x: jnp.split(x, 2, 1)[1], (A,)),
    "pad": Row(lambda x: pg.pad(x, [(1, 0), (2, 3)], value=1.5), lambda x: F.pad(x, (2, 3, 1, 0), value=1.5), lambda x: jnp.pad(x, [(1, 0), (2, 3)], constant_values=1.5), (A,)),
    "copy": Row(pg.copy, torch.clone, jnp.copy, (A,)),
    "tril": Row(lambda x: pg.tril(x, k=1), lambda x: x.tril(1), lambda x: jnp.tril(x, 1), (A,)),
    "triu": Row(lambda x: pg.triu(x, k=-1), lambda x: x.triu(-1), lambda x: jnp.triu(x, -1), (A,)),
    "take": Row(lambda x: pg.take(x, POSITIONS, axis=1), lambda x: x.index_select(1, T(POSITIONS)), lambda x: jnp.take(x, POSITIONS, 1), (A,)),
    "take_along_axis": Row(lambda x: pg.take_along_axis(x, ALONG, axis=1), lambda x: torch.take_along_dim(x, T(ALONG), 1), lambda x: jnp.take_along_axis(x, ALONG, 1), (A,)),
    "sliding_window_view": Row(lambda x: pg.sliding_window_view(x, 3, 1, stride=2), lambda x: x.unfold(1, 3, 2), None, (numbers(3, 8),)),

    # contraction
    "matmul": same("matmul", CUBE, SQUARE),
    "matmul complex": same("matmul", Z, W.T),
    "tensordot": Row(lambda x, y: pg.tensordot(x, y, axes=([1], [0])), lambda x, y: torch.tensordot(x, y, ([1], [0])), lambda x, y: jnp.tensordot(x, y, ([1], [0])), (A, SQUARE)),
    "outer": same("outer", ROW, numbers(3)),
    "einsum": every(lambda xp, x, y, z: xp.einsum("ij,kjl,lm->mik", x, y, z), numbers(3, 2), numbers(4, 2, 3), numbers(3, 5)),
    "einsum trace": every(lambda xp, x: xp.einsum("ii", x), SQUARE),
    "einsum dots": every(lambda xp, x, y: xp.einsum("...ij,...kj->...ik", x, y), CUBE, A),
    "einsum complex": every(lambda xp, x, y: xp.einsum("ij,kj->ki", x, y), Z, W),

    # plugrad-nn
    "nn.relu": Row(nn.relu, F.relu, jax.nn.relu, (A,), UNARY),
    "nn.leaky_relu": Row(nn.leaky_relu, F.leaky_relu, jax.nn.leaky_relu, (A,), UNARY),
    "nn.sigmoid": Row(nn.sigmoid, F.sigmoid, jax.nn.sigmoid, (A,), UNARY),
    "nn.silu": Row(nn.silu, F.silu, jax.nn.silu, (A,), UNARY),
    "nn.gelu": Row(nn.gelu, F.gelu, lambda x: jax.nn.gelu(x, approximate=False), (A,), UNARY),
    "nn.gelu tanh": Row(lambda x: nn.gelu(x, approximate="tanh"), lambda x: F.gelu(x, approximate="tanh"), jax.nn.gelu, (A,), UNARY),
    "nn.softplus": Row(nn.softplus, F.softplus, jax.nn.softplus, (A,), UNARY),
    "nn.softmax": Row(nn.softmax, lambda x: F.softmax(x, -1), jax.nn.softmax, (A,), REDUCED[:-3]),
    "nn.log_softmax": Row(nn.log_softmax, lambda x: F.log_softmax(x, -1), jax.nn.log_softmax, (A,), REDUCED[:-3]),
    "nn.linear": Row(nn.linear, F.linear, lambda x, w, b: x @ w.T + b, (CUBE, numbers(5, 4), numbers(5))),
    "nn.mse_loss": Row(nn.mse_loss, F.mse_loss, lambda x, y: ((x - y) ** 2).mean(), (A, B)),
    "nn.cross_entropy": Row(lambda x: nn.cross_entropy(x, POSITIONS[:3]), lambda x: F.cross_entropy(x, T(POSITIONS[:3])), lambda x: -jnp.mean(jax.nn.log_softmax(x)[jnp.arange(3), POSITIONS[:3]]), (A,)),
    "nn.binary_cross_entropy_with_logits": Row(lambda x: nn.binary_cross_entropy_with_logits(x, COND * 1.0), lambda x: F.binary_cross_entropy_with_logits(x, T(COND * 1.0)), lambda x: jnp.mean(jax.nn.softplus(x) - x * COND), (A,)),
    "nn.attention": Row(nn.attention, attention, None, (numbers(2, 2, 3, 4), numbers(2, 2, 5, 4), numbers(2, 2, 5, 4, seed=1))),
    "nn.attention causal": Row(lambda q, k, v: nn.attention(q, k, v, causal=True), lambda q, k, v: attention(q, k, v, is_causal=True), None, (numbers(2, 2, 3, 4), numbers(2, 2, 3, 4), numbers(2, 2, 3, 4, seed=1))),
    "nn.conv2d": Row(lambda x, w: nn.conv2d(x, w, stride=2, padding=(1, 2)), lambda x, w: F.conv2d(x, w, stride=2, padding=(1, 2)), lambda x, w: jax.lax.conv_general_dilated(x, w, (2, 2), ((1, 1), (2, 2))), (IMAGE, FILTERS)),
    "nn.conv2d groups": Row(lambda x, w: nn.conv2d(x, w, groups=3, dilation=2), lambda x, w: F.conv2d(x, w, groups=3, dilation=2), lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", rhs_dilation=(2, 2), feature_group_count=3), (IMAGE, numbers(6, 1, 3, 2))),
    "nn.max_pool2d": Row(lambda x: nn.max_pool2d(x, 3, stride=2, padding=1), lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 3, 3), (1, 1, 2, 2), ((0, 0), (0, 0), (1, 1), (1, 1))), (IMAGE,), ((np.zeros((1, 1, 3, 3)),),)),
    "nn.avg_pool2d": Row(lambda x: nn.avg_pool2d(x, 3, stride=2, padding=1), lambda x: F.avg_pool2d(x, 3, 2, 1), lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 1, 3, 3), (1, 1, 2, 2), ((0, 0), (0, 0), (1, 1), (1, 1))) / 9, (IMAGE,)),
    "nn.unfold": Row(lambda x: nn.unfold(x, (3, 2), stride=2, padding=1), lambda x: F.unfold(x, (3, 2), stride=2, padding=1), lambda x: jax.lax.conv_general_dilated_patches(x, (3, 2), (2, 2), ((1, 1), (1, 1))).reshape(2, 18, -1), (IMAGE,)),
    "nn.fold": Row(lambda x: nn.fold(x, (5, 6), (2, 3), padding=1), lambda x: F.fold(x, (5, 6), (2, 3), padding=1), None, (numbers(2, 12, 36),)),

    # plugrad-norm
    "norm.layer_norm": Row(norm.layer_norm, lambda x, w, b: F.layer_norm(x, (4,), w, b), None, (A, ROW, numbers(4))),
    "norm.batch_norm": Row(lambda x, w, b: norm.batch_norm(x, w, b)[0], lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), None, (CUBE, numbers(3), numbers(3, seed=1))),
}
# fmt: on

EXEMPT: dict[str, str] = {
    "creation, or devices and dtypes": "arange asarray as_dtype device empty empty_like eye full full_like "
    "get_default_device linspace manual_seed one_hot ones ones_like promotion set_default_device tensor zeros zeros_like",
    "integers and bools": "all any argmax argmin bitwise_and bitwise_invert bitwise_left_shift bitwise_or "
    "bitwise_right_shift bitwise_xor equal greater greater_equal isfinite isnan less less_equal logical_and "
    "logical_not logical_or logical_xor not_equal",
    "transformations and tools, tested by what they are applied to": "checkpoint compile create fallback_report grad "
    "hessian hvp jacfwd jacrev jvp observe reset_fallback_report stage value_and_grad vjp vmap",
    "random: the peers draw other numbers": "norm.dropout",
}
"""Why public functions have no row."""

_TERMS = (
    "infinity minus infinity, or 0 times infinity, as the two terms are added here; there the numerator is added first"
)
_SMALL = "1 / y here; there y squared overflows or underflows first"
_NEGATIVE = "0 to a negative power: the derivative in the exponent is infinity times 0 here and in JAX; -inf there"
_CONSTANT = "x ** 0 is constant 1, so its derivative in x is 0 here and in torch; NaN there"
_ROOT = "the square root here, as in NumPy and torch; infinity there, as C's pow"
_EITHER = "NaN beats every number: here both operands get the cotangent whole, which is how NaN reaches the gradient"
_CHOSEN = "here NaN, where there is any, is the extremum: it gets the cotangent, the others nothing"
_OTHERS = "the product of the other elements, exact; there the product divided by the element"
_ROOT_AT_0 = "the derivative of the root at 0 times 0 is NaN here and in JAX; 0 there"

# fmt: off
REASONS: dict[tuple[str, str, str, str], str] = {
    ("abs", "vjp jvp", "torch", "nan"): "the sign of NaN is NaN here, as in NumPy; 0 there",
    ("abs", "vjp jvp", "jax", "nan"): "the sign of NaN is NaN here, as in NumPy; -1 there",
    ("abs", "vjp jvp", "jax", "zero"): "0 at the kink, the middle of the subgradients, here and in torch; 1 there",
    ("sign", "value", "torch", "nan"): "NaN here, as in NumPy; 0 there",
    ("divide", "jvp", "torch", "zero inf"): _TERMS,
    ("divide", "vjp jvp", "jax", "zero inf"): _SMALL,
    ("pow", "vjp jvp", "torch", "zero inf"): _NEGATIVE,
    ("pow", "vjp jvp", "jax", "zero nan"): _CONSTANT,
    ("pow half", "value vjp jvp", "jax", "inf"): _ROOT,
    ("remainder", "value", "torch", "finite"): "the exact remainder, as in C; there the quotient overflows",
    ("remainder", "vjp jvp", "jax", "inf"): "NaN, as the value is, here and in torch; minus the infinite quotient there",
    ("maximum", "jvp", "torch", "nan"): _EITHER,
    ("maximum", "vjp jvp", "jax", "nan"): _EITHER,
    ("minimum", "jvp", "torch", "nan"): _EITHER,
    ("minimum", "vjp jvp", "jax", "nan"): _EITHER,
    ("clip", "vjp jvp", "torch", "finite"): "at a bound value and bound share the derivative, as in maximum, here and in JAX; 1 there",
    ("clip", "vjp jvp", "torch", "nan"): _EITHER,
    ("clip", "vjp jvp", "jax", "nan"): _EITHER,
    ("prod", "vjp", "torch", "nan inf"): _OTHERS,
    ("max", "jvp", "torch", "nan"): _CHOSEN,
    ("max", "vjp jvp", "jax", "nan"): _CHOSEN,
    ("min", "jvp", "torch", "nan"): _CHOSEN,
    ("min", "vjp jvp", "jax", "nan"): _CHOSEN,
    ("var", "vjp", "torch", "inf"): "infinity minus infinity in the mean makes all NaN here and in JAX",
    ("var", "vjp jvp", "torch", "finite"): "the sum overflows, so the mean is infinite: NaN here and in JAX, -inf there",
    ("std", "vjp jvp", "torch", "finite"): _ROOT_AT_0,
    ("nn.relu", "vjp jvp", "torch", "nan"): "0 wherever x > 0 does not hold, here and in JAX; 1 there",
    ("nn.leaky_relu", "vjp jvp", "jax", "zero"): "the slope at the kink here and in torch; 1 there",
}
# fmt: on
"""(row, quantities, peer, places): why they differ at corners. The place is what is most peculiar about an input: nan,
inf, zero, or finite. A reason that is not needed is an error, as is a difference without a reason.
"""
