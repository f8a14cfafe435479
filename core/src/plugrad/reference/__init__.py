"""The NumPy reference backend: kernels of a few lines, the living definition of every op. A plugin like any other."""
