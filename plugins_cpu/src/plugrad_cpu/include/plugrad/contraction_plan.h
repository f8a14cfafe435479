/* A batch of matrix products: a loop nest over the leading axes of (result, a, b). */
#ifndef PLUGRAD_CONTRACTION_PLAN_H
#define PLUGRAD_CONTRACTION_PLAN_H

#include "plan.h"

typedef void (*pg_gemm_fn)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *a, ptrdiff_t ar, ptrdiff_t ac,
                           const void *b, ptrdiff_t br, ptrdiff_t bc, void *c, ptrdiff_t cr, void *work);
typedef ptrdiff_t (*pg_gemm_work_fn)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k);

/* m x n x k products; `s` are the byte strides of (a rows, a columns, b rows, b columns, c rows). */
static inline void pg_gemm_run(pg_plan *lead, char *const *base, pg_gemm_fn gemm, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
                               const ptrdiff_t *s, ptrdiff_t itemsize, void *work) {
    char *p[3] = {base[0], base[1], base[2]};
    ptrdiff_t index[PG_MAX_DIMS] = {0};
    pg_plan_simplify(lead);
    const int last = lead->ndim - 1;
    if (last >= 0 && lead->stride[2][last] == 0 && lead->stride[1][last] == m * s[0] &&
        lead->stride[0][last] == m * s[4]) {
        m *= lead->shape[last]; /* one b for a whole stack of a: more rows of a single product */
        --lead->ndim;
    }
    const ptrdiff_t ar = s[0] / itemsize, ac = s[1] / itemsize, br = s[2] / itemsize, bc = s[3] / itemsize;
    do gemm(m, n, k, p[1], ar, ac, p[2], br, bc, p[0], s[4] / itemsize, work);
    while (pg_plan_next(lead, lead->ndim, index, p));
}

#endif
