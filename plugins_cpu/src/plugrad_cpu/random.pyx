"""Random bits: Philox4x32-10, in the counter order that is normative for plugrad. The loop is in ``random.h``."""

from libc.stdint cimport uint32_t

from plugrad.errors import DTypeError, ShapeError

from .movement cimport contiguous
from .tables cimport find
from .view cimport PG_MAX_DIMS, PG_U4, View, fresh, read_dims

ctypedef void (*philox_fn)(uint32_t k0, uint32_t k1, uint32_t* o, Py_ssize_t n) noexcept nogil

cdef philox_fn PHILOX = <philox_fn>find("random", "philox", "u4")


def random_bits(View key not None, *, tuple shape) -> View:
    """uint32 words: ``shape`` of them for each key; a key is two uint32 along the last axis."""
    cdef Py_ssize_t dims[PG_MAX_DIMS]
    cdef View keys = contiguous(key), out
    cdef Py_ssize_t i, per_key = 1, count
    cdef uint32_t* word
    cdef uint32_t* target
    if key.code != PG_U4:
        raise DTypeError(f"random_bits: a key is uint32, not {key.dtype}")
    if key.ndim < 1 or key.dims[key.ndim - 1] != 2:
        raise ShapeError(f"random_bits: a key has shape (..., 2), not {key.shape}")
    out = fresh(read_dims(key.shape[:key.ndim - 1] + shape, dims), dims, PG_U4)
    if out.size == 0:
        return out
    for i in shape:
        per_key *= i
    count = out.size // per_key
    word = <uint32_t*>keys.data
    target = <uint32_t*>out.data
    with nogil:
        for i in range(count):
            PHILOX(word[2 * i], word[2 * i + 1], target + i * per_key, per_key)
    return out
