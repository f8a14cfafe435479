// What all kernels share. Put in front of their text; nothing may be included, since NVRTC has no headers.

typedef signed char int8;
typedef unsigned char uint8;
typedef unsigned short uint16;
typedef short int16;
typedef unsigned uint32;
typedef long long int64;
typedef unsigned long long uint64;

// Neighbouring elements that are loaded and stored by one access.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};

// Keep the first bad index that a kernel meets; the host looks when it waits for the device.
__device__ inline void report_index(int64 *report, unsigned what, int64 index, int64 size) {
  if (atomicCAS(reinterpret_cast<uint64 *>(report), 0ull, uint64(what)) == 0ull) {
    report[1] = index;
    report[2] = size;
  }
}

// Python's index as a position: negative ones count from the end. A bad one is reported and clamped; `valid` says so.
__device__ inline int64 position(int64 index, int64 size, int64 *report, unsigned what, bool *valid) {
  const int64 at = index < 0 ? index + size : index;
  *valid = at >= 0 && at < size;
  if (*valid) return at;
  report_index(report, what, index, size);
  return at < 0 ? 0 : size - 1;
}

__device__ inline void atomic_add(float *to, float value) { atomicAdd(to, value); }
__device__ inline void atomic_add(double *to, double value) { atomicAdd(to, value); }
__device__ inline void atomic_add(int *to, int value) { atomicAdd(to, value); }
__device__ inline void atomic_add(unsigned *to, unsigned value) { atomicAdd(to, value); }
__device__ inline void atomic_add(uint64 *to, uint64 value) { atomicAdd(to, value); }
__device__ inline void atomic_add(int64 *to, int64 value) { atomicAdd(reinterpret_cast<uint64 *>(to), uint64(value)); }
