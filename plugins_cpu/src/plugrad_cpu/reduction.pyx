"""sum, prod, max, min over any axes; argmax, argmin, cumsum along one. The loops are in ``reduction.h``."""

from libc.stdint cimport uint64_t

from plugrad.errors import DTypeError, ShapeError

from .movement cimport squeezed
from .plan cimport pg_plan, pg_plan_simplify
from .tables cimport load, pg_fn, pg_row_fn
from .view cimport PG_B1, PG_CODES, PG_I8, PG_MAX_DIMS, PG_U1, View, fresh, scalar

from .movement import broadcast_to, copy

cdef extern from "plugrad/reduction_plan.h" nogil:
    ctypedef void (*pg_reduce_fn)(const pg_plan* kept, const pg_plan* reduced, char* x, char* o) noexcept nogil
    ctypedef Py_ssize_t (*pg_arg_fn)(const char* x, Py_ssize_t s, Py_ssize_t n) noexcept nogil
    void pg_plan_push(pg_plan* q, Py_ssize_t length, Py_ssize_t s0, Py_ssize_t s1)
    void pg_reduction_plans(int ndim, const Py_ssize_t* shape, const Py_ssize_t* s, const Py_ssize_t* so, uint64_t axes,
                            pg_plan* kept, pg_plan* reduced)
    void pg_lines_run(const pg_plan* q, char** base, pg_row_fn row, const Py_ssize_t* s, Py_ssize_t n)
    void pg_lines_arg(const pg_plan* q, char** base, pg_arg_fn arg, Py_ssize_t s, Py_ssize_t n)

cdef pg_fn SUM[PG_CODES]
cdef pg_fn PROD[PG_CODES]
cdef pg_fn MAX[PG_CODES]
cdef pg_fn MIN[PG_CODES]
cdef pg_fn ARGMAX[PG_CODES]
cdef pg_fn ARGMIN[PG_CODES]
cdef pg_fn CUMSUM[PG_CODES]
load("reduction", "sum", SUM)
load("reduction", "prod", PROD)
load("reduction", "max", MAX)
load("reduction", "min", MIN)
load("reduction", "argmax", ARGMAX)
load("reduction", "argmin", ARGMIN)
load("reduction", "cumsum", CUMSUM)
SUM[<int>PG_B1] = MAX[<int>PG_U1]
PROD[<int>PG_B1] = MIN[<int>PG_U1]
MAX[<int>PG_B1] = MAX[<int>PG_U1]
MIN[<int>PG_B1] = MIN[<int>PG_U1]
ARGMAX[<int>PG_B1] = ARGMAX[<int>PG_U1]
ARGMIN[<int>PG_B1] = ARGMIN[<int>PG_U1]


cdef int _check(str op, View x, pg_fn fn) except -1:
    if fn == NULL:
        raise DTypeError(f"{op}: not defined for {x.dtype}; cast it first")
    return 0


cdef uint64_t _bits(str op, View x, tuple axis) except? 0:
    """The axes of a call as bits, checked."""
    cdef uint64_t axes = 0
    cdef Py_ssize_t i
    for i in axis:
        if not 0 <= i < x.ndim or axes >> i & 1:
            raise ShapeError(
                f"{op}: axis {axis} does not fit shape {x.shape}; name each axis once, from 0 to {x.ndim - 1}"
            )
        axes |= <uint64_t>1 << i
    return axes


cdef View _reduce(str op, pg_fn* by_code, View x, tuple axis, bint keepdims, object empty_value):
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef pg_plan kept, reduced
    cdef pg_reduce_fn fn = <pg_reduce_fn>by_code[x.code]
    cdef uint64_t axes = _bits(op, x, axis)
    cdef View out
    cdef int i
    _check(op, x, by_code[x.code])
    for i in range(x.ndim):
        dims[i] = 1 if axes >> i & 1 else x.dims[i]
    out = fresh(x.ndim, dims, x.code)
    if x.size > 0:
        with nogil:
            pg_reduction_plans(x.ndim, x.dims, x.strides_, out.strides_, axes, &kept, &reduced)
            fn(&kept, &reduced, x.data, out.data)
    elif out.size > 0:
        if empty_value is None:
            raise ShapeError(
                f"{op}: axis {axis} of shape {x.shape} is empty and there is no smallest or largest element of nothing"
            )
        out = copy(broadcast_to(scalar(empty_value, x.code), shape=out.shape))
    return out if keepdims else squeezed(out, axes)


def sum(View x not None, *, tuple axis, bint keepdims) -> View:
    """Sums, in the dtype of ``x``, pairwise; integers wrap around, bools or together. Nothing sums to 0."""
    return _reduce("sum", SUM, x, axis, keepdims, 0)


def prod(View x not None, *, tuple axis, bint keepdims) -> View:
    """Products, in the dtype of ``x``; bools and together. Nothing multiplies to 1."""
    return _reduce("prod", PROD, x, axis, keepdims, 1)


def max(View x not None, *, tuple axis, bint keepdims) -> View:
    """Largest elements; NaN if there is one."""
    return _reduce("max", MAX, x, axis, keepdims, None)


def min(View x not None, *, tuple axis, bint keepdims) -> View:
    """Smallest elements; NaN if there is one."""
    return _reduce("min", MIN, x, axis, keepdims, None)


cdef View _lines(str op, View x, View out, Py_ssize_t axis, pg_plan* nest):
    """The loop nest over all axes but one."""
    cdef int i
    nest.operands = 2
    nest.ndim = 0
    for i in range(x.ndim):
        if i != axis:
            pg_plan_push(nest, x.dims[i], out.strides_[i], x.strides_[i])
    pg_plan_simplify(nest)
    return out


cdef View _arg(str op, pg_fn* by_code, View x, Py_ssize_t axis, bint keepdims):
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef pg_plan nest
    cdef pg_arg_fn fn = <pg_arg_fn>by_code[x.code]
    cdef uint64_t axes = _bits(op, x, (axis,))
    cdef char* base[2]
    cdef View out
    cdef int i
    _check(op, x, by_code[x.code])
    for i in range(x.ndim):
        dims[i] = 1 if i == axis else x.dims[i]
    out = fresh(x.ndim, dims, PG_I8)
    if out.size > 0:
        if x.dims[axis] == 0:
            raise ShapeError(f"{op}: axis {axis} of shape {x.shape} is empty and has no element to point at")
        _lines(op, x, out, axis, &nest)
        base[0] = out.data
        base[1] = x.data
        with nogil:
            pg_lines_arg(&nest, base, fn, x.strides_[axis], x.dims[axis])
    return out if keepdims else squeezed(out, axes)


def argmax(View x not None, *, Py_ssize_t axis, bint keepdims) -> View:
    """Index (int64) of the first largest element along an axis; of the first NaN if there is one."""
    return _arg("argmax", ARGMAX, x, axis, keepdims)


def argmin(View x not None, *, Py_ssize_t axis, bint keepdims) -> View:
    """Index (int64) of the first smallest element along an axis; of the first NaN if there is one."""
    return _arg("argmin", ARGMIN, x, axis, keepdims)


def cumsum(View x not None, *, Py_ssize_t axis) -> View:
    """Running sums along an axis, in the dtype of ``x``."""
    cdef pg_plan nest
    cdef pg_row_fn fn = <pg_row_fn>CUMSUM[x.code]
    cdef Py_ssize_t strides[2]
    cdef char* base[2]
    cdef View out
    _check("cumsum", x, CUMSUM[x.code])
    _bits("cumsum", x, (axis,))
    out = fresh(x.ndim, x.dims, x.code)
    if x.size > 0:
        _lines("cumsum", x, out, axis, &nest)
        base[0] = out.data
        base[1] = x.data
        strides[0] = out.strides_[axis]
        strides[1] = x.strides_[axis]
        with nogil:
            pg_lines_run(&nest, base, fn, strides, x.dims[axis])
    return out
