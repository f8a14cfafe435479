"""Elementwise ops and their public functions. Operands broadcast and promote; a derivative is given by partials."""

from __future__ import annotations

import math
from typing import Any

from ..dispatch import bind, bind1, bind2
from ..dtypes import CODE, DTYPES, F4, KIND, bool_, real_code
from ..errors import DTypeError
from ..op import ONE, Op, elementwise
from ..tensor import Tensor
from .handles import alias, astype, device_of, identity_vjp, stop_gradient

# fmt: off
__all__ = [
    "abs", "add", "astype", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "clip", "conj", "cos", "divide", "equal", "erf", "exp", "expm1", "floor",
    "floor_divide", "greater", "greater_equal", "imag", "isfinite", "isnan", "less", "less_equal", "log", "log1p",
    "logical_and", "logical_not", "logical_or", "logical_xor", "maximum", "minimum", "multiply", "negative",
    "not_equal", "positive", "pow", "real", "reciprocal", "remainder", "sign", "sin", "sqrt", "square",
    "stop_gradient", "subtract", "tan", "tanh", "where"
]
# fmt: on

# -- one operand

NEG = elementwise("neg", dtypes="numeric", linear=(0,), vjp=lambda g, y, xs, need: (-g,))
EXP = elementwise("exp", dtypes="inexact", partials=(lambda y, x: y,), saves=())
EXPM1 = elementwise("expm1", dtypes="inexact", partials=(lambda y, x: y + 1,), saves=(), decompose=lambda x: exp(x) - 1)
LOG = elementwise("log", dtypes="inexact", partials=(lambda y, x: 1 / x,), save_output=False)
LOG1P = elementwise(
    "log1p", dtypes="inexact", partials=(lambda y, x: 1 / (x + 1),), save_output=False, decompose=lambda x: log(x + 1)
)
SQRT = elementwise("sqrt", dtypes="inexact", partials=(lambda y, x: 0.5 / y,), saves=())
SIN = elementwise("sin", dtypes="inexact", partials=(lambda y, x: cos(x),), save_output=False)
COS = elementwise("cos", dtypes="inexact", partials=(lambda y, x: -sin(x),), save_output=False)
FLOOR = elementwise("floor", dtypes="float", partials=(None,), saves=(), save_output=False)
SIGN = elementwise("sign", dtypes="real", partials=(None,), saves=(), save_output=False)
INVERT = elementwise("invert", dtypes="bool int")


def _tanh(x: Tensor) -> Tensor:
    """tanh from one exponential of -2|x|, which cannot overflow."""
    e = expm1(abs(x) * -2)
    return where(x < 0, e, -e) / (e + 2)


_ERF_SLOPE = 2 / math.sqrt(math.pi)
TANH = elementwise("tanh", dtypes="float", partials=(lambda y, x: 1 - y * y,), saves=(), decompose=_tanh)
ERF = elementwise("erf", dtypes="float", partials=(lambda y, x: exp(-(x * x)) * _ERF_SLOPE,), save_output=False)


class _Real(Op):
    """Ops whose result is the real counterpart of a complex operand."""

    def spec(self, *xs: Any, **attrs: Any) -> Any:
        spec = Op.spec(self, *xs, **attrs)
        return spec._replace(dtype=DTYPES[real_code(CODE[spec.dtype])])


REAL = _Real("real", elementwise=True, dtypes="complex", linear=(0,), vjp=identity_vjp)
IMAG = _Real("imag", elementwise=True, dtypes="complex", linear=(0,), vjp=lambda g, y, xs, need: (g * 1j,))
CONJ = elementwise("conj", dtypes="complex", linear=(0,), vjp=lambda g, y, xs, need: (conj(g),))


def _abs_vjp(g: Tensor, y: Tensor, xs: tuple[Tensor, ...], need: tuple[bool, ...]) -> tuple[Tensor]:
    (x,) = xs
    return (g * x / where(y == 0, 1, y) if KIND[x.dt] == "c" else g * sign(x),)


ABS = _Real("abs", elementwise=True, dtypes="numeric", vjp=_abs_vjp)

# -- two operands


def _sub_vjp(g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
    return g, -g if need[1] else None


def _mul_vjp(g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
    return g * conjugate(xs[1]) if need[0] else None, g * conjugate(xs[0]) if need[1] else None


ADD = elementwise("add", dtypes="arithmetic", linear=(0, 1), vjp=lambda g, y, xs, need: (g, g))
SUB = elementwise("sub", dtypes="numeric", linear=(0, 1), vjp=_sub_vjp, decompose=lambda x, y: x + (-y))
MUL = elementwise("mul", dtypes="arithmetic", multilinear=(0, 1), vjp=_mul_vjp)
DIV = elementwise("div", dtypes="inexact", partials=(lambda q, x, y: 1 / y, lambda q, x, y: -(q / y)), saves=(1,))


def _pow_base(z: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return where(y == 0, 0, y * x ** where(y == 0, 1, y - 1))


def _pow_exponent(z: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """z log x, and 0 at x = 0, where z is 0 for the positive exponents that have a derivative."""
    return z * log(where(x == 0, 1, x))


POW = elementwise("pow", dtypes="numeric", partials=(_pow_base, _pow_exponent))


def _share(z: Tensor, x: Tensor, other: Tensor) -> Tensor:
    """1 where the extremum ``z`` is ``x``, 1/2 where both operands are."""
    chosen = (x == z).astype(z.dtype)
    return chosen / (chosen + (other == z).astype(z.dtype))


MAXIMUM = elementwise("maximum", dtypes="ordered", partials=(_share, lambda z, x, y: _share(z, y, x)))
MINIMUM = elementwise("minimum", dtypes="ordered", partials=MAXIMUM.partials)
REMAINDER = elementwise("remainder", dtypes="real", partials=(ONE, lambda z, x, y: -floor(x / y)))
FLOOR_DIVIDE = elementwise("floor_divide", dtypes="real", partials=(None, None), saves=(), save_output=False)
_BITWISE = ("bitwise_and", "bitwise_or", "bitwise_xor")
BITWISE_AND, BITWISE_OR, BITWISE_XOR = [elementwise(name, dtypes="bool int") for name in _BITWISE]
SHIFT_LEFT, SHIFT_RIGHT = elementwise("shift_left", dtypes="int"), elementwise("shift_right", dtypes="int")
EQUAL = elementwise("equal", dtypes="arithmetic", boolean=True)
LESS, LESS_EQUAL = [elementwise(name, dtypes="ordered", boolean=True) for name in ("less", "less_equal")]


def _where_vjp(g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
    return None, where(xs[0], g, 0) if need[1] else None, where(xs[0], 0, g) if need[2] else None


WHERE = elementwise("where", key=1, dtypes="any", together=(1, 2), linear=(1, 2), saves=(0,), vjp=_where_vjp)


# -- public functions


def _floating(x: Any) -> Any:
    """Integers and booleans as the default floating dtype, where an op is defined for floating dtypes only."""
    return x.astype(DTYPES[F4]) if isinstance(x, Tensor) and KIND[x.dt] in "biu" else x


def add(x: Any, y: Any) -> Tensor:
    """Elementwise ``x + y``.

    >>> add(asarray([1, 2]), 10).tolist()
    [11, 12]
    """
    return bind2(ADD, x, y)


def subtract(x: Any, y: Any) -> Tensor:
    """Elementwise ``x - y``."""
    return bind2(SUB, x, y)


def multiply(x: Any, y: Any) -> Tensor:
    """Elementwise ``x * y``."""
    return bind2(MUL, x, y)


def divide(x: Any, y: Any) -> Tensor:
    """Elementwise true division; integers are divided as float32.

    >>> divide(asarray([1, 3]), 2).tolist()
    [0.5, 1.5]
    """
    return bind2(DIV, _floating(x), _floating(y))


def pow(x: Any, y: Any) -> Tensor:
    """Elementwise ``x ** y``. The derivative in y is taken as 0 where x is 0. Small integer powers are products."""
    if type(y) is int and isinstance(x, Tensor) and y in (1, 2, 3):
        return x * x if y == 2 else x * x * x if y == 3 else +x
    if type(y) in (int, float) and y == 0.5:
        return sqrt(_floating(x))
    return bind2(POW, x, y)


def maximum(x: Any, y: Any) -> Tensor:
    """Elementwise maximum; NaN wins. Equal operands share the gradient."""
    return bind2(MAXIMUM, x, y)


def minimum(x: Any, y: Any) -> Tensor:
    """Elementwise minimum; NaN wins. Equal operands share the gradient."""
    return bind2(MINIMUM, x, y)


def remainder(x: Any, y: Any) -> Tensor:
    """Elementwise remainder with the sign of ``y``, as Python's ``%``."""
    return bind2(REMAINDER, x, y)


def floor_divide(x: Any, y: Any) -> Tensor:
    """Elementwise ``floor(x / y)``."""
    return bind2(FLOOR_DIVIDE, x, y)


def negative(x: Any) -> Tensor:
    """Elementwise ``-x``."""
    return bind1(NEG, x)


def positive(x: Tensor) -> Tensor:
    """``x`` itself, as a new handle."""
    return alias(x) if isinstance(x, Tensor) else Tensor._convert(x)


def abs(x: Any) -> Tensor:
    """Elementwise absolute value; real for complex operands. The derivative at 0 is 0."""
    return bind(ABS, (x,), {})


def sign(x: Any) -> Tensor:
    """Elementwise -1, 0 or 1; its derivative is 0."""
    return bind1(SIGN, x)


def exp(x: Any) -> Tensor:
    """Elementwise exponential, of floating or complex dtypes.

    >>> exp(asarray([0.0])).tolist()
    [1.0]
    """
    return bind1(EXP, x)


def expm1(x: Any) -> Tensor:
    """Elementwise ``exp(x) - 1``, accurate near 0."""
    return bind1(EXPM1, x)


def log(x: Any) -> Tensor:
    """Elementwise natural logarithm."""
    return bind1(LOG, x)


def log1p(x: Any) -> Tensor:
    """Elementwise ``log(1 + x)``, accurate near 0."""
    return bind1(LOG1P, x)


def sqrt(x: Any) -> Tensor:
    """Elementwise square root."""
    return bind1(SQRT, x)


def square(x: Any) -> Tensor:
    """Elementwise ``x * x``."""
    return bind2(MUL, x, x)


def reciprocal(x: Any) -> Tensor:
    """Elementwise ``1 / x``."""
    return bind2(DIV, 1, _floating(x))


def sin(x: Any) -> Tensor:
    """Elementwise sine, of radians."""
    return bind1(SIN, x)


def cos(x: Any) -> Tensor:
    """Elementwise cosine, of radians."""
    return bind1(COS, x)


def tan(x: Any) -> Tensor:
    """Elementwise tangent, of radians."""
    return sin(x) / cos(x)


def tanh(x: Any) -> Tensor:
    """Elementwise hyperbolic tangent."""
    return bind1(TANH, x)


def erf(x: Any) -> Tensor:
    """Elementwise error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return bind1(ERF, x)


def floor(x: Any) -> Tensor:
    """Elementwise floor; integers are returned as they are."""
    return +x if isinstance(x, Tensor) and KIND[x.dt] in "iu" else bind1(FLOOR, x)


def real(x: Tensor) -> Tensor:
    """Real part; of a real tensor, its value as a new handle."""
    return bind(REAL, (x,), {}) if KIND[x.dt] == "c" else alias(x)


def imag(x: Tensor) -> Tensor:
    """Imaginary part of a complex tensor."""
    return bind(IMAG, (x,), {})


def conjugate(x: Tensor) -> Tensor:
    """``conj`` for callers that only read: the same handle if it is real."""
    return bind1(CONJ, x) if KIND[x.dt] == "c" else x


def conj(x: Tensor) -> Tensor:
    """Complex conjugate; of a real tensor, its value as a new handle."""
    return bind1(CONJ, x) if KIND[x.dt] == "c" else alias(x)


def equal(x: Any, y: Any) -> Tensor:
    """Elementwise ``x == y``, as bool."""
    return bind2(EQUAL, x, y)


def not_equal(x: Any, y: Any) -> Tensor:
    """Elementwise ``x != y``, as bool."""
    return bind1(INVERT, bind2(EQUAL, x, y))


def less(x: Any, y: Any) -> Tensor:
    """Elementwise ``x < y``, as bool."""
    return bind2(LESS, x, y)


def less_equal(x: Any, y: Any) -> Tensor:
    """Elementwise ``x <= y``, as bool."""
    return bind2(LESS_EQUAL, x, y)


def greater(x: Any, y: Any) -> Tensor:
    """Elementwise ``x > y``, as bool."""
    return bind2(LESS, y, x)


def greater_equal(x: Any, y: Any) -> Tensor:
    """Elementwise ``x >= y``, as bool."""
    return bind2(LESS_EQUAL, y, x)


def _bools(name: str, *xs: Any) -> tuple[Any, ...]:
    for x in xs:
        if isinstance(x, Tensor) and x.dtype != bool_:
            raise DTypeError(f"{name}: needs bool operands, got {x.dtype}; compare first, such as x != 0")
    return xs


def logical_and(x: Any, y: Any) -> Tensor:
    """Elementwise and of bools."""
    return bind2(BITWISE_AND, *_bools("logical_and", x, y))


def logical_or(x: Any, y: Any) -> Tensor:
    """Elementwise or of bools."""
    return bind2(BITWISE_OR, *_bools("logical_or", x, y))


def logical_xor(x: Any, y: Any) -> Tensor:
    """Elementwise exclusive or of bools."""
    return bind2(BITWISE_XOR, *_bools("logical_xor", x, y))


def logical_not(x: Any) -> Tensor:
    """Elementwise not of bools."""
    return bind1(INVERT, *_bools("logical_not", x))


def bitwise_and(x: Any, y: Any) -> Tensor:
    """Elementwise and of bits, or of bools."""
    return bind2(BITWISE_AND, x, y)


def bitwise_or(x: Any, y: Any) -> Tensor:
    """Elementwise or of bits, or of bools."""
    return bind2(BITWISE_OR, x, y)


def bitwise_xor(x: Any, y: Any) -> Tensor:
    """Elementwise exclusive or of bits, or of bools."""
    return bind2(BITWISE_XOR, x, y)


def bitwise_invert(x: Any) -> Tensor:
    """Elementwise complement of bits, or of bools."""
    return bind1(INVERT, x)


def bitwise_left_shift(x: Any, y: Any) -> Tensor:
    """Elementwise ``x << y`` of integers."""
    return bind2(SHIFT_LEFT, x, y)


def bitwise_right_shift(x: Any, y: Any) -> Tensor:
    """Elementwise ``x >> y`` of integers."""
    return bind2(SHIFT_RIGHT, x, y)


def isnan(x: Tensor) -> Tensor:
    """Elementwise: is it NaN?"""
    return not_equal(x, x)


def isfinite(x: Tensor) -> Tensor:
    """Elementwise: is it neither infinite nor NaN?"""
    return equal(x - x, 0)


def where(condition: Any, x: Any, y: Any) -> Tensor:
    """``x`` where the bool condition holds, else ``y``; all three broadcast.

    >>> where(asarray([True, False]), 1.0, asarray([5.0, 6.0])).tolist()
    [1.0, 6.0]
    """
    if not isinstance(condition, Tensor):
        condition = Tensor._convert(condition, device=device_of(x, y))
    if condition.dtype != bool_:
        raise DTypeError(f"where: the condition is {condition.dtype}; it must be bool, such as x > 0")
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        x = Tensor._convert(x, device=condition.device)
    return bind(WHERE, (condition, x, y), {})


def clip(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """``x`` limited to [min, max]; either may be None."""
    out = positive(x) if min is None else maximum(x, min)
    return out if max is None else minimum(out, max)
