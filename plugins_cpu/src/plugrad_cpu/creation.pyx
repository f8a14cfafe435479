"""Creation: ``full`` and ``iota``."""

from libc.string cimport memset

from .movement cimport broadcast, copy_into
from .view cimport PG_F4, PG_F8, PG_I8, PG_MAX_DIMS, View, code_of, fresh, pg_itemsize, read_dims, scalar

from .cast import cast


def full(*, tuple shape, dtype, value, device="cpu") -> View:
    """An array of one value."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef View out, one
    cdef int ndim = read_dims(shape, dims), code = code_of(dtype), i
    cdef bint zero = True
    one = scalar(value, code)
    out = fresh(ndim, dims, code)
    for i in range(pg_itemsize[code]):
        zero = zero and one.data[i] == 0
    if zero:
        memset(out.data, 0, out.size * pg_itemsize[code])
    else:
        copy_into(out, broadcast(one, ndim, dims, "full"))
    return out


def iota(*, Py_ssize_t size, dtype, device="cpu") -> View:
    """0, 1, ..., size - 1."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef int code = code_of(dtype), ndim = read_dims((size,), dims)
    cdef View out = fresh(ndim, dims, code if code in (PG_F4, PG_F8) else PG_I8)
    cdef Py_ssize_t i
    if code == PG_F8:
        for i in range(size):
            (<double*>out.data)[i] = <double>i
    elif code == PG_F4:
        for i in range(size):
            (<float*>out.data)[i] = <float>i
    else:
        for i in range(size):
            (<Py_ssize_t*>out.data)[i] = i
    return out if code == out.code else cast(out, dtype=dtype)
