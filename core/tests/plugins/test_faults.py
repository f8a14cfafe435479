"""Broken plugins. Each time the host starts, ``plugrad plugins`` names distribution and cause, and the others work."""

from __future__ import annotations

from typing import Any

import pytest

HEAD = "from plugrad.plugins import hookimpl\nAPI = (1, 0)\n"

BROKEN: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "raises at import": (HEAD + "raise RuntimeError('no licence file')", "failed", ("RuntimeError: no licence file",)),
    "exits at import": (HEAD + "raise SystemExit(3)", "failed", ("SystemExit: 3",)),
    "misses a module": (
        HEAD + "import plugrad_absent_dependency",
        "failed",
        ("ModuleNotFoundError", "plugrad_absent_dependency"),
    ),
    "syntax error": (HEAD + "def f(:\n", "failed", ("SyntaxError", "bad_plugin.py, line 3")),
    "newer protocol": (
        HEAD.replace("(1, 0)", "(2, 0)") + "raised = 0",
        "incompatible",
        ("protocol 2.0", "this plugrad speaks 1.0", "upgrade plugrad"),
    ),
    "newer minor": (HEAD.replace("(1, 0)", "(1, 99)"), "incompatible", ("protocol 1.99",)),
    "older protocol": (HEAD.replace("(1, 0)", "(0, 9)"), "incompatible", ("protocol 0.9", "upgrade the plugin")),
    "no protocol": (HEAD.replace("API", "api"), "failed", ("API is None", "write API = (1, 0)")),
    "backend of a newer protocol": (
        HEAD + "@hookimpl\ndef plugrad_backends(registrar):\n    registrar.backend('bad', 'x:Y', api=(1, 7))\n",
        "incompatible",
        ("backend bad", "protocol 1.7"),
    ),
    "unknown hook": (
        HEAD + "@hookimpl\ndef plugrad_backend(registrar): pass\n",
        "failed",
        ("'plugrad_backend'", "did you mean 'plugrad_backends'?"),
    ),
    "unknown hook, unmarked": (
        HEAD + "def plugrad_kernel(registrar): pass\n",
        "failed",
        ("'plugrad_kernel'", "did you mean 'plugrad_kernels'?"),
    ),
    "unmarked hook": (
        HEAD + "def plugrad_ops(registrar): pass\n",
        "failed",
        ("'plugrad_ops' is not marked", "@hookimpl"),
    ),
    "wrong arguments": (
        HEAD + "@hookimpl\ndef plugrad_ops(register): pass\n",
        "failed",
        ("PluginValidationError", "plugrad_ops"),
    ),
    "hook that yields": (
        HEAD + "@hookimpl\ndef plugrad_ops(registrar):\n    yield 1\n",
        "failed",
        ("'plugrad_ops' returned something",),
    ),
    "half-way failure": (
        HEAD
        + "@hookimpl\ndef plugrad_backends(registrar):\n    registrar.backend('bad', 'x:Y')\n"
        + "    registrar.backend('other', 'not a target')\n",
        "failed",
        ("'not a target'", "package.module:attribute"),
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_is_named_and_the_others_work(site: Any, fault: str) -> None:
    source, status, causes = BROKEN[fault]
    site.add("plugrad-bad", {"bad_plugin.py": source}, version="3.1", bad="bad_plugin")
    site.toy("good")
    listed = site.cli("plugins")
    assert listed.returncode == 0, listed.stderr
    assert "Warning" not in listed.stderr
    lines = listed.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("plugrad-bad"))
    assert lines[at].split()[:4] == ["plugrad-bad", "3.1", "bad", status]
    assert lines[at].split()[4:] == ["-"]
    for text in causes:
        assert text in lines[at + 1]
    assert any(line.split()[:4] == ["plugrad-good", "1.0", "good", "ok"] for line in lines)

    used = site.python(
        """
        import plugrad
        from plugrad.plugins import available_backends, backend_index
        from plugrad.testing import require
        print(sorted(available_backends()), backend_index("good") > 0, backend_index("numpy"), backend_index("good"))
        for name in ("godo", "bad"):
            try:
                require(name)
            except plugrad.errors.PluginError as error:
                print(error)
        try:
            backend_index("bad")
        except plugrad.errors.BackendUnavailableError as error:
            print(error)
        """
    )
    assert used.returncode == 0, used.stderr
    first, unknown, *asked = used.stdout.splitlines()
    assert "['good', 'numpy'] True 0" in first
    assert unknown.startswith("plugin 'godo' is not installed (did you mean 'good'?); installed: ")
    assert len(asked) == 2
    for line in asked:
        assert "plugrad-bad 3.1" in line
        assert all(text in line for text in causes)
    assert used.stderr.count("PluginWarning") == 1
    assert "plugrad-bad 3.1" in used.stderr

    doctor = site.cli("doctor")
    assert doctor.returncode == 1
    assert "BROKEN" in doctor.stdout and "plugrad-bad 3.1" in doctor.stdout


def test_a_duplicate_backend_stays_with_the_earlier_distribution(site: Any) -> None:
    site.toy("same", dist="plugrad-a", priority=1)
    site.toy("same", dist="plugrad-b", priority=9)
    info = site.folder / "plugrad_b-1.0.dist-info" / "entry_points.txt"
    info.write_text("[plugrad]\nsecond = plugrad_b_plugin\n")
    listed = site.cli("plugins", enable="same,second")
    lines = listed.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("plugrad-b"))
    assert lines[at].split()[:4] == ["plugrad-b", "1.0", "second", "conflict"]
    assert "backend same of plugrad-b 1.0 is already provided by plugrad-a 1.0" in lines[at + 1]
    used = site.python(
        """
        from plugrad.backend import BACKENDS
        from plugrad.plugins import backend_index
        print(type(BACKENDS[backend_index("same")]).__module__)
        """,
        enable="same,second",
    )
    assert used.stdout.strip() == "plugrad_a_backend", used.stderr
    assert used.stderr.count("PluginWarning") == 1


def test_a_duplicate_entry_point_name_stays_with_the_earlier_distribution(site: Any) -> None:
    site.toy("same", dist="plugrad-b")
    site.toy("same", dist="plugrad-a")
    listed = site.cli("plugins")
    lines = listed.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("plugrad-b"))
    assert lines[at].split()[3:] == ["conflict", "-"]
    assert "'same' is already taken by plugrad-a 1.0" in lines[at + 1]
    assert site.cli("doctor").returncode == 1


def test_a_probe_that_hangs_is_left_behind(site: Any) -> None:
    probe = "import time; open(__file__ + '.log', 'a').write('asked'); time.sleep(3600)"
    site.toy("hangs", probe=probe, priority=99)
    site.toy("good", priority=5)
    used = site.python(
        """
        import plugrad
        from plugrad.plugins import available_backends, backend_index, default_backend
        print(default_backend(), available_backends()["good"], sep="\\n")
        try:
            backend_index("hangs")
        except plugrad.errors.BackendUnavailableError as error:
            print(error)
        """,
        PLUGRAD_PROBE_TIMEOUT="0.3",
    )
    assert used.returncode == 0, used.stderr
    default, good, error = used.stdout.splitlines()
    assert (default, good) == ("good", "available")
    assert (
        "plugrad-hangs 1.0" in error and "timed out" in error and "0.3 s" in error and "PLUGRAD_PROBE_TIMEOUT" in error
    )
    assert "usable here: numpy, good" in error
    assert (site.folder / "plugrad_hangs_probe.py.log").read_text() == "asked"
    listed = [line.split()[2:4] for line in site.cli("plugins", PLUGRAD_PROBE_TIMEOUT="0.3").stdout.splitlines()]
    assert ["hangs", "unavailable"] in listed and ["good", "ok"] in listed
    doctor = site.cli("doctor", PLUGRAD_PROBE_TIMEOUT="0.3")
    assert doctor.returncode == 1
    assert "BROKEN: timed out" in doctor.stdout and "plugrad-hangs 1.0" in doctor.stdout


def test_unreadable_metadata_is_named(site: Any) -> None:
    site.toy("good")
    site.add("plugrad-torn", {}, torn="torn_plugin")
    (site.folder / "plugrad_torn-1.0.dist-info" / "entry_points.txt").write_text("[plugrad]\nno equals sign\n")
    listed = site.cli("plugins")
    assert listed.returncode == 0, listed.stderr
    assert "plugrad_torn-1.0.dist-info" in listed.stdout and "metadata cannot be read" in listed.stdout
    assert "backend: good" in listed.stdout
