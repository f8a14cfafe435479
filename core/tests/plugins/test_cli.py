"""The command line: its own commands, those of plugins, and what it says about wrong ones."""

from __future__ import annotations

from typing import Any

from plugrad.cli import main
from plugrad.cli.plugins import summary
from plugrad.plugins import Registrar
from plugrad.plugins.registrar import Provider

PLUGIN = """
from plugrad.plugins import hookimpl
API = (1, 0)

@hookimpl
def plugrad_commands(registrar):
    registrar.command("hello", target="tool_commands:hello", help="greet somebody")
    registrar.command("crash", target="tool_commands:crash")
    registrar.command("refuse", target="tool_commands:refuse")
    registrar.command("parse", target="tool_commands:parse")
    registrar.command("absent", target="tool_commands:absent")
    registrar.command("plugins", target="tool_commands:hello")
"""
COMMANDS = """
import argparse
from plugrad.errors import ShapeError

def hello(argv):
    print("hello", *argv)
    return 7 if argv else None

def crash(argv):
    raise ZeroDivisionError("by hand")

def refuse(argv):
    raise ShapeError("add: shapes (2,) and (3,) do not broadcast; reshape one")

def parse(argv):
    argparse.ArgumentParser(prog="plugrad parse").parse_args(argv)
"""


def install(site: Any) -> None:
    site.add("plugrad-tool", {"tool_plugin.py": PLUGIN, "tool_commands.py": COMMANDS}, tool="tool_plugin")


def test_commands_of_plugins(site: Any) -> None:
    install(site)
    hello = site.cli("hello")
    assert (hello.returncode, hello.stdout) == (0, "hello\n")
    hello = site.cli("hello", "--loud", "you")
    assert (hello.returncode, hello.stdout) == (7, "hello --loud you\n")
    parse = site.cli("parse", "--wrong")
    assert parse.returncode == 2 and "plugrad parse: error" in parse.stderr
    assert site.cli("parse", "--help").returncode == 0


def test_a_command_that_fails_is_named(site: Any) -> None:
    install(site)
    refuse = site.cli("refuse")
    assert (refuse.returncode, refuse.stderr) == (
        1,
        "plugrad refuse: add: shapes (2,) and (3,) do not broadcast; reshape one\n",
    )
    absent = site.cli("absent")
    assert absent.returncode == 1 and "Traceback" not in absent.stderr
    assert "plugrad absent: command absent of plugrad-tool 1.0: cannot import 'tool_commands:absent'" in absent.stderr
    crash = site.cli("crash")
    assert crash.returncode == 1
    assert crash.stderr.splitlines()[-2:] == [
        "ZeroDivisionError: by hand",
        "raised by the command crash of plugrad-tool 1.0",
    ]


def test_a_command_of_the_core_cannot_be_taken(site: Any) -> None:
    install(site)
    listed = site.cli("plugins")
    assert "command plugins of plugrad-tool 1.0 is already provided by plugrad" in listed.stdout
    assert "hello" not in listed.stdout.splitlines()[0]


def test_an_unknown_command(site: Any) -> None:
    install(site)
    wrong = site.cli("helo")
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert wrong.stderr.startswith(
        "plugrad: unknown command 'helo' (did you mean 'hello'?); commands: absent, capture, coverage, crash, "
    )
    site.add("plugrad-train", {"train_plugin.py": "import plugrad_absent_library"}, train="train_plugin")
    assert "plugin 'train' of plugrad-train 1.0: failed: ModuleNotFoundError" in site.cli("demo").stderr


def test_help_and_version(site: Any) -> None:
    install(site)
    for call in ((), ("--help",), ("-h",)):
        shown = site.cli(*call)
        assert shown.returncode == 0
        assert "hello     greet somebody" in shown.stdout and "doctor    check" in shown.stdout
    version = site.cli("--version")
    assert version.returncode == 0 and version.stdout.startswith("plugrad ")
    assert site.cli("--wrong").returncode == 2


def test_main_returns_the_exit_code(capsys: Any) -> None:
    assert main(["--version"]) == 0
    assert main(["plugins", "--help"]) == 0
    assert main(["plugins", "--wrong"]) == 2
    assert main(["no-such-command"]) == 2
    capsys.readouterr()


def test_doctor_of_a_sound_environment(site: Any) -> None:
    site.toy("good", probe="return True")
    site.toy("gpu", probe="return 'no device here'", priority=9)
    doctor = site.cli("doctor", PLUGRAD_FALLBACK="error")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    for text in ("python", "numpy", "pluggy", "C compiler", "PLUGRAD_FALLBACK error"):
        assert text in doctor.stdout
    lines = [" ".join(line.split()) for line in doctor.stdout.splitlines()]
    assert "available good of plugrad-good 1.0" in lines
    assert "unavailable gpu of plugrad-gpu 1.0: no device here" in lines
    assert "default good" in lines
    assert lines[-1] == "nothing is broken"


def test_doctor_shows_a_backend_that_does_not_load_once(site: Any) -> None:
    site.toy("liar")
    (site.folder / "plugrad_liar_backend.py").write_text("import plugrad_absent_extension\n")
    doctor = site.cli("doctor")
    assert doctor.returncode == 1
    section = doctor.stdout.partition("\nbackends\n")[2].partition("\ntargets\n")[0].splitlines()
    assert [line for line in section if "liar" in line] == [line for line in section if "BROKEN: not loaded" in line]
    assert len([line for line in section if "liar" in line]) == 1
    assert "see: plugrad doctor" not in doctor.stdout


def test_plugins_shows_backends_that_cannot_be_used(site: Any) -> None:
    site.toy("good", probe="return True")
    site.toy("away", probe="return 'no device here'")
    site.toy("crash", probe="raise OSError('x')")
    site.toy("slow", probe="import time; time.sleep(60)")
    listed = site.cli("plugins", PLUGRAD_PROBE_TIMEOUT="0.2", COLUMNS="300")
    assert (listed.returncode, listed.stderr) == (0, "")
    lines = listed.stdout.splitlines()
    below = {}
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("plugrad-"):
            below[line.split()[0]] = line.split()[3], after
    assert below["plugrad-good"][0] == "ok" and not below["plugrad-good"][1].startswith(" ")
    assert below["plugrad-away"] == ("unavailable", "    backend away: no device here")
    status, reason = below["plugrad-crash"]
    assert status == "unavailable"
    assert reason == "    backend crash: its probe plugrad_crash_probe:available raised OSError: x"
    status, reason = below["plugrad-slow"]
    assert status == "unavailable" and reason.startswith("    backend slow: its probe")


def test_what_is_provided_is_listed_in_full_and_wrapped() -> None:
    registrar = Registrar(Provider("plugrad-x", "1.0", "x"))
    assert summary(registrar.entries, 40) == ["-"]
    registrar.backend("x", "m:B")
    for i in range(7):
        registrar.kernel(f"kernel{i}", "x", "m:k")
    registrar.component("optimizer", "sgd", "m:S")
    registrar.component("optimizer", "adam", "m:A")
    assert summary(registrar.entries, 40) == [
        "backend: x",
        "kernel: kernel0, kernel1, kernel2,",
        "  kernel3, kernel4, kernel5, kernel6",
        "optimizer: sgd, adam",
    ]
