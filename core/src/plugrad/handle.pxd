# The types of handle.py where it is compiled.

cimport cython

from .declared cimport _OpBase
from .state cimport State, calm, state


@cython.final
cdef class Node:
    cdef public object op, attrs, _inputs, _outputs, mask, mask_a, mask_b
    cdef public tuple kept, shape, shape_a, shape_b
    cdef public str dev
    cdef public int be, dt
    cdef public long long seq, born
    cdef object __weakref__

    cpdef free(self)


cdef class _TensorBase:
    cdef public object val, base, tr, aux, mask, _grad
    cdef public tuple _shape
    cdef public str dev
    cdef public int be, dt, ix
    cdef public long long born
    cdef public Node node
    cdef object __weakref__

    @cython.locals(t=_TensorBase, born="long long")
    cpdef clone(self, Node node, object mask, int ix=*)
    @cython.locals(t=_TensorBase, born="long long")
    cpdef ghost(self, Node node, object mask, int ix=*)


cpdef meet_gradient(_TensorBase t, bint read)
cdef type Tensor
cdef object _bind, _lift, _broadcast_shapes, sequence
cdef list ACTIVE
cdef dict _NO_ATTRS
cdef object _ZERO, _ONE
cdef State _default
cdef list FLOATING, _RANKS, _operators, _functions
cdef int _ADD, _SUB, _MUL, _DIV, _EQ, _NE, _LT, _LE, _GT, _GE, _NEG

@cython.locals(be=int, dt=int, born="long long")
cpdef tuple operands(Node n, tuple kept)
cpdef result(Node n, tuple kept, Node node, object mask)
@cython.locals(t=_TensorBase)
cpdef _TensorBase handle(
    object val, int be, int dt, tuple shape, str dev, object base, long long born, Node node, object mask
)
cpdef bint known(object other) except -1
cdef object _operate(int which, object x, object y)
cpdef bind1(_OpBase op, object x)
cpdef bind2(_OpBase op, object x, object y)
@cython.locals(node=Node)
cpdef object live(_TensorBase t, State here)
cdef State _here()
cdef bint _strange(_TensorBase x, State here) except -1
cdef bint _short(_OpBase op, _TensorBase x, int reads) except -1
@cython.locals(a=_TensorBase, out=_TensorBase, here=State)
cdef object _road1(_OpBase op, object x)
@cython.locals(row=list)
cdef _TensorBase _call1(_OpBase op, _TensorBase a, long long born)
@cython.locals(a=_TensorBase, b=_TensorBase, out=_TensorBase, here=State)
cdef object _road2(_OpBase op, object x, object y, bint inexact)
@cython.locals(row=list, shape=tuple)
cdef _TensorBase _call2(_OpBase op, _TensorBase a, _TensorBase b, long long born)
cdef object _scalar_left(_OpBase op, object x, object y, bint inexact)
@cython.locals(need=int)
cdef object _scalar_right(_OpBase op, _TensorBase a, object y, bint inexact)
@cython.locals(n=Node, s=int)
cdef object _record(
    _OpBase op, _TensorBase out, object mask, _TensorBase a, object mask_a, _TensorBase b, object mask_b
)
@cython.locals(op=_OpBase, row=list)
cpdef object raw(int which, int be, int dt, object x, object y)
