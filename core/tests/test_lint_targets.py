"""What ``plugrad lint`` can be asked about, what it prints, what it is silent about; and our own plugins."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from plugrad.cli import main
from plugrad.errors import suggest
from plugrad.testing.lint import CODES, Finding, LintError, lint
from plugrad.testing.lint.facts import OWED, RULES
from plugrad.testing.lint.packaging import admits
from plugrad.testing.scaffold import KINDS, plan

ROOT = Path(__file__).resolve().parents[2]
OURS = ["plugins/nn", "plugins/norm", "plugins/optim", "plugins/data", "plugins/train", "plugins_cpu", "plugins_cuda"]
OURS += ["examples/backend_jax"]

PLUGIN = "from plugrad.plugins import hookimpl\n\nAPI = (1, 0)\n\n\n@hookimpl\ndef plugrad_{0}s(registrar):\n    {1}\n"
BACKEND = """import numpy as np
from plugrad.backend import Backend, Spec

{0}


class Mine(Backend):
    name = "mine"
    kernels = {{{1}}}

    def from_host(self, array, device):
        return np.array(array)

    def to_host(self, value):
        return value

    def spec(self, value):
        return Spec(value.shape, value.dtype)
"""


def write(folder: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def in_package(folder: Path, **modules: str) -> list[Finding]:
    """The findings about a package without metadata."""
    files = {f"mine/{name}.py": text for name, text in modules.items()}
    return lint(str(write(folder, {"mine/__init__.py": "", **files}) / "mine"))


def in_backend(folder: Path, above: str, table: str) -> list[Finding]:
    """The findings about a backend with these definitions and this table of kernels."""
    return in_package(folder, backend=BACKEND.format(above, table))


def codes(found: list[Finding]) -> list[str]:
    return [finding.code for finding in found]


def generated(folder: Path) -> Path:
    plan(KINDS["backend"], "lintable", folder / "project").write()
    return folder / "project"


def misspelt(folder: Path) -> Path:
    """A generated backend with one mistake on line 27 of one of its files."""
    path = generated(folder) / "src/plugrad_lintable/kernels/elementwise.py"
    path.write_text(path.read_text(encoding="utf-8").replace('"exp":', '"exq":'), encoding="utf-8")
    return folder / "project"


# -- whatever is right


@pytest.mark.parametrize("folder", OURS)
def test_our_own_plugins_have_no_findings(folder: str) -> None:
    assert [str(f) for f in lint(str(ROOT / folder))] == []


def test_the_generated_backend_has_no_findings(tmp_path: Path) -> None:
    assert lint(str(generated(tmp_path)), with_import=True) == []


@pytest.mark.parametrize("name", ["plugrad-nn", "plugrad_optim"])
def test_an_installed_distribution(name: str) -> None:
    pytest.importorskip(name.replace("-", "_"))
    assert codes(lint(name)) == []


@pytest.mark.parametrize(
    ("above", "table"),
    [
        ("", '"add": np.add, **unknown()'),
        ("def f(*xs, **attrs): ...", '"sum": f, "add": f, "full": f'),
        ("@wrapped\ndef f(a): ...", '"add": f'),
        ("@np.errstate(all='ignore')\ndef f(x, y): ...", '"add": f'),
        ("def f(x, axis, keepdims): ...", '"sum": f'),
        ("def f(x, y=None, *, axis, keepdims, more=1): ...", '"sum": f'),
        ("def f(*xs, axis): ...", '"concat": f'),
        ("def f(x):\n    x = x.copy()\n    x += 1\n    x[0] = 2\n    return x", '"exp": f'),
        ("def f(x):\n    out = np.empty_like(x)\n    np.exp(x, out=out)\n    return out", '"exp": f'),
        ("import jax\n\n\ndef f(x):\n    x += 1\n    return x", '"exp": f'),
        ("def f(x, *, axis):\n    axis += 1\n    return x", '"cumsum": f'),
        ("import helpers", '"nowhere.op": helpers.f, helpers.name: 1'),
        ("TABLE = {}\nfor name in ('exp', 'log'):\n    TABLE[name] = getattr(np, name)", "**TABLE"),
        ("def table(names):\n    return {n: getattr(np, n) for n in names.split()}", "**table('exp log')"),
        ("X = ['exp']\nfor _ in range(1000):\n    X = X + X\nY = range(10**12)", "**{n: 1 for n in [*X, *Y]}"),
        ("BASE = {'exp': np.exp}\nMORE = BASE.copy()\nMORE.update({'nothing': 1})", "**BASE"),
        ("def f(x): ...\nf.other = f", '"exp": f.other'),
        ("import random\nNAMES = ['ex'] if random.random() > 2 else []", "**{n: 1 for n in NAMES}"),
    ],
)
def test_what_is_right_or_unknown_is_passed_over(above: str, table: str, tmp_path: Path) -> None:
    assert in_backend(tmp_path, above, table) == []


def test_a_helper_of_a_backend_may_be_called_almost_like_a_member(tmp_path: Path) -> None:
    helper = BACKEND.format("", "") + "\n    def device(self):\n        return '0'\n"
    assert codes(in_package(tmp_path / "a", backend=helper)) == ["PG504"]
    used = helper + "\n    def devices(self):\n        return [self.device()]\n"
    assert in_package(tmp_path / "b", backend=used) == []


@pytest.mark.parametrize(
    "body",
    [
        "return registrar.command('a', 'json:loads')",
        "for name in names(): registrar.command(name, f'mine.{name}:main')",
        "if names: registrar.command('a', 'json:loads')\n    else: registrar.command('a', 'json:dumps')",
        "helper(registrar)",
        "registrar.command(*words)",
    ],
)
def test_registrations_that_are_right_or_unknown(body: str, tmp_path: Path) -> None:
    assert (
        in_package(tmp_path, plugin=PLUGIN.format("command", body) + "\n\ndef helper(r): r.observer('x', 'ast:walk')")
        == []
    )


def test_a_helper_is_followed(tmp_path: Path) -> None:
    text = (
        PLUGIN.format("command", "helper(registrar, 'hello world')")
        + "\n\ndef helper(r, n): r.command(n, 'ast:walk')\n"
    )
    (found,) = in_package(tmp_path, plugin=text)
    assert (found.code, found.line) == ("PG203", 11) and "'hello world' is not a valid name" in found.message


@pytest.mark.parametrize(
    ("above", "table", "code"),
    [
        ("TABLE = {}\nfor name in ('exp', 'logg'):\n    TABLE[name] = getattr(np, name)", "**TABLE", "PG401"),
        ("def table(names):\n    return {n: getattr(np, n) for n in names.split()}", "**table('exp logg')", "PG401"),
        ("TABLE = {'exp': np.exp}\nTABLE |= {'logg': np.log}", "**TABLE", "PG401"),
        ("TABLE = {'exp': np.exp}\nTABLE.update({'logg': np.log})", "**TABLE", "PG401"),
        ("def made(f):\n    def kernel(x, y): ...\n    return kernel", '"exp": made(np.exp)', "PG403"),
        ("", '"where": lambda x, y: x', "PG403"),
        ("", '"iota": lambda *, size, dtype: 0', "PG405"),
        ("", '"neg": np.subtract', "PG403"),
        ("", '"sum": lambda x, *, axis, keepdim: 0', "PG404"),
        ("def f(x):\n    x[0] += 1", '"exp": f', "PG406"),
        ("def f(x):\n    np.copyto(x, 0)", '"exp": f', "PG406"),
        ("def f(x, y):\n    a, y[0] = 1, 2", '"add": f', "PG406"),
    ],
)
def test_tables_and_functions_are_evaluated(above: str, table: str, code: str, tmp_path: Path) -> None:
    assert code in codes(in_backend(tmp_path, above, table))


def test_a_misspelt_attribute_is_one_mistake(tmp_path: Path) -> None:
    kernel = '"sum": lambda x, *, axis, keepdim: x'
    (found,) = in_package(tmp_path, backend=BACKEND.format("", kernel))
    assert found.code == "PG404" and "asks for 'keepdim'" in found.message


def test_a_backend_of_another_plugins_op_is_checked_where_that_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("plugrad_norm")
    found = in_backend(tmp_path, "", '"norm.layer_nrm": np.add, "norm.layer_norm": lambda x, *, eps: x')
    assert codes(found) == ["PG401", "PG403"]
    assert "did you mean 'norm.layer_norm'" in found[0].message
    assert "it is called as norm.layer_norm(x, y, z, *, eps)" in found[1].message


def test_another_plugin_is_no_business_of_a_backend(tmp_path: Path) -> None:
    pytest.importorskip("plugrad_norm")
    (found,) = in_backend(tmp_path, "import plugrad_norm", "")
    assert found.code == "PG302" and "claim its ops by name" in found.message


def test_a_package_inside_the_namespace_of_the_core(tmp_path: Path) -> None:
    project = "[project]\nname = 'plugrad-mine'\ndependencies = ['plugrad>=0.1,<1']\n"
    project += "[project.entry-points.plugrad]\nmine = 'plugrad.mine.plugin'\n"
    hooks = PLUGIN.format("command", "registrar.command('a', 'json:loads')")
    write(tmp_path, {"pyproject.toml": project, "src/plugrad/mine/plugin.py": hooks})
    (found,) = lint(str(tmp_path))
    assert found.code == "PG804" and found.message.endswith("name it plugrad_mine")


# -- what can be asked about


def test_a_file_a_package_and_a_folder_inside_it(tmp_path: Path) -> None:
    package = misspelt(tmp_path) / "src/plugrad_lintable"
    for what in (package, package / "kernels", package / "kernels/elementwise.py"):
        (found,) = lint(str(what))
        assert (found.code, Path(found.path).name) == ("PG401", "elementwise.py")
    assert lint(str(package / "backend.py")) == []
    write(package, {"other/__init__.py": ""})
    assert lint(str(package / "other")) == []


@pytest.mark.parametrize("need", ["plugrad[einsum]>=0.1,<1", "plugrad @ file:///a.whl", "plugrad (~=0.1)"])
def test_dependencies_that_are_right(need: str, tmp_path: Path) -> None:
    config = generated(tmp_path) / "pyproject.toml"
    text = re.sub(r'"plugrad>[^"]*"', f'"{need}"', config.read_text(encoding="utf-8"))
    assert f'"{need}"' in text
    config.write_text(text, encoding="utf-8")
    assert lint(str(config.parent)) == []


def test_a_flat_layout(tmp_path: Path) -> None:
    project = misspelt(tmp_path)
    (project / "src/plugrad_lintable").rename(project / "plugrad_lintable")
    (project / "src").rmdir()
    assert codes(lint(str(project))) == ["PG401"]


def test_a_distribution_that_is_not_editable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = misspelt(tmp_path) / "src"
    points = "[plugrad]\nlintable = plugrad_lintable.plugins\n"
    needs = "Metadata-Version: 2.1\nName: plugrad-lintable\nVersion: 0.1.0\nRequires-Dist: plugrad>=0.1\n"
    write(source / "plugrad_lintable-0.1.0.dist-info", {"METADATA": needs, "entry_points.txt": points})
    monkeypatch.syspath_prepend(str(source))
    found = lint("plugrad-lintable")
    assert [(f.code, Path(f.path).name, f.line) for f in found] == [
        ("PG803", "METADATA", 4),
        ("PG802", "entry_points.txt", 2),
        ("PG401", "elementwise.py", 27),
    ]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nowhere/", "nowhere/: does not exist"),
        ("./nowher", "./nowher: does not exist (did you mean 'nowhere'?)"),
        ("plugrad-mn", "'plugrad-mn' is neither a path nor an installed distribution"),
        ("text.txt", "text.txt: is no Python file"),
        ("plugrad", "plugrad: is plugrad itself, which is no plugin"),
        ("empty", "empty: holds neither a pyproject.toml nor a package"),
    ],
)
def test_a_wrong_call(
    what: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"text.txt": "", "empty/a.txt": ""})
    if "did you" in said:
        (tmp_path / "nowhere").mkdir()
    assert main(["lint", what]) == 2
    assert capsys.readouterr().err.startswith(f"plugrad lint: {said}")


def test_an_unknown_distribution_is_compared_with_those_installed() -> None:
    known = [str(d.name) for d in metadata.distributions()]
    with pytest.raises(LintError) as caught:
        lint("plugradd")
    assert str(caught.value).endswith(suggest("plugradd", known)) and "did you mean" in str(caught.value)


# -- what is printed


def test_lines_and_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    misspelt(tmp_path)
    assert main(["lint", "project"]) == 1
    line, count = capsys.readouterr().out.splitlines()
    where = str(Path("project/src/plugrad_lintable/kernels/elementwise.py"))
    assert line.startswith(f"{where}:27: PG401 the core has no op 'exq' (did you mean 'exp'?)") and count == "1 finding"
    assert main(["lint", "project", "--format", "json"]) == 1
    (one,) = json.loads(capsys.readouterr().out)
    assert list(one) == ["path", "line", "code", "message"] and (one["path"], one["line"]) == (where, 27)


def test_nothing_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(generated(tmp_path))]) == 0
    assert capsys.readouterr().out == "no findings\n"


def test_the_order_is_by_file_and_line(tmp_path: Path) -> None:
    found = in_backend(tmp_path, "import plugrad.tape", '"zz": 1,\n"aa": 2,\n"add": lambda x: x')
    assert codes(found) == ["PG302", "PG401", "PG401", "PG403"]
    assert [f.line for f in found] == sorted(f.line for f in found)


# -- importing


def test_nothing_is_imported_unless_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "mark").mkdir()
    text = PLUGIN.format("command", "pass") + f"\nopen({str(tmp_path / 'mark' / 'a')!r}, 'w').close()\n"
    assert in_package(tmp_path, plugin=text) == []
    assert not list((tmp_path / "mark").iterdir())
    assert lint(str(tmp_path / "mine"), with_import=True) == []
    assert list((tmp_path / "mark").iterdir())


@pytest.mark.parametrize(
    ("line", "code", "said", "at"),
    [
        ("1 / 0", "PG901", "raises ZeroDivisionError", 10),
        ("raise SystemExit(3)", "PG901", "raises SystemExit: 3", 10),
        ("__import__('sqlite3'); __import__('pytest')", "PG902", "loads pytest; name it in a target", 1),
        (
            "globals().update(plugrad_nothings=hookimpl(lambda registrar: None))",
            "PG903",
            "unknown hook 'plugrad_nothings'",
            1,
        ),
    ],
)
def test_what_importing_shows(line: str, code: str, said: str, at: int, tmp_path: Path) -> None:
    assert in_package(tmp_path, plugin=PLUGIN.format("command", "pass") + f"\n{line}\n") == []
    found = [f for f in lint(str(tmp_path / "mine"), with_import=True) if f.code == code and said in f.message]
    assert [(Path(f.path).name, f.line) for f in found] == [("plugin.py", at)]


# -- the lint and what it is about


def test_the_page_lists_every_code() -> None:
    page = (ROOT / "docs" / "plugin_author.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(PG\d{3})` \| (.*) \|$", page, re.MULTILINE))
    assert rows == CODES


def test_every_code_is_reported_and_tested() -> None:
    folder = Path(__file__).parent
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "core/src/plugrad/testing/lint").glob("*.py"))
    tests = "".join(p.read_text(encoding="utf-8") for p in folder.glob("test_lint*.py"))
    assert [code for code in CODES if sources.count(f'"{code}"') < 2 or f'"{code}"' not in tests] == []
    assert set(re.findall(r"PG\d{3}", sources)) == set(CODES)


def test_it_takes_what_it_knows_from_plugrad() -> None:
    assert {"vjp", "partials", "saves", "spec", "decompose"} <= set(RULES)
    assert {"vjp_rule", "bind", "registered"}.isdisjoint(RULES)
    assert OWED == ["name", "from_host", "to_host", "spec"]


@pytest.mark.parametrize(
    ("operator", "bound", "version", "wanted"),
    [
        ("<", "1", "0.9.9", True),
        ("<", "1.0", "1", False),
        (">=", "0.2.dev0", "0.2.0", True),
        (">=", "0.2", "0.2rc1", False),
        ("==", "0.1.*", "0.1.7", True),
        ("!=", "0.1.*", "0.1.7", False),
        ("~=", "0.1.2", "0.2.0", False),
        ("~=", "0.1", "0.2.0", True),
        ("==", "0.1", "0.1.0", True),
        ("<", "spring", "0.1.0", None),
    ],
)
def test_versions(operator: str, bound: str, version: str, wanted: Any) -> None:
    assert admits(operator, bound, version) is wanted


def test_the_command_is_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plugrad", "lint", "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0 and "--format {text,json}" in done.stdout


def test_several_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As if they were one; a finding in both is told once."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text("def plugrad_backends(registrar):\n    pass\n")
    one, two = [str(tmp_path / f"{name}.py") for name in ("one", "two")]
    assert main(["lint", one, two, one]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == sorted(lines[:-1]) + [f"{len(lines) - 1} findings"] and len(lines) == len(set(lines))
    assert any("one.py" in line for line in lines) and any("two.py" in line for line in lines)
    assert main(["lint", one, str(tmp_path / "three.py")]) == 2
    assert capsys.readouterr().out == ""
