"""DLPack capsules, for what NumPy does not exchange: bfloat16, float8 and memory of other devices.

``export`` and ``take`` are registered as components. Knows no View: memory is described by an array interface.
"""

cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New, PyCapsule_SetName
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

import numpy as np

from plugrad.errors import ExchangeError

cdef extern from "plugrad/dlpack.h" nogil:
    ctypedef struct pg_dl_device:
        int32_t kind
        int32_t number
    ctypedef struct pg_dl_dtype:
        uint8_t code
        uint8_t bits
        uint16_t lanes
    ctypedef struct pg_dl_tensor:
        void* data
        pg_dl_device device
        int32_t ndim
        pg_dl_dtype dtype
        int64_t* shape
        int64_t* strides
        uint64_t byte_offset
    ctypedef struct pg_dl_old:
        pg_dl_tensor tensor
        void* context
        void (*deleter)(pg_dl_old*) noexcept
    ctypedef struct pg_dl_new:
        uint32_t major
        uint32_t minor
        void* context
        void (*deleter)(pg_dl_new*) noexcept
        uint64_t flags
        pg_dl_tensor tensor

cdef const char* OLD = "dltensor"
cdef const char* NEW = "dltensor_versioned"
cdef const char* USED_OLD = "used_dltensor"
cdef const char* USED_NEW = "used_dltensor_versioned"
cdef enum:
    READ_ONLY = 1
    COPIED = 2
    MAJOR = 1
HOST_KINDS = frozenset((1, 3, 11, 13))


# -- out

def export(dict interface, int code, int bits, tuple device, *, bint versioned, bint read_only, bint copied, holds):
    """A capsule of the memory that the interface describes; it keeps ``holds`` alive until its consumer is done."""
    cdef tuple shape = interface["shape"]
    cdef object strides = interface.get("strides")
    cdef Py_ssize_t ndim = len(shape), step = 1, i
    cdef bint dense = strides is None
    cdef size_t head = sizeof(pg_dl_new) if versioned else sizeof(pg_dl_old)
    cdef char* block = <char*>PyMem_RawMalloc(head + 2 * sizeof(int64_t) * <size_t>(ndim + 1))
    cdef int64_t* dims
    if block == NULL:
        raise MemoryError("dlpack: out of memory for a capsule")
    dims = <int64_t*>(block + head)
    try:
        for i in range(ndim - 1, -1, -1):
            dims[i] = shape[i]
            dims[ndim + i] = step if dense else <Py_ssize_t>strides[i] * 8 // bits
            step *= max(dims[i], 1)
        if versioned:
            _fill(&(<pg_dl_new*>block).tensor, interface["data"][0], dims, <int>ndim, code, bits, device)
            (<pg_dl_new*>block).major = MAJOR
            (<pg_dl_new*>block).minor = 0
            (<pg_dl_new*>block).flags = (READ_ONLY if read_only else 0) | (COPIED if copied else 0)
            (<pg_dl_new*>block).context = <void*>holds
            (<pg_dl_new*>block).deleter = _delete_new
            capsule = PyCapsule_New(block, NEW, _drop)
        else:
            _fill(&(<pg_dl_old*>block).tensor, interface["data"][0], dims, <int>ndim, code, bits, device)
            (<pg_dl_old*>block).context = <void*>holds
            (<pg_dl_old*>block).deleter = _delete_old
            capsule = PyCapsule_New(block, OLD, _drop)
    except BaseException:
        PyMem_RawFree(block)
        raise
    Py_INCREF(holds)
    return capsule


cdef int _fill(pg_dl_tensor* t, size_t address, int64_t* dims, int ndim, int code, int bits, tuple device) except -1:
    t.data = <void*>address
    t.device.kind = device[0]
    t.device.number = device[1]
    t.ndim = ndim
    t.dtype.code = <uint8_t>code
    t.dtype.bits = <uint8_t>bits
    t.dtype.lanes = 1
    t.shape = dims
    t.strides = dims + ndim
    t.byte_offset = 0
    return 0


cdef void _delete_new(pg_dl_new* self) noexcept with gil:
    Py_DECREF(<object>self.context)
    PyMem_RawFree(self)


cdef void _delete_old(pg_dl_old* self) noexcept with gil:
    Py_DECREF(<object>self.context)
    PyMem_RawFree(self)


cdef void _drop(object capsule) noexcept:
    """A capsule that nobody consumed; a consumer renames it. No reference may be taken to what is being deleted."""
    if PyCapsule_IsValid(capsule, NEW):
        _delete_new(<pg_dl_new*>PyCapsule_GetPointer(capsule, NEW))
    elif PyCapsule_IsValid(capsule, OLD):
        _delete_old(<pg_dl_old*>PyCapsule_GetPointer(capsule, OLD))


# -- in

@cython.final
cdef class _Taken:
    """Owns what a capsule held; gives it back when the last array on it is gone."""

    cdef pg_dl_old* old
    cdef pg_dl_new* new
    cdef readonly dict __array_interface__

    def __dealloc__(self):
        if self.new != NULL and self.new.deleter != NULL:
            self.new.deleter(self.new)
        if self.old != NULL and self.old.deleter != NULL:
            self.old.deleter(self.old)


def take(capsule) -> tuple:
    """The capsule's memory as an array of unsigned integers of the elements' size, with DLPack's code and bits."""
    cdef _Taken taken = _Taken.__new__(_Taken)
    cdef pg_dl_tensor* t
    cdef bint read_only = False
    cdef int i
    if PyCapsule_IsValid(capsule, NEW):
        taken.new = <pg_dl_new*>PyCapsule_GetPointer(capsule, NEW)
        PyCapsule_SetName(capsule, USED_NEW)
        if taken.new.major != MAJOR:
            raise ExchangeError(f"dlpack: version {taken.new.major} is unknown; ask the producer for version {MAJOR}")
        t = &taken.new.tensor
        read_only = (taken.new.flags & READ_ONLY) != 0
    elif PyCapsule_IsValid(capsule, OLD):
        taken.old = <pg_dl_old*>PyCapsule_GetPointer(capsule, OLD)
        PyCapsule_SetName(capsule, USED_OLD)
        t = &taken.old.tensor
    else:
        raise ExchangeError("dlpack: not a capsule of DLPack, or one that was consumed before; ask for a new one")
    if t.device.kind not in HOST_KINDS or t.dtype.lanes != 1 or t.dtype.bits not in (8, 16, 32, 64):
        what = f"kind {t.device.kind}, {t.dtype.bits} bits, {t.dtype.lanes} lanes"
        raise ExchangeError(f"dlpack: memory of {what} cannot be read here; copy or cast it in its own library")
    size = t.dtype.bits // 8
    shape = tuple([t.shape[i] for i in range(t.ndim)])
    strides = None if t.strides == NULL else tuple([t.strides[i] * size for i in range(t.ndim)])
    address = <size_t>t.data + <size_t>t.byte_offset
    taken.__array_interface__ = {
        "version": 3, "typestr": f"|u{size}" if size == 1 else f"<u{size}", "shape": shape, "strides": strides,
        "data": (address, read_only),
    }
    if 0 in shape:
        return np.empty(shape, f"u{size}"), t.dtype.code, t.dtype.bits
    return np.asarray(taken), t.dtype.code, t.dtype.bits
