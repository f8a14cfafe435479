"""Adapters to other libraries, each a module that needs that library: ``einops``, ``safetensors``.

Most libraries need none: a tensor speaks the Python Array API, DLPack and ``__array__``. What other
libraries ask of a namespace is in ``array_api``.
"""
