from .tables cimport pg_row_fn
from .view cimport PG_MAX_DIMS, PG_MAX_OPERANDS

cdef extern from "plugrad/plan.h" nogil:
    ctypedef struct pg_plan:
        int operands
        int ndim
        Py_ssize_t shape[PG_MAX_DIMS]
        Py_ssize_t stride[PG_MAX_OPERANDS][PG_MAX_DIMS]
    void pg_plan_simplify(pg_plan* q)
    void pg_plan_run(const pg_plan* q, char** base, pg_row_fn row)
