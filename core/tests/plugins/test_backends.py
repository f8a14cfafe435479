"""From a backend's name to its index: laziness, priority, and the errors that say what to do."""

from __future__ import annotations

from typing import Any

ASK = """
import sys
from plugrad.errors import BackendUnavailableError
from plugrad.plugins import backend_index
try:
    backend_index(sys.argv[1])
except BackendUnavailableError as error:
    print(error)
"""


def test_a_backend_is_imported_when_it_is_first_asked_for(site: Any) -> None:
    site.toy("one", probe="return True", priority=3)
    site.toy("two", priority=8)
    used = site.python(
        """
        import sys
        from plugrad.backend import BACKENDS
        from plugrad.plugins import *
        def loaded(): return [m for m in sorted(sys.modules) if m.endswith("_backend") and m.startswith("plugrad_")]
        print({name: str(o) for name, o in available_backends().items()}, loaded())
        i = backend_index("one")
        print(i, BACKENDS[i].name, loaded(), backend_index("one") == i)
        print(default_backend(), loaded(), len(BACKENDS), default_backend())
        """
    )
    assert used.stdout.splitlines() == [
        "{'numpy': 'available', 'one': 'available', 'two': 'available'} []",
        "1 one ['plugrad_one_backend'] True",
        "two ['plugrad_one_backend', 'plugrad_two_backend'] 3 two",
    ], used.stderr


def test_many_threads_load_a_backend_once(site: Any) -> None:
    site.toy("one", probe="import time; time.sleep(0.1); return True")
    used = site.python(
        """
        import threading
        from plugrad.backend import BACKENDS
        from plugrad.plugins import backend_index
        found = []
        threads = [threading.Thread(target=lambda: found.append(backend_index("one"))) for _ in range(8)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(found, [b.name for b in BACKENDS])
        """
    )
    assert used.stdout.strip() == "[1, 1, 1, 1, 1, 1, 1, 1] ['numpy', 'one']", used.stderr


def test_default_is_the_best_that_is_available(site: Any) -> None:
    site.toy("best", probe="return 'no device'", priority=90)
    site.toy("crash", probe="raise OSError('x')", priority=80)
    site.toy("good", priority=5)
    site.toy("low", priority=1)
    used = site.python("from plugrad.plugins import default_backend; print(default_backend())")
    assert used.stdout.strip() == "good", used.stderr


def test_default_passes_over_one_that_fails_to_load_and_says_so(site: Any) -> None:
    site.toy("liar", priority=90)
    (site.folder / "plugrad_liar_backend.py").write_text("import plugrad_absent_extension\n")
    site.toy("good", priority=5)
    used = site.python("from plugrad.plugins import default_backend; print(default_backend(), default_backend())")
    assert used.stdout.strip() == "good good"
    assert used.stderr.count("PluginWarning") == 1
    assert "backend liar of plugrad-liar 1.0" in used.stderr and "plugrad_absent_extension" in used.stderr


def test_an_unknown_backend(site: Any) -> None:
    site.toy("cuda", probe="return 'no device'")
    said = site.python(ASK, "cdua").stdout
    assert "backend 'cdua' is unknown (did you mean 'cuda'?)" in said
    assert "usable here: numpy" in said
    assert said.endswith("; install the distribution that provides it (plugrad plugins lists what is installed)\n")
    assert "plugrad-cdua" not in said


def test_an_unavailable_backend_says_why(site: Any) -> None:
    site.toy("cuda", probe="return 'the driver sees no GPU; look at CUDA_VISIBLE_DEVICES'")
    said = site.python(ASK, "cuda").stdout
    assert said.startswith(
        "backend 'cuda' of plugrad-cuda 1.0 is unavailable: the driver sees no GPU; look at CUDA_VIS"
    )
    assert said.endswith("; usable here: numpy\n")


def test_a_disabled_backend_says_so(site: Any) -> None:
    site.toy("cuda")
    assert (
        "plugin 'cuda' of plugrad-cuda 1.0: disabled: PLUGRAD_PLUGINS=none"
        in site.python(ASK, "cuda", enable="none").stdout
    )


def test_a_backend_class_that_misbehaves_is_named(site: Any) -> None:
    bodies = {
        "raises": "class Toy:\n    def __init__(self):\n        raise ValueError('no memory')\n",
        "stranger": "class Toy:\n    name = 'stranger'\n",
        "misnamed": "from plugrad.backend import Backend\nclass Toy(Backend):\n    name = 'other'\n",
        "nameless": "from plugrad.backend import Backend\nclass Toy(Backend):\n    pass\n",
        "classless": "",
        "exits": "raise SystemExit\n",
    }
    says = {
        "raises": "could not be made: ValueError: no memory",
        "stranger": "must be a Backend called 'stranger'",
        "misnamed": "with the name 'other'; it must be",
        "nameless": "with the name None; it must be",
        "classless": "has no attribute 'Toy'",
        "exits": "SystemExit",
    }
    for name, body in bodies.items():
        site.toy(name)
        (site.folder / f"plugrad_{name}_backend.py").write_text(body)
    for name, text in says.items():
        said = site.python(ASK, name)
        assert text in said.stdout and f"plugrad-{name} 1.0" in said.stdout, (name, said)
    doctor = site.cli("doctor")
    assert doctor.returncode == 1
    assert doctor.stdout.count("BROKEN: not loaded") == len(bodies)
