from .tables cimport pg_row_fn

cdef extern from "plugrad/program.h" nogil:
    ctypedef int (*pg_step_fn)(const void* with_, char** p) noexcept nogil
    ctypedef struct pg_ref:
        int base
        Py_ssize_t offset
    ctypedef struct pg_step:
        pg_step_fn run
        void* with_ "with"
        int operands
        pg_ref* operand
    int pg_steps_run(const pg_step* step, int begin, int end, char** base)


cdef class Steps:
    cdef pg_step* step
    cdef readonly int count
    cdef int capacity
    cdef readonly Py_ssize_t work
    cdef readonly list equations
    cdef list kept
    cdef void* add(self, pg_step_fn run, size_t size, refs, Py_ssize_t work) except NULL
