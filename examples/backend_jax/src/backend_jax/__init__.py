"""An example of a third party's backend for plugrad, on JAX arrays."""
