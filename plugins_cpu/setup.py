"""Builds the extension modules: one for each .pyx; ``tables`` also holds the C kernels of every instruction set."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

PACKAGE = Path("src/plugrad_cpu")
DEBUG = os.environ.get("PLUGRAD_CYTHON_DEBUG") == "1"

# Signed integers wrap around; memory is reinterpreted between types; neither errno nor floating-point traps are used.
C_FLAGS = ["-std=gnu11", "-O3", "-fwrapv", "-fno-strict-aliasing", "-fno-math-errno", "-fno-trapping-math"]
C_FLAGS += ["-Wno-psabi", "-g" if DEBUG else "-g0"]
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": DEBUG,
}
TABLES = [str(PACKAGE / "isa" / f"{isa}.c") for isa in ("avx512", "avx2", "baseline")]
HEADERS = [str(path) for path in sorted(PACKAGE.glob("include/plugrad/*.h"))]


def extension(path: Path) -> Extension:
    """The extension module of one .pyx file."""
    return Extension(
        f"plugrad_cpu.{path.stem}",
        [str(path), *(TABLES if path.stem == "tables" else [])],
        include_dirs=[str(PACKAGE / "include")],
        depends=HEADERS,
        extra_compile_args=C_FLAGS,
        libraries=["m"],
    )


setup(
    ext_modules=cythonize(
        [extension(path) for path in sorted(PACKAGE.glob("*.pyx"))],
        compiler_directives=DIRECTIVES,
        build_dir="build/cython",
    ),
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
