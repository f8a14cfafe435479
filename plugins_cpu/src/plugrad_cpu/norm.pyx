"""``norm.layer_norm`` and its backward twin, fused. The loops are in ``norm.h``; the op belongs to plugrad-norm.

Claimed for one-dimensional weight and bias of the last axis's length; anything else is declined, before any effect.
"""

from libc.string cimport memcpy, memset

from .movement cimport contiguous
from .tables cimport load, pg_fn
from .view cimport PG_CODES, PG_MAX_DIMS, View, fresh, pg_itemsize, same_shape

ctypedef void (*forward_fn)(Py_ssize_t rows, Py_ssize_t n, const void* x, const void* w, const void* b, double eps,
                            void* y, void* mean, void* rstd) noexcept nogil
ctypedef void (*backward_fn)(Py_ssize_t rows, Py_ssize_t n, const void* g, const void* x, const void* w,
                             const void* mean, const void* rstd, void* dx, void* dw, void* db,
                             void* block) noexcept nogil

cdef pg_fn FORWARD[PG_CODES]
cdef pg_fn BACKWARD[PG_CODES]
load("norm", "layer_norm", FORWARD)
load("norm", "layer_norm_bwd", BACKWARD)


cdef bint _is_vector(View w, View x) noexcept:
    """Whether ``w`` fits the last axis of ``x``."""
    return w.ndim == 1 and x.ndim >= 1 and w.dims[0] == x.dims[x.ndim - 1] and w.code == x.code


def layer_norm(View x not None, View w not None, View b not None, *, double eps):
    """(y, mean, rstd) of the rows of ``x``; mean and rstd keep the last axis at length 1."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef forward_fn fn = <forward_fn>FORWARD[x.code]
    cdef View y, mean, rstd
    cdef Py_ssize_t n
    if fn == NULL or not _is_vector(w, x) or not _is_vector(b, x) or x.dims[x.ndim - 1] == 0:
        return NotImplemented
    n = x.dims[x.ndim - 1]
    memcpy(dims, x.dims, x.ndim * sizeof(Py_ssize_t))
    dims[x.ndim - 1] = 1
    mean = fresh(x.ndim, dims, x.code)
    rstd = fresh(x.ndim, dims, x.code)
    y = fresh(x.ndim, x.dims, x.code)
    x, w, b = contiguous(x), contiguous(w), contiguous(b)
    with nogil:
        fn(mean.size, n, x.data, w.data, b.data, eps, y.data, mean.data, rstd.data)
    return y, mean, rstd


def layer_norm_bwd(View g not None, View x not None, View w not None, View mean not None, View rstd not None):
    """(dx, dw, db) for the cotangent ``g`` of y."""
    cdef backward_fn fn = <backward_fn>BACKWARD[x.code]
    cdef View dx, dw, db, block
    cdef Py_ssize_t n, twice
    if fn == NULL or not _is_vector(w, x) or not same_shape(g, x) or g.code != x.code or x.dims[x.ndim - 1] == 0:
        return NotImplemented
    n = x.dims[x.ndim - 1]
    if mean.size * n != x.size or rstd.size * n != x.size or mean.code != x.code or rstd.code != x.code:
        return NotImplemented
    twice = 2 * n
    dx = fresh(x.ndim, x.dims, x.code)
    dw = fresh(1, &n, x.code)
    db = fresh(1, &n, x.code)
    block = fresh(1, &twice, x.code)
    g, x, w, mean, rstd = contiguous(g), contiguous(x), contiguous(w), contiguous(mean), contiguous(rstd)
    memset(dw.data, 0, n * pg_itemsize[x.code])
    memset(db.data, 0, n * pg_itemsize[x.code])
    with nogil:
        fn(mean.size, n, g.data, x.data, w.data, mean.data, rstd.data, dx.data, dw.data, db.data, block.data)
    return dx, dw, db
