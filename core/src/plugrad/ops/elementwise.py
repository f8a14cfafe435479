"""Elementwise ops and their public functions. Operands broadcast and promote; a derivative is given by partials.

>>> add(asarray([1, 2]), 10).tolist(), exp(asarray([0.0])).tolist()
([11, 12], [1.0])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..declared import FIRST, RESULT, SECOND
from ..dispatch import bind, bind1, bind2
from ..dtypes import CODE, DTYPES, F4, KIND, bool_, real_code
from ..errors import ArgumentError, DTypeError
from ..functions import binary_function, unary_function
from ..op import ONE, Op, elementwise
from ..tensor import Tensor
from .common import alias, astype, device_of, identity_vjp, stop_gradient, tensors

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


_KINDS = {
    "inexact": "floating and complex",
    "float": "floating",
    "numeric": "integer, floating and complex",
    "real": "integer and floating",
    "ordered": "bool, integer and floating",
    "arithmetic": "bool, integer, floating and complex",
    "bool int": "bool and integer",
    "int": "integer",
}
"""The declarations of dtypes here, in words."""


def _named(function: Any, name: str, doc: str, dtypes: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__doc__ = f"Elementwise {doc}.\n\n    {dtypes}\n    "
    return function


def unary(name: str, doc: str, *partials: Any, op: str = "", **rules: Any) -> Callable[[Any], Tensor]:
    """Declare an op of one operand, inexact by default, called ``op`` if not ``name``, and make its public function."""
    rule = elementwise(op or name, partials=partials or None, **{"dtypes": "inexact", **rules})
    known = f"Defined for {_KINDS[rules.get('dtypes', 'inexact')]} dtypes, else DTypeError."
    return _named(unary_function(rule), name, doc, known)


def binary(name: str, doc: str, dtypes: str, *partials: Any, op: str = "", **rules: Any) -> Callable[..., Tensor]:
    """The same with two operands."""
    rule = elementwise(op or name, dtypes=dtypes, partials=partials or None, **rules)
    rest = f"{_KINDS[dtypes]} dtypes promote; ShapeError or DTypeError where they cannot."
    return _named(binary_function(rule), name, doc, f"Shapes broadcast and {rest}")


def floating(x: Any) -> Any:
    """Integers and booleans as the default floating dtype, where an op is defined for floating dtypes only."""
    return x.astype(DTYPES[F4]) if isinstance(x, Tensor) and KIND[x.dt] in "biu" else x


# -- one operand


def rounding(name: str, doc: str, **rules: Any) -> Callable[[Any], Tensor]:
    """Declare an op that makes floats whole numbers, of derivative 0; its function returns integers as they are."""
    rule = elementwise(name, partials=(None,), saves=(), save_output=False, **{"dtypes": "float", **rules})

    def function(x: Any, /) -> Tensor:
        return alias(x) if isinstance(x, Tensor) and KIND[x.dt] in "iu" else bind1(rule, x)

    kinds = _KINDS[rules.get("dtypes", "float")]
    return _named(function, name, doc, f"Defined for {kinds} dtypes; integers are returned as they are.")


floor = rounding("floor", "greatest whole number that is not above ``x``")


def _expm1(x: Tensor) -> Tensor:
    """``exp(x) - 1``; near 0 times ``x / log(exp(x))``, whose rounding errors are those of the difference (W. Kahan's;
    Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 1.14.1).
    """
    grown = exp(x)
    more, near, same = grown - 1, abs(x) < 1, grown == 1
    ratio = where(near, x, 1) / log(where(near, where(same, 2, grown), 2))
    small = where(x == 0, x - real(x), x) if KIND[x.dt] == "c" else x  # the Array API has +0 for a real part of -0
    return where(near, where(same, small, more * ratio), more)


def _log1p(x: Tensor) -> Tensor:
    """``log(1 + x)``; near 0 times ``x / (1 + x - 1)``, by the same argument."""
    more = x - -1  # a sum loses the sign of a zero imaginary part
    near, same = abs(x) < 1, more == 1
    ratio = where(near, x, 1) / where(near, where(same, 1, more - 1), 1)
    out = log(more)
    return where(same, x, where(near, out * ratio, out))


def _tanh(x: Tensor) -> Tensor:
    """tanh from one exponential of -2|x| (of the side of a complex x where it is at most 1), which cannot overflow."""
    left = real(x) < 0
    e = expm1(where(left, x, -x) * 2)
    return where(left, e, -e) / (e + 2)


def _tan(x: Tensor) -> Tensor:
    """Sine by cosine; of complex numbers by tanh, where these two overflow."""
    return tanh(x * 1j) * -1j if KIND[x.dt] == "c" else sin(x) / cos(x)


_LOG1P = "``log(1 + x)``, accurate near 0"
_ERF = "error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x"
_ERF_SLOPE = 2 / math.sqrt(math.pi)

negative = unary("negative", "``-x``", dtypes="numeric", op="neg", linear=(0,), vjp=lambda g, y, xs, need: (-g,))
exp = unary("exp", "exponential", RESULT, saves=())
expm1 = unary("expm1", "``exp(x) - 1``, accurate near 0", lambda y, x: y + 1, saves=(), decompose=_expm1)
log = unary("log", "natural logarithm", lambda y, x: 1 / x, save_output=False)
log1p = unary("log1p", _LOG1P, lambda y, x: 1 / (x + 1), save_output=False, decompose=_log1p)
sqrt = unary("sqrt", "square root", lambda y, x: 0.5 / y, saves=())
sin = unary("sin", "sine, of radians", lambda y, x: x.cos(), save_output=False)
cos = unary("cos", "cosine, of radians", lambda y, x: -x.sin(), save_output=False)
tan = unary("tan", "tangent, of radians", lambda y, x: 1 + y * y, saves=(), decompose=_tan)
tanh = unary("tanh", "hyperbolic tangent", lambda y, x: 1 - y * y, saves=(), decompose=_tanh)
erf = unary("erf", _ERF, lambda y, x: exp(-(x * x)) * _ERF_SLOPE, dtypes="float", save_output=False)
bitwise_invert = unary("bitwise_invert", "complement of bits, or of bools", dtypes="bool int", op="invert")


class _Real(Op):
    """Ops whose result is the real counterpart of a complex operand."""

    def spec(self, *xs: Any, **attrs: Any) -> Any:
        spec = Op.spec(self, *xs, **attrs)
        return spec._replace(dtype=DTYPES[real_code(CODE[spec.dtype])])


def _abs_vjp(g: Tensor, y: Tensor, xs: tuple[Tensor, ...], need: tuple[bool, ...]) -> tuple[Tensor]:
    (x,) = xs
    return (g * x / where(y == 0, 1, y) if KIND[x.dt] == "c" else g * sign(x),)


SIGN = elementwise("sign", dtypes="real", partials=(None,), saves=(), save_output=False)
ABS = _Real("abs", elementwise=True, dtypes="numeric", vjp=_abs_vjp)
REAL = _Real("real", elementwise=True, dtypes="complex", linear=(0,), vjp=identity_vjp)
IMAG = _Real("imag", elementwise=True, dtypes="complex", linear=(0,), vjp=lambda g, y, xs, need: (g * 1j,))
CONJ = elementwise("conj", dtypes="complex", linear=(0,), vjp=lambda g, y, xs, need: (conj(g),))


def abs(x: Any, /) -> Tensor:
    """Elementwise absolute value; real for complex operands. The derivative at 0 is 0."""
    return bind(ABS, (x,), {})


def sign(x: Any, /) -> Tensor:
    """Elementwise -1, 0 or 1, of derivative 0; of complex numbers ``x / abs(x)``, and 0 at 0."""
    if not isinstance(x, Tensor) or KIND[x.dt] != "c":
        return bind1(SIGN, x)
    size = abs(x)
    return where(size == 0, 0, x / where(size == 0, 1, size))


def real(x: Tensor, /) -> Tensor:
    """Real part; of a real tensor, its value as a new handle."""
    return bind(REAL, (x,), {}) if KIND[x.dt] == "c" else alias(x)


def imag(x: Tensor, /) -> Tensor:
    """Imaginary part; zeros of a real tensor, as NumPy's."""
    return bind(IMAG, (x,), {}) if KIND[x.dt] == "c" else x.zeros_like()


def conj(x: Tensor, /) -> Tensor:
    """Complex conjugate; of a real tensor, its value as a new handle."""
    return bind1(CONJ, x) if KIND[x.dt] == "c" else alias(x)


def positive(x: Any, /) -> Tensor:
    """``x`` itself, as a new handle."""
    return alias(x) if isinstance(x, Tensor) else Tensor._convert(x)


# -- two operands


def _sub_vjp(g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
    return g, -g if need[1] else None


def _pow_base(z: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return where(y == 0, 0, y * x ** where(y == 0, 1, y - 1))


def _pow_exponent(z: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """z log x: of x = 0 the limit, 0 for exponents from 0 on and -infinity for negative ones."""
    return z * log(where((x == 0) & (real(y) >= 0), 1, x))


def _remainder_slope(z: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Minus the quotient, which is 0 or -1 for an infinite divisor (``floor_divide`` gives -0 there)."""
    return where(equal(abs(y), math.inf), where(equal(z, y), 1, z - x), -floor_divide(x, y))


def _extremum_vjp(g: Tensor, z: Tensor, xs: Any, need: Any) -> Any:
    """The cotangent for the operand that ``z`` is, halves for equal ones; for both where ``z`` is NaN."""
    share = where(xs[0] == xs[1], g * 0.5, g)
    return [where((x < z) | (z < x), 0, share) if n else None for x, n in zip(xs, need, strict=True)]


DIV = elementwise("div", dtypes="inexact", partials=(lambda q, x, y: 1 / y, lambda q, x, y: -(q / y)), saves=(1,))
POW = elementwise("pow", dtypes="numeric", partials=(_pow_base, _pow_exponent))


def divide(x: Any, y: Any, /) -> Tensor:
    """Elementwise true division; integers are divided as float32.

    >>> divide(asarray([1, 3]), 2).tolist()
    [0.5, 1.5]
    """
    return bind2(DIV, floating(x), floating(y))


def _root(x: Tensor) -> Tensor:
    """``x ** 0.5``, which is infinite at -infinity and 0 at -0.0, unlike the square root."""
    return sqrt(x if KIND[x.dt] == "c" else where(x == -math.inf, math.inf, x) + 0.0)


def pow(x: Any, y: Any, /) -> Tensor:
    """Elementwise ``x ** y``; ArgumentError for integers to a negative power. Small integer powers are products.

    Where x is 0 the derivative in y is taken as 0, and that in x is infinite for y < 1 other than 0.
    """
    if type(y) is int and isinstance(x, Tensor):
        if y in (1, 2, 3):
            return x * x if y == 2 else x * x * x if y == 3 else +x
        if y < 0 and KIND[x.dt] in "iu":
            raise ArgumentError(f"pow: {x.dtype} to the power {y} is no integer; cast with .astype('float64') first")
    if type(y) is float and y == 0.5 and isinstance(x, Tensor):
        return _root(floating(x))
    return bind2(POW, x, y)


add = binary("add", "``x + y``", "arithmetic", ONE, ONE, linear=(0, 1))
subtract = binary(
    "subtract", "``x - y``", "numeric", op="sub", linear=(0, 1), vjp=_sub_vjp, decompose=lambda x, y: x + -y
)
multiply = binary("multiply", "``x * y``", "arithmetic", SECOND, FIRST, op="mul", multilinear=(0, 1))
maximum = binary("maximum", "maximum; NaN wins. Equal operands share the gradient", "ordered", vjp=_extremum_vjp)
minimum = binary("minimum", "minimum; NaN wins. Equal operands share the gradient", "ordered", vjp=_extremum_vjp)
_FLOORED = "floor of the exact ``x / y``, as of Python's ``//``; of an infinite operand the quotient"
floor_divide = binary("floor_divide", _FLOORED, "real", None, None, saves=(), save_output=False)
_REMAINDER = "remainder with the sign of ``y``, ``%``"
remainder = binary("remainder", _REMAINDER, "real", ONE, _remainder_slope)
bitwise_and = binary("bitwise_and", "and of bits, or of bools", "bool int")
bitwise_or = binary("bitwise_or", "or of bits, or of bools", "bool int")
bitwise_xor = binary("bitwise_xor", "exclusive or of bits, or of bools", "bool int")
bitwise_left_shift = binary("bitwise_left_shift", "``x << y`` of integers", "int", op="shift_left")
bitwise_right_shift = binary("bitwise_right_shift", "``x >> y`` of integers", "int", op="shift_right")
equal = binary("equal", "``x == y``, as bool", "arithmetic", boolean=True)
less = binary("less", "``x < y``, as bool", "ordered", boolean=True)
less_equal = binary("less_equal", "``x <= y``, as bool", "ordered", boolean=True)


# -- composed


def square(x: Any, /) -> Tensor:
    """Elementwise ``x * x``."""
    return multiply(x, x)


def reciprocal(x: Any, /) -> Tensor:
    """Elementwise ``1 / x``."""
    return divide(1, x)


def not_equal(x: Any, y: Any, /) -> Tensor:
    """Elementwise ``x != y``, as bool."""
    return bitwise_invert(equal(x, y))


def greater(x: Any, y: Any, /) -> Tensor:
    """Elementwise ``x > y``, as bool."""
    return less(y, x)


def greater_equal(x: Any, y: Any, /) -> Tensor:
    """Elementwise ``x >= y``, as bool."""
    return less_equal(y, x)


def _bools(name: str, *xs: Any) -> tuple[Any, ...]:
    for x in xs:
        if isinstance(x, Tensor) and x.dtype != bool_:
            raise DTypeError(f"{name}: needs bool operands, got {x.dtype}; compare first, such as x != 0")
    return xs


def logical_and(x: Any, y: Any, /) -> Tensor:
    """Elementwise and of bools."""
    return bitwise_and(*_bools("logical_and", x, y))


def logical_or(x: Any, y: Any, /) -> Tensor:
    """Elementwise or of bools."""
    return bitwise_or(*_bools("logical_or", x, y))


def logical_xor(x: Any, y: Any, /) -> Tensor:
    """Elementwise exclusive or of bools."""
    return bitwise_xor(*_bools("logical_xor", x, y))


def logical_not(x: Any, /) -> Tensor:
    """Elementwise not of bools."""
    return bitwise_invert(*_bools("logical_not", x))


def isnan(x: Any, /) -> Tensor:
    """Elementwise: is it NaN?"""
    return not_equal(x, x)


def isfinite(x: Any, /) -> Tensor:
    """Elementwise: is it neither infinite nor NaN?"""
    (x,) = tensors(x)
    if KIND[x.dt] == "c":
        return logical_and(isfinite(real(x)), isfinite(imag(x)))
    return less(abs(x), math.inf) if KIND[x.dt] == "f" else equal(x, x)


def _where_vjp(g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
    return None, where(xs[0], g, 0) if need[1] else None, where(xs[0], 0, g) if need[2] else None


WHERE = elementwise("where", key=1, dtypes="any", together=(1, 2), linear=(1, 2), saves=(0,), vjp=_where_vjp)


def where(condition: Any, x: Any, y: Any, /) -> Tensor:
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


def clip(x: Any, /, min: Any = None, max: Any = None) -> Tensor:
    """``x`` limited to [min, max], scalars or tensors that broadcast with it; either may be None. NaN wins.

    >>> clip(asarray([1, 5, 9]), 2, asarray([8, 4, 7])).tolist()
    [2, 4, 7]
    """
    out = positive(x) if min is None else maximum(x, min)
    return out if max is None else minimum(out, max)
