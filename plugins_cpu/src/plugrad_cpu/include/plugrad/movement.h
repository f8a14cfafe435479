/* Copies between layouts, by item size: rows, and square tiles for axes that swap places (reading along a column
   touches a new cache line for every element; a tile uses each line it has touched). Measured against memcpy: rows
   at its speed, transposes of large matrices at about a third. */
#ifndef PLUGRAD_MOVEMENT_H
#define PLUGRAD_MOVEMENT_H

#include "common.h"
#include "elementwise.h"

#define PG_TILE 16

#define PG_DEFINE_COPY(OP, S, T, EXPR)                                                                   \
    static void copy_##S(char *const *p, const ptrdiff_t *s, ptrdiff_t n) {                              \
        const ptrdiff_t unit = sizeof(T);                                                                \
        T *o = (T *)p[0];                                                                                \
        if (s[0] == unit && s[1] == unit) {                                                              \
            if (p[0] != p[1]) memmove(p[0], p[1], (size_t)(n * unit));                                   \
        } else if (s[0] == unit && s[1] == 0) {                                                          \
            const T v = *(const T *)p[1];                                                                \
            for (ptrdiff_t i = 0; i < n; ++i) o[i] = v;                                                  \
        } else {                                                                                         \
            for (ptrdiff_t i = 0; i < n; ++i) PG_AT(T, p[0], i * s[0]) = PG_AT(const T, p[1], i * s[1]); \
        }                                                                                                \
    }

/* rows x columns, `ro`, `co` the result's strides, `ri`, `ci` the operand's. */
#define PG_DEFINE_TRANSPOSE(OP, S, T, EXPR)                                                                          \
    static void transpose_##S(char *o, const char *x, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t ro, ptrdiff_t co, \
                              ptrdiff_t ri, ptrdiff_t ci) {                                                          \
        for (ptrdiff_t r = 0; r < rows; r += PG_TILE)                                                                \
            for (ptrdiff_t c = 0; c < columns; c += PG_TILE) {                                                       \
                const ptrdiff_t rn = rows - r < PG_TILE ? rows - r : PG_TILE;                                        \
                const ptrdiff_t cn = columns - c < PG_TILE ? columns - c : PG_TILE;                                  \
                for (ptrdiff_t i = 0; i < rn; ++i) {                                                                 \
                    char *to = o + (r + i) * ro + c * co;                                                            \
                    const char *from = x + (r + i) * ri + c * ci;                                                    \
                    for (ptrdiff_t j = 0; j < cn; ++j) PG_AT(T, to, j * co) = PG_AT(const T, from, j * ci);          \
                }                                                                                                    \
            }                                                                                                        \
    }

#ifdef PG_BASELINE
#define PG_SIZES(X, OP) \
    X(OP, u1, uint8_t, ) X(OP, u2, uint16_t, ) X(OP, u4, uint32_t, ) X(OP, u8, uint64_t, ) X(OP, c16, pg_pair, )
#else
#define PG_SIZES(X, OP)
#endif

PG_SIZES(PG_DEFINE_COPY, copy)
PG_SIZES(PG_DEFINE_TRANSPOSE, transpose)

static const pg_entry pg_movement_entries[] = {PG_SIZES(PG_ROW_ENTRY, copy) PG_SIZES(PG_ROW_ENTRY, transpose){0}};

#endif
