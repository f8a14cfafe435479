/* Steps of a compiled program: each is a function with arguments prepared ahead, called on the addresses of its
   operands. An address is a base, which may change from run to run, and an offset, which does not. Independent of the
   instruction set. */
#ifndef PLUGRAD_PROGRAM_H
#define PLUGRAD_PROGRAM_H

#include "contraction_plan.h"
#include "fused.h"
#include "indexing_plan.h"
#include "movement_plan.h"
#include "reduction_plan.h"

typedef struct {
    int base;
    ptrdiff_t offset;
} pg_ref;

/* Does the work of a step; the status is PG_OK, or says why nothing was written. */
typedef int (*pg_step_fn)(const void *with, char **p);

typedef struct {
    pg_step_fn run;
    void *with;
    int operands;
    pg_ref *operand;
} pg_step;

/* Run steps begin .. end - 1; the number of the first that failed, or `end`. */
static inline int pg_steps_run(const pg_step *step, int begin, int end, char *const *base) {
    char *p[PG_GROUP_POINTERS + 1];
    for (int i = begin; i < end; ++i) {
        const pg_step *s = step + i;
        for (int k = 0; k < s->operands; ++k) p[k] = base[s->operand[k].base] + s->operand[k].offset;
        if (s->run(s->with, p) != PG_OK) return i;
    }
    return end;
}

/* p[0], the result, may be an operand wherever the loops allow it: in rows. */

typedef struct {
    pg_row_fn row;
    ptrdiff_t n, s[PG_MAX_OPERANDS];
} pg_row_step;

static inline int pg_step_row(const void *with, char **p) {
    const pg_row_step *q = with;
    q->row(p, q->s, q->n);
    return PG_OK;
}

typedef struct {
    pg_plan plan;
    pg_row_fn row;
    pg_transpose_fn transpose;
    ptrdiff_t bytes; /* both contiguous: so many; else -1 */
} pg_copy_step;

static inline int pg_step_copy(const void *with, char **p) {
    const pg_copy_step *q = with;
    if (q->bytes >= 0) {
        if (p[0] != p[1]) memmove(p[0], p[1], (size_t)q->bytes);
        return PG_OK;
    }
    pg_plan plan = q->plan;
    pg_plan_copy(&plan, p, q->row, q->transpose);
    return PG_OK;
}

typedef struct {
    ptrdiff_t bytes;
} pg_zero_step;

static inline int pg_step_zero(const void *with, char **p) {
    memset(p[0], 0, (size_t)((const pg_zero_step *)with)->bytes);
    return PG_OK;
}

/* p: result, a, b, workspace */
typedef struct {
    pg_plan lead;
    pg_gemm_fn gemm;
    ptrdiff_t m, n, k, s[5], itemsize;
} pg_gemm_step;

static inline int pg_step_gemm(const void *with, char **p) {
    const pg_gemm_step *q = with;
    pg_plan lead = q->lead;
    pg_gemm_run(&lead, p, q->gemm, q->m, q->n, q->k, q->s, q->itemsize, p[3]);
    return PG_OK;
}

typedef struct {
    pg_plan kept, reduced;
    pg_reduce_fn fold;
} pg_reduce_step;

static inline int pg_step_reduce(const void *with, char **p) {
    const pg_reduce_step *q = with;
    q->fold(&q->kept, &q->reduced, p[1], p[0]);
    return PG_OK;
}

/* Lines along an axis: of a running sum, or searched for a position. */
typedef struct {
    pg_plan nest;
    pg_row_fn row;
    pg_arg_fn arg;
    ptrdiff_t s[2], n;
} pg_lines_step;

static inline int pg_step_lines(const void *with, char **p) {
    const pg_lines_step *q = with;
    if (q->arg)
        pg_lines_arg(&q->nest, p, q->arg, q->s[1], q->n);
    else
        pg_lines_run(&q->nest, p, q->row, q->s, q->n);
    return PG_OK;
}

/* Positions, contiguous: p[0] = p[1] without negative ones. */
typedef struct {
    ptrdiff_t n, length;
} pg_wrap_step;

static inline int pg_step_wrap(const void *with, char **p) {
    const pg_wrap_step *q = with;
    const ptrdiff_t bad = pg_wrap_indices((const int64_t *)p[1], (int64_t *)p[0], q->n, q->length);
    return bad < 0 ? PG_OK : PG_BAD_INDEX;
}

/* p: result, operand, wrapped positions; all contiguous */
typedef struct {
    ptrdiff_t outer, length, n, inner, itemsize;
    pg_row_fn add;
} pg_index_step;

static inline int pg_step_gather(const void *with, char **p) {
    const pg_index_step *q = with;
    pg_gather(p[0], p[1], (const int64_t *)p[2], q->outer, q->length, q->n, q->inner * q->itemsize);
    return PG_OK;
}

static inline int pg_step_scatter_add(const void *with, char **p) {
    const pg_index_step *q = with;
    pg_scatter_add(p[0], p[1], (const int64_t *)p[2], q->outer, q->length, q->n, q->inner, q->itemsize, q->add);
    return PG_OK;
}

/* p: result, wrapped positions, operand */
typedef struct {
    pg_plan nest;
    ptrdiff_t n, s[3], itemsize;
} pg_along_step;

static inline int pg_step_along(const void *with, char **p) {
    const pg_along_step *q = with;
    pg_take_along(&q->nest, p, q->n, q->s, q->itemsize);
    return PG_OK;
}

/* p: y, mean, rstd, x, w, b */
typedef struct {
    void (*forward)(ptrdiff_t rows, ptrdiff_t n, const void *x, const void *w, const void *b, double eps, void *y,
                    void *mean, void *rstd);
    void (*backward)(ptrdiff_t rows, ptrdiff_t n, const void *g, const void *x, const void *w, const void *mean,
                     const void *rstd, void *dx, void *dw, void *db, void *block);
    ptrdiff_t rows, n, itemsize;
    double eps;
} pg_norm_step;

static inline int pg_step_layer_norm(const void *with, char **p) {
    const pg_norm_step *q = with;
    q->forward(q->rows, q->n, p[3], p[4], p[5], q->eps, p[0], p[1], p[2]);
    return PG_OK;
}

/* p: dx, dw, db, g, x, w, mean, rstd, block */
static inline int pg_step_layer_norm_bwd(const void *with, char **p) {
    const pg_norm_step *q = with;
    memset(p[1], 0, (size_t)(q->n * q->itemsize));
    memset(p[2], 0, (size_t)(q->n * q->itemsize));
    q->backward(q->rows, q->n, p[3], p[4], p[5], p[6], p[7], p[0], p[1], p[2], p[8]);
    return PG_OK;
}

/* p: words, keys */
typedef struct {
    void (*philox)(uint32_t k0, uint32_t k1, uint32_t *o, ptrdiff_t n);
    ptrdiff_t keys, each;
} pg_random_step;

static inline int pg_step_random(const void *with, char **p) {
    const pg_random_step *q = with;
    const uint32_t *key = (const uint32_t *)p[1];
    uint32_t *const words = (uint32_t *)p[0];
    for (ptrdiff_t i = 0; i < q->keys; ++i) q->philox(key[2 * i], key[2 * i + 1], words + i * q->each, q->each);
    return PG_OK;
}

/* p: operands and results, scratch memory */
typedef struct {
    const pg_group *group;
} pg_group_step;

static inline int pg_step_group(const void *with, char **p) {
    const pg_group *g = ((const pg_group_step *)with)->group;
    pg_group_run(g, p, p[g->outsides]);
    return PG_OK;
}

#endif
