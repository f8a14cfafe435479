"""Aligned memory in size classes, with a cache of free blocks and its statistics. Knows no shapes and no dtypes.

The cache is a list per size class, threaded through the free blocks themselves. The GIL guards it: a block is taken and
given back only while it is held.
"""

cimport cython

cdef extern from "plugrad/memory.h" nogil:
    void* pg_block_new(size_t size)
    void pg_block_free(void* block)
    int pg_size_class(size_t size, size_t* rounded)

cdef enum:
    CLASSES = 256
    EXACT = -2                                         # of no class: not kept for others

cdef struct FreeBlock:
    FreeBlock* next

cdef FreeBlock* _free[CLASSES]
cdef size_t _class_bytes[CLASSES]
cdef size_t LARGEST = <size_t>1 << 46                  # bytes: about what an address can span
cdef size_t _limit = <size_t>1 << 29
cdef size_t _cached_bytes = 0
cdef size_t _live_bytes = 0
cdef size_t _peak_bytes = 0
cdef size_t _live_blocks = 0
cdef size_t _cached_blocks = 0
cdef size_t _hits = 0
cdef size_t _misses = 0


@cython.final
@cython.freelist(256)
cdef class Storage:
    """One block of memory, given back to the cache when its last view is gone; or memory lent by another object."""

    def __dealloc__(self):
        if self.data != NULL and self.size_class >= 0:
            _give_back(self.data, self.capacity, self.size_class)
        elif self.data != NULL and self.size_class == EXACT:
            _forget(self.capacity)
            pg_block_free(self.data)


cdef void _count(size_t capacity) noexcept:
    global _live_bytes, _live_blocks, _peak_bytes
    _live_bytes += capacity
    _live_blocks += 1
    if _live_bytes > _peak_bytes:
        _peak_bytes = _live_bytes


cdef void _forget(size_t capacity) noexcept:
    global _live_bytes, _live_blocks
    _live_bytes -= capacity
    _live_blocks -= 1


cdef void _give_back(char* data, size_t capacity, int size_class) noexcept:
    global _cached_bytes, _cached_blocks
    cdef FreeBlock* block = <FreeBlock*>data
    _forget(capacity)
    if _cached_bytes + capacity > _limit:
        pg_block_free(data)
        return
    block.next = _free[size_class]
    _free[size_class] = block
    _class_bytes[size_class] = capacity
    _cached_bytes += capacity
    _cached_blocks += 1


cdef Storage allocate(size_t bytes):
    """Uninitialised memory of at least that size, aligned to 64 bytes; raises MemoryError."""
    global _cached_bytes, _cached_blocks, _hits, _misses
    cdef Storage storage = Storage.__new__(Storage)
    cdef size_t capacity
    cdef int size_class
    cdef FreeBlock* block
    if bytes > LARGEST:
        raise MemoryError(f"plugrad-cpu: {bytes} bytes cannot be allocated; use smaller arrays")
    size_class = pg_size_class(bytes, &capacity)
    block = _free[size_class]
    if block != NULL:
        _free[size_class] = block.next
        _cached_bytes -= capacity
        _cached_blocks -= 1
        _hits += 1
    else:
        block = <FreeBlock*>_from_system(capacity)
        _misses += 1
    storage.data = <char*>block
    storage.capacity = capacity
    storage.size_class = size_class
    _count(capacity)
    return storage


cdef void* _from_system(size_t bytes) except NULL:
    cdef void* block = pg_block_new(bytes)
    if block == NULL:
        trim()
        block = pg_block_new(bytes)
    if block == NULL:
        raise MemoryError(f"plugrad-cpu: out of memory for {bytes} bytes; {_live_bytes} bytes are in use")
    return block


cdef Storage allocate_exact(size_t bytes):
    """Memory that its owner keeps: of just that size, not rounded to a class, and given back to the system."""
    global _misses
    cdef Storage storage = Storage.__new__(Storage)
    if bytes > LARGEST:
        raise MemoryError(f"plugrad-cpu: {bytes} bytes cannot be allocated; use smaller arrays")
    storage.capacity = (bytes + 63) // 64 * 64 if bytes > 0 else 64
    storage.size_class = EXACT
    storage.data = <char*>_from_system(storage.capacity)
    _misses += 1
    _count(storage.capacity)
    return storage


cdef Storage borrow(void* data, object lender):
    """Memory that ``lender`` owns; the storage keeps it alive and never frees it."""
    cdef Storage storage = Storage.__new__(Storage)
    storage.data = <char*>data
    storage.size_class = -1
    storage.lender = lender
    return storage


def trim() -> None:
    """Return all cached blocks to the system."""
    global _cached_bytes, _cached_blocks
    cdef int i
    cdef FreeBlock* block
    for i in range(CLASSES):
        while _free[i] != NULL:
            block = _free[i]
            _free[i] = block.next
            _cached_bytes -= _class_bytes[i]
            _cached_blocks -= 1
            pg_block_free(block)


def set_cache_limit(size_t bytes) -> None:
    """Keep at most that many free bytes for reuse; beyond it blocks go straight back to the system."""
    global _limit
    _limit = bytes
    if _cached_bytes > _limit:
        trim()


def statistics() -> dict[str, int]:
    """Bytes and blocks in use, the peak of that, bytes and blocks kept for reuse, and how often reuse was possible."""
    return {
        "live_bytes": _live_bytes,
        "live_blocks": _live_blocks,
        "peak_bytes": _peak_bytes,
        "cached_bytes": _cached_bytes,
        "cached_blocks": _cached_blocks,
        "cache_limit": _limit,
        "hits": _hits,
        "misses": _misses,
    }
