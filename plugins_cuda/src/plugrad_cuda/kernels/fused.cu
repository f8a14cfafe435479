// Groups of elementwise ops, and of reductions of what they give, as one kernel; filled in by bodies.py and fusion.py.
//
// `body_$$name` computes one element of the group. A result may lie in the memory of an operand, so nothing is
// __restrict__: a thread reads all operands of its elements before it writes any result.

// @part each: $lanes neighbours a step; results are dense, operands lie by strides.
extern "C" __global__ void __launch_bounds__(256) $name($parameters, $index n$extents) {
  const $index step = $index(gridDim.x) * blockDim.x;
  const $index first = $index(blockIdx.x) * blockDim.x + threadIdx.x;
$once
  for ($index i = first; i < n / $lanes; i += step) {
$coordinates
$loads
#pragma unroll
    for (int k = 0; k < $lanes; ++k) body_$name($lane_operands);
$stores
  }
$tail
}

// @part reduced: as in reduction.cu, but that the elements are computed from the group's operands, and that there may
// be several results; the group's other results are written on the way.
extern "C" __global__ void __launch_bounds__(256) $name(
    $parameters, $index results, $index count, $index part$extents) {
$shared
  const int slot = $slot, lane = $lane;
  const $index begin = $index(blockIdx.y) * part;
  const $index end = begin + part < count ? begin + part : count;
$once
  // every thread of the block takes part in each round, since they meet at the barriers
  for ($index base = $index(blockIdx.x) * $width; base < results; base += $index(gridDim.x) * $width) {
    const $index result = base + slot;
$totals
    if (result < results) {
$kept
      for ($index element = begin + lane; element < end; element += $lanes) {
$reduced
$values
        body_$name($operands);
$folds
      }
    }
    if ($lanes > 1) {
$saved
      for (int half = $lanes / 2; half > 0; half /= 2) {
        __syncthreads();
        if (lane < half) {
$joined
        }
      }
      if (lane == 0) {
$taken
      }
      __syncthreads();
    }
    if (lane == 0 && result < results) {
$finished
    }
  }
}
