"""Steps of a compiled program: C functions of ``program.h`` with their arguments prepared. Shapes and strides are taken
as they come; ``lowering`` has checked them.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free, realloc

from .catalog cimport copy_row, fold_of, row_of
from .fused cimport Group, pg_group, pg_reduce_fn
from .plan cimport pg_plan, pg_plan_simplify
from .tables cimport find, pg_fn, pg_row_fn
from .view cimport PG_MAX_DIMS, PG_MAX_OPERANDS, pg_itemsize, pg_short_name

cdef extern from "plugrad/program.h" nogil:
    ctypedef void (*pg_transpose_fn)(char*, const char*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
                                     Py_ssize_t) noexcept nogil
    ctypedef void (*pg_gemm_fn)(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const void* a, Py_ssize_t ar, Py_ssize_t ac,
                                const void* b, Py_ssize_t br, Py_ssize_t bc, void* c, Py_ssize_t cr,
                                void* work) noexcept nogil
    ctypedef Py_ssize_t (*pg_gemm_work_fn)(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k) noexcept nogil
    ctypedef Py_ssize_t (*pg_arg_fn)(const char* x, Py_ssize_t s, Py_ssize_t n) noexcept nogil
    void pg_reduction_plans(int ndim, const Py_ssize_t* shape, const Py_ssize_t* s, const Py_ssize_t* so, uint64_t axes,
                            pg_plan* kept, pg_plan* reduced)
    ctypedef struct pg_row_step:
        pg_row_fn row
        Py_ssize_t n
        Py_ssize_t s[PG_MAX_OPERANDS]
    ctypedef struct pg_copy_step:
        pg_plan plan
        pg_row_fn row
        pg_transpose_fn transpose
        Py_ssize_t bytes
    ctypedef struct pg_zero_step:
        Py_ssize_t bytes
    ctypedef struct pg_gemm_step:
        pg_plan lead
        pg_gemm_fn gemm
        Py_ssize_t m
        Py_ssize_t n
        Py_ssize_t k
        Py_ssize_t s[5]
        Py_ssize_t itemsize
    ctypedef struct pg_reduce_step:
        pg_plan kept
        pg_plan reduced
        pg_reduce_fn fold
    ctypedef struct pg_lines_step:
        pg_plan nest
        pg_row_fn row
        pg_arg_fn arg
        Py_ssize_t s[2]
        Py_ssize_t n
    ctypedef struct pg_wrap_step:
        Py_ssize_t n
        Py_ssize_t length
    ctypedef struct pg_index_step:
        Py_ssize_t outer
        Py_ssize_t length
        Py_ssize_t n
        Py_ssize_t inner
        Py_ssize_t itemsize
        pg_row_fn add
    ctypedef struct pg_along_step:
        pg_plan nest
        Py_ssize_t n
        Py_ssize_t s[3]
        Py_ssize_t itemsize
    ctypedef struct pg_norm_step:
        void* forward
        void* backward
        Py_ssize_t rows
        Py_ssize_t n
        Py_ssize_t itemsize
        double eps
    ctypedef struct pg_random_step:
        void* philox
        Py_ssize_t keys
        Py_ssize_t each
    ctypedef struct pg_group_step:
        const pg_group* group
    int pg_step_row(const void*, char**) noexcept
    int pg_step_copy(const void*, char**) noexcept
    int pg_step_zero(const void*, char**) noexcept
    int pg_step_gemm(const void*, char**) noexcept
    int pg_step_reduce(const void*, char**) noexcept
    int pg_step_lines(const void*, char**) noexcept
    int pg_step_wrap(const void*, char**) noexcept
    int pg_step_gather(const void*, char**) noexcept
    int pg_step_scatter_add(const void*, char**) noexcept
    int pg_step_along(const void*, char**) noexcept
    int pg_step_layer_norm(const void*, char**) noexcept
    int pg_step_layer_norm_bwd(const void*, char**) noexcept
    int pg_step_random(const void*, char**) noexcept
    int pg_step_group(const void*, char**) noexcept

cdef dict _SIZES = {1: b"u1", 2: b"u2", 4: b"u4", 8: b"u8", 16: b"c16"}


def has_row(str op, tuple codes, int out) -> bool:
    """Whether there is a row for an elementwise op."""
    return row_of(op, codes, out) != NULL


def has_fold(str op, int code) -> bool:
    """Whether there is a loop for a reduction."""
    return fold_of(op, code) != NULL


def has(str family, str op, int code) -> bool:
    """Whether there is a kernel for a dtype."""
    return find(family.encode(), op.encode(), pg_short_name[code]) != NULL


def gemm_bytes(int code, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k) -> int:
    """The workspace of a matrix product."""
    cdef pg_gemm_work_fn work = <pg_gemm_work_fn>find("contraction", "gemm_work", pg_short_name[code])
    return work(m, n, k) * pg_itemsize[code]


cdef void _read(values, Py_ssize_t* out) except *:
    cdef Py_ssize_t i
    for i in range(len(values)):
        out[i] = values[i]


cdef int _plan(pg_plan* plan, shape, strides) except -1:
    """A loop nest over operands with these strides."""
    cdef int k
    plan.ndim = len(shape)
    plan.operands = len(strides)
    _read(shape, plan.shape)
    for k in range(plan.operands):
        _read(strides[k], plan.stride[k])
    return 0


cdef class Steps:
    """Steps in order. ``refs`` are (base, offset) of what a step works on, its results first; ``equations`` says for
    each step which equation it belongs to; ``work`` sums up elements.
    """

    def __init__(self):
        self.equations = []
        self.kept = []

    def __dealloc__(self):
        cdef int i
        for i in range(self.count):
            free(self.step[i].with_)
            free(self.step[i].operand)
        free(self.step)

    cdef void* add(self, pg_step_fn run, size_t size, refs, Py_ssize_t work) except NULL:
        """Append a step; its arguments are the caller's to fill in."""
        cdef pg_step* step
        cdef int k
        if self.count == self.capacity:
            self.capacity = 2 * self.capacity + 16
            step = <pg_step*>realloc(self.step, self.capacity * sizeof(pg_step))
            if step == NULL:
                raise MemoryError("compile: no memory for the program's steps")
            self.step = step
        step = self.step + self.count
        step.run = run
        step.with_ = calloc(1, size)
        step.operands = len(refs)
        step.operand = <pg_ref*>calloc(len(refs) + 1, sizeof(pg_ref))
        if step.with_ == NULL or step.operand == NULL:
            raise MemoryError("compile: no memory for the program's steps")
        for k in range(step.operands):
            step.operand[k].base, step.operand[k].offset = refs[k]
        self.count += 1
        self.work += work
        return step.with_

    def belongs(self, int equation):
        """Say which equation the steps added since the last call belong to."""
        self.equations.extend([equation] * (self.count - len(self.equations)))

    def row(self, refs, str op, tuple codes, int out, Py_ssize_t n, strides):
        """One row of an elementwise op."""
        cdef pg_row_step* q = <pg_row_step*>self.add(pg_step_row, sizeof(pg_row_step), refs, n)
        q.row = row_of(op, codes, out)
        q.n = n
        _read(strides, q.s)

    def copy(self, refs, shape, to, of, int itemsize, Py_ssize_t nbytes):
        """Elements from one layout to another; ``nbytes`` at once if that is not -1."""
        cdef Py_ssize_t n = 1
        for i in shape:
            n *= i
        cdef pg_copy_step* q = <pg_copy_step*>self.add(pg_step_copy, sizeof(pg_copy_step), refs, n)
        _plan(&q.plan, shape, (to, of))
        q.row = copy_row(itemsize)
        q.transpose = <pg_transpose_fn>find("movement", "transpose", <bytes>_SIZES[itemsize])
        q.bytes = nbytes

    def zero(self, refs, Py_ssize_t nbytes):
        """Zero bytes."""
        cdef pg_zero_step* q = <pg_zero_step*>self.add(pg_step_zero, sizeof(pg_zero_step), refs, nbytes // 4)
        q.bytes = nbytes

    def gemm(self, refs, int code, tuple mnk, strides, lead_shape, lead_strides):
        """Matrix products: c, a, b, workspace."""
        cdef Py_ssize_t many = 1
        for i in lead_shape:
            many *= i
        m, n, k = mnk
        cdef pg_gemm_step* q = <pg_gemm_step*>self.add(pg_step_gemm, sizeof(pg_gemm_step), refs, many * m * n * k // 8)
        q.m, q.n, q.k = m, n, k
        q.itemsize = pg_itemsize[code]
        q.gemm = <pg_gemm_fn>find("contraction", "gemm", pg_short_name[code])
        _read(strides, q.s)
        _plan(&q.lead, lead_shape, lead_strides)

    def reduce(self, refs, str op, int code, shape, of, to, uint64_t axes):
        """A reduction over the axes whose bits are set; ``to`` are the result's strides, with those axes of length 1.
        """
        cdef Py_ssize_t dims[PG_MAX_DIMS]
        cdef Py_ssize_t s[PG_MAX_DIMS]
        cdef Py_ssize_t so[PG_MAX_DIMS]
        cdef Py_ssize_t n = 1
        for i in shape:
            n *= i
        cdef pg_reduce_step* q = <pg_reduce_step*>self.add(pg_step_reduce, sizeof(pg_reduce_step), refs, n)
        _read(shape, dims)
        _read(of, s)
        _read(to, so)
        q.fold = <pg_reduce_fn>fold_of(op, code)
        pg_reduction_plans(len(shape), dims, s, so, axes, &q.kept, &q.reduced)

    def lines(self, refs, str op, int code, shape, strides, tuple step, Py_ssize_t n):
        """``cumsum``, ``argmax`` or ``argmin`` along lines of n elements; the nest goes over result and operand."""
        cdef Py_ssize_t work = n
        for i in shape:
            work *= i
        cdef pg_lines_step* q = <pg_lines_step*>self.add(pg_step_lines, sizeof(pg_lines_step), refs, work)
        cdef pg_fn fn = fold_of(op, code)
        _plan(&q.nest, shape, strides)
        pg_plan_simplify(&q.nest)
        if op == "cumsum":
            q.row = <pg_row_fn>fn
        else:
            q.arg = <pg_arg_fn>fn
        _read(step, q.s)
        q.n = n

    def wrap(self, refs, Py_ssize_t n, Py_ssize_t length):
        """Positions along an axis of some length, checked and made non-negative."""
        cdef pg_wrap_step* q = <pg_wrap_step*>self.add(pg_step_wrap, sizeof(pg_wrap_step), refs, n)
        q.n = n
        q.length = length

    def index(self, refs, bint add, int code, tuple sizes):
        """Rows fetched from, or added at, positions: ``sizes`` are outer, length, positions and inner."""
        cdef Py_ssize_t work = sizes[0] * sizes[2] * sizes[3]
        cdef pg_index_step* q = <pg_index_step*>self.add(pg_step_scatter_add if add else pg_step_gather,
                                                         sizeof(pg_index_step), refs, work)
        q.outer, q.length, q.n, q.inner = sizes
        q.itemsize = pg_itemsize[code]
        q.add = <pg_row_fn>find("elementwise", "add", pg_short_name[code]) if add else NULL

    def along(self, refs, shape, strides, step, Py_ssize_t n, int itemsize):
        """One position for every element of the result; the nest goes over result, positions, operand."""
        cdef Py_ssize_t work = n
        for i in shape:
            work *= i
        cdef pg_along_step* q = <pg_along_step*>self.add(pg_step_along, sizeof(pg_along_step), refs, work)
        _plan(&q.nest, shape, strides)
        _read(step, q.s)
        q.n = n
        q.itemsize = itemsize

    def layer_norm(self, refs, int code, Py_ssize_t rows, Py_ssize_t n, double eps):
        """Forward."""
        cdef pg_norm_step* q = <pg_norm_step*>self.add(pg_step_layer_norm, sizeof(pg_norm_step), refs, 4 * rows * n)
        q.forward = <void*>find("norm", "layer_norm", pg_short_name[code])
        q.rows, q.n, q.eps = rows, n, eps

    def layer_norm_bwd(self, refs, int code, Py_ssize_t rows, Py_ssize_t n):
        """Backward."""
        cdef pg_norm_step* q = <pg_norm_step*>self.add(pg_step_layer_norm_bwd, sizeof(pg_norm_step), refs, 8 * rows * n)
        q.backward = <void*>find("norm", "layer_norm_bwd", pg_short_name[code])
        q.rows, q.n, q.itemsize = rows, n, pg_itemsize[code]

    def random(self, refs, Py_ssize_t keys, Py_ssize_t each):
        """Random words."""
        cdef pg_random_step* q = <pg_random_step*>self.add(pg_step_random, sizeof(pg_random_step), refs, keys * each)
        q.philox = <void*>find("random", "philox", "u4")
        q.keys, q.each = keys, each

    def group(self, refs, Group group not None):
        """A fused group: its operands, its results, its scratch memory."""
        cdef pg_group_step* q = <pg_group_step*>self.add(pg_step_group, sizeof(pg_group_step), refs,
                                                         group.elements * (group.g.ops + 1))
        q.group = &group.g
        self.kept.append(group)
