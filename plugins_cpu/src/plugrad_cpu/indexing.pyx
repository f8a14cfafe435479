"""Indexing along one axis: gather, take_along, scatter_add; over several: scatter and scatter_mul, _min, _max.
Indices are checked before anything is written.
"""

from libc.stdint cimport int64_t

from plugrad.errors import DTypeError, ShapeError

from .movement cimport broadcast, contiguous, contiguous_copy, copy_into, copy_rows
from .plan cimport pg_plan, pg_plan_simplify
from .tables cimport load, pg_fn, pg_row_fn
from .view cimport PG_CODES, PG_I8, PG_MAX_DIMS, View, fresh, pg_itemsize, same_shape

cdef extern from "plugrad/indexing_plan.h" nogil:
    Py_ssize_t pg_wrap_indices(const int64_t* i, int64_t* out, Py_ssize_t n, int64_t length)
    void pg_gather(char* o, const char* x, const int64_t* i, Py_ssize_t outer, Py_ssize_t length, Py_ssize_t n,
                   Py_ssize_t row)
    void pg_scatter_add(char* o, const char* v, const int64_t* i, Py_ssize_t outer, Py_ssize_t length, Py_ssize_t n,
                        Py_ssize_t inner, Py_ssize_t itemsize, pg_row_fn add)
    void pg_distances(int64_t* i, Py_ssize_t n, int axes, const Py_ssize_t* d, const Py_ssize_t* stride)
    void pg_scatter(const pg_plan* q, char** base, const int64_t* i, Py_ssize_t n, Py_ssize_t step, Py_ssize_t inner,
                    const Py_ssize_t* s, int combine, pg_row_fn row)
    void pg_take_along(const pg_plan* q, char** base, Py_ssize_t n, const Py_ssize_t* s, Py_ssize_t itemsize)

cdef pg_fn ADD[PG_CODES]
cdef pg_fn MUL[PG_CODES]
cdef pg_fn MINIMUM[PG_CODES]
cdef pg_fn MAXIMUM[PG_CODES]
load("elementwise", "add", ADD)
load("elementwise", "mul", MUL)
load("elementwise", "minimum", MINIMUM)
load("elementwise", "maximum", MAXIMUM)


cdef View _checked(str op, View x, View i, Py_ssize_t axis):
    """The indices, contiguous and non-negative, if all fit the axis."""
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"{op}: axis {axis} is out of range for shape {x.shape}")
    return _within(op, x, i, f"axis {axis}", x.dims[axis])


cdef View _within(str op, View x, View i, object where, Py_ssize_t length):
    """The indices, contiguous and non-negative, if all are below a length."""
    cdef View given, out
    cdef Py_ssize_t bad
    if i.code != PG_I8:
        raise DTypeError(f"{op}: indices are int64, not {i.dtype}; cast them first")
    given = contiguous(i)
    out = fresh(i.ndim, i.dims, PG_I8)
    with nogil:
        bad = pg_wrap_indices(<const int64_t*>given.data, <int64_t*>out.data, given.size, length)
    if bad >= 0:
        value = (<const int64_t*>given.data)[bad]
        raise IndexError(
            f"{op}: index {value} is out of range for {where} of shape {x.shape}; use {-length} to {length - 1}"
        )
    return out


cdef Py_ssize_t _product(View x, int first, int last) noexcept:
    cdef Py_ssize_t n = 1
    cdef int k
    for k in range(first, last):
        n *= x.dims[k]
    return n


cdef int _indexed_dims(View x, View i, int axis, Py_ssize_t* dims) except -1:
    """The shape of ``x`` with its axis replaced by the axes of ``i``; the number of axes is returned."""
    cdef int k
    if x.ndim + i.ndim - 1 > PG_MAX_DIMS:
        raise ShapeError(
            f"gather: shapes {x.shape} and {i.shape} give more than {PG_MAX_DIMS} axes; reshape the indices"
        )
    for k in range(axis):
        dims[k] = x.dims[k]
    for k in range(i.ndim):
        dims[axis + k] = i.dims[k]
    for k in range(axis + 1, x.ndim):
        dims[i.ndim + k - 1] = x.dims[k]
    return x.ndim + i.ndim - 1


def gather(View x not None, View i not None, *, int axis) -> View:
    """numpy.take: ``x`` with its axis replaced by the axes of ``i``. Raises IndexError."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef View index = _checked("gather", x, i, axis), out, source
    cdef int ndim = _indexed_dims(x, i, axis, dims)
    cdef Py_ssize_t outer, row
    out = fresh(ndim, dims, x.code)
    if out.size == 0:
        return out
    source = contiguous(x)
    outer = _product(x, 0, axis)
    row = _product(x, axis + 1, x.ndim) * pg_itemsize[x.code]
    with nogil:
        pg_gather(out.data, source.data, <const int64_t*>index.data, outer, source.dims[axis], index.size, row)
    return out


cdef int _add_rows(View out, View x, View i, View v, int axis) except -1:
    """Check, copy ``x`` into ``out`` unless it is ``x``, and add the rows of ``v``."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef View index = _checked("scatter_add", x, i, axis), rows, target
    cdef pg_row_fn add = <pg_row_fn>ADD[x.code]
    cdef Py_ssize_t outer, inner
    cdef int ndim
    if v.code != x.code or out.code != x.code or not same_shape(out, x) or add == NULL:
        raise DTypeError(
            f"scatter_add: {v.dtype} of shape {v.shape} does not add to {x.dtype} of shape {x.shape}; cast it first"
        )
    ndim = _indexed_dims(x, i, axis, dims)
    rows = contiguous(broadcast(v, ndim, dims, "scatter_add"))
    if rows.owner is out.owner:
        rows = contiguous_copy(rows)
    if out is not x:
        copy_into(out, x)
    if rows.size == 0:
        return 0
    target = contiguous(out)
    outer = _product(x, 0, axis)
    inner = _product(x, axis + 1, x.ndim)
    with nogil:
        pg_scatter_add(target.data, rows.data, <const int64_t*>index.data, outer, x.dims[axis], index.size, inner,
                       pg_itemsize[x.code], add)
    if target is not out:
        copy_into(out, target)
    return 0


def scatter_add(View x not None, View i not None, View v not None, *, int axis) -> View:
    """A copy of ``x`` with the rows of ``v`` added at indices of an axis, repeated ones too, in order, or IndexError.
    """
    cdef View out = fresh(x.ndim, x.dims, x.code)
    _add_rows(out, x, i, v, axis)
    return out


def scatter_add_into(View out not None, View x not None, View i not None, View v not None, *, int axis):
    """``scatter_add`` that writes into ``out``, which may be ``x``."""
    if ADD[x.code] == NULL:
        return NotImplemented
    _add_rows(out, x, i, v, axis)
    return None


cdef object _scatter(str op, View out, View x, View i, View v, tuple axis, pg_fn row, bint combine):
    """Check, copy ``x`` into ``out`` unless it is ``x``, and let ``v`` change the places of ``out``. NotImplemented for
    a dtype without a loop.
    """
    cdef pg_plan nest
    cdef Py_ssize_t d[PG_MAX_DIMS]
    cdef Py_ssize_t stride[PG_MAX_DIMS]
    cdef Py_ssize_t s[3]
    cdef char* base[2]
    cdef View index, values
    cdef Py_ssize_t places = 1, step, inner = 1, item = pg_itemsize[x.code]
    cdef int k, axes = 0, first, at
    if row == NULL:
        return NotImplemented
    if v.code != x.code or out.code != x.code:
        raise DTypeError(f"{op}: {v.dtype} does not go into {x.dtype}; cast it first")
    if not axis or list(axis) != sorted(set(axis)) or axis[0] < 0 or axis[len(axis) - 1] >= x.ndim:
        raise ShapeError(f"{op}: axes {axis} of shape {x.shape}; name axes once, in order")
    first = axis[0]
    wanted = [x.dims[k] for k in range(x.ndim) if k not in axis]
    wanted[first:first] = i.shape
    if not same_shape(out, x) or v.shape != tuple(wanted):
        raise ShapeError(f"{op}: values {v.shape} and positions {i.shape} over axes {axis} do not fit {x.shape}")
    for k in axis:
        d[axes] = x.dims[k]
        stride[axes] = out.strides_[k]
        places *= x.dims[k]
        axes += 1
    index = _within(op, x, i, f"axes {axis}" if axes > 1 else f"axis {first}", places)
    values = contiguous_copy(v) if v.owner is out.owner else contiguous(v)
    if out is not x:
        copy_into(out, x)
    if v.size == 0:
        return None
    nest.operands = 2
    nest.ndim = 0
    at = 0
    for k in range(x.ndim):
        if k in axis:
            continue
        nest.shape[nest.ndim] = x.dims[k]
        nest.stride[0][nest.ndim] = out.strides_[k]
        nest.stride[1][nest.ndim] = values.strides_[at if at < first else at + i.ndim]
        nest.ndim += 1
        at += 1
    step = item * _product(values, first + i.ndim, values.ndim)
    pg_plan_simplify(&nest)
    s[0] = s[1] = s[2] = item
    if nest.ndim and nest.shape[nest.ndim - 1] > 1:
        nest.ndim -= 1
        inner = nest.shape[nest.ndim]
        s[0] = nest.stride[0][nest.ndim]
        s[2] = nest.stride[1][nest.ndim]
        s[1] = s[0] if combine else s[2]
    base[0] = out.data
    base[1] = values.data
    with nogil:
        pg_distances(<int64_t*>index.data, index.size, axes, d, stride)
        pg_scatter(&nest, base, <const int64_t*>index.data, index.size, step, inner, s, combine, <pg_row_fn>row)
    return None


def scatter_into(View out not None, View x not None, View i not None, View v not None, *, tuple axis):
    """``scatter`` that writes into ``out``, which may be ``x``."""
    return _scatter("scatter", out, x, i, v, axis, <pg_fn>copy_rows[pg_itemsize[x.code]], False)


def scatter(View x not None, View i not None, View v not None, *, tuple axis):
    """A copy of ``x`` with ``v`` at positions over the axes in C order; of repeated ones the last stays. IndexError."""
    cdef View out = fresh(x.ndim, x.dims, x.code)
    return NotImplemented if scatter_into(out, x, i, v, axis=axis) is NotImplemented else out


def scatter_mul_into(View out not None, View x not None, View i not None, View v not None, *, tuple axis):
    """``scatter_mul`` that writes into ``out``, which may be ``x``."""
    return _scatter("scatter_mul", out, x, i, v, axis, MUL[x.code], True)


def scatter_mul(View x not None, View i not None, View v not None, *, tuple axis):
    """A copy of ``x`` multiplied by ``v`` at the positions, repeated ones too."""
    cdef View out = fresh(x.ndim, x.dims, x.code)
    return NotImplemented if scatter_mul_into(out, x, i, v, axis=axis) is NotImplemented else out


def scatter_min_into(View out not None, View x not None, View i not None, View v not None, *, tuple axis):
    """``scatter_min`` that writes into ``out``, which may be ``x``."""
    return _scatter("scatter_min", out, x, i, v, axis, MINIMUM[x.code], True)


def scatter_min(View x not None, View i not None, View v not None, *, tuple axis):
    """A copy of ``x`` limited from above by ``v`` at the positions; NaN stays."""
    cdef View out = fresh(x.ndim, x.dims, x.code)
    return NotImplemented if scatter_min_into(out, x, i, v, axis=axis) is NotImplemented else out


def scatter_max_into(View out not None, View x not None, View i not None, View v not None, *, tuple axis):
    """``scatter_max`` that writes into ``out``, which may be ``x``."""
    return _scatter("scatter_max", out, x, i, v, axis, MAXIMUM[x.code], True)


def scatter_max(View x not None, View i not None, View v not None, *, tuple axis):
    """A copy of ``x`` limited from below by ``v`` at the positions; NaN stays."""
    cdef View out = fresh(x.ndim, x.dims, x.code)
    return NotImplemented if scatter_max_into(out, x, i, v, axis=axis) is NotImplemented else out


def take_along(View x not None, View i not None, *, int axis) -> View:
    """numpy.take_along_axis: one index for every element of the result; the other axes broadcast. Raises IndexError."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef Py_ssize_t s[3]
    cdef pg_plan nest
    cdef char* base[3]
    cdef View index = _checked("take_along", x, i, axis), out, source, pointer
    cdef int k
    if i.ndim != x.ndim:
        raise ShapeError(f"take_along: indices of shape {i.shape} need as many axes as {x.shape}")
    for k in range(x.ndim):
        dims[k] = i.dims[k] if k == axis or x.dims[k] == 1 else x.dims[k]
    out = fresh(x.ndim, dims, x.code)
    pointer = broadcast(index, x.ndim, dims, "take_along")
    dims[axis] = x.dims[axis]
    source = broadcast(x, x.ndim, dims, "take_along")
    if out.size == 0:
        return out
    nest.operands = 3
    nest.ndim = 0
    for k in range(x.ndim):
        if k != axis:
            nest.shape[nest.ndim] = out.dims[k]
            nest.stride[0][nest.ndim] = out.strides_[k]
            nest.stride[1][nest.ndim] = pointer.strides_[k]
            nest.stride[2][nest.ndim] = source.strides_[k]
            nest.ndim += 1
    s[0] = out.strides_[axis]
    s[1] = pointer.strides_[axis]
    s[2] = source.strides_[axis]
    base[0] = out.data
    base[1] = pointer.data
    base[2] = source.data
    with nogil:
        pg_take_along(&nest, base, out.dims[axis], s, pg_itemsize[x.code])
    return out
