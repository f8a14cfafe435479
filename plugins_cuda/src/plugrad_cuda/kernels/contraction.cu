// Matrix products of strided operands; filled in by contraction.py.
//
// A block of 256 threads computes a tile of $tile_m x $tile_n elements in steps of $tile_k along the sum: both tiles of
// the operands go through shared memory, each thread keeps $each_m x $each_n sums in registers. A thread's rows and
// columns lie a stride apart, so that the threads of a warp read neighbouring words of shared memory and write
// neighbouring elements. Elements are fetched along whichever axis of an operand has stride 1. Sums run along k in
// order, in the operands' dtype (unsigned for integers, which wrap around).
// $resident blocks must fit a multiprocessor: without that the compiler saves registers and spills.
extern "C" __global__ void __launch_bounds__(256, $resident) $name(
    $type *out, const $type *a, const $type *b, int m, int n, int k, int matrices, int64 a_row,
    int64 a_column, int64 b_row, int64 b_column$extents) {
  __shared__ $sum a_tile[$tile_k][$tile_m + 1];
  __shared__ $sum b_tile[$tile_k][$tile_n + 1];
  const int across = (n + $tile_n - 1) / $tile_n;
  const int thread_n = threadIdx.x % ($tile_n / $each_n), thread_m = threadIdx.x / ($tile_n / $each_n);
  const int row0 = blockIdx.x / across * $tile_m, column0 = blockIdx.x % across * $tile_n;
  for (int matrix = blockIdx.y; matrix < matrices; matrix += gridDim.y) {
$batch
    const $type *const a_from = a + ($a_offset);
    const $type *const b_from = b + ($b_offset);
    $sum sums[$each_m][$each_n] = {};
    for (int k0 = 0; k0 < k; k0 += $tile_k) {
#pragma unroll
      for (int e = threadIdx.x; e < $tile_m * $tile_k; e += 256) {
        const int i = $a_i, j = $a_j;
        const bool inside = row0 + i < m && k0 + j < k;
        a_tile[j][i] = inside ? $sum(a_from[(row0 + i) * a_row + (k0 + j) * a_column]) : $sum(0);
      }
#pragma unroll
      for (int e = threadIdx.x; e < $tile_n * $tile_k; e += 256) {
        const int i = $b_i, j = $b_j;
        const bool inside = k0 + i < k && column0 + j < n;
        b_tile[i][j] = inside ? $sum(b_from[(k0 + i) * b_row + (column0 + j) * b_column]) : $sum(0);
      }
      __syncthreads();
#pragma unroll
      for (int step = 0; step < $tile_k; ++step) {
        $sum a_part[$each_m], b_part[$each_n];
#pragma unroll
        for (int i = 0; i < $each_m; ++i) a_part[i] = a_tile[step][thread_m + i * ($tile_m / $each_m)];
#pragma unroll
        for (int j = 0; j < $each_n; ++j) b_part[j] = b_tile[step][thread_n + j * ($tile_n / $each_n)];
#pragma unroll
        for (int i = 0; i < $each_m; ++i)
#pragma unroll
          for (int j = 0; j < $each_n; ++j) sums[i][j] += a_part[i] * b_part[j];
      }
      __syncthreads();
    }
    $type *const to = out + int64(matrix) * m * n;
#pragma unroll
    for (int i = 0; i < $each_m; ++i) {
      const int row = row0 + thread_m + i * ($tile_m / $each_m);
#pragma unroll
      for (int j = 0; j < $each_n; ++j) {
        const int column = column0 + thread_n + j * ($tile_n / $each_n);
        if (row < m && column < n) to[int64(row) * n + column] = $type(sums[i][j]);
      }
    }
  }
}
