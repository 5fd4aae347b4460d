"""What the page shows of a front directory, and what it says of one that it cannot show."""

from __future__ import annotations

import json
import math

import pytest
from tests.exploring.made_fronts import census, clinic, hostile, make_record, task, write_front

from accord.errors import RunError
from accord.exploring import write_front_page
from accord.exploring.data import embedded, page_data
from accord.exploring.view import load_view


def axis_of(view, task_name, key):
    places = {t.name: t.index for t in view.tasks}
    (found,) = [i for i, a in enumerate(view.axes) if a.task == places[task_name] and a.key == key]
    return found, view.axes[found]


def test_numbers_are_scaled_as_the_metrics_say_and_intervals_come_along(tmp_path):
    record = make_record(census())
    record["points"][3]["metrics"]["income"]["auc"] = {"value": 0.9, "low": 0.8712, "high": 0.92}
    view = load_view(write_front(tmp_path, record))
    place, axis = axis_of(view, "income", "auc")
    assert (axis.kind, axis.higher, axis.primary, axis.unit) == ("metric", True, True, "points")
    column = view.columns[3]
    assert (column.value[place], column.low[place], column.high[place]) == pytest.approx((90.0, 87.12, 92.0))
    loss, axis = axis_of(view, "income", "loss")
    assert (axis.kind, axis.higher, axis.scale) == ("loss", False, 1.0)
    assert column.value[loss] == record["points"][3]["losses"]["income"] and math.isnan(column.low[loss])


def test_the_main_metric_comes_first_and_the_loss_last(tmp_path):
    record = make_record([task("a"), task("b")])
    record["tasks"][0]["primary"] = "recall"
    view = load_view(write_front(tmp_path, record))
    assert [a.key for a in view.axes] == ["recall", "auc", "loss", "auc", "recall", "loss"]
    assert [a.primary for a in view.axes] == [True, False, False, True, False, False]


def test_as_many_decimals_as_intervals_deserve(tmp_path):
    # AUC: a half-width of 0.4 points, so two decimals; recall: 0.01, so three; losses span 0.3, of which a twentieth.
    view = load_view(write_front(tmp_path, make_record(census())))
    assert [axis_of(view, "income", key)[1].places for key in ("auc", "recall", "loss")] == [2, 3, 3]


def test_missing_numbers_stay_missing(tmp_path):
    record = make_record(census())
    record["points"][0]["metrics"]["income"]["auc"] = {"value": None, "low": None, "high": None}
    del record["points"][1]["metrics"]["income"]
    for point in record["points"]:
        point["metrics"]["marital_stat"]["recall"] = {"value": None, "low": None, "high": None}
    view = load_view(write_front(tmp_path, record))
    place, _ = axis_of(view, "income", "auc")
    assert all(math.isnan(view.columns[i].value[place]) for i in (0, 1))
    assert not math.isnan(view.columns[2].value[place])
    # A metric that no point has would be an axis with nothing on it.
    assert [a.key for a in view.axes if a.task == 1] == ["auc", "loss"]
    data = page_data(view, live=False)
    assert data["points"][0]["value"][place] is None
    json.dumps(data, allow_nan=False)


def test_a_negative_scale_turns_the_interval_round(tmp_path):
    record = make_record(census())
    for one in record["tasks"]:
        one["metrics"] = {**one["metrics"], "auc": {"label": "cost", "higher_is_better": False, "scale": -1.0}}
    view = load_view(write_front(tmp_path, record))
    place, _ = axis_of(view, "income", "auc")
    column = view.columns[0]
    assert column.low[place] < column.value[place] < column.high[place]


def test_baselines_know_which_task_they_are_of(tmp_path):
    view = load_view(write_front(tmp_path, make_record(clinic(3))))
    assert [(b.name, b.task) for b in view.baselines] == [
        ("balanced", None),
        ("single:readmitted_30d", 0),
        ("single:length_of_stay", 1),
        ("single:mortality", 2),
    ]
    single = view.baselines[2].column
    assert [not math.isnan(v) for v in single.value] == [a.task == 1 for a in view.axes]


def test_preferences_are_shares_of_one(tmp_path):
    record = make_record(census())
    record["points"][0]["preference"] = [3, 1]
    assert load_view(write_front(tmp_path, record)).preferences[0] == (0.75, 0.25)


@pytest.mark.parametrize("knee", [None, -1, 99, "three", 2.0])
def test_a_knee_that_is_no_place_is_none(tmp_path, knee):
    assert load_view(write_front(tmp_path, make_record(census(), knee=knee))).knee is None


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, ["does not exist", "accord front"]),
        ({}, ["no front.json"]),
        ({"metrics.json": "{}"}, ["run of one model", "accord report"]),
        ({"front.yaml": ""}, ["unfinished", "--resume"]),
        ({"front.json": "{"}, ["damaged"]),
        ({"front.json": "[]"}, ["must hold a JSON object"]),
        ({"front.json": "{}"}, ["nothing to explore"]),
    ],
)
def test_what_is_no_front_is_named_with_the_way_out(tmp_path, files, words):
    directory = tmp_path / "run"
    if files is not None:
        directory.mkdir()
        for name, text in files.items():
            (directory / name).write_text(text)
    with pytest.raises(RunError) as caught:
        load_view(directory)
    assert str(directory) in str(caught.value) and all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("preference", [None, [1.0], [0.5, -0.5], [0.0, 0.0], [None, 1.0], ["a", "b"], [1e308, 1e308]])
def test_a_damaged_preference_is_named(tmp_path, preference):
    record = make_record(census())
    record["points"][4]["preference"] = preference
    with pytest.raises(RunError, match=r"points\[4\]\.preference"):
        load_view(write_front(tmp_path, record))


def test_a_page_holds_no_markup_of_its_users_and_the_same_bytes_each_time(tmp_path):
    run = write_front(tmp_path / "run", make_record(hostile(), warnings=["<img src=x onerror=alert(2)>"]))
    first = write_front_page(run, tmp_path / "a.html").read_text("utf-8")
    second = write_front_page(run, tmp_path / "b.html").read_text("utf-8")
    assert first == second
    assert "<script>alert" not in first and "<img" not in first
    assert first.count("<script") == 2


def test_embedded_data_cannot_end_its_element():
    text = embedded({"name": "</script><!--\u2028&", "odd": "\ud800"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"name": "</script><!--\u2028&", "odd": "?"}
