/* Rows of casts between all stored dtypes: C conversions, to bool by comparison with zero. A float outside an integer's
   range, or NaN, gives an unspecified integer, as in NumPy. The entry's op is the source's short name, its dtype the
   target's. */
#ifndef PLUGRAD_CAST_H
#define PLUGRAD_CAST_H

#include "common.h"
#include "elementwise.h"

#define PG_DEFINE_CAST(FROM, TO, T, R, EXPR)                                          \
    static void cast_##FROM##_##TO(char *const *p, const ptrdiff_t *s, ptrdiff_t n) { \
        if (s[0] == (ptrdiff_t)sizeof(R) && s[1] == (ptrdiff_t)sizeof(T)) {           \
            R *o = (R *)p[0];                                                         \
            const T *x = (const T *)p[1];                                             \
            PG_INDEPENDENT                                                            \
            for (ptrdiff_t i = 0; i < n; ++i) {                                       \
                const T a = x[i];                                                     \
                o[i] = EXPR;                                                          \
            }                                                                         \
            return;                                                                   \
        }                                                                             \
        for (ptrdiff_t i = 0; i < n; ++i) {                                           \
            const T a = PG_AT(const T, p[1], i * s[1]);                               \
            PG_AT(R, p[0], i * s[0]) = EXPR;                                          \
        }                                                                             \
    }
#define PG_CAST_ENTRY(FROM, TO, T, R, EXPR) {#FROM, #TO, (pg_fn)cast_##FROM##_##TO},

/* Negative floats reach an unsigned integer through the signed one of 64 bits: wrapped, instead of undefined. */
#define PG_CASTS_OF_INT(X, S, T)                                                                         \
    X(S, b1, T, uint8_t, a != 0)                                                                         \
    X(S, i1, T, int8_t, (int8_t)a) X(S, i2, T, int16_t, (int16_t)a) X(S, i4, T, int32_t, (int32_t)a)     \
    X(S, i8, T, int64_t, (int64_t)a) X(S, u1, T, uint8_t, (uint8_t)a) X(S, u2, T, uint16_t, (uint16_t)a) \
    X(S, u4, T, uint32_t, (uint32_t)a) X(S, u8, T, uint64_t, (uint64_t)a)                                \
    X(S, f4, T, float, (float)a) X(S, f8, T, double, (double)a)
#define PG_CASTS_OF_FLOAT(X, S, T)                                                                                     \
    X(S, b1, T, uint8_t, a != 0)                                                                                       \
    X(S, i1, T, int8_t, (int8_t)(int32_t)a) X(S, i2, T, int16_t, (int16_t)(int32_t)a) X(S, i4, T, int32_t, (int32_t)a) \
    X(S, i8, T, int64_t, (int64_t)a) X(S, u1, T, uint8_t, (uint8_t)(int32_t)a)                                         \
    X(S, u2, T, uint16_t, (uint16_t)(int32_t)a) X(S, u4, T, uint32_t, (uint32_t)(int64_t)a)                            \
    X(S, u8, T, uint64_t, a < 0 ? (uint64_t)(int64_t)a : (uint64_t)a)                                                  \
    X(S, f4, T, float, (float)a) X(S, f8, T, double, (double)a)

#define PG_CASTS(X)                                                                                    \
    PG_CASTS_OF_INT(X, b1, uint8_t) PG_CASTS_OF_INT(X, i1, int8_t) PG_CASTS_OF_INT(X, i2, int16_t)     \
    PG_CASTS_OF_INT(X, i4, int32_t) PG_CASTS_OF_INT(X, i8, int64_t) PG_CASTS_OF_INT(X, u1, uint8_t)    \
    PG_CASTS_OF_INT(X, u2, uint16_t) PG_CASTS_OF_INT(X, u4, uint32_t) PG_CASTS_OF_INT(X, u8, uint64_t) \
    PG_CASTS_OF_FLOAT(X, f4, float) PG_CASTS_OF_FLOAT(X, f8, double)

PG_CASTS(PG_DEFINE_CAST)

static const pg_entry pg_cast_entries[] = {PG_CASTS(PG_CAST_ENTRY){0}};

#endif
