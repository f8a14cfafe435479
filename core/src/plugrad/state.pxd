cdef class State:
    cdef public object mask, bits, stage, capture, top, log, draws, strict, device
    cdef public tuple scopes, observers
    cdef public long long since, uid


cpdef State state()
cpdef bint calm(State here) except -1
