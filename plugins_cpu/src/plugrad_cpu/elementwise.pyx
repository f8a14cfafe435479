"""Elementwise ops, comparisons, ``where``, ``cast``. Drivers: ``rows``; loops: ``elementwise.h``, ``cast.h``.

``<op>_into(out, ...)`` writes into ``out``, which may be an operand. A Python scalar may stand for one of two operands.
"""

from .plan cimport pg_plan
from .rows cimport Rows, add_operand, binary, name_rows, run_plan, run_row, select, start_plan, unary
from .tables cimport load, pg_fn, pg_row_fn
from .view cimport PG_CODES, View, code_of, fresh, pg_itemsize, pg_short_name

from .movement import copy

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
    """Absolute values."""
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
    """Hyperbolic tangents, to 4 ulp."""
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


def erf(View x not None) -> View:
    """Error function."""
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


# -- the same into given memory

def neg_into(View out not None, View x not None) -> None:
    unary(&NEG, x, out)


def abs_into(View out not None, View x not None) -> None:
    unary(&ABS, x, out)


def sign_into(View out not None, View x not None) -> None:
    unary(&SIGN, x, out)


def invert_into(View out not None, View x not None) -> None:
    unary(&INVERT, x, out)


def sqrt_into(View out not None, View x not None) -> None:
    unary(&SQRT, x, out)


def floor_into(View out not None, View x not None) -> None:
    unary(&FLOOR, x, out)


def exp_into(View out not None, View x not None) -> None:
    unary(&EXP, x, out)


def log_into(View out not None, View x not None) -> None:
    unary(&LOG, x, out)


def tanh_into(View out not None, View x not None) -> None:
    unary(&TANH, x, out)


def expm1_into(View out not None, View x not None) -> None:
    unary(&EXPM1, x, out)


def log1p_into(View out not None, View x not None) -> None:
    unary(&LOG1P, x, out)


def sin_into(View out not None, View x not None) -> None:
    unary(&SIN, x, out)


def cos_into(View out not None, View x not None) -> None:
    unary(&COS, x, out)


def erf_into(View out not None, View x not None) -> None:
    unary(&ERF, x, out)


def add_into(View out not None, x, y) -> None:
    binary(&ADD, x, y, out, False)


def sub_into(View out not None, x, y) -> None:
    binary(&SUB, x, y, out, False)


def mul_into(View out not None, x, y) -> None:
    binary(&MUL, x, y, out, False)


def div_into(View out not None, x, y) -> None:
    binary(&DIV, x, y, out, False)


def pow_into(View out not None, x, y) -> None:
    binary(&POW, x, y, out, False)


def maximum_into(View out not None, x, y) -> None:
    binary(&MAXIMUM, x, y, out, False)


def minimum_into(View out not None, x, y) -> None:
    binary(&MINIMUM, x, y, out, False)


def bitwise_and_into(View out not None, x, y) -> None:
    binary(&BITWISE_AND, x, y, out, False)


def bitwise_or_into(View out not None, x, y) -> None:
    binary(&BITWISE_OR, x, y, out, False)


def bitwise_xor_into(View out not None, x, y) -> None:
    binary(&BITWISE_XOR, x, y, out, False)


def remainder_into(View out not None, x, y) -> None:
    binary(&REMAINDER, x, y, out, False)


def floor_divide_into(View out not None, x, y) -> None:
    binary(&FLOOR_DIVIDE, x, y, out, False)


def shift_left_into(View out not None, x, y) -> None:
    binary(&SHIFT_LEFT, x, y, out, False)


def shift_right_into(View out not None, x, y) -> None:
    binary(&SHIFT_RIGHT, x, y, out, False)


# -- where and cast

def where(View c not None, x, y) -> View:
    """x where the condition holds, else y."""
    return select(c, x, y, None)


def where_into(View out not None, View c not None, x, y) -> None:
    """``where`` into ``out``."""
    select(c, x, y, out)


# -- cast

cdef pg_fn CAST[PG_CODES][PG_CODES]        # [from][to]
for _code in range(PG_CODES):
    load("cast", pg_short_name[_code], CAST[_code])


def cast(View x not None, *, dtype) -> View:
    """The elements converted to another dtype, C's way; to bool: whether they differ from 0."""
    cdef int code = code_of(dtype)
    cdef pg_plan plan
    cdef char* p[2]
    cdef Py_ssize_t s[2]
    cdef View out
    if code == x.code:
        return copy(x)
    out = fresh(x.ndim, x.dims, code)
    if x.size == 0:
        return out
    p[0] = out.data
    p[1] = x.data
    if x.contiguous:
        s[0] = pg_itemsize[code]
        s[1] = pg_itemsize[x.code]
        run_row(<pg_row_fn>CAST[x.code][code], p, s, x.size)
        return out
    start_plan(&plan, out)
    add_operand(&plan, x, out, "cast")
    run_plan(<pg_row_fn>CAST[x.code][code], &plan, p, out.size)
    return out
