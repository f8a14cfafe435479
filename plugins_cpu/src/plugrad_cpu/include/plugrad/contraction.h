/* Matrix products C = A B, any strides for A and B, contiguous rows for C.

   The loops are those of Goto and van de Geijn (2008, "Anatomy of high-performance matrix multiplication"): B in
   blocks of KC x NC, A in blocks of MC x KC, cut into panels as wide as the tiles of the microkernel (tile.h). A panel
   of B stays in the first cache while all rows of a block of A meet it; it is packed right before. Sizes as Low et al.
   (2016, "Analytical modeling is enough for high-performance BLIS") choose them: a panel of B and the rows of a tile
   fill the first cache, a block of A a part of the second; they belong to the instruction set (isa/<name>.c).
   Shortcuts: where its rows are contiguous, B is used in place unless many rows meet it, and A unless many panels do;
   terms and rows are dealt out evenly, so that no tile is mostly empty; a matrix times a vector is dot products.
   Columns beyond N are zeros in the panel and never stored. Serial.

   Measured on one Granite Rapids core, float32, GFLOP/s, of 240 (AVX-512) and 120 (AVX2) that its units can do,
   operands in its caches: 64 cubed 190 and 105, 256 cubed 195 and 113, 1024 cubed 165 and 103; MKL 135, 200 and 190
   with AVX-512. Loses to it from 1024 on, and where few rows meet a large B: four of them wait for memory. */
#ifndef PLUGRAD_CONTRACTION_H
#define PLUGRAD_CONTRACTION_H

#include "common.h"
#include "pack.h"
#include "tile.h"
#include "vector.h"

#define PG_B_BYTES ((ptrdiff_t)3 << 20)   /* packed block of B: stays in the last-level cache */
#define PG_A_BYTES ((ptrdiff_t)512 << 10) /* up to which A is used in place, however many panels meet it */
#define PG_FEW 256                        /* rows of A that use B in place where its rows are contiguous */
#define PG_LANES(T) ((ptrdiff_t)(PG_VECTOR_BYTES / sizeof(T)))

PG_INLINE ptrdiff_t pg_ceil(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }

/* How long the next piece is, `most` at most, so that all pieces of what is left are about equally long. */
PG_INLINE ptrdiff_t pg_share(ptrdiff_t left, ptrdiff_t most) {
    return left <= most ? left : pg_ceil(left, pg_ceil(left, most));
}

/* How rows are dealt out to tiles: the first `longer` tiles have one more than `least`. */
typedef struct {
    ptrdiff_t count, least, longer;
} pg_tiles;

PG_INLINE pg_tiles pg_deal(ptrdiff_t rows) {
    const ptrdiff_t count = pg_ceil(rows, PG_MR), least = count == 1 ? rows : rows / count;
    return (pg_tiles){count, least, rows - least * count};
}

#define PG_DEFINE_BLOCKS(OP, S, T, E)                                                                                \
    /* Elements of a term in a packed panel of A: whole vectors. */                                                  \
    PG_INLINE ptrdiff_t panel_width_##S(pg_tiles t) {                                                                \
        return pg_ceil(t.least + (t.longer > 0), PG_LANES(T)) * PG_LANES(T);                                         \
    }                                                                                                                \
    static void pack_rows_##S(pg_tiles tiles, ptrdiff_t k, const T *a, ptrdiff_t ar, ptrdiff_t ac, T *p) {           \
        const ptrdiff_t width = panel_width_##S(tiles);                                                              \
        for (ptrdiff_t t = 0, m; t < tiles.count; ++t, a += m * ar, p += width * k) {                                \
            m = tiles.least + (t < tiles.longer);                                                                    \
            pack_##S(a, ac, ar, k, m, width, p);                                                                     \
        }                                                                                                            \
    }                                                                                                                \
    /* All rows of a block of A (in place, if `packed` is NULL) times one panel of B, n columns. */                  \
    static void gemm_panel_##S(pg_tiles tiles, ptrdiff_t n, ptrdiff_t k, const T *a, ptrdiff_t ar, ptrdiff_t ac,     \
                               const T *packed, const T *b, ptrdiff_t bs, T *c, ptrdiff_t cr, int accumulate) {      \
        const micro_##S *const micro = micros_##S[n > PG_LANES(T)];                                                  \
        const ptrdiff_t width = panel_width_##S(tiles);                                                              \
        for (ptrdiff_t t = 0, m; t < tiles.count; ++t, c += m * cr) {                                                \
            m = tiles.least + (t < tiles.longer);                                                                    \
            if (packed) {                                                                                            \
                micro[m](k, packed, 1, width, b, bs, c, cr, n, accumulate);                                          \
                packed += width * k;                                                                                 \
            } else {                                                                                                 \
                micro[m](k, a, ar, ac, b, bs, c, cr, n, accumulate);                                                 \
                a += m * ar;                                                                                         \
            }                                                                                                        \
        }                                                                                                            \
    }                                                                                                                \
    static void gemm_blocks_##S(ptrdiff_t M, ptrdiff_t N, ptrdiff_t K, const T *a, ptrdiff_t ar, ptrdiff_t ac,       \
                                const T *b, ptrdiff_t br, ptrdiff_t bc, T *c, ptrdiff_t cr, T *work) {               \
        const ptrdiff_t nr = 2 * PG_LANES(T), nc = PG_B_BYTES / (ptrdiff_t)(PG_KC * nr * sizeof(T)) * nr;            \
        const int all = bc != 1 || M > PG_FEW; /* panels of B are packed, not only those that are cut off */         \
        const int far = ac != 1 ? N > 2 * nr : N >= 16 * nr && M * K > PG_A_BYTES / (ptrdiff_t)sizeof(T);            \
        T *const packed_a = far ? work : NULL, *const packed_b = work + (far ? room_a_##S(M, K) : 0);                \
        for (ptrdiff_t j0 = 0; j0 < N; j0 += nc) {                                                                   \
            const ptrdiff_t j1 = pg_least(N, j0 + nc);                                                               \
            for (ptrdiff_t k0 = 0, k; k0 < K; k0 += k) {                                                             \
                k = pg_share(K - k0, PG_KC);                                                                         \
                for (ptrdiff_t i = 0, rows; i < M; i += rows) {                                                      \
                    const T *from = a + i * ar + k0 * ac;                                                            \
                    rows = pg_share(M - i, PG_MC);                                                                   \
                    const pg_tiles tiles = pg_deal(rows);                                                            \
                    if (far) pack_rows_##S(tiles, k, from, ar, ac, packed_a);                                        \
                    for (ptrdiff_t j = j0; j < j1; j += nr) {                                                        \
                        const ptrdiff_t n = pg_least(j1 - j, nr), width = n > nr / 2 ? nr : nr / 2;                  \
                        const T *panel = b + k0 * br + j * bc;                                                       \
                        ptrdiff_t bs = br;                                                                           \
                        if (all || n < width) {                                                                      \
                            T *const packed = packed_b + (rows < M ? (j - j0) * k : 0); /* for the next rows, too */ \
                            if (i == 0) pack_##S(panel, br, bc, k, n, width, packed);                                \
                            panel = packed;                                                                          \
                            bs = width;                                                                              \
                        }                                                                                            \
                        gemm_panel_##S(tiles, n, k, from, ar, ac, packed_a, panel, bs, c + i * cr + j, cr, k0 > 0);  \
                    }                                                                                                \
                }                                                                                                    \
            }                                                                                                        \
        }                                                                                                            \
    }

/* Elements of work space: for packed blocks of A, of A and B. */
#define PG_DEFINE_ROOM(OP, S, T, E)                                                                       \
    static ptrdiff_t room_a_##S(ptrdiff_t M, ptrdiff_t K) {                                               \
        const ptrdiff_t width = pg_ceil(PG_MR, PG_LANES(T)) * PG_LANES(T);                                \
        return pg_least(K, PG_KC) * pg_ceil(pg_least(M, PG_MC), PG_MR) * width;                           \
    }                                                                                                     \
    static ptrdiff_t gemm_work_##S(ptrdiff_t M, ptrdiff_t N, ptrdiff_t K) {                               \
        const ptrdiff_t nr = 2 * PG_LANES(T), nc = PG_B_BYTES / (ptrdiff_t)(PG_KC * nr * sizeof(T)) * nr; \
        const ptrdiff_t columns = M <= PG_MC ? nr : pg_least(pg_ceil(N, nr) * nr, nc);                    \
        return pg_most(room_a_##S(M, K) + pg_least(K, PG_KC) * columns, K);                               \
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
            T r = total_##S(s0);                                                                 \
            for (; k < K; ++k) r += a[k] * b[k];                                                 \
            c[i] = r;                                                                            \
        }                                                                                        \
    }

#define PG_DEFINE_LINE(OP, S, T, E)                                         \
    static const T *line_##S(const T *x, ptrdiff_t xs, ptrdiff_t n, T *o) { \
        if (xs == 1) return x;                                              \
        for (ptrdiff_t i = 0; i < n; ++i) o[i] = x[i * xs];                 \
        return o;                                                           \
    }

/* M, N, K >= 1; strides in elements. `work` holds gemm_work elements. */
#define PG_DEFINE_GEMM(OP, S, T, E)                                                                     \
    static void gemm_##S(ptrdiff_t M, ptrdiff_t N, ptrdiff_t K, const T *a, ptrdiff_t ar, ptrdiff_t ac, \
                         const T *b, ptrdiff_t br, ptrdiff_t bc, T *c, ptrdiff_t cr, T *work) {         \
        if (N == 1 && ac == 1)                                                                          \
            gemv_##S(M, K, a, ar, line_##S(b, br, K, work), c);                                         \
        else if (M == 1 && br == 1 && N > 1)                                                            \
            gemv_##S(N, K, b, bc, line_##S(a, ac, K, work), c);                                         \
        else if (N == 1 && M > 1 && cr == 1)                                                            \
            gemm_##S(1, M, K, b, 1, br, a, ac, ar, c, M, work);                                         \
        else                                                                                            \
            gemm_blocks_##S(M, N, K, a, ar, ac, b, br, bc, c, cr, work);                                \
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

PG_FLOATS(PG_DEFINE_ROOM, , )
PG_FLOATS(PG_DEFINE_BLOCKS, , )
PG_FLOATS(PG_DEFINE_GEMV, , )
PG_FLOATS(PG_DEFINE_LINE, , )
PG_FLOATS(PG_DEFINE_GEMM, , )
PG_INTS(PG_DEFINE_INT_GEMM, , )

static const pg_entry pg_contraction_entries[] = {PG_FLOATS(PG_GEMM_ENTRY, , ) PG_INTS(PG_GEMM_ENTRY, , ){0}};

#endif
