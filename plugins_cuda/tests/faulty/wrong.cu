// Does not compile.
extern "C" __global__ void wrong() { nonsense }
