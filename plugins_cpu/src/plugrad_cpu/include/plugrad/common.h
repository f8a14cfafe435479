/* What every kernel file shares: limits, dtype codes, status codes, function types, and the lists of dtypes that the
   X-macro tables run over. Knows no op. A kernel file is compiled once per instruction set, by isa/<name>.c. */
#ifndef PLUGRAD_COMMON_H
#define PLUGRAD_COMMON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PG_MAX_DIMS 32
#define PG_MAX_OPERANDS 4

/* Arithmetic is there for the dtypes up to PG_F8; the others are stored, moved and cast. */
enum {
    PG_B1, PG_I1, PG_I2, PG_I4, PG_I8, PG_U1, PG_U2, PG_U4, PG_U8, PG_F4, PG_F8,
    PG_F2, PG_BF2, PG_C8, PG_C16, PG_F1E4, PG_F1E5, PG_CODES
};

enum { PG_OK, PG_BAD_INDEX, PG_TOO_BIG, PG_NO_MEMORY };

typedef void (*pg_fn)(void);

/* One row of an elementwise op: n elements, p[0] is the result, strides in bytes. Operands may be the result itself. */
typedef void (*pg_row_fn)(char *const *p, const ptrdiff_t *s, ptrdiff_t n);

typedef struct {
    const char *op;
    const char *dtype;
    pg_fn fn;
} pg_entry;

typedef struct {
    const char *name;
    const pg_entry *entries;
} pg_family;

static const int pg_itemsize[PG_CODES] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 2, 2, 8, 16, 1, 1};
static const char *const pg_short_name[PG_CODES] = {"b1", "i1", "i2", "i4",  "i8", "u1",  "u2",   "u4",  "u8",
                                                    "f4", "f8", "f2", "bf2", "c8", "c16", "f1e4", "f1e5"};

/* Bits that are only moved: an element of 16 bytes, aligned like a double. */
typedef struct {
    uint64_t word[2];
} pg_pair;

#define PG_PASTE_(A, B) A##_##B
#define PG_PASTE(A, B) PG_PASTE_(A, B)
#define PG_NAME(X) PG_PASTE(X, PG_ISA)

#define PG_INLINE static inline __attribute__((always_inline))

/* Elements of one row never depend on each other: an operand that is the result has the same address at each index. */
#if defined(__clang__)
#define PG_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define PG_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* dtype lists: X(op, short name, C type, expression). Narrow and unsigned integers are compiled for the baseline only:
   a table of a higher instruction set need not be complete. */
#define PG_FLOATS(X, OP, E) X(OP, f4, float, E) X(OP, f8, double, E)
#define PG_WIDE_INTS(X, OP, E) X(OP, i4, int32_t, E) X(OP, i8, int64_t, E)
#ifdef PG_BASELINE
#define PG_OTHER_INTS(X, OP, E)                                                             \
    X(OP, i1, int8_t, E) X(OP, i2, int16_t, E) X(OP, u1, uint8_t, E) X(OP, u2, uint16_t, E) \
    X(OP, u4, uint32_t, E) X(OP, u8, uint64_t, E)
#define PG_BOOL(X, OP, E) X(OP, b1, uint8_t, E)
#else
#define PG_OTHER_INTS(X, OP, E)
#define PG_BOOL(X, OP, E)
#endif
#define PG_INTS(X, OP, E) PG_WIDE_INTS(X, OP, E) PG_OTHER_INTS(X, OP, E)
#define PG_NUMBERS(X, OP, E) PG_FLOATS(X, OP, E) PG_INTS(X, OP, E)

#endif
