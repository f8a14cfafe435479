/* The block interpreter of fused groups. The group's shape is a loop nest, merged as in plan.h; a piece of it, `rows`
   steps of one axis and all axes behind that, is small enough that the values of a piece stay in the first cache. For
   each piece every op of the body is one call of its row function on contiguous pieces.

   An operand that is contiguous along a piece is read in place, one that is constant along it is a scalar of stride 0,
   anything else is loaded into a buffer first: once for all, where it is the same for every piece. Results are written
   in place. A reduction folds each piece with the loops of reduction.h and joins what it gave: a piece at a time, or,
   where rows are folded into one, PG_BLOCK_ROWS of them. Float sums are joined with compensation (Kahan 1965), so that
   the number of pieces adds no error. Independent of the instruction set. */
#ifndef PLUGRAD_FUSED_H
#define PLUGRAD_FUSED_H

#include "reduction_plan.h"

#define PG_GROUP_POINTERS 256 /* operands, results, buffers and literals of a group */
#define PG_GROUP_ENDS 32      /* reductions of a group */
#define PG_BLOCK_ROWS 32

enum { PG_IN_PLACE_PIECE, PG_LOADED, PG_LOADED_ONCE };

/* An operand or a result of the group. */
typedef struct {
    int how;
    ptrdiff_t stride[PG_MAX_DIMS];
    ptrdiff_t buffer; /* bytes into the scratch memory */
    pg_row_fn copy;
    pg_plan load[2]; /* of a whole piece, of the last one along its axis */
} pg_outside;

typedef struct {
    pg_row_fn row;
    int operands;
    int at[PG_MAX_OPERANDS]; /* numbers of pointers; the result's first */
    ptrdiff_t s[PG_MAX_OPERANDS];
} pg_body_op;

typedef void (*pg_accumulate_fn)(char *o, char *c, const char *x, ptrdiff_t n);

typedef struct {
    pg_reduce_fn fold;
    pg_fold_rows_fn rows; /* or NULL: the pieces' axis is reduced, those behind it are kept */
    pg_plan kept[2], reduced[2];
    int at, out;
    int complete;      /* each result comes from one piece */
    uint64_t reduced_axes;
    ptrdiff_t count[2]; /* results of a piece */
    ptrdiff_t itemsize, partial, compensation;
    pg_accumulate_fn accumulate; /* float sums */
    pg_row_fn join;              /* all else */
} pg_body_end;

typedef struct {
    int ndim, axis;
    ptrdiff_t shape[PG_MAX_DIMS], rows, inner;
    int outsides, buffers, literals, ops, ends;
    pg_outside *outside;
    ptrdiff_t *buffer; /* bytes into the scratch memory */
    char **literal;
    pg_body_op *op;
    pg_body_end *end;
} pg_group;

/* o += x with the rounding errors carried in c; an infinite or undefined sum carries none. */
#define PG_DEFINE_ACCUMULATE(S, T)                                                            \
    static inline void pg_accumulate_##S(char *o_, char *c_, const char *x_, ptrdiff_t n) {   \
        T *restrict o = (T *)o_, *restrict c = (T *)c_;                                       \
        const T *restrict x = (const T *)x_;                                                  \
        for (ptrdiff_t i = 0; i < n; ++i) {                                                   \
            const T y = x[i] - c[i], t = o[i] + y, e = (t - o[i]) - y;                        \
            c[i] = e - e == 0 ? e : 0;                                                        \
            o[i] = t;                                                                         \
        }                                                                                     \
    }
PG_DEFINE_ACCUMULATE(f4, float)
PG_DEFINE_ACCUMULATE(f8, double)

/* Whether no element before those from `r` on of the current pieces' axis went into the same results. */
static inline int pg_group_first(const pg_group *g, const pg_body_end *e, const ptrdiff_t *index, ptrdiff_t r) {
    int first = !(e->reduced_axes >> g->axis & 1) || r == 0;
    for (int i = 0; i < g->axis; ++i) first &= !(e->reduced_axes >> i & 1) || index[i] == 0;
    return first;
}

/* o += x, or the like; `c` is what float sums carry. */
static inline void pg_group_join(const pg_body_end *e, char *o, char *c, char *x, ptrdiff_t n, int first) {
    if (first) {
        if (o != x) memcpy(o, x, (size_t)(n * e->itemsize));
        if (e->accumulate) memset(c, 0, (size_t)(n * e->itemsize));
    } else if (e->accumulate) {
        e->accumulate(o, c, x, n);
    } else {
        char *const q[3] = {o, o, x};
        const ptrdiff_t s[3] = {e->itemsize, e->itemsize, e->itemsize};
        e->join(q, s, n);
    }
}

/* Fold one piece. `c` is compensation for the results at p[e->out]. */
static inline void pg_group_fold(const pg_group *g, const pg_body_end *e, char *const *p, char *c, char *partial,
                                 const ptrdiff_t *index, ptrdiff_t r0, int tail) {
    char *const o = p[e->out];
    const int first = e->complete || pg_group_first(g, e, index, r0);
    char *const x = first ? o : partial;
    e->fold(&e->kept[tail], &e->reduced[tail], p[e->at], x);
    if (!e->complete) pg_group_join(e, o, c, x, e->count[tail], first);
}

/* Fold the rows of a piece into a block, of which `filled` rows are there. */
static inline void pg_group_fold_rows(const pg_group *g, const pg_body_end *e, char *const *p, char *c, char *block,
                                      const ptrdiff_t *index, ptrdiff_t r0, ptrdiff_t rows, ptrdiff_t *filled) {
    const ptrdiff_t n = g->inner, row = n * e->itemsize;
    const char *x = p[e->at];
    for (ptrdiff_t r = 0, take; r < rows; r += take, x += take * row) {
        take = rows - r < PG_BLOCK_ROWS - *filled ? rows - r : PG_BLOCK_ROWS - *filled;
        const ptrdiff_t copied = *filled == 0;
        if (copied) memcpy(block, x, (size_t)row);
        if (take > copied) e->rows(block, x + copied * row, row, take - copied, e->itemsize, n);
        *filled += take;
        if (*filled < PG_BLOCK_ROWS && r0 + r + take < g->shape[g->axis]) continue;
        pg_group_join(e, p[e->out], c, block, n, pg_group_first(g, e, index, r0 + r + take - *filled));
        *filled = 0;
    }
}

static inline void pg_group_load(const pg_outside *x, char *from, char *scratch, int tail) {
    char *const base[2] = {scratch + x->buffer, from};
    pg_plan_run(&x->load[tail], base, x->copy);
}

/* Every length must be positive. `first` are the operands' and results' addresses. */
static inline void pg_group_run(const pg_group *g, char *const *first, char *scratch) {
    char *place[PG_GROUP_POINTERS], *p[PG_GROUP_POINTERS];
    ptrdiff_t index[PG_MAX_DIMS] = {0}, filled[PG_GROUP_ENDS] = {0};
    const int axis = g->axis;
    int more = 1;
    for (int k = 0; k < g->outsides; ++k) {
        place[k] = first[k];
        if (g->outside[k].how == PG_LOADED_ONCE) pg_group_load(g->outside + k, first[k], scratch, 0);
    }
    for (int k = 0; k < g->buffers; ++k) p[g->outsides + k] = scratch + g->buffer[k];
    for (int k = 0; k < g->literals; ++k) p[g->outsides + g->buffers + k] = g->literal[k];
    while (more) {
        for (ptrdiff_t r0 = 0; r0 < g->shape[axis]; r0 += g->rows) {
            const int tail = g->shape[axis] - r0 < g->rows;
            const ptrdiff_t n = (tail ? g->shape[axis] - r0 : g->rows) * g->inner;
            for (int k = 0; k < g->outsides; ++k) {
                const pg_outside *x = g->outside + k;
                p[k] = place[k] + r0 * x->stride[axis];
                if (x->how == PG_IN_PLACE_PIECE) continue;
                if (x->how == PG_LOADED) pg_group_load(x, p[k], scratch, tail);
                p[k] = scratch + x->buffer;
            }
            for (int i = 0; i < g->ops; ++i) {
                const pg_body_op *op = g->op + i;
                char *q[PG_MAX_OPERANDS];
                for (int k = 0; k < op->operands; ++k) q[k] = p[op->at[k]];
                op->row(q, op->s, n);
            }
            for (int i = 0; i < g->ends; ++i) {
                const pg_body_end *e = g->end + i;
                char *const c = scratch + e->compensation + (p[e->out] - first[e->out]);
                if (e->rows)
                    pg_group_fold_rows(g, e, p, c, scratch + e->partial, index, r0, n / g->inner, filled + i);
                else
                    pg_group_fold(g, e, p, c, scratch + e->partial, index, r0, tail);
            }
        }
        more = 0;
        for (int a = axis - 1; a >= 0; --a) {
            if (++index[a] < g->shape[a]) {
                for (int k = 0; k < g->outsides; ++k) place[k] += g->outside[k].stride[a];
                more = 1;
                break;
            }
            index[a] = 0;
            for (int k = 0; k < g->outsides; ++k) place[k] -= g->outside[k].stride[a] * (g->shape[a] - 1);
        }
    }
}

#endif
