from .memory cimport Storage

cdef extern from "plugrad/common.h":
    enum:
        PG_MAX_DIMS
        PG_MAX_OPERANDS
        PG_CODES
        PG_B1
        PG_I1
        PG_I2
        PG_I4
        PG_I8
        PG_U1
        PG_U2
        PG_U4
        PG_U8
        PG_F4
        PG_F8
        PG_F2
        PG_BF2
        PG_C8
        PG_C16
        PG_F1E4
        PG_F1E5
    const int* pg_itemsize
    const char** pg_short_name


cdef enum:
    PG_FEW_DIMS = 6


cdef class View:
    cdef Storage owner
    cdef char* data
    cdef Py_ssize_t size
    cdef int ndim
    cdef int code
    cdef bint contiguous
    cdef Py_ssize_t* dims
    cdef Py_ssize_t* strides_
    cdef Py_ssize_t few[2 * PG_FEW_DIMS]       # dims and strides,
    cdef bytes many                            # or where there are more axes


cdef int room(View x, int ndim) except -1
cdef View fresh(int ndim, const Py_ssize_t* dims, int code)
cdef View fresh_like(View x, int code)
cdef View alias(View x, int ndim)
cdef int settle(View x) except -1
cdef int read_dims(object shape, Py_ssize_t* dims) except -1
cdef int code_of(object dtype) except -1
cdef bint same_shape(View x, View y) noexcept
cdef tuple dims_tuple(const Py_ssize_t* dims, int ndim)
cdef View scalar(object value, int code)
