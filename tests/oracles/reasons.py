"""Why public functions have no row, and why corners differ."""

from __future__ import annotations

EXEMPT: dict[str, str] = {
    "creation, or devices and dtypes": "__array_namespace_info__ arange as_dtype asarray broadcast_shapes can_cast device empty empty_like eye "
    "finfo fft.fftfreq fft.rfftfreq from_dlpack full full_like get_default_device iinfo isdtype linspace manual_seed "
    "one_hot ones ones_like promotion result_type set_default_device tensor zeros zeros_like",
    "integers and bools": "all any argmax argmin argsort bitcast bitwise_and bitwise_invert bitwise_left_shift bitwise_or "
    "bitwise_right_shift bitwise_xor count_nonzero equal greater greater_equal isfinite isin isinf isnan less "
    "less_equal linalg.matrix_rank logical_and logical_not logical_or logical_xor nonzero not_equal searchsorted "
    "signbit",
    "transformations and tools, tested by what they are applied to": "compile create explain fallback_report grad "
    "hessian hvp jacfwd jacrev jvp memory_plan observe reset_fallback_report stage to_dot value_and_grad vjp vmap",
    "random: the peers draw other numbers": "norm.dropout random.bernoulli random.bits random.fold_in random.generator "
    "random.key random.normal random.permutation random.randint random.split random.uniform",
}
"""Why public functions have no row."""

_TERMS = (
    "infinity minus infinity, or 0 times infinity, as the two terms are added here; there the numerator is added first"
)
_SMALL = "1 / y here; there y squared overflows or underflows first"
_NEGATIVE = "0 to a negative power: the derivative in the exponent is its limit, -inf, here and in torch; NaN there"
_CONSTANT = "x ** 0 is constant 1, so its derivative in x is 0 here and in torch; NaN there"
_ROOT = "as C's pow and the Array API have it, here and in JAX; there that of the square root, NaN"
_EITHER = "NaN beats every number: here both operands get the cotangent whole, which is how NaN reaches the gradient"
_CHOSEN = "here NaN, where there is any, is the extremum: it gets the cotangent, the others nothing"
_NAN_WRITTEN = "NaN is the extremum, and gets the cotangent, as in max; there every derivative beside it is NaN"
_OTHERS = "the product of the other elements, exact; there the product divided by the element"
_QUOTIENT = "the quotient for an infinite operand, as the Array API has it; there NaN, or -1 for -0"
_CUT = "the sign of a zero imaginary or real part is the side of a branch cut, as in C; there it is lost"
_OUTSIDE = "NaN outside the domain, as the value is; there the formula goes on"
_ORIGIN = "0 at the origin, and nowhere squares that underflow; there 0 divided by 0"
_SQUARES = "without squares, which overflow or underflow there"
_SHARES = (
    "shares of the sum, 1/2 each for equal operands; there they are lost in infinity minus infinity or by rounding"
)
_LENGTH = "0 at a vector or matrix of zeros, here and in torch; NaN or infinity there"
_SIZE = "0 at zeros, as abs, here and in torch; abs has the slope 1 there"
_VECTORS = "a singular value of 0 has the slope 0, as abs; there that of its singular vectors, which are arbitrary"
_ROOT_AT_0 = "the derivative of the root at 0 times 0 is NaN here and in JAX; 0 there"

# fmt: off
REASONS: dict[tuple[str, str, str, str], str] = {
    ("abs", "vjp jvp", "torch", "nan"): "the sign of NaN is NaN here, as in NumPy; 0 there",
    ("abs", "vjp jvp", "jax", "nan"): "the sign of NaN is NaN here, as in NumPy; -1 there",
    ("abs", "vjp jvp", "jax", "zero"): "0 at the kink, the middle of the subgradients, here and in torch; 1 there",
    ("sign", "value", "torch", "nan"): "NaN here, as in NumPy; 0 there",
    ("divide", "jvp", "torch", "zero inf"): _TERMS,
    ("divide", "vjp jvp", "jax", "zero inf"): _SMALL,
    ("pow", "vjp jvp", "jax", "inf"): _NEGATIVE,
    ("pow", "vjp jvp", "jax", "zero nan"): _CONSTANT,
    ("logsumexp", "vjp", "torch", "finite"): "a half for each of two maxima; there exp(x - y), where log(2) is lost beside 1e308",
    ("pow half", "value vjp jvp", "torch", "inf"): _ROOT,
    ("pow -0.5", "value", "torch", "inf"): _ROOT,
    ("pow of sizes", "vjp jvp", "jax", "zero"): "infinity times 0, the slope of abs, here and in torch; that slope is 1 there",
    ("sign complex", "vjp jvp second", "jax", "regular"): "of x / abs(x), as differences of values show, here and in torch; that of a constant there",
    ("remainder", "value", "torch", "finite"): "the exact remainder, as in C; there the quotient overflows",
    ("remainder", "vjp jvp", "torch", "inf"): "minus the infinite quotient here and in JAX; NaN there, as the value is",
    ("floor_divide", "value", "torch", "inf"): _QUOTIENT,
    ("floor_divide", "value", "jax", "inf"): _QUOTIENT,
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
    ("acos complex", "vjp jvp", "torch", "finite"): _CUT,
    ("acos complex", "value vjp jvp", "jax", "finite"): _CUT,
    ("acosh", "vjp jvp", "torch", "finite inf"): _OUTSIDE,
    ("acosh", "vjp jvp", "jax", "finite inf"): _OUTSIDE,
    ("acosh complex", "vjp jvp second", "jax", "regular"): "1 / (sqrt(x - 1) sqrt(x + 1)), on the branch of the value, here and in torch; another branch there",
    ("acosh complex", "value vjp jvp", "jax", "finite"): _CUT,
    ("asin complex", "vjp jvp", "torch", "finite"): _CUT,
    ("asin complex", "value vjp jvp", "jax", "finite"): _CUT,
    ("asinh complex", "vjp jvp", "torch", "finite"): _CUT,
    ("asinh complex", "value vjp jvp", "jax", "finite"): _CUT,
    ("atan2", "vjp", "torch", "zero finite"): _SQUARES,
    ("atan2", "jvp", "torch", "zero finite"): _ORIGIN,
    ("atan2", "vjp jvp", "jax", "zero finite"): _ORIGIN,
    ("copysign", "vjp jvp", "torch", "inf nan"): "the product of the signs; there the quotient of the values, infinity by infinity",
    ("copysign", "vjp jvp", "jax", "zero inf nan"): "0 at x = 0, as abs, here and in torch; 1 there, and -1 for NaN",
    ("hypot", "vjp jvp", "torch", "zero"): _ORIGIN,
    ("hypot", "vjp jvp", "jax", "zero inf finite nan"): "x / hypot(x, y), and 0 at the origin; not so there for zeros, huge and infinite operands",
    ("logaddexp", "vjp jvp", "torch", "inf"): _SHARES,
    ("logaddexp", "vjp jvp", "jax", "inf finite"): _SHARES,
    ("cumulative_prod line", "vjp jvp", "torch", "nan inf"): _OTHERS,
    ("sort descending", "value", "torch", "nan"): "NaN comes last in both directions; there the order is reversed",
    ("sort descending", "value", "jax", "nan"): "NaN comes last in both directions; there the order is reversed",
    ("at.multiply again", "jvp", "torch", "zero"): "the tangent of a product; there an error where zeros meet",
    ("at.min", "vjp jvp", "torch", "nan"): _NAN_WRITTEN,
    ("at.max", "vjp jvp", "torch", "nan"): _NAN_WRITTEN,
    ("linalg.det", "jvp", "torch", "zero"): "the cofactor of the zero, here, in JAX and in torch's vjp; 0 in its jvp",
    ("linalg.det", "vjp jvp", "jax", "finite"): "an error there for no elements",
    ("linalg.matrix_norm", "vjp jvp", "jax", "zero"): _LENGTH,
    ("linalg.matrix_norm nuc", "vjp jvp", "torch", "zero finite"): _VECTORS,
    ("linalg.matrix_norm nuc", "vjp jvp", "jax", "zero finite"): _VECTORS,
    ("linalg.matrix_norm 2", "vjp jvp", "torch", "zero"): _VECTORS,
    ("linalg.matrix_norm 2", "vjp jvp", "jax", "zero"): _VECTORS,
    ("linalg.matrix_norm -2", "vjp jvp", "torch", "zero finite"): _VECTORS,
    ("linalg.matrix_norm -2", "vjp jvp", "jax", "zero finite"): _VECTORS,
    ("linalg.matrix_norm 1", "vjp jvp", "jax", "zero"): _SIZE,
    ("linalg.matrix_norm inf", "vjp jvp", "jax", "zero"): _SIZE,
    ("linalg.vector_norm", "vjp jvp", "jax", "zero finite"): _LENGTH,
    ("linalg.vector_norm complex", "vjp jvp", "jax", "zero"): _LENGTH,
    ("linalg.vector_norm 1", "vjp jvp", "jax", "zero"): _SIZE,
    ("linalg.vector_norm 3", "vjp jvp", "jax", "zero"): _LENGTH,
    ("linalg.vector_norm 0.5", "vjp jvp", "jax", "zero"): _LENGTH,
    ("linalg.vector_norm inf", "vjp jvp", "jax", "zero"): _SIZE,
    ("nn.relu", "vjp jvp", "torch", "nan"): "0 wherever x > 0 does not hold, here and in JAX; 1 there",
    ("nn.leaky_relu", "vjp jvp", "jax", "zero"): "the slope at the kink here and in torch; 1 there",
}
# fmt: on
"""(row, quantities, peer, places): why they differ at corners. The place is what is most peculiar about an input: nan,
inf, zero, or finite; or regular for the row's regular inputs. A reason that is not needed is an error, as is a difference without a reason.
"""
