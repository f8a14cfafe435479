/* Vector types of the instruction set's width, by GCC's and Clang's extension: arithmetic and comparisons are element
   by element, loads need no alignment. On a narrower machine the compiler splits them. */
#ifndef PLUGRAD_VECTOR_H
#define PLUGRAD_VECTOR_H

#include "common.h"

#define PG_DEFINE_VECTOR(OP, S, T, EXPR)                                                               \
    typedef T pg_vec_##S __attribute__((vector_size(PG_VECTOR_BYTES), aligned(sizeof(T)), may_alias)); \
    typedef T pg_piece_##S __attribute__((vector_size(16), aligned(sizeof(T)), may_alias));
PG_NUMBERS(PG_DEFINE_VECTOR, , )

#define PG_PIECES (PG_VECTOR_BYTES / 16)
#define PG_UNROLL _Pragma("GCC unroll 16")

/* Asks for the element N after X, which may be none at all. Rows far apart are asked for PG_AHEAD rows early: processors
   foresee only what is near. */
#define PG_PREFETCH(X, N) __builtin_prefetch((const char *)((uintptr_t)(X) + (uintptr_t)(N) * sizeof *(X)))
#define PG_AHEAD 8

/* The sum of a vector's lanes: of its pieces of 16 bytes first. */
#define PG_DEFINE_TOTAL(OP, S, T, EXPR)                                                                              \
    PG_INLINE T total_##S(pg_vec_##S v) {                                                                            \
        pg_piece_##S p[PG_PIECES];                                                                                   \
        T sum;                                                                                                       \
        *(pg_vec_##S *)p = v;                                                                                        \
        PG_UNROLL for (int h = PG_PIECES / 2; h > 0; h /= 2) PG_UNROLL for (int l = 0; l < h; ++l) p[l] += p[l + h]; \
        sum = p[0][0] + p[0][1];                                                                                     \
        PG_UNROLL for (int l = 2; l < (int)(16 / sizeof(T)); ++l) sum += p[0][l];                                    \
        return sum;                                                                                                  \
    }
PG_FLOATS(PG_DEFINE_TOTAL, , )

#endif
