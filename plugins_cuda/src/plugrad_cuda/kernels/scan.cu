// Running sums along an axis; filled in by scan.py. A block walks along one line of elements, 256 at a time: a scan of
// these in shared memory (Hillis and Steele, "Data parallel algorithms", CACM 1986), then the sum of all before is
// added. Deterministic.
extern "C" __global__ void __launch_bounds__(256) $name(
    $type *out, const $type *x, int64 lines, int64 count, int64 apart, int64 inners$extents) {
  __shared__ $value shared[2][256];
  for (int64 line = blockIdx.x; line < lines; line += gridDim.x) {
$coordinates
    const $type *const from = x + ($from);
    $type *const to = out + line / inners * inners * count + line % inners;
    $value before = 0;
    for (int64 base = 0; base < count; base += 256) {
      const int64 i = base + threadIdx.x;
      int now = 0;
      shared[now][threadIdx.x] = i < count ? $value(from[i * apart]) : $value(0);
      __syncthreads();
      for (int reach = 1; reach < 256; reach *= 2) {
        const $value mine = shared[now][threadIdx.x];
        const bool joins = threadIdx.x >= reach;
        shared[1 - now][threadIdx.x] = joins ? join_$name(shared[now][threadIdx.x - reach], mine) : mine;
        now = 1 - now;
        __syncthreads();
      }
      if (i < count) to[i * inners] = $type(join_$name(before, shared[now][threadIdx.x]));
      before = join_$name(before, shared[now][255]);
      __syncthreads();
    }
  }
}
