"""``accord fit`` on a small real file."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest
import yaml
from tests.cli.conftest import COMMAND


def test_the_answer_is_on_standard_output_and_progress_is_not(fitted):
    out, result = fitted
    verdict = json.loads((out / "metrics.json").read_text("utf-8"))["verdict"]
    for task in verdict["tasks"]:
        assert task["sentence"] in " ".join(result.out.split())
    assert str(out / "report.html") in result.out
    assert "epoch 1" in result.err and "epoch 1" not in result.out


def test_a_run_directory_is_complete(fitted):
    out, _ = fitted
    expected = {"spec.yaml", "features.json", "metrics.json", "history.parquet", "model.safetensors", "report.html"}
    assert expected <= {path.name for path in out.iterdir()}


def test_what_was_given_is_in_the_specification(fitted):
    spec = yaml.safe_load((fitted[0] / "spec.yaml").read_text("utf-8"))
    assert spec["training"]["epochs"] == 2 and spec["training"]["batch_size"] == 64
    assert spec["evaluation"]["resamples"] == 50
    assert [(task["name"], task["kind"]) for task in spec["tasks"]] == [("bought", "binary"), ("price", "regression")]


def test_a_dry_run_shows_columns_and_specification_and_writes_only_what_was_asked(inside, table, tmp_path):
    words = ("fit", table, "--targets", "bought,price:quantile", "--column", "city=drop", "--sharing", "mmoe")
    shown = inside(*words, "--balancing", "upgrad", "--dry-run", "--write-spec", "spec.yaml").out
    text = (tmp_path / "spec.yaml").read_text("utf-8")
    assert shown.endswith(text + "\n") and "age" in shown.removesuffix(text)
    spec = yaml.safe_load(text)
    assert spec["model"]["sharing"] == "mmoe" and spec["balancing"]["method"] == "upgrad"
    assert spec["data"]["columns"] == {"city": "drop"} and spec["tasks"][1]["kind"] == "quantile"
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]


def test_a_written_specification_resolves_to_itself(inside, table, tmp_path):
    inside("fit", table, "--targets", "bought,price", "--dry-run", "--write-spec", "first.yaml")
    inside("fit", "first.yaml", "--dry-run", "--write-spec", "second.yaml")
    assert (tmp_path / "first.yaml").read_text("utf-8") == (tmp_path / "second.yaml").read_text("utf-8")
    inside("fit", "first.yaml", "--targets", "bought", "--dry-run", code=2)


def test_mistakes_are_named_with_the_way_out(inside, table):
    assert "--targets" in inside("fit", table, code=2).err
    assert "'bought'" in inside("fit", table, "--targets", "bougth", "--dry-run", code=3).err
    words = ("fit", table, "--targets", "bought,price", "--dry-run")
    assert "'training.epochs'" in inside(*words, "--set", "training.epoch=3", code=2).err
    assert "'mmoe'" in inside(*words, "--sharing", "mmo", code=2).err
    assert "'upgrad'" in inside(*words, "--balancing", "upgrd", code=2).err
    assert "--out" in inside(*words, "--resume", code=2).err
    assert "training.epochs" in inside(*words, "--epochs", "0", code=2).err
    assert "'city'" in inside(*words, "--column", "citi=drop", code=3).err
    inside("fit", "absent.parquet", "--targets", "a", "--dry-run", code=3)


def test_a_finished_run_is_not_overwritten(inside, table, fitted):
    out, _ = fitted
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    result = inside("fit", table, "--targets", "bought,price", "--out", out, code=4)
    assert str(out) in result.err and "--resume" in result.err
    assert before == {path.name: path.read_bytes() for path in out.iterdir()}


def test_ctrl_c_leaves_a_run_that_predicts(inside, table, tmp_path):
    words = ["fit", str(table), "--targets", "bought,price", "--epochs", "100000", "--out", "run", "--no-baselines"]
    words += ["--set", "training.patience=0", "--set", "evaluation.resamples=50"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [COMMAND, *words], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "epoch 2" in line:
            process.send_signal(signal.SIGINT)
            break
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert (tmp_path / "run" / "metrics.json").exists()
    inside("predict", "run", table, "--out", "p.csv")


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_directory_alone(accord, inside, table, tmp_path):
    words = ["fit", str(table), "--targets", "bought,price", "--epochs", "12", "--out", "run", "--no-baselines"]
    words += ["--set", "training.patience=0", "--set", "training.checkpoint_seconds=0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([COMMAND, *words], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "epoch 2" in line:
            process.kill()
            break
    process.communicate(timeout=60)
    assert not (tmp_path / "run" / "metrics.json").exists()
    result = accord("fit", "run", "--resume")
    assert "epoch 12" in result.err and "epoch 1," not in result.err
    assert (tmp_path / "run" / "report.html").exists()
    assert "finished" in inside("fit", "run", "--resume", code=4).err
    assert "nothing to resume" in inside("fit", "elsewhere", "--resume", code=2).err
