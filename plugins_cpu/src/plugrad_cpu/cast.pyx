"""Casts, and functions whose result has another dtype. Drivers: ``rows``; loops: ``cast.h``."""

from plugrad.errors import DTypeError

from .plan cimport pg_plan
from .rows cimport add_operand, run_plan, run_row, start_plan
from .tables cimport load, pg_fn, pg_row_fn
from .view cimport PG_B1, PG_C8, PG_C16, PG_CODES, PG_F4, PG_F8, View, code_of, fresh, pg_itemsize, pg_short_name

from .movement import copy

cdef pg_fn CAST[PG_CODES][PG_CODES]        # [from][to]
for _code in range(PG_CODES):
    load("cast", pg_short_name[_code], CAST[_code])
cdef pg_fn MAGNITUDE[PG_CODES]
cdef pg_fn REAL[PG_CODES]
cdef pg_fn IMAG[PG_CODES]
cdef pg_fn SIGNBIT[PG_CODES]
load("cast", "abs", MAGNITUDE)
load("cast", "real", REAL)
load("cast", "imag", IMAG)
load("cast", "signbit", SIGNBIT)


cdef View changed(str op, pg_fn* by_code, View x):
    """A function of the elements: of complex numbers to floats, of floats to bools."""
    if by_code[x.code] == NULL:
        raise DTypeError(f"{op}: not defined for {x.dtype}; cast it first")
    code = PG_F4 if x.code == PG_C8 else PG_F8 if x.code == PG_C16 else PG_B1
    return converted(op, <pg_row_fn>by_code[x.code], x, code)


cdef View converted(str op, pg_row_fn row, View x, int code):
    """The elements through a row whose result has another dtype."""
    cdef pg_plan plan
    cdef char* p[2]
    cdef Py_ssize_t s[2]
    cdef View out = fresh(x.ndim, x.dims, code)
    if x.size == 0:
        return out
    p[0] = out.data
    p[1] = x.data
    if x.contiguous:
        s[0] = pg_itemsize[code]
        s[1] = pg_itemsize[x.code]
        run_row(row, p, s, x.size)
        return out
    start_plan(&plan, out)
    add_operand(&plan, x, out, op)
    run_plan(row, &plan, p, out.size)
    return out


def cast(View x not None, *, dtype) -> View:
    """The elements converted to another dtype, C's way; to bool: whether they differ from 0; of complex: the real part.
    """
    cdef int code = code_of(dtype)
    return copy(x) if code == x.code else converted("cast", <pg_row_fn>CAST[x.code][code], x, code)


def magnitude(View x not None) -> View:
    """Absolute values of complex numbers, as floats."""
    return changed("abs", MAGNITUDE, x)


def real(View x not None) -> View:
    """Real parts of complex numbers, as floats."""
    return changed("real", REAL, x)


def imag(View x not None) -> View:
    """Imaginary parts of complex numbers, as floats."""
    return changed("imag", IMAG, x)


def signbit(View x not None) -> View:
    """Whether the sign bit of a float is set; NaN has one too."""
    return changed("signbit", SIGNBIT, x)
