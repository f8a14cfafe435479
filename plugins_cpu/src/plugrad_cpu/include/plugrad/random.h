/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"): four words for each
   counter. The normative generator of plugrad: key (k0, k1), counter (e / 4 low, e / 4 high, 0, 0), lane e % 4 for
   element e. */
#ifndef PLUGRAD_RANDOM_H
#define PLUGRAD_RANDOM_H

#include "common.h"

#define PG_PHILOX_BLOCK 64 /* counters worked on together, so that the rounds are vector code */

/* Words of counters first .. first + PG_PHILOX_BLOCK - 1 as four arrays. */
static void philox_block(uint32_t k0, uint32_t k1, uint64_t first, uint32_t (*restrict c)[PG_PHILOX_BLOCK]) {
    for (int i = 0; i < PG_PHILOX_BLOCK; ++i) {
        const uint64_t n = first + (uint64_t)i;
        c[0][i] = (uint32_t)n;
        c[1][i] = (uint32_t)(n >> 32);
        c[2][i] = 0;
        c[3][i] = 0;
    }
    for (int round = 0; round < 10; ++round) {
        for (int i = 0; i < PG_PHILOX_BLOCK; ++i) {
            const uint64_t a = (uint64_t)0xD2511F53u * c[0][i], b = (uint64_t)0xCD9E8D57u * c[2][i];
            const uint32_t c1 = c[1][i], c3 = c[3][i];
            c[0][i] = (uint32_t)(b >> 32) ^ c1 ^ k0;
            c[1][i] = (uint32_t)b;
            c[2][i] = (uint32_t)(a >> 32) ^ c3 ^ k1;
            c[3][i] = (uint32_t)a;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* n words for one key. */
static void philox_u4(uint32_t k0, uint32_t k1, uint32_t *o, ptrdiff_t n) {
    uint32_t c[4][PG_PHILOX_BLOCK];
    for (ptrdiff_t e = 0; e < n; e += 4 * PG_PHILOX_BLOCK) {
        philox_block(k0, k1, (uint64_t)e / 4, c);
        const ptrdiff_t m = n - e < 4 * PG_PHILOX_BLOCK ? n - e : 4 * PG_PHILOX_BLOCK;
        for (ptrdiff_t i = 0; i < m; ++i) o[e + i] = c[i & 3][i >> 2];
    }
}

static const pg_entry pg_random_entries[] = {{"philox", "u4", (pg_fn)philox_u4}, {0}};

#endif
