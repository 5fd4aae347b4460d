import math

import pytest
from tests.reporting.made_runs import census, clinic, make_metrics

import accord.reporting
from accord.errors import RunError
from accord.reporting import verdict_text
from accord.reporting.run import Run, read_tasks
from accord.reporting.verdict import Estimate, read_verdict


def metrics(tasks, baselines=True, warnings=()):
    import numpy as np

    return make_metrics(tasks, 3, baselines, warnings, np.random.default_rng(0))


def outcomes(*said):
    return {
        "tasks": [{"name": f"t{i}"} for i in range(len(said))],
        "verdict": {"tasks": [{"task": f"t{i}", "outcome": o} for i, o in enumerate(said)]},
    }


def test_public_names():
    writers = {f"write_{what}" for what in ("report", "comparison", "front", "grouping", "merge", "again")}
    texts = {f"{what}_text" for what in ("verdict", "comparison", "front", "grouping")}
    assert set(accord.reporting.__all__) == writers | texts | {"TaskGroups"}


def test_text_for_the_terminal():
    lines = verdict_text(metrics(census(), warnings=("Feature 'x' leaks.",))).split("\n")
    assert lines[:5] == [
        "Sharing helped 1 of 2 tasks and made no clear difference to the other.",
        "Delta-m, the mean relative gain: +0.21 % [+0.09, +0.34]",
        "",
        "  + Sharing helped income: +0.41 AUC points [0.25, 0.57].",
        "  = Sharing made no clear difference to never_married: -0.02 AUC points [-0.09, 0.05].",
    ]
    assert lines[-1] == "Warning: Feature 'x' leaks."
    assert max(map(len, lines)) <= 96


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (["helped"], "Sharing helped the task."),
        (["hurt", "hurt"], "Sharing hurt both tasks."),
        (["no clear difference"] * 3, "Sharing made no clear difference to any of the 3 tasks."),
        (["helped", "hurt"], "Sharing helped 1 of 2 tasks and hurt the other."),
        (["hurt", "helped", "no clear difference", "helped"],
         "Sharing helped 2 of 4 tasks, hurt 1 and made no clear difference to 1."),
        ([], "Whether sharing helped is not known: no single-task models were trained to compare with."),
    ],
)  # fmt: skip
def test_summary(said, sentence):
    assert verdict_text(outcomes(*said)).split("\n")[0] == sentence


def test_control_characters_never_reach_the_terminal():
    nasty = outcomes("helped")
    nasty["verdict"]["tasks"][0]["sentence"] = "Sharing helped \x1b]0;pwned\x07 \u202eevil \x9b31m"
    nasty["warnings"] = ["line\nbreak \ud800"]
    text = verdict_text(nasty)
    assert not set(text) & set("\x1b\x07\x9b\u202e")
    assert text.split("\n")[-1].startswith("Warning: line break")
    text.encode("utf-8")


def test_differences_are_scaled_but_never_flipped():
    made = clinic()
    whole = metrics(made)
    whole["tasks"][3]["metrics"]["rmse"]["scale"] = -2.0  # a scale may carry a sign; better must stay better
    run = Run("r", whole, read_tasks(whole, {}, None))
    stay = next(t for t in read_verdict(run).tasks if t.task.name == "length_of_stay")
    assert stay.difference.value == pytest.approx(2.8) and stay.outcome == "helped"
    assert stay.unit == "RMSE h"


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.4132, 0.2512, 0.5732), "+0.41 points [+0.25, +0.57]"),
        (Estimate(-12.34, -15.1, -9.6), "\u221212.3 points [\u221215.1, \u22129.6]"),
        (Estimate(0.2, math.nan, math.nan), "+0.200 points"),
        (Estimate(math.nan, math.nan, math.nan), "\u2013 points"),
        (Estimate(0.0, 0.0, 0.0), "0.000 points [0.000, 0.000]"),
    ],
)
def test_estimates(estimate, text):
    assert estimate.text("points") == text


def test_a_task_without_a_name_is_refused():
    with pytest.raises(RunError, match="task 0 must be an object with a name"):
        verdict_text({"tasks": [{"kind": "binary"}]})


def test_verdicts_of_unknown_tasks_are_left_out():
    odd = outcomes("helped")
    odd["verdict"]["tasks"].append({"task": "ghost", "outcome": "hurt"})
    assert verdict_text(odd).startswith("Sharing helped the task.")
