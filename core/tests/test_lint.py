"""``plugrad lint``: each mistake, put into a plugin without any, is found where it is, with its remedy."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from plugrad.testing.lint import Finding, lint

SOUND = {
    "pyproject.toml": """[project]
name = "plugrad-mine"
version = "0.1.0"
dependencies = ["plugrad>=0.1,<1", "numpy>=2.1"]

[project.entry-points.plugrad]
mine = "plugrad_mine.plugin"
""",
    "src/plugrad_mine/__init__.py": '"""A plugin."""\n\nfrom .layers import Twice\n',
    "src/plugrad_mine/plugin.py": '''"""The hooks."""

from plugrad.plugins import Registrar, hookimpl

API = (1, 0)
LAYERS = {"twice": "Twice", "thrice": "Thrice"}


@hookimpl
def plugrad_backends(registrar: Registrar) -> None:
    registrar.backend("mine", target="plugrad_mine.backend:Mine", probe="plugrad_mine.backend:available", priority=20)


@hookimpl
def plugrad_ops(registrar):
    registrar.ops("mine", target="plugrad_mine.ops")


@hookimpl
def plugrad_kernels(registrar):
    registrar.kernel("mine.cube", backend="mine", target="plugrad_mine.backend:cube", dtypes="f4 f8", priority=10)


@hookimpl
def plugrad_components(registrar):
    for name, layer in LAYERS.items():
        registrar.component("layer", name, target=f"plugrad_mine.layers:{layer}")


@hookimpl
def plugrad_samples(registrar):
    registrar.samples("plugrad_mine.samples:samples")
''',
    "src/plugrad_mine/backend.py": '''"""The backend."""

import numpy as np

from plugrad.backend import Backend, Kernel, Spec


def available():
    return True


def cube(x):
    return x * x * x


def _full(*, shape, dtype, value, device):
    return np.full(shape, value, dtype)


def _sum(x, *, axis, keepdims):
    return np.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


def _add_into(out, x, y):
    np.add(x, y, out=out)


ELEMENTWISE = {name: Kernel(getattr(np, name), "f4 f8") for name in ("exp", "log")}
MOVEMENT = {"reshape": lambda x, *, shape: np.reshape(x, shape)}


class Mine(Backend):
    name = "mine"
    dtypes = "b1 i8 float"
    kernels = {
        **ELEMENTWISE,
        **MOVEMENT,
        "add": np.add,
        "fused": lambda *xs, body: NotImplemented,
        "sum": Kernel(_sum, dtypes="float"),
        "full": _full,
    }
    into = {"add": _add_into}

    def from_host(self, array, device):
        return np.array(array)

    def to_host(self, value):
        return value

    def spec(self, value):
        return Spec(value.shape, value.dtype)
''',
    "src/plugrad_mine/ops.py": '''"""The operations."""

from plugrad import Op, Spec, exp


class Cube(Op):
    """x ** 3."""

    name = "mine.cube"
    dtypes = "float"
    saves = (0,)

    def spec(self, x):
        return Spec(x.shape, x.dtype)

    def decompose(self, x):
        return x * x * x

    def vjp(self, g, y, xs, need):
        return (g * xs[0] * xs[0] * 3,)


class Scaled(Op):
    """x * by."""

    name = "mine.scaled"
    dtypes = "float"

    def spec(self, x, *, by):
        return Spec(x.shape, x.dtype)

    def decompose(self, x, *, by):
        return x * by

    def batch(self, size, xs, batched, **attrs):
        return self(*xs, **attrs)


CUBE, SCALED = Cube(), Scaled()
SIGMOID = Op("mine.sigmoid", dtypes="float", decompose=lambda x: 1 / (exp(-x) + 1), partials=(lambda y, x: y - y * y,))
''',
    "src/plugrad_mine/layers.py": '''"""The layers."""

from plugrad import Module


class Twice(Module):
    def __call__(self, x):
        return x + x


class Thrice(Module):
    def __call__(self, x):
        return x + x + x
''',
    "src/plugrad_mine/samples.py": '''"""The samples."""

from plugrad.testing import LayerSample, OpSample, values


def samples():
    found = [OpSample("mine.cube", (values(3),)), OpSample("mine.scaled", (values(3),), {"by": 2.0})]
    found.append(OpSample("mine.sigmoid", (values(3),)))
    return found + [LayerSample(name, inputs=(values(2),)) for name in ("twice", "thrice")]
''',
}


class Seed(NamedTuple):
    """A mistake: in which file what becomes what, the code and words of the finding, and what stands on its line: by
    default the first line of ``new``. ``where``: the file, if it is another one.
    """

    code: str
    file: str
    old: str
    new: str
    said: str
    at: str = ""
    where: str = ""


PLUGIN, BACKEND, OPS, SAMPLES = "plugin.py", "backend.py", "ops.py", "samples.py"
SEEDS = [
    Seed("PG001", "layers.py", "class Thrice(Module):", "class Thrice(Module)", "this is not Python: expected ':'"),
    Seed("PG101", PLUGIN, "def plugrad_backends(", "def plugrad_backend(", "no hook 'plugrad_backend' (did you mean"),
    Seed("PG101", PLUGIN, "@hookimpl\ndef plugrad_ops(", "def plugrad_op(", "did you mean 'plugrad_ops'?"),
    Seed("PG101", PLUGIN, "@hookimpl\ndef plugrad_ops(", "@hookimpl\ndef mine(", "no hook 'mine'", "def mine("),
    Seed("PG102", PLUGIN, "@hookimpl\ndef plugrad_ops(", "def plugrad_ops(", "put @hookimpl (from plugrad.plugins)"),
    Seed("PG103", PLUGIN, "def plugrad_ops(registrar):", "def plugrad_ops(r):", "takes (r); write it as plugrad_ops("),
    Seed("PG103", PLUGIN, "plugrad_ops(registrar):", "plugrad_ops(registrar, name):", "takes (registrar, name)"),
    Seed("PG104", PLUGIN, "    registrar.ops(", "    yield registrar.ops(", "'plugrad_ops' returns something"),
    Seed("PG104", PLUGIN, '"plugrad_mine.ops")', '"plugrad_mine.ops")\n    return 1', "no return", "return 1"),
    Seed("PG105", PLUGIN, "API = (1, 0)", "VERSION = (1, 0)",
         "plugrad_mine.plugin has no API; write API = (1, 0)", "The hooks"),
    Seed("PG105", PLUGIN, "API = (1, 0)", "API = '1.0'", "API is '1.0'; write API = (1, 0)"),
    Seed("PG105", PLUGIN, "API = (1, 0)", "API = [1, 0]", "API is [1, 0]"),
    Seed("PG106", PLUGIN, "API = (1, 0)", "API = (2, 0)", "written for plugin protocol 2.0, this plugrad speaks 1.0"),
    Seed("PG106", PLUGIN, "priority=20", "api=(1, 9)", "written for plugin protocol 1.9", "registrar.backend("),
    Seed("PG201", PLUGIN, "registrar.ops(", "registrar.op(", "no method 'op' (did you mean 'ops'?)"),
    Seed("PG202", PLUGIN, "probe=", "prob=", "registrar.backend has no 'prob' (did you mean 'probe'?)"),
    Seed("PG202", PLUGIN, ', target="plugrad_mine.ops"', "",
         "missing a required argument: 'target'", 'registrar.ops("mine")'),
    Seed("PG202", PLUGIN, '"mine", target="plugrad_mine.ops"', '"a", "b", "c"', "too many positional arguments"),
    Seed("PG202", BACKEND, 'Kernel(_sum, dtypes="float")', 'Kernel(_sum, dtype="float")',
         "unexpected keyword", "dtype="),
    Seed("PG203", PLUGIN, "plugrad_mine.samples:", "plugrad_mine.samples.", "write it like 'package.module:attribute'"),
    Seed("PG203", PLUGIN, 'backend("mine"', 'backend("my-mine"', "'my-mine' is not a valid name", 'backend("my-mine"'),
    Seed("PG203", PLUGIN, "priority=10", "priority=0", "priority 0 is for the backend's own kernels; use 1 or more"),
    Seed("PG204", PLUGIN, "plugrad_mine.ops", "plugrad_mine.opps", "no module 'plugrad_mine.opps' (did you mean"),
    Seed("PG204", PLUGIN, "backend:Mine", "backends:Mine", "(did you mean 'plugrad_mine.backend'?)", "backends:Mine"),
    Seed("PG204", PLUGIN, "plugrad_mine.ops", "plugrad_mime.ops", "(did you mean 'plugrad_mine.ops'?)"),
    Seed("PG205", PLUGIN, "backend:Mine", "backend:Min", "does not define 'Min' (did you mean 'Mine'?)", "backend:Min"),
    Seed("PG205", PLUGIN, '"Thrice"', '"Trice"', "does not define 'Trice' (did you mean 'Thrice'?)", "registrar.comp"),
    Seed("PG205", PLUGIN, "backend:available", "backend:avail", "(did you mean 'available'?)", "backend:avail"),
    Seed("PG206", PLUGIN, '"mine", target="plugrad_mine.ops")', '"mine", "a")\n    registrar.ops("mine", "a")',
         "drop one"),
    Seed("PG301", PLUGIN, "from plugrad", "import numpy\nfrom plugrad",
         "numpy is imported at registration; name it in"),
    Seed("PG301", PLUGIN, "from plugrad", "import plugrad.fft\nfrom plugrad",
         "plugrad.fft is imported at registration"),
    Seed("PG301", "layers.py", "from plugrad", "import pytest\nfrom plugrad",
         "(which registering with plugrad_mine.plugin"),
    Seed("PG302", BACKEND, "import numpy", "from plugrad import Tensor\nimport numpy",
         "a backend imports plugrad.Tensor"),
    Seed("PG302", BACKEND, "import numpy", "import plugrad.tape\nimport numpy", "a backend imports plugrad.tape;"),
    Seed("PG302", BACKEND, "import numpy as np", "import plugrad as pg\nimport numpy as np\n\nONE = pg.ones",
         "a backend uses plugrad.ones", "ONE ="),
    Seed("PG302", BACKEND, "import numpy", "from . import ops\nimport numpy",
         "imports plugrad.Op", "from plugrad import", OPS),
    Seed("PG303", OPS, "from plugrad", "import plugrad.testing\nfrom plugrad", "only samples.py and tests may"),
    Seed("PG401", BACKEND, '"add": np.add', '"adds": np.add',
         "the core has no op 'adds' (did you mean 'add'?)", '"adds"'),
    Seed("PG401", BACKEND, '("exp", "log")', '("exp", "logg")', "no op 'logg' (did you mean 'log'?)", "ELEMENTWISE = "),
    Seed("PG401", PLUGIN, '"mine.cube", backend', '"cubes", backend', "the core has no op 'cubes'", '"cubes"'),
    Seed("PG402", BACKEND, '"full": _full', '"full": _full, "full": _full',
         "'full' stands in this table before", '"full": _f'),
    Seed("PG403", BACKEND, "def cube(x):", "def cube(x, y):", "needs 2 operands, but it is called as mine.cube(x)"),
    Seed("PG403", BACKEND, '"add": np.add', '"add": lambda x: x',
         "takes 1 operand, but it is called as add(x, y)", '"add": lam'),
    Seed("PG403", BACKEND, "_add_into(out, x, y)", "_add_into(x, y)",
         "takes 1 operand, but it is called as add(x, y) after out"),
    Seed("PG404", BACKEND, "_sum(x, *, axis, keepdims)", "_sum(x, *, axis)", "does not take the attribute 'keepdims'"),
    Seed("PG404", BACKEND, "_sum(x, *, axis, keepdims)", "_sum(x, axis, keepdims, /)", "'axis' as a keyword"),
    Seed("PG404", BACKEND, "_sum(x, *, axis, keepdims)", "_sum(x, *, axes, keepdims)", "'axes', which is no attribute"),
    Seed("PG405", BACKEND, "value, device):", "value):",
         "a kernel of 'full' makes values and lacks the keyword 'device'"),
    Seed("PG406", BACKEND, "    return np.sum(x", "    x += 1\n    return np.sum(x",
         "writes its operand 'x'", "x += 1"),
    Seed("PG406", BACKEND, "    return np.sum(x", "    x[...] = 1\n    return np.sum(x",
         "make a new value", "x[...] = 1"),
    Seed("PG406", BACKEND, "    return x * x * x", "    return np.multiply(x, x, out=x)", "writes its operand 'x'"),
    Seed("PG406", BACKEND, "    return x * x * x", "    x.fill(0)\n    return x",
         "writes its operand 'x'", "x.fill(0)"),
    Seed("PG407", BACKEND, 'dtypes = "b1 i8 float"', 'dtypes = "b1 i8 flaot"', "Mine: 'flaot' is neither", "flaot"),
    Seed("PG407", BACKEND, '"f4 f8") for', '"f4 f9") for', "kernel of 'exp': 'f9' is neither", "ELEMENTWISE ="),
    Seed("PG407", OPS, 'dtypes="float"', 'dtypes="floats"', "mine.sigmoid: 'floats' is neither", "SIGMOID ="),
    Seed("PG407", PLUGIN, 'dtypes="f4 f8"', 'dtypes="f4 f3"',
         "'f3' is neither a dtype nor a group", "registrar.kernel("),
    Seed("PG501", BACKEND, "def to_host(", "def to_hots(",
         "Mine lacks 'to_host', which a backend owes ('to_hots' is no", "class Mine"),
    Seed("PG501", BACKEND, '    name = "mine"\n', "", "Mine lacks 'name', which a backend owes; see", "class Mine"),
    Seed("PG502", BACKEND, "from_host(self, array, device)", "from_host(self, array)",
         "write def from_host(self, array, device)"),
    Seed("PG503", BACKEND, 'name = "mine"', 'name = "other"', "is called 'other', but is registered as 'mine'"),
    Seed("PG504", BACKEND, 'dtypes = "b1', 'dtype = "b1',
         "Mine.dtype is no member of a backend (did you mean 'dtypes'?)"),
    Seed("PG601", OPS, "    def decompose(self, x):", "    def decompse(self, x):", "(did you mean 'decompose'?)"),
    Seed("PG601", OPS, "partials=", "partals=", "there is no rule 'partals' (did you mean 'partials'?)"),
    Seed("PG602", OPS, "vjp(self, g, y, xs, need)", "vjp(self, g, y, xs)",
         "called as vjp(self, g, y, xs, need, **attrs)"),
    Seed("PG602", OPS, "batch(self, size, xs, batched, **attrs)", "batch(self, xs, batched, **attrs)",
         "batch takes (xs,"),
    Seed("PG603", OPS, "spec(self, x, *, by)", "spec(self, x, *, bye)",
         "attribute 'by' of decompose (did you mean 'bye'?)"),
    Seed("PG603", OPS, "xs, batched, **attrs)", "xs, batched)",
         "batch does not take the attribute 'by' of spec", "def batch"),
    Seed("PG603", OPS, "    def decompose(self, x):", "    def decompose(self, x, y):", "takes 2 operands, but spec 1"),
    Seed("PG603", OPS, "partials=(", "partials=(None, ", "there are 2 partials, but decompose takes 1 operands"),
    Seed("PG604", OPS, 'name = "mine.cube"', 'name = "cube"', "op 'cube' has no prefix", '"cube"'),
    Seed("PG604", OPS, 'name = "mine.cube"', 'name = "mime.cube"', "the registered prefix is 'mine'", '"mime.cube"'),
    Seed("PG605", OPS, "saves = (0,)", "saves = (0)", "Cube: saves is 0; it must be a tuple of positions of operands"),
    Seed("PG605", OPS, "partials=(lambda y, x: y - y * y,)", "partials=(lambda y, x: y)", "write (f,) for one"),
    Seed("PG701", PLUGIN, "registrar.samples(", "print(", "registers ops but no samples", "registrar.ops("),
    Seed("PG702", SAMPLES, 'OpSample("mine.cube", (values(3),)), ', "",
         "no sample calls op 'mine.cube'", 'name = "mine.cube"', OPS),
    Seed("PG702", SAMPLES, '("twice", "thrice")', '("twice",)',
         "no sample calls layer 'thrice'", "registrar.component(", PLUGIN),
    Seed("PG703", SAMPLES, '"twice", "thrice"', '"twice", "thrice", "trice"',
         "no layer 'trice' (did you mean 'thrice'?)"),
    Seed("PG703", SAMPLES, 'found.append(', 'found.append(OpSample("mine.cub")), found.append(',
         "registers no op 'mine.cub'"),
    Seed("PG801", "pyproject.toml", "entry-points.plugrad", "entry-points.plugad",
         "no entry point of the group 'plugrad'", "[project]"),
    Seed("PG802", "pyproject.toml", "plugrad_mine.plugin", "plugrad_mine.plugins", "names 'plugrad_mine.plugins'"),
    Seed("PG803", "pyproject.toml", '"plugrad>=0.1,<1", ', "",
         "the dependencies do not name 'plugrad'; write 'plugrad>=", "[project]"),
    Seed("PG803", "pyproject.toml", ">=0.1,<1", ">=0.1", "'plugrad>=0.1' has no upper bound"),
    Seed("PG803", "pyproject.toml", ">=0.1,<1", ">=0.2,<1", "excludes this plugrad, 0.1.0, by '>=0.2'"),
    Seed("PG805", "pyproject.toml", "[project]", "[project", "cannot be read"),
]  # fmt: skip


def write(folder: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def changed(file: str, old: str, new: str) -> dict[str, str]:
    name = next(name for name in SOUND if name.endswith(f"/{file}") or name == file)
    assert SOUND[name].count(old) >= 1, f"{file} has no {old!r}"
    return {**SOUND, name: SOUND[name].replace(old, new, 1)}


def found(folder: Path, texts: dict[str, str]) -> list[Finding]:
    return lint(str(write(folder, texts)))


def test_a_plugin_without_mistakes_has_no_findings(tmp_path: Path) -> None:
    assert found(tmp_path, SOUND) == []


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed.code}-{seed.new.strip()[:24]}")
def test_a_mistake_is_found(seed: Seed, tmp_path: Path) -> None:
    texts = changed(seed.file, seed.old, seed.new)
    findings = found(tmp_path, texts)
    mine = [f for f in findings if f.code == seed.code and seed.said in f.message]
    assert len(mine) == 1, "\n".join(map(str, findings))
    path = Path(mine[0].path)
    assert path.name == (seed.where or seed.file)
    line = path.read_text(encoding="utf-8").splitlines()[mine[0].line - 1]
    assert (seed.at or seed.new.splitlines()[0].strip()) in line


def test_samples_are_not_compared_with_registrations_that_are_unknown(tmp_path: Path) -> None:
    texts = changed(PLUGIN, '"thrice": "Thrice"', 'os.environ["NAME"]: "Thrice"')
    name = "src/plugrad_mine/plugin.py"
    assert found(tmp_path, {**texts, name: texts[name].replace("API =", "import os\n\nAPI =", 1)}) == []


def test_an_op_that_nothing_makes_needs_no_sample(tmp_path: Path) -> None:
    more = '\n\nclass Base(Cube):\n    name = "mine.base"\n'
    path = "src/plugrad_mine/ops.py"
    assert found(tmp_path / "a", {**SOUND, path: SOUND[path] + more}) == []
    made = found(tmp_path / "b", {**SOUND, path: SOUND[path] + more + "\n\nBASE = Base()\n"})
    assert [(f.code, "op 'mine.base'" in f.message) for f in made] == [("PG702", True)]


def test_rules_are_inherited(tmp_path: Path) -> None:
    path = "src/plugrad_mine/ops.py"
    more = '\n\nclass Other(Scaled):\n    name = "mine.other"\n\n    def vjp(self, g, y, xs, need): ...\n'
    (one,) = found(tmp_path, {**SOUND, path: SOUND[path] + more})
    assert one.code == "PG603" and "vjp does not take the attribute 'by' of spec and decompose" in one.message
