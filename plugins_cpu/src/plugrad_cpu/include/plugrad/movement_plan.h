/* The copy driver: like plan.h, but where the operand is fastest along another axis than the result, those two axes go
   through a tiled transpose. */
#ifndef PLUGRAD_MOVEMENT_PLAN_H
#define PLUGRAD_MOVEMENT_PLAN_H

#include "plan.h"

#define PG_TRANSPOSE_FROM 8 /* shorter axes are not worth a tile */

typedef void (*pg_transpose_fn)(char *, const char *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t);

/* The axis along which operand 1 moves least, when that is not the last one and both are long enough; else -1. */
static inline int pg_tile_axis(const pg_plan *q) {
    const int last = q->ndim - 1;
    if (last < 1 || q->shape[last] < PG_TRANSPOSE_FROM) return -1;
    int best = last;
    for (int i = last - 1; i >= 0; --i)
        if (q->stride[1][i] != 0 && pg_magnitude(q->stride[1][i]) < pg_magnitude(q->stride[1][best])) best = i;
    return best == last || q->shape[best] < PG_TRANSPOSE_FROM ? -1 : best;
}

static inline void pg_plan_copy(pg_plan *q, char *const *base, pg_row_fn row, pg_transpose_fn transpose) {
    pg_plan_simplify(q);
    const int tile = pg_tile_axis(q);
    if (tile < 0) {
        pg_plan_run(q, base, row);
        return;
    }
    const int last = q->ndim - 1;
    /* the tile becomes the last two axes, the nest the others */
    for (int j = tile; j < last - 1; ++j) pg_plan_swap(q, j, j + 1);
    const ptrdiff_t *so = q->stride[0] + last - 1, *sx = q->stride[1] + last - 1;
    ptrdiff_t index[PG_MAX_DIMS] = {0};
    char *p[2] = {base[0], base[1]};
    do transpose(p[0], p[1], q->shape[last - 1], q->shape[last], so[0], so[1], sx[0], sx[1]);
    while (pg_plan_next(q, last - 1, index, p));
}

#endif
