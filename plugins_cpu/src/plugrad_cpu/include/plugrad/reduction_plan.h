/* The axes of a reduction as two loop nests over the operand, and the choice between folding along rows and across
   them. */
#ifndef PLUGRAD_REDUCTION_PLAN_H
#define PLUGRAD_REDUCTION_PLAN_H

#include "plan.h"

typedef void (*pg_reduce_fn)(const pg_plan *kept, const pg_plan *reduced, char *x, char *o);
typedef void (*pg_fold_rows_fn)(void *a, const char *x, ptrdiff_t rs, ptrdiff_t rows, ptrdiff_t s, ptrdiff_t n);
typedef ptrdiff_t (*pg_arg_fn)(const char *x, ptrdiff_t s, ptrdiff_t n);

static inline void pg_plan_push(pg_plan *q, ptrdiff_t length, ptrdiff_t s0, ptrdiff_t s1) {
    q->shape[q->ndim] = length;
    q->stride[0][q->ndim] = s0;
    q->stride[1][q->ndim] = s1;
    ++q->ndim;
}

/* Bit i of `axes` says that axis i is reduced; `so` are the result's strides with the reduced axes kept at length 1. */
static inline void pg_reduction_plans(int ndim, const ptrdiff_t *shape, const ptrdiff_t *s, const ptrdiff_t *so,
                                      uint64_t axes, pg_plan *kept, pg_plan *reduced) {
    kept->operands = 2;
    reduced->operands = 1;
    kept->ndim = reduced->ndim = 0;
    for (int i = 0; i < ndim; ++i) {
        const int drop = (int)(axes >> i & 1);
        pg_plan_push(drop ? reduced : kept, shape[i], s[i], drop ? 0 : so[i]);
    }
    pg_plan_simplify(kept);
    pg_plan_simplify(reduced);
    if (reduced->ndim == 0) pg_plan_push(reduced, 1, 0, 0);
}

static inline int pg_rows_are_reduced(const pg_plan *kept, const pg_plan *reduced) {
    const int k = kept->ndim - 1, r = reduced->ndim - 1;
    if (k < 0) return 1;
    if (reduced->shape[r] == 1) return 0;
    return pg_magnitude(reduced->stride[0][r]) <= pg_magnitude(kept->stride[0][k]);
}

/* One call of `row` for each line along an axis; the other axes are the nest. */
static inline void pg_lines_run(const pg_plan *q, char *const *base, pg_row_fn row, const ptrdiff_t *s, ptrdiff_t n) {
    char *p[2] = {base[0], base[1]};
    ptrdiff_t index[PG_MAX_DIMS] = {0};
    do row(p, s, n);
    while (pg_plan_next(q, q->ndim, index, p));
}

static inline void pg_lines_arg(const pg_plan *q, char *const *base, pg_arg_fn arg, ptrdiff_t s, ptrdiff_t n) {
    char *p[2] = {base[0], base[1]};
    ptrdiff_t index[PG_MAX_DIMS] = {0};
    do *(int64_t *)p[0] = (int64_t)arg(p[1], s, n);
    while (pg_plan_next(q, q->ndim, index, p));
}

#endif
