"""Fronts of merges: soups whose losses are known, kept when a sweep is killed, refused where nothing can vary."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
import torch
from safetensors.torch import save_file

from accord.errors import ConfigurationError, DataError, RunError
from accord.exploring.data import page_data
from accord.exploring.view import load_view
from accord.merging import open_checkpoint, verify
from accord.merging.fronts import of_merges
from accord.reporting import write_front
from accord.reporting.front.read import read_front
from accord.steering import merge_front, open_front

ENDS = {"base": [0.0, 0.0], "x": [4.0, 0.0], "y": [0.0, 2.0]}


@pytest.fixture
def recipe(tmp_path):
    for name, values in ENDS.items():
        (tmp_path / name).mkdir()
        save_file({"w": torch.tensor(values)}, tmp_path / name / "model.safetensors")
    models = [{"model": str(tmp_path / name), "parameters": {"weight": 1.0}} for name in "xy"]
    return {"models": models, "merge_method": "linear"}


def distances(folder):
    """The loss of a task is the squared distance from its own model."""
    w = open_checkpoint(folder)["w"].tolist()
    return {
        name: {"loss": sum((a - b) ** 2 for a, b in zip(w, ENDS[name], strict=True)), "hits": w[0]} for name in "xy"
    }


def test_a_soup_lies_between_its_models(recipe, tmp_path):
    front = merge_front(recipe, tmp_path / "front", distances, points=5)
    assert front.preferences[:, 0].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    for point in front.points:
        share, other = point.preference
        # The soup is (4 share, 2 other); the whole way from x to y is of squared length 20.
        assert point.live.losses == pytest.approx({"x": 20 * other**2, "y": 20 * share**2})
        assert point.live.metrics["x"]["hits"].value == pytest.approx(4 * share) and not point.dominated
    assert front.results["knee"] == 2 and front.tasks[0]["primary"] == "hits"
    assert front.results["reference"] == pytest.approx([20.0, 20.0])  # the worst of each
    assert "no other is better than 5 of them" in str(front)
    assert open_front(tmp_path / "front").evaluate([0.7, 0.3]).losses["x"] == pytest.approx(20 * 0.25**2)
    assert "<svg" in write_front(tmp_path / "front").read_text()


def test_the_page_says_nothing_of_rows_and_intervals_that_there_are_not(recipe, tmp_path):
    merge_front(recipe, tmp_path / "front", distances, points=3)
    text = write_front(tmp_path / "front").read_text()
    for wrong in ("test rows", "validation rows", "Hypervolume", "with intervals", "balanced", "seed", 'id="costs"'):
        assert wrong not in text, wrong
    assert "as the evaluation measured it" in text and "<td>2.000</td>" in text.replace(' class="number"', "")
    assert "Loss of" in text and "hits of" in text

    def losses(folder):
        return {task: {"loss": told["loss"]} for task, told in distances(folder).items()}

    merge_front(recipe, tmp_path / "losses", losses, points=3)
    assert write_front(tmp_path / "losses").read_text().count("(across)") == 1  # the loss is not drawn twice


def test_the_nearest_merge_is_exported_as_it_is(recipe, tmp_path):
    front = merge_front(recipe, tmp_path / "front", distances, points=5)
    chosen = front.export([0.3, 0.7], tmp_path / "chosen")
    assert verify(chosen) == 1 and open_checkpoint(chosen)["w"].tolist() == [1.0, 1.5]
    with pytest.raises(RunError, match="is not empty"):
        front.export([0.3, 0.7], chosen)
    with pytest.raises(ConfigurationError, match="exported as they are, not as onnx"):
        front.export([0.3, 0.7], tmp_path / "x.onnx", format="onnx")
    shutil.rmtree(tmp_path / "front" / "solutions" / "001")
    with pytest.raises(RunError, match="001 is gone"):
        front.export([0.3, 0.7], tmp_path / "other")


def data_of(front):
    return json.loads((front / "front.json").read_text())


@pytest.mark.parametrize("points", [None, "evaluation", [], [None, "x"], [{"split": "validation"}, {"split": None}]])
def test_no_other_record_is_a_front_of_merges(points):
    assert not of_merges({"points": points})
    assert of_merges({"points": [*(points if isinstance(points, list) else []), {"split": "evaluation"}]})


def test_the_explorer_exports_merges_and_shows_no_intervals(recipe, tmp_path):
    merge_front(recipe, tmp_path / "front", distances, points=3)
    data = page_data(load_view(tmp_path / "front"), live=True)
    assert data["merged"] and "accord front" in data["missing"]["onnx"]
    assert open_front(tmp_path / "front").merged and not read_front(data_of(tmp_path / "front")).judged
    assert all(value is None for point in data["points"] for value in (*point["low"], *point["high"]))


def test_weights_of_the_recipe_are_its_middle(recipe, tmp_path):
    recipe |= {"merge_method": "task_arithmetic", "base_model": str(tmp_path / "base"), "parameters": {"lambda": 0.5}}
    recipe["models"][1]["parameters"]["weight"] = [{"filter": "nothing", "value": 9}, {"value": [2.0, 2.0]}]
    merge_front(recipe, tmp_path / "front", distances, points=3)
    got = [open_checkpoint(tmp_path / "front" / "solutions" / f"{n:03d}")["w"].tolist() for n in range(3)]
    assert got == [[0.0, 4.0], [2.0, 2.0], [4.0, 0.0]]


def test_a_merge_that_another_beats_is_said_to_be_beaten(recipe, tmp_path):
    def evaluate(folder):
        shares = int(folder.name)  # the middle one is worst at everything
        return {"x": {"loss": [0.0, 5.0, 2.0][shares]}, "y": {"loss": [2.0, 5.0, 0.0][shares]}}

    front = merge_front(recipe, tmp_path / "front", evaluate, points=3)
    assert [point.dominated for point in front.points] == [False, True, False]
    assert "no other is better than 2 of them" in str(front)
    assert front.tasks[0]["metrics"]["loss"]["higher_is_better"] is False


def test_a_models_own_weight_comes_before_that_of_the_recipe(recipe, tmp_path):
    recipe |= {"merge_method": "task_arithmetic", "base_model": str(tmp_path / "base"), "parameters": {"weight": 0.5}}
    del recipe["models"][1]["parameters"]
    merge_front(recipe, tmp_path / "front", distances, points=2)
    got = [open_checkpoint(tmp_path / "front" / "solutions" / f"{n:03d}")["w"].tolist() for n in range(2)]
    # Twice its weight at either end: 2 of 1 for x, 2 of 1/2 for y.
    assert got == [[0.0, 2.0], [8.0, 0.0]]


def test_several_recipes_and_slices_are_refused(recipe, tmp_path):
    after = {**recipe, "models": [{"model": "first", "parameters": {"weight": 1.0}}, recipe["models"][1]]}
    (tmp_path / "two.yaml").write_text(f"{json.dumps({**recipe, 'name': 'first'})}\n---\n{json.dumps(after)}\n")
    with pytest.raises(ConfigurationError, match="one recipe of whole models"):
        merge_front(tmp_path / "two.yaml", tmp_path / "front", distances)
    sources = [{**model, "layer_range": [0, 1]} for model in recipe["models"]]
    with pytest.raises(ConfigurationError, match="one recipe of whole models"):
        merge_front({"merge_method": "linear", "slices": [{"sources": sources}]}, tmp_path / "front", distances)


def test_what_was_measured_is_not_measured_again(recipe, tmp_path):
    seen = []

    def evaluate(folder):
        seen.append(folder.name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return distances(folder)

    with pytest.raises(KeyboardInterrupt):
        merge_front(recipe, tmp_path / "front", evaluate, points=3)
    merge_front(recipe, tmp_path / "front", evaluate, points=3)
    assert seen == ["000", "001", "002", "002"]
    recipe["models"][0]["parameters"]["weight"] = 2.0
    with pytest.raises(RunError, match="another sweep"):
        merge_front(recipe, tmp_path / "front", evaluate, points=3)


def shard(front, point):
    return front / "solutions" / point / "model.safetensors"


def spoil(path, how):
    """Do to a file what happens to files."""
    content = path.read_bytes()
    if how == "deleted":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[:-3])
    elif how == "altered":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        shutil.rmtree(path.parent)


@pytest.mark.parametrize("how", ["deleted", "cut", "altered", "the folder"])
def test_a_merge_that_is_not_whole_is_made_again_and_keeps_its_scores(recipe, tmp_path, how):
    out, seen, said = tmp_path / "front", [], []

    def evaluate(folder):
        seen.append(folder.name)
        return distances(folder)

    before = merge_front(recipe, out, evaluate, points=3)
    kept, others = shard(out, "001").read_bytes(), [shard(out, "000"), shard(out, "002")]
    times = [path.stat().st_mtime_ns for path in others]
    spoil(shard(out, "001"), how)
    with pytest.raises(RunError, match=r"run(s)? .*again"):
        before.export([0.5, 0.5], tmp_path / "chosen")
    after = merge_front(recipe, out, evaluate, points=3, progress=said.append)
    assert shard(out, "001").read_bytes() == kept and verify(out / "solutions" / "001") == 1
    assert [path.stat().st_mtime_ns for path in others] == times  # those that are whole are left as they are
    assert seen == ["000", "001", "002"] and after.results["points"] == before.results["points"]
    assert how == "the folder" or sum("001 is merged again" in line for line in said) == 1
    assert not list(out.rglob(".accord-merge.json.unfinished"))


def test_a_merge_is_not_measured_unless_it_is_whole_and_of_this_sweep(recipe, tmp_path):
    out = tmp_path / "front"

    def stopped(folder):
        spoil(shard(out, folder.name), "altered")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge_front(recipe, out, stopped, points=2)
    front = merge_front(recipe, out, distances, points=2)
    assert front.points[0].live.losses == {"x": 20.0, "y": 0.0}
    (out / "solutions" / "000.json").unlink()  # as if it had been killed before the scores were written
    recipe["models"][1]["parameters"]["weight"] = 0.5
    with pytest.raises(RunError, match=r"of another sweep; remove .*solutions or choose another folder"):
        merge_front(recipe, out, distances, points=2)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"fingerprint": 1}', '{"fingerprint": 1, "scores": {"x": 1}}'])
def test_a_damaged_record_of_scores_is_measured_again(recipe, tmp_path, content):
    merge_front(recipe, tmp_path / "front", distances, points=2)
    record = tmp_path / "front" / "solutions" / "001.json"
    kept = record.read_text()
    record.write_text(content)
    merge_front(recipe, tmp_path / "front", distances, points=2)
    assert record.read_text() == kept


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"x": 1.0}, "one entry for each of 2 models"),
        ({"x": 1.0, "y": float("nan")}, "finite numbers"),
        ({"x": 1.0, "y": {}}, "finite numbers"),
        ("good", "one entry for each"),
    ],
)
def test_evaluations_that_say_nothing_are_refused(recipe, tmp_path, scores, message):
    with pytest.raises(DataError, match=message):
        merge_front(recipe, tmp_path / "front", lambda _: scores, points=2)


def test_recipes_without_anything_to_vary_are_refused(recipe, tmp_path):
    for broken in ({**recipe, "models": recipe["models"][:1]}, {**recipe, "models": [{"model": "x"}, {"model": "y"}]}):
        with pytest.raises(ConfigurationError, match="two models or more"):
            merge_front(broken, tmp_path / "front", distances)


def test_a_command_may_measure(recipe, tmp_path, monkeypatch, capsys):
    from accord.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    (tmp_path / "measure.py").write_text(
        "import sys\nfrom safetensors import safe_open\n"
        "w = safe_open(sys.argv[1] + '/model.safetensors', 'numpy').get_tensor('w')\n"
        "print('loading')\nprint('{\"x\": %f, \"y\": %f}' % tuple(w))\n"
    )
    assert main(["merge", "recipe.yaml", "front", "--front", f"{sys.executable} measure.py {{}}", "--points", "2"]) == 0
    assert capsys.readouterr().out == "front/front.html\n"
    found = open_front("front")
    assert [point.live.losses["x"] for point in found.points] == [0.0, -4.0]
    for command, message in [("", "name the one that measures"), ("measure 'it", "No closing quotation")]:
        assert main(["merge", "recipe.yaml", "none", "--front", command]) == 2
        assert message in capsys.readouterr().err and not (tmp_path / "none").exists()
    assert main(["merge", "recipe.yaml", "other", "--front", "false"]) == 3
    assert "failed with exit code 1" in capsys.readouterr().err
