"""Any run directory, however odd, becomes a well-formed page or an explained error."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.reporting.made_runs import Chunk, write_history
from tests.reporting.parsed import parse
from tests.reporting.test_report_page import check

from accord.errors import RunError
from accord.reporting import verdict_text, write_report

names = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=12)
numbers = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(-1, 1), st.integers(-5, 10**6))
junk = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, names), lambda s: st.lists(s, max_size=3)
    | st.dictionaries(names, s, max_size=3), max_leaves=6,
)  # fmt: skip


@st.composite
def metrics(draw):
    tasks = draw(st.lists(names, min_size=1, max_size=12, unique=True))
    keys = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    values = st.lists(numbers, max_size=3)
    info = st.fixed_dictionaries(
        {}, optional={"label": names, "higher_is_better": st.booleans(), "unit": names, "scale": numbers}
    )
    bins = dict.fromkeys(("count", "confidence", "frequency"), values)
    curve = st.fixed_dictionaries({"label": names, "ece": numbers, **bins})
    cost = st.fixed_dictionaries({}, optional=dict.fromkeys(("seconds", "parameters", "peak_memory_mb"), numbers))
    facts = {
        "tasks": [{"name": t, "primary": keys[0], "metrics": {k: draw(info) for k in keys}} for t in tasks],
        "seeds": draw(st.lists(st.integers(0, 9), max_size=3)),
        "rows": {p: draw(numbers) for p in ("train", "validation", "test")},
        "test": {"joint": {t: {k: draw(values) for k in keys} for t in tasks}},
        "warnings": draw(st.lists(names, max_size=6)),
        "cost": {"joint": draw(cost), "single": draw(cost)},
        "calibration": {t: [draw(curve)] for t in tasks[:2]},
    }  # fmt: skip
    if draw(st.booleans()):
        facts["test"]["single"] = {t: {k: draw(values) for k in keys} for t in tasks}
        ends = dict.fromkeys(("difference", "low", "high"), numbers)
        outcome = st.sampled_from(["helped", "hurt", "no clear difference", "?"])
        entry = st.fixed_dictionaries(
            {"task": st.sampled_from(tasks), "metric": st.sampled_from(keys), "outcome": outcome, **ends}
        )
        facts["verdict"] = {"delta_m": {"value": draw(numbers)}, "tasks": draw(st.lists(entry, max_size=4))}
    for key in draw(st.lists(st.sampled_from([k for k in facts if k != "tasks"]), max_size=2)):
        facts[key] = draw(junk)
    return facts


@st.composite
def histories(draw, tasks):
    chunks = []
    for _ in range(draw(st.integers(0, 8))):
        task, name = draw(st.sampled_from(tasks)), draw(st.sampled_from(["loss", "weight", "cosine"]))
        other = draw(st.sampled_from(tasks)) if name == "cosine" else ""
        steps = np.array(draw(st.lists(st.integers(0, 10**9), min_size=1, max_size=5)))
        values = np.array(draw(st.lists(st.floats(), min_size=len(steps), max_size=len(steps))))
        run = draw(st.sampled_from(["joint", f"single:{task}"]))
        chunks.append(Chunk(run, draw(st.integers(0, 2)), "train", name, steps, values, task, other))
    return chunks


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_any_run_becomes_a_page(data):
    facts = data.draw(metrics())
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        (directory / "metrics.json").write_text(json.dumps(facts), encoding="utf-8")
        write_history(directory / "history.parquet", data.draw(histories([t["name"] for t in facts["tasks"]])))
        check(parse(write_report(directory).read_text("utf-8")))
    verdict_text(facts).encode("utf-8")


@settings(max_examples=60)
@given(junk, junk)
def test_any_json_is_read_or_explained(metrics, features):
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        (directory / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
        (directory / "features.json").write_text(json.dumps({"schema": features}), encoding="utf-8")
        if isinstance(metrics, dict):
            check(parse(write_report(directory).read_text("utf-8")))
        else:
            with pytest.raises(RunError, match=r"metrics\.json must hold"):
                write_report(directory)
