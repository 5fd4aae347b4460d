"""Whole comparisons on a small real table: equal effort, records that survive, results that can be recomputed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.training.tables import make_table, only

from accord.comparing import CompareSpec, Crew, Study, begin, run_study
from accord.comparing.entrants import entrants
from accord.errors import ConfigurationError, DataError, RunError
from accord.training import Plan, plan

FAST = {
    "training.epochs": 1,
    "training.batch_size": 64,
    "training.threads": 1,
    "training.learning_rate": 0.01,
    "evaluation.resamples": 100,
}
RULES = CompareSpec(("cagrad",), trials=2, seeds=2)


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan(only(make_table(240), "bought", "price"), targets=["bought", "price"], options=FAST)


@pytest.fixture(scope="module")
def finished(planned: Plan, tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = begin(planned, RULES, tmp_path_factory.mktemp("studies") / "a", resume=False)
    assert run_study(study).results is not None
    return study


def results(study: Study) -> dict:
    return json.loads((study.directory / "compare.json").read_text())


def records(directory: Path) -> dict[str, dict]:
    """Metrics by path of the record."""
    found = (directory / "records").rglob("*.json")
    return {
        str(path.relative_to(directory)): json.loads(path.read_text())["record"]["metrics"] for path in sorted(found)
    }


def test_everybody_has_the_same_effort(finished: Study) -> None:
    counts = {folder.name: len(list(folder.glob("*.json"))) for folder in (finished.directory / "records").iterdir()}
    assert counts == {"single-0": 4, "single-1": 4, "fixed": 4, "cagrad": 4}
    rates = {tuple(trial["rate"] for trial in facts["trials"]) for facts in results(finished)["entrants"]}
    assert len(rates) == 1
    assert next(iter(rates))[0] == 0.01
    assert not (finished.directory / "unfinished").exists()


def test_static_weights_and_main_options_are_searched(finished: Study) -> None:
    by_key = {facts["key"]: facts for facts in results(finished)["entrants"]}
    assert by_key["fixed"]["trials"][0]["options"] == by_key["cagrad"]["trials"][0]["options"] == {}
    weights = by_key["fixed"]["trials"][1]["options"]["weights"]
    assert len(weights) == 2 and sum(weights) == pytest.approx(1, abs=1e-3)
    assert 0.1 <= by_key["cagrad"]["trials"][1]["options"]["c"] <= 0.9
    assert by_key["single-0"]["trials"][1]["options"] == {}


def test_delta_m_follows_from_the_test_metrics(finished: Study) -> None:
    by_key = {facts["key"]: facts for facts in results(finished)["entrants"]}
    auc, rmse = (
        {key: np.mean(by_key[key]["test"][task][metric]) for key in (single, "fixed", "cagrad")}
        for task, metric, single in (("bought", "auc", "single-0"), ("price", "rmse", "single-1"))
    )
    for key in ("fixed", "cagrad"):
        gains = (auc[key] / auc["single-0"] - 1, 1 - rmse[key] / rmse["single-1"])
        assert by_key[key]["delta_m"]["value"] == pytest.approx(100 * sum(gains) / 2)
    gap = by_key["cagrad"]["against_plain"]
    assert gap["value"] == pytest.approx(by_key["cagrad"]["delta_m"]["value"] - by_key["fixed"]["delta_m"]["value"])
    assert gap["low"] <= gap["high"]
    assert sum(by_key["cagrad"]["bayes"].values()) == pytest.approx(1)
    assert "against_plain" not in by_key["fixed"]


def test_the_best_trial_on_validation_rows_is_the_one_tested(finished: Study) -> None:
    for facts in results(finished)["entrants"]:
        if facts["kind"] == "single":
            task, metric, sign = {"single-0": ("bought", "auc", 1), "single-1": ("price", "rmse", -1)}[facts["key"]]
            scores = [sign * trial["metrics"][task][metric] for trial in facts["trials"]]
            assert facts["chosen"]["trial"] == int(np.argmax(scores))


def test_four_blocks_are_too_few_and_the_ranks_say_so(finished: Study) -> None:
    ranks = results(finished)["ranks"]
    assert (ranks["blocks"], ranks["needed"], ranks["enough"]) == (4, 6, False)


def test_the_paragraph_names_who_is_not_better(finished: Study) -> None:
    found = results(finished)
    assert "tuned plain weights" in found["paragraph"]
    outcome = next(f for f in found["entrants"] if f["key"] == "cagrad")["against_plain"]["outcome"]
    assert ("Not better" in found["paragraph"]) == (outcome != "better")
    assert "cagrad" in found["paragraph"]


def test_what_is_lost_or_damaged_is_explained_and_made_again(finished: Study, tmp_path: Path) -> None:
    shutil.copytree(finished.directory, tmp_path / "b")
    study = Study.read(tmp_path / "b")
    before = records(study.directory)
    folder = study.directory / "records"
    (folder / "cagrad" / "test-0.json").unlink()
    cut = folder / "cagrad" / "tune-1.json"
    cut.write_text(cut.read_text()[:200])
    changed = folder / "single-0" / "test-1.json"
    changed.write_text(changed.read_text().replace('"epochs": 1', '"epochs": 9'))
    torn = folder / "fixed" / "test-1.safetensors"
    torn.write_bytes(torn.read_bytes()[:-3])
    outcome = run_study(study)
    assert outcome.results is not None
    assert outcome.results["effort"]["made_now"] == 4
    notes = "\n".join(outcome.results["notes"])
    for name in ("tune-1.json is damaged", "test-1.json is damaged", "test-1.safetensors is missing or damaged"):
        assert name in notes
    assert records(study.directory) == before


def test_nothing_is_made_twice_and_another_question_is_not_mixed_in(finished: Study, planned: Plan) -> None:
    again = begin(planned, RULES, finished.directory, resume=True)
    outcome = run_study(again)
    assert outcome.results is not None and outcome.results["effort"]["made_now"] == 0
    with pytest.raises(RunError, match="another comparison"):
        begin(planned, CompareSpec(("upgrad",), trials=2, seeds=2), finished.directory, resume=True)
    with pytest.raises(RunError, match="not empty"):
        begin(planned, RULES, finished.directory, resume=False)


def test_a_killed_comparison_goes_on_in_two_processes_to_the_same_numbers(finished: Study, tmp_path: Path) -> None:
    shutil.copytree(finished.directory, tmp_path / "c")
    study = Study.read(tmp_path / "c")
    (study.directory / "compare.json").unlink()
    shutil.rmtree(study.directory / "records" / "cagrad")
    (study.directory / "records" / "single-1" / "test-1.json").unlink()
    before = len(records(study.directory))
    code = (
        "import sys; from pathlib import Path; from accord.comparing import *; run_study(Study.read(Path(sys.argv[1])))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen([sys.executable, "-c", code, str(study.directory)], env=environment)
    while len(records(study.directory)) == before:
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = len(records(study.directory))
    assert run_study(study, Crew(2)).results is not None
    assert records(study.directory) == records(finished.directory)
    assert results(study)["effort"]["made_now"] == 16 - kept


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (("cagrat",), "Did you mean 'cagrad'"),
        (("mmoe+ple",), "two methods of sharing"),
        (("flat_regions",), "steps are for loops of your own"),
        (("fixed",), "name a method besides"),
    ],
)
def test_wrong_names_are_refused_before_anything_is_trained(planned: Plan, methods, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        entrants(planned.spec, CompareSpec(methods))


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"cagrad": {"b": [1]}}, "cagrad has no option 'b'"),
        ({"cagrad": {"c": []}}, "no value to choose"),
        ({"cagrad": {"c": {"low": 2, "high": 1}}}, "low must lie below high"),
        ({"cagrad": {"c": {"low": 0, "high": 1, "scale": "log"}}}, "above 0"),
        ({"cagrad": {"c": {"low": 0, "hihg": 1}}}, "Did you mean 'high'"),
        ({"cagrad": 3}, "must be a mapping"),
    ],
)
def test_wrong_ranges_are_refused(search, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CompareSpec(("cagrad",), search=search)


def test_a_range_of_ones_own_and_a_pair_of_methods(planned: Plan) -> None:
    rules = CompareSpec(("MMoE+CAGrad",), trials=4, search={"cagrad": {"c": [0.25]}, "mmoe": {}})
    pair = entrants(planned.spec, rules)[-1]
    assert (pair.name, pair.methods) == ("mmoe+cagrad", {"sharing": "mmoe", "balancing": "cagrad"})
    trials = [pair.trial(planned.spec, rules, n) for n in range(4)]
    assert [trial.options for trial in trials] == [{}, *[{"sharing": {}, "balancing": {"c": 0.25}}] * 3]
    assert trials[1].flat() == {"c": 0.25}
    spec = pair.spec(planned.spec, trials[1], 7)
    assert (spec.model.sharing, spec.balancing.method, spec.balancing.options, spec.seed) == (
        "mmoe",
        "cagrad",
        {"c": 0.25},
        7,
    )
    assert all(0.001 <= trial.rate <= 0.1 for trial in trials)
    assert len({trial.rate for trial in trials}) == 4


def test_samplers_are_compared_where_tasks_have_rows_of_their_own(tmp_path: Path) -> None:
    table = only(make_table(300), "bought", "price")
    of_price = np.arange(300) % 4 == 0
    table["bought"] = np.where(of_price, np.nan, table["bought"].astype(float))
    table["price"] = np.where(of_price, table["price"], np.nan)
    planned = plan(table, targets=["bought", "price"], options=FAST)
    rules = CompareSpec(("temperature+ple", "upgrad+Temperature"), trials=2, seeds=1)
    study = begin(planned, rules, tmp_path / "a", resume=False)
    assert [entrant.key for entrant in study.entrants][2:] == ["fixed", "ple+temperature", "upgrad+temperature"]
    both = study.entrants[-1]
    drawn = both.trial(study.spec, rules, 1)
    run = both.spec(study.spec, drawn, 3)
    assert (run.sampling.method, run.balancing.method, run.model.sharing) == ("temperature", "upgrad", "hard_sharing")
    assert run.sampling.options == drawn.options["sampling"] and 1 <= run.sampling.options["temperature"] <= 10
    outcome = run_study(study)
    assert outcome.results is not None
    by_key = {facts["key"]: facts for facts in outcome.results["entrants"]}
    assert by_key["upgrad+temperature"]["trials"][1]["options"] == dict(drawn.options["sampling"])
    assert all(facts["out"] == "" and facts["total_seconds"] > 0 for facts in by_key.values())


def test_samplers_have_nothing_to_choose_where_every_row_has_all_labels(planned: Plan, tmp_path: Path) -> None:
    study = begin(planned, CompareSpec(("uniform",), trials=1, seeds=1), tmp_path / "a", resume=False)
    with pytest.raises(DataError, match="every row has the labels of all"):
        run_study(study)


def test_options_without_a_default_are_drawn_for_the_first_trial_too(planned: Plan) -> None:
    rules = CompareSpec(("cooldown",), trials=2, search={"cooldown": {"start": [2], "end": [5, 9], "hot": [3.0]}})
    cooled = entrants(planned.spec, rules)[-1]
    first, second = (cooled.trial(planned.spec, rules, n) for n in range(2))
    assert first.rate == planned.spec.training.learning_rate
    assert first.options["sampling"].keys() == {"start", "end"}  # `hot` has a default
    assert first.flat()["start"] == 2 and first.flat()["end"] in (5, 9)
    assert second.options["sampling"].keys() == {"start", "end", "hot"}
    given = planned.spec.override({"sampling.method": "Cooldown", "sampling.options": {"start": 7, "end": 8}})
    assert cooled.trial(given, rules, 0).options == {}  # what the specification says stands
    assert cooled.spec(given, cooled.trial(given, rules, 0), 0).sampling.options == {"start": 7, "end": 8}


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (("uniform+temperature",), "two methods of sampling"),
        (("jest",), "chooses rows, not tasks"),
        (
            ("cooldown",),
            r"cooldown needs the options 'start' and 'end', which have no default: list the values to try, "
            r"--set compare\.search\.cooldown\.start=\[VALUE,\.\.\.\] --set compare\.search\.cooldown\.end=",
        ),
        (("upgrad+cooldown",), r"--set compare\.search\.cooldown\.start="),
        (("evidence_weighting",), r"needs the option 'sizes', which has .*compare\.search\.evidence_weighting\.sizes="),
    ],
)
def test_samplers_that_cannot_be_compared_are_refused(planned: Plan, methods, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        entrants(planned.spec, CompareSpec(methods))
