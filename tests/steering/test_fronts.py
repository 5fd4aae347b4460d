"""Whole fronts on real files: what is measured is what is exported, and killed runs go on to the same weights."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.steering.made_fronts import BUDGET, make_front
from tests.training.tables import make_table, only

import accord
from accord.data import read_parquet
from accord.errors import ConfigurationError, MissingExtraError, RunError
from accord.pareto.hypervolume import volume
from accord.steering import FrontRun, open_front, parse_front, run_front
from accord.steering.measure import measure
from accord.steering.results import live_resamples
from accord.steering.rows import Rows
from accord.training import plan
from accord.training.prepare import prepare
from accord.training.problem import all_outputs

STEERABLE = ("cosmos", "pa_mal", "pa_lo_ra", "pareto_hyper_network")


@pytest.fixture(scope="module")
def cosmos(tmp_path_factory: pytest.TempPathFactory) -> FrontRun:
    """A front of two tasks."""
    directory = tmp_path_factory.mktemp("fronts") / "cosmos"
    make_front(directory)
    return open_front(directory)


def check(run: FrontRun, out: Path) -> None:
    """What is stored, measured, made and exported is the same everywhere."""
    for number in (0, len(run.points) // 2):
        preference = run.preferences[number]
        assert run.evaluate(preference) == run.points[number].live
        network = run.solution(preference)
        outputs = all_outputs(network, run.live.features, torch.arange(len(run.live)), torch.device("cpu"))
        # The plain network adds in another order than the steerable one.
        again = measure(run.objectives, outputs, run.live.targets, live_resamples(run.live))
        assert again.losses == pytest.approx(run.points[number].live.losses, rel=1e-4)
    preference = run.preferences[1]
    run.export(preference, out)
    model = accord.load(out)
    table = make_table(50, seed=9)
    there = run.trained(preference).predict(table)
    for name, column in model.predict(table).items():
        assert np.array_equal(column, there[name])
    assert model.metrics["front"]["preference"] == preference.tolist()


@pytest.mark.parametrize("method", STEERABLE)
def test_a_steerable_front_is_what_it_says(method: str, tmp_path: Path) -> None:
    tasks = ("bought", "price", "colour") if method == "pa_mal" else ("bought", "price")
    found = make_front(tmp_path / "front", method, tasks)
    run = open_front(found.directory)
    assert run.kind == "steerable" and run.method == method and str(run) == found.results["paragraph"]
    assert len(run.points) == (21 if len(tasks) == 3 else 11) and run.preferences.shape[1] == len(tasks)
    assert [one.name for one in run.baselines] == ["balanced", *(f"single:{task}" for task in tasks)]
    assert set(run.baselines[1].live.losses) == {"bought"}
    assert not (found.directory / "checkpoints").exists()
    check(run, tmp_path / "exported")
    between = run.normalised([3.0, *[1.0] * (len(tasks) - 1)])
    losses = [point.live.losses["bought"] for point in run.points]
    assert min(losses) - 0.2 < run.evaluate(between).losses["bought"] < max(losses) + 0.2


@pytest.mark.parametrize("method", ["epo", "pmtl", "tchebycheff_scalarisation", "hypervolume_gradient"])
def test_a_set_answers_with_its_nearest_solution(method: str, tmp_path: Path) -> None:
    found = make_front(tmp_path / "front", method, points=3)
    run = open_front(found.directory)
    assert run.kind == "set" and len(run.points) == 3
    assert sorted(path.name for path in (found.directory / "solutions").iterdir()) == [
        f"00{number}.safetensors" for number in range(3)
    ]
    check(run, tmp_path / "exported")
    assert run.evaluate([0.9, 0.1]) == run.points[2].live and run.evaluate([0.3, 0.7]) == run.points[1].live
    exported = json.loads((tmp_path / "exported" / "metrics.json").read_text())
    assert exported["front"]["validation"] == json.loads(json.dumps(run.points[1].live.to_dict()))


def rival(rows: int) -> dict[str, np.ndarray]:
    """Return a table of two numbers that need different features."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 2))
    return {"x0": x[:, 0], "x1": x[:, 1], "first": 3 * x[:, 0], "second": x[:, 1] - x[:, 0]}


# Not COSMOS: without blocks the preference, one more input, only shifts what it joins, and which way is luck.
@pytest.mark.parametrize("method", ["pa_lo_ra", "linear"])
def test_steering_moves_what_cannot_be_had_together(method: str, tmp_path: Path) -> None:
    # Two numbers, normalised, are one: between features and heads that cannot hold both.
    narrow = {
        **BUDGET,
        "model.options": {"width": 2, "depth": 0, "dropout": 0.0},
        "model.stem": {"numeric": "identity"},
        "training.epochs": 15,
        "training.patience": 0,
        "training.learning_rate": 0.03,
        "evaluation.baselines": False,
    }
    what = plan(rival(500), targets=("first", "second"), options=narrow)
    found = run_front(what, parse_front({"method": method, "points": 3}), tmp_path / "front")
    first = [point["losses"]["first"] for point in found.results["points"]]
    second = [point["losses"]["second"] for point in found.results["points"]]
    assert first[-1] < first[0] - 0.05 and second[0] < second[-1] - 0.05
    assert "baselines" not in found.results and "cosines" not in found.results


class CrashError(Exception):
    """What a kill looks like from inside."""


class Fragile:
    """News that end a run after so many of them; ``polite``, as Ctrl-C does."""

    def __init__(self, news: int, *, polite: bool = False) -> None:
        self.left, self.polite = news, polite

    def advance(self, rows: int, losses: Mapping[str, float], rows_per_second: float) -> None:
        self.left -= 1
        if self.left == 0 and self.polite:
            os.kill(os.getpid(), signal.SIGINT)
        if self.left < 0 and not self.polite:
            raise CrashError

    def plan(self, rows: int, label: str) -> None: ...
    def begin(self, label: str, rows: int) -> None: ...
    def evaluated(self, epoch: int, metrics: Mapping[str, float]) -> None: ...
    def end(self, skipped_rows: int) -> None: ...
    def say(self, message: str) -> None: ...


@pytest.mark.parametrize(
    ("method", "file"),
    [
        ("pa_lo_ra", "front.safetensors"),
        ("linear", "solutions/001.safetensors"),
        ("moo_svgd", "solutions/001.safetensors"),
    ],
)
def test_a_killed_front_goes_on_to_the_same_weights(method: str, file: str, tmp_path: Path) -> None:
    options = {
        **BUDGET,
        "training.checkpoint_seconds": 0.0,
        "training.epochs": 2,
        "model.options": {"width": 16, "depth": 1, "dropout": 0.2},
    }
    what = plan(only(make_table(300), "bought", "price"), targets=("bought", "price"), options=options)
    front = parse_front({"method": method, "points": 3})
    whole = run_front(what, front, tmp_path / "whole")
    run_front(what, front, tmp_path / "killed", progress=Fragile(2, polite=True))  # within the first epoch
    for news in (3, 6, 12):
        with pytest.raises(CrashError):
            run_front(what, front, tmp_path / "killed", resume=True, progress=Fragile(news))
    killed = run_front(what, front, tmp_path / "killed", resume=True)
    a, b = (load_file(tmp_path / name / file) for name in ("whole", "killed"))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    told = [read_parquet(tmp_path / name / "history.parquet") for name in ("whole", "killed")]
    for column in ("run", "step", "phase", "name", "task", "value"):
        assert np.array_equal(*(history[column] for history in told), equal_nan=column == "value")
    assert killed.results["points"] == whole.results["points"]
    assert killed.results["baselines"] == whole.results["baselines"]
    with pytest.raises(RunError, match="finished"):
        run_front(what, front, tmp_path / "killed", resume=True)
    with pytest.raises(RunError, match="another front"):
        run_front(what, parse_front({"method": method, "points": 4}), tmp_path / "killed", resume=True)


def test_several_seeds_keep_the_best_and_tell_of_all(tmp_path: Path) -> None:
    found = make_front(tmp_path / "front", options={"evaluation.seeds": 2, "training.epochs": 1}, points=3)
    assert found.results["seeds"] == [0, 1] and found.results["saved_seed"] in (0, 1)
    assert "2 seeds" in found.results["paragraph"] and "of the seeds" in found.results["paragraph"]
    run = open_front(found.directory)
    assert run.evaluate(run.preferences[0]) == run.points[0].live


def test_what_a_front_says_of_rows_is_what_its_weights_do_there(tmp_path: Path) -> None:
    """Test figures, hypervolumes and their reference, once more from the weights that were saved."""
    what = plan(only(make_table(400), "bought", "price"), targets=("bought", "price"), options=BUDGET)
    found = run_front(what, parse_front({"method": "cosmos", "points": 3}), tmp_path / "front")
    run, prepared = open_front(found.directory), prepare(what.spec, what.table, what.schema)
    test = Rows(prepared.features, prepared.targets).take(prepared.parts["test"])

    def losses(outputs: list[torch.Tensor]) -> list[float]:
        return [float(loss) for loss in run.objectives.losses(outputs, test.targets) if loss is not None]

    points = np.array([losses(run.front.outputs(test, preference)) for preference in run.preferences])
    told = [list(point.test.losses.values()) for point in run.points if point.test is not None]
    assert np.array(told) == pytest.approx(points, rel=1e-4)
    average = [encoder.bias().expand(len(test), -1) for encoder in run.objectives.encoders]
    volumes, corner = found.results["hypervolume"], np.array(losses(average))
    assert volumes["reference"] == pytest.approx(corner.tolist(), rel=1e-5) and volumes["split"] == "test"
    balanced, *singles = (list(one.test.losses.values()) for one in run.baselines if one.test is not None)
    assert volumes["front"]["value"] == pytest.approx(volume(points, corner), rel=1e-3)
    assert volumes["balanced"]["value"] == pytest.approx(volume(np.array([balanced]), corner), rel=1e-4)
    assert volumes["singles"]["value"] == pytest.approx(volume(np.array(singles).T, corner), rel=1e-4)
    gain = volumes["gain"]
    assert gain["value"] == pytest.approx(volumes["front"]["value"] - volumes["balanced"]["value"])
    assert all(one["low"] <= one["value"] <= one["high"] for one in volumes.values() if isinstance(one, dict))
    dominated = [bool(((other <= own).all(1) & (other < own).any(1)).any()) for own, other in against(run)]
    assert [point.dominated for point in run.points] == dominated


def against(run: FrontRun) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each point's live losses, and those of all points."""
    live = np.array([list(point.live.losses.values()) for point in run.points])
    return [(own, live) for own in live]


def test_of_several_seeds_the_front_of_greatest_hypervolume_is_kept(tmp_path: Path) -> None:
    usual = {"evaluation.baselines": False, "training.epochs": 1}
    fronts = {
        seed: open_front(make_front(tmp_path / str(seed), options={**usual, "seed": seed}, points=3).directory)
        for seed in (5, 6, 7)
    }
    both = make_front(tmp_path / "both", options={**usual, "seed": 5, "evaluation.seeds": 3}, points=3)
    volumes = {seed: volume(against(run)[0][1], np.array(run.results["reference"])) for seed, run in fronts.items()}
    best = max(volumes, key=lambda seed: volumes[seed])
    assert both.results["seeds"] == [5, 6, 7] and both.results["saved_seed"] == best
    assert both.results["points"] == fronts[best].results["points"]
    mean = np.mean([run.results["hypervolume"]["front"]["value"] for run in fronts.values()])
    assert both.results["hypervolume"]["front"]["value"] == pytest.approx(mean)


def test_preferences_are_brought_to_one_and_refused_where_they_are_none(cosmos: FrontRun) -> None:
    assert cosmos.normalised([2, 6]).tolist() == [0.25, 0.75]
    assert cosmos.evaluate([2, 6]) == cosmos.evaluate([0.25, 0.75])
    for wrong in ([1.0], [0.0, 0.0], [-1.0, 2.0], [float("nan"), 1.0], [[0.5, 0.5]]):
        with pytest.raises(ConfigurationError, match="for each of bought, price"):
            cosmos.evaluate(wrong)  # pyright: ignore[reportArgumentType]


def test_exports_refuse_what_they_cannot_do(cosmos: FrontRun, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        cosmos.export([0.5, 0.5], tmp_path / "full")
    with pytest.raises(ConfigurationError, match="format must be"):
        cosmos.export([0.5, 0.5], tmp_path / "x", format="pickle")  # pyright: ignore[reportArgumentType]
    try:
        import onnxscript  # noqa: F401 # pyright: ignore[reportMissingImports]
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"accord\[onnx\]"):
            cosmos.export([0.5, 0.5], tmp_path / "x.onnx", format="onnx")
    assert not (tmp_path / "x").exists() and not (tmp_path / "x.onnx").exists()


def test_an_onnx_file_says_what_the_network_says(cosmos: FrontRun, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    reference = pytest.importorskip("onnx.reference")
    path = cosmos.export([0.3, 0.7], tmp_path / "m.onnx", format="onnx")
    session = reference.ReferenceEvaluator(str(path))
    features = cosmos.live.features[slice(None)]
    named = zip(("numeric", "indicators", "categorical", "text"), features.parts(), strict=True)
    inputs = {name: part.numpy() for name, part in named if name in session.input_names}
    wanted = cosmos.solution([0.3, 0.7])(features)
    for got, want in zip(session.run(None, inputs), wanted, strict=True):
        assert np.allclose(got, want.detach().numpy(), atol=1e-4)
    assert session.output_names == ["bought", "price"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("front.json", b"{", "damaged"),
        ("front.json", b'{"kind": "steerable"}', "not what Accord wrote"),
        ("front.safetensors", b"nothing", "damaged"),
        ("rows.safetensors", b"nothing", "damaged"),
        ("features.json", b"{}", "not what Accord wrote"),
    ],
)
def test_damage_is_named(cosmos: FrontRun, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    for path in cosmos.directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=message) as found:
        open_front(tmp_path).evaluate([0.5, 0.5])
    assert name in str(found.value)


def test_a_directory_without_a_front_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"accord front SPEC --out"):
        open_front(tmp_path)


def test_a_front_needs_two_tasks(tmp_path: Path) -> None:
    what = plan(only(make_table(100), "bought"), targets=("bought",))
    with pytest.raises(ConfigurationError, match="at least 2 tasks"):
        run_front(what, parse_front({}), tmp_path / "front")
    assert not (tmp_path / "front").exists()
