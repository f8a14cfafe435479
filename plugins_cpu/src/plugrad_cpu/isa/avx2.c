/* The kernels for AVX2 with FMA; an empty table on other architectures. The whole file is compiled for that instruction
   set, so every function in it must be static, and nothing outside may call one without asking the processor first
   (isa.h). */
#define PG_ISA avx2
#if defined(__x86_64__)
#include <complex.h>
#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define PG_VECTOR_BYTES 32
#define PG_MR 6   /* rows of a tile of a matrix product */
#define PG_KC 256 /* terms of a block */
#define PG_MC 336 /* rows of a block */
#include "plugrad/families.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
#include "plugrad/common.h"
const pg_family PG_NAME(pg_families)[] = {{0}};
#endif
