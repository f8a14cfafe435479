"""``plugrad new``: what it writes, and what it refuses before it writes anything."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import plugrad
from plugrad.backend import API
from plugrad.cli import main
from plugrad.plugins.loader import check_hooks
from plugrad.plugins.registrar import Provider, Registrar
from plugrad.testing import FIRST_EVENING
from plugrad.testing.scaffold import KINDS, ScaffoldError, names, plan
from plugrad.testing.scaffold import project as scaffold
from plugrad.testing.scaffold.names import LONGEST_DISTRIBUTION, LONGEST_NAME
from plugrad.testing.scaffold.project import authors, bounds

COMMON = [
    ".gitignore",
    "README.md",
    "pyproject.toml",
    "src/plugrad_mine/__init__.py",
    "src/plugrad_mine/plugin.py",
    "src/plugrad_mine/py.typed",
    "tests/test_plugin.py",
]
SAMPLED = ["src/plugrad_mine/samples.py", "tests/test_conformance.py"]
OWN = {
    "backend": [
        "src/plugrad_mine/array.py",
        "src/plugrad_mine/backend.py",
        "src/plugrad_mine/kernels/__init__.py",
        "src/plugrad_mine/kernels/contraction.py",
        "src/plugrad_mine/kernels/elementwise.py",
        "src/plugrad_mine/kernels/movement.py",
        "src/plugrad_mine/kernels/reduction.py",
        "src/plugrad_mine/probe.py",
        "tests/conftest.py",
        "tests/test_backend.py",
    ],
    "op": [*SAMPLED, "src/plugrad_mine/ops.py", "tests/test_ops.py"],
    "layer": [*SAMPLED, "src/plugrad_mine/layer.py", "tests/test_layer.py"],
    "optimizer": [*SAMPLED, "src/plugrad_mine/optim.py", "tests/test_optim.py"],
    "dataset": [*SAMPLED, "src/plugrad_mine/dataset.py", "tests/test_dataset.py"],
    "command": ["src/plugrad_mine/command.py", "tests/test_command.py"],
}
"""The files of each kind beside those that all have."""
FILES = sorted(COMMON + OWN["backend"])
HOOKS = {
    "backend": {"backend": "mine"},
    "op": {"ops": "mine", "samples": "plugrad_mine.samples:samples"},
    "layer": {"component": "mine", "samples": "plugrad_mine.samples:samples"},
    "optimizer": {"component": "mine", "samples": "plugrad_mine.samples:samples"},
    "dataset": {"component": "mine", "samples": "plugrad_mine.samples:samples"},
    "command": {"command": "mine"},
}
"""What each kind's plugin registers: words and names."""


@pytest.fixture(autouse=True)
def _optimizers_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where plugrad-optim is installed, which is not so where the core is tested alone."""
    versions = {"plugrad-optim": "0.1.0"}
    monkeypatch.setattr(scaffold, "version_of", lambda name: versions.get(name) or names.version_of(name))


def texts_of(kind: str, name: str = "mine", **options: Any) -> dict[str, str]:
    return plan(KINDS[kind], name, **options).texts


def backend(name: str = "mine", **options: Any) -> dict[str, str]:
    return texts_of("backend", name, **options)


def project(texts: dict[str, str]) -> dict[str, Any]:
    return tomllib.loads(texts["pyproject.toml"])["project"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_the_files_and_says_what_comes_next(
    kind: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", kind, "mine"]) == 0
    folder, files = here / "plugrad-mine", sorted(COMMON + OWN[kind])
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == files
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"wrote {len(files)} files in plugrad-mine:"
    assert sorted(line.strip() for line in lines[1:-4]) == files
    assert lines[-4:] == [
        "next, in the environment in which plugrad is installed:",
        "  cd plugrad-mine",
        "  python -m pip install -e '.[testing]'",
        "  python -m pytest",
    ]


NAMES = ["x", "my-chip", "a1_b2", "backend", "array", "class", "module", "optimizer", "any", "a" * LONGEST_NAME]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_whatever_the_name_the_files_are_sound(name: str, kind: str) -> None:
    for path, text in texts_of(kind, name).items():
        assert "$" not in text, path
        assert text == "" or (text.endswith("\n") and not text.endswith("\n\n")), path
        if path.endswith(".py"):
            compile(text, path, "exec", flags=ast.PyCF_ONLY_AST)
            tree = ast.parse(text)
            assert (ast.get_docstring(tree) or "").strip(), path
            defined = {node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
            imported = {
                alias.asname or alias.name
                for node in ast.walk(tree)
                for alias in getattr(node, "names", ())
                if isinstance(alias, ast.alias)
            }
            assert not defined & imported, path


@pytest.mark.parametrize("kind", KINDS)
def test_its_plugin_registers_by_the_right_hooks(kind: str) -> None:
    module = ModuleType("mine")
    exec(texts_of(kind)["src/plugrad_mine/plugin.py"], vars(module))
    check_hooks(module)
    registrar = Registrar(Provider("plugrad-mine", "0.1.0", "mine"))
    for name in sorted(name for name in vars(module) if name.startswith("plugrad_")):
        vars(module)[name](registrar)
    assert {entry.word: entry.name for entry in registrar.entries} == HOOKS[kind]
    assert {entry.kind for entry in registrar.entries} - {""} <= {kind}
    listed = texts_of(kind)["tests/test_plugin.py"]
    assert all(f'    "{entry}",\n' in listed for entry in registrar.entries)
    files = {entry.target.partition(":")[0].replace(".", "/") for entry in registrar.entries}
    assert {f"src/{file}.py" for file in files} <= set(texts_of(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_only_samples_and_tests_import_the_kit(kind: str) -> None:
    kit = {path for path, text in texts_of(kind).items() if re.search(r"^(from|import) plugrad\.testing", text, re.M)}
    sampled = {"src/plugrad_mine/samples.py"} & set(OWN[kind])
    assert {path for path in kit if path.startswith("src/")} == sampled


def test_dashes_are_for_the_distribution_and_underscores_for_python() -> None:
    for given in ("my-chip", "my_chip"):
        texts = backend(given)
        assert project(texts)["name"] == "plugrad-my-chip"
        assert project(texts)["entry-points"] == {"plugrad": {"my_chip": "plugrad_my_chip.plugin"}}
        assert "class MyChipBackend(Backend):" in texts["src/plugrad_my_chip/backend.py"]
        assert 'name = "my_chip"' in texts["src/plugrad_my_chip/backend.py"]
        assert 'target="plugrad_my_chip.backend:MyChipBackend"' in texts["src/plugrad_my_chip/plugin.py"]
        plugin = texts_of("command", given)["src/plugrad_my_chip/plugin.py"]
        assert 'registrar.command(\n        "my-chip",' in plugin, "a command is typed"


def test_the_project_depends_on_this_plugrad_and_its_python() -> None:
    table, core = project(backend()), metadata.metadata("plugrad")
    wanted = [f"plugrad{bounds('plugrad', core['Version'])}", "numpy>=2.1"]
    for kind in KINDS:
        more = ["plugrad-optim>=0.1,<1"] if kind == "optimizer" else []
        assert sorted(project(texts_of(kind))["dependencies"]) == sorted(wanted + more)
    assert table["requires-python"] == core["Requires-Python"]
    assert f"\nAPI = {API}\n" in backend()["src/plugrad_mine/plugin.py"]


def test_the_licence_is_left_open() -> None:
    texts = backend()
    assert not {"license", "license-files"} & set(project(texts)) and "LICENSE" not in texts
    assert project(texts)["classifiers"] == ["Private :: Do Not Upload"]
    assert "## Choose a licence" in texts["README.md"]


def test_the_kernels_are_those_of_the_first_evening() -> None:
    texts = backend()
    kernels: list[str] = []
    for path in texts:
        for node in ast.walk(ast.parse(texts[path])) if "/kernels/" in path else ():
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict):
                kernels += [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
    assert sorted(kernels) == sorted(FIRST_EVENING.adds)
    assert set(kernels) <= set(plugrad.OPS)


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("0.1.0", ">=0.1,<1"),
        ("1.4.2", ">=1.4,<2"),
        ("12.0.1.post1", ">=12.0,<13"),
        ("3", ">=3.0,<4"),
        ("0.2.0.dev3", ">=0.2.dev0,<1"),
        ("1.0rc1", ">=1.0.dev0,<2"),
        ("0.1.0+local", ">=0.1,<1"),
    ],
)
def test_bounds(version: str, wanted: str) -> None:
    assert bounds("plugrad", version) == wanted


def test_no_bounds_without_a_version() -> None:
    for version in (None, "source"):
        with pytest.raises(ScaffoldError, match="install plugrad first"):
            bounds("plugrad", version)


def test_an_optimizer_needs_what_it_is_built_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaffold, "version_of", lambda name: None if name == "plugrad-optim" else "0.1.0")
    assert project(texts_of("layer"))["name"] == "plugrad-mine"
    with pytest.raises(ScaffoldError, match="plugrad-optim without metadata: .*; install plugrad-optim first"):
        texts_of("optimizer")


def test_the_author_is_whoever_is_given() -> None:
    assert "authors" not in project(backend())
    assert project(backend(author="Ada"))["authors"] == [{"name": "Ada"}]
    given = 'Å "Q" \\ Lovelace <ada@example.org>'
    assert project(backend(author=given))["authors"] == [{"name": 'Å "Q" \\ Lovelace', "email": "ada@example.org"}]
    for wrong in ("<ada@example.org>", "Ada <ada>", "Ada <a@b", "a\nb", " "):
        with pytest.raises(ScaffoldError, match="author"):
            authors(wrong)


def test_another_distribution() -> None:
    texts = backend(distribution="chip-arrays")
    assert project(texts)["name"] == "chip-arrays"
    assert project(texts)["entry-points"] == {"plugrad": {"mine": "chip_arrays.plugin"}}
    assert "from chip_arrays.kernels import KERNELS" in texts["tests/test_backend.py"]


REFUSED = [
    (["Mine"], "write for example 'mine'"),
    (["my--chip"], "write for example 'my-chip'"),
    (["-x-"], "the following arguments are required"),
    (["chip-"], "write for example 'chip'"),
    (["9chips"], "it must begin with a letter"),
    (["naïve"], "write for example 'my-chip'"),
    (["../mine"], "write for example 'mine'"),
    ([""], "it must begin with a letter"),
    (["a" * (LONGEST_NAME + 1)], f"use at most {LONGEST_NAME}"),
    (["plugrad-mine"], "write 'mine'"),
    (["plugrad_mine"], "write 'mine'"),
    (["none"], "it is reserved"),
    (["plugrad"], "it is reserved"),
    (["numpy"], "it is taken by plugrad"),
    (["core"], "it is taken by plugrad"),
    (["mine", "--distribution", "Mine!"], "distribution 'Mine!': it must begin"),
    (["mine", "--distribution", "a" * (LONGEST_DISTRIBUTION + 1)], f"use at most {LONGEST_DISTRIBUTION}"),
    (["mine", "--distribution", "numpy"], "is installed"),
    (["mine", "--distribution", "ml-dtypes"], "is installed"),
    (["mine", "--distribution", "json"], "word or module of Python"),
    (["mine", "--distribution", "class"], "word or module of Python"),
    (["mine", "--distribution", "plugrad-optim"], "one of plugrad's own"),
    (["mine", "--distribution", "held"], "'held' can be imported already"),
    (["mine", "--author", "Ada <nowhere>"], "write a name, or"),
    (["mine", "--path", "full"], "exists and holds kept.txt; nothing is overwritten"),
    (["mine", "--path", "full/kept.txt"], "exists and is not a folder"),
    (["mine", "--path", "full/kept.txt/below"], "exists and is not a folder"),
    (["mine", "--path", "dangling"], "exists and is not a folder"),
]


@pytest.mark.parametrize(("arguments", "reason"), REFUSED, ids=lambda value: " ".join(value)[:30] or "empty")
def test_it_refuses_before_it_writes(
    arguments: list[str], reason: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "full").mkdir()
    (here / "full" / "kept.txt").write_text("kept")
    (here / "dangling").symlink_to(here / "nowhere")
    (here / "held.py").touch()
    monkeypatch.syspath_prepend(str(here))
    before = sorted(here.rglob("*"))
    assert main(["new", "backend", *arguments]) in (1, 2)
    streams = capsys.readouterr()
    assert reason in streams.err and "Traceback" not in streams.err and streams.out == ""
    assert [path for path in sorted(here.rglob("*")) if "__pycache__" not in path.parts] == before
    assert (here / "full" / "kept.txt").read_text() == "kept"


@pytest.mark.parametrize("name", ["cpu", "cuda", "nn", "train"])
def test_the_projects_own_names_are_never_free(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where none of them is installed."""
    with pytest.raises(ScaffoldError, match=f"name '{name}': it is (reserved|taken)"):
        backend(name)
    monkeypatch.setattr(names, "statuses", lambda: ())
    with pytest.raises(ScaffoldError, match=f"name '{name}': it is reserved for plugrad's own plugrad-{name}"):
        backend(name)


def test_names_of_installed_plugins_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point's name and those of things of the same kind, whoever brings them; names of others are free."""
    registrar = Registrar(Provider("somebodys-chips", "2.0", "chips"))
    registrar.backend("chip", "chips:Chip")
    registrar.ops("signal", "chips.ops")
    for kind in ("layer", "optimizer", "dataset"):
        registrar.component(kind, f"{kind}_of_mine", "chips:Mine")
    registrar.command("chip-tool", "chips:tool")
    status = SimpleNamespace(provider=registrar.provider, provides=tuple(registrar.entries))
    monkeypatch.setattr(names, "statuses", lambda: (status,))
    taken = {"backend": "chip", "op": "signal", "command": "chip-tool"}
    taken |= {kind: f"{kind}_of_mine" for kind in ("layer", "optimizer", "dataset")}
    for kind in KINDS:
        for other, name in taken.items():
            if other == kind:
                with pytest.raises(ScaffoldError, match=f"name '{name}': it is taken by somebodys-chips 2.0"):
                    texts_of(kind, name)
            else:
                assert project(texts_of(kind, name))["name"] == f"plugrad-{name.replace('_', '-')}"
        with pytest.raises(ScaffoldError, match="name 'chips': it is taken by somebodys-chips 2.0"):
            texts_of(kind, "chips")


def test_an_installed_distribution_is_taken(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = here / "plugrad_mine-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugrad-mine\nVersion: 0.1.0\n")
    monkeypatch.syspath_prepend(str(here))
    with pytest.raises(ScaffoldError, match=r"distribution 'plugrad-mine': 0.1.0 is installed"):
        backend()
    assert project(backend(distribution="mine-arrays"))["name"] == "mine-arrays"


@pytest.mark.parametrize("held", [(), (".git",)], ids=["empty", "a fresh repository"])
def test_an_empty_folder_is_used(held: tuple[str, ...], tmp_path: Path) -> None:
    for name in held:
        (tmp_path / name).mkdir()
    made = plan(KINDS["backend"], "mine", tmp_path)
    made.write()
    assert sorted(made.texts) == FILES
    assert (tmp_path / "src/plugrad_mine/plugin.py").read_text() == made.texts["src/plugrad_mine/plugin.py"]


def test_folders_above_are_made(tmp_path: Path) -> None:
    plan(KINDS["backend"], "mine", tmp_path / "a" / "b").write()
    assert (tmp_path / "a" / "b" / "tests" / "conftest.py").is_file()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    made = plan(KINDS["backend"], "mine", tmp_path / "new")
    (tmp_path / "new").touch()
    with pytest.raises(ScaffoldError, match="new: cannot be written: .*; choose another --path"):
        made.write()


def test_wrong_calls(capsys: pytest.CaptureFixture[str]) -> None:
    for call in (["new"], ["new", "backend"], ["new", "toaster", "mine"]):
        assert main(call) == 2
        assert "plugrad new" in capsys.readouterr().err
    assert main(["new", "backend", "--help"]) == 0
    assert "--distribution DIST" in capsys.readouterr().out
    assert main(["new", "--help"]) == 0
    told = capsys.readouterr().out
    assert all(re.search(rf"^ +{kind}\b", told, re.MULTILINE) for kind in KINDS), told
