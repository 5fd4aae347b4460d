"""Whole groupings on a small table: what is proposed, what is measured, and what survives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.grouping.tables import FAST, names, planted_table

from accord.comparing import Crew
from accord.errors import ConfigurationError, RunError
from accord.grouping import (
    Budget,
    GradientCosine,
    GroupSpec,
    GroupStudy,
    InterTaskAffinity,
    Partition,
    begin,
    parse_group,
    run_study,
)
from accord.grouping.adopt import adopt
from accord.grouping.budgets import budget_of
from accord.grouping.laboratory import GroupRuns
from accord.grouping.members import key_of, some, tasks_of
from accord.grouping.watch import Watch, confidence, heads, means, scalar
from accord.tasks import Target, Task
from accord.training import History, Plan, Silent, Spec, plan, run
from accord.training.build import build_model
from accord.training.interrupt import Stop
from accord.training.member import Context, make_trainer
from accord.training.prepare import Prepared, prepare

RULES = GroupSpec(groups=2, measure=True, seeds=2, merged=0.5)


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan(planted_table(), targets=names(), options=FAST)


@pytest.fixture(scope="module")
def prepared(planned: Plan) -> Prepared:
    return prepare(planned.spec, planned.table)


@pytest.fixture(scope="module")
def finished(planned: Plan, tmp_path_factory: pytest.TempPathFactory) -> GroupStudy:
    study = begin(planned, RULES, tmp_path_factory.mktemp("groups") / "a", resume=False)
    assert run_study(study).results is not None
    return study


def results(study: GroupStudy) -> dict:
    return json.loads((study.directory / "group.json").read_text())


def test_every_task_is_served_by_one_group_within_the_budget(finished: GroupStudy) -> None:
    found = results(finished)
    assert sorted(name for group in found["groups"] for name in group["serves"]) == names()
    assert all(set(group["serves"]) <= set(group["tasks"]) for group in found["groups"])
    assert found["budget"]["spent"] <= found["budget"]["limit"] == 2
    assert np.array(found["affinity"]["matrix"]).shape == (4, 4)
    mean = np.mean([task["gain"] for task in found["predicted"]["tasks"]])
    assert found["predicted"]["groups"] == pytest.approx(mean)
    assert found["predicted"]["groups"] >= found["predicted"]["together"]


def test_measured_gains_follow_from_the_test_metrics(finished: GroupStudy) -> None:
    measured = results(finished)["measured"]
    auc = {one["key"]: {name: np.mean(one["test"][name]["auc"]) for name in names()} for one in measured["contestants"]}
    assert list(auc) == ["groups", "merged", "together", "random", "singles"]
    delta = {k: 100 * np.mean([v[n] / auc["singles"][n] - 1 for n in names()]) for k, v in auc.items()}
    for one in measured["contestants"]:
        if one["key"] != "singles":
            assert one["delta_m"]["value"] == pytest.approx(delta[one["key"]])
            assert one["delta_m"]["low"] <= one["delta_m"]["high"]
    for gap in measured["against"]:
        assert gap["value"] == pytest.approx(delta["groups"] - delta[gap["other"]])
        assert gap["p"] <= gap["p_holm"] <= 1
    for task in measured["tasks"]:
        over = 100 * (auc["groups"][task["task"]] / auc["together"][task["task"]] - 1)
        assert task["over_together"]["value"] == pytest.approx(over)


def test_random_groups_cost_what_the_proposal_costs(finished: GroupStudy) -> None:
    found = results(finished)
    one, other = (next(c for c in found["measured"]["contestants"] if c["key"] == k) for k in ("groups", "random"))
    assert one["cost"] == other["cost"] == found["budget"]["spent"] and one["models"] == other["models"]


def test_a_group_is_trained_by_its_specification_as_it_was_measured(finished: GroupStudy, tmp_path: Path) -> None:
    found = results(finished)
    group = found["groups"][0]
    spec = Spec.from_yaml(finished.directory / group["spec"])
    assert [task.name for task in spec.parsed_tasks()] == group["tasks"]
    # The first measured seed is 1. Stratifying over the tasks of one group would draw other rows; the file says which.
    seed = {"seed": 1, "evaluation.baselines": False}
    metrics = run(plan(spec=spec.override(seed)), tmp_path / "fit").metrics
    measured = next(c for c in found["measured"]["contestants"] if c["key"] == "groups")
    for name in group["serves"]:
        assert metrics["test"]["joint"][name]["auc"] == pytest.approx(measured["test"][name]["auc"][:1], abs=1e-12)


def test_nothing_is_made_twice_and_what_is_damaged_is_made_again(
    finished: GroupStudy, planned: Plan, tmp_path: Path
) -> None:
    shutil.copytree(finished.directory, tmp_path / "b")
    before = {str(p): p.read_text() for p in (finished.directory / "records").rglob("*.json")}
    again = run_study(begin(planned, RULES, tmp_path / "b", resume=True)).results
    assert again is not None and again["effort"]["made_now"] == 0
    assert again["measured"] == results(finished)["measured"]
    cut = tmp_path / "b" / "records" / key_of([0]) / "test-1.json"
    cut.write_text(cut.read_text()[:99])
    # Another affinity asks another probe; models that do not depend on it are kept.
    other = parse_group({"affinity": "compression_distance", "groups": 1, "measure": True, "seeds": 2})
    found = run_study(begin(planned, other, tmp_path / "b", resume=True)).results
    assert found is not None and found["effort"]["made_now"] == 1
    assert any("test-1.json is damaged" in note for note in found["notes"])
    assert {str(p): p.read_text() for p in (finished.directory / "records").rglob("*.json")} == before


def test_directories_are_not_mixed_up(finished: GroupStudy, planned: Plan) -> None:
    with pytest.raises(RunError, match="not empty"):
        begin(planned, RULES, finished.directory, resume=False)
    changed = plan(planted_table(), targets=names(), options={**FAST, "training.epochs": 3})
    with pytest.raises(RunError, match="grouping of other runs"):
        begin(changed, RULES, finished.directory, resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"affinity": "gradient_cosin"}, "Did you mean 'gradient_cosine'"),
        ({"affinity": "spectral"}, "unknown affinity 'spectral'"),
        ({"partitioner": "rsa"}, "unknown partitioner 'rsa'"),
        ({"affinity_options": {"penalty": 1}}, "no option 'penalty'"),
        ({"groups": 2, "compute": 2.0}, "not both"),
        ({"groups": 0}, "group.groups must be at least 1"),
        ({"merged": 1.0}, "group.merged must be between 0 and 0.9"),
        ({"partitioner_options": {"seed": 1}}, "auto takes none"),
        ({"affinty": "rsa"}, "Did you mean 'affinity'"),
        ({"affinity": "lasso_relevance", "affinity_options": {"penalty": -1.0}}, "penalty must be 0 or more"),
        (
            {"partitioner": "interval_clustering", "partitioner_options": {"positions": [1.0]}},
            "1 positions for 4 tasks",
        ),
    ],
)
def test_mistakes_are_refused_before_anything_is_trained(
    planned: Plan, tmp_path: Path, options: dict, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        run_study(begin(planned, parse_group(options), tmp_path / "c", resume=False))
    assert not (tmp_path / "c" / "records").exists()


def test_conditional_tasks_and_too_few_tasks_are_refused(tmp_path: Path) -> None:
    chained = [Task("t0", "binary"), Task("t1", "binary", given="t0")]
    with pytest.raises(ConfigurationError, match="'t1' is given 't0'"):
        begin(plan(planted_table(2), tasks=chained, options=FAST), GroupSpec(), tmp_path / "d", resume=False)
    with pytest.raises(ConfigurationError, match="at least two tasks"):
        begin(plan(planted_table(1), targets=["t0"], options=FAST), GroupSpec(), tmp_path / "d", resume=False)


@pytest.mark.slow
def test_worker_processes_find_what_one_process_finds(planned: Plan, tmp_path: Path) -> None:
    asked = parse_group({"affinity": "rsa", "groups": 2})
    found = [
        run_study(begin(planned, asked, tmp_path / name, resume=False), Crew(jobs)).results
        for name, jobs in (("one", 1), ("two", 2))
    ]
    assert found[0] is not None and found[1] is not None
    assert found[0]["affinity"] == found[1]["affinity"] and found[0]["groups"] == found[1]["groups"]


SLOWER = ("inter_task_affinity", "lasso_relevance", "task_selection")


@pytest.mark.parametrize(
    "affinity",
    ["gradient_cosine", "compression_distance", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOWER)],
)
def test_planted_groups_are_proposed(affinity: str, tmp_path: Path) -> None:
    what = plan(planted_table(rows=1500), targets=names(), options={**FAST, "training.epochs": 4})
    asked = parse_group({"affinity": affinity, "groups": 2, "partitioner": "agglomerative"})
    found = run_study(begin(what, asked, tmp_path / "e", resume=False)).results
    assert found is not None
    assert [group["tasks"] for group in found["groups"]] == [["t0", "t2"], ["t1", "t3"]]


def trainer_of(spec: Spec, prepared: Prepared, folder: Path, stop: Stop):
    context = Context(spec, folder, History(), Silent(), stop, torch.device("cpu"))
    return make_trainer(context, prepared, ("probe", 0), folder / "state.safetensors")


class Impatient(Watch):
    """Asks for a stop at one step."""

    def __init__(self, affinities: list, stop: Stop, at: int) -> None:
        super().__init__(affinities, 0)
        self.stop, self.at = stop, at

    def look(self, problem, rows, step: int, steps: int) -> None:
        super().look(problem, rows, step, steps)
        self.stop.requested = step == self.at


def test_looking_on_changes_nothing_and_goes_on_after_a_stop(planned: Plan, prepared: Prepared, tmp_path: Path) -> None:
    spec = planned.spec

    def affinities() -> list:
        return [InterTaskAffinity(4), GradientCosine(4)]

    def trained(name: str, watch: Watch | None, stop: Stop) -> dict[str, torch.Tensor]:
        trainer, problem = trainer_of(spec, prepared, tmp_path / name, stop)
        trainer.watcher = watch
        with torch.random.fork_rng():
            torch.manual_seed(0)
            trainer.train()
        return problem.model.state_dict()

    plain = trained("plain", None, Stop())
    watch = Watch(affinities(), 0)
    for name, tensor in trained("watched", watch, Stop()).items():
        assert torch.equal(tensor, plain[name]), name
    stop = Stop()
    trained("stopped", Impatient(affinities(), stop, 2), stop)
    again = Watch(affinities(), 0)
    for name, tensor in trained("stopped", again, Stop()).items():
        assert torch.equal(tensor, plain[name]), name
    for first, second in zip(watch.affinities, again.affinities, strict=True):
        assert torch.equal(first.matrix(), second.matrix())  # type: ignore[operator]


def test_a_model_of_some_tasks_goes_on_from_the_joint_one(planned: Plan, prepared: Prepared) -> None:
    spec, layout = planned.spec, prepared.feature_encoder.layout
    joint = build_model(spec, layout, prepared.objectives, seed=0).eval()
    part = some(prepared, [3, 1])
    model = build_model(spec, layout, part.objectives, seed=5).eval()
    rows = prepared.features[torch.arange(5)]
    adopt(model, joint, [3, 1])
    with torch.no_grad():
        outputs, expected = model(rows), joint(rows)
    assert torch.equal(outputs[0], expected[3]) and torch.equal(outputs[1], expected[1])
    wide = build_model(spec.override({"model.options": {"width": 13}}), layout, part.objectives, seed=0)
    with pytest.raises(ConfigurationError, match="other shapes"):
        adopt(wide, joint, [3, 1])


def test_compute_is_counted_in_models_of_all_tasks(planned: Plan, prepared: Prepared) -> None:
    model = build_model(planned.spec, prepared.feature_encoder.layout, prepared.objectives, seed=0)
    found = budget_of(GroupSpec(compute=2.0), model)
    assert found.limit == 2 and found.cost(4) == pytest.approx(1) and 0.5 < found.group < 1
    assert budget_of(GroupSpec(), model) == Budget(3.0)
    assert budget_of(GroupSpec(groups=2), model) == Budget(2.0)


def test_keys_say_which_tasks_they_are() -> None:
    assert key_of([0, 3]) == "tasks-9" and tasks_of("split-9") == (0, 3)
    assert tasks_of(key_of(range(100))) == tuple(range(100))


def test_evidence_of_an_encoder_by_hand() -> None:
    seen = torch.tensor([[1.0, 0], [3, 0], [0, 2], [0, 4]], dtype=torch.float64)
    labels = torch.tensor([[1.0, 1, 0, 0], [0, torch.nan, 1, torch.nan]], dtype=torch.float64)
    # Positive less negative rows: (2, 0) - (0, 3), and of the second task's two rows (0, 2) - (1, 0).
    assert means(seen, labels).tolist() == [[2, -3], [-1, 2]]
    readout = heads(seen, labels[:1])
    assert readout[0, 0] > 0 > readout[0, 1]
    codes = Target(torch.tensor([2, 2, 0, 1]), torch.tensor([True, True, True, False]))
    assert scalar(codes)[:3].tolist() == [1, 1, 0] and bool(scalar(codes)[3].isnan())


def test_confidence_is_the_probability_of_the_label(planned: Plan, prepared: Prepared, tmp_path: Path) -> None:
    _, problem = trainer_of(planned.spec, prepared, tmp_path, Stop())
    rows = torch.arange(50)
    found = confidence(problem, rows)
    problem.model.eval()
    with torch.no_grad():
        p = torch.sigmoid(problem.outputs(rows)[0].double().squeeze(1))
    y = prepared.targets[0].values[rows].double()
    torch.testing.assert_close(found[0], torch.where(y > 0.5, p, 1 - p), rtol=1e-4, atol=1e-5)


def test_a_failed_run_is_named(planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = begin(planned, GroupSpec(groups=2), tmp_path / "f", resume=False)

    def fail(*_: object) -> Partition:
        raise ValueError("no such luck")

    monkeypatch.setattr(GroupRuns, "train", fail)
    with pytest.raises(RunError, match="the run of all tasks, probe failed: ValueError: no such luck"):
        run_study(study)
