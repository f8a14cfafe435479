/* Rows of casts between all stored dtypes: C conversions, to bool by comparison with zero. A float outside an integer's
   range, or NaN, gives an unspecified integer, as in NumPy. The entry's op is the source's short name, its dtype the
   target's. */
#ifndef PLUGRAD_CAST_H
#define PLUGRAD_CAST_H

#include "common.h"
#include "elementwise.h"
#include "narrow.h"

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

/* A is a real number: `a`, or what it stands for. */
#define PG_CASTS_TO_FLOATS(X, S, T, A) X(S, f4, T, float, (float)(A)) X(S, f8, T, double, (double)(A))
/* Negative floats reach an unsigned integer through the signed one of 64 bits: wrapped, instead of undefined. */
#define PG_CASTS_TO_INTS(X, S, T, A)                                                          \
    X(S, i1, T, int8_t, (int8_t)(int32_t)(A)) X(S, i2, T, int16_t, (int16_t)(int32_t)(A))     \
    X(S, i4, T, int32_t, (int32_t)(A)) X(S, i8, T, int64_t, (int64_t)(A))                     \
    X(S, u1, T, uint8_t, (uint8_t)(int32_t)(A)) X(S, u2, T, uint16_t, (uint16_t)(int32_t)(A)) \
    X(S, u4, T, uint32_t, (uint32_t)(int64_t)(A))                                             \
    X(S, u8, T, uint64_t, (A) < 0 ? (uint64_t)(int64_t)(A) : (uint64_t)(A))

/* To and from the dtypes that are stored only, for the baseline. */
#ifdef PG_BASELINE
#define PG_CASTS_TO_NARROW(X, S, T, A)                             \
    X(S, f2, T, uint16_t, pg_narrow_f2(PG_DOUBLE_TO_NARROW(A)))    \
    X(S, bf2, T, uint16_t, pg_narrow_bf2(PG_DOUBLE_TO_NARROW(A)))  \
    X(S, f1e4, T, uint8_t, pg_narrow_f1e4(PG_DOUBLE_TO_NARROW(A))) \
    X(S, f1e5, T, uint8_t, pg_narrow_f1e5(PG_DOUBLE_TO_NARROW(A)))
#define PG_CASTS_TO_COMPLEX(X, S, T, A) \
    X(S, c8, T, float _Complex, (float _Complex)(A)) X(S, c16, T, double _Complex, (double _Complex)(A))
#define PG_CASTS_OF_STORED(X)                                                                                   \
    PG_CASTS_OF_FLOAT(X, f2, uint16_t, pg_widen_f2(a)) PG_CASTS_OF_FLOAT(X, bf2, uint16_t, pg_widen_bf2(a))     \
    PG_CASTS_OF_FLOAT(X, f1e4, uint8_t, pg_widen_f1e4(a)) PG_CASTS_OF_FLOAT(X, f1e5, uint8_t, pg_widen_f1e5(a)) \
    PG_CASTS_OF_COMPLEX(X, c8, float _Complex, float) PG_CASTS_OF_COMPLEX(X, c16, double _Complex, double)
#else
#define PG_CASTS_TO_NARROW(X, S, T, A)
#define PG_CASTS_TO_COMPLEX(X, S, T, A)
#define PG_CASTS_OF_STORED(X)
#endif

#define PG_CASTS_TO_MORE(X, S, T, A) \
    PG_CASTS_TO_FLOATS(X, S, T, A) PG_CASTS_TO_NARROW(X, S, T, A) PG_CASTS_TO_COMPLEX(X, S, T, A)
#define PG_CASTS_OF_INT(X, S, T)                                                                         \
    X(S, b1, T, uint8_t, a != 0)                                                                         \
    X(S, i1, T, int8_t, (int8_t)a) X(S, i2, T, int16_t, (int16_t)a) X(S, i4, T, int32_t, (int32_t)a)     \
    X(S, i8, T, int64_t, (int64_t)a) X(S, u1, T, uint8_t, (uint8_t)a) X(S, u2, T, uint16_t, (uint16_t)a) \
    X(S, u4, T, uint32_t, (uint32_t)a) X(S, u8, T, uint64_t, (uint64_t)a)                                \
    PG_CASTS_TO_MORE(X, S, T, a)
#define PG_CASTS_OF_FLOAT(X, S, T, A) \
    X(S, b1, T, uint8_t, (A) != 0) PG_CASTS_TO_INTS(X, S, T, A) PG_CASTS_TO_MORE(X, S, T, A)
/* The real part, except to bool and complex. */
#define PG_CASTS_OF_COMPLEX(X, S, T, R)                          \
    X(S, b1, T, uint8_t, a != 0) PG_CASTS_TO_INTS(X, S, T, (R)a) \
    PG_CASTS_TO_FLOATS(X, S, T, (R)a) PG_CASTS_TO_NARROW(X, S, T, (R)a) PG_CASTS_TO_COMPLEX(X, S, T, a)

/* With vectors of 64 bytes only these gain: AVX-512 converts integers of 64 bits, and the items of doubles are many. */
#if PG_VECTOR_BYTES == 64
#define PG_CASTS(X) \
    PG_CASTS_OF_INT(X, i8, int64_t) PG_CASTS_OF_FLOAT(X, f8, double, a) X(f4, i8, float, int64_t, (int64_t)a)
#else
#define PG_CASTS(X)                                                                                    \
    PG_CASTS_OF_INT(X, b1, uint8_t) PG_CASTS_OF_INT(X, i1, int8_t) PG_CASTS_OF_INT(X, i2, int16_t)     \
    PG_CASTS_OF_INT(X, i4, int32_t) PG_CASTS_OF_INT(X, i8, int64_t) PG_CASTS_OF_INT(X, u1, uint8_t)    \
    PG_CASTS_OF_INT(X, u2, uint16_t) PG_CASTS_OF_INT(X, u4, uint32_t) PG_CASTS_OF_INT(X, u8, uint64_t) \
    PG_CASTS_OF_FLOAT(X, f4, float, a) PG_CASTS_OF_FLOAT(X, f8, double, a) PG_CASTS_OF_STORED(X)
#endif

/* Functions with results of another dtype, under their own names and their operand's. */
#ifdef PG_BASELINE
#define PG_PARTS(X, OP) X(OP, c8, float _Complex, float, c##OP##f(a)) X(OP, c16, double _Complex, double, c##OP(a))
#define PG_CHANGES(X)                                                                                \
    PG_PARTS(X, real) PG_PARTS(X, imag) PG_PARTS(X, abs)                                             \
    X(signbit, f4, float, uint8_t, signbit(a) != 0) X(signbit, f8, double, uint8_t, signbit(a) != 0) \
    X(signbit, f2, uint16_t, uint8_t, a >> 15) X(signbit, bf2, uint16_t, uint8_t, a >> 15)
#else
#define PG_CHANGES(X)
#endif

PG_CASTS(PG_DEFINE_CAST)
PG_CHANGES(PG_DEFINE_CAST)

static const pg_entry pg_cast_entries[] = {PG_CASTS(PG_CAST_ENTRY) PG_CHANGES(PG_CAST_ENTRY){0}};

#endif
