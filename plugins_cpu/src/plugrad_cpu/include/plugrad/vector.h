/* Vector types of the instruction set's width, by GCC's and Clang's extension: arithmetic and comparisons are element
   by element, loads need no alignment. On a narrower machine the compiler splits them. */
#ifndef PLUGRAD_VECTOR_H
#define PLUGRAD_VECTOR_H

#include "common.h"

#define PG_DEFINE_VECTOR(OP, S, T, EXPR) \
    typedef T pg_vec_##S __attribute__((vector_size(PG_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
PG_NUMBERS(PG_DEFINE_VECTOR, , )

#define PG_UNROLL _Pragma("GCC unroll 16")

#endif
