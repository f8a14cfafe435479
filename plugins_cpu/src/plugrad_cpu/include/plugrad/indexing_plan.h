/* Indexing along one axis, seen as outer x length x inner: rows of `inner` elements are fetched or added; and writing
   at positions over several axes. Indices are int64, contiguous, checked and made non-negative before anything else
   happens. Independent of the instruction set. */
#ifndef PLUGRAD_INDEXING_PLAN_H
#define PLUGRAD_INDEXING_PLAN_H

#include "plan.h"

/* out = i with negatives wrapped; the position of the first index outside -length..length-1, or -1. */
static inline ptrdiff_t pg_wrap_indices(const int64_t *i, int64_t *out, ptrdiff_t n, int64_t length) {
    for (ptrdiff_t k = 0; k < n; ++k) {
        const int64_t v = i[k] < 0 ? i[k] + length : i[k];
        if (v < 0 || v >= length) return k;
        out[k] = v;
    }
    return -1;
}

/* o[a, k, :] = x[a, i[k], :], all contiguous, `row` bytes each. */
static inline void pg_gather(char *o, const char *x, const int64_t *i, ptrdiff_t outer, ptrdiff_t length, ptrdiff_t n,
                             ptrdiff_t row) {
    for (ptrdiff_t a = 0; a < outer; ++a, x += length * row) {
        if (row == 4)
            for (ptrdiff_t k = 0; k < n; ++k, o += 4) memcpy(o, x + i[k] * 4, 4);
        else if (row == 8)
            for (ptrdiff_t k = 0; k < n; ++k, o += 8) memcpy(o, x + i[k] * 8, 8);
        else if (row == 16)
            for (ptrdiff_t k = 0; k < n; ++k, o += 16) memcpy(o, x + i[k] * 16, 16);
        else
            for (ptrdiff_t k = 0; k < n; ++k, o += row) memcpy(o, x + i[k] * row, (size_t)row);
    }
}

/* o[a, i[k], :] += v[a, k, :], all contiguous, in the order of k; `add` is the row of the op add. */
static inline void pg_scatter_add(char *o, const char *v, const int64_t *i, ptrdiff_t outer, ptrdiff_t length,
                                  ptrdiff_t n, ptrdiff_t inner, ptrdiff_t itemsize, pg_row_fn add) {
    const ptrdiff_t s[3] = {itemsize, itemsize, itemsize}, row = inner * itemsize;
    for (ptrdiff_t a = 0; a < outer; ++a, o += length * row)
        for (ptrdiff_t k = 0; k < n; ++k, v += row) {
            char *const target = o + i[k] * row;
            char *p[3] = {target, target, (char *)v};
            add(p, s, inner);
        }
}

/* Positions in C order over axes of lengths `d` become distances in bytes. */
static inline void pg_distances(int64_t *i, ptrdiff_t n, int axes, const ptrdiff_t *d, const ptrdiff_t *stride) {
    for (ptrdiff_t k = 0; k < n; ++k) {
        int64_t rest = i[k], distance = 0;
        for (int a = axes - 1; a > 0; --a) {
            distance += rest % d[a] * stride[a];
            rest /= d[a];
        }
        i[k] = distance + rest * stride[0];
    }
}

/* At distance i[k] from each place of o, `inner` elements change by those of v, `step` bytes from one k to the next, in
   the order of k. `row` either copies its second operand or combines two, of which the first is the result. The nest is
   over o and v; `s` are the strides of o, first and second operand along the row. */
static inline void pg_scatter(const pg_plan *q, char *const *base, const int64_t *i, ptrdiff_t n, ptrdiff_t step,
                              ptrdiff_t inner, const ptrdiff_t *s, int combine, pg_row_fn row) {
    char *p[2] = {base[0], base[1]};
    ptrdiff_t index[PG_MAX_DIMS] = {0};
    do
        for (ptrdiff_t k = 0; k < n; ++k) {
            char *const target = p[0] + i[k], *const value = p[1] + k * step;
            char *const operands[3] = {target, combine ? target : value, value};
            row(operands, s, inner);
        }
    while (pg_plan_next(q, q->ndim, index, p));
}

/* o[.., k, ..] = x[.., i[.., k, ..], ..] for one line. operands of the nest: o, i, x. */
static inline void pg_take_along(const pg_plan *q, char *const *base, ptrdiff_t n, const ptrdiff_t *s,
                                 ptrdiff_t itemsize) {
    char *p[3] = {base[0], base[1], base[2]};
    ptrdiff_t index[PG_MAX_DIMS] = {0};
    do
        for (ptrdiff_t k = 0; k < n; ++k)
            memcpy(p[0] + k * s[0], p[2] + *(const int64_t *)(p[1] + k * s[1]) * s[2], (size_t)itemsize);
    while (pg_plan_next(q, q->ndim, index, p));
}

#endif
