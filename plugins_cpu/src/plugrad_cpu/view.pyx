"""``View``: a strided window on aligned memory, the value type of this backend. Knows no op.

A view is read-only for everyone outside this package: ``numpy.asarray(view)`` shares its memory and refuses writes.
Strides are in bytes. Fresh views are C-contiguous. Every element lies at a multiple of its size, or of 8.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_ANY_CONTIGUOUS, PyBUF_C_CONTIGUOUS, PyBUF_F_CONTIGUOUS, PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDED_RO,
    PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

import numpy as np

from plugrad.dtypes import as_dtype
from plugrad.errors import DTypeError, ShapeError

from .memory cimport allocate, borrow


cdef Py_ssize_t LARGEST = <Py_ssize_t>1 << 46          # bytes: about what an address can span
cdef enum:
    SHORT = 1 << 20                                    # elements: rows that are too short to overflow anything

cdef tuple DTYPES = tuple(
    as_dtype(name)
    for name in "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 float16 bfloat16 complex64 "
    "complex128 float8_e4m3fn float8_e5m2".split()
)
cdef dict CODES = {dtype: code for code, dtype in enumerate(DTYPES)}
cdef list BITS = []                                    # what stands for a dtype that the buffer protocol has not
cdef char[PG_CODES][3] FORMATS                         # empty for those
for _code, _dtype in enumerate(DTYPES):
    _known = _code not in (PG_BF2, PG_F1E4, PG_F1E5)
    BITS.append(_dtype if _known else np.dtype(f"u{_dtype.itemsize}"))
    _letters = memoryview(np.empty(0, _dtype)).format.encode() if _known else b""
    for _i in range(3):
        FORMATS[_code][_i] = _letters[_i] if _i < len(_letters) else 0


@cython.final
@cython.freelist(256)
cdef class View:
    """Pointer, shape, strides and dtype over a shared block of memory. ``View()`` is an empty row of bools."""

    def __cinit__(self):
        self.dims = self.few
        self.strides_ = self.few + PG_FEW_DIMS
        self.data = <char*>self.few
        self.ndim = 1
        self.contiguous = True

    @property
    def shape(self) -> tuple:
        """Lengths of the axes."""
        return dims_tuple(self.dims, self.ndim)

    @property
    def strides(self) -> tuple:
        """Bytes from one element to the next along each axis; 0 for a broadcast one, negative for a flipped one."""
        return dims_tuple(self.strides_, self.ndim)

    @property
    def dtype(self):
        """The NumPy dtype."""
        return DTYPES[self.code]

    @property
    def nbytes(self) -> int:
        """Bytes of the elements seen, each counted once for every place it is seen at."""
        return self.size * pg_itemsize[self.code]

    @property
    def address(self) -> int:
        """Address of element 0."""
        return <size_t>self.data

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie in C order without gaps."""
        return self.contiguous

    def shares_memory(self, View other not None) -> bool:
        """Whether both look at the same block."""
        return self.owner is other.owner

    @property
    def is_shared(self) -> bool:
        """Whether any other view looks at the same block."""
        return _holders(<PyObject*>self.owner) > 1

    def __repr__(self) -> str:
        return f"View(shape={self.shape}, dtype={self.dtype.name}, strides={self.strides})"

    def __reduce__(self):
        return from_array, (np.array(self),)

    def __array__(self, dtype=None, copy=None):
        """A read-only array on the memory; asked by NumPy for what the buffer protocol has no format for."""
        cdef View bits = alias(self, self.ndim)
        bits.code = CODES[BITS[self.code]]
        memcpy(bits.dims, self.dims, self.ndim * sizeof(Py_ssize_t))
        memcpy(bits.strides_, self.strides_, self.ndim * sizeof(Py_ssize_t))
        settle(bits)
        return np.array(np.asarray(bits).view(DTYPES[self.code]), dtype=dtype, copy=copy)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        if flags & PyBUF_WRITABLE:
            raise BufferError("View: the memory is read-only; copy it with numpy.array(view)")
        if not (self.contiguous and flags & PyBUF_F_CONTIGUOUS != PyBUF_F_CONTIGUOUS or _layout_allowed(self, flags)):
            raise BufferError(
                f"View: strides {self.strides} of shape {self.shape} do not fit the request; "
                "copy it with numpy.array(view)"
            )
        if flags & PyBUF_FORMAT and FORMATS[self.code][0] == 0:
            raise BufferError(f"View: a buffer cannot say that it holds {self.dtype}; use numpy.asarray(view)")
        buffer.buf = self.data
        buffer.obj = self
        buffer.len = self.size * pg_itemsize[self.code]
        buffer.itemsize = pg_itemsize[self.code]
        buffer.readonly = 1
        buffer.ndim = self.ndim
        buffer.format = FORMATS[self.code] if flags & PyBUF_FORMAT else NULL
        buffer.shape = self.dims if flags & PyBUF_ND else NULL
        buffer.strides = self.strides_ if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        buffer.suboffsets = NULL
        buffer.internal = NULL


cdef extern from "Python.h":
    Py_ssize_t _holders "Py_REFCNT"(PyObject* o)


cdef bint _layout_allowed(View x, int flags) noexcept:
    """Whether a consumer that asked for ``flags`` may see a layout that is not C-contiguous, or must see Fortran's."""
    cdef Py_ssize_t expected = pg_itemsize[x.code]
    cdef int i
    if flags & PyBUF_STRIDES != PyBUF_STRIDES or flags & PyBUF_C_CONTIGUOUS == PyBUF_C_CONTIGUOUS:
        return False
    if flags & PyBUF_F_CONTIGUOUS != PyBUF_F_CONTIGUOUS and flags & PyBUF_ANY_CONTIGUOUS != PyBUF_ANY_CONTIGUOUS:
        return True
    if x.size == 0:
        return True
    for i in range(x.ndim):
        if x.dims[i] != 1 and x.strides_[i] != expected:
            return False
        expected *= x.dims[i]
    return True


cdef tuple dims_tuple(const Py_ssize_t* dims, int ndim):
    cdef list out = []
    cdef int i
    for i in range(ndim):
        out.append(dims[i])
    return tuple(out)


cdef bint same_shape(View x, View y) noexcept:
    return x.ndim == y.ndim and memcmp(x.dims, y.dims, x.ndim * sizeof(Py_ssize_t)) == 0


cdef int code_of(object dtype) except -1:
    code = CODES.get(dtype)
    if code is None:
        code = CODES.get(np.dtype(dtype))
    if code is None:
        raise DTypeError(f"plugrad-cpu: dtype {dtype} is not stored; use one of {', '.join(d.name for d in DTYPES)}")
    return code


cdef int read_dims(object shape, Py_ssize_t* dims) except -1:
    """Lengths of a shape into ``dims``; the number of axes is returned."""
    cdef Py_ssize_t ndim = len(shape), i
    if ndim > PG_MAX_DIMS:
        raise ShapeError(f"plugrad-cpu: shape {tuple(shape)} has {ndim} axes; reshape to at most {PG_MAX_DIMS}")
    for i in range(ndim):
        dims[i] = shape[i]
        if dims[i] < 0:
            raise ShapeError(f"plugrad-cpu: shape {tuple(shape)} has a negative length; lengths are 0 or more")
    return <int>ndim


cdef Py_ssize_t _count(const Py_ssize_t* dims, int ndim, int itemsize) except -1:
    """The number of elements, checked against what an address can span."""
    cdef Py_ssize_t n = 1, spread = itemsize
    cdef int i
    for i in range(ndim):
        n *= dims[i]
        if dims[i] > 1:
            if spread > LARGEST // dims[i]:
                raise ShapeError(f"plugrad-cpu: shape {dims_tuple(dims, ndim)} is too big; use smaller arrays")
            spread *= dims[i]
    return n


cdef int room(View x, int ndim) except -1:
    """Make a new view one of ``ndim`` axes, whose dims and strides are not set yet."""
    if ndim > PG_FEW_DIMS:
        x.many = PyBytes_FromStringAndSize(NULL, 2 * ndim * sizeof(Py_ssize_t))
        x.dims = <Py_ssize_t*>PyBytes_AS_STRING(x.many)
        x.strides_ = x.dims + ndim
    x.ndim = ndim
    return 0


cdef View fresh(int ndim, const Py_ssize_t* dims, int code):
    """A new C-contiguous view on uninitialised memory."""
    cdef View x = View.__new__(View)
    cdef Py_ssize_t step = pg_itemsize[code]
    cdef int i
    if ndim == 1 and dims[0] <= SHORT:                 # the common small case, without the loops
        x.size = dims[0]
        x.owner = allocate(<size_t>(x.size * step))
        x.data = x.owner.data
        x.code = code
        x.dims[0] = x.size
        x.strides_[0] = step
        return x
    x.size = _count(dims, ndim, pg_itemsize[code])
    x.owner = allocate(<size_t>(x.size * step))
    x.data = x.owner.data
    room(x, ndim)
    x.code = code
    x.contiguous = True
    for i in range(ndim - 1, -1, -1):
        x.dims[i] = dims[i]
        x.strides_[i] = step
        step *= dims[i] if dims[i] > 0 else 1
    return x


cdef View fresh_like(View x, int code):
    """A new view of the shape of ``x``, for a result computed from it element by element.

    A layout without gaps that is not C order (a transposed array) is kept if the item size is: such loops are flat.
    """
    cdef View y
    if x.contiguous or pg_itemsize[code] != pg_itemsize[x.code] or not _is_dense(x):
        return fresh(x.ndim, x.dims, code)
    y = alias(x, x.ndim)
    memcpy(y.dims, x.dims, x.ndim * sizeof(Py_ssize_t))
    memcpy(y.strides_, x.strides_, x.ndim * sizeof(Py_ssize_t))
    y.owner = allocate(<size_t>(x.size * pg_itemsize[code]))
    y.data = y.owner.data
    y.size = x.size
    y.code = code
    y.contiguous = False
    return y


cdef bint _is_dense(View x) noexcept:
    """Whether the strides are those of a contiguous array with its axes permuted."""
    cdef Py_ssize_t expected = pg_itemsize[x.code]
    cdef int i, found, placed = 0
    while placed < x.ndim:
        found = -1
        for i in range(x.ndim):
            if x.strides_[i] == expected and x.dims[i] > 1:
                found = i
                break
        if found < 0:
            break
        expected *= x.dims[found]
        placed += 1
    return expected == x.size * pg_itemsize[x.code]


cdef View alias(View x, int ndim):
    """A view of the same memory, dtype and first element; the caller fills in dims and strides and calls ``settle``."""
    cdef View y = View.__new__(View)
    y.owner = x.owner
    y.data = x.data
    y.code = x.code
    room(y, ndim)
    return y


cdef int settle(View x) except -1:
    """Work out size and contiguity from dims and strides."""
    cdef Py_ssize_t expected = pg_itemsize[x.code]
    cdef int i
    x.size = _count(x.dims, x.ndim, pg_itemsize[x.code])
    x.contiguous = True
    if x.size == 0:
        return 0
    for i in range(x.ndim - 1, -1, -1):
        if x.dims[i] != 1:
            if x.strides_[i] != expected:
                x.contiguous = False
                break
            expected *= x.dims[i]
    return 0


cdef View scalar(object value, int code):
    """A 0-d view holding a Python scalar; raises OverflowError where an integer does not fit."""
    cdef View x
    if code > PG_F8:
        with np.errstate(over="ignore"):
            return from_array(np.asarray(value, DTYPES[code]))
    x = fresh(0, NULL, code)
    if code == PG_F4:
        (<float*>x.data)[0] = value
    elif code == PG_F8:
        (<double*>x.data)[0] = value
    elif code == PG_B1:
        (<uint8_t*>x.data)[0] = 1 if value else 0
    elif code == PG_I1:
        (<int8_t*>x.data)[0] = value
    elif code == PG_I2:
        (<int16_t*>x.data)[0] = value
    elif code == PG_I4:
        (<int32_t*>x.data)[0] = value
    elif code == PG_I8:
        (<int64_t*>x.data)[0] = value
    elif code == PG_U1:
        (<uint8_t*>x.data)[0] = value
    elif code == PG_U2:
        (<uint16_t*>x.data)[0] = value
    elif code == PG_U4:
        (<uint32_t*>x.data)[0] = value
    else:
        (<uint64_t*>x.data)[0] = value
    return x


def empty(shape, dtype) -> View:
    """A view on uninitialised memory."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef int ndim = read_dims(shape, dims)
    return fresh(ndim, dims, code_of(dtype))


def from_array(array) -> View:
    """A copy of a NumPy array, in C order."""
    cdef Py_buffer source
    array = _native(np.asarray(array, order="C"))
    cdef View x = empty(array.shape, array.dtype)
    PyObject_GetBuffer(array.view(BITS[x.code]), &source, PyBUF_STRIDED_RO)
    try:
        memcpy(x.data, source.buf, x.size * pg_itemsize[x.code])
    finally:
        PyBuffer_Release(&source)
    return x


def over_array(array) -> View | None:
    """A view on the array's own memory, or None where its byte order, alignment or rank does not allow it."""
    cdef Py_buffer source
    cdef View x
    cdef bint aligned
    cdef int i, unit, ndim = array.ndim
    if array.dtype not in CODES or not array.flags.aligned or ndim > PG_MAX_DIMS:
        return None
    x = View.__new__(View)
    x.code = code_of(array.dtype)
    room(x, ndim)
    PyObject_GetBuffer(array.view(BITS[x.code]), &source, PyBUF_STRIDED_RO)
    unit = min(pg_itemsize[x.code], 8)
    aligned = <size_t>source.buf % unit == 0
    try:
        for i in range(ndim):
            x.dims[i] = source.shape[i]
            x.strides_[i] = source.strides[i]
            aligned = aligned and (x.dims[i] < 2 or x.strides_[i] % unit == 0)
        x.owner = borrow(source.buf, array)
    finally:
        PyBuffer_Release(&source)
    x.data = x.owner.data
    settle(x)
    return x if aligned or x.size == 0 else None


cdef object _native(object array):
    """The array in this machine's byte order."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def constant(value, dtype) -> View:
    """A view that holds a Python number, or an array of numbers, converted to the dtype."""
    return from_array(np.asarray(value, dtype))


def code_of_dtype(dtype) -> int:
    """The code of a dtype; DTypeError for one that is not stored."""
    return code_of(dtype)


def carve(View block not None, Py_ssize_t offset, tuple shape, dtype) -> View:
    """A C-contiguous view of memory inside a contiguous block, ``offset`` bytes from its begin."""
    cdef View x = View.__new__(View)
    cdef Py_ssize_t step
    cdef int i
    x.code = code_of(dtype)
    x.ndim = read_dims(shape, x.dims)
    x.owner = block.owner
    x.data = block.data + offset
    step = pg_itemsize[x.code]
    for i in range(x.ndim - 1, -1, -1):
        x.strides_[i] = step
        step *= x.dims[i] if x.dims[i] > 0 else 1
    settle(x)
    if not block.contiguous or offset < 0 or offset + x.nbytes > block.nbytes:
        raise ShapeError(f"carve: shape {shape} of {dtype} at byte {offset} does not fit into {block!r}")
    return x
