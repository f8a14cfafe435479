/* What the processor can do, asked at run time (the operating system's support for wide registers included). */
#ifndef PLUGRAD_ISA_H
#define PLUGRAD_ISA_H

#if defined(__x86_64__) && defined(__GNUC__)

static inline int pg_has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static inline int pg_has_avx512(void) {
    return pg_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

#else

static inline int pg_has_avx2(void) { return 0; }
static inline int pg_has_avx512(void) { return 0; }

#endif

#endif
