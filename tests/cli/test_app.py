"""The command as a whole: help, mistakes, exit codes."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import accord as package
from accord.cli import main
from accord.cli.app import VERBS
from accord.errors import ConfigurationError, DataError, MissingExtraError, RunError


def test_help_names_every_verb_and_exit_code(accord):
    shown = accord("--help").out
    assert all(verb in shown for verb in VERBS)
    assert all(f"{code} " in shown for code in (0, 1, 2, 3, 4, 5, 130))


def test_no_words_at_all_show_the_help(accord):
    assert accord().out == accord("--help").out


def test_version(accord):
    assert accord("--version").out == f"accord {package.__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_teaches_by_examples_that_fit_the_terminal(inside, monkeypatch, verb):
    monkeypatch.setenv("COLUMNS", "80")
    shown = inside(verb, "--help").out
    examples = importlib.import_module(f"accord.cli.{verb}").EXAMPLES
    assert examples in shown
    assert examples.count(f"\n  accord {verb}") >= 2
    assert VERBS[verb] in shown


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["predict", "--help"], ["data", "--help"], ["fti"]])
def test_help_and_mistakes_do_not_wait_for_torch(words):
    code = f"import sys; from accord.cli import main; main({words!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_mistyped_verb(accord):
    result = accord("fti", "x", code=2)
    assert result.out == ""
    assert result.err.startswith("accord: ") and '"fit"' in result.err and "accord --help" in result.err


def test_mistyped_option(inside):
    result = inside("fit", "table.csv", "--epoch", "3", code=2)
    assert "--epochs" in result.err and "accord fit --help" in result.err


def test_option_of_the_wrong_type(inside):
    assert "--epochs" in inside("fit", "table.csv", "--epochs", "many", code=2).err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("say it"), 2),
        (DataError("say it"), 3),
        (RunError("say it"), 4),
        (MissingExtraError("say it", "tables", "pyarrow"), 5),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("say it"), 1),
    ],
)
def test_every_failure_has_its_exit_code_and_one_clean_message(monkeypatch, capsys, error, code):
    monkeypatch.setattr("accord.cli.doctor.diagnose", lambda: (_ for _ in ()).throw(error))
    assert main(["doctor"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("accord: ") and "Traceback" not in shown.err
    assert "say it" in shown.err or code == 130


def test_internal_errors_say_how_to_report_them_and_debug_shows_where(monkeypatch, capsys):
    monkeypatch.setattr("accord.cli.doctor.diagnose", lambda: 1 // 0)
    assert main(["doctor"]) == 1
    plain = capsys.readouterr().err
    assert "--debug" in plain and "accord doctor" in plain and "ZeroDivisionError" in plain
    assert main(["--debug", "doctor"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error(accord):
    # `head` closes the pipe after one line, while the command still has more to say.
    done = subprocess.run(
        f'"{sys.executable}" -m accord methods --json | head -n 1; echo "${{PIPESTATUS[0]}}"',
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["[", "0"]
