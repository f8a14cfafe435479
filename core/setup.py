"""Compiles the hot modules of the core, each .py that has a .pxd, where that is possible; without Cython or a C
compiler they stay plain Python. All of them or none: they know one another's C structures.

``PLUGRAD_PURE=1`` leaves them plain. The wheel holds the sources either way.
"""

import os
import runpy
import shlex
import shutil
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PACKAGE = Path("src/plugrad")
DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,  # the .pxd files have the types
    "auto_pickle": False,  # Tensor says how
    "binding": True,  # signatures, as Python functions have them
}


def can_compile() -> bool:
    """Whether there seem to be a C compiler and Python's headers."""
    if os.name == "nt":
        return True  # setuptools finds it, or the build below fails
    words = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    compiler = next((word for word in words if "=" not in word), "cc")
    return shutil.which(compiler) is not None and (Path(sysconfig.get_path("include")) / "Python.h").exists()


def extensions() -> list[Extension]:
    """The extension modules; none where they cannot or must not be made."""
    if os.environ.get("PLUGRAD_PURE") == "1" or not can_compile():
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    hot = runpy.run_path(str(PACKAGE / "hot.py"))
    sources = [path.relative_to(Path.cwd()) for path in hot["sources"]()]
    found = [
        Extension(
            ".".join(("plugrad", *path.relative_to(PACKAGE).with_suffix("").parts)),
            [str(path)],
            define_macros=[("PLUGRAD_SOURCES", f'"{hot["digest"]()}"')],
            depends=[*map(str, sources), *map(str, sorted(PACKAGE.rglob("*.pxd")))],
            extra_compile_args=["-O3", "-g0"] if os.name != "nt" else [],
        )
        for path in sources
    ]
    return cythonize(found, compiler_directives=DIRECTIVES, build_dir="build/cython")


class Build(build_ext):
    """Goes on without extension modules if one of them cannot be built."""

    def build_extensions(self) -> None:
        try:
            super().build_extensions()
        except Exception as error:
            self.warn(f"the core stays plain Python: {error}")
            for extension in self.extensions:
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            self.extensions.clear()


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": Build},
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
