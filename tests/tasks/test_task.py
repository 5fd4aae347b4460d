import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.errors import ConfigurationError
from accord.tasks import TargetEncoder, Task

KINDS = sorted(TargetEncoder.kinds)


def test_all_kinds_are_there():
    assert KINDS == ["binary", "count", "multiclass", "multilabel", "ordinal", "quantile", "regression"]


def test_everything_is_resolved():
    task = Task("income", "binary")
    assert (task.columns, task.loss, task.primary, task.space, task.weight) == (("income",), "bce", "auc", "given", 1.0)
    assert Task("q", "quantile").quantiles == (0.1, 0.5, 0.9)
    assert Task("x", "regression", loss="mae").primary == "mae"
    assert Task("x", "binary", loss="focal").loss_params == {"gamma": 2.0}
    assert Task("x", "binary", loss="focal", loss_params={"gamma": 1}).loss_params == {"gamma": 1.0}
    assert Task("x", "binary", metrics=["f1"], primary="brier").metrics == ("brier", "f1")
    assert Task("x", "binary", columns="label").columns == ("label",)


@pytest.mark.parametrize("kind", KINDS)
def test_metric_names_are_the_metrics(kind):
    encoder = TargetEncoder.kinds[kind]
    assert set(encoder.default_metrics) <= set(encoder.metric_names)
    assert {loss.primary for loss in encoder.losses.values()} <= set(encoder.metric_names)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_dict_round_trip_through_json(data):
    kind = data.draw(st.sampled_from(KINDS))
    encoder = TargetEncoder.kinds[kind]
    options = {
        "loss": data.draw(st.sampled_from(sorted(encoder.losses))),
        "primary": data.draw(st.sampled_from(encoder.metric_names)),
        "metrics": data.draw(st.lists(st.sampled_from(encoder.metric_names), unique=True)),
        "weight": data.draw(st.floats(1e-3, 1e3)),
        "sample_weight": data.draw(st.none() | st.text(min_size=1)),
    }
    if "class_weights" in encoder.options:
        options["class_weights"] = data.draw(st.none() | st.just("balanced"))
    if "quantiles" in encoder.options:
        options["quantiles"] = sorted(data.draw(st.sets(st.floats(0.01, 0.99), min_size=1, max_size=4)))
    if "classes" in encoder.options:
        options["classes"] = data.draw(st.none() | st.just(["low", "high"]))
    if "positive" in encoder.options:
        options["positive"] = data.draw(st.none() | st.booleans() | st.text())
    task = Task(data.draw(st.text(min_size=1)), kind, **options)
    assert Task.from_dict(json.loads(json.dumps(task.to_dict()))) == task


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "binry"}, "Did you mean 'binary'"),
        ({"los": "bce"}, "Did you mean 'loss'"),
        ({"loss": "focla"}, "Did you mean 'focal'"),
        ({"loss": "focal", "loss_params": {"gama": 1.0}}, "Did you mean 'gamma'"),
        ({"loss_params": {"gamma": 1.0}}, "It takes none"),
        ({"loss": "focal", "loss_params": {"gamma": -1.0}}, "at least 0"),
        ({"metrics": ["acuracy"]}, "Did you mean 'accuracy'"),
        ({"primary": "rmse"}, "no metric 'rmse'"),
        ({"space": "whole"}, "unknown space 'whole'"),
        ({"space": "entire"}, "needs given="),
        ({"given": "t"}, "given itself"),
        ({"given": "click", "space": "entire", "class_weights": "balanced"}, "no class_weights"),
        ({"quantiles": (0.5,)}, "no option 'quantiles'"),
        ({"columns": ["a", "b"]}, "takes one column"),
        ({"class_weights": "balance"}, "balanced"),
        ({"class_weights": {"yes": 0.0}}, "above 0"),
        ({"weight": 0}, "above 0"),
        ({"weight": float("nan")}, "above 0"),
        ({"name": ""}, "non-empty"),
        ({"kind": "multiclass", "classes": ["a", "a"]}, "different"),
        ({"kind": "quantile", "quantiles": (0.9, 0.1)}, "ascending"),
        ({"kind": "quantile", "quantiles": (0.0, 0.5)}, "strictly between"),
        ({"kind": "multilabel", "class_weights": {"a": 1.0}}, "balanced"),
    ],
)
def test_wrong_options_name_the_way_out(options, message):
    with pytest.raises(ConfigurationError, match=message):
        Task(**{"name": "t", "kind": "binary", **options})


def test_from_dict_rejects_unknown_and_missing_keys():
    with pytest.raises(ConfigurationError, match="Did you mean 'positive'"):
        Task.from_dict({"name": "t", "kind": "binary", "postive": "yes"})
    with pytest.raises(ConfigurationError, match="no 'kind'"):
        Task.from_dict({"name": "t"})
