// The types that CUDA declares by itself: vectors, dim3, size_t. NVRTC has no uint32_t, so this has none either.
#pragma once

typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  constexpr operator uint3() const { return {x, y, z}; }
};

// As in CUDA, vectors of two and four are aligned to their size, up to 16 bytes.
#define EMU_ALIGN(T, n) alignas(sizeof(T) * n < 16 ? sizeof(T) * n : 16)
#define EMU_VECTOR3(T, name)                                          \
  struct name##3 {                                                    \
    T x, y, z;                                                        \
  };
#define EMU_VECTORS(T, name)                                          \
  struct name##1 {                                                    \
    T x;                                                              \
  };                                                                  \
  struct EMU_ALIGN(T, 2) name##2 {                                    \
    T x, y;                                                           \
  };                                                                  \
  struct EMU_ALIGN(T, 4) name##4 {                                    \
    T x, y, z, w;                                                     \
  };                                                                  \
  static inline name##1 make_##name##1(T x) { return {x}; }           \
  static inline name##2 make_##name##2(T x, T y) { return {x, y}; }   \
  static inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
  static inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }

EMU_VECTOR3(signed char, char)
EMU_VECTOR3(unsigned char, uchar)
EMU_VECTOR3(short, short)
EMU_VECTOR3(unsigned short, ushort)
EMU_VECTOR3(int, int)
EMU_VECTOR3(long long, longlong)
EMU_VECTOR3(unsigned long long, ulonglong)
EMU_VECTOR3(float, float)
EMU_VECTOR3(double, double)
EMU_VECTORS(signed char, char)
EMU_VECTORS(unsigned char, uchar)
EMU_VECTORS(short, short)
EMU_VECTORS(unsigned short, ushort)
EMU_VECTORS(int, int)
EMU_VECTORS(unsigned, uint)
EMU_VECTORS(long long, longlong)
EMU_VECTORS(unsigned long long, ulonglong)
EMU_VECTORS(float, float)
EMU_VECTORS(double, double)
