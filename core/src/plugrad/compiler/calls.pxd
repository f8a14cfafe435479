# The types of calls.py where it is compiled.

cimport cython

from ..handle cimport _TensorBase, handle

cdef object Tensor, getrefcount
cdef Py_ssize_t _LONE

@cython.locals(t=_TensorBase, found=list)
cpdef object kinds(tuple args, object place)
@cython.locals(i=Py_ssize_t)
cpdef bint same(object values, object seen) except -1
@cython.locals(i=Py_ssize_t)
cpdef bint holds(dict own, tuple names, list seen) except -1
@cython.locals(t=_TensorBase, then=tuple, i=Py_ssize_t)
cpdef Py_ssize_t unlike(list handles, list seen) except -2
@cython.locals(i=Py_ssize_t, j=Py_ssize_t)
cpdef Py_ssize_t meets(object args, list handles) except -2
@cython.locals(t=_TensorBase, values=list, i=Py_ssize_t, first=Py_ssize_t)
cpdef list gathered(object args, object captured, list donated)
cdef Py_ssize_t _count(_TensorBase x) except -2
@cython.locals(t=_TensorBase)
cpdef bint gives(object x) except -1
@cython.locals(kind=tuple, i=Py_ssize_t, found=list)
cpdef list results(object values, list made, Py_ssize_t first, Py_ssize_t end)
@cython.locals(i=Py_ssize_t, n=Py_ssize_t, left=list, t=_TensorBase)
cpdef list written(list handles, object values, list made, Py_ssize_t first, list fresh)
@cython.locals(t=_TensorBase)
cpdef bint put(object x, object value, tuple kind) except -1
