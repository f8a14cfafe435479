// Writes where nothing is.
extern "C" __global__ void bad(int *p) { p[1ll << 40] = 1; }
