"""Right kernels give right answers in every order of threads and blocks: the device language that the headers offer."""

from __future__ import annotations

import emu
import ml_dtypes
import numpy as np
import pytest
from emu import lab as labs

pytestmark = pytest.mark.usefixtures("clean")

TYPES = {"i4": "int", "u4": "unsigned", "f4": "float", "i8": "long long", "u8": "unsigned long long", "f8": "double"}
MATH1 = """
    exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh atanh sqrt cbrt
    erf erfc tgamma lgamma floor ceil round trunc rint fabs rsqrt normcdf sinpi cospi
""".split()  # noqa: SIM905

SOURCE = r"""
#include <cuda_fp16.h>
#include <cuda_bf16.h>
#define KERNEL extern "C" __global__ void

KERNEL where_am_i(int* y) {
  uint3 t = threadIdx, b = blockIdx;
  dim3 size = blockDim, grid = gridDim;
  int thread = (t.z * size.y + t.y) * size.x + t.x, block = (b.z * grid.y + b.y) * grid.x + b.x;
  y[block * (size.x * size.y * size.z) + thread] = ((b.z * 10 + b.y) * 10 + b.x) * 1000 + (t.z * 10 + t.y) * 10 + t.x;
}
KERNEL visits(int* y) { y[atomicAdd(y, 1) + 1] = blockIdx.x * blockDim.x + threadIdx.x; }

template <class T> __device__ __forceinline__ T block_sum(T value, T* part) {
#pragma unroll
  for (int step = 16; step; step >>= 1) value += __shfl_down_sync(0xffffffffu, value, step);
  if ((threadIdx.x & 31) == 0) part[threadIdx.x >> 5] = value;
  __syncthreads();
  value = threadIdx.x < (blockDim.x >> 5) ? part[threadIdx.x] : T(0);
  if (threadIdx.x < 32)
    for (int step = 16; step; step >>= 1) value += __shfl_down_sync(0xffffffffu, value, step);
  return value;
}
extern "C" __global__ void __launch_bounds__(256) sum_f4(float* y, const float* __restrict__ x, int n) {
  __shared__ float part[32];
  float s = 0.0f;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) s += x[i];
  s = block_sum(s, part);
  if (threadIdx.x == 0) atomicAdd(y, s);
}
template <int TILE> __device__ void tiled(float* c, const float* a, const float* b, int n) {
  __shared__ float as[TILE][TILE], bs[TILE][TILE + 1];
  const int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
  float sum = 0.0f;
  for (int k = 0; k < n; k += TILE) {
    as[threadIdx.y][threadIdx.x] = row < n && k + threadIdx.x < n ? a[row * n + k + threadIdx.x] : 0.0f;
    bs[threadIdx.y][threadIdx.x] = column < n && k + threadIdx.y < n ? b[(k + threadIdx.y) * n + column] : 0.0f;
    __syncthreads();
    for (int i = 0; i < TILE; i++) sum += as[threadIdx.y][i] * bs[i][threadIdx.x];
    __syncthreads();
  }
  if (row < n && column < n) c[row * n + column] = sum;
}
KERNEL matmul8(float* c, const float* a, const float* b, int n) { tiled<8>(c, a, b, n); }
KERNEL matmul16(float* c, const float* a, const float* b, int n) { tiled<16>(c, a, b, n); }
KERNEL reversed(double* y, int n) {
  extern __shared__ __align__(16) double s[];
  for (int i = threadIdx.x; i < n; i += blockDim.x) s[i] = i;
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += blockDim.x) y[i] = s[n - 1 - i];
}

KERNEL early_exit(int* y) {
  if (threadIdx.x >= 20) return;
  __syncthreads();
  y[threadIdx.x] = __reduce_add_sync(0xffffffffu, 1u);
}
KERNEL barrier_votes(int* y) {
  const int i = threadIdx.x;
  y[i] = __syncthreads_count(i % 3 == 0) * 100 + __syncthreads_or(i == 5) * 10 + __syncthreads_and(i < 47);
}
KERNEL votes(unsigned* y) {
  const int lane = threadIdx.x & 31;
  unsigned* mine = y + threadIdx.x * 5;
  mine[0] = __ballot_sync(0xffffffffu, lane % 3 == 0);
  mine[1] = __any_sync(0xffffffffu, lane == 7);
  mine[2] = __all_sync(0xffffffffu, lane < 31);
  mine[3] = __match_any_sync(0xffffffffu, lane / 8);
  if (lane < 12) mine[4] = __ballot_sync(0x0fffu, lane & 1);
  else mine[4] = __ballot_sync(0xfffff000u, 1);
}
KERNEL reduce(int* y, const int* x) {
  const int v = x[threadIdx.x];
  const unsigned u = v;
  int* mine = y + threadIdx.x * 8;
  mine[0] = __reduce_add_sync(0xffffffffu, v);
  mine[1] = __reduce_min_sync(0xffffffffu, v);
  mine[2] = __reduce_max_sync(0xffffffffu, v);
  mine[3] = __reduce_min_sync(0xffffffffu, u);
  mine[4] = __reduce_max_sync(0xffffffffu, u);
  mine[5] = __reduce_and_sync(0xffffffffu, u);
  mine[6] = __reduce_or_sync(0xffffffffu, u);
  mine[7] = __reduce_xor_sync(0xffffffffu, u);
}
KERNEL atomics(unsigned long long* y, float* f) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned* u = reinterpret_cast<unsigned*>(y + 1);
  atomicAdd(y, 1ull);
  atomicMax(u, i);
  atomicMin(u + 1, i + 5);
  atomicOr(u + 2, 1u << (i & 31));
  atomicAnd(u + 3, ~(1u << (i & 15)));
  atomicXor(u + 4, i);
  atomicInc(u + 5, 9);
  unsigned old = u[6], seen;
  do { seen = old; old = atomicCAS(u + 6, seen, seen + 2); } while (old != seen);
  atomicExch(u + 7, 42u);
  atomicAdd(f, 0.5f);
  atomicSub(reinterpret_cast<int*>(u + 8), 1);
}
KERNEL bits(unsigned* y, const unsigned* x, const unsigned* z) {
  const unsigned i = threadIdx.x, a = x[i], b = z[i];
  unsigned* mine = y + i * 10;
  mine[0] = __popc(a);
  mine[1] = __clz(a);
  mine[2] = __ffs(a);
  mine[3] = __brev(a);
  mine[4] = __umulhi(a, b);
  mine[5] = __mulhi(int(a), int(b));
  mine[6] = __funnelshift_l(a, b, 7);
  mine[7] = __byte_perm(a, b, 0x5140);
  mine[8] = __float_as_uint(__uint_as_float(a));
  mine[9] = __clzll(a) + __popcll(a);
}
KERNEL halves(unsigned short* y, const float* x, int n) {
  for (int i = threadIdx.x; i < n; i += blockDim.x) {
    y[i] = __half_as_ushort(__float2half(x[i]));
    y[n + i] = __bfloat16_as_ushort(__float2bfloat16(x[i]));
    y[2 * n + i] = __half_as_ushort(__float2half(x[i]) * __half(3.0f) + __half(1.0f));
  }
}
__constant__ float weights[3] = {1.0f, 2.0f, 4.0f};
__device__ const int table[2] = {10, 20};
__device__ int counter;
__device__ float memory[4] = {5.0f};
__device__ int twice(int x) { return 2 * x; }
KERNEL variables(float* y) {
  const int i = threadIdx.x;
  atomicAdd(&counter, 1);
  if (i == 0) memory[1] += 1.0f;
  __syncthreads();
  y[i] = weights[i % 3] + table[i & 1] + twice(counter) * 100 + memory[0] + memory[1];
}
struct Pair { int a; double b; };
KERNEL parameters(double* y, char c, short s, const Pair pair, float4 v, bool flag, const __grid_constant__ Pair last) {
  y[0] = c; y[1] = s; y[2] = pair.a; y[3] = pair.b; y[4] = v.w; y[5] = flag; y[6] = last.b;
}
KERNEL one_rounding(float* y, float a, float b, float c) { y[0] = a * b + c; y[1] = fmaf(a, b, c); y[2] = a / b; }
"""


def shuffle_kernel(code: str) -> str:
    """Four kinds of shuffle and five widths of one type, all results of a lane side by side."""
    body = "".join(
        f"mine[{i * 4}] = __shfl_sync(m, v, 3, {w}); mine[{i * 4 + 1}] = __shfl_up_sync(m, v, 1, {w});"
        f"mine[{i * 4 + 2}] = __shfl_down_sync(m, v, 2, {w}); mine[{i * 4 + 3}] = __shfl_xor_sync(m, v, 5, {w});"
        for i, w in enumerate(WIDTHS)
    )
    pointers = f"{TYPES[code]}* y, const {TYPES[code]}* x"
    head = f"{TYPES[code]} v = x[threadIdx.x], *mine = y + threadIdx.x * {4 * len(WIDTHS)}; unsigned m = 0xffffffff;"
    return f"KERNEL shuffle_{code}({pointers}) {{ {head} {body} }}\n"


def math_kernel(code: str, suffix: str) -> str:
    """Each function of MATH1 by its overloaded name and by the name of the type, results of a function side by side."""
    both = "y[{k} * n + i] = {name}(x[i]); z[{k} * n + i] = {name}{suffix}(x[i]);"
    body = "".join(both.format(k=k, name=name, suffix=suffix) for k, name in enumerate(MATH1))
    pointers = f"{TYPES[code]}* y, {TYPES[code]}* z, const {TYPES[code]}* x"
    return f"KERNEL math_{code}({pointers}, int n) {{ const int i = threadIdx.x; {body} }}\n"


WIDTHS = (2, 4, 8, 16, 32)
SOURCE += "".join(map(shuffle_kernel, TYPES)) + math_kernel("f4", "f") + math_kernel("f8", "")
NAMES = [line.split("(")[0].split()[-1] for line in SOURCE.splitlines() if line.startswith("KERNEL")] + ["sum_f4"]

orders = pytest.mark.parametrize("order", ["forward", "reverse", "random"])


@orders
def test_indices(lab: labs.Lab, order: str) -> None:
    emu.configure(order=order)
    got = lab.run("where_am_i", out=(24 * 30, "i4"), grid=(2, 3, 4), block=(5, 3, 2)).reshape(4, 3, 2, 2, 3, 5)
    bz, by, bx, z, y, x = np.indices(got.shape)
    np.testing.assert_array_equal(got, ((bz * 10 + by) * 10 + bx) * 1000 + (z * 10 + y) * 10 + x)


def test_orders_are_what_they_say(lab: labs.Lab) -> None:
    def visits(order: str, seed: int = 0) -> list[int]:
        emu.configure(order=order, seed=seed)
        emu.load()  # a second time changes nothing
        y = lab.put(np.zeros(97, "i4"))
        lab.launch("visits", y, grid=3, block=32)
        return lab.get(y, "i4")[1:].tolist()

    everyone = list(range(96))
    assert visits("forward") == everyone
    assert visits("reverse") == everyone[::-1]
    shuffled = visits("random", 1)
    assert sorted(shuffled) == everyone and shuffled not in (everyone, everyone[::-1])
    assert visits("random", 1) == shuffled != visits("random", 2)
    firsts = {tuple(block // 32 for block in visits("random", seed)[::32]) for seed in range(20)}
    assert len(firsts) > 3  # blocks come in different orders too


@orders
@pytest.mark.parametrize("deferred", [False, True])
def test_a_reduction_with_shuffles_barriers_and_atomics(lab: labs.Lab, order: str, deferred: bool) -> None:
    emu.configure(order=order, deferred=deferred)
    x = np.random.default_rng(0).integers(-8, 8, 5000).astype("f4")
    y = lab.put(np.zeros(1, "f4"))
    lab.launch("sum_f4", y, lab.put(x), np.int32(x.size), grid=7, block=256)
    assert lab.get(y, "f4")[0] == x.sum()


@orders
@pytest.mark.parametrize("tile", [8, 16])
def test_a_tiled_matrix_product(lab: labs.Lab, order: str, tile: int) -> None:
    emu.configure(order=order, seed=tile)
    n = 37
    a, b = np.random.default_rng(1).standard_normal((2, n, n)).astype("f4")
    grid = (-(-n // tile),) * 2
    args = (lab.put(a), lab.put(b), np.int32(n))
    got = lab.run(f"matmul{tile}", *args, out=(n * n, "f4"), grid=grid, block=(tile, tile))
    np.testing.assert_allclose(got.reshape(n, n), a @ b, rtol=1e-4, atol=1e-4)


@orders
def test_dynamic_shared_memory(lab: labs.Lab, order: str) -> None:
    emu.configure(order=order)
    n = 1000
    got = lab.run("reversed", np.int32(n), out=(n, "f8"), block=96, shared=8 * n)
    np.testing.assert_array_equal(got, np.arange(n)[::-1])


@orders
def test_threads_that_return_early_are_not_waited_for(lab: labs.Lab, order: str) -> None:
    emu.configure(order=order)
    assert (lab.run("early_exit", out=(20, "i4"), block=48) == 20).all()


@orders
def test_votes_of_the_block(lab: labs.Lab, order: str) -> None:
    emu.configure(order=order)
    count = sum(i % 3 == 0 for i in range(48))
    assert lab.run("barrier_votes", out=(48, "i4"), block=48).tolist() == [count * 100 + 10 + 0] * 48
    count = sum(i % 3 == 0 for i in range(40))
    assert lab.run("barrier_votes", out=(40, "i4"), block=40).tolist() == [count * 100 + 10 + 1] * 40


@orders
def test_votes_of_the_warp(lab: labs.Lab, order: str) -> None:
    emu.configure(order=order)
    got = lab.run("votes", out=(64 * 5, "u4"), block=64).reshape(2, 32, 5)
    lanes = np.arange(32)
    assert (got[..., 0] == sum(1 << i for i in range(0, 32, 3))).all()
    assert (got[..., 1] == 1).all() and (got[..., 2] == 0).all()
    np.testing.assert_array_equal(got[0, :, 3], [0xFF << 8 * (i // 8) for i in lanes])
    np.testing.assert_array_equal(got[1, :, 4], np.where(lanes < 12, 0xAAA, 0xFFFFF000))


@orders
def test_warp_reductions(lab: labs.Lab, order: str) -> None:
    emu.configure(order=order)
    x = np.random.default_rng(2).integers(-(2**30), 2**30, 32).astype("i4")
    u = x.view("u4")
    got = lab.run("reduce", lab.put(x), out=(256, "i4")).reshape(32, 8)
    unsigned = [u.min(), u.max(), np.bitwise_and.reduce(u), np.bitwise_or.reduce(u), np.bitwise_xor.reduce(u)]
    right = [x.sum(dtype="i4"), x.min(), x.max(), *np.array(unsigned, "u4").view("i4")]
    np.testing.assert_array_equal(got, np.broadcast_to(right, (32, 8)))


@orders
@pytest.mark.parametrize("code", TYPES)
def test_shuffles_of_every_width_and_type(lab: labs.Lab, order: str, code: str) -> None:
    emu.configure(order=order)
    x = (np.arange(64) * 3 - 7).astype(code)
    got = lab.run(f"shuffle_{code}", lab.put(x), out=(64 * 20, code), block=64).reshape(64, 5, 4)
    lane = np.arange(64)
    for i, width in enumerate(WIDTHS):
        first = lane - lane % width
        down, up, xor = lane + 2, lane - 1, (lane // 32) * 32 + ((lane % 32) ^ 5)
        sources = [
            first + 3 % width,
            np.where(up >= first, up, lane),
            np.where(down < first + width, down, lane),
            np.where(xor < first + width, xor, lane),
        ]
        for kind, source in enumerate(sources):
            np.testing.assert_array_equal(got[:, i, kind], x[source], err_msg=f"kind {kind}, width {width}")


@orders
def test_atomics(lab: labs.Lab, order: str) -> None:
    emu.configure(order=order)
    n = 300
    start = np.zeros(6, "u8")
    words = start.view("u4")[2:]
    words[1], words[3] = 1000, 0xFFFFFFFF
    y, f = lab.put(start), lab.put(np.zeros(1, "f4"))
    lab.launch("atomics", y, f, grid=3, block=100)
    got = lab.get(y, "u8")
    w = got.view("u4")[2:]
    assert got[0] == n and lab.get(f, "f4")[0] == n / 2
    xor = int(np.bitwise_xor.reduce(np.arange(n)))
    assert w.tolist()[:9] == [n - 1, 5, 0xFFFFFFFF, 0xFFFF0000, xor, n % 10, 2 * n, 42, 2**32 - n]


def test_bits(lab: labs.Lab) -> None:
    a = np.array([0, 1, 0x80000000, 0xDEADBEEF, 0x00F00F00, 0x7F800001], "u4")
    b = np.array([3, 0xFFFFFFFF, 2, 0x12345678, 0xCAFEBABE, 5], "u4")
    got = lab.run("bits", lab.put(a), lab.put(b), out=(60, "u4"), block=6).reshape(6, 10)
    for row, x, z in zip(got, a.tolist(), b.tolist()):
        text = f"{x:032b}"
        signed = [v - (1 << 32) if v >> 31 else v for v in (x, z)]
        both = z << 32 | x
        right = [
            text.count("1"),
            len(text) - len(text.lstrip("0")),
            len(text) - len(text.rstrip("0")) + 1 if x else 0,
            int(text[::-1], 2),
            x * z >> 32,
            (signed[0] * signed[1] >> 32) & 0xFFFFFFFF,
            both << 7 >> 32 & 0xFFFFFFFF,
            sum((both >> 8 * pick & 0xFF) << 8 * i for i, pick in enumerate((0, 4, 1, 5))),
            x,
            64 - x.bit_length() + text.count("1"),
        ]
        assert row.tolist() == right


@pytest.mark.parametrize(("code", "rtol"), [("f4", 1e-6), ("f8", 1e-14)])
def test_mathematics(lab: labs.Lab, code: str, rtol: float) -> None:
    from math import cos, erf, erfc, gamma, lgamma, pi, sin

    x = np.array([0.1, 0.25, 0.5, 0.75, 0.9375], code)
    n = x.size
    z = lab.empty(n * len(MATH1) * x.itemsize)
    got = lab.run(f"math_{code}", z, lab.put(x), np.int32(n), out=(n * len(MATH1), code), block=n).reshape(-1, n)
    np.testing.assert_array_equal(lab.get(z, code).reshape(-1, n), got)  # expf and exp of a float are one function
    own = {
        "erf": erf, "erfc": erfc, "tgamma": gamma, "lgamma": lgamma, "rsqrt": lambda v: v**-0.5, "round": round,
        "normcdf": lambda v: erfc(-v / 2**0.5) / 2, "sinpi": lambda v: sin(pi * v), "cospi": lambda v: cos(pi * v),
    }  # fmt: skip
    for name, row in zip(MATH1, got):
        alias = f"arc{name[1:]}" if name in ("asin", "acos", "atan", "asinh", "atanh") else name
        right = np.vectorize(own[name])(x.astype("f8")) if name in own else getattr(np, alias)(x.astype("f8"))
        if name == "round":
            right = np.floor(x + 0.5)  # C rounds halves away from zero
        np.testing.assert_allclose(row, right, rtol=rtol, atol=rtol, err_msg=name)


def test_16_bit_floats_round_to_nearest_even(lab: labs.Lab) -> None:
    rng = np.random.default_rng(3)
    edges = [0.0, -0.0, np.inf, -np.inf, 65520.0, 65519.0]
    x = np.concatenate([rng.standard_normal(500) * 10.0 ** rng.integers(-9, 6, 500), edges]).astype("f4")
    got = lab.run("halves", lab.put(x), np.int32(x.size), out=(3 * x.size, "u2")).reshape(3, -1)
    with np.errstate(over="ignore"):
        half = x.astype("f2")
        scaled = ((half.astype("f4") * 3).astype("f2").astype("f4") + 1).astype("f2")
    np.testing.assert_array_equal(got[0], half.view("u2"))
    np.testing.assert_array_equal(got[1], x.astype(ml_dtypes.bfloat16).view("u2"))
    np.testing.assert_array_equal(got[2], scaled.view("u2"))


def test_variables_of_the_module_keep_their_values(lab: labs.Lab) -> None:
    for launch in (1, 2):
        got = lab.run("variables", out=(6, "f4"), block=6)
        i = np.arange(6)
        right = np.array([1, 2, 4])[i % 3] + np.array([10, 20])[i & 1] + 2 * 6 * launch * 100 + 5 + launch
        np.testing.assert_array_equal(got, right)


def test_parameters_of_every_kind(lab: labs.Lab) -> None:
    from cuda.bindings import driver

    info = lab.kernels["parameters"].arguments_info
    assert [(a.offset, a.size) for a in info] == [(0, 8), (8, 1), (10, 2), (16, 16), (32, 16), (48, 1), (56, 16)]
    pair = np.dtype([("a", "i4"), ("b", "f8")], align=True)
    y = lab.empty(56)
    values = [
        np.array(int(y.handle), "u8"),
        np.array(-3, "i1"),
        np.array(-300, "i2"),
        np.array((7, 0.5), pair),
        np.array([1, 2, 3, 4], "f4"),
        np.array(True),
        np.array((1, 2.5), pair),
    ]
    addresses = np.array([value.ctypes.data for value in values], "u8")
    function = driver.CUfunction(int(lab.kernels["parameters"].handle))
    launched = driver.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, int(lab.stream.handle), addresses.ctypes.data, 0)
    assert int(launched[0]) == 0
    assert lab.get(y, "f8").tolist() == [-3, -300, 7, 0.5, 4, 1, 2.5]


def test_arithmetic_is_as_written(lab: labs.Lab) -> None:
    a = np.float32(1 + 2**-12)
    got = lab.run("one_rounding", a, a, np.float32(-1), out=(3, "f4"), block=1)
    assert got[0] == np.float32(a * a) - np.float32(1)
    assert got[1] == np.float32(np.float64(a) * np.float64(a) - 1) != got[0]
    assert got[2] == 1


def test_the_text_is_cuda(lab: labs.Lab) -> None:
    from cuda.core import Program, ProgramOptions

    start, end = SOURCE.index("KERNEL halves"), SOURCE.index("__constant__ float weights")
    text = SOURCE[:start] + SOURCE[end:]  # NVRTC has no header for 16-bit floats
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#include"))
    cubin = Program(text, "c++", ProgramOptions(arch="sm_90", std="c++17")).compile("cubin")
    assert all(name.encode() in cubin.code for name in NAMES if name != "halves")
