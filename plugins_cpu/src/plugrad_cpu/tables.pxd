cdef extern from "plugrad/common.h" nogil:
    ctypedef void (*pg_fn)() noexcept nogil
    ctypedef void (*pg_row_fn)(char** p, const Py_ssize_t* s, Py_ssize_t n) noexcept nogil


cdef pg_fn find(const char* family, const char* op, const char* dtype) noexcept
cdef void load(const char* family, const char* op, pg_fn* by_code) noexcept
