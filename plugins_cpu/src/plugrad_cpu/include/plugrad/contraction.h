/* Matrix products C = A B, any strides for A and B, contiguous rows for C.

   The loops are those of Goto and van de Geijn (2008, "Anatomy of high-performance matrix multiplication"): B in
   blocks of KC x NC, A in blocks of MC x KC, both packed into panels, and a microkernel that keeps a tile of PG_MR
   rows by two vectors of C in registers. Three shortcuts: B is used in place when its rows are contiguous and it
   fits the cache or is used only once; rows are dealt out evenly, so that no tile is mostly empty; a matrix times a
   vector is dot products. Columns beyond N are padded with zeros in the panel and never stored. Serial. Measured on
   one Zen 4 core, AVX2, float32, square, time relative to OpenBLAS in the same run: 0.89 at 64, 0.90 at 256, 1.0 at
   512 and 1024 (100 of about 117 GFLOP/s). Loses where B is stored by columns and small: packing it then costs up to
   a third. */
#ifndef PLUGRAD_CONTRACTION_H
#define PLUGRAD_CONTRACTION_H

#include "common.h"
#include "vector.h"

#define PG_MR 6
#define PG_KC 256
#define PG_MC 336
#define PG_B_BYTES ((ptrdiff_t)3 << 20)   /* packed block of B: stays in the last-level cache */
#define PG_IN_PLACE ((ptrdiff_t)1 << 20)  /* bytes up to which B is not packed: long rows fight for cache sets */
#define PG_FAR 1024                       /* bytes from column to column of A: few of them to a page */
#define PG_OFTEN 64                       /* columns of C */

/* c[m x n] (+)= a b over k terms: a[i, p] at a[i * ar + p * ac]; b's row p has PG_NR elements at b + p * bs. */
#define PG_DEFINE_MICRO(M, S, T)                                                                                       \
    static __attribute__((noinline)) void micro##M##_##S(ptrdiff_t k, const T *restrict a, ptrdiff_t ar, ptrdiff_t ac, \
                                                         const T *restrict b, ptrdiff_t bs, T *restrict c,             \
                                                         ptrdiff_t cs, ptrdiff_t n, int accumulate) {                  \
        enum { L = PG_VECTOR_BYTES / sizeof(T) };                                                                      \
        typedef pg_vec_##S V;                                                                                          \
        V r[M][2];                                                                                                     \
        PG_UNROLL for (int i = 0; i < M; ++i) r[i][0] = r[i][1] = (V){0};                                              \
        for (; k > 0; --k, a += ac, b += bs) {                                                                         \
            const V b0 = *(const V *)b, b1 = *(const V *)(b + L);                                                      \
            PG_UNROLL for (int i = 0; i < M; ++i) {                                                                    \
                const T ai = a[i * ar];                                                                                \
                r[i][0] += ai * b0;                                                                                    \
                r[i][1] += ai * b1;                                                                                    \
            }                                                                                                          \
        }                                                                                                              \
        if (n == 2 * L) {                                                                                              \
            PG_UNROLL for (int i = 0; i < M; ++i) {                                                                    \
                V *o = (V *)(c + i * cs);                                                                              \
                if (accumulate) {                                                                                      \
                    r[i][0] += o[0];                                                                                   \
                    r[i][1] += o[1];                                                                                   \
                }                                                                                                      \
                o[0] = r[i][0];                                                                                        \
                o[1] = r[i][1];                                                                                        \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        T t[M][2 * L];                                                                                                 \
        PG_UNROLL for (int i = 0; i < M; ++i) {                                                                        \
            *(V *)t[i] = r[i][0];                                                                                      \
            *(V *)(t[i] + L) = r[i][1];                                                                                \
        }                                                                                                              \
        for (int i = 0; i < M; ++i)                                                                                    \
            for (ptrdiff_t j = 0; j < n; ++j) c[i * cs + j] = accumulate ? c[i * cs + j] + t[i][j] : t[i][j];          \
    }

#define PG_DEFINE_MICROS(OP, S, T, E)                                                                           \
    PG_DEFINE_MICRO(1, S, T) PG_DEFINE_MICRO(2, S, T) PG_DEFINE_MICRO(3, S, T)                                  \
    PG_DEFINE_MICRO(4, S, T) PG_DEFINE_MICRO(5, S, T) PG_DEFINE_MICRO(6, S, T)                                  \
    typedef void (*micro_##S)(ptrdiff_t, const T *, ptrdiff_t, ptrdiff_t, const T *, ptrdiff_t, T *, ptrdiff_t, \
                              ptrdiff_t, int);                                                                  \
    static const micro_##S micros_##S[PG_MR + 1] = {NULL,       micro1_##S, micro2_##S, micro3_##S,             \
                                                  micro4_##S, micro5_##S, micro6_##S};

PG_INLINE ptrdiff_t pg_least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
PG_INLINE ptrdiff_t pg_ceil(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }

/* Rows of the next panel: what is left, dealt out evenly. */
PG_INLINE ptrdiff_t pg_share(ptrdiff_t rows) { return pg_ceil(rows, pg_ceil(rows, PG_MR)); }

/* Whether A, a column of it far from the next, is read so often that packing it first is cheaper. */
PG_INLINE int pg_scattered(ptrdiff_t column_bytes, ptrdiff_t columns) {
    return column_bytes >= PG_FAR && columns >= PG_OFTEN;
}

/* Neighbours from the lower or upper halves of two vectors, in turn: log2 of the lanes such rounds turn rows into
   columns. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define PG_ZIPS
#endif
#endif
#ifdef PG_ZIPS
#define PG_LOW_2(A, B) __builtin_shufflevector(A, B, 0, 2)
#define PG_HIGH_2(A, B) __builtin_shufflevector(A, B, 1, 3)
#define PG_LOW_4(A, B) __builtin_shufflevector(A, B, 0, 4, 1, 5)
#define PG_HIGH_4(A, B) __builtin_shufflevector(A, B, 2, 6, 3, 7)
#define PG_LOW_8(A, B) __builtin_shufflevector(A, B, 0, 8, 1, 9, 2, 10, 3, 11)
#define PG_HIGH_8(A, B) __builtin_shufflevector(A, B, 4, 12, 5, 13, 6, 14, 7, 15)
#if PG_VECTOR_BYTES == 32
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
/* A square of b's columns, each contiguous, as rows of the panel. */
#define PG_DEFINE_TURN(OP, S, T, E)                                                           \
    PG_INLINE void turn_##S(const T *b, ptrdiff_t bc, T *p, ptrdiff_t width) {                \
        enum { L = PG_VECTOR_BYTES / sizeof(T) };                                             \
        typedef pg_vec_##S V;                                                                 \
        V v[L], t[L];                                                                         \
        PG_UNROLL for (int j = 0; j < L; ++j) v[j] = *(const V *)(b + j * bc);                \
        PG_UNROLL for (int r = 1; r < L; r *= 2) {                                            \
            PG_UNROLL for (int j = 0; j < L / 2; ++j) {                                       \
                t[2 * j] = PG_LOW_##S(v[j], v[j + L / 2]);                                    \
                t[2 * j + 1] = PG_HIGH_##S(v[j], v[j + L / 2]);                               \
            }                                                                                 \
            PG_UNROLL for (int j = 0; j < L; ++j) v[j] = t[j];                                \
        }                                                                                     \
        PG_UNROLL for (int j = 0; j < L; ++j) *(V *)(p + j * width) = v[j];                   \
    }                                                                                         \
    static ptrdiff_t pack_turned_##S(const T *b, ptrdiff_t bc, ptrdiff_t k, ptrdiff_t width, T *p) { \
        const ptrdiff_t lanes = PG_VECTOR_BYTES / sizeof(T), whole = k / lanes * lanes;       \
        for (ptrdiff_t j = 0; j < width; j += lanes)                                          \
            for (ptrdiff_t q = 0; q < whole; q += lanes) turn_##S(b + j * bc + q, bc, p + q * width + j, width); \
        return whole;                                                                         \
    }
#else
#define PG_DEFINE_TURN(OP, S, T, E)                                                                                  \
    static ptrdiff_t pack_turned_##S(const T *b, ptrdiff_t bc, ptrdiff_t k, ptrdiff_t width, T *p) {                 \
        (void)b, (void)bc, (void)k, (void)width, (void)p;                                                            \
        return 0;                                                                                                    \
    }
#endif

/* One panel of B: k rows of `width` elements, columns from n on zero. */
#define PG_DEFINE_PACK(OP, S, T, E)                                                                                   \
    static void pack_b_##S(const T *b, ptrdiff_t br, ptrdiff_t bc, ptrdiff_t k, ptrdiff_t n, ptrdiff_t width, T *p) { \
        if (bc == 1 && n == width) {                                                                                  \
            for (ptrdiff_t q = 0; q < k; ++q) memcpy(p + q * width, b + q * br, (size_t)width * sizeof(T));           \
            return;                                                                                                   \
        }                                                                                                             \
        const ptrdiff_t nr = 2 * (ptrdiff_t)(PG_VECTOR_BYTES / sizeof(T));                                            \
        ptrdiff_t q = br == 1 && n == nr && width == nr ? pack_turned_##S(b, bc, k, width, p) : 0;                    \
        if (n < width) memset(p, 0, (size_t)(k * width) * sizeof(T));                                                 \
        for (; q < k; q += 16)                                                                                        \
            for (ptrdiff_t j = 0; j < n; ++j)                                                                         \
                for (ptrdiff_t i = q; i < pg_least(k, q + 16); ++i) p[i * width + j] = b[i * br + j * bc];            \
    }                                                                                                                 \
    /* One panel of A: for each of k terms, m elements. */                                                            \
    static void pack_a_##S(const T *a, ptrdiff_t ar, ptrdiff_t ac, ptrdiff_t m, ptrdiff_t k, T *p) {                  \
        if (ar == 1 && m == PG_MR)                                                                                    \
            for (ptrdiff_t q = 0; q < k; ++q) memcpy(p + q * PG_MR, a + q * ac, PG_MR * sizeof(T));                   \
        else if (ar == 1)                                                                                             \
            for (ptrdiff_t q = 0; q < k; ++q)                                                                         \
                for (ptrdiff_t i = 0; i < m; ++i) p[q * m + i] = a[q * ac + i];                                       \
        else                                                                                                          \
            for (ptrdiff_t i = 0; i < m; ++i)                                                                         \
                for (ptrdiff_t q = 0; q < k; ++q) p[q * m + i] = a[i * ar + q * ac];                                  \
    }

/* B's rows in place, A in place. */
#define PG_DEFINE_DIRECT(OP, S, T, E)                                                                          \
    static void gemm_direct_##S(ptrdiff_t M, ptrdiff_t N, ptrdiff_t K, const T *a, ptrdiff_t ar, ptrdiff_t ac, \
                                const T *b, ptrdiff_t br, T *c, ptrdiff_t cr, T *work) {                       \
        const ptrdiff_t nr = 2 * (ptrdiff_t)(PG_VECTOR_BYTES / sizeof(T));                                     \
        for (ptrdiff_t k0 = 0; k0 < K; k0 += PG_KC)                                                            \
        for (ptrdiff_t i0 = 0; i0 < M; i0 += PG_MC) {                                                          \
            const ptrdiff_t k = pg_least(K - k0, PG_KC), i1 = pg_least(M, i0 + PG_MC);                         \
            for (ptrdiff_t j = 0; j < N; j += nr) {                                                            \
                const ptrdiff_t n = pg_least(N - j, nr);                                                       \
                const T *panel = b + k0 * br + j;                                                              \
                ptrdiff_t bs = br;                                                                             \
                if (n < nr) {                                                                                  \
                    pack_b_##S(panel, br, 1, k, n, nr, work);                                                  \
                    panel = work;                                                                              \
                    bs = nr;                                                                                   \
                }                                                                                              \
                for (ptrdiff_t i = i0, m; i < i1; i += m) {                                                    \
                    m = pg_share(i1 - i);                                                                      \
                    micros_##S[m](k, a + i * ar + k0 * ac, ar, ac, panel, bs, c + i * cr + j, cr, n, k0 > 0);  \
                }                                                                                              \
            }                                                                                                  \
        }                                                                                                      \
    }

/* One block of A against a packed block of B. */
#define PG_DEFINE_BLOCK(OP, S, T, E)                                                                                   \
    static void gemm_block_##S(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t k, const T *a, ptrdiff_t ar, ptrdiff_t ac, \
                               const T *packed_b, T *c, ptrdiff_t cr, T *packed_a, int accumulate) {                   \
        const ptrdiff_t nr = 2 * (ptrdiff_t)(PG_VECTOR_BYTES / sizeof(T));                                             \
        for (ptrdiff_t i = 0, m; i < rows; i += m) {                                                                   \
            m = pg_share(rows - i);                                                                                    \
            pack_a_##S(a + i * ar, ar, ac, m, k, packed_a + i * k);                                                    \
        }                                                                                                              \
        for (ptrdiff_t j = 0; j < columns; j += nr)                                                                    \
            for (ptrdiff_t i = 0, m; i < rows; i += m) {                                                               \
                const ptrdiff_t n = pg_least(columns - j, nr);                                                         \
                m = pg_share(rows - i);                                                                                \
                micros_##S[m](k, packed_a + i * k, 1, m, packed_b + j * k, nr, c + i * cr + j, cr, n, accumulate);     \
            }                                                                                                          \
    }                                                                                                                  \
    static void gemm_packed_##S(ptrdiff_t M, ptrdiff_t N, ptrdiff_t K, const T *a, ptrdiff_t ar, ptrdiff_t ac,         \
                                const T *b, ptrdiff_t br, ptrdiff_t bc, T *c, ptrdiff_t cr, T *work) {                 \
        const ptrdiff_t nr = 2 * (ptrdiff_t)(PG_VECTOR_BYTES / sizeof(T));                                             \
        const ptrdiff_t nc = PG_B_BYTES / (ptrdiff_t)(PG_KC * sizeof(T)), mc = PG_MC;                                  \
        T *packed_b = work, *packed_a = work + pg_least(K, PG_KC) * pg_least((N + nr - 1) / nr * nr, nc);              \
        for (ptrdiff_t j0 = 0; j0 < N; j0 += nc)                                                                       \
            for (ptrdiff_t k0 = 0; k0 < K; k0 += PG_KC) {                                                              \
                const ptrdiff_t columns = pg_least(N - j0, nc), k = pg_least(K - k0, PG_KC);                           \
                const T *from = b + k0 * br + j0 * bc;                                                                 \
                for (ptrdiff_t j = 0; j < columns; j += nr)                                                            \
                    pack_b_##S(from + j * bc, br, bc, k, pg_least(columns - j, nr), nr, packed_b + j * k);             \
                for (ptrdiff_t i = 0; i < M; i += mc)                                                                  \
                    gemm_block_##S(pg_least(M - i, mc), columns, k, a + i * ar + k0 * ac, ar, ac, packed_b,            \
                                   c + i * cr + j0, cr, packed_a, k0 > 0);                                             \
            }                                                                                                          \
    }

/* c[i] = dot of row i of A with b, both contiguous along k. */
#define PG_DEFINE_GEMV(OP, S, T, E)                                                              \
    static void gemv_##S(ptrdiff_t M, ptrdiff_t K, const T *a, ptrdiff_t ar, const T *b, T *c) { \
        enum { L = PG_VECTOR_BYTES / sizeof(T) };                                                \
        typedef pg_vec_##S V;                                                                    \
        for (ptrdiff_t i = 0; i < M; ++i, a += ar) {                                             \
            V s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};                                            \
            ptrdiff_t k = 0;                                                                     \
            for (; k + 4 * L <= K; k += 4 * L) {                                                 \
                s0 += *(const V *)(a + k) * *(const V *)(b + k);                                 \
                s1 += *(const V *)(a + k + L) * *(const V *)(b + k + L);                         \
                s2 += *(const V *)(a + k + 2 * L) * *(const V *)(b + k + 2 * L);                 \
                s3 += *(const V *)(a + k + 3 * L) * *(const V *)(b + k + 3 * L);                 \
            }                                                                                    \
            s0 = (s0 + s1) + (s2 + s3);                                                          \
            T r = 0;                                                                             \
            for (int l = 0; l < L; ++l) r += s0[l];                                              \
            for (; k < K; ++k) r += a[k] * b[k];                                                 \
            c[i] = r;                                                                            \
        }                                                                                        \
    }

/* M, N, K >= 1; strides in elements. `work` holds gemm_work elements. */
#define PG_DEFINE_GEMM(OP, S, T, E)                                                                     \
    static void gemm_##S(ptrdiff_t M, ptrdiff_t N, ptrdiff_t K, const T *a, ptrdiff_t ar, ptrdiff_t ac, \
                         const T *b, ptrdiff_t br, ptrdiff_t bc, T *c, ptrdiff_t cr, T *work) {         \
        if (N == 1 && ac == 1) {                                                                        \
            if (br != 1) pack_b_##S(b, br, 1, K, 1, 1, work);                                           \
            gemv_##S(M, K, a, ar, br == 1 ? b : work, c);                                               \
        } else if (M == 1 && br == 1 && N > 1) {                                                        \
            if (ac != 1) pack_b_##S(a, ac, 1, K, 1, 1, work);                                           \
            gemv_##S(N, K, b, bc, ac == 1 ? a : work, c);                                               \
        } else if (N == 1 && M > 1 && cr == 1) {                                                        \
            gemm_##S(1, M, K, b, 1, br, a, ac, ar, c, M, work);                                         \
        } else if (bc == 1 && (M <= 2 * PG_MR || (K * N <= PG_IN_PLACE / (ptrdiff_t)sizeof(T) &&        \
                                                  !pg_scattered(ac * (ptrdiff_t)sizeof(T), N)))) {      \
            gemm_direct_##S(M, N, K, a, ar, ac, b, br, c, cr, work);                                    \
        } else {                                                                                        \
            gemm_packed_##S(M, N, K, a, ar, ac, b, br, bc, c, cr, work);                                \
        }                                                                                               \
    }                                                                                                   \
    static ptrdiff_t gemm_work_##S(ptrdiff_t M, ptrdiff_t N, ptrdiff_t K) {                             \
        const ptrdiff_t nr = 2 * (ptrdiff_t)(PG_VECTOR_BYTES / sizeof(T));                              \
        const ptrdiff_t nc = PG_B_BYTES / (ptrdiff_t)(PG_KC * sizeof(T));                               \
        const ptrdiff_t k = pg_least(K, PG_KC), columns = pg_least((N + nr - 1) / nr * nr, nc);         \
        const ptrdiff_t blocks = k * (columns + pg_least(M, PG_MC)) + k * nr;                           \
        return blocks > K ? blocks : K;                                                                 \
    }

/* Integers: rows of C gather multiples of rows of B; wraps around. */
#define PG_DEFINE_INT_GEMM(OP, S, T, E)                                                                 \
    static void gemm_##S(ptrdiff_t M, ptrdiff_t N, ptrdiff_t K, const T *a, ptrdiff_t ar, ptrdiff_t ac, \
                         const T *b, ptrdiff_t br, ptrdiff_t bc, T *c, ptrdiff_t cr, T *work) {         \
        (void)work;                                                                                     \
        for (ptrdiff_t i = 0; i < M; ++i) {                                                             \
            T *o = c + i * cr;                                                                          \
            memset(o, 0, (size_t)N * sizeof(T));                                                        \
            for (ptrdiff_t k = 0; k < K; ++k) {                                                         \
                const T v = a[i * ar + k * ac];                                                         \
                for (ptrdiff_t j = 0; j < N; ++j) o[j] = (T)(o[j] + v * b[k * br + j * bc]);            \
            }                                                                                           \
        }                                                                                               \
    }                                                                                                   \
    static ptrdiff_t gemm_work_##S(ptrdiff_t M, ptrdiff_t N, ptrdiff_t K) {                             \
        (void)M, (void)N, (void)K;                                                                      \
        return 0;                                                                                       \
    }

#define PG_GEMM_ENTRY(OP, S, T, E) {"gemm", #S, (pg_fn)gemm_##S}, {"gemm_work", #S, (pg_fn)gemm_work_##S},

PG_FLOATS(PG_DEFINE_MICROS, , )
PG_FLOATS(PG_DEFINE_TURN, , )
PG_FLOATS(PG_DEFINE_PACK, , )
PG_FLOATS(PG_DEFINE_DIRECT, , )
PG_FLOATS(PG_DEFINE_BLOCK, , )
PG_FLOATS(PG_DEFINE_GEMV, , )
PG_FLOATS(PG_DEFINE_GEMM, , )
PG_INTS(PG_DEFINE_INT_GEMM, , )

static const pg_entry pg_contraction_entries[] = {PG_FLOATS(PG_GEMM_ENTRY, , ) PG_INTS(PG_GEMM_ENTRY, , ){0}};

#endif
