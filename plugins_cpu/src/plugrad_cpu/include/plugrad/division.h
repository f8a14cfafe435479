/* Floor division, its remainder, and shifts, with NumPy's answers where C has none: division of an integer by zero
   gives 0, of the smallest integer by -1 wraps around; shifts by a negative count or by all bits push everything
   out. */
#ifndef PLUGRAD_DIVISION_H
#define PLUGRAD_DIVISION_H

#include <math.h>

/* The quotient rounded down and the remainder with the divisor's sign, from C's truncated remainder. Infinite operands
   have no remainder, so there the quotient itself is the answer, as the Array API says. */
#define PG_DEFINE_DIVISION(S, T, FMOD, FLOOR, COPYSIGN)               \
    static inline T pg_remainder_##S(T a, T b) {                      \
        const T m = FMOD(a, b);                                       \
        if (m == 0) return COPYSIGN((T)0, b);                         \
        return (m < 0) != (b < 0) && m == m ? m + b : m;              \
    }                                                                 \
    static inline T pg_floor_divide_##S(T a, T b) {                   \
        if (b == 0 || isinf(a) || isinf(b)) return a / b;             \
        const T m = FMOD(a, b);                                       \
        T q = (a - m) / b;                                            \
        if (m != 0 && (m < 0) != (b < 0)) q -= 1;                     \
        if (q == 0) return COPYSIGN((T)0, a / b);                     \
        const T down = FLOOR(q); /* q is an integer up to rounding */ \
        return q - down > (T)0.5 ? down + 1 : down;                   \
    }
PG_DEFINE_DIVISION(f4, float, fmodf, floorf, copysignf)
PG_DEFINE_DIVISION(f8, double, fmod, floor, copysign)

#define PG_IS_MINUS_ONE(B) ((__typeof__(B))-1 < 0 && (B) == (__typeof__(B))-1)
#define PG_INT_ADJUST(A, B) ((A) % (B) != 0 && ((A) < 0) != ((B) < 0))
#define PG_INT_FLOOR(A, B) ((B) == 0 ? 0 : PG_IS_MINUS_ONE(B) ? -(A) : (A) / (B) - PG_INT_ADJUST(A, B))
#define PG_INT_REMAINDER(A, B) ((B) == 0 || PG_IS_MINUS_ONE(B) ? 0 : (A) % (B) + (PG_INT_ADJUST(A, B) ? (B) : 0))

#define PG_BITS(A) (8 * sizeof(A))
#define PG_SHIFT_LEFT(A, B) ((size_t)(B) < PG_BITS(A) ? (__typeof__(A))((uint64_t)(A) << (B)) : 0)
#define PG_SHIFT_RIGHT(A, B) ((size_t)(B) < PG_BITS(A) ? (A) >> (B) : (A) < 0 ? (__typeof__(A))-1 : 0)

#endif
