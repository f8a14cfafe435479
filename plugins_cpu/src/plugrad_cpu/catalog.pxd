from .tables cimport pg_fn, pg_row_fn


cdef pg_row_fn row_of(str op, tuple codes, int out) except? NULL
cdef pg_fn fold_of(str op, int code) except? NULL
cdef pg_row_fn copy_row(int itemsize) noexcept
