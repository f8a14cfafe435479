// Elementwise kernels; `$$name` and the like are filled in by generate.py, one text for every op, dtype and layout.
//
// Both loops are bound by memory. The result may be one of the operands, so nothing is __restrict__: a thread reads all
// operands of an element before it writes the result.

// @part dense: operands and result lie one after the other, or are one element for all; $lanes elements a step.
extern "C" __global__ void __launch_bounds__(256) $name($out *out$parameters, $index n) {
  const $index step = $index(gridDim.x) * blockDim.x;
  const $index first = $index(blockIdx.x) * blockDim.x + threadIdx.x;
$once
  for ($index i = first; i < n / $lanes; i += step) {
$packs
    Pack<$out, $lanes> result;
#pragma unroll
    for (int k = 0; k < $lanes; ++k) result.at[k] = apply_$name($lane_operands);
    reinterpret_cast<Pack<$out, $lanes> *>(out)[i] = result;
  }
  for ($index i = n / $lanes * $lanes + first; i < n; i += step) out[i] = apply_$name($operands);
}

// @part strided: any strides; the position is divided into coordinates, the last axis fastest.
extern "C" __global__ void __launch_bounds__(256) $name($out *out$parameters, $index n$extents) {
  const $index step = $index(gridDim.x) * blockDim.x;
$once
  for ($index i = $index(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
$coordinates
    out[$to] = apply_$name($operands);
  }
}
