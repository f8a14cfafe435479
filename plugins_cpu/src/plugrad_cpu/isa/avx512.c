/* The kernels for AVX-512 (F, BW, DQ, VL) with FMA; an empty table on other architectures. Compiled like avx2.c. */
#define PG_ISA avx512
#if defined(__x86_64__)
#include <complex.h>
#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma")
#endif
#define PG_VECTOR_BYTES 64
#define PG_MR 14  /* rows of a tile of a matrix product */
#define PG_KC 256 /* terms of a block */
#define PG_MC 672 /* rows of a block */
#include "plugrad/families.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
#include "plugrad/common.h"
const pg_family PG_NAME(pg_families)[] = {{0}};
#endif
