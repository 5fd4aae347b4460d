"""Errors that people see: each names the thing, the value, and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class AccordError(Exception):
    """Base of every error Accord raises on purpose; its message is meant for people."""

    exit_code = 1


class ConfigurationError(AccordError, ValueError):
    """An option, method name or specification is wrong."""

    exit_code = 2


class MissingOptionError(ConfigurationError):
    """A method was named without options that it cannot do without.

    Args:
        method: its registry name.
        options: those that are missing.
        place: where options of such methods are given, or empty.
    """

    def __init__(self, method: str, options: Sequence[str], place: str = "") -> None:
        self.method, self.options = method, tuple(options)
        several = len(options) > 1
        needs = f"{method} needs the option{'s' * several} {' and '.join(map(repr, options))}"
        where = f": set {' and '.join(f'{place}.{option}' for option in options)}" if place else ""
        super().__init__(f"{needs}, which {'have' if several else 'has'} no default{where}")


class DataError(AccordError, ValueError):
    """A table, column or label cannot be used as asked."""

    exit_code = 3


class RunError(AccordError, RuntimeError):
    """A run directory is incomplete, damaged, or not one of ours."""

    exit_code = 4


class MissingExtraError(AccordError, ImportError):
    """A job needs an optional dependency that is not installed."""

    exit_code = 5

    def __init__(self, job: str, extra: str, package: str) -> None:
        super().__init__(f'{job} needs {package}, which is not installed: pip install "accord[{extra}]"')


class NonFiniteError(AccordError, ArithmeticError):
    """A gradient or loss that a balancer was handed is not finite, and its task was not named as inactive."""


class NonFiniteLossWarning(UserWarning):
    """A task was left out of a step because its loss or gradient was not finite."""


class InexactGramianWarning(UserWarning):
    """Weights were found from other gradients than those that are descended."""


def suggest(name: str, options: Iterable[str]) -> str:
    """Return a sentence that helps with a mistyped ``name``: the nearest options, or all of them."""
    known = sorted(options)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.55)
    if near:
        return "Did you mean " + " or ".join(repr(n) for n in near) + "?"
    return "Choose one of: " + ", ".join(known) + "."
