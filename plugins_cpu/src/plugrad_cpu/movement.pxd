from .tables cimport pg_row_fn
from .view cimport View


cdef pg_row_fn copy_rows[17]               # by item size

cdef int copy_into(View out, View x) except -1
cdef View contiguous(View x)
cdef View contiguous_copy(View x)
cdef View broadcast(View x, int ndim, const Py_ssize_t* dims, str op)
cdef View squeezed(View x, unsigned long long axes)
cdef View region(View x, tuple start, tuple size, tuple step, str op)
