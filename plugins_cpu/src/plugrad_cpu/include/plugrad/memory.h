/* Aligned blocks from the system. Blocks of 4 MB and more start on a huge page and ask for huge pages: touching fresh 4
   kB pages costs more than most kernels. */
#ifndef PLUGRAD_MEMORY_H
#define PLUGRAD_MEMORY_H

#include <stddef.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define PG_ALIGNMENT ((size_t)64)
#define PG_HUGE_PAGE ((size_t)1 << 21)

static inline void *pg_block_new(size_t bytes) {
    void *block = NULL;
    const size_t alignment = bytes >= 2 * PG_HUGE_PAGE ? PG_HUGE_PAGE : PG_ALIGNMENT;
    if (posix_memalign(&block, alignment, bytes)) return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (alignment == PG_HUGE_PAGE) (void)madvise(block, bytes / PG_HUGE_PAGE * PG_HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return block;
}

static inline void pg_block_free(void *block) { free(block); }

/* The size class of a request: powers of two in four steps (64, 80, 96, 112, 128, 160, ...), so that at most a fifth is
   lost. */
static inline int pg_size_class(size_t bytes, size_t *rounded) {
    if (bytes <= PG_ALIGNMENT) {
        *rounded = PG_ALIGNMENT;
        return 0;
    }
    int shift = 0;
    while (((bytes - 1) >> shift) >= 8) ++shift;
    const size_t quarters = ((bytes - 1) >> shift) + 1; /* 5 to 8 */
    *rounded = quarters << shift;
    return (shift - 4) * 4 + (int)quarters - 4 + 1;
}

#endif
