// Arithmetic whose corners are NumPy's and not C's: integers wrap around, division rounds down, NaN wins.

template <class T>
__device__ inline T maximum_float(T x, T y) { return x >= y || x != x ? x : y; }
template <class T>
__device__ inline T minimum_float(T x, T y) { return x <= y || x != x ? x : y; }

// Division of integers rounds down, and by zero gives 0; of the lowest number by -1 gives that number.
template <class T>
__device__ inline T floor_divide_signed(T x, T y) {
  if (y == 0) return 0;
  if (y == -1) return T(0ull - uint64(x));
  const T quotient = x / y;
  return T(quotient - (quotient * y != x && (x < 0) != (y < 0)));
}
template <class T>
__device__ inline T remainder_signed(T x, T y) {
  if (y == 0 || y == -1) return 0;
  const T rest = x % y;
  return T(rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest);
}

// The remainder has the sign of the divisor.
template <class T>
__device__ inline T remainder_float(T x, T y) {
  T rest = fmod(x, y);
  if (y == 0) return rest;
  if (rest == 0) return copysign(T(0), y);
  return (y < 0) != (rest < 0) ? rest + y : rest;
}
// The quotient comes from the exact remainder, so that it is right where x / y would be rounded up to a whole number. An
// infinite operand has no remainder; there it is x / y, as the Array API says.
template <class T>
__device__ inline T floor_divide_float(T x, T y) {
  if (y == 0 || isinf(x) || isinf(y)) return x / y;
  const T rest = fmod(x, y);
  T quotient = (x - rest) / y;
  if (rest != 0 && (y < 0) != (rest < 0)) quotient -= T(1);
  if (quotient == 0) return copysign(T(0), x / y);
  const T whole = floor(quotient);
  return quotient - whole > T(0.5) ? whole + T(1) : whole;
}

// A shift by more than the width moves all bits out.
template <class T>
__device__ inline T shift_left(T x, T y) {
  return uint64(y) < 8 * sizeof(T) ? T(uint64(x) << int(y)) : T(0);
}
template <class T>
__device__ inline T shift_right(T x, T y) {
  return uint64(y) < 8 * sizeof(T) ? T(x >> int(y)) : x < 0 ? T(-1) : T(0);
}
