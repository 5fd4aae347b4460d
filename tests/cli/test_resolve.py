"""From what was typed to what is run: which option goes where, and which of two wins."""

from __future__ import annotations

from accord.cli.resolve import changed, collect

OPTIONS = {"affinity": "affinity_options"}


def test_what_was_typed_goes_to_the_run_or_to_the_section() -> None:
    typed = {"epochs": 3, "seeds": 4, "split": None, "test": "t.csv", "column": ["zip=drop"], "out": "x"}
    run = {"training.epochs": 3, "data.test": "t.csv", "data.columns.zip": "drop"}
    assert collect(typed) == ({**run, "evaluation.seeds": 4}, {})
    assert collect(typed, "seeds", "trials") == (run, {"seeds": 4})


def test_a_setting_wins_over_the_short_name() -> None:
    typed = {"epochs": 3, "no_baselines": True, "set_": ["training.epochs=5", "evaluation.baselines=true"]}
    assert collect(typed) == ({"training.epochs": 5, "evaluation.baselines": True}, {})
    assert collect({"no_baselines": False}) == ({}, {})


def test_options_belong_to_the_method_they_were_given_for() -> None:
    before = {"affinity": "lasso_relevance", "affinity_options": {"penalty": 0.2}, "seeds": 2}
    assert changed(before, {"seeds": 4}, {}, OPTIONS) == {**before, "seeds": 4}
    assert changed(before, {}, {"affinity": "rsa"}, OPTIONS) == {"affinity": "rsa", "affinity_options": {}, "seeds": 2}
    assert changed(before, {"affinity": "rsa"}, {}, OPTIONS)["affinity_options"] == {}
    assert changed(before, {"affinity_options.penalty": 0.5}, {}, OPTIONS)["affinity_options"] == {"penalty": 0.5}
    assert changed(before, {"affinity_options": {"b": 1}}, {}, OPTIONS)["affinity_options"] == {"b": 1}
    both = changed(before, {"affinity_options.more": 1}, {"seeds": 3}, OPTIONS)
    assert both == {**before, "affinity_options": {"penalty": 0.2, "more": 1}, "seeds": 3}


def test_a_setting_may_lie_as_deep_as_it_likes() -> None:
    own = {"search.cagrad.c": [0.1], "search.cooldown.end": [5], "search.cooldown.start": [2]}
    before = {"search": {"cagrad": {"c": [0.9], "rescale": [1]}}, "seeds": 1}
    found = changed(before, own, {}, {})
    assert found["search"] == {"cagrad": {"c": [0.1], "rescale": [1]}, "cooldown": {"end": [5], "start": [2]}}
    assert before["search"] == {"cagrad": {"c": [0.9], "rescale": [1]}} and found["seeds"] == 1
    assert changed({"search": None}, own, {}, {})["search"]["cagrad"] == {"c": [0.1]}


def test_what_was_asked_wins_over_what_was_set_and_both_over_the_file() -> None:
    assert changed({"seeds": 1, "rope": 1}, {"seeds": 2}, {"seeds": 3}, {}) == {"seeds": 3, "rope": 1}
    assert changed({"affinity_options": None}, {}, {}, OPTIONS) == {"affinity_options": {}}
