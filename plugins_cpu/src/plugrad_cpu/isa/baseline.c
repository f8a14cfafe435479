/* The kernels for whatever every processor of this architecture can do: SSE2 on x86-64, NEON on arm64. The table is
   complete. */
#define PG_ISA baseline
#define PG_BASELINE
#define PG_VECTOR_BYTES 16
#include "plugrad/families.h"
