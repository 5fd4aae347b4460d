"""Dates: how they are written, and what a model can read of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from accord.data.engine import arrow
from accord.data.values import BadCell, codes, is_text, seconds, value_type

# Tried in this order; day/month/year comes after month/day/year only because a value above 12 in the first place
# settles it, and `find_format` refuses to settle what the values do not.
FORMATS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y%m%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%d.%m.%Y %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%d-%m-%Y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
_AMBIGUOUS = {"%m/%d/%Y": "%d/%m/%Y", "%m/%d/%Y %H:%M": "%d/%m/%Y %H:%M"}
PARTS = ("trend", "month_sin", "month_cos", "weekday_sin", "weekday_cos", "hour_sin", "hour_cos")

_YEAR = 365.2425 * 86_400
_EPOCH_2000 = 946_684_800.0


def find_format(texts: Sequence[str]) -> tuple[str, str]:
    """Return ``(format, note)`` that reads every text, ``("", "")`` when there is none.

    The note says so when the values fit day first as well as month first, so that people can correct it.
    """
    some = [text for text in texts[:5000] if text]
    if not some or not all(any(c.isdigit() for c in text) and 6 <= len(text) <= 40 for text in some[:50]):
        return "", ""
    if _reads(some, "iso"):
        return "iso", ""
    for form in FORMATS:
        # Eight digits are as well a number; only plausible years make them dates.
        if _reads(some, form) and (form != "%Y%m%d" or all("1900" <= t[:4] <= "2100" for t in some)):
            both = form in _AMBIGUOUS and _reads(some, _AMBIGUOUS[form])
            return form, "month first or day first both fit; month first was taken" if both else ""
    return "", ""


def moments(array: Any, form: str, missing: frozenset[str]) -> np.ndarray:
    """Return seconds since 1970 as float64 ``[n]``, NaN for missing.

    Args:
        array: dates, timestamps or texts.
        form: how texts are written, from :func:`find_format`.
        missing: texts that count as missing.

    Raises:
        BadCell: a text that is not written so.
    """
    if not is_text(value_type(array.type)):
        return seconds(array.dictionary_decode() if arrow().types.is_dictionary(array.type) else array)
    index, labels = codes(array, missing)
    values = np.append(_parse(labels, form) if labels else np.empty(0), np.nan)
    bad = np.isnan(values[index]) & (index >= 0)
    if bad.any():
        first = int(bad.argmax())
        raise BadCell(first, labels[index[first]])
    return values[index]


def calendar(moment: np.ndarray) -> np.ndarray:
    """Return ``[n, 7]`` float64: years since 2000, then sine and cosine of month, weekday and hour; NaN stays NaN.

    The trend is linear in time; the others close their circle, so December is next to January.
    """
    known = ~np.isnan(moment)
    stamp = np.where(known, moment, 0.0).astype("int64").astype("datetime64[s]")
    days = stamp.astype("datetime64[D]")
    month = stamp.astype("datetime64[M]").astype(int) % 12
    weekday = (days.astype(int) + 3) % 7
    hour = (stamp - days).astype(float) / 3600.0
    turns = (month / 12, weekday / 7, hour / 24)
    waves = [wave(2 * np.pi * turn) for turn in turns for wave in (np.sin, np.cos)]
    result = np.stack([(moment - _EPOCH_2000) / _YEAR, *waves], axis=1)
    result[~known] = np.nan
    return result


def _reads(texts: Sequence[str], form: str) -> bool:
    return not np.isnan(_parse(texts, form)).any()


def _parse(texts: Sequence[str], form: str) -> np.ndarray:
    pa = arrow()
    array = pa.array(list(texts), pa.string())
    if form != "iso":
        return seconds(arrow("compute").strptime(array, format=form, unit="s", error_is_null=True))
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return seconds(array.cast(kind))
        except pa.ArrowInvalid:
            continue
    return np.full(len(texts), np.nan)
