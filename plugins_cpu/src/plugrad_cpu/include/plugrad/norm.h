/* Layer normalisation over the last axis and its backward twin, rows contiguous: y = (x - mean) rstd w + b.

   Forward: two passes over a row that is in the first cache (mean, then squared distances), so that no large mean
   cancels. Backward, with h = (x - mean) rstd and u = g w, means over the row: dx = rstd (u - mean(u) - h mean(u
   h)), dw = sum over rows of g h, db = sum of g; the sums run over blocks of PG_ROWS rows, so that errors stay
   small. */
#ifndef PLUGRAD_NORM_H
#define PLUGRAD_NORM_H

#include "reduction.h"
#include "vector.h"

/* Sums over a row of products: u v, with four vectors of partial sums. */
#define PG_DEFINE_ROW_SUMS(OP, S, T, E)                                                                     \
    static T squares_##S(const T *x, T mean, ptrdiff_t n) {                                                 \
        enum { L = PG_VECTOR_BYTES / sizeof(T) };                                                           \
        typedef pg_vec_##S V;                                                                               \
        V a = {0}, b = {0};                                                                                 \
        ptrdiff_t i = 0;                                                                                    \
        for (; i + 2 * L <= n; i += 2 * L) {                                                                \
            const V c = *(const V *)(x + i) - mean, d = *(const V *)(x + i + L) - mean;                     \
            a += c * c;                                                                                     \
            b += d * d;                                                                                     \
        }                                                                                                   \
        a += b;                                                                                             \
        T sum = total_##S(a);                                                                               \
        for (; i < n; ++i) sum += (x[i] - mean) * (x[i] - mean);                                            \
        return sum;                                                                                         \
    }                                                                                                       \
    /* sums[0] = sum of g w, sums[1] = sum of g w h */                                                      \
    static void projections_##S(const T *g, const T *x, const T *w, T mean, T rstd, ptrdiff_t n, T *sums) { \
        enum { L = PG_VECTOR_BYTES / sizeof(T) };                                                           \
        typedef pg_vec_##S V;                                                                               \
        V a = {0}, b = {0};                                                                                 \
        ptrdiff_t i = 0;                                                                                    \
        for (; i + L <= n; i += L) {                                                                        \
            const V u = *(const V *)(g + i) * *(const V *)(w + i);                                          \
            a += u;                                                                                         \
            b += u * ((*(const V *)(x + i) - mean) * rstd);                                                 \
        }                                                                                                   \
        sums[0] = total_##S(a);                                                                             \
        sums[1] = total_##S(b);                                                                             \
        for (; i < n; ++i) {                                                                                \
            sums[0] += g[i] * w[i];                                                                         \
            sums[1] += g[i] * w[i] * ((x[i] - mean) * rstd);                                                \
        }                                                                                                   \
    }

#define PG_DEFINE_LAYER_NORM(OP, S, T, SQRT)                                                                       \
    static void layer_norm_##S(ptrdiff_t rows, ptrdiff_t n, const T *x, const T *w, const T *b, double eps, T *y,  \
                               T *mean, T *rstd) {                                                                 \
        for (ptrdiff_t r = 0; r < rows; ++r, x += n, y += n) {                                                     \
            const T m = sum_row_##S((const char *)x, sizeof(T), n) / (T)n;                                         \
            const T s = 1 / SQRT(squares_##S(x, m, n) / (T)n + (T)eps);                                            \
            mean[r] = m;                                                                                           \
            rstd[r] = s;                                                                                           \
            PG_INDEPENDENT                                                                                         \
            for (ptrdiff_t i = 0; i < n; ++i) y[i] = (x[i] - m) * s * w[i] + b[i];                                 \
        }                                                                                                          \
    }                                                                                                              \
    /* dw and db start at zero; `block` holds 2 n elements. */                                                     \
    static void layer_norm_bwd_##S(ptrdiff_t rows, ptrdiff_t n, const T *g, const T *x, const T *w, const T *mean, \
                                   const T *rstd, T *dx, T *dw, T *db, T *block) {                                 \
        T *restrict bw = block, *restrict bb = block + n;                                                          \
        for (ptrdiff_t r0 = 0; r0 < rows; r0 += PG_ROWS) {                                                         \
            const ptrdiff_t end = rows - r0 < PG_ROWS ? rows : r0 + PG_ROWS;                                       \
            memset(block, 0, (size_t)(2 * n) * sizeof(T));                                                         \
            for (ptrdiff_t r = r0; r < end; ++r) {                                                                 \
                const T *gr = g + r * n, *xr = x + r * n;                                                          \
                T *restrict o = dx + r * n;                                                                        \
                const T m = mean[r], s = rstd[r];                                                                  \
                T sums[2];                                                                                         \
                projections_##S(gr, xr, w, m, s, n, sums);                                                         \
                const T mu = sums[0] / (T)n, muh = sums[1] / (T)n;                                                 \
                PG_INDEPENDENT                                                                                     \
                for (ptrdiff_t i = 0; i < n; ++i) {                                                                \
                    const T h = (xr[i] - m) * s;                                                                   \
                    o[i] = s * (gr[i] * w[i] - mu - h * muh);                                                      \
                    bw[i] += gr[i] * h;                                                                            \
                    bb[i] += gr[i];                                                                                \
                }                                                                                                  \
            }                                                                                                      \
            for (ptrdiff_t i = 0; i < n; ++i) {                                                                    \
                dw[i] += bw[i];                                                                                    \
                db[i] += bb[i];                                                                                    \
            }                                                                                                      \
        }                                                                                                          \
    }

#define PG_NORM_ENTRY(OP, S, T, E) \
    {"layer_norm", #S, (pg_fn)layer_norm_##S}, {"layer_norm_bwd", #S, (pg_fn)layer_norm_bwd_##S},

PG_FLOATS(PG_DEFINE_ROW_SUMS, , )
PG_DEFINE_LAYER_NORM(, f4, float, sqrtf)
PG_DEFINE_LAYER_NORM(, f8, double, sqrt)

static const pg_entry pg_norm_entries[] = {PG_FLOATS(PG_NORM_ENTRY, , ){0}};

#endif
