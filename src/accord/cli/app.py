"""The command ``accord``: finds the verb, and turns every failure into one clean message and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from accord import __version__
from accord.cli.output import INTERRUPTED
from accord.errors import AccordError

# One line each, here and not in the verbs' modules, so that `accord --help` imports none of them.
VERBS = {
    "fit": "Train one model for several targets, and say whether sharing helped.",
    "compare": "Compare methods under the same conditions, against tuned plain weights.",
    "group": "Say which tasks should train together, and what that is worth.",
    "front": "Train a whole front in one run: every compromise, and what each costs.",
    "explore": "Steer a front in the browser: preference in, metrics out, export.",
    "merge": "Merge checkpoints, or LoRA adapters, into one.",
    "predict": "Apply a run to another table.",
    "report": "Write the page of a run, comparison, grouping or front again, as one file.",
    "methods": "List the methods, or explain one.",
    "data": "List the built-in data sets; describe, download or export one.",
    "doctor": "Show versions, device and memory, and what is missing for which job.",
}

EPILOGUE = """\
Start here:
  accord fit census-income --targets income,marital_stat
  accord fit table.parquet --targets bought,returned --dry-run

accord VERB --help explains a verb, with examples. --debug shows tracebacks.

Exit codes: 0 done, 1 internal error, 2 wrong option or specification,
3 unusable data, 4 unusable run directory, 5 an optional package is missing,
130 interrupted."""

USAGE_ERROR, INTERNAL_ERROR = 2, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: words after ``accord``; those of the process when ``None``.

    Returns:
        0 when done, else the code of what went wrong (see ``accord --help``).
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return _guarded(words, debug)


def _guarded(words: list[str], debug: bool) -> int:
    try:
        return _run(words) or 0
    except AccordError as error:
        return _fail(error, str(error), error.exit_code, debug)
    except KeyboardInterrupt as error:
        return _fail(error, "interrupted", INTERRUPTED, debug)
    except BrokenPipeError:
        # The reader, e.g. `head`, has had enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        message = f"internal error: {type(error).__name__}: {error}\n{_how_to_report(words)}"
        return _fail(error, message, INTERNAL_ERROR, debug)


def _run(words: list[str]) -> int | None:
    from cyclopts import App, CycloptsError, Parameter

    app = App(
        name="accord",
        help="One model, many objectives, and an honest answer to whether sharing helped.",
        help_epilogue=EPILOGUE,
        help_format="plaintext",  # the others import a reStructuredText parser first, which doubles the start-up
        version=f"accord {__version__}",
        default_parameter=Parameter(negative=(), consume_multiple=False, show_default=False),
        suppress_keyboard_interrupt=False,
    )
    for place, (verb, line) in enumerate(VERBS.items()):
        app.command(f"accord.cli.{verb}:app", name=verb, help=line, sort_key=place)
    try:
        return app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        verb = f" {words[0]}" if words and words[0] in VERBS else ""
        _say(f"{error}\nSee accord{verb} --help.")
        return USAGE_ERROR


def _fail(error: BaseException, message: str, code: int, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    _say(message)
    return code


def _say(message: str) -> None:
    print(f"accord: {message}", file=sys.stderr)


def _how_to_report(words: list[str]) -> str:
    return (
        "This is a fault of Accord, not of your input. To report it, run the same command with --debug and send what "
        f"it prints, together with the output of `accord doctor`. The command was: accord {' '.join(words)}"
    )


def _show_warning(message: Warning | str, *_place: Any) -> None:
    # People cannot act on the place in the source where a warning was raised.
    # Threads warn, too, and the end of a line must not be written apart from it.
    print(f"accord: warning: {message}\n", end="", file=sys.stderr)
