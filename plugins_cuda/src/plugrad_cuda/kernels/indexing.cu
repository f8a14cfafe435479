// Reading and adding at positions along one axis; filled in by indexing.py. A bad position is reported, the host raises
// when it next waits: a read takes the nearest element, a write is left out.
//
// An element of the slices is (outer, pick, inner): its coordinates before the axis, in the positions, and after it.

// @part gather: bound by memory; neighbouring threads read neighbouring elements of a slice.
extern "C" __global__ void __launch_bounds__(256) $name(
    $type *out, const $type *x, const int64 *positions, int64 n, int64 picks, int64 inners, int64 size, int64 apart,
    int64 *report, unsigned what$extents) {
  const int64 step = int64(gridDim.x) * blockDim.x;
  for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
    const int64 inner = i % inners, slice = i / inners, pick = slice % picks, outer = slice / picks;
$coordinates
    bool valid;
    const int64 at = position(positions[$from_positions], size, report, what, &valid);
    out[i] = size ? x[$from_x + at * apart] : $type(0);
  }
}

// @part scatter_add: positions may repeat, so elements are added by atomics; the order of a float's additions, and with
// it the last digit of a sum, may differ from run to run.
extern "C" __global__ void __launch_bounds__(256) $name(
    $type *out, const $type *v, const int64 *positions, int64 n, int64 picks, int64 inners, int64 size,
    int64 *report, unsigned what$extents) {
  const int64 step = int64(gridDim.x) * blockDim.x;
  for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
    const int64 inner = i % inners, slice = i / inners, pick = slice % picks, outer = slice / picks;
$coordinates
    bool valid;
    const int64 at = position(positions[$from_positions], size, report, what, &valid);
    if (valid) atomic_add(out + (outer * size + at) * inners + inner, v[$from_v]);
  }
}
