/* Rows of elementwise ops: one contiguous loop for each mix of vector and scalar operands, one strided loop for the
   rest. Layout: any strides; the driver (plan.h) makes the last axis of the result the inner one. The loops are
   written so that the compiler vectorises them (checked in the disassembly); they are bound by memory from about 16
   kB on. */
#ifndef PLUGRAD_ELEMENTWISE_H
#define PLUGRAD_ELEMENTWISE_H

#include <complex.h>

#include "common.h"
#include "division.h"
#include "vecmath.h"

#define PG_AT(T, P, K) (*(T *)((P) + (K)))

#define PG_DEFINE_UNARY(OP, S, T, EXPR)                                     \
    static void OP##_##S(char *const *p, const ptrdiff_t *s, ptrdiff_t n) { \
        if (s[0] == (ptrdiff_t)sizeof(T) && s[1] == (ptrdiff_t)sizeof(T)) { \
            T *o = (T *)p[0];                                               \
            const T *x = (const T *)p[1];                                   \
            PG_INDEPENDENT                                                  \
            for (ptrdiff_t i = 0; i < n; ++i) {                             \
                const T a = x[i];                                           \
                o[i] = (T)(EXPR);                                           \
            }                                                               \
            return;                                                         \
        }                                                                   \
        for (ptrdiff_t i = 0; i < n; ++i) {                                 \
            const T a = PG_AT(const T, p[1], i * s[1]);                     \
            PG_AT(T, p[0], i * s[0]) = (T)(EXPR);                           \
        }                                                                   \
    }

/* A and B fetch the operands of element i; R is the result's type. */
#define PG_BINARY_LOOP(T, R, A, B, O, EXPR) \
    PG_INDEPENDENT                          \
    for (ptrdiff_t i = 0; i < n; ++i) {     \
        const T a = A, b = B;               \
        O = (R)(EXPR);                      \
    }

#define PG_DEFINE_ROW2(OP, S, T, R, EXPR)                                                       \
    static void OP##_##S(char *const *p, const ptrdiff_t *s, ptrdiff_t n) {                     \
        const ptrdiff_t unit = sizeof(T);                                                       \
        R *o = (R *)p[0];                                                                       \
        const T *x = (const T *)p[1], *y = (const T *)p[2];                                     \
        if (s[0] == (ptrdiff_t)sizeof(R) && s[1] == unit && s[2] == unit) {                     \
            PG_BINARY_LOOP(T, R, x[i], y[i], o[i], EXPR)                                        \
        } else if (s[0] == (ptrdiff_t)sizeof(R) && s[1] == unit && s[2] == 0) {                 \
            const T c = *y;                                                                     \
            PG_BINARY_LOOP(T, R, x[i], c, o[i], EXPR)                                           \
        } else if (s[0] == (ptrdiff_t)sizeof(R) && s[1] == 0 && s[2] == unit) {                 \
            const T c = *x;                                                                     \
            PG_BINARY_LOOP(T, R, c, y[i], o[i], EXPR)                                           \
        } else {                                                                                \
            for (ptrdiff_t i = 0; i < n; ++i) {                                                 \
                const T a = PG_AT(const T, p[1], i * s[1]), b = PG_AT(const T, p[2], i * s[2]); \
                PG_AT(R, p[0], i * s[0]) = (R)(EXPR);                                           \
            }                                                                                   \
        }                                                                                       \
    }
#define PG_DEFINE_BINARY(OP, S, T, EXPR) PG_DEFINE_ROW2(OP, S, T, T, EXPR)
#define PG_DEFINE_COMPARE(OP, S, T, EXPR) PG_DEFINE_ROW2(OP, S, T, uint8_t, EXPR)

/* p[1] is the condition. Only bits move, so there is one for each item size, under the name of an unsigned integer or,
   for 16 bytes, of complex128. */
#define PG_WHERE_LOOP(T, A, B)          \
    PG_INDEPENDENT                      \
    for (ptrdiff_t i = 0; i < n; ++i) { \
        const T a = A, b = B;           \
        o[i] = c[i] ? a : b;            \
    }

#define PG_DEFINE_WHERE(OP, S, T, EXPR)                                                         \
    static void OP##_##S(char *const *p, const ptrdiff_t *s, ptrdiff_t n) {                     \
        const ptrdiff_t unit = sizeof(T);                                                       \
        T *o = (T *)p[0];                                                                       \
        const uint8_t *c = (const uint8_t *)p[1];                                               \
        const T *x = (const T *)p[2], *y = (const T *)p[3];                                     \
        const int flat = s[0] == unit && s[1] == 1;                                             \
        if (flat && s[2] == unit && s[3] == unit) {                                             \
            PG_WHERE_LOOP(T, x[i], y[i])                                                        \
        } else if (flat && s[2] == unit && s[3] == 0) {                                         \
            const T v = *y;                                                                     \
            PG_WHERE_LOOP(T, x[i], v)                                                           \
        } else if (flat && s[2] == 0 && s[3] == unit) {                                         \
            const T v = *x;                                                                     \
            PG_WHERE_LOOP(T, v, y[i])                                                           \
        } else {                                                                                \
            for (ptrdiff_t i = 0; i < n; ++i) {                                                 \
                const T a = PG_AT(const T, p[2], i * s[2]), b = PG_AT(const T, p[3], i * s[3]); \
                PG_AT(T, p[0], i * s[0]) = PG_AT(const uint8_t, p[1], i * s[1]) ? a : b;        \
            }                                                                                   \
        }                                                                                       \
    }

/* Functions of the C library: one call an element, not vectorised. The complex ones keep the special values of C's
   Annex G, which are those of the Array API but for tanh far out: there a zero has the sign of the imaginary part. */
#define PG_LIBM(X, OP) X(OP, f4, float, OP##f(a)) X(OP, f8, double, OP(a))
#ifdef PG_BASELINE
static inline float _Complex pg_tanh_c8(float _Complex a) {
    const float re = crealf(a), im = cimagf(a);
    return isinf(re) && isfinite(im) ? __builtin_complex(copysignf(1, re), copysignf(0, im)) : ctanhf(a);
}
static inline double _Complex pg_tanh_c16(double _Complex a) {
    const double re = creal(a), im = cimag(a);
    return isinf(re) && isfinite(im) ? __builtin_complex(copysign(1, re), copysign(0, im)) : ctanh(a);
}
#define PG_TANH_COMPLEX(X) X(tanh, c8, float _Complex, pg_tanh_c8(a)) X(tanh, c16, double _Complex, pg_tanh_c16(a))
#define PG_COMPLEX(X, OP, E) X(OP, c8, float _Complex, E) X(OP, c16, double _Complex, E)
#define PG_LIBM_COMPLEX(X, OP) X(OP, c8, float _Complex, c##OP##f(a)) X(OP, c16, double _Complex, c##OP(a))
#define PG_CONJ(X) X(conj, c8, float _Complex, conjf(a)) X(conj, c16, double _Complex, conj(a))
#else
#define PG_TANH_COMPLEX(X)
#define PG_CONJ(X)
#define PG_COMPLEX(X, OP, E)
#define PG_LIBM_COMPLEX(X, OP)
#endif
#define PG_LIBM_BOTH(X, OP) PG_LIGHT(PG_LIBM(X, OP)) PG_LIBM_COMPLEX(X, OP)

/* What gains nothing from vectors of 64 bytes is not compiled for them, so that their table falls through to that of
   32: what is bound by memory, the divider, or calls of the C library. Processors lower their clock for arithmetic on
   the wide ones, too. Measured on Granite Rapids, rows in the first cache, 64 bytes against 32: add, mul of floats
   0.93 to 1.06, div, sqrt 0.93; exp, log, tanh, erf, sign 1.2 to 1.9, where, comparisons, integers of 64 bits 1.1 to
   1.5. */
#if PG_VECTOR_BYTES == 64
#define PG_LIGHT(...)
#else
#define PG_LIGHT(...) __VA_ARGS__
#endif

#define PG_UNARY(X)                                                                              \
    PG_NUMBERS(X, neg, -a) PG_COMPLEX(X, neg, -a)                                                \
    PG_INTS(X, abs, a < 0 ? -a : a)                                                              \
    X(abs, f4, float, fabsf(a)) X(abs, f8, double, fabs(a))                                      \
    PG_INTS(X, sign, (a > 0) - (a < 0))                                                          \
    PG_FLOATS(X, sign, a > 0 ? 1 : a < 0 ? -1 : a == 0 ? 0 : a)                                  \
    PG_INTS(X, invert, ~a) PG_BOOL(X, invert, !a)                                                \
    PG_LIGHT(X(sqrt, f4, float, sqrtf(a)) X(sqrt, f8, double, sqrt(a))) PG_LIBM_COMPLEX(X, sqrt) \
    PG_LIGHT(X(floor, f4, float, floorf(a)) X(floor, f8, double, floor(a)))                      \
    X(exp, f4, float, pg_exp_f4(a)) X(exp, f8, double, pg_exp_f8(a)) PG_LIBM_COMPLEX(X, exp)     \
    X(log, f4, float, pg_log_f4(a)) X(log, f8, double, pg_log_f8(a)) PG_LIBM_COMPLEX(X, log)     \
    X(tanh, f4, float, pg_tanh_f4(a)) X(tanh, f8, double, pg_tanh_f8(a)) PG_TANH_COMPLEX(X)      \
    PG_LIGHT(PG_LIBM(X, expm1) PG_LIBM(X, log1p)) PG_CONJ(X)                                     \
    X(erf, f4, float, pg_erf_f4(a)) PG_LIGHT(X(erf, f8, double, erf(a)))                         \
    PG_LIBM_BOTH(X, sin) PG_LIBM_BOTH(X, cos) PG_LIBM_BOTH(X, tan)                               \
    PG_LIBM_BOTH(X, asin) PG_LIBM_BOTH(X, acos) PG_LIBM_BOTH(X, atan)                            \
    PG_LIBM_BOTH(X, sinh) PG_LIBM_BOTH(X, cosh)                                                  \
    PG_LIBM_BOTH(X, asinh) PG_LIBM_BOTH(X, acosh) PG_LIBM_BOTH(X, atanh)

/* maximum and minimum give NaN if either operand is NaN. */
#define PG_BINARY(X)                                                                                           \
    PG_LIGHT(PG_FLOATS(X, add, a + b)) PG_INTS(X, add, a + b) PG_COMPLEX(X, add, a + b) PG_BOOL(X, add, a | b) \
    PG_LIGHT(PG_FLOATS(X, sub, a - b)) PG_INTS(X, sub, a - b) PG_COMPLEX(X, sub, a - b)                        \
    PG_LIGHT(PG_FLOATS(X, mul, a * b) X(mul, i4, int32_t, a * b)) X(mul, i8, int64_t, a * b)                   \
    PG_OTHER_INTS(X, mul, a * b) PG_COMPLEX(X, mul, a * b) PG_BOOL(X, mul, a & b)                              \
    PG_LIGHT(PG_FLOATS(X, div, a / b)) PG_COMPLEX(X, div, a / b)                                               \
    PG_LIGHT(X(pow, f4, float, b == 2 ? a * a : powf(a, b)) X(pow, f8, double, b == 2 ? a * a : pow(a, b)))    \
    PG_LIGHT(X(remainder, f4, float, pg_remainder_f4(a, b)) X(remainder, f8, double, pg_remainder_f8(a, b)))   \
    PG_LIGHT(X(floor_divide, f4, float, pg_floor_divide_f4(a, b))                                              \
             X(floor_divide, f8, double, pg_floor_divide_f8(a, b)))                                            \
    PG_LIGHT(PG_INTS(X, remainder, PG_INT_REMAINDER(a, b)) PG_INTS(X, floor_divide, PG_INT_FLOOR(a, b)))       \
    PG_INTS(X, shift_left, PG_SHIFT_LEFT(a, b)) PG_INTS(X, shift_right, PG_SHIFT_RIGHT(a, b))                  \
    PG_NUMBERS(X, maximum, ((a > b) | (a != a)) ? a : b) PG_BOOL(X, maximum, a | b)                            \
    PG_NUMBERS(X, minimum, ((a < b) | (a != a)) ? a : b) PG_BOOL(X, minimum, a & b)                            \
    PG_INTS(X, bitwise_and, a & b) PG_BOOL(X, bitwise_and, a & b)                                              \
    PG_INTS(X, bitwise_or, a | b) PG_BOOL(X, bitwise_or, a | b)                                                \
    PG_INTS(X, bitwise_xor, a ^ b) PG_BOOL(X, bitwise_xor, a ^ b)

#define PG_COMPARE(X)                                                                   \
    PG_COMPLEX(X, equal, a == b) PG_NUMBERS(X, equal, a == b) PG_BOOL(X, equal, a == b) \
    PG_NUMBERS(X, less, a < b) PG_BOOL(X, less, a < b)                                  \
    PG_NUMBERS(X, less_equal, a <= b) PG_BOOL(X, less_equal, a <= b)

#define PG_WHERE(X)                                                                                    \
    X(where, u1, uint8_t, ) X(where, u2, uint16_t, ) X(where, u4, uint32_t, ) X(where, u8, uint64_t, ) \
    X(where, c16, pg_pair, )

PG_UNARY(PG_DEFINE_UNARY)
PG_BINARY(PG_DEFINE_BINARY)
PG_COMPARE(PG_DEFINE_COMPARE)
PG_WHERE(PG_DEFINE_WHERE)

#define PG_ROW_ENTRY(OP, S, T, EXPR) {#OP, #S, (pg_fn)OP##_##S},

static const pg_entry pg_elementwise_entries[] = {
    PG_UNARY(PG_ROW_ENTRY) PG_BINARY(PG_ROW_ENTRY) PG_COMPARE(PG_ROW_ENTRY) PG_WHERE(PG_ROW_ENTRY){0}};

#endif
