/* What the processor can do, asked at run time (the operating system's support for wide registers included). */
#ifndef PLUGRAD_ISA_H
#define PLUGRAD_ISA_H

static inline int pg_has_avx2(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 0;
#endif
}

#endif
