// The 16-bit floating types that CUDA's headers declare, for kernels that use those names: storage, conversions
// (to nearest even) and arithmetic through float. Kernels with structs of their own do not need them.
#pragma once

struct __nv_bfloat16 {
  unsigned short bits;
  __nv_bfloat16() = default;
  __nv_bfloat16(float x) {
    const unsigned u = __float_as_uint(x);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<unsigned short>(nan ? 0x7fffu : (u + 0x7fffu + (u >> 16 & 1)) >> 16);
  }
  operator float() const { return __uint_as_float(static_cast<unsigned>(bits) << 16); }
};

struct __half {
  _Float16 value;
  __half() = default;
  __half(float x) : value(static_cast<_Float16>(x)) {}
  operator float() const { return static_cast<float>(value); }
};
typedef __half half;

static inline __nv_bfloat16 __float2bfloat16(float x) { return x; }
static inline float __bfloat162float(__nv_bfloat16 x) { return x; }
static inline __half __float2half(float x) { return x; }
static inline __half __float2half_rn(float x) { return x; }
static inline float __half2float(__half x) { return x; }
static inline unsigned short __half_as_ushort(__half x) { return emu_bits<unsigned short>(x); }
static inline __half __ushort_as_half(unsigned short x) { return emu_bits<__half>(x); }
static inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
static inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short x) { return emu_bits<__nv_bfloat16>(x); }

#define EMU_HALF_OPERATOR(T, op) \
  static inline T operator op(T a, T b) { return T(float(a) op float(b)); }
EMU_HALF_OPERATOR(__half, +)
EMU_HALF_OPERATOR(__half, -)
EMU_HALF_OPERATOR(__half, *)
EMU_HALF_OPERATOR(__half, /)
EMU_HALF_OPERATOR(__nv_bfloat16, +)
EMU_HALF_OPERATOR(__nv_bfloat16, -)
EMU_HALF_OPERATOR(__nv_bfloat16, *)
EMU_HALF_OPERATOR(__nv_bfloat16, /)
static inline __half __hadd(__half a, __half b) { return a + b; }
static inline __half __hmul(__half a, __half b) { return a * b; }
static inline __half __hfma(__half a, __half b, __half c) { return fmaf(a, b, c); }
