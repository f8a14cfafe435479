// Atomics: threads change places only where they meet, so plain code is atomic. Volatile, so that a loop that waits for
// another thread's atomic is a loop to the compiler as well.
#pragma once

#define EMU_ATOMIC(name, after)                              \
  template <class T, class U>                                \
  static inline T name(volatile T *address, U operand) {     \
    const T old = *address, value = static_cast<T>(operand); \
    *address = static_cast<T>(after);                        \
    return old;                                              \
  }
EMU_ATOMIC(atomicAdd, old + value)
EMU_ATOMIC(atomicSub, old - value)
EMU_ATOMIC(atomicMax, value > old ? value : old)
EMU_ATOMIC(atomicMin, value < old ? value : old)
EMU_ATOMIC(atomicAnd, old &value)
EMU_ATOMIC(atomicOr, old | value)
EMU_ATOMIC(atomicXor, old ^ value)
EMU_ATOMIC(atomicExch, value)

template <class T, class U, class V>
static inline T atomicCAS(volatile T *address, U compare, V value) {
  const T old = *address;
  if (old == static_cast<T>(compare)) *address = static_cast<T>(value);
  return old;
}
static inline unsigned atomicInc(volatile unsigned *address, unsigned limit) {
  const unsigned old = *address;
  *address = old >= limit ? 0 : old + 1;
  return old;
}
static inline unsigned atomicDec(volatile unsigned *address, unsigned limit) {
  const unsigned old = *address;
  *address = old == 0 || old > limit ? limit : old - 1;
  return old;
}
