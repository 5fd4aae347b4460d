"""The honest paragraph: what was compared, who is better than tuned plain weights, and who is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PLAIN_WORDS = "tuned plain weights"


def paragraph(found: Mapping[str, Any]) -> str:
    """Return the summary of ``compare.json`` (complete but for this) in words."""
    compare, entrants = found["compare"], found["entrants"]
    methods = [facts for facts in entrants if facts["kind"] == "method"]
    judged = [facts for facts in methods if "against_plain" in facts]
    outs = [facts for facts in entrants if facts["out"]]
    sentences = [
        f"{_count(len(methods), 'method')} against {PLAIN_WORDS} (one static weight per task) on "
        f"{_count(len(found['tasks']), 'task')}: each had {_count(compare['trials'], 'tuning run')}, chosen on "
        f"{found['rows']['validation']:,} validation rows, and then {_count(compare['seeds'], 'fresh seed')} on "
        f"{found['rows']['test']:,} test rows."
    ]
    if judged:
        sentences += _outcomes(judged)
    elif methods:
        sentences.append("There is no verdict, because a model that the others are compared with is missing.")
    if outs:
        sentences.append("Out: " + "; ".join(f"{facts['name']} ({facts['out']})" for facts in outs) + ".")
    return " ".join([*sentences, *_caveats(found, compare, bool(judged))])


def _outcomes(judged: Sequence[Mapping[str, Any]]) -> list[str]:
    by = {
        outcome: [facts["name"] for facts in judged if facts["against_plain"]["outcome"] == outcome]
        for outcome in ("better", "worse", "no clear difference")
    }
    better = [
        f"{facts['name']} ({_gap(facts['against_plain'])})"
        for facts in judged
        if facts["against_plain"]["outcome"] == "better"
    ]
    said = [f"Better than {PLAIN_WORDS}: {_names(better)}." if better else f"None is better than {PLAIN_WORDS}."]
    rest = [f"worse: {_names(by['worse'])}"] if by["worse"] else []
    rest += [f"no clear difference: {_names(by['no clear difference'])}"] if by["no clear difference"] else []
    return [*said, f"Not better: {'; '.join(rest)}."] if rest else said


def _gap(gap: Mapping[str, float]) -> str:
    return f"{gap['value']:+.2f} points of delta-m [{gap['low']:.2f}, {gap['high']:.2f}]"


def _caveats(found: Mapping[str, Any], compare: Mapping[str, Any], judged: bool) -> list[str]:
    if not judged:
        return []
    said = [
        f"Intervals ({100 * found['confidence']:.0f} %) cover the luck of the test rows and of the seeds, and p-values "
        "are corrected for the number of methods."
    ]
    if compare["seeds"] == 1:
        said = ["With one seed the intervals cover the luck of the test rows only: small differences may be chance."]
    elif compare["seeds"] < 5:
        said.append(f"With {compare['seeds']} seeds the luck of the seed is underestimated.")
    said.append("All of it speaks of this data set, these rows and this budget.")
    return said


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _names(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
