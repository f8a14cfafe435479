"""The Array API's further elementwise functions: rounding, signs and neighbours of floating numbers, logarithms,
hyperbolic and inverse trigonometric functions.

Each but ``atan2`` and ``nextafter`` says what it is in simpler ops, for backends without its kernel; float16 and
bfloat16 go through float32 there. Complex inverses are those of W. Kahan, "Branch cuts for complex elementary
functions, or much ado about nothing's sign bit" (1987).

>>> hypot(asarray([3.0]), 4.0).tolist(), round(asarray([0.5, 1.5, -2.5])).tolist()
([5.0], [0.0, 2.0, -2.0])
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from ..dtypes import BF2, F2, KIND, float32
from ..op import ONE
from ..tensor import Tensor
from .common import cast, tensors
from .elementwise import (
    abs,
    binary,
    conj,
    cos,
    equal,
    exp,
    expm1,
    floor,
    imag,
    log,
    log1p,
    logical_or,
    maximum,
    minimum,
    not_equal,
    real,
    rounding,
    sign,
    sin,
    sqrt,
    unary,
    where,
)

# fmt: off
__all__ = [
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "ceil", "copysign", "cosh", "hypot", "isinf", "log2",
    "log10", "logaddexp", "nextafter", "round", "signbit", "sinh", "trunc"
]
# fmt: on

_FAR = 1e4
"""From here on squares count no more in asinh and acosh, in float64; in float32 they do not overflow below."""
_LN2, _LN10 = math.log(2), math.log(10)


def _wide(decompose: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The decomposition, computing low-precision floats in float32."""

    @functools.wraps(decompose)
    def wider(*xs: Tensor) -> Tensor:
        if xs[0].dt not in (F2, BF2):
            return decompose(*xs)
        return cast(decompose(*[cast(x, float32) for x in xs]), xs[0].dtype)

    return wider


def _is_complex(x: Tensor) -> bool:
    return KIND[x.dt] == "c"


def _complex(re: Tensor, im: Tensor) -> Tensor:
    return re + im * 1j


# -- signs and neighbours


def _signbit(x: Tensor) -> Tensor:
    """By comparison, and by the infinity that is one over a zero; NaN counts as positive."""
    return (x < 0) | ((x == 0) & (1 / x < 0))


def _copysign(x: Tensor, y: Tensor) -> Tensor:
    size = abs(x)
    return where(signbit(y), -size, size)


def _copysign_slope(z: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return where(signbit(y), -sign(x), sign(x))


_SIGNBIT = "whether the sign bit is set, as bool: of -0.0 too, and of NaN where the backend has a kernel for it"
_COPYSIGN = "``abs(x)`` with the sign of ``y``; its derivative at x = 0 is 0"
_NEXTAFTER = "next number of the dtype from ``x`` towards ``y``; its derivative in x is 1"

signbit = unary("signbit", _SIGNBIT, dtypes="float", boolean=True, decompose=_signbit)
copysign = binary("copysign", _COPYSIGN, "float", _copysign_slope, None, save_output=False, decompose=_copysign)
nextafter = binary("nextafter", _NEXTAFTER, "float", ONE, None, saves=(), save_output=False)


def isinf(x: Any, /) -> Tensor:
    """Elementwise: is it infinite, or of complex numbers one of its parts?"""
    (x,) = tensors(x)
    if _is_complex(x):
        return logical_or(isinf(real(x)), isinf(imag(x)))
    return equal(abs(x), math.inf) if KIND[x.dt] == "f" else not_equal(x, x)


# -- rounding


def _trunc(x: Tensor) -> Tensor:
    return copysign(floor(abs(x)), x)


def _round(x: Tensor) -> Tensor:
    if _is_complex(x):
        return _complex(round(real(x)), round(imag(x)))
    size = abs(x)
    low = floor(size)
    rest, odd = size - low, low - floor(low * 0.5) * 2 == 1
    return copysign(where((rest > 0.5) | ((rest == 0.5) & odd), low + 1, low), x)


ceil = rounding("ceil", "least whole number that is not below ``x``", decompose=lambda x: -floor(-x))
trunc = rounding("trunc", "whole number next to ``x`` towards 0", decompose=_trunc)
round = rounding("round", "nearest whole number, the even one of two", dtypes="inexact", decompose=_round)


# -- logarithms


def _logaddexp(x: Tensor, y: Tensor) -> Tensor:
    """From the larger; where they are equal, perhaps infinite, without their difference."""
    return maximum(x, y) + where(x == y, _LN2, log1p(exp(-abs(x - y))))


def _logaddexp_slope(z: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The share of ``exp(x)`` in the sum, from the difference of the operands: beside huge ones z is rounded."""
    equals = (x == y) & isinf(x)
    return exp(-logaddexp(where(equals, 0.0, y - x), 0.0))


_LOG2, _LOG10 = "logarithm to base 2", "logarithm to base 10"
_LOGADDEXP = "``log(exp(x) + exp(y))``, without overflow"


def _log_to(base: float) -> Callable[[Tensor], Tensor]:
    """The logarithm to a base of which this is the natural one; parts on their own, as one may be infinite."""

    def decompose(x: Tensor) -> Tensor:
        y = log(x)
        return _complex(real(y) / base, imag(y) / base) if _is_complex(x) else y / base

    return _wide(decompose)


log2 = unary("log2", _LOG2, lambda y, x: 1 / (x * _LN2), save_output=False, decompose=_log_to(_LN2))
log10 = unary("log10", _LOG10, lambda y, x: 1 / (x * _LN10), save_output=False, decompose=_log_to(_LN10))
logaddexp = binary(
    "logaddexp",
    _LOGADDEXP,
    "float",
    _logaddexp_slope,
    lambda z, x, y: _logaddexp_slope(z, y, x),
    save_output=False,
    decompose=_wide(_logaddexp),
)


# -- a point in the plane


def _hypot(x: Tensor, y: Tensor) -> Tensor:
    """From the ratio of the shorter side to the longer, so that no square overflows; infinity wins over NaN."""
    x, y = abs(x), abs(y)
    long, short = maximum(x, y), minimum(x, y)
    ratio = short / where(long == 0, 1, long)
    return where((x == math.inf) | (y == math.inf), math.inf, long * sqrt(ratio * ratio + 1))


def _hypot_slope(z: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return x / where(z == 0, 1, z)


def _atan2_slope(y: Tensor, x: Tensor) -> Tensor:
    """``x / (x**2 + y**2)``, without overflow."""
    length = hypot(x, y)
    length = where(length == 0, 1, length)
    return x / length / length


_HYPOT = "``sqrt(x**2 + y**2)``, without overflow; its derivatives at the origin are 0"
_ATAN2 = "angle between the positive x-axis and the point (second, first operand); its derivatives at the origin are 0"

hypot = binary("hypot", _HYPOT, "float", _hypot_slope, lambda z, x, y: _hypot_slope(z, y, x), decompose=_wide(_hypot))
atan2 = binary(
    "atan2",
    _ATAN2,
    "float",
    lambda z, y, x: _atan2_slope(y, x),
    lambda z, y, x: -_atan2_slope(x, y),
    save_output=False,
)


# -- hyperbolic


def _plus(x: Tensor) -> Tensor:
    """``1 + x``, as a difference: a sum loses the sign of a zero imaginary part, the side of a branch cut."""
    return x - -1


def _rest(x: Tensor) -> Tensor:
    """``1 - x``, which keeps that sign too."""
    return -(x - 1)


def _turned(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``f(ix) / i`` of an odd f, from the right half of the plane: a turn of the left one loses that sign."""
    left = signbit(real(x))
    out = f(where(left, -x, x) * 1j) * -1j
    return where(left, -out, out)


def _halves(size: Tensor) -> tuple[Tensor, Tensor]:
    """Half of ``exp(size)`` and of ``exp(-size)``; the first overflows no sooner than it must."""
    root = exp(size * 0.5)
    return root * 0.5 * root, exp(-size) * 0.5


def _sinh(x: Tensor) -> Tensor:
    if _is_complex(x):
        return _complex(sinh(real(x)) * cos(imag(x)), cosh(real(x)) * sin(imag(x)))
    size = abs(x)
    e, (grown, shrunk) = expm1(size), _halves(size)
    return copysign(where(size < 1, (e + e / (e + 1)) * 0.5, grown - shrunk), x)


def _cosh(x: Tensor) -> Tensor:
    if _is_complex(x):
        return _complex(cosh(real(x)) * cos(imag(x)), sinh(real(x)) * sin(imag(x)))
    grown, shrunk = _halves(abs(x))
    return grown + shrunk


def _asinh(x: Tensor) -> Tensor:
    if _is_complex(x):
        return _turned(asin, x)
    size = abs(x)
    near, far = minimum(size, _FAR), maximum(size, 1)
    square = near * near
    small, large = log1p(near + square / (sqrt(square + 1) + 1)), log(far) + _LN2 + 0.25 / far / far
    return copysign(where(size <= _FAR, small, large), x)


def _acosh(x: Tensor) -> Tensor:
    if _is_complex(x):
        low, high = sqrt(x - 1), sqrt(_plus(x))
        return _complex(asinh(real(conj(low) * high)), atan2(imag(low), real(high)) * 2)
    x = where(x < 1, math.nan, x)
    over = minimum(x, _FAR) - 1
    return where(x <= _FAR, log1p(over + sqrt(over * (over + 2))), log(x) + _LN2 - 0.25 / x / x)


def _atanh(x: Tensor) -> Tensor:
    if not _is_complex(x):
        size = abs(x)
        return copysign(log1p(size * 2 / (1 - size)) * 0.5, x)
    a, b = real(x), imag(x)
    size, square = abs(a), b * b
    rest = 1 - size
    length = log1p(size * 4 / (rest * rest + square)) * 0.25
    return _complex(copysign(length, a), atan2(b * 2, rest * (size + 1) - square) * 0.5)


def _asinh_slope(y: Tensor, x: Tensor) -> Tensor:
    """``1 / sqrt(x**2 + 1)``, of reals without overflow."""
    return 1 / (sqrt(_plus(x * x)) if _is_complex(x) else hypot(x, 1.0))


def _acosh_slope(y: Tensor, x: Tensor) -> Tensor:
    return 1 / (sqrt(x - 1) * sqrt(_plus(x)))


_ACOSH = "inverse hyperbolic cosine; NaN for reals below 1"
_ATANH = "inverse hyperbolic tangent; NaN for reals outside [-1, 1]"


def _sinh_slope(y: Tensor, x: Tensor) -> Tensor:
    return cosh(x)


sinh = unary("sinh", "hyperbolic sine", _sinh_slope, save_output=False, decompose=_wide(_sinh))
cosh = unary("cosh", "hyperbolic cosine", lambda y, x: sinh(x), save_output=False, decompose=_wide(_cosh))
asinh = unary("asinh", "inverse hyperbolic sine", _asinh_slope, save_output=False, decompose=_wide(_asinh))
acosh = unary("acosh", _ACOSH, _acosh_slope, save_output=False, decompose=_wide(_acosh))
atanh = unary("atanh", _ATANH, lambda y, x: 1 / ((1 - x) * (1 + x)), save_output=False, decompose=_wide(_atanh))


# -- inverse trigonometric


def _leg(x: Tensor) -> Tensor:
    """``sqrt(1 - x**2)``, exact near 1; of complex numbers the product of two roots, which has no other cuts."""
    return sqrt(_rest(x)) * sqrt(_plus(x)) if _is_complex(x) else sqrt((1 - x) * (1 + x))


def _asin(x: Tensor) -> Tensor:
    if not _is_complex(x):
        return atan2(x, _leg(x))
    low, high = sqrt(_rest(x)), sqrt(_plus(x))
    return _complex(atan2(real(x), real(low * high)), asinh(imag(conj(low) * high)))


def _acos(x: Tensor) -> Tensor:
    if not _is_complex(x):
        return atan2(_leg(x), x)
    low, high = sqrt(_rest(x)), sqrt(_plus(x))
    return _complex(atan2(real(low), real(high)) * 2, asinh(imag(conj(high) * low)))


def _atan(x: Tensor) -> Tensor:
    return _turned(atanh, x) if _is_complex(x) else atan2(x, x.ones_like())


_ASIN, _ACOS = "inverse sine; NaN for reals outside [-1, 1]", "inverse cosine; NaN for reals outside [-1, 1]"

asin = unary("asin", _ASIN, lambda y, x: 1 / _leg(x), save_output=False, decompose=_wide(_asin))
acos = unary("acos", _ACOS, lambda y, x: -1 / _leg(x), save_output=False, decompose=_wide(_acos))
atan = unary("atan", "inverse tangent", lambda y, x: 1 / (x * x + 1), save_output=False, decompose=_wide(_atan))
