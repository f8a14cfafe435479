/* exp, log, tanh, and erf of floats, as straight-line scalar code without branches or tables, so that the compiler
   turns a loop of calls into vector code for any instruction set. Whole range: subnormal arguments and results,
   infinities, NaN. Errors measured against long double (tests/test_vecmath.py holds them to 4 ulp, tanh and erf of floats to 6).

   exp    x = n ln2 + r, |r| <= ln2/2, with ln2 in two parts; Taylor polynomial of e^r - 1 - r, whose first dropped
          term is below a tenth of an ulp; 2^n applied in two steps so that overflow and gradual underflow come out
          of the products.
   log    x = 2^e m, sqrt(1/2) <= m < sqrt(2), f = m - 1, s = f / (2 + f): log m = 2 artanh s = f - s (f - R(s^2)), R
          the series 2 s^2 (1/3 + s^2/5 + ...).
   tanh   double: E / (E + 2) with E = e^{2|x|} - 1 = 2^n (e^r - 1) + (2^n - 1), exact to rounding also near 0. Float:
          x P(x^2) / Q(x^2), of degree 4 both, fitted for the least relative error (2e-8) up to where the function
          rounds to 1, one coefficient after the other rounded to float and the others fitted again; no term is
          negative, so nothing cancels, but where the function is nearly 1 each rounding is a whole unit.
   erf    float: the same, of degree 5 both (5e-8). */
#ifndef PLUGRAD_VECMATH_H
#define PLUGRAD_VECMATH_H

#include "common.h"
#include <math.h>

PG_INLINE int32_t pg_bits_f4(float x) { int32_t i; memcpy(&i, &x, 4); return i; }
PG_INLINE int64_t pg_bits_f8(double x) { int64_t i; memcpy(&i, &x, 8); return i; }
PG_INLINE float pg_float_f4(int32_t i) { float x; memcpy(&x, &i, 4); return x; }
PG_INLINE double pg_float_f8(int64_t i) { double x; memcpy(&x, &i, 8); return x; }

/* 2^n for a normal result. The shift is done unsigned: n may be garbage when the argument was NaN. */
PG_INLINE float pg_pow2_f4(int32_t n) { return pg_float_f4((int32_t)((uint32_t)(n + 127) << 23)); }
PG_INLINE double pg_pow2_f8(int64_t n) { return pg_float_f8((int64_t)((uint64_t)(n + 1023) << 52)); }

/* Arguments are brought into these ranges by a minimum and a maximum. The numbers are defined elsewhere (tables.pyx),
   out of the compiler's sight: knowing them, it computes the functions' values at the limits and selects between
   results, which takes three times the instructions. */
extern const float pg_exp_limits_f4[2], pg_tanh_limits_f4[2], pg_erf_limits_f4[2], pg_one_f4[2];
extern const double pg_exp_limits_f8[2], pg_tanh_limits_f8[2];

/* Adding and subtracting 1.5 * 2^mantissa rounds to the nearest integer and leaves it in the low bits. */
#define PG_ROUND_F4 12582912.0f
#define PG_ROUND_F8 6755399441055744.0

/* e^r - 1 for |r| <= ln2/2: terms to r^7 (float), r^13 (double). */
PG_INLINE float pg_expm1_small_f4(float r) {
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    return p * (r * r) + r;
}

PG_INLINE double pg_expm1_small_f8(double r) {
    double p = 1.0 / 6227020800;
    p = p * r + 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    return p * (r * r) + r;
}

PG_INLINE float pg_exp_f4(float x) {
    float c = x < pg_exp_limits_f4[0] ? pg_exp_limits_f4[0] : x;
    c = c > pg_exp_limits_f4[1] ? pg_exp_limits_f4[1] : c;
    const float t = c * 1.44269504088896341f + PG_ROUND_F4, n = t - PG_ROUND_F4;
    const float r = (c - n * 0.693359375f) + n * 2.12194440054690583e-4f;
    const int32_t k = pg_bits_f4(t) - pg_bits_f4(PG_ROUND_F4), half = k >> 1;
    return (1.0f + pg_expm1_small_f4(r)) * pg_pow2_f4(half) * pg_pow2_f4(k - half);
}

PG_INLINE double pg_exp_f8(double x) {
    double c = x < pg_exp_limits_f8[0] ? pg_exp_limits_f8[0] : x;
    c = c > pg_exp_limits_f8[1] ? pg_exp_limits_f8[1] : c;
    const double t = c * 1.44269504088896340736 + PG_ROUND_F8, n = t - PG_ROUND_F8;
    const double r = (c - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
    const int64_t k = pg_bits_f8(t) - pg_bits_f8(PG_ROUND_F8);
    /* k >> 1: there is no arithmetic shift of 64 bits before AVX-512 */
    const int64_t half = (int64_t)((uint64_t)(k + 4096) >> 1) - 2048;
    return (1.0 + pg_expm1_small_f8(r)) * pg_pow2_f8(half) * pg_pow2_f8(k - half);
}

PG_INLINE float pg_log_f4(float x) {
    const float lift = x < 1.17549435e-38f ? 8388608.0f : 1.0f, bias = x < 1.17549435e-38f ? 23.0f : 0.0f;
    const int32_t i = pg_bits_f4(x * lift), e = (i - 0x3f3504f3) >> 23;
    const float f = pg_float_f4((int32_t)((uint32_t)i - ((uint32_t)e << 23))) - 1.0f, n = (float)e - bias;
    const float s = f / (2.0f + f), z = s * s;
    float p = 2.0f / 9;
    p = p * z + 2.0f / 7;
    p = p * z + 2.0f / 5;
    p = p * z + 2.0f / 3;
    float y = f - s * (f - p * z);
    y = (y - n * 2.12194440054690583e-4f) + n * 0.693359375f;
    y = x < INFINITY ? y : x; /* +inf and NaN */
    y = x == 0.0f ? -INFINITY : y;
    return x < 0.0f ? NAN : y;
}

PG_INLINE double pg_log_f8(double x) {
    const double lift = x < 2.2250738585072014e-308 ? 4503599627370496.0 : 1.0;
    const double bias = x < 2.2250738585072014e-308 ? 52.0 : 0.0;
    const int64_t i = pg_bits_f8(x * lift);
    const uint64_t up = (uint64_t)(i - 0x3fe6a09e667f3bcd) + ((uint64_t)1 << 62); /* keeps the shift logical */
    const uint64_t e = up >> 52;                                                 /* exponent + 1024 */
    const double f = pg_float_f8((int64_t)((uint64_t)i - ((e - 1024) << 52))) - 1.0;
    const double n = pg_float_f8((int64_t)(e | 0x4330000000000000)) - (4503599627370496.0 + 1024.0) - bias;
    const double s = f / (2.0 + f), z = s * s;
    double p = 2.0 / 21;
    p = p * z + 2.0 / 19;
    p = p * z + 2.0 / 17;
    p = p * z + 2.0 / 15;
    p = p * z + 2.0 / 13;
    p = p * z + 2.0 / 11;
    p = p * z + 2.0 / 9;
    p = p * z + 2.0 / 7;
    p = p * z + 2.0 / 5;
    p = p * z + 2.0 / 3;
    double y = f - s * (f - p * z);
    y = (y + n * 0x1.a39ef35793c76p-33) + n * 0x1.62e42feep-1;
    y = x < INFINITY ? y : x;
    y = x == 0.0 ? -INFINITY : y;
    return x < 0.0 ? NAN : y;
}

PG_INLINE float pg_tanh_f4(float x) {
    float c = x < pg_tanh_limits_f4[0] ? pg_tanh_limits_f4[0] : x;
    c = c > pg_tanh_limits_f4[1] ? pg_tanh_limits_f4[1] : c;
    const float u = c * c;
    float p = 1.3536708642902795e-08f;
    p = p * u + 2.0745539586641826e-05f;
    p = p * u + 0.003504124004393816f;
    p = p * u + 0.13388299942016602f;
    p = p * u + 1.0f;
    float q = 7.852513590478338e-07f;
    q = q * u + 0.00032994194771163166f;
    q = q * u + 0.025909721851348877f;
    q = q * u + 0.46721622347831726f;
    q = q * u + 1.0f;
    float y = c * p / q;
    y = y < pg_one_f4[0] ? pg_one_f4[0] : y;
    return y > pg_one_f4[1] ? pg_one_f4[1] : y;
}

PG_INLINE float pg_erf_f4(float x) {
    float c = x < pg_erf_limits_f4[0] ? pg_erf_limits_f4[0] : x;
    c = c > pg_erf_limits_f4[1] ? pg_erf_limits_f4[1] : c;
    const float u = c * c;
    float p = 2.015329982896219e-06f;
    p = p * u + 0.00028654560446739197f;
    p = p * u + 0.003882825840264559f;
    p = p * u + 0.05310731753706932f;
    p = p * u + 0.19326837360858917f;
    p = p * u + 1.1283791065216064f;
    float q = 3.781863415497355e-05f;
    q = q * u + 0.001189140952192247f;
    q = q * u + 0.015204758383333683f;
    q = q * u + 0.1152740940451622f;
    q = q * u + 0.5046118497848511f;
    q = q * u + 1.0f;
    float y = c * p / q;
    y = y < pg_one_f4[0] ? pg_one_f4[0] : y;
    return y > pg_one_f4[1] ? pg_one_f4[1] : y;
}

PG_INLINE double pg_tanh_f8(double x) {
    const double a = fabs(x), c = 2.0 * (a > pg_tanh_limits_f8[1] ? pg_tanh_limits_f8[1] : a);
    const double t = c * 1.44269504088896340736 + PG_ROUND_F8, n = t - PG_ROUND_F8;
    const double r = (c - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
    const double scale = pg_pow2_f8(pg_bits_f8(t) - pg_bits_f8(PG_ROUND_F8));
    const double e = scale * pg_expm1_small_f8(r) + (scale - 1.0);
    return copysign(e / (e + 2.0), x);
}

#endif
