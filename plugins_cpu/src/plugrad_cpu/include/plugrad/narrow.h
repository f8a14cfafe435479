/* Floats of 16 and 8 bits as numbers: each is widened to a double exactly, and a double is rounded to the nearest,
   halves to even. IEEE formats (float16, bfloat16, e5m2) overflow to infinity; e4m3fn has none and gives NaN. */
#ifndef PLUGRAD_NARROW_H
#define PLUGRAD_NARROW_H

#include <stdint.h>
#include <string.h>

#define PG_DOUBLE_FRACTION 52
#define PG_DOUBLE_BIAS 1023

PG_INLINE double pg_double_of(uint64_t bits) {
    double a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

PG_INLINE uint64_t pg_bits_of(double a) {
    uint64_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}

/* 2^e for a normal exponent */
PG_INLINE double pg_power(int e) { return pg_double_of((uint64_t)(PG_DOUBLE_BIAS + e) << PG_DOUBLE_FRACTION); }

/* `fraction`: bits of it; `low`: exponent of the smallest normal number; `sign`: the sign bit; above `top`, the largest
   number, come infinity where there is one, and NaN. */
PG_INLINE double pg_widen(uint32_t a, int fraction, int low, uint32_t sign, uint32_t top, int infinite) {
    const uint32_t m = a & (sign - 1);
    double x;
    if (m > top)
        x = infinite && m == top + 1 ? __builtin_inf() : __builtin_nan("");
    else if (m >> fraction == 0)
        x = m * pg_power(low - fraction);
    else
        x = pg_double_of(((uint64_t)m << (PG_DOUBLE_FRACTION - fraction)) +
                         ((uint64_t)(PG_DOUBLE_BIAS + low - 1) << PG_DOUBLE_FRACTION));
    return a & sign ? -x : x;
}

PG_INLINE uint32_t pg_narrow(double a, int fraction, int low, uint32_t sign, uint32_t top, uint32_t nan) {
    const double m = __builtin_fabs(a);
    const int cut = PG_DOUBLE_FRACTION - fraction;
    uint64_t bits = pg_bits_of(m);
    uint32_t out;
    if (m < pg_power(low)) { /* the step between neighbours is that of doubles from `unit` on */
        const double unit = pg_power(low + cut);
        bits = pg_bits_of(m + unit) - pg_bits_of(unit);
    } else {
        bits += ((uint64_t)1 << (cut - 1)) - 1 + (bits >> cut & 1);
        bits = (bits >> cut) - ((uint64_t)(PG_DOUBLE_BIAS + low - 1) << fraction);
    }
    out = m != m ? nan : bits > top ? top + 1 : (uint32_t)bits;
    return pg_bits_of(a) >> 63 ? out | sign : out;
}

/* Integers of 64 bits as doubles from which rounding to fewer bits gives the nearest: what a double has no room for is
   not rounded off, but leaves a one in the lowest place. */
PG_INLINE double pg_double_of_u8(uint64_t a) {
    return a >> 53 ? (double)(a >> 11 | ((a & 0x7ff) != 0)) * 0x1p11 : (double)a;
}
PG_INLINE double pg_double_of_i8(int64_t a) {
    return a < 0 ? -pg_double_of_u8(-(uint64_t)a) : pg_double_of_u8((uint64_t)a);
}
PG_INLINE double pg_double_as_is(double a) { return a; }
#define PG_DOUBLE_TO_NARROW(A) \
    _Generic((A), int64_t: pg_double_of_i8, uint64_t: pg_double_of_u8, default: pg_double_as_is)(A)

#define PG_NARROW_FLOATS(X)                                                                                        \
    X(f2, uint16_t, 10, -14, 0x8000u, 0x7bffu, 1, 0x7e00u) X(bf2, uint16_t, 7, -126, 0x8000u, 0x7f7fu, 1, 0x7fc0u) \
    X(f1e4, uint8_t, 3, -6, 0x80u, 0x7eu, 0, 0x7fu) X(f1e5, uint8_t, 2, -14, 0x80u, 0x7bu, 1, 0x7eu)

#define PG_DEFINE_NARROW(S, T, FRACTION, LOW, SIGN, TOP, INFINITE, NAN_)                           \
    PG_INLINE double pg_widen_##S(T a) { return pg_widen(a, FRACTION, LOW, SIGN, TOP, INFINITE); } \
    PG_INLINE T pg_narrow_##S(double a) { return (T)pg_narrow(a, FRACTION, LOW, SIGN, TOP, NAN_); }
PG_NARROW_FLOATS(PG_DEFINE_NARROW)

#endif
