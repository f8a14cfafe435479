// Atomics: threads change places only where they meet, so plain code is atomic. Volatile, so that a loop that waits for
// another thread's atomic is a loop to the compiler as well.
#pragma once

template <class T, class U>
static inline T atomicAdd(volatile T *address, U value) {
  const T old = *address;
  *address = static_cast<T>(old + static_cast<T>(value));
  return old;
}
template <class T, class U>
static inline T atomicSub(volatile T *address, U value) {
  const T old = *address;
  *address = static_cast<T>(old - static_cast<T>(value));
  return old;
}
template <class T, class U>
static inline T atomicMax(volatile T *address, U value) {
  const T old = *address;
  if (static_cast<T>(value) > old) *address = static_cast<T>(value);
  return old;
}
template <class T, class U>
static inline T atomicMin(volatile T *address, U value) {
  const T old = *address;
  if (static_cast<T>(value) < old) *address = static_cast<T>(value);
  return old;
}
template <class T, class U>
static inline T atomicAnd(volatile T *address, U value) {
  const T old = *address;
  *address = old & static_cast<T>(value);
  return old;
}
template <class T, class U>
static inline T atomicOr(volatile T *address, U value) {
  const T old = *address;
  *address = old | static_cast<T>(value);
  return old;
}
template <class T, class U>
static inline T atomicXor(volatile T *address, U value) {
  const T old = *address;
  *address = old ^ static_cast<T>(value);
  return old;
}
template <class T, class U>
static inline T atomicExch(volatile T *address, U value) {
  const T old = *address;
  *address = static_cast<T>(value);
  return old;
}
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
