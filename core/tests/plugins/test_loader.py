"""Discovery: choice, order, isolation, duplicates, thread safety; and that nothing happens before it is asked for."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

import plugrad
from plugrad.plugins import hookimpl
from plugrad.plugins.loader import BUILTIN, PluginStatus, Registry, load_all
from plugrad.plugins.registrar import Provider


def candidate(monkeypatch: pytest.MonkeyPatch, name: str, dist: str = "", **hooks: Any) -> PluginStatus:
    """A candidate whose module has the given hooks, each called with the registrar."""
    module = ModuleType(f"{dist.replace('-', '_')}{name}_test_plugin")
    module.API = (1, 0)  # type: ignore[attr-defined]
    for hook, body in hooks.items():

        def impl(registrar: Any, body: Any = body) -> None:
            body(registrar)

        setattr(module, hook, hookimpl(specname=hook)(impl))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return PluginStatus(Provider(dist or f"plugrad-{name}", "1.0", name), EntryPoint(name, module.__name__, "plugrad"))


def builtin() -> PluginStatus:
    return PluginStatus(Provider("plugrad", "1.0", "core"), BUILTIN)


def states(registry: Registry) -> dict[str, str]:
    return {p.provider.entry_point: p.status for p in registry.plugins}


@pytest.mark.parametrize(
    ("text", "loaded"),
    [
        ("", "core a b c"),
        ("none", "core"),
        ("a", "core a"),
        (" a , c ", "core a c"),
        ("-b", "core a c"),
        ("a,b,-b", "core a"),
        ("-core", "core a b c"),
        ("none,a", "core a"),
    ],
)
def test_choice(monkeypatch: pytest.MonkeyPatch, text: str, loaded: str) -> None:
    registry = load_all([builtin(), *[candidate(monkeypatch, name) for name in "abc"]], text)
    assert {name for name, status in states(registry).items() if status == "ok"} == set(loaded.split())
    assert all(p.reason == f"PLUGRAD_PLUGINS={text}" for p in registry.plugins if p.status == "disabled")
    assert registry.notes == []


def test_choice_names_an_unknown_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = load_all([builtin(), candidate(monkeypatch, "cuda")], "-cdua")
    assert registry.notes == ["PLUGRAD_PLUGINS names 'cdua', which is not installed (did you mean 'cuda'?)"]


def test_a_disabled_plugin_is_not_imported() -> None:
    absent = PluginStatus(Provider("plugrad-x", "1.0", "x"), EntryPoint("x", "plugrad_absent.plugin", "plugrad"))
    assert states(load_all([absent], "none")) == {"x": "disabled"}
    assert states(load_all([absent])) == {"x": "failed"}


def test_every_hook_is_called_once_with_its_own_registrar(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str]] = []
    hooks = [
        f"plugrad_{h}"
        for h in ("backends", "ops", "kernels", "components", "samples", "passes", "observers", "commands")
    ]
    for_plugin = {h: (lambda r, h=h: calls.append((r.provider.distribution, h))) for h in hooks}
    load_all([candidate(monkeypatch, name, **for_plugin) for name in "ab"])
    assert sorted(calls) == sorted((f"plugrad-{name}", h) for name in "ab" for h in hooks)


def test_a_duplicate_drops_that_entry_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def first(r: Any) -> None:
        r.component("optimizer", "sgd", "a:S")

    def second(r: Any) -> None:
        r.component("optimizer", "sgd", "b:S")
        r.component("layer", "sgd", "b:L")
        r.component("optimizer", "lion", "b:L")

    found = [
        candidate(monkeypatch, "a", plugrad_components=first),
        candidate(monkeypatch, "b", plugrad_components=second),
    ]
    registry = load_all(found)
    assert [(e.kind, e.name, e.target) for e in registry.entries] == [
        ("optimizer", "sgd", "a:S"),
        ("layer", "sgd", "b:L"),
        ("optimizer", "lion", "b:L"),
    ]
    assert states(registry) == {"a": "ok", "b": "conflict"}
    assert (
        registry.plugins[1].reason == "optimizer sgd of plugrad-b 1.0 is already provided by plugrad-a 1.0, which stays"
    )
    assert registry.plugins[1].broken and registry.plugins[1].provides


def test_equal_kernels_of_two_distributions_conflict_and_of_one_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def a(r: Any) -> None:
        r.kernel("add", "cpu", "a:f4", dtypes="f4")
        r.kernel("add", "cpu", "a:f8", dtypes="f8")

    def b(r: Any) -> None:
        r.kernel("add", "cpu", "b:k", priority=10)
        r.kernel("add", "cpu", "b:k", priority=11)

    found = [candidate(monkeypatch, "a", plugrad_kernels=a), candidate(monkeypatch, "b", plugrad_kernels=b)]
    registry = load_all(found)
    assert [(e.target, e.kernel and e.kernel.priority) for e in registry.entries] == [
        ("a:f4", 10),
        ("a:f8", 10),
        ("b:k", 11),
    ]
    assert states(registry) == {"a": "ok", "b": "conflict"}
    assert "kernel add on cpu of plugrad-b 1.0 is already provided by plugrad-a 1.0" in registry.plugins[1].reason


def test_a_failed_plugin_does_not_keep_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = PluginStatus(Provider("plugrad-a", "1.0", "x"), EntryPoint("x", "plugrad_absent.plugin", "plugrad"))
    heir = candidate(monkeypatch, "x", "plugrad-b", plugrad_backends=lambda r: r.backend("x", "m:B"))
    registry = load_all([broken, heir])
    assert [p.status for p in registry.plugins] == ["failed", "ok"]
    assert registry.select("backend")["x"].provider.distribution == "plugrad-b"


def test_a_keyboard_interrupt_is_not_a_plugin_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(r: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_all([candidate(monkeypatch, "a", plugrad_backends=interrupted)])


def test_import_discovers_nothing_and_discovery_imports_no_target(site: Any) -> None:
    site.toy("good", probe="raise SystemError")
    used = site.python(
        """
        import sys, plugrad, plugrad.plugins, plugrad.cli
        from plugrad.plugins import loader, statuses
        print(loader._registry, "plugrad_good_plugin" in sys.modules)
        print(sorted(p.provider.entry_point for p in statuses() if p.status == "ok"))
        print([m for m in sys.modules if m.startswith("plugrad_good")])
        """
    )
    assert used.stdout.splitlines() == ["None False", "['core', 'good']", "['plugrad_good_plugin']"], used.stderr


def test_discovery_runs_once_in_many_threads(site: Any) -> None:
    site.add(
        "plugrad-slow",
        {
            "slow_plugin.py": """
                import time
                time.sleep(0.2)
                with open(__file__ + '.log', 'a') as log:
                    log.write('x')
                raise OSError('late')
                """
        },
        slow="slow_plugin",
    )
    used = site.python(
        """
        import threading, warnings
        from plugrad.plugins import loader
        found = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            threads = [threading.Thread(target=lambda: found.append(loader.registry())) for _ in range(8)]
            for t in threads: t.start()
            for t in threads: t.join()
        print(len(found), len(set(map(id, found))), len(caught))
        """
    )
    assert used.stdout.strip() == "8 1 1", used.stderr
    assert (site.folder / "slow_plugin.py.log").read_text() == "x"


def test_a_plugin_that_asks_for_plugins_while_it_is_imported_fails_alone(site: Any) -> None:
    site.add(
        "plugrad-eager",
        {"eager_plugin.py": "API = (1, 0)\nfrom plugrad.plugins import default_backend\ndefault_backend()\n"},
        eager="eager_plugin",
    )
    site.toy("good", priority=5)
    used = site.python("from plugrad.plugins import *; print(default_backend(), *[p for p in statuses() if p.broken])")
    assert used.stdout.startswith("good plugin 'eager' of plugrad-eager 1.0: failed: ")
    assert "a plugin's module must be light" in used.stdout


def test_warnings_as_errors_leave_discovery_whole(site: Any) -> None:
    site.add("plugrad-bad", {"bad_plugin.py": "1 / 0"}, bad="bad_plugin")
    used = site.python(
        """
        import warnings
        from plugrad.errors import PluginWarning
        from plugrad.plugins import backend_index
        warnings.simplefilter("error")
        try:
            backend_index("numpy")
        except PluginWarning as warning:
            print(warning)
        print(backend_index("numpy"))
        """
    )
    said, index = used.stdout.splitlines()
    assert "plugin 'bad' of plugrad-bad 1.0: failed: ZeroDivisionError" in said
    assert index == "0"


def test_the_core_runs_without_metadata_and_without_plugins(site: Any) -> None:
    used = site.python(
        """
        from importlib import metadata
        metadata.distributions = lambda: iter(())
        def absent(name): raise metadata.PackageNotFoundError(name)
        metadata.version = absent
        from plugrad.plugins import *
        print(backend_index("numpy"), default_backend(), list(available_backends()))
        print([str(p) for p in statuses()])
        """,
        enable="none",
    )
    assert used.stdout.splitlines() == [
        "0 numpy ['numpy']",
        f"[\"plugin 'core' of plugrad {plugrad.__version__}: ok\"]",
    ], used.stderr


def test_a_second_copy_of_a_distribution_is_shadowed(site: Any) -> None:
    plugin = {"copy_plugin.py": "API = (1, 0)\n"}
    site.add("plugrad-copy", plugin, version="1.0", copy="copy_plugin")
    site.add("plugrad-copy", {}, version="1.0", folder="same", copy="copy_plugin")
    site.add("plugrad_copy", {}, version="0.9", folder="old", copy="copy_plugin")
    used = site.python(
        f"""
        import sys
        sys.path += [{str(site.folder / "same")!r}, {str(site.folder / "old")!r}]
        from plugrad.plugins import statuses
        print([(p.provider.version, p.status, p.broken) for p in statuses() if p.provider.entry_point == "copy"])
        """
    )
    assert used.stdout.strip() == "[('1.0', 'ok', False), ('0.9', 'shadowed', False)]", used.stderr
