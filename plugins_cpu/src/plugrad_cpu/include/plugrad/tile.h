/* The microkernel of matrix products: a tile of C, up to PG_MR rows by one or two vectors, stays in registers while
   the terms are added one after the other. Written with vector types, one function for each number of rows, so that
   the compiler knows every register: of AVX-512's 32, 28 are the tile, two hold a row of B and one an element of A. */
#ifndef PLUGRAD_TILE_H
#define PLUGRAD_TILE_H

#include "common.h"
#include "part.h"
#include "vector.h"

/* The loop over the terms. Rows of B that are far apart are asked for early. */
#define PG_TERMS(M, W, T, ASK)                                                \
    for (; k > 0; --k, b += bs) {                                             \
        V v[W];                                                               \
        PG_UNROLL for (int w = 0; w < W; ++w) v[w] = *(const V *)(b + w * L); \
        PG_UNROLL for (int w = 0; w < W; ++w) ASK;                            \
        PG_UNROLL for (int i = 0; i < M; ++i) {                               \
            const T ai = rows[i / G][i % G * ar];                             \
            PG_UNROLL for (int w = 0; w < W; ++w) r[i][w] += ai * v[w];       \
        }                                                                     \
        PG_UNROLL for (int g = 0; g * G < M; ++g) rows[g] += ac;              \
    }

/* c[m x n] (+)= a b over k terms: a[i, p] at a[i * ar + p * ac]; b's row p has W vectors at b + p * bs. Rows are
   addressed from every fifth of them, with one, two, three and four times the stride, so that few registers hold
   addresses; the compiler must not see that these are the same pointer. */
#define PG_DEFINE_MICRO(M, W, S, T)                                                                      \
    static __attribute__((noinline)) void micro##M##x##W##_##S(                                          \
        ptrdiff_t k, const T *restrict a, ptrdiff_t ar, ptrdiff_t ac, const T *restrict b, ptrdiff_t bs, \
        T *restrict c, ptrdiff_t cs, ptrdiff_t n, int accumulate) {                                      \
        enum { L = PG_VECTOR_BYTES / sizeof(T), G = 5 };                                                 \
        typedef pg_vec_##S V;                                                                            \
        const T *rows[3] = {a, M > G ? a + G * ar : a, M > 2 * G ? a + 2 * G * ar : a};                  \
        V r[M][W];                                                                                       \
        PG_UNROLL for (int g = 0; g < 3; ++g) PG_OPAQUE(rows[g]);                                        \
        PG_OPAQUE(ac);                                                                                   \
        PG_UNROLL for (int i = 0; i < M; ++i) PG_UNROLL for (int w = 0; w < W; ++w) r[i][w] = (V){0};    \
        if (M > 5 && bs > W * L)                                                                         \
            PG_TERMS(M, W, T, PG_PREFETCH(b, PG_AHEAD * bs + w * L))                                     \
        else                                                                                             \
            PG_TERMS(M, W, T, (void)0)                                                                   \
        const ptrdiff_t part = n - (W - 1) * L;                                                          \
        PG_UNROLL for (int i = 0; i < M; ++i) {                                                          \
            T *o = c + i * cs;                                                                           \
            PG_UNROLL for (int w = 0; w < W; ++w, o += L) {                                              \
                if (w < W - 1 || part == L) {                                                            \
                    if (accumulate) r[i][w] += *(const V *)o;                                            \
                    *(V *)o = r[i][w];                                                                   \
                } else {                                                                                 \
                    if (accumulate) r[i][w] += load_part_##S(o, part);                                   \
                    store_part_##S(o, r[i][w], part);                                                    \
                }                                                                                        \
            }                                                                                            \
        }                                                                                                \
    }
#define PG_OPAQUE(X) __asm__("" : "+r"(X))

#if PG_MR == 14
#define PG_TILES(X, W, S, T)                                                                          \
    X(1, W, S, T) X(2, W, S, T) X(3, W, S, T) X(4, W, S, T) X(5, W, S, T) X(6, W, S, T) X(7, W, S, T) \
    X(8, W, S, T) X(9, W, S, T) X(10, W, S, T) X(11, W, S, T) X(12, W, S, T) X(13, W, S, T) X(14, W, S, T)
#else
#define PG_TILES(X, W, S, T) X(1, W, S, T) X(2, W, S, T) X(3, W, S, T) X(4, W, S, T) X(5, W, S, T) X(6, W, S, T)
#endif
#define PG_MICRO_NAME(M, W, S, T) micro##M##x##W##_##S,

/* micros[W - 1][M] */
#define PG_DEFINE_MICROS(OP, S, T, E)                                                                           \
    PG_TILES(PG_DEFINE_MICRO, 1, S, T)                                                                          \
    PG_TILES(PG_DEFINE_MICRO, 2, S, T)                                                                          \
    typedef void (*micro_##S)(ptrdiff_t, const T *, ptrdiff_t, ptrdiff_t, const T *, ptrdiff_t, T *, ptrdiff_t, \
                              ptrdiff_t, int);                                                                  \
    static const micro_##S micros_##S[2][PG_MR + 1] = {{NULL, PG_TILES(PG_MICRO_NAME, 1, S, T)},                \
                                                       {NULL, PG_TILES(PG_MICRO_NAME, 2, S, T)}};
PG_FLOATS(PG_DEFINE_MICROS, , )

#endif
