"""A backend on JAX arrays: the five members that are owed, and the dozen kernels of a first evening."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from plugrad.backend import Backend, Spec

jax.config.update("jax_enable_x64", True)  # else JAX stores float64 as float32


class First(Backend):
    """Values are immutable jax.Array; whatever has no kernel is composed or runs on the host."""

    name = "jax_first"
    is_async = True
    kernels = {
        "add": jnp.add,
        "mul": jnp.multiply,
        "neg": jnp.negative,
        "div": jnp.divide,
        "exp": jnp.exp,
        "log": jnp.log,
        "sum": lambda x, *, axis, keepdims: jnp.sum(x, axis, dtype=x.dtype, keepdims=keepdims),
        "max": lambda x, *, axis, keepdims: jnp.max(x, axis, keepdims=keepdims),
        "matmul": jnp.matmul,
        "reshape": lambda x, *, shape: jnp.reshape(x, shape),
        "permute": lambda x, *, axes: jnp.transpose(x, axes),
        "broadcast_to": lambda x, *, shape: jnp.broadcast_to(x, shape),
    }

    def from_host(self, array: np.ndarray, device: str) -> jax.Array:
        """By value: JAX may read a NumPy array later, or share its memory, so it gets a private copy."""
        return jnp.asarray(np.array(array))

    def to_host(self, value: jax.Array) -> np.ndarray:
        """A read-only array, once the value is there."""
        return np.asarray(value)

    def spec(self, value: Any) -> Spec:
        """Shape and dtype."""
        return Spec(value.shape, value.dtype)
