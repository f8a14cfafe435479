from .plan cimport pg_plan
from .tables cimport pg_row_fn
from .view cimport PG_MAX_DIMS, PG_MAX_OPERANDS

cdef extern from "plugrad/fused.h" nogil:
    enum:
        PG_GROUP_POINTERS
        PG_GROUP_ENDS
        PG_IN_PLACE_PIECE
        PG_LOADED
        PG_LOADED_ONCE
    ctypedef void (*pg_reduce_fn)(const pg_plan* kept, const pg_plan* reduced, char* x, char* o) noexcept nogil
    ctypedef void (*pg_fold_rows_fn)(void* a, const char* x, Py_ssize_t rs, Py_ssize_t rows, Py_ssize_t s,
                                     Py_ssize_t n) noexcept nogil
    ctypedef void (*pg_accumulate_fn)(char* o, char* c, const char* x, Py_ssize_t n) noexcept nogil
    ctypedef struct pg_outside:
        int how
        Py_ssize_t stride[PG_MAX_DIMS]
        Py_ssize_t buffer
        pg_row_fn copy
        pg_plan load[2]
    ctypedef struct pg_body_op:
        pg_row_fn row
        int operands
        int at[PG_MAX_OPERANDS]
        Py_ssize_t s[PG_MAX_OPERANDS]
    ctypedef struct pg_body_end:
        pg_reduce_fn fold
        pg_fold_rows_fn rows
        pg_plan kept[2]
        pg_plan reduced[2]
        int at
        int out
        int complete
        unsigned long long reduced_axes
        Py_ssize_t count[2]
        Py_ssize_t itemsize
        Py_ssize_t partial
        Py_ssize_t compensation
        pg_accumulate_fn accumulate
        pg_row_fn join
    ctypedef struct pg_group:
        int ndim
        int axis
        Py_ssize_t shape[PG_MAX_DIMS]
        Py_ssize_t rows
        Py_ssize_t inner
        int outsides
        int buffers
        int literals
        int ops
        int ends
        pg_outside* outside
        Py_ssize_t* buffer
        char** literal
        pg_body_op* op
        pg_body_end* end
    void pg_group_run(const pg_group* g, char** first, char* scratch)
    void pg_accumulate_f4(char* o, char* c, const char* x, Py_ssize_t n)
    void pg_accumulate_f8(char* o, char* c, const char* x, Py_ssize_t n)


cdef class Group:
    cdef pg_group g
    cdef readonly Py_ssize_t scratch
    cdef readonly Py_ssize_t elements
    cdef list kept
    cdef Py_ssize_t reserve(self, Py_ssize_t bytes)
