"""The drivers of elementwise rows: one, two or three operands, broadcast NumPy's way, into fresh or given memory.

Two roads: C-contiguous operands of one shape are one flat row; anything else is a plan over the strides. Knows no op.
"""

from libc.string cimport memcmp, memcpy

from plugrad.errors import DTypeError, ShapeError

from .plan cimport pg_plan, pg_plan_run, pg_plan_simplify
from .tables cimport find, load, pg_row_fn
from .view cimport (
    PG_B1, PG_MAX_DIMS, View, dims_tuple, fresh, fresh_like, pg_itemsize, pg_short_name, same_shape, scalar,
)

cdef enum:
    HOLD_GIL_BELOW = 4096                  # elements: releasing and taking the GIL costs more than such a loop


cdef int name_rows(Rows* rows, const char* name) except -1:
    """Look up the rows of an op for every dtype."""
    rows.name = name
    load("elementwise", name, rows.by_code)
    return 0


cdef void run_row(pg_row_fn row, char** p, const Py_ssize_t* s, Py_ssize_t n) noexcept:
    if n < HOLD_GIL_BELOW:
        row(p, s, n)
    else:
        with nogil:
            row(p, s, n)


cdef void run_plan(pg_row_fn row, pg_plan* plan, char** p, Py_ssize_t n) noexcept:
    if n < HOLD_GIL_BELOW:
        pg_plan_simplify(plan)
        pg_plan_run(plan, p, row)
    else:
        with nogil:
            pg_plan_simplify(plan)
            pg_plan_run(plan, p, row)


cdef int add_operand(pg_plan* plan, View x, View out, str op) except -1:
    """Append the strides of ``x`` against the result's shape: 0 along stretched axes."""
    cdef int i, lead = out.ndim - x.ndim
    cdef Py_ssize_t* stride = plan.stride[plan.operands]
    cdef bint fits = lead >= 0
    if fits:
        for i in range(lead):
            stride[i] = 0
        for i in range(x.ndim):
            if x.dims[i] == out.dims[lead + i]:
                stride[lead + i] = x.strides_[i]
            elif x.dims[i] == 1:
                stride[lead + i] = 0
            else:
                fits = False
                break
    if not fits:
        raise ShapeError(
            f"{op}: shape {x.shape} does not broadcast to {out.shape}; "
            "lengths must be equal or 1, aligned at the last axis"
        )
    plan.operands += 1
    return 0


cdef int joint_dims(View x, View y, Py_ssize_t* dims, str op) except -1:
    """The broadcast shape of two operands; the number of axes is returned."""
    cdef View long = x if x.ndim >= y.ndim else y
    cdef View short = y if x.ndim >= y.ndim else x
    cdef int i, lead = long.ndim - short.ndim
    cdef Py_ssize_t a, b
    memcpy(dims, long.dims, long.ndim * sizeof(Py_ssize_t))
    for i in range(short.ndim):
        a = dims[lead + i]
        b = short.dims[i]
        if a == 1:
            dims[lead + i] = b
        elif b != 1 and a != b:
            raise ShapeError(
                f"{op}: shapes {x.shape} and {y.shape} do not broadcast; "
                "lengths must be equal or 1, aligned at the last axis"
            )
    return long.ndim


cdef void start_plan(pg_plan* plan, View out) noexcept:
    """A plan over the result alone."""
    plan.operands = 1
    plan.ndim = out.ndim
    memcpy(plan.shape, out.dims, out.ndim * sizeof(Py_ssize_t))
    memcpy(plan.stride[0], out.strides_, out.ndim * sizeof(Py_ssize_t))


cdef int check_out(View out, View like, int code, str op) except -1:
    if out.code != code or not same_shape(out, like):
        raise ShapeError(
            f"{op}: the result {like.shape} of dtype {pg_short_name[code].decode()} does not go into {out!r}"
        )
    return 0


# -- one operand

cdef View unary(Rows* rows, View x, View out):
    cdef pg_row_fn row = <pg_row_fn>rows.by_code[x.code]
    cdef pg_plan plan
    cdef char* p[2]
    cdef Py_ssize_t s[2]
    if row == NULL:
        return no_kernel(rows, x)
    if out is None:
        out = fresh_like(x, x.code)
    else:
        check_out(out, x, x.code, rows.name.decode())
    if x.size == 0:
        return out
    p[0] = out.data
    p[1] = x.data
    if out.contiguous and x.contiguous:
        s[0] = s[1] = pg_itemsize[x.code]
        run_row(row, p, s, x.size)
        return out
    start_plan(&plan, out)
    add_operand(&plan, x, out, rows.name.decode())
    run_plan(row, &plan, p, out.size)
    return out


cdef View no_kernel(Rows* rows, View x):
    raise DTypeError(f"{rows.name.decode()}: not defined for {x.dtype}; cast it first")


# -- two operands

cdef View binary(Rows* rows, object left, object right, View out, bint compare):
    cdef View x, y
    cdef pg_row_fn row
    cdef pg_plan plan
    cdef char* p[3]
    cdef Py_ssize_t s[3]
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef int ndim, code
    if type(left) is View:
        x = left
        y = right if type(right) is View else scalar(right, x.code)
    else:
        y = <View?>right
        x = scalar(left, y.code)
    row = <pg_row_fn>rows.by_code[x.code]
    if x.code != y.code or row == NULL:
        return bad_pair(rows, x, y)
    code = PG_B1 if compare else x.code
    if same_shape(x, y):
        if out is None:
            out = paired_result(x, y, code)
        else:
            check_out(out, x, code, rows.name.decode())
        if x.contiguous and y.contiguous and out.contiguous:
            if x.size:
                p[0] = out.data
                p[1] = x.data
                p[2] = y.data
                s[0] = pg_itemsize[code]
                s[1] = s[2] = pg_itemsize[x.code]
                run_row(row, p, s, x.size)
            return out
    else:
        ndim = joint_dims(x, y, dims, rows.name.decode())
        if out is None:
            out = fresh(ndim, dims, code)
        elif out.code != code or out.ndim != ndim or memcmp(out.dims, dims, ndim * sizeof(Py_ssize_t)):
            raise ShapeError(f"{rows.name.decode()}: the result {dims_tuple(dims, ndim)} does not go into {out!r}")
    if out.size == 0:
        return out
    p[0] = out.data
    p[1] = x.data
    p[2] = y.data
    start_plan(&plan, out)
    add_operand(&plan, x, out, rows.name.decode())
    add_operand(&plan, y, out, rows.name.decode())
    run_plan(row, &plan, p, out.size)
    return out


cdef View paired_result(View x, View y, int code):
    """The result's layout: that of the operands if they agree, else C order."""
    if not x.contiguous and memcmp(x.strides_, y.strides_, x.ndim * sizeof(Py_ssize_t)) == 0:
        return fresh_like(x, code)
    return fresh(x.ndim, x.dims, code)


cdef View bad_pair(Rows* rows, View x, View y):
    if x.code != y.code:
        raise DTypeError(f"{rows.name.decode()}: operands are {x.dtype} and {y.dtype}; cast one of them first")
    return no_kernel(rows, x)


# -- a condition and two operands

cdef pg_row_fn WHERE[17]                  # by item size
WHERE[1] = <pg_row_fn>find("elementwise", "where", "u1")
WHERE[2] = <pg_row_fn>find("elementwise", "where", "u2")
WHERE[4] = <pg_row_fn>find("elementwise", "where", "u4")
WHERE[8] = <pg_row_fn>find("elementwise", "where", "u8")
WHERE[16] = <pg_row_fn>find("elementwise", "where", "c16")


cdef View select(View c, object left, object right, View out):
    cdef View x, y
    cdef pg_plan plan
    cdef char* p[4]
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef Py_ssize_t all_dims[PG_MAX_DIMS]
    cdef View pair
    cdef int ndim
    if type(left) is View:
        x = left
        y = right if type(right) is View else scalar(right, x.code)
    else:
        y = <View?>right
        x = scalar(left, y.code)
    if c.code != PG_B1 or x.code != y.code:
        raise DTypeError(
            f"where: condition {c.dtype} with {x.dtype} and {y.dtype}; use a bool condition and two values of one dtype"
        )
    ndim = joint_dims(x, y, dims, "where")
    ndim = widen(c, dims, ndim, all_dims)
    if out is None:
        out = fresh(ndim, all_dims, x.code)
    elif out.code != x.code or out.ndim != ndim or memcmp(out.dims, all_dims, ndim * sizeof(Py_ssize_t)):
        raise ShapeError(f"where: the result {dims_tuple(all_dims, ndim)} does not go into {out!r}")
    if out.size == 0:
        return out
    p[0] = out.data
    p[1] = c.data
    p[2] = x.data
    p[3] = y.data
    start_plan(&plan, out)
    add_operand(&plan, c, out, "where")
    add_operand(&plan, x, out, "where")
    add_operand(&plan, y, out, "where")
    run_plan(WHERE[pg_itemsize[x.code]], &plan, p, out.size)
    return out


cdef int widen(View c, const Py_ssize_t* dims, int ndim, Py_ssize_t* out) except -1:
    """The broadcast of a view's shape with ``dims``; the number of axes is returned."""
    cdef int i, n = ndim if ndim > c.ndim else c.ndim
    cdef Py_ssize_t a, b
    for i in range(n):
        a = dims[i - (n - ndim)] if i >= n - ndim else 1
        b = c.dims[i - (n - c.ndim)] if i >= n - c.ndim else 1
        if a != b and a != 1 and b != 1:
            raise ShapeError(f"where: condition {c.shape} does not broadcast with values {dims_tuple(dims, ndim)}")
        out[i] = b if a == 1 else a
    return n
