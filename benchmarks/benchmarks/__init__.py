"""The asv suite: one file per family, every benchmark with the device as its first parameter."""
