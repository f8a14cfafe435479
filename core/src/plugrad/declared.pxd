# The types of declared.py where it is compiled.

cdef class _OpBase:
    cdef public list table, chain, scalars
    cdef public int result, road, saved, partial_a, partial_b
    cdef public object partials, declared
