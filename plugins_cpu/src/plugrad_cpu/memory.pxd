cdef class Storage:
    cdef char* data
    cdef size_t capacity
    cdef int size_class
    cdef object lender


cdef Storage allocate(size_t bytes)
cdef Storage borrow(void* data, object lender)
cdef Storage allocate_exact(size_t bytes)
