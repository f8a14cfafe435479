/* The kernels for whatever every processor of this architecture can do: SSE2 on x86-64, NEON on arm64. The table is
   complete. */
#define PG_ISA baseline
#define PG_BASELINE
#define PG_VECTOR_BYTES 16
#define PG_MR 6   /* rows of a tile of a matrix product */
#define PG_KC 256 /* terms of a block */
#define PG_MC 336 /* rows of a block */
#include "plugrad/families.h"
