// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), bit for bit as the core
// defines it: element e of a key's words is lane e % 4 of the counter (e / 4, 0). A thread makes four words.
extern "C" __global__ void __launch_bounds__(256) $name(
    unsigned *out, const unsigned *key, int64 keys, int64 words, int64 word_apart$extents) {
  const int64 blocks = (words + 3) / 4, step = int64(gridDim.x) * blockDim.x;
  for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < keys * blocks; i += step) {
    const int64 block = i % blocks, number = i / blocks;
$coordinates
    const unsigned *const from = key + ($from_key);
    unsigned k0 = from[0], k1 = from[word_apart];
    unsigned c0 = unsigned(block), c1 = unsigned(uint64(block) >> 32), c2 = 0, c3 = 0;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
      const unsigned low0 = 0xD2511F53u * c0, high0 = __umulhi(0xD2511F53u, c0);
      const unsigned low2 = 0xCD9E8D57u * c2, high2 = __umulhi(0xCD9E8D57u, c2);
      c0 = high2 ^ c1 ^ k0;
      c1 = low2;
      c2 = high0 ^ c3 ^ k1;
      c3 = low0;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    unsigned *const to = out + number * words + block * 4;
    const int64 left = words - block * 4;
    to[0] = c0;
    if (left > 1) to[1] = c1;
    if (left > 2) to[2] = c2;
    if (left > 3) to[3] = c3;
  }
}
