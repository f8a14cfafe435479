"""Operators of a compiled class for its subclasses. Cython names them as methods too, and for a class written in Python
an operator found by its name takes the road of Python's own methods.
"""

cdef extern from *:
    const char* PLUGRAD_SOURCES

SOURCES = PLUGRAD_SOURCES.decode()                     # what was compiled: a hash that plugrad.hot compares

cdef extern from "Python.h":
    ctypedef struct PyNumberMethods:
        void* nb_add
        void* nb_subtract
        void* nb_multiply
        void* nb_true_divide
    ctypedef struct PyTypeObject:
        PyNumberMethods* tp_as_number


def inherit_operators(type kind not None, type base not None):
    """Give ``kind``, which must not define them itself, the arithmetic operators of ``base``."""
    cdef PyNumberMethods* mine = (<PyTypeObject*>kind).tp_as_number
    cdef PyNumberMethods* its = (<PyTypeObject*>base).tp_as_number
    mine.nb_add = its.nb_add
    mine.nb_subtract = its.nb_subtract
    mine.nb_multiply = its.nb_multiply
    mine.nb_true_divide = its.nb_true_divide
