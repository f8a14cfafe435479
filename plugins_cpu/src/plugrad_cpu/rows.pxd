from .plan cimport pg_plan
from .tables cimport pg_fn, pg_row_fn
from .view cimport PG_CODES, View

ctypedef struct Rows:
    const char* name
    pg_fn by_code[PG_CODES]


cdef int name_rows(Rows* rows, const char* name) except -1
cdef void run_row(pg_row_fn row, char** p, const Py_ssize_t* s, Py_ssize_t n) noexcept
cdef void run_plan(pg_row_fn row, pg_plan* plan, char** p, Py_ssize_t n) noexcept
cdef void start_plan(pg_plan* plan, View out) noexcept
cdef int add_operand(pg_plan* plan, View x, View out, str op) except -1
cdef View unary(Rows* rows, View x, View out)
cdef View binary(Rows* rows, object left, object right, View out, bint compare)
cdef View select(View c, object left, object right, View out)
