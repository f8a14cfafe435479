"""``matmul``: batched matrix products, leading axes broadcast. The loops are in ``contraction.h``."""

from libc.string cimport memcpy, memset

from plugrad.errors import DTypeError, ShapeError

from .memory cimport Storage, allocate
from .plan cimport pg_plan
from .tables cimport load, pg_fn
from .view cimport PG_CODES, PG_MAX_DIMS, View, fresh, pg_itemsize

cdef extern from "plugrad/contraction_plan.h" nogil:
    ctypedef void (*pg_gemm_fn)(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const void* a, Py_ssize_t ar, Py_ssize_t ac,
                                const void* b, Py_ssize_t br, Py_ssize_t bc, void* c, Py_ssize_t cr,
                                void* work) noexcept nogil
    ctypedef Py_ssize_t (*pg_gemm_work_fn)(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k) noexcept nogil
    void pg_gemm_run(pg_plan* lead, char** base, pg_gemm_fn gemm, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
                     const Py_ssize_t* s, Py_ssize_t itemsize, void* work)

cdef pg_fn GEMM[PG_CODES]
cdef pg_fn GEMM_WORK[PG_CODES]
load("contraction", "gemm", GEMM)
load("contraction", "gemm_work", GEMM_WORK)


cdef int _check(View a, View b) except -1:
    if a.code != b.code or GEMM[a.code] == NULL:
        raise DTypeError(f"matmul: operands are {a.dtype} and {b.dtype}; cast them to one integer or float dtype")
    if a.ndim < 2 or b.ndim < 2:
        raise ShapeError(
            f"matmul: shapes {a.shape} and {b.shape} need at least 2 axes; add an axis of length 1 to a vector"
        )
    if a.dims[a.ndim - 1] != b.dims[b.ndim - 2]:
        raise ShapeError(
            f"matmul: shapes {a.shape} and {b.shape} do not fit; the last axis of one is the second last of the other"
        )
    return 0


cdef int _lead_dims(View a, View b, Py_ssize_t* dims) except -1:
    """The result's shape; the number of axes is returned."""
    cdef int ndim = a.ndim if a.ndim > b.ndim else b.ndim
    cdef int i, ia, ib
    cdef Py_ssize_t x, y
    for i in range(ndim - 2):
        ia = i - (ndim - a.ndim)
        ib = i - (ndim - b.ndim)
        x = a.dims[ia] if ia >= 0 else 1
        y = b.dims[ib] if ib >= 0 else 1
        if x != y and x != 1 and y != 1:
            raise ShapeError(
                f"matmul: the leading axes of {a.shape} and {b.shape} do not broadcast; lengths must be equal or 1"
            )
        dims[i] = y if x == 1 else x
    dims[ndim - 2] = a.dims[a.ndim - 2]
    dims[ndim - 1] = b.dims[b.ndim - 1]
    return ndim


cdef void _lead_strides(View x, int ndim, const Py_ssize_t* dims, Py_ssize_t* strides) noexcept:
    """Strides of an operand along the result's leading axes: 0 where it is stretched."""
    cdef int i, k
    for i in range(ndim - 2):
        k = i - (ndim - x.ndim)
        strides[i] = x.strides_[k] if k >= 0 and x.dims[k] == dims[i] else 0


def matmul(View a not None, View b not None) -> View:
    """Matrix products of the last two axes, in the operands' dtype; float sums run over blocks of at most 256 terms."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef Py_ssize_t s[5]
    cdef Py_ssize_t m, n, k, itemsize = pg_itemsize[a.code]
    cdef pg_plan lead
    cdef char* base[3]
    cdef Storage work
    cdef View c
    cdef pg_gemm_fn gemm
    cdef int ndim
    _check(a, b)
    ndim = _lead_dims(a, b, dims)
    c = fresh(ndim, dims, a.code)
    m = dims[ndim - 2]
    n = dims[ndim - 1]
    k = a.dims[a.ndim - 1]
    if c.size == 0:
        return c
    if k == 0:
        memset(c.data, 0, c.size * itemsize)
        return c
    lead.operands = 3
    lead.ndim = ndim - 2
    memcpy(lead.shape, dims, (ndim - 2) * sizeof(Py_ssize_t))
    memcpy(lead.stride[0], c.strides_, (ndim - 2) * sizeof(Py_ssize_t))
    _lead_strides(a, ndim, dims, lead.stride[1])
    _lead_strides(b, ndim, dims, lead.stride[2])
    s[0] = a.strides_[a.ndim - 2]
    s[1] = a.strides_[a.ndim - 1]
    s[2] = b.strides_[b.ndim - 2]
    s[3] = b.strides_[b.ndim - 1]
    s[4] = c.strides_[ndim - 2]
    base[0] = c.data
    base[1] = a.data
    base[2] = b.data
    gemm = <pg_gemm_fn>GEMM[a.code]
    work = allocate((<pg_gemm_work_fn>GEMM_WORK[a.code])(c.size // n, n, k) * itemsize)
    with nogil:
        pg_gemm_run(&lead, base, gemm, m, n, k, s, itemsize, work.data)
    return c
