"""Elementwise ops, comparisons, ``where``. Drivers: ``rows``; loops: ``elementwise.h``.

``<op>_into(out, ...)`` writes into ``out``, which may be an operand. A Python scalar may stand for one of two operands.
"""

from .rows cimport Rows, binary, name_rows, select, unary
from .view cimport PG_C8, PG_C16, View

from .cast import magnitude

cdef Rows NEG
cdef Rows ABS
cdef Rows SIGN
cdef Rows INVERT
cdef Rows SQRT
cdef Rows FLOOR
cdef Rows EXP
cdef Rows LOG
cdef Rows TANH
cdef Rows EXPM1
cdef Rows LOG1P
cdef Rows SIN
cdef Rows COS
cdef Rows TAN
cdef Rows SINH
cdef Rows COSH
cdef Rows ASIN
cdef Rows ACOS
cdef Rows ATAN
cdef Rows ASINH
cdef Rows ACOSH
cdef Rows ATANH
cdef Rows CONJ
cdef Rows ERF
cdef Rows ADD
cdef Rows SUB
cdef Rows MUL
cdef Rows DIV
cdef Rows POW
cdef Rows MAXIMUM
cdef Rows MINIMUM
cdef Rows BITWISE_AND
cdef Rows BITWISE_OR
cdef Rows BITWISE_XOR
cdef Rows REMAINDER
cdef Rows FLOOR_DIVIDE
cdef Rows SHIFT_LEFT
cdef Rows SHIFT_RIGHT
cdef Rows EQUAL
cdef Rows LESS
cdef Rows LESS_EQUAL
name_rows(&NEG, "neg")
name_rows(&ABS, "abs")
name_rows(&SIGN, "sign")
name_rows(&INVERT, "invert")
name_rows(&SQRT, "sqrt")
name_rows(&FLOOR, "floor")
name_rows(&EXP, "exp")
name_rows(&LOG, "log")
name_rows(&TANH, "tanh")
name_rows(&EXPM1, "expm1")
name_rows(&LOG1P, "log1p")
name_rows(&SIN, "sin")
name_rows(&COS, "cos")
name_rows(&TAN, "tan")
name_rows(&SINH, "sinh")
name_rows(&COSH, "cosh")
name_rows(&ASIN, "asin")
name_rows(&ACOS, "acos")
name_rows(&ATAN, "atan")
name_rows(&ASINH, "asinh")
name_rows(&ACOSH, "acosh")
name_rows(&ATANH, "atanh")
name_rows(&CONJ, "conj")
name_rows(&ERF, "erf")
name_rows(&ADD, "add")
name_rows(&SUB, "sub")
name_rows(&MUL, "mul")
name_rows(&DIV, "div")
name_rows(&POW, "pow")
name_rows(&MAXIMUM, "maximum")
name_rows(&MINIMUM, "minimum")
name_rows(&BITWISE_AND, "bitwise_and")
name_rows(&BITWISE_OR, "bitwise_or")
name_rows(&BITWISE_XOR, "bitwise_xor")
name_rows(&REMAINDER, "remainder")
name_rows(&FLOOR_DIVIDE, "floor_divide")
name_rows(&SHIFT_LEFT, "shift_left")
name_rows(&SHIFT_RIGHT, "shift_right")
name_rows(&EQUAL, "equal")
name_rows(&LESS, "less")
name_rows(&LESS_EQUAL, "less_equal")


def neg(View x not None) -> View:
    """-x; integers wrap around."""
    return unary(&NEG, x, None)


def abs(View x not None) -> View:
    """Absolute values; of complex numbers as floats."""
    if x.code == PG_C8 or x.code == PG_C16:
        return magnitude(x)
    return unary(&ABS, x, None)


def sign(View x not None) -> View:
    """-1, 0 or 1; NaN stays."""
    return unary(&SIGN, x, None)


def invert(View x not None) -> View:
    """Bitwise complement; logical not of bools."""
    return unary(&INVERT, x, None)


def sqrt(View x not None) -> View:
    """Square roots; NaN below 0."""
    return unary(&SQRT, x, None)


def floor(View x not None) -> View:
    """Largest integers not above x."""
    return unary(&FLOOR, x, None)


def exp(View x not None) -> View:
    """e^x, to 2 ulp."""
    return unary(&EXP, x, None)


def log(View x not None) -> View:
    """Natural logarithms, to 2 ulp; -inf at 0, NaN below."""
    return unary(&LOG, x, None)


def tanh(View x not None) -> View:
    """Hyperbolic tangents, to 6 ulp in float32, 4 in float64."""
    return unary(&TANH, x, None)


def expm1(View x not None) -> View:
    """e^x - 1."""
    return unary(&EXPM1, x, None)


def log1p(View x not None) -> View:
    """log(1 + x)."""
    return unary(&LOG1P, x, None)


def sin(View x not None) -> View:
    """Sines."""
    return unary(&SIN, x, None)


def cos(View x not None) -> View:
    """Cosines."""
    return unary(&COS, x, None)


def tan(View x not None) -> View:
    """Tangents."""
    return unary(&TAN, x, None)


def sinh(View x not None) -> View:
    """Hyperbolic sines."""
    return unary(&SINH, x, None)


def cosh(View x not None) -> View:
    """Hyperbolic cosines."""
    return unary(&COSH, x, None)


def asin(View x not None) -> View:
    """Inverse sines."""
    return unary(&ASIN, x, None)


def acos(View x not None) -> View:
    """Inverse cosines."""
    return unary(&ACOS, x, None)


def atan(View x not None) -> View:
    """Inverse tangents."""
    return unary(&ATAN, x, None)


def asinh(View x not None) -> View:
    """Inverse hyperbolic sines."""
    return unary(&ASINH, x, None)


def acosh(View x not None) -> View:
    """Inverse hyperbolic cosines."""
    return unary(&ACOSH, x, None)


def atanh(View x not None) -> View:
    """Inverse hyperbolic tangents."""
    return unary(&ATANH, x, None)


def conj(View x not None) -> View:
    """Complex conjugates."""
    return unary(&CONJ, x, None)


def erf(View x not None) -> View:
    """Error function, to 6 ulp in float32."""
    return unary(&ERF, x, None)


def add(x, y) -> View:
    """x + y; logical or of bools."""
    return binary(&ADD, x, y, None, False)


def sub(x, y) -> View:
    """x - y."""
    return binary(&SUB, x, y, None, False)


def mul(x, y) -> View:
    """x * y; logical and of bools."""
    return binary(&MUL, x, y, None, False)


def div(x, y) -> View:
    """x / y of floats."""
    return binary(&DIV, x, y, None, False)


def pow(x, y) -> View:
    """x ** y of floats, C's special cases."""
    return binary(&POW, x, y, None, False)


def maximum(x, y) -> View:
    """The larger one; NaN if either is."""
    return binary(&MAXIMUM, x, y, None, False)


def minimum(x, y) -> View:
    """The smaller one; NaN if either is."""
    return binary(&MINIMUM, x, y, None, False)


def bitwise_and(x, y) -> View:
    """x & y."""
    return binary(&BITWISE_AND, x, y, None, False)


def bitwise_or(x, y) -> View:
    """x | y."""
    return binary(&BITWISE_OR, x, y, None, False)


def bitwise_xor(x, y) -> View:
    """x ^ y."""
    return binary(&BITWISE_XOR, x, y, None, False)


def remainder(x, y) -> View:
    """x - y floor(x / y), with the sign of y; an integer by 0 gives 0."""
    return binary(&REMAINDER, x, y, None, False)


def floor_divide(x, y) -> View:
    """floor(x / y); an integer by 0 gives 0."""
    return binary(&FLOOR_DIVIDE, x, y, None, False)


def shift_left(x, y) -> View:
    """x << y; 0 once all bits are out."""
    return binary(&SHIFT_LEFT, x, y, None, False)


def shift_right(x, y) -> View:
    """x >> y; 0, or -1 below 0, once all bits are out."""
    return binary(&SHIFT_RIGHT, x, y, None, False)


def equal(x, y) -> View:
    """x == y."""
    return binary(&EQUAL, x, y, None, True)


def less(x, y) -> View:
    """x < y."""
    return binary(&LESS, x, y, None, True)


def less_equal(x, y) -> View:
    """x <= y."""
    return binary(&LESS_EQUAL, x, y, None, True)


# -- the same into given memory: NotImplemented for a dtype without a loop

cdef object unary_into(Rows* rows, View x, View out):
    if rows.by_code[x.code] == NULL:
        return NotImplemented
    unary(rows, x, out)
    return None


cdef object binary_into(Rows* rows, object x, object y, View out):
    if rows.by_code[out.code] == NULL:
        return NotImplemented
    binary(rows, x, y, out, False)
    return None


def neg_into(View out not None, View x not None):
    return unary_into(&NEG, x, out)


def abs_into(View out not None, View x not None):
    return unary_into(&ABS, x, out)


def sign_into(View out not None, View x not None):
    return unary_into(&SIGN, x, out)


def invert_into(View out not None, View x not None):
    return unary_into(&INVERT, x, out)


def sqrt_into(View out not None, View x not None):
    return unary_into(&SQRT, x, out)


def floor_into(View out not None, View x not None):
    return unary_into(&FLOOR, x, out)


def exp_into(View out not None, View x not None):
    return unary_into(&EXP, x, out)


def log_into(View out not None, View x not None):
    return unary_into(&LOG, x, out)


def tanh_into(View out not None, View x not None):
    return unary_into(&TANH, x, out)


def expm1_into(View out not None, View x not None):
    return unary_into(&EXPM1, x, out)


def log1p_into(View out not None, View x not None):
    return unary_into(&LOG1P, x, out)


def sin_into(View out not None, View x not None):
    return unary_into(&SIN, x, out)


def cos_into(View out not None, View x not None):
    return unary_into(&COS, x, out)


def tan_into(View out not None, View x not None):
    return unary_into(&TAN, x, out)


def sinh_into(View out not None, View x not None):
    return unary_into(&SINH, x, out)


def cosh_into(View out not None, View x not None):
    return unary_into(&COSH, x, out)


def asin_into(View out not None, View x not None):
    return unary_into(&ASIN, x, out)


def acos_into(View out not None, View x not None):
    return unary_into(&ACOS, x, out)


def atan_into(View out not None, View x not None):
    return unary_into(&ATAN, x, out)


def asinh_into(View out not None, View x not None):
    return unary_into(&ASINH, x, out)


def acosh_into(View out not None, View x not None):
    return unary_into(&ACOSH, x, out)


def atanh_into(View out not None, View x not None):
    return unary_into(&ATANH, x, out)


def conj_into(View out not None, View x not None):
    return unary_into(&CONJ, x, out)


def erf_into(View out not None, View x not None):
    return unary_into(&ERF, x, out)


def add_into(View out not None, x, y):
    return binary_into(&ADD, x, y, out)


def sub_into(View out not None, x, y):
    return binary_into(&SUB, x, y, out)


def mul_into(View out not None, x, y):
    return binary_into(&MUL, x, y, out)


def div_into(View out not None, x, y):
    return binary_into(&DIV, x, y, out)


def pow_into(View out not None, x, y):
    return binary_into(&POW, x, y, out)


def maximum_into(View out not None, x, y):
    return binary_into(&MAXIMUM, x, y, out)


def minimum_into(View out not None, x, y):
    return binary_into(&MINIMUM, x, y, out)


def bitwise_and_into(View out not None, x, y):
    return binary_into(&BITWISE_AND, x, y, out)


def bitwise_or_into(View out not None, x, y):
    return binary_into(&BITWISE_OR, x, y, out)


def bitwise_xor_into(View out not None, x, y):
    return binary_into(&BITWISE_XOR, x, y, out)


def remainder_into(View out not None, x, y):
    return binary_into(&REMAINDER, x, y, out)


def floor_divide_into(View out not None, x, y):
    return binary_into(&FLOOR_DIVIDE, x, y, out)


def shift_left_into(View out not None, x, y):
    return binary_into(&SHIFT_LEFT, x, y, out)


def shift_right_into(View out not None, x, y):
    return binary_into(&SHIFT_RIGHT, x, y, out)


# -- where

def where(View c not None, x, y) -> View:
    """x where the condition holds, else y."""
    return select(c, x, y, None)


def where_into(View out not None, View c not None, x, y) -> None:
    """``where`` into ``out``."""
    select(c, x, y, out)
