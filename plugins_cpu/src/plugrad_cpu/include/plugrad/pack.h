/* Panels of a matrix: for each of k terms `width` neighbouring elements, for a microkernel that reads them in order.
   Where the terms are contiguous in memory, squares of a vector's length are turned in registers. */
#ifndef PLUGRAD_PACK_H
#define PLUGRAD_PACK_H

#include "common.h"
#include "part.h"
#include "vector.h"

PG_INLINE ptrdiff_t pg_least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
PG_INLINE ptrdiff_t pg_most(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

/* Neighbours from the lower or upper halves of two vectors, in turn: log2 of the lanes such rounds turn rows into
   columns. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define PG_CAN_TURN 1
#endif
#endif
#ifdef PG_CAN_TURN
#define PG_LOW_2(A, B) __builtin_shufflevector(A, B, 0, 2)
#define PG_HIGH_2(A, B) __builtin_shufflevector(A, B, 1, 3)
#define PG_LOW_4(A, B) __builtin_shufflevector(A, B, 0, 4, 1, 5)
#define PG_HIGH_4(A, B) __builtin_shufflevector(A, B, 2, 6, 3, 7)
#define PG_LOW_8(A, B) __builtin_shufflevector(A, B, 0, 8, 1, 9, 2, 10, 3, 11)
#define PG_HIGH_8(A, B) __builtin_shufflevector(A, B, 4, 12, 5, 13, 6, 14, 7, 15)
#define PG_LOW_16(A, B) __builtin_shufflevector(A, B, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define PG_HIGH_16(A, B) __builtin_shufflevector(A, B, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#if PG_VECTOR_BYTES == 64
#define PG_LOW_f4 PG_LOW_16
#define PG_HIGH_f4 PG_HIGH_16
#define PG_LOW_f8 PG_LOW_8
#define PG_HIGH_f8 PG_HIGH_8
#elif PG_VECTOR_BYTES == 32
#define PG_LOW_f4 PG_LOW_8
#define PG_HIGH_f4 PG_HIGH_8
#define PG_LOW_f8 PG_LOW_4
#define PG_HIGH_f8 PG_HIGH_4
#else
#define PG_LOW_f4 PG_LOW_4
#define PG_HIGH_f4 PG_HIGH_4
#define PG_LOW_f8 PG_LOW_2
#define PG_HIGH_f8 PG_HIGH_2
#endif
/* A square: up to L columns of up to L terms, each contiguous, as rows of the panel. */
#define PG_DEFINE_TURN(OP, S, T, E)                                                                          \
    PG_INLINE void turn_##S(const T *x, ptrdiff_t xs, ptrdiff_t n, ptrdiff_t terms, T *p, ptrdiff_t width) { \
        enum { L = PG_VECTOR_BYTES / sizeof(T) };                                                            \
        typedef pg_vec_##S V;                                                                                \
        V v[L], t[L];                                                                                        \
        PG_UNROLL for (int j = 0; j < L; ++j) {                                                              \
            if (j >= n) v[j] = (V){0};                                                                       \
            else if (terms == L) v[j] = *(const V *)(x + j * xs);                                            \
            else v[j] = load_part_##S(x + j * xs, terms);                                                    \
        }                                                                                                    \
        PG_UNROLL for (int r = 1; r < L; r *= 2) {                                                           \
            PG_UNROLL for (int j = 0; j < L / 2; ++j) {                                                      \
                t[2 * j] = PG_LOW_##S(v[j], v[j + L / 2]);                                                   \
                t[2 * j + 1] = PG_HIGH_##S(v[j], v[j + L / 2]);                                              \
            }                                                                                                \
            PG_UNROLL for (int j = 0; j < L; ++j) v[j] = t[j];                                               \
        }                                                                                                    \
        PG_UNROLL for (int j = 0; j < L; ++j)                                                                \
            if (j < terms) *(V *)(p + j * width) = v[j];                                                     \
    }

PG_FLOATS(PG_DEFINE_TURN, , )

/* A whole square. Of sixteen floats, pieces of four are put in their places while they are loaded, so that two rounds
   within the pieces are left: half the shuffles, of which a processor does one at a time. */
#if PG_VECTOR_BYTES == 64 && defined(__x86_64__)
PG_INLINE void turn_whole_f4(const float *x, ptrdiff_t xs, float *p, ptrdiff_t width) {
    PG_UNROLL for (int g = 0; g < 4; ++g, x += 4, p += 4 * width) {
        __m512 v[4];
        PG_UNROLL for (int j = 0; j < 4; ++j) {
            v[j] = _mm512_castps128_ps512(_mm_loadu_ps(x + j * xs));
            v[j] = _mm512_insertf32x4(v[j], _mm_loadu_ps(x + (j + 4) * xs), 1);
            v[j] = _mm512_insertf32x4(v[j], _mm_loadu_ps(x + (j + 8) * xs), 2);
            v[j] = _mm512_insertf32x4(v[j], _mm_loadu_ps(x + (j + 12) * xs), 3);
        }
        const __m512d a = (__m512d)_mm512_unpacklo_ps(v[0], v[1]), b = (__m512d)_mm512_unpackhi_ps(v[0], v[1]);
        const __m512d c = (__m512d)_mm512_unpacklo_ps(v[2], v[3]), d = (__m512d)_mm512_unpackhi_ps(v[2], v[3]);
        _mm512_storeu_ps(p, (__m512)_mm512_unpacklo_pd(a, c));
        _mm512_storeu_ps(p + width, (__m512)_mm512_unpackhi_pd(a, c));
        _mm512_storeu_ps(p + 2 * width, (__m512)_mm512_unpacklo_pd(b, d));
        _mm512_storeu_ps(p + 3 * width, (__m512)_mm512_unpackhi_pd(b, d));
    }
}
#else
#define turn_whole_f4(X, XS, P, WIDTH) turn_f4(X, XS, PG_VECTOR_BYTES / 4, PG_VECTOR_BYTES / 4, P, WIDTH)
#endif
#define turn_whole_f8(X, XS, P, WIDTH) turn_f8(X, XS, PG_VECTOR_BYTES / 8, PG_VECTOR_BYTES / 8, P, WIDTH)

#define PG_DEFINE_PACK_TURNED(OP, S, T, E)                                                                   \
    static void pack_turned_##S(const T *x, ptrdiff_t xs, ptrdiff_t k, ptrdiff_t n, ptrdiff_t width, T *p) { \
        enum { L = PG_VECTOR_BYTES / sizeof(T) };                                                            \
        for (ptrdiff_t j = 0; j < width; j += L)                                                             \
            for (ptrdiff_t q = 0; q < k; q += L) {                                                           \
                if (n - j >= L && k - q >= L) turn_whole_##S(x + j * xs + q, xs, p + q * width + j, width);  \
                else turn_##S(x + j * xs + q, xs, n - j, pg_least(L, k - q), p + q * width + j, width);      \
            }                                                                                                \
    }
#else
#define PG_CAN_TURN 0
#define PG_DEFINE_PACK_TURNED(OP, S, T, E)                                                                      \
    PG_INLINE void pack_turned_##S(const T *x, ptrdiff_t xs, ptrdiff_t k, ptrdiff_t n, ptrdiff_t width, T *p) { \
        (void)x, (void)xs, (void)k, (void)n, (void)width, (void)p;                                              \
    }
#endif
PG_FLOATS(PG_DEFINE_PACK_TURNED, , )

/* One panel: term q of column j is x[q * xk + j * xj], columns from n on are zero; the width is whole vectors. */
#define PG_DEFINE_PACK(OP, S, T, E)                                                                                 \
    static void pack_##S(const T *x, ptrdiff_t xk, ptrdiff_t xj, ptrdiff_t k, ptrdiff_t n, ptrdiff_t width, T *p) { \
        enum { L = PG_VECTOR_BYTES / sizeof(T) };                                                                   \
        typedef pg_vec_##S V;                                                                                       \
        if (xj == 1 && n == 2 * L && width == n) {                                                                  \
            for (ptrdiff_t q = 0; q < k; ++q, x += xk, p += 2 * L) {                                                \
                PG_PREFETCH(x, PG_AHEAD * xk);                                                                      \
                PG_PREFETCH(x, PG_AHEAD * xk + L);                                                                  \
                *(V *)p = *(const V *)x;                                                                            \
                *(V *)(p + L) = *(const V *)(x + L);                                                                \
            }                                                                                                       \
        } else if (xj == 1) {                                                                                       \
            for (ptrdiff_t j = 0; j < width; j += L) {                                                              \
                const ptrdiff_t part = pg_least(n - j, L);                                                          \
                for (ptrdiff_t q = 0; q < k; ++q) *(V *)(p + q * width + j) = load_part_##S(x + q * xk + j, part);  \
            }                                                                                                       \
        } else if (PG_CAN_TURN && xk == 1) {                                                                        \
            pack_turned_##S(x, xj, k, n, width, p);                                                                 \
        } else {                                                                                                    \
            if (n < width) memset(p, 0, (size_t)(k * width) * sizeof(T));                                           \
            for (ptrdiff_t q = 0; q < k; q += 16)                                                                   \
                for (ptrdiff_t j = 0; j < n; ++j)                                                                   \
                    for (ptrdiff_t i = q; i < pg_least(k, q + 16); ++i) p[i * width + j] = x[i * xk + j * xj];      \
        }                                                                                                           \
    }
PG_FLOATS(PG_DEFINE_PACK, , )

#endif
