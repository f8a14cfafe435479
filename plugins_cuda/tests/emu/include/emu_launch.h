// The qualifiers, the built-in variables, and the table by which the driver finds and runs kernels.
#pragma once

// In .data, not in .bss: what has no initial value is shared memory, which is poisoned before each block.
static EmuContext emu_context __attribute__((section(".data.emu_context"))) = {};

#define threadIdx (emu_context.thread_index)
#define blockIdx (emu_context.block_index)
#define blockDim (static_cast<const dim3>(emu_context.block_size))
#define gridDim (static_cast<const dim3>(emu_context.grid_size))
#define warpSize 32

#define __host__
#define __device__
#define __global__
#define __managed__
#define __grid_constant__
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __maxnreg__(n)
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
// Each variable has a section of its own, as constant and other ones cannot share one.
#define EMU_TEXT(x) #x
#define EMU_DATA(n) __attribute__((used, section(".data.emu_variable." EMU_TEXT(n))))
#define __constant__ static EMU_DATA(__COUNTER__)
// `used`: other threads write it, so the compiler may not think that it knows every writer.
#define __shared__ static __attribute__((used))
// What HostToolchain makes of a __device__ variable: it keeps its value from launch to launch.
#define EMU_DEVICE_VARIABLE static EMU_DATA(__COUNTER__)

template <auto kernel, class Signature>
struct EmuInvoke;

template <auto kernel, class... Parameters>
struct EmuInvoke<kernel, void (*)(Parameters...)> {
  template <class T>
  struct Plain {
    typedef T type;
    static constexpr unsigned char is_pointer = 0;
  };
  template <class T>
  struct Plain<const T> {
    typedef T type;
    static constexpr unsigned char is_pointer = 0;
  };
  template <class T>
  struct Plain<T *> {
    typedef T *type;
    static constexpr unsigned char is_pointer = 1;
  };
  template <size_t... index>
  struct Indices {};
  template <size_t n, size_t... index>
  struct Count : Count<n - 1, n - 1, index...> {};
  template <size_t... index>
  struct Count<0, index...> {
    typedef Indices<index...> type;
  };

  static constexpr unsigned count = sizeof...(Parameters);
  static constexpr unsigned sizes[count + 1] = {unsigned(sizeof(Parameters))..., 0};
  static constexpr unsigned alignments[count + 1] = {unsigned(alignof(Parameters))..., 1};
  static constexpr unsigned char pointers[count + 1] = {Plain<Parameters>::is_pointer..., 0};

  template <size_t... index>
  static void start(void **arguments, Indices<index...>) {
    EmuContext &c = emu_context;
    unsigned previous = ~0u - 1;
    while (c.next < c.threads) {
      const unsigned position = c.next++, thread = c.order ? c.order[position] : position;
      c.thread = thread;
      if (thread == previous + 1)
        step(c);
      else
        c.thread_index = {thread % c.block_size.x, thread / c.block_size.x % c.block_size.y,
                          thread / c.block_size.x / c.block_size.y};
      kernel(*static_cast<typename Plain<Parameters>::type *>(arguments[index])...);
      previous = c.thread;
      c.done[previous] = 1;
      c.exited++;
    }
  }
  static void step(EmuContext &c) {
    if (++c.thread_index.x < c.block_size.x) return;
    c.thread_index.x = 0;
    if (++c.thread_index.y < c.block_size.y) return;
    c.thread_index.y = 0;
    ++c.thread_index.z;
  }
  static void run(void **arguments) { start(arguments, typename Count<count>::type()); }
};

template <auto kernel>
constexpr EmuKernel emu_kernel(const char *name, unsigned threads) {
  typedef EmuInvoke<kernel, decltype(kernel)> Invoke;
  return {name, Invoke::run, threads, Invoke::count, Invoke::sizes, Invoke::alignments, Invoke::pointers};
}
#define EMU_KERNEL(name, threads) emu_kernel<&name>(#name, threads)

#define EMU_MODULE(...)                                                                                     \
  static const EmuKernel emu_kernels[] = {__VA_ARGS__};                                                     \
  extern "C" __attribute__((visibility("default"))) const EmuModule emu_module = {                          \
      EMU_ABI, &emu_context, sizeof emu_kernels / sizeof *emu_kernels, emu_kernels};
