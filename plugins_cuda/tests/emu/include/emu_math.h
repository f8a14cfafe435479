// The C library's mathematics under the names CUDA gives it: `f` for float, and overloaded for both.
// A device's own functions differ from these in the last digits; compare with a tolerance.
#pragma once

#define EMU_MATH1(name)                                        \
  extern "C" double name(double);                              \
  extern "C" float name##f(float);                             \
  static inline float name(float x) { return name##f(x); }
#define EMU_MATH2(name)                                        \
  extern "C" double name(double, double);                      \
  extern "C" float name##f(float, float);                      \
  static inline float name(float x, float y) { return name##f(x, y); }

EMU_MATH1(exp)
EMU_MATH1(exp2)
EMU_MATH1(exp10)
EMU_MATH1(expm1)
EMU_MATH1(log)
EMU_MATH1(log2)
EMU_MATH1(log10)
EMU_MATH1(log1p)
EMU_MATH1(sin)
EMU_MATH1(cos)
EMU_MATH1(tan)
EMU_MATH1(asin)
EMU_MATH1(acos)
EMU_MATH1(atan)
EMU_MATH1(sinh)
EMU_MATH1(cosh)
EMU_MATH1(tanh)
EMU_MATH1(asinh)
EMU_MATH1(acosh)
EMU_MATH1(atanh)
EMU_MATH1(sqrt)
EMU_MATH1(cbrt)
EMU_MATH1(erf)
EMU_MATH1(erfc)
EMU_MATH1(tgamma)
EMU_MATH1(lgamma)
EMU_MATH1(floor)
EMU_MATH1(ceil)
EMU_MATH1(round)
EMU_MATH1(trunc)
EMU_MATH1(rint)
EMU_MATH1(nearbyint)
EMU_MATH1(fabs)
EMU_MATH1(j0)
EMU_MATH1(j1)
EMU_MATH1(y0)
EMU_MATH1(y1)
EMU_MATH1(logb)
EMU_MATH2(pow)
EMU_MATH2(atan2)
EMU_MATH2(fmod)
EMU_MATH2(fmin)
EMU_MATH2(fmax)
EMU_MATH2(copysign)
EMU_MATH2(hypot)
EMU_MATH2(remainder)
EMU_MATH2(fdim)
EMU_MATH2(nextafter)

extern "C" double fma(double, double, double);
extern "C" float fmaf(float, float, float);
extern "C" double ldexp(double, int);
extern "C" float ldexpf(float, int);
extern "C" double scalbn(double, int);
extern "C" float scalbnf(float, int);
extern "C" double frexp(double, int *);
extern "C" float frexpf(float, int *);
extern "C" double modf(double, double *);
extern "C" float modff(float, float *);
extern "C" void sincos(double, double *, double *);
extern "C" void sincosf(float, float *, float *);
extern "C" int ilogb(double);
extern "C" int ilogbf(float);
extern "C" long lrint(double);
extern "C" long lrintf(float);
extern "C" long long llrint(double);
extern "C" long long llrintf(float);
extern "C" long lround(double);
extern "C" long lroundf(float);
extern "C" int abs(int);
extern "C" long labs(long);
extern "C" long long llabs(long long);
extern "C" int printf(const char *, ...);
extern "C" void *memcpy(void *, const void *, size_t);
extern "C" void *memset(void *, int, size_t);

static inline float fma(float x, float y, float z) { return fmaf(x, y, z); }
static inline float ldexp(float x, int n) { return ldexpf(x, n); }
static inline float abs(float x) { return fabsf(x); }
static inline double abs(double x) { return fabs(x); }
static inline long abs(long x) { return labs(x); }
static inline long long abs(long long x) { return llabs(x); }

static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline float rsqrt(float x) { return rsqrtf(x); }
static inline float rcbrtf(float x) { return 1.0f / cbrtf(x); }
static inline float normcdff(float x) { return 0.5f * erfcf(-0.70710678118654752f * x); }
static inline double normcdf(double x) { return 0.5 * erfc(-0.70710678118654752440 * x); }
static inline float sinpif(float x) { return static_cast<float>(sin(3.14159265358979323846 * fmod(double(x), 2.0))); }
static inline float cospif(float x) { return static_cast<float>(cos(3.14159265358979323846 * fmod(double(x), 2.0))); }
static inline double sinpi(double x) { return sin(3.14159265358979323846 * fmod(x, 2.0)); }
static inline double cospi(double x) { return cos(3.14159265358979323846 * fmod(x, 2.0)); }
static inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }  // of NaN: 0

#define EMU_CLASSIFY(name)                                                  \
  static inline bool name(float x) { return __builtin_##name(x); }          \
  static inline bool name(double x) { return __builtin_##name(x); }
EMU_CLASSIFY(isnan)
EMU_CLASSIFY(isinf)
EMU_CLASSIFY(isfinite)
EMU_CLASSIFY(signbit)

// min and max of integers convert as usual in C; of floats they are fmin and fmax.
#define EMU_MINMAX(T)                                                \
  static inline T min(T a, T b) { return b < a ? b : a; }            \
  static inline T max(T a, T b) { return a < b ? b : a; }
EMU_MINMAX(int)
EMU_MINMAX(unsigned)
EMU_MINMAX(long)
EMU_MINMAX(unsigned long)
EMU_MINMAX(long long)
EMU_MINMAX(unsigned long long)
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
static inline unsigned min(int a, unsigned b) { return min(unsigned(a), b); }
static inline unsigned min(unsigned a, int b) { return min(a, unsigned(b)); }
static inline unsigned max(int a, unsigned b) { return max(unsigned(a), b); }
static inline unsigned max(unsigned a, int b) { return max(a, unsigned(b)); }
