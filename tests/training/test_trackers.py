"""Mirrors of the history: what was logged can be read back, and none of them can cost a run."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.training.tables import make_table, only

import accord
from accord.data import read_parquet
from accord.errors import ConfigurationError, MissingExtraError
from accord.training import trackers

FAST = {"epochs": 1, "batch_size": 64, "resamples": 20, "patience": 0, "baselines": False}


def fit(out: Path, tracker: str, **options: Any) -> accord.Model:
    table = only(make_table(200), "bought")
    return accord.fit(table, targets=["bought"], out=out, trackers=[tracker], **{**FAST, **options})


def kept(run: Path, name: str) -> list[tuple[int, float]]:
    """Return (step, value) of what the joint model recorded as ``name`` while training."""
    h = read_parquet(run / "history.parquet")
    rows = (h["name"] == name) & (h["run"] == "joint") & (h["phase"] == "train")
    return list(zip(h["step"][rows].tolist(), h["value"][rows].tolist(), strict=True))


def test_tensorboard_has_every_loss(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(tmp_path / "r", "tensorboard")
    events = EventAccumulator(str(tmp_path / "r" / "tensorboard"))
    events.Reload()
    found = [(e.step, e.value) for e in events.Scalars("joint/0/train/loss/bought")]
    assert found == [(step, np.float32(value)) for step, value in kept(tmp_path / "r", "loss")]
    assert len(found) == 3
    assert b"epochs: 1" in events.Tensors("spec/text_summary")[0].tensor_proto.string_val[0]


TRACKIO = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tests.training.test_trackers import fit
fit(Path(sys.argv[1]), "trackio")
"""


def test_trackio_has_every_loss_and_stays_on_this_machine(tmp_path: Path) -> None:
    pytest.importorskip("trackio", reason="the extra `trackio` is not installed")
    # trackio decides when it is imported where it writes, so a process of its own.
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    environment.pop("TRACKIO_SPACE_ID", None)
    command = [sys.executable, "-c", TRACKIO, str(tmp_path / "r"), str(Path(__file__).parents[2])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    with sqlite3.connect(tmp_path / "trackio" / "accord.db") as database:
        rows = database.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id").fetchall()
    assert {name for name, _, _ in rows} == {"r"}
    values = [(step, json.loads(text)) for _, step, text in rows]
    name = "joint/0/train/loss/bought"
    assert [(step, v[name]) for step, v in values if name in v] == kept(tmp_path / "r", "loss")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # SQLAlchemy's, about MLflow
def test_mlflow_has_every_loss_in_the_run_directory(tmp_path: Path, monkeypatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    fit(Path("r"), "mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'r' / 'mlflow' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("accord").experiment_id])
    assert (run.info.run_name, run.info.status) == ("r", "FINISHED")
    assert "epochs: 1" in run.data.tags["spec"]
    found = client.get_metric_history(run.info.run_id, "joint/0/train/loss/bought")
    assert [(m.step, m.value) for m in found] == kept(tmp_path / "r", "loss")
    assert {path.name for path in tmp_path.iterdir()} == {"r"}


def test_names_are_put_as_mlflow_allows_them() -> None:
    sent: list[str] = []
    tracker = object.__new__(trackers.MLflow)
    tracker._run = "1"
    tracker._client = type("Client", (), {"log_metric": lambda self, run, name, value, step: sent.append(name)})()
    tracker.log("joint/0/train/loss/lønn >50k=ja", 1.0, 3)
    assert sent == ["joint/0/train/loss/l_nn _50k_ja"]


def test_an_unknown_tracker_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown tracker 'tensorbord'\. Did you mean 'tensorboard'"):
        fit(tmp_path / "r", "tensorbord")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("name", ["tensorboard", "trackio", "mlflow"])
def test_a_missing_package_is_named_before_anything_is_written(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf'tracking with {name} needs {name}.*"accord\[{name}\]"'):
        fit(tmp_path / "r", name)
    assert not (tmp_path / "r").exists()


class Recorder:
    """A tracker that keeps what it gets and can fail at a given call."""

    def __init__(self, fails_at: int = -1, fails_to: str = "log") -> None:
        self.calls: list[str] = []
        self.closed = 0
        self.fails_at, self.fails_to = fails_at, fails_to

    def log(self, name: str, value: float, step: int) -> None:
        self.calls.append(name)
        if self.fails_to == "log" and len(self.calls) == self.fails_at:
            raise OSError("the server went away\nat line 3")

    def close(self) -> None:
        self.closed += 1
        if self.fails_to == "close":
            raise OSError("no space left")


def install(monkeypatch, recorder: Recorder | Exception) -> None:
    def start(directory: Path, settings: object) -> Recorder:
        if isinstance(recorder, Exception):
            raise recorder
        return recorder

    monkeypatch.setitem(trackers.TRACKERS, "recorder", (start, ()))


def test_a_tracker_that_fails_is_dropped_and_the_history_goes_on(tmp_path: Path, monkeypatch) -> None:
    recorder = Recorder(fails_at=2)
    install(monkeypatch, recorder)
    with pytest.warns(UserWarning, match=r"'recorder' failed .* \(the server went away\)"):
        model = fit(tmp_path / "r", "recorder")
    assert (len(recorder.calls), recorder.closed) == (2, 1)
    assert len(kept(model.directory, "loss")) == 3


@pytest.mark.parametrize("broken", [Recorder(fails_to="close"), RuntimeError("no server")], ids=["close", "open"])
def test_failing_to_open_or_close_costs_nothing_either(tmp_path: Path, monkeypatch, broken) -> None:
    install(monkeypatch, broken)
    with pytest.warns(UserWarning, match="'recorder' failed"):
        model = fit(tmp_path / "r", "recorder")
    assert "joint" in model.metrics["test"]


class Raises:
    """Progress that ends the run in the middle."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        def news(*_: object) -> None:
            if name == "evaluated":
                raise self.error

        return news


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("broken")], ids=["interrupted", "error"])
def test_trackers_are_closed_when_a_run_ends_badly(tmp_path: Path, monkeypatch, error: BaseException) -> None:
    recorder = Recorder()
    install(monkeypatch, recorder)
    with pytest.raises(type(error)):
        fit(tmp_path / "r", "recorder", progress=Raises(error))
    assert recorder.closed == 1
    assert recorder.calls
