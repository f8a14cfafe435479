/* The driver above all elementwise rows: a loop nest over the operands' strides, with axes ordered by the result's
   strides and neighbouring axes merged where every operand allows it. Independent of the instruction set; touches no
   data itself. */
#ifndef PLUGRAD_PLAN_H
#define PLUGRAD_PLAN_H

#include "common.h"

typedef struct {
    int operands;
    int ndim;
    ptrdiff_t shape[PG_MAX_DIMS];
    ptrdiff_t stride[PG_MAX_OPERANDS][PG_MAX_DIMS];
} pg_plan;

PG_INLINE ptrdiff_t pg_magnitude(ptrdiff_t x) { return x < 0 ? -x : x; }

static inline void pg_plan_swap(pg_plan *q, int i, int j) {
    const ptrdiff_t n = q->shape[i];
    q->shape[i] = q->shape[j];
    q->shape[j] = n;
    for (int k = 0; k < q->operands; ++k) {
        const ptrdiff_t s = q->stride[k][i];
        q->stride[k][i] = q->stride[k][j];
        q->stride[k][j] = s;
    }
}

static inline int pg_plan_mergeable(const pg_plan *q, int outer, int inner) {
    for (int k = 0; k < q->operands; ++k)
        if (q->stride[k][outer] != q->stride[k][inner] * q->shape[inner]) return 0;
    return 1;
}

/* Drop axes of length 1, order the rest by falling stride of operand 0, merge neighbours. */
static inline void pg_plan_simplify(pg_plan *q) {
    int n = 0;
    for (int i = 0; i < q->ndim; ++i)
        if (q->shape[i] != 1) {
            if (i != n) pg_plan_swap(q, i, n);
            ++n;
        }
    q->ndim = n;
    const ptrdiff_t *s = q->stride[0];
    for (int i = 1; i < n; ++i)
        for (int j = i; j > 0 && pg_magnitude(s[j]) > pg_magnitude(s[j - 1]); --j) pg_plan_swap(q, j, j - 1);
    for (int i = n - 2; i >= 0; --i)
        if (pg_plan_mergeable(q, i, i + 1)) {
            q->shape[i + 1] *= q->shape[i];
            for (int j = i; j < q->ndim - 1; ++j) pg_plan_swap(q, j, j + 1);
            --q->ndim;
        }
}

/* Move all pointers to the next place of the first `axes` axes, the last of them fastest; 0 when all places have been
   visited. */
static inline int pg_plan_next(const pg_plan *q, int axes, ptrdiff_t *index, char **p) {
    for (int axis = axes - 1; axis >= 0; --axis) {
        if (++index[axis] < q->shape[axis]) {
            for (int k = 0; k < q->operands; ++k) p[k] += q->stride[k][axis];
            return 1;
        }
        index[axis] = 0;
        for (int k = 0; k < q->operands; ++k) p[k] -= q->stride[k][axis] * (q->shape[axis] - 1);
    }
    return 0;
}

/* Run `row` over the whole nest. Every length must be positive. */
static inline void pg_plan_run(const pg_plan *q, char *const *base, pg_row_fn row) {
    char *p[PG_MAX_OPERANDS];
    ptrdiff_t s[PG_MAX_OPERANDS] = {0}, index[PG_MAX_DIMS] = {0};
    const int last = q->ndim - 1;
    for (int k = 0; k < q->operands; ++k) {
        p[k] = base[k];
        if (last >= 0) s[k] = q->stride[k][last];
    }
    do row(p, s, last < 0 ? 1 : q->shape[last]);
    while (pg_plan_next(q, last, index, p));
}

#endif
