"""Which of the values of a yes/no column means yes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accord.errors import DataError, suggest
from accord.tasks.labels import Floats, number_name

if TYPE_CHECKING:
    from accord.tasks.task import Task

_YES = ("1", "true", "yes", "y", "t", "positive", "pos", "+", "on")
_NO = ("0", "false", "no", "n", "f", "negative", "neg", "-", "off")


def find_positive(task: Task, names: tuple[str, ...]) -> str:
    """Return the one of ``names`` that ``task.positive`` means: the same text, number or truth value.

    Raises:
        DataError: none of them; the message suggests the nearest.
    """
    wanted = task.positive
    if isinstance(wanted, bool):
        words = _YES if wanted else _NO
        matches = [name for name in names if name.strip().lower() in words]
    elif isinstance(wanted, int | float):
        matches = [name for name in names if name == number_name(wanted) or _as_number(name) == wanted]
    else:
        matches = [name for name in names if name == wanted] or [n for n in names if n.strip() == str(wanted).strip()]
    if not matches:
        raise DataError(
            f"task {task.name!r}: no label has the positive value {wanted!r}. {suggest(str(wanted), names)}"
        )
    return matches[0]


def infer_positive(task: Task, names: tuple[str, ...], counts: Floats) -> tuple[str, str]:
    """Return the positive one of two ``names`` and a sentence that says why, empty where it goes without saying.

    Args:
        task: for messages.
        names: the values that occur.
        counts: their row weights.

    Raises:
        DataError: there are not exactly two values.
    """
    if len(names) == 1:
        raise DataError(
            f"task {task.name!r}: every training label is {names[0]!r}: there is nothing to learn. Drop the task."
        )
    if len(names) > 2:
        some = ", ".join(repr(name) for name in names[:5]) + (", ..." if len(names) > 5 else "")
        raise DataError(
            f"task {task.name!r} is binary, but its labels have {len(names)} values ({some}). "
            'Name one with positive= (the others count as negative), or choose kind "multiclass".'
        )
    choice, reason = _choose(names, counts)
    other = names[1 - names.index(choice)]
    if _as_word(choice) in _YES and _as_word(other) in _NO:
        return choice, ""  # nobody would have chosen otherwise
    return choice, (
        f"task {task.name!r}: {choice!r} counts as positive ({reason}), {other!r} as negative; "
        "set positive= to change it."
    )


def _choose(names: tuple[str, ...], counts: Floats) -> tuple[str, str]:
    first, second = (_as_number(name) for name in names)
    if first is not None and second is not None:
        return names[int(second > first)], "the larger number"
    words = [_as_word(name) for name in names]
    for yes, no in ((0, 1), (1, 0)):
        if words[yes] in _YES and words[no] in _NO:
            return names[yes], "it says yes"
    rarer = int(counts[1] < counts[0])
    if counts[rarer] < 0.4 * counts.sum():
        return names[rarer], "the rarer of two values"
    return max(names), "the last in alphabetical order"


def _as_word(name: str) -> str:
    number = _as_number(name)
    return name.strip().lower() if number is None else number_name(number)


def _as_number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None
