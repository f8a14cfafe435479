// Reductions; filled in by reduction.py. Deterministic: no atomics, and the order depends on nothing but the shape.
//
// A block has 256 threads: $width results times $lanes threads that share the elements of one. Threads of a warp are
// neighbours along the elements of a result where those lie next to each other (`rows`), else along the results
// (`columns`). The elements are cut into gridDim.y parts if there are too few results to fill the device; the partial
// results of each part are folded by a second launch of the same text.
//
// Four blocks must fit a multiprocessor: without that the compiler saves registers and spills.
extern "C" __global__ void __launch_bounds__(256, 4) $name(
    $out *out, const $in *in, $index results, $index count, $index part$extents) {
  __shared__ $state shared[256];
  const int slot = $slot, lane = $lane;
  const $index begin = $index(blockIdx.y) * part;
  const $index end = begin + part < count ? begin + part : count;
  // every thread of the block takes part in each round, since they meet at the barriers
  for ($index base = $index(blockIdx.x) * $width; base < results; base += $index(gridDim.x) * $width) {
    const $index result = base + slot;
    $state total = identity_$name();
    if (result < results) {
$kept
      for ($index element = begin + lane; element < end; element += $lanes) {
$reduced
        total = fold_$name(total, lift_$name(in[$from], element));
      }
    }
    if ($lanes > 1) {
      shared[threadIdx.x] = total;
      for (int half = $lanes / 2; half > 0; half /= 2) {
        __syncthreads();
        if (lane < half) shared[threadIdx.x] = fold_$name(shared[threadIdx.x], shared[threadIdx.x + half * $apart]);
      }
      if (lane == 0) total = shared[threadIdx.x];
      __syncthreads();
    }
    if (lane == 0 && result < results) out[$index(blockIdx.y) * results + result] = finish_$name(total);
  }
}
