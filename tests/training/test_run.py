"""Whole runs on real files and processes: written completely, resumed exactly, read back safely."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from tests.training.tables import make_table, only

import accord
from accord.data import read_parquet
from accord.errors import ConfigurationError, DataError, NonFiniteLossWarning, RunError
from accord.training import Spec

FAST = {"epochs": 2, "batch_size": 128, "resamples": 50, "patience": 0}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> accord.Model:
    table = only(make_table(), "bought", "price")
    return accord.fit(table, targets=["bought", "price"], out=tmp_path_factory.mktemp("runs") / "a", seeds=2, **FAST)


def test_run_directory_is_complete_and_nothing_else(run) -> None:
    names = {path.name for path in run.directory.iterdir()}
    assert names == {
        "spec.yaml",
        "features.json",
        "metrics.json",
        "history.parquet",
        "model.safetensors",
        "report.html",
    }


def test_kinds_are_inferred_and_written_down(run) -> None:
    spec = Spec.from_yaml(run.directory / "spec.yaml")
    assert [(t.name, t.kind) for t in spec.parsed_tasks()] == [("bought", "binary"), ("price", "regression")]
    assert spec.training.epochs == 2


def test_metrics_follow_the_contract(run) -> None:
    m = json.loads((run.directory / "metrics.json").read_text())
    assert m["seeds"] == [0, 1]
    assert sum(m["rows"].values()) == 600
    assert len(m["test"]["joint"]["bought"]["auc"]) == 2
    assert set(m["test"]["single"]) == {"bought", "price"}
    assert {t["task"] for t in m["verdict"]["tasks"]} == {"bought", "price"}
    for answer in m["verdict"]["tasks"]:
        assert answer["low"] <= answer["difference"] <= answer["high"]
    assert m["cost"]["single"]["parameters"] > m["cost"]["joint"]["parameters"]
    assert m["calibration"]["bought"][0]["ece"] >= 0
    assert "price" not in m["calibration"]


def test_the_model_has_learned(run) -> None:
    joint = run.metrics["test"]["joint"]
    assert min(joint["bought"]["auc"]) > 0.8


def test_history_covers_every_model(run) -> None:
    history = read_parquet(run.directory / "history.parquet")
    assert set(history["run"]) == {"joint", "single:bought", "single:price"}
    assert set(history["seed"]) == {0, 1}
    assert {"loss", "weight", "cosine", "learning_rate"} <= set(history["name"][history["phase"] == "train"])
    cosines = history["value"][history["name"] == "cosine"]
    assert len(cosines) > 0
    assert (np.abs(cosines) <= 1 + 1e-6).all()


def test_loaded_model_predicts_the_same(run) -> None:
    table = make_table(50, seed=5)
    again = accord.load(run.directory)
    first, second = run.predict(table), again.predict(table)
    assert first.keys() == second.keys()
    assert {"bought", "price"} <= first.keys()
    for name in first:
        assert np.array_equal(first[name], second[name]), name
    assert len(first["price"]) == 50


def test_predictions_do_not_depend_on_labels_or_order_of_columns(run) -> None:
    table = make_table(40, seed=6)
    plain = {name: table[name] for name in ("city", "x2", "x1", "x0")}
    assert np.array_equal(run.predict(table)["price"], run.predict(plain)["price"])


def test_wrong_types_at_predict_time_are_named(run) -> None:
    table = make_table(5)
    with pytest.raises(DataError, match="x1"):
        run.predict({k: v for k, v in table.items() if k != "x1"})
    with pytest.raises(DataError, match="x0"):
        run.predict({**table, "x0": np.array(list("abcde"))})


def test_running_the_written_specification_gives_the_same_weights(tmp_path: Path) -> None:
    pq.write_table(pa.table(only(make_table(300), "bought", "price")), tmp_path / "t.parquet")
    first = accord.fit(str(tmp_path / "t.parquet"), targets=["bought", "price"], out=tmp_path / "a", **FAST)
    spec = Spec.from_yaml(first.directory / "spec.yaml")
    from accord.training import plan
    from accord.training import run as run_plan

    second = run_plan(plan(spec=spec), tmp_path / "b")
    assert (first.directory / "model.safetensors").read_bytes() == (second.directory / "model.safetensors").read_bytes()


@pytest.mark.parametrize("sharing", ["hard_sharing", "mmoe", "ple"])
@pytest.mark.parametrize("balancing", ["fixed", "uncertainty", "grad_norm", "upgrad", "nash_mtl"])
def test_every_pair_trains(tmp_path: Path, sharing: str, balancing: str) -> None:
    table = only(make_table(200), "bought", "price")
    options = {**FAST, "epochs": 1, "baselines": False}
    model = accord.fit(
        table, targets=["bought", "price"], sharing=sharing, balancing=balancing, out=tmp_path / "r", **options
    )
    assert np.isfinite(model.predict(table)["price"]).all()


def test_every_kind_of_task_in_one_model(tmp_path: Path) -> None:
    tasks = [
        accord.Task("bought", "binary"),
        accord.Task("returned", "binary", given="bought"),
        accord.Task("price", "quantile"),
        accord.Task("visits", "count"),
        accord.Task("grade", "ordinal"),
        accord.Task("colour", "multiclass"),
        accord.Task("tags", "multilabel", columns=("tag_a", "tag_b")),
    ]
    model = accord.fit(make_table(), tasks, out=tmp_path / "r", **FAST)
    assert set(model.metrics["test"]["joint"]) == {t.name for t in tasks}
    assert set(model.predict(make_table(20)).keys()) >= {"bought", "visits", "grade", "colour"}


def test_missing_labels_leave_the_task_out_of_those_rows(tmp_path: Path) -> None:
    table = only(make_table(), "bought", "price")
    table["price"] = np.where(np.arange(600) % 3 == 0, np.nan, table["price"])
    model = accord.fit(table, targets=["bought", "price"], out=tmp_path / "r", **FAST)
    assert np.isfinite(model.metrics["test"]["joint"]["price"]["rmse"]).all()


def test_own_modules_as_trunk_and_heads(tmp_path: Path) -> None:
    table = only(make_table(200), "bought", "price")

    def trunk() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.LazyLinear(8), torch.nn.Tanh())

    def heads() -> dict[str, torch.nn.Module]:
        return {"bought": torch.nn.Linear(8, 1), "price": torch.nn.Linear(8, 1)}

    model = accord.fit(
        table, targets=["bought", "price"], trunk=trunk(), heads=heads(), out=tmp_path / "r", **FAST, baselines=False
    )
    again = accord.load(tmp_path / "r", trunk=trunk(), heads=heads())
    assert np.array_equal(model.predict(table)["price"], again.predict(table)["price"])


OPTIONS = {
    "targets": ["bought", "price"],
    "sharing": "mmoe",
    "balancing": "pcgrad",
    "epochs": 3,
    "batch_size": 64,
    "checkpoint_seconds": 0.0,
    "threads": 1,
    "resamples": 20,
    "patience": 0,
}
SCRIPT = f"""
import sys
import accord
accord.fit("t.parquet", out=sys.argv[1], resume=True, **{OPTIONS!r})
"""


def start(directory: Path, out: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, out], cwd=directory, env=environment)


def test_killed_run_resumes_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table(only(make_table(1500), "bought", "price")), "t.parquet")
    # Killed within the joint model, and when that was gone on with and done within the first of a single task.
    for reached in ("joint-0.safetensors", "single-0-0.safetensors"):
        process = start(tmp_path, "killed")
        while not Path("killed", "checkpoints", reached).exists():
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not Path("killed", "metrics.json").exists()
    accord.fit("t.parquet", out="killed", resume=True, **OPTIONS)
    accord.fit("t.parquet", out="whole", **OPTIONS)
    whole, killed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    histories = [read_parquet(tmp_path / name / "history.parquet") for name in ("whole", "killed")]
    for column in ("run", "seed", "step", "name", "task", "value"):
        assert np.array_equal(*(h[column] for h in histories), equal_nan=histories[0][column].dtype.kind == "f")


@pytest.mark.slow
def test_ctrl_c_leaves_a_usable_run(tmp_path: Path) -> None:
    pq.write_table(pa.table(only(make_table(4000), "bought", "price")), tmp_path / "t.parquet")
    code = SCRIPT.replace("'epochs': 3", "'epochs': 500")
    process = subprocess.Popen([sys.executable, "-c", code, "r"], cwd=tmp_path)
    while not list((tmp_path / "r" / "checkpoints").glob("joint*")):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    model = accord.load(tmp_path / "r")
    assert model.metrics["interrupted"]
    assert "verdict" not in model.metrics
    assert len(model.predict(make_table(5))["price"]) == 5


def test_a_taken_directory_is_not_overwritten(run) -> None:
    with pytest.raises(RunError, match="is not empty"):
        accord.fit(only(make_table(), "bought", "price"), targets=["bought", "price"], out=run.directory, **FAST)
    with pytest.raises(RunError, match="another specification"):
        accord.fit(
            only(make_table(), "bought", "price"), targets=["bought", "price"], out=run.directory, resume=True, epochs=9
        )


class Bomb:
    def __reduce__(self):
        return (os.system, ("touch exploded",))


@pytest.mark.parametrize("name", ["model.safetensors", "features.json", "metrics.json", "spec.yaml"])
def test_a_tampered_run_never_executes(run, tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    copy = run.save(tmp_path / "copy")
    (copy / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises((RunError, ConfigurationError)):
        accord.load(copy)
    (copy / name).write_text("!!python/object/apply:os.system ['touch exploded']")
    with pytest.raises((RunError, ConfigurationError)):
        accord.load(copy)
    assert not (tmp_path / "exploded").exists()


def test_weights_of_another_model_are_refused(run, tmp_path: Path) -> None:
    other = accord.fit(
        only(make_table(200), "bought", "price"),
        targets=["bought", "price"],
        sharing="mmoe",
        out=tmp_path / "o",
        **FAST,
    )
    copy = run.save(tmp_path / "copy")
    (copy / "model.safetensors").write_bytes((other.directory / "model.safetensors").read_bytes())
    with pytest.raises(RunError, match=r"model\.safetensors does not belong to"):
        accord.load(copy)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: {k: v[:0] for k, v in t.items()}, DataError, "no rows"),
        (lambda t: {k: v[:1] for k, v in t.items()}, DataError, "row"),
        (lambda t: {k: v for k, v in t.items() if k != "price"}, DataError, "no column 'price'"),
        (lambda t: {**t, "price": np.full(600, 3.0)}, DataError, "same value in all"),
        (lambda t: {**t, "price": np.full(600, np.nan)}, DataError, "price"),
        (lambda t: {**t, "x0": np.where(np.arange(600) == 7, np.inf, t["x0"])}, DataError, "x0"),
    ],
)
def test_bad_tables_are_explained(change, error, message: str, tmp_path: Path) -> None:
    table = change(only(make_table(), "bought", "price"))
    with pytest.raises(error, match=message):
        accord.fit(table, targets=["bought", "price"], out=tmp_path / "r", **FAST)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 3}, "Did you mean 'epochs'"),
        ({"sharing": "mmeo"}, "Did you mean 'mmoe'"),
        ({"balancing": "upgrd"}, "Did you mean 'upgrad'"),
        ({"sharing": "mmoe", "sharing_options": {"expert": 3}}, "Did you mean 'experts'"),
        ({"learning_rate": -1.0}, "training.learning_rate must be at least 0"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
    ],
)
def test_mistyped_options_are_corrected(options, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        accord.fit(only(make_table(), "bought"), targets=["bought"], out=tmp_path / "r", **options)
    assert not (tmp_path / "r").exists()


class Broken(torch.nn.Linear):
    """A head that divides by zero."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return super().forward(hidden) / torch.zeros(())


def test_a_task_that_is_not_finite_leaves_the_others_alone(tmp_path: Path) -> None:
    table = only(make_table(), "bought", "price")
    heads = {"bought": torch.nn.Linear(192, 1), "price": Broken(192, 1)}
    options = {"balancing": "upgrad", "baselines": False, **FAST, "epochs": 5}
    with pytest.warns(NonFiniteLossWarning, match="price"):
        model = accord.fit(table, targets=["bought", "price"], heads=heads, out=tmp_path / "r", **options)
    assert model.metrics["test"]["joint"]["bought"]["auc"][0] > 0.75
    assert any("price was left out" in text for text in model.metrics["warnings"])
    state = model.trained.model.state_dict()
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert (model.directory / "report.html").exists()


def test_row_weights_count_and_are_no_feature(tmp_path: Path) -> None:
    table = only(make_table(), "bought", "price")
    table["w"] = np.where(np.arange(600) % 2 == 0, 2.0, 0.5)
    tasks = [accord.Task("bought", "binary", sample_weight="w"), accord.Task("price", "regression")]
    model = accord.fit(table, tasks, out=tmp_path / "r", **FAST)
    assert model.trained.schema["w"].role == "dropped"
    plain = accord.fit(
        table, [accord.Task("bought", "binary"), tasks[1]], out=tmp_path / "s", columns={"w": "drop"}, **FAST
    )
    assert model.metrics["test"]["joint"]["bought"] != plain.metrics["test"]["joint"]["bought"]


def test_entire_space_conversion_is_judged_on_all_rows(tmp_path: Path) -> None:
    tasks = [
        accord.Task("bought", "binary"),
        accord.Task("returned", "binary", given="bought", space="entire"),
    ]
    table = only(make_table(1500), "bought", "returned")
    model = accord.fit(table, tasks, out=tmp_path / "r", **{**FAST, "epochs": 6})
    predicted = model.predict(table)
    assert (predicted["returned=1"] <= predicted["bought=1"] + 1e-12).all()
    assert model.metrics["test"]["joint"]["returned"]["auc"][0] > 0.7
    assert {t["task"] for t in model.metrics["verdict"]["tasks"]} == {"bought", "returned"}


def test_grouped_split_keeps_groups_together(tmp_path: Path) -> None:
    table = only(make_table(), "bought", "price")
    table["shop"] = np.array([f"shop {i}" for i in np.arange(600) // 10])
    model = accord.fit(
        table, targets=["bought", "price"], split="grouped", split_column="shop", out=tmp_path / "r", **FAST
    )
    assert abs(model.metrics["rows"]["test"] - 120) <= 10


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_a_clear_word_and_it_goes_on_later(tmp_path: Path) -> None:
    pq.write_table(pa.table(only(make_table(1500), "bought", "price")), tmp_path / "t.parquet")
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", limit + SCRIPT, "r"]
    failed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert failed.returncode != 0
    assert "RunError: could not write" in failed.stderr
    assert "File too large" in failed.stderr
    assert start(tmp_path, "r").wait() == 0
    assert accord.load(tmp_path / "r").metrics["interrupted"] is False
