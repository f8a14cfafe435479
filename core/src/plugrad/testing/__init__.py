"""What a plugin's author tests with. Independent rules check one another, so few oracles are needed."""

from .derivatives import check_derivatives, check_vmap, numerical_jvp

__all__ = ["check_derivatives", "check_vmap", "numerical_jvp"]
