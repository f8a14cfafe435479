# The types of walk.py where it is compiled.

cimport cython

from .declared cimport _OpBase
from .handle cimport Node, _TensorBase, handle, operands, raw, result
from .state cimport State, calm, state


@cython.final
cdef class _Slot:
    cdef Node node, like
    cdef object first, raw
    cdef dict more


@cython.final
cdef class _Walk:
    cdef object bit, mask
    cdef _Slot top
    cdef bint calm, idle
    cdef long long start, uid
    cdef dict waiting
    cdef list heap

    cdef bint follows(self, Node node, object mask) except -1
    @cython.locals(node=Node)
    cdef object reach(self, _TensorBase t, object g)
    @cython.locals(top=_Slot, first=_Slot, found=_Slot, slot=_Slot)
    cdef _Slot slot(self, Node node)
    cdef object wait(self, _Slot slot)
    @cython.locals(top=_Slot, first=_Slot, slot=_Slot)
    cdef _Slot youngest(self)
    @cython.locals(slot=_Slot, more=dict)
    cdef object add(self, Node node, int ix, object g, bint own)
    @cython.locals(slot=_Slot)
    cdef object add_raw(self, Node node, object value, Node like)
    cdef object made(self, object value, Node like)
    @cython.locals(like=Node)
    cdef object settled(self, _Slot slot)
    @cython.locals(node=Node, op=_OpBase, kept=tuple)
    cdef object step(self, _Slot slot)
    @cython.locals(both=bint, need_a=bint, need_b=bint, node_a=Node, node_b=Node)
    cdef object step_kept(self, _OpBase op, Node node, tuple kept, _Slot slot)
    @cython.locals(g=_TensorBase, plainly=bint)
    cdef object value(self, _Slot slot)
    cdef bint step_raw(self, Node node, tuple kept, int partial, object value, Node to, tuple shape) except -1
    @cython.locals(which=int, own=bint, c=_TensorBase, x=_TensorBase)
    cdef object step_partial(self, _OpBase op, Node node, tuple kept, _Slot slot, tuple xs, int i, bint last)
    cdef object step_any(self, Node node, _Slot slot)


cdef list WATCHING, COMPLEX
cdef int ADD, MUL
@cython.locals(walk=_Walk, slot=_Slot, node=Node)
cpdef backprop(seeds, wanted, bit, start, observe=*, bint free=*)
cpdef to_leaves(seed, observe, bint free)
cdef _accumulate(_TensorBase t, g)
cpdef plain(_TensorBase t)
cpdef conjugate(_TensorBase t)
