"""Levels above the kernels: forward mode, batching, staging.

Only values under them are wrapped; reverse mode needs none of this.
"""
