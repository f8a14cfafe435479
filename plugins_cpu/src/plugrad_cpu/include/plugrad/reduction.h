/* sum, prod, max, min over any axes, and argmax, argmin, cumsum along one.

   The axes come as two loop nests, kept and reduced, each merged and ordered by the operand's strides
   (reduction_plan.h). Where a reduced axis is the fastest one, each result is folded from rows: vector accumulators
   over chunks of PG_CHUNK elements. Where a kept axis is, PG_WIDTH neighbouring results are folded together, block
   by block of PG_ROWS. Partial results are combined as a binary counter carries (pairwise summation: the error grows
   with the logarithm of the count), in an order that depends on shape and strides only. NaN propagates through max
   and min. */
#ifndef PLUGRAD_REDUCTION_H
#define PLUGRAD_REDUCTION_H

#include "common.h"
#include "elementwise.h"
#include "reduction_plan.h"
#include "vector.h"

#define PG_CHUNK 512
#define PG_ROWS 32
#define PG_WIDTH 256
#define PG_LEVELS 44 /* counts stay below 2^46 bytes */

#define PG_FOLD_sum(A, B) ((A) + (B))
#define PG_FOLD_prod(A, B) ((A) * (B))
#define PG_FOLD_max(A, B) ((((B) > (A)) | ((B) != (B))) ? (B) : (A))
#define PG_FOLD_min(A, B) ((((B) < (A)) | ((B) != (B))) ? (B) : (A))

/* The same on vectors: comparisons give masks. */
#define PG_SELECT(V, M, A, B) ((V)(((M) & (__typeof__(M))(A)) | (~(M) & (__typeof__(M))(B))))
#define PG_VFOLD_sum(V, A, B) ((A) + (B))
#define PG_VFOLD_prod(V, A, B) ((A) * (B))
#define PG_VFOLD_max(V, A, B) PG_SELECT(V, ((B) > (A)) | ((B) != (B)), B, A)
#define PG_VFOLD_min(V, A, B) PG_SELECT(V, ((B) < (A)) | ((B) != (B)), B, A)

/* Up to PG_CHUNK contiguous elements, n >= 1: four vectors side by side, then one, then its lanes; the elements that
   are left are folded beside them. */
#define PG_DEFINE_CHUNK(OP, S, T, EXPR)                                                               \
    static T OP##_chunk_##S(const T *x, ptrdiff_t n) {                                                \
        enum { L = PG_VECTOR_BYTES / sizeof(T) };                                                     \
        typedef pg_vec_##S V;                                                                         \
        const ptrdiff_t whole = n / L * L;                                                            \
        T r = x[whole < n ? whole : 0];                                                               \
        for (ptrdiff_t i = whole + 1; i < n; ++i) r = (T)PG_FOLD_##OP(r, x[i]);                       \
        if (whole == 0) return r;                                                                     \
        V a = *(const V *)x;                                                                          \
        ptrdiff_t i = L;                                                                              \
        if (whole >= 4 * L) {                                                                         \
            V b = *(const V *)(x + L), c = *(const V *)(x + 2 * L), d = *(const V *)(x + 3 * L);      \
            for (i = 4 * L; i + 4 * L <= n; i += 4 * L) {                                             \
                const V e = *(const V *)(x + i), f = *(const V *)(x + i + L);                         \
                const V g = *(const V *)(x + i + 2 * L), h = *(const V *)(x + i + 3 * L);             \
                a = PG_VFOLD_##OP(V, a, e);                                                           \
                b = PG_VFOLD_##OP(V, b, f);                                                           \
                c = PG_VFOLD_##OP(V, c, g);                                                           \
                d = PG_VFOLD_##OP(V, d, h);                                                           \
            }                                                                                         \
            a = PG_VFOLD_##OP(V, a, b);                                                               \
            c = PG_VFOLD_##OP(V, c, d);                                                               \
            a = PG_VFOLD_##OP(V, a, c);                                                               \
        }                                                                                             \
        for (; i < whole; i += L) {                                                                   \
            const V e = *(const V *)(x + i);                                                          \
            a = PG_VFOLD_##OP(V, a, e);                                                               \
        }                                                                                             \
        pg_piece_##S p[PG_PIECES];                                                                    \
        *(V *)p = a;                                                                                  \
        PG_UNROLL for (int h = PG_PIECES / 2; h > 0; h /= 2)                                          \
            PG_UNROLL for (int l = 0; l < h; ++l) p[l] = PG_VFOLD_##OP(pg_piece_##S, p[l], p[l + h]); \
        T t = p[0][0];                                                                                \
        PG_UNROLL for (int l = 1; l < (int)(16 / sizeof(T)); ++l) t = (T)PG_FOLD_##OP(t, p[0][l]);    \
        return whole < n ? (T)PG_FOLD_##OP(t, r) : t;                                                 \
    }

#define PG_DEFINE_ROW(OP, S, T, EXPR)                                                             \
    static T OP##_strided_##S(const char *x, ptrdiff_t s, ptrdiff_t n) {                          \
        T r = *(const T *)x;                                                                      \
        for (ptrdiff_t i = 1; i < n; ++i) r = (T)PG_FOLD_##OP(r, PG_AT(const T, x, i * s));       \
        return r;                                                                                 \
    }                                                                                             \
    static T OP##_row_##S(const char *x, ptrdiff_t s, ptrdiff_t n) {                              \
        const int flat = s == (ptrdiff_t)sizeof(T);                                               \
        const ptrdiff_t chunk = flat ? PG_CHUNK : PG_ROWS;                                        \
        T level[PG_LEVELS];                                                                       \
        uint64_t filled = 0;                                                                      \
        for (ptrdiff_t i = 0; i < n; i += chunk) {                                                \
            const ptrdiff_t m = n - i < chunk ? n - i : chunk;                                    \
            T r = flat ? OP##_chunk_##S((const T *)x + i, m) : OP##_strided_##S(x + i * s, s, m); \
            int l = 0;                                                                            \
            for (; filled >> l & 1; ++l) r = (T)PG_FOLD_##OP(level[l], r);                        \
            level[l] = r;                                                                         \
            ++filled;                                                                             \
        }                                                                                         \
        int l = __builtin_ctzll(filled);                                                          \
        T r = level[l];                                                                           \
        for (++l; l < PG_LEVELS && filled >> l; ++l)                                              \
            if (filled >> l & 1) r = (T)PG_FOLD_##OP(level[l], r);                                \
        return r;                                                                                 \
    }

/* One result: fold the rows of the reduced nest, whose last axis is the row. */
#define PG_DEFINE_ONE(OP, S, T, EXPR)                                           \
    static T OP##_one_##S(const pg_plan *reduced, char *x) {                    \
        const int last = reduced->ndim - 1;                                     \
        const ptrdiff_t n = reduced->shape[last], s = reduced->stride[0][last]; \
        if (last == 0) return OP##_row_##S(x, s, n);                            \
        T level[PG_LEVELS];                                                     \
        uint64_t filled = 0;                                                    \
        ptrdiff_t index[PG_MAX_DIMS] = {0};                                     \
        do {                                                                    \
            T r = OP##_row_##S(x, s, n);                                        \
            int l = 0;                                                          \
            for (; filled >> l & 1; ++l) r = (T)PG_FOLD_##OP(level[l], r);      \
            level[l] = r;                                                       \
            ++filled;                                                           \
        } while (pg_plan_next(reduced, last, index, &x));                       \
        int l = __builtin_ctzll(filled);                                        \
        T r = level[l];                                                         \
        for (++l; l < PG_LEVELS && filled >> l; ++l)                            \
            if (filled >> l & 1) r = (T)PG_FOLD_##OP(level[l], r);              \
        return r;                                                               \
    }

/* w neighbouring results. `fold` adds rows to a block, four at a time: fewer loads and stores of the block. */
#define PG_DEFINE_TILE(OP, S, T, EXPR)                                                                                \
    static void OP##_join_##S(T *restrict a, const T *restrict b, ptrdiff_t w) {                                      \
        enum { L = PG_VECTOR_BYTES / sizeof(T) };                                                                     \
        typedef pg_vec_##S V;                                                                                         \
        ptrdiff_t j = 0;                                                                                              \
        for (; j + L <= w; j += L) {                                                                                  \
            const V u = *(const V *)(a + j), v = *(const V *)(b + j);                                                 \
            *(V *)(a + j) = PG_VFOLD_##OP(V, u, v);                                                                   \
        }                                                                                                             \
        for (; j < w; ++j) a[j] = (T)PG_FOLD_##OP(a[j], b[j]);                                                        \
    }                                                                                                                 \
    static void OP##_four_##S(T *restrict a, const char *x, ptrdiff_t rs, ptrdiff_t w) {                              \
        enum { L = PG_VECTOR_BYTES / sizeof(T) };                                                                     \
        typedef pg_vec_##S V;                                                                                         \
        const T *x0 = (const T *)x, *x1 = (const T *)(x + rs);                                                        \
        const T *x2 = (const T *)(x + 2 * rs), *x3 = (const T *)(x + 3 * rs);                                         \
        ptrdiff_t j = 0;                                                                                              \
        for (; j + L <= w; j += L) {                                                                                  \
            const V b0 = *(const V *)(x0 + j), b1 = *(const V *)(x1 + j);                                             \
            const V b2 = *(const V *)(x2 + j), b3 = *(const V *)(x3 + j);                                             \
            const V u = PG_VFOLD_##OP(V, b0, b1), v = PG_VFOLD_##OP(V, b2, b3), c = *(const V *)(a + j);              \
            const V t = PG_VFOLD_##OP(V, u, v);                                                                       \
            *(V *)(a + j) = PG_VFOLD_##OP(V, c, t);                                                                   \
        }                                                                                                             \
        for (; j < w; ++j) {                                                                                          \
            const T u = (T)PG_FOLD_##OP(x0[j], x1[j]), v = (T)PG_FOLD_##OP(x2[j], x3[j]);                             \
            const T t = (T)PG_FOLD_##OP(u, v);                                                                        \
            a[j] = (T)PG_FOLD_##OP(a[j], t);                                                                          \
        }                                                                                                             \
    }                                                                                                                 \
    static void OP##_fold_##S(T *restrict a, const char *x, ptrdiff_t rs, ptrdiff_t rows, ptrdiff_t s, ptrdiff_t w) { \
        for (; s == (ptrdiff_t)sizeof(T) && rows >= 4; rows -= 4, x += 4 * rs) OP##_four_##S(a, x, rs, w);            \
        for (; rows > 0; --rows, x += rs) {                                                                           \
            if (s == (ptrdiff_t)sizeof(T)) {                                                                          \
                OP##_join_##S(a, (const T *)x, w);                                                                    \
                continue;                                                                                             \
            }                                                                                                         \
            for (ptrdiff_t j = 0; j < w; ++j) {                                                                       \
                const T v = PG_AT(const T, x, j * s);                                                                 \
                a[j] = (T)PG_FOLD_##OP(a[j], v);                                                                      \
            }                                                                                                         \
        }                                                                                                             \
    }                                                                                                                 \
    static void OP##_tile_##S(const pg_plan *reduced, char *x, ptrdiff_t s, char *o, ptrdiff_t so, ptrdiff_t w) {     \
        const int last = reduced->ndim - 1;                                                                           \
        const ptrdiff_t length = reduced->shape[last], rs = reduced->stride[0][last];                                 \
        T level[PG_LEVELS][PG_WIDTH], block[PG_WIDTH];                                                                \
        uint64_t filled = 0;                                                                                          \
        ptrdiff_t index[PG_MAX_DIMS] = {0}, at = 0;                                                                   \
        int more = 1;                                                                                                 \
        while (more) {                                                                                                \
            for (ptrdiff_t j = 0; j < w; ++j) block[j] = PG_AT(const T, x, at * rs + j * s);                          \
            ptrdiff_t taken = 1, rows = 1;                                                                            \
            for (;;) {                                                                                                \
                at += rows;                                                                                           \
                if (at == length) {                                                                                   \
                    at = 0;                                                                                           \
                    more = pg_plan_next(reduced, last, index, &x);                                                    \
                }                                                                                                     \
                if (!more || taken >= PG_ROWS) break;                                                                 \
                rows = length - at < PG_ROWS ? length - at : PG_ROWS;                                                 \
                OP##_fold_##S(block, x + at * rs, rs, rows, s, w);                                                    \
                taken += rows;                                                                                        \
            }                                                                                                         \
            int l = 0;                                                                                                \
            for (; filled >> l & 1; ++l) OP##_join_##S(block, level[l], w);                                           \
            memcpy(level[l], block, (size_t)w * sizeof(T));                                                           \
            ++filled;                                                                                                 \
        }                                                                                                             \
        int l = __builtin_ctzll(filled);                                                                              \
        T *r = level[l];                                                                                              \
        for (++l; l < PG_LEVELS && filled >> l; ++l)                                                                  \
            if (filled >> l & 1) OP##_join_##S(r, level[l], w);                                                       \
        for (ptrdiff_t j = 0; j < w; ++j) PG_AT(T, o, j * so) = r[j];                                                 \
    }

/* The whole reduction. kept: operand 0 is x, operand 1 the result. Every length must be positive. */
#define PG_DEFINE_REDUCE(OP, S, T, EXPR)                                                                         \
    PG_DEFINE_CHUNK(OP, S, T, EXPR)                                                                              \
    PG_DEFINE_ROW(OP, S, T, EXPR)                                                                                \
    PG_DEFINE_ONE(OP, S, T, EXPR)                                                                                \
    PG_DEFINE_TILE(OP, S, T, EXPR)                                                                               \
    static void reduce_##OP##_##S(const pg_plan *kept, const pg_plan *reduced, char *x, char *o) {               \
        char *p[2] = {x, o};                                                                                     \
        ptrdiff_t index[PG_MAX_DIMS] = {0};                                                                      \
        const int last = kept->ndim - 1;                                                                         \
        if (pg_rows_are_reduced(kept, reduced)) {                                                                \
            do *(T *)p[1] = OP##_one_##S(reduced, p[0]);                                                         \
            while (pg_plan_next(kept, kept->ndim, index, p));                                                    \
            return;                                                                                              \
        }                                                                                                        \
        const ptrdiff_t n = kept->shape[last], s = kept->stride[0][last], so = kept->stride[1][last];            \
        do                                                                                                       \
            for (ptrdiff_t j = 0; j < n; j += PG_WIDTH)                                                          \
                OP##_tile_##S(reduced, p[0] + j * s, s, p[1] + j * so, so, n - j < PG_WIDTH ? n - j : PG_WIDTH); \
        while (pg_plan_next(kept, last, index, p));                                                              \
    }
/* Under <op>_rows: rows added to (multiplied into, ...) one row, a pg_fold_rows_fn. */
#define PG_REDUCE_ENTRY(OP, S, T, EXPR) \
    {#OP, #S, (pg_fn)reduce_##OP##_##S}, {#OP "_rows", #S, (pg_fn)OP##_fold_##S},

/* The first index of the largest (smallest) element of a row, a NaN counting as such: fold, then find. */
#define PG_DEFINE_ARG(OP, S, T, FOLD)                                         \
    static ptrdiff_t OP##_##S(const char *x, ptrdiff_t s, ptrdiff_t n) {      \
        const T best = FOLD##_row_##S(x, s, n);                               \
        ptrdiff_t i = 0;                                                      \
        if (best == best)                                                     \
            while (PG_AT(const T, x, i * s) != best) ++i;                     \
        else                                                                  \
            while (PG_AT(const T, x, i * s) == PG_AT(const T, x, i * s)) ++i; \
        return i;                                                             \
    }

#define PG_DEFINE_CUMSUM(OP, S, T, EXPR)                                    \
    static void OP##_##S(char *const *p, const ptrdiff_t *s, ptrdiff_t n) { \
        T sum = 0;                                                          \
        for (ptrdiff_t i = 0; i < n; ++i) {                                 \
            const T a = PG_AT(const T, p[1], i * s[1]);                     \
            sum = (T)(EXPR);                                                \
            PG_AT(T, p[0], i * s[0]) = sum;                                 \
        }                                                                   \
    }

#define PG_REDUCTIONS(X)                       \
    PG_NUMBERS(X, sum, ) PG_NUMBERS(X, prod, ) \
    PG_NUMBERS(X, max, ) PG_NUMBERS(X, min, )
#define PG_ARGS(X) PG_NUMBERS(X, argmax, max) PG_NUMBERS(X, argmin, min)
#define PG_CUMSUMS(X) PG_LIGHT(PG_NUMBERS(X, cumsum, sum + a)) PG_BOOL(X, cumsum, sum | a)

PG_REDUCTIONS(PG_DEFINE_REDUCE)
PG_ARGS(PG_DEFINE_ARG)
PG_CUMSUMS(PG_DEFINE_CUMSUM)

static const pg_entry pg_reduction_entries[] = {
    PG_REDUCTIONS(PG_REDUCE_ENTRY) PG_ARGS(PG_ROW_ENTRY) PG_CUMSUMS(PG_ROW_ENTRY){0}};

#endif
