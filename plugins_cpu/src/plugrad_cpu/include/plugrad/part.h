/* The first n elements of a vector, 0 <= n <= its length, from memory (the rest zero) and to memory. What lies behind
   them is not touched: AVX-512 and AVX2 have masks for it, other instruction sets go through a copy. */
#ifndef PLUGRAD_PART_H
#define PLUGRAD_PART_H

#include "common.h"
#include "vector.h"

#if PG_VECTOR_BYTES == 64 && defined(__x86_64__)

PG_INLINE pg_vec_f4 load_part_f4(const float *x, ptrdiff_t n) {
    return (pg_vec_f4)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), x);
}
PG_INLINE pg_vec_f8 load_part_f8(const double *x, ptrdiff_t n) {
    return (pg_vec_f8)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), x);
}
PG_INLINE void store_part_f4(float *o, pg_vec_f4 v, ptrdiff_t n) {
    _mm512_mask_storeu_ps(o, (__mmask16)((1u << n) - 1), (__m512)v);
}
PG_INLINE void store_part_f8(double *o, pg_vec_f8 v, ptrdiff_t n) {
    _mm512_mask_storeu_pd(o, (__mmask8)((1u << n) - 1), (__m512d)v);
}

#elif PG_VECTOR_BYTES == 32 && defined(__x86_64__)

/* n ones, then zeros, begin n before the middle */
static const int32_t pg_ones_f4[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
static const int64_t pg_ones_f8[8] = {-1, -1, -1, -1};

PG_INLINE __m256i pg_mask(const void *ones) { return _mm256_loadu_si256((const __m256i *)ones); }
PG_INLINE pg_vec_f4 load_part_f4(const float *x, ptrdiff_t n) {
    return (pg_vec_f4)_mm256_maskload_ps(x, pg_mask(pg_ones_f4 + 8 - n));
}
PG_INLINE pg_vec_f8 load_part_f8(const double *x, ptrdiff_t n) {
    return (pg_vec_f8)_mm256_maskload_pd(x, pg_mask(pg_ones_f8 + 4 - n));
}
PG_INLINE void store_part_f4(float *o, pg_vec_f4 v, ptrdiff_t n) {
    _mm256_maskstore_ps(o, pg_mask(pg_ones_f4 + 8 - n), (__m256)v);
}
PG_INLINE void store_part_f8(double *o, pg_vec_f8 v, ptrdiff_t n) {
    _mm256_maskstore_pd(o, pg_mask(pg_ones_f8 + 4 - n), (__m256d)v);
}

#else

#define PG_DEFINE_PART(OP, S, T, E)                                  \
    PG_INLINE pg_vec_##S load_part_##S(const T *x, ptrdiff_t n) {    \
        T t[PG_VECTOR_BYTES / sizeof(T)] = {0};                      \
        for (ptrdiff_t l = 0; l < n; ++l) t[l] = x[l];               \
        return *(const pg_vec_##S *)t;                               \
    }                                                                \
    PG_INLINE void store_part_##S(T *o, pg_vec_##S v, ptrdiff_t n) { \
        T t[PG_VECTOR_BYTES / sizeof(T)];                            \
        *(pg_vec_##S *)t = v;                                        \
        for (ptrdiff_t l = 0; l < n; ++l) o[l] = t[l];               \
    }
PG_FLOATS(PG_DEFINE_PART, , )

#endif

#endif
