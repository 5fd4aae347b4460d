"""The rules that decide what a column is. Each returns ``(kind, reason)`` or ``None`` and is tried in order."""

from __future__ import annotations

import re

import numpy as np

from accord.data.dates import find_format
from accord.data.engine import arrow
from accord.data.profile import Profile
from accord.data.schema import Kind
from accord.data.values import number

# Integers with no more different values than this are codes, unless their name says they count something.
FEW = 12


def words(name: str) -> frozenset[str]:
    """Return the lower-case words of a column name: ``"zipCode_2"`` -> ``{"zip", "code", "2"}``."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return frozenset(re.findall(r"[a-z]+|\d+", spaced.lower()))


# Words in a name that say the numbers are labels ...
CODE_WORDS = words(
    "code recode codes id ids type zip zipcode postcode postal category cat class flag status stat kind group cluster "
    "label sku channel segment bucket cohort"
)
# ... and words that say they are quantities even when few.
COUNT_WORDS = words(
    "num number count cnt n nb qty quantity age years months weeks days hours minutes seconds amount total sum size "
    "length score rating price cost rate ratio weight height distance duration"
)
IDENTIFIER_WORDS = words("id uuid guid key index idx rowid pk identifier unnamed")
_TRUTHS = ({"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"})
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_PADDED = re.compile(r"0\d+")

Verdict = tuple[Kind, str]


def guess(column: Profile) -> tuple[Kind, str, str]:
    """Return ``(kind, reason, date format)`` of a column."""
    types = arrow().types
    if column.distinct == 0:
        return "constant", "every value is missing", ""
    if column.distinct == 1:
        value = column.examples(1)[0][:40]
        if column.present == column.rows:
            return "constant", f"always {value!r}", ""
        return "categorical", f"{value!r} or missing, so its absence may tell something", ""
    if types.is_temporal(column.type) and not types.is_duration(column.type):
        return "date", f"stored as {column.type}", ""
    if types.is_boolean(column.type):
        return "boolean", "stored as bool", ""
    if column.values is None:
        return _text(column)
    return (*(_identifier(column) or _number(column)), "")


def _number(column: Profile) -> Verdict:
    if not _whole(column.uniques):
        return "numeric", "fractions"
    name = words(column.name)
    if column.distinct == 2 and set(column.uniques) <= {0.0, 1.0}:
        return "boolean", "0 or 1"
    if name & CODE_WORDS and column.distinct <= column.present / 2:
        return "categorical", f"integers, and the name says {min(name & CODE_WORDS)!r}"
    if name & COUNT_WORDS or column.distinct > FEW or column.distinct * 5 > column.present:
        return "numeric", "integers"
    return "categorical", f"integers with {column.distinct} different values"


def _text(column: Profile) -> tuple[Kind, str, str]:
    verdict = _truth(column) or _padded(column)
    if verdict:
        return (*verdict, "")
    form, note = find_format(column.labels)
    if form and (form != "%Y%m%d" or words(column.name) & {"date", "day", "time", "dt"}):
        return "date", note or f"text written as {form}", form
    if column.parsed == 1.0:
        return (*(_identifier(column) or _number(column)), "")
    return (*(_free_text(column) or _identifier(column) or _category(column)), "")


def _truth(column: Profile) -> Verdict | None:
    found = {text.lower() for text in column.labels}
    return ("boolean", " or ".join(sorted(found))) if found in _TRUTHS else None


def _padded(column: Profile) -> Verdict | None:
    digits = all(text.isdigit() for text in column.labels[:5000])
    if (
        digits
        and any(_PADDED.fullmatch(text) for text in column.labels[:5000])
        and column.distinct * 2 < column.present
    ):
        return "categorical", "digits with leading zeros, so codes"
    return None


def _free_text(column: Profile) -> Verdict | None:
    # Long labels of a survey question repeat; sentences hardly ever do.
    if column.tokens >= 3 and column.distinct > max(50, 0.05 * column.present):
        return "text", f"{column.tokens:.0f} words on average, {column.distinct:,} different"
    return None


def _identifier(column: Profile) -> Verdict | None:
    if column.distinct < 0.98 * column.present:
        return None
    named = bool(words(column.name) & IDENTIFIER_WORDS)
    if column.values is None and column.parsed < 1.0:
        if all(_UUID.fullmatch(text) for text in column.labels[:100]):
            return "identifier", "different UUIDs"
        # Twenty different words in twenty rows may be chance; two hundred are names of rows.
        return ("identifier", "a different value in nearly every row") if named or column.present >= 50 else None
    if not _whole(column.uniques):
        return None
    if named and column.present >= 3:
        return "identifier", "different integers, and the name says so"
    return ("identifier", "integers that only rise or fall") if _monotone(column) else None


def _monotone(column: Profile) -> bool:
    if column.values is None or column.present < 20:
        return False
    steps = np.diff(column.values[~np.isnan(column.values)])
    return bool((steps > 0).all() or (steps < 0).all())


def _category(column: Profile) -> Verdict:
    if column.parsed >= 0.9:
        strange = next(text for text in column.labels if number(text) is None)
        return "categorical", f"{column.parsed:.0%} are numbers, but {strange[:20]!r} is not: is it a missing value?"
    return "categorical", f"{column.distinct:,} different texts"


def _whole(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return bool(len(finite)) and bool((finite == np.floor(finite)).all())
