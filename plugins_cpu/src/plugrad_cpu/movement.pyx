"""Movement: views where strides can express the result (reshape, permute, broadcast_to, slice), else copies.

Every copy of this backend goes through ``copy_into``: a loop nest over both layouts, merged to as few axes as
possible, with square tiles where the fastest axes of the two differ.
"""

from libc.string cimport memcpy, memset

from plugrad.errors import DTypeError, ShapeError

from .plan cimport pg_plan
from .tables cimport find, pg_row_fn
from .view cimport PG_MAX_DIMS, View, alias, fresh, fresh_like, pg_itemsize, read_dims, same_shape, settle

cdef extern from "plugrad/movement_plan.h" nogil:
    ctypedef void (*pg_transpose_fn)(char*, const char*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                     Py_ssize_t) noexcept nogil
    void pg_plan_copy(pg_plan* q, char** base, pg_row_fn row, pg_transpose_fn transpose)

cdef enum:
    HOLD_GIL_BELOW = 4096                  # elements: releasing and taking the GIL costs more than such a loop

cdef pg_transpose_fn _transposes[17]
copy_rows[1] = <pg_row_fn>find("movement", "copy", "u1")
copy_rows[2] = <pg_row_fn>find("movement", "copy", "u2")
copy_rows[4] = <pg_row_fn>find("movement", "copy", "u4")
copy_rows[8] = <pg_row_fn>find("movement", "copy", "u8")
copy_rows[16] = <pg_row_fn>find("movement", "copy", "c16")
_transposes[1] = <pg_transpose_fn>find("movement", "transpose", "u1")
_transposes[2] = <pg_transpose_fn>find("movement", "transpose", "u2")
_transposes[4] = <pg_transpose_fn>find("movement", "transpose", "u4")
_transposes[8] = <pg_transpose_fn>find("movement", "transpose", "u8")
_transposes[16] = <pg_transpose_fn>find("movement", "transpose", "c16")


cdef int copy_into(View out, View x) except -1:
    """Copy ``x`` into ``out``, of the same shape and dtype. The two must be disjoint or the same view."""
    cdef pg_plan plan
    cdef char* base[2]
    cdef int itemsize = pg_itemsize[x.code]
    if not same_shape(out, x) or out.code != x.code:
        raise ShapeError(
            f"copy: {x.shape} {x.dtype} does not fit into {out.shape} {out.dtype}; shapes and dtypes must be equal"
        )
    if x.size == 0:
        return 0
    if out.contiguous and x.contiguous:
        if x.size < HOLD_GIL_BELOW:
            memcpy(out.data, x.data, x.size * itemsize)
        else:
            with nogil:
                memcpy(out.data, x.data, x.size * itemsize)
        return 0
    plan.operands = 2
    plan.ndim = x.ndim
    memcpy(plan.shape, x.dims, x.ndim * sizeof(Py_ssize_t))
    memcpy(plan.stride[0], out.strides_, x.ndim * sizeof(Py_ssize_t))
    memcpy(plan.stride[1], x.strides_, x.ndim * sizeof(Py_ssize_t))
    base[0] = out.data
    base[1] = x.data
    with nogil:
        pg_plan_copy(&plan, base, copy_rows[itemsize], _transposes[itemsize])
    return 0


cdef View contiguous_copy(View x):
    cdef View out = fresh(x.ndim, x.dims, x.code)
    copy_into(out, x)
    return out


cdef View contiguous(View x):
    """The view itself if it is C-contiguous, else a copy that is."""
    return x if x.contiguous else contiguous_copy(x)


cdef View broadcast(View x, int ndim, const Py_ssize_t* dims, str op):
    """The view stretched NumPy's way to ``dims``, with stride 0 along the new and the stretched axes."""
    cdef View y
    cdef int i, lead = ndim - x.ndim
    y = alias(x, ndim)
    memcpy(y.dims, dims, ndim * sizeof(Py_ssize_t))
    for i in range(ndim):
        if i < lead:
            y.strides_[i] = 0
        elif x.dims[i - lead] == dims[i]:
            y.strides_[i] = x.strides_[i - lead]
        elif x.dims[i - lead] == 1:
            y.strides_[i] = 0
        else:
            lead = ndim + 1
            break
    if lead < 0 or lead > ndim:
        target = tuple([dims[i] for i in range(ndim)])
        raise ShapeError(
            f"{op}: shape {x.shape} does not broadcast to {target}; "
            "lengths must be equal or 1, aligned at the last axis"
        )
    settle(y)
    return y


cdef View squeezed(View x, unsigned long long axes):
    """The view without the axes whose bits are set; their length is 1."""
    cdef View y = alias(x, x.ndim)
    cdef int i
    y.ndim = 0
    for i in range(x.ndim):
        if not axes >> i & 1:
            y.dims[y.ndim] = x.dims[i]
            y.strides_[y.ndim] = x.strides_[i]
            y.ndim += 1
    settle(y)
    return y


cdef View region(View x, tuple start, tuple size, tuple step, str op):
    """The elements ``start + k * step`` for k below ``size`` along each axis; checked to lie inside."""
    cdef View y = alias(x, x.ndim)
    cdef Py_ssize_t first, count, stride, last
    cdef int i
    if len(start) != x.ndim or len(size) != x.ndim or len(step) != x.ndim:
        raise ShapeError(
            f"{op}: start {start}, size {size}, step {step} need one entry for each axis of shape {x.shape}"
        )
    for i in range(x.ndim):
        first = start[i]
        count = size[i]
        stride = step[i]
        if count < 0 or (count > 0 and not _inside(first, count, stride, x.dims[i])):
            raise ShapeError(
                f"{op}: start {start}, size {size}, step {step} leave shape {x.shape}; every element must lie inside"
            )
        if count > 0:
            y.data += first * x.strides_[i]
        y.dims[i] = count
        y.strides_[i] = stride * x.strides_[i] if count > 1 else x.strides_[i]
    settle(y)
    return y


cdef bint _inside(Py_ssize_t first, Py_ssize_t count, Py_ssize_t stride, Py_ssize_t length) noexcept:
    """Whether ``first`` and ``first + (count - 1) * stride`` are indices below ``length``, without overflow."""
    if not 0 <= first < length:
        return False
    if count == 1 or stride == 0:
        return True
    if stride > 0:
        return (length - 1 - first) // stride >= count - 1
    return stride > -length and first // -stride >= count - 1


# -- kernels

def copy(View x not None) -> View:
    """A copy. A layout without gaps is kept."""
    cdef View out = fresh_like(x, x.code)
    copy_into(out, x)
    return out


def permute(View x not None, *, tuple axes) -> View:
    """A view with the axes in the given order."""
    cdef View y = alias(x, x.ndim)
    cdef unsigned long long seen = 0
    cdef Py_ssize_t axis
    cdef int i
    if len(axes) != x.ndim:
        raise ShapeError(f"permute: axes {axes} do not name each axis of shape {x.shape} once")
    for i in range(x.ndim):
        axis = axes[i]
        if not 0 <= axis < x.ndim or seen >> axis & 1:
            raise ShapeError(f"permute: axes {axes} do not name each axis of shape {x.shape} once")
        seen |= <unsigned long long>1 << axis
        y.dims[i] = x.dims[axis]
        y.strides_[i] = x.strides_[axis]
    settle(y)
    return y


def broadcast_to(View x not None, *, tuple shape) -> View:
    """A view of the given shape, with stride 0 along stretched axes."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef int ndim = read_dims(shape, dims)
    return broadcast(x, ndim, dims, "broadcast_to")


def slice(View x not None, *, tuple start, tuple size, tuple step) -> View:
    """A view of the elements ``start + k * step``; steps may be negative."""
    return region(x, start, size, step, "slice")


def reshape(View x not None, *, tuple shape) -> View:
    """The elements in C order under another shape: a view where strides allow it, else a copy."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef int ndim = read_dims(shape, dims)
    cdef View y = alias(x, ndim)
    memcpy(y.dims, dims, ndim * sizeof(Py_ssize_t))
    for i in range(ndim):
        y.strides_[i] = pg_itemsize[x.code]
    settle(y)
    if y.size != x.size:
        raise ShapeError(f"reshape: shape {x.shape} has {x.size} elements, {shape} has {y.size}; they must be equal")
    if not _regroup(x, y):
        y.owner = contiguous_copy(x).owner
        y.data = y.owner.data
        _pack(y)
    settle(y)
    return y


cdef void _pack(View y) noexcept:
    """C-order strides."""
    cdef Py_ssize_t step = pg_itemsize[y.code]
    cdef int i
    for i in range(y.ndim - 1, -1, -1):
        y.strides_[i] = step
        step *= y.dims[i] if y.dims[i] > 0 else 1


cdef bint _regroup(View x, View y) noexcept:
    """Fill in the strides of ``y`` (dims are set) so that it sees ``x`` in C order; False where no strides do."""
    cdef Py_ssize_t old[PG_MAX_DIMS]
    cdef Py_ssize_t old_stride[PG_MAX_DIMS]
    cdef Py_ssize_t have, want, step
    cdef int n = 0, i, oi = 0, oj, ni = 0, nj, k
    if x.contiguous:
        _pack(y)
        return True
    for i in range(x.ndim):
        if x.dims[i] != 1:
            old[n] = x.dims[i]
            old_stride[n] = x.strides_[i]
            n += 1
    while oi < n:
        oj = oi + 1
        nj = ni
        have = old[oi]
        want = 1
        while want != have:                 # the smallest groups of old and new axes with equal counts
            if want < have:
                want *= y.dims[nj]
                nj += 1
            else:
                have *= old[oj]
                oj += 1
        for k in range(oi, oj - 1):
            if old_stride[k] != old_stride[k + 1] * old[k + 1]:
                return False
        step = old_stride[oj - 1]
        for k in range(nj - 1, ni - 1, -1):
            y.strides_[k] = step
            step *= y.dims[k]
        oi = oj
        ni = nj
    for k in range(ni, y.ndim):
        y.strides_[k] = pg_itemsize[x.code]
    return True


def pad(View x not None, *, tuple low, tuple high, tuple interior) -> View:
    """Zeros around the elements, and ``interior`` zeros between neighbours."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef View out, inner
    cdef int i
    if len(low) != x.ndim or len(high) != x.ndim or len(interior) != x.ndim:
        raise ShapeError(
            f"pad: low {low}, high {high}, interior {interior} need one entry for each axis of shape {x.shape}"
        )
    for i in range(x.ndim):
        if low[i] < 0 or high[i] < 0 or interior[i] < 0:
            raise ShapeError(
                f"pad: low {low}, high {high}, interior {interior} must be 0 or more; slice to make it smaller"
            )
        dims[i] = low[i] + high[i] + x.dims[i] + (interior[i] * (x.dims[i] - 1) if x.dims[i] else 0)
    out = fresh(x.ndim, dims, x.code)
    memset(out.data, 0, out.size * pg_itemsize[x.code])
    if x.size:
        inner = region(out, low, x.shape, tuple([k + 1 for k in interior]), "pad")
        copy_into(inner, x)
    return out


def concat(View x not None, *rest, Py_ssize_t axis) -> View:
    """The operands one after another along an axis."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef View out, part, y
    cdef int i
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"concat: axis {axis} is out of range for shape {x.shape}")
    memcpy(dims, x.dims, x.ndim * sizeof(Py_ssize_t))
    for other in rest:
        y = <View?>other
        if y.ndim != x.ndim or y.code != x.code:
            raise ShapeError(
                f"concat: {y.shape} {y.dtype} does not go with {x.shape} {x.dtype}; ranks and dtypes must be equal"
            )
        for i in range(x.ndim):
            if i != axis and y.dims[i] != x.dims[i]:
                raise ShapeError(f"concat: shapes {x.shape} and {y.shape} may differ only along axis {axis}")
        dims[axis] += y.dims[axis]
    out = fresh(x.ndim, dims, x.code)
    part = alias(out, x.ndim)
    memcpy(part.strides_, out.strides_, x.ndim * sizeof(Py_ssize_t))
    for other in (x, *rest):
        y = other
        memcpy(part.dims, y.dims, x.ndim * sizeof(Py_ssize_t))
        settle(part)
        copy_into(part, y)
        part.data += y.dims[axis] * out.strides_[axis]
    return out


def slice_update(View x not None, View v not None, *, tuple start, tuple size, tuple step) -> View:
    """A copy of ``x`` with the region replaced by ``v``."""
    cdef View out = contiguous_copy(x)
    _write_region(out, v, start, size, step)
    return out


def slice_update_into(View out not None, View x not None, View v not None, *, tuple start, tuple size,
                      tuple step) -> None:
    """``slice_update`` that writes into ``out``, which may be ``x``."""
    region(x, start, size, step, "slice_update")
    if out is not x:
        copy_into(out, x)
    _write_region(out, v, start, size, step)


cdef int _write_region(View out, View v, tuple start, tuple size, tuple step) except -1:
    cdef View target = region(out, start, size, step, "slice_update")
    if v.code != out.code:
        raise DTypeError(f"slice_update: {v.dtype} does not go into {out.dtype}; cast it first")
    if v.owner is out.owner:
        v = contiguous_copy(v)
    copy_into(target, broadcast(v, target.ndim, target.dims, "slice_update"))
    return 0
