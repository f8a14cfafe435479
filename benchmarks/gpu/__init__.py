"""The sections of `tools/gpu_check`: each module is started as a process of its own and writes what it finds."""
