import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.errors import ConfigurationError, DataError
from accord.tasks import Labels, Objectives, Task

NAN = np.nan
CLICK = [1, 1, 1, 0, 0, NAN]
BUY = [1, 0, NAN, NAN, 1, 1]


def labels(**columns):
    return {name: Labels(numbers=np.array(values, float)) for name, values in columns.items()}


def funnel(space):
    tasks = [Task("buy", "binary", given="click", space=space), Task("click", "binary")]
    data = labels(click=CLICK, buy=BUY)
    objectives = Objectives.fit(tasks, data)
    return objectives, objectives.encode(data)


def outputs(*logits):
    return [torch.tensor(values, dtype=torch.float64)[:, None].requires_grad_() for values in logits]


def test_given_takes_only_rows_where_the_other_is_positive():
    objectives, (buy, click) = funnel("given")
    assert buy.observed.tolist() == [True, True, False, False, False, False]
    assert click.observed.tolist() == [True] * 5 + [False]
    out = outputs([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0] * 6)
    loss, _ = objectives.losses(out, [buy, click])
    expected = (math.log1p(math.exp(-1.0)) + math.log1p(math.exp(2.0))) / 2
    assert loss is not None and float(loss.detach()) == pytest.approx(expected)
    loss.backward()
    assert out[0].grad is not None and out[0].grad[2:].abs().sum() == 0
    assert out[1].grad is None  # a conditional loss says nothing about the click


def test_entire_space_knows_what_cannot_have_happened():
    _, (buy, _) = funnel("entire")
    # Bought; clicked, not bought; clicked, unknown; not clicked (twice, whatever "buy" says); click unknown but bought.
    assert buy.observed.tolist() == [True, True, False, True, True, False]
    assert buy.values[buy.observed].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_entire_space_loss_by_hand_reaches_both_heads():
    objectives, targets = funnel("entire")
    z = torch.linspace(-1, 1, 6, dtype=torch.float64)
    out = outputs(z.tolist(), (2 * z).tolist())
    loss, _ = objectives.losses(out, targets)
    joint = torch.sigmoid(z) * torch.sigmoid(2 * z)
    rows = [0, 1, 3, 4]
    value = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    expected = torch.nn.functional.binary_cross_entropy(joint[rows], value)
    assert loss is not None and float(loss.detach()) == pytest.approx(float(expected))
    loss.backward()
    for head in out:
        assert head.grad is not None
        assert (head.grad[rows] != 0).all() and head.grad[[2, 5]].abs().sum() == 0
    np.testing.assert_allclose(objectives.predict(out)[0].detach(), joint, rtol=1e-12)


def test_a_chain_of_three():
    tasks = [
        Task("click", "binary"),
        Task("cart", "binary", given="click"),
        Task("buy", "binary", given="cart", space="entire"),
        Task("price", "regression", given="buy"),
    ]
    data = labels(
        click=[1, 1, 1, 1, 0, 0], cart=[1, 1, 1, 0, 1, NAN], buy=[1, 1, 0, 1, 1, NAN], price=[3, 5, 9, 9, 9, 9]
    )
    objectives = Objectives.fit(tasks, data)
    targets = objectives.encode(data)
    assert targets[1].observed.tolist() == [True, True, True, True, False, False]
    assert targets[2].observed.all() and targets[2].values.tolist() == [1, 1, 0, 0, 0, 0]
    assert targets[3].observed.tolist() == [True, True, False, False, False, False]
    assert objectives.encoders[3].state()["mean"] == 4.0  # learned where it is defined
    assert objectives.encoders[1].state()["rate"] == 0.75
    out = [torch.zeros(6, 1) for _ in tasks]
    assert objectives.predict(out)[2].tolist() == pytest.approx([1 / 8] * 6)


def test_a_weighted_click_enters_the_product_as_a_probability():
    tasks = [Task("click", "binary", class_weights="balanced"), Task("buy", "binary", given="click", space="entire")]
    data = labels(click=[1, 1, 0, 0, 0, 0, 0, 0], buy=[1, 0] + [NAN] * 6)
    objectives = Objectives.fit(tasks, data)
    out = [encoder.bias().repeat(8, 1) for encoder in objectives.encoders]
    assert objectives.predict(out)[1][0] == pytest.approx(1 / 8, abs=1e-6)
    _, loss = objectives.losses(out, objectives.encode(data))
    assert loss is not None and float(loss) == pytest.approx(-(math.log(1 / 8) + 7 * math.log(7 / 8)) / 8, rel=1e-5)


def test_the_single_task_version_of_an_entire_space_task_is_trained_on_the_joint_event():
    objectives, targets = funnel("entire")
    single = objectives.single(0)
    assert single.names == ("buy",) and single.encoders[0].task.given is None
    (loss,) = single.losses([torch.zeros(6, 1)], [targets[0]])
    assert loss is not None and float(loss) == pytest.approx(math.log(2.0))
    assert float(single.predict([single.encoders[0].bias()[None]])[0]) == pytest.approx(3 / 5 * 1 / 2)


def test_a_task_without_an_observed_row_is_absent():
    tasks = [Task("a", "regression"), Task("b", "binary"), Task("c", "multilabel", columns=["x", "y"])]
    data = {**labels(a=[1, 2, NAN], b=[0, 1, NAN]), "c": Labels(numbers=np.array([[0, 1], [1, 0], [NAN, NAN]]))}
    objectives = Objectives.fit(tasks, data)
    targets = objectives.encode(data)
    out = [torch.randn(3, encoder.width) for encoder in objectives.encoders]
    for rows in (torch.tensor([2]), torch.tensor([], dtype=torch.int64)):
        batch = [target.take(rows) for target in targets]
        assert objectives.losses([o[rows] for o in out], batch) == [None, None, None]


def test_rows_of_weight_zero_are_absent_too():
    data = {"a": Labels(numbers=np.array([1.0, 2.0, 3.0]), weights=np.array([1.0, 1.0, 0.0]))}
    objectives = Objectives.fit([Task("a", "regression")], data)
    (target,) = objectives.encode(data)
    assert objectives.losses([torch.zeros(1, 1)], [target.take(torch.tensor([2]))]) == [None]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.floats(0.1, 10))
def test_missing_rows_never_matter(seed, weighted, factor):
    # A row without a label may hold anything, even NaN, and changes neither loss nor gradient.
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=12)
    missing = rng.random(12) < 0.4
    missing[:2] = False
    weights = rng.random(12) + 0.1 if weighted else None
    full = Labels(numbers=np.where(missing, NAN, numbers), weights=weights)
    kept = full.take(~missing)
    task = Task("a", "regression", weight=factor)
    out = torch.from_numpy(rng.normal(size=(12, 1)))
    out[torch.from_numpy(missing)] = float("nan")
    out.requires_grad_()
    objectives = Objectives.fit([task], {"a": full})
    (loss,) = objectives.losses([out], objectives.encode({"a": full}))
    alone = Objectives.fit([task], {"a": kept})
    (expected,) = alone.losses([out.detach()[torch.from_numpy(~missing)]], alone.encode({"a": kept}))
    assert loss is not None and expected is not None
    assert float(loss.detach()) == pytest.approx(float(expected))
    loss.backward()
    assert out.grad is not None and out.grad[torch.from_numpy(missing)].abs().sum() == 0


def test_weighted_mean_by_hand():
    data = {"a": Labels(numbers=np.array([0.0, 2.0, NAN]), weights=np.array([1.0, 3.0, 9.0]))}
    objectives = Objectives.fit([Task("a", "regression", loss="mae", weight=2.0)], data)
    encoder = objectives.encoders[0]
    (target,) = objectives.encode(data)
    (loss,) = objectives.losses([torch.zeros(3, 1)], [target])
    mean, scale = 1.5, math.sqrt(0.75)
    assert encoder.state()["mean"] == mean
    expected = 2.0 * (1.0 * 1.5 + 3.0 * 0.5) / scale / 4.0
    assert loss is not None and float(loss) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([Task("a", "binary"), Task("a", "binary")], "two tasks are called 'a'"),
        ([Task("buy", "binary", given="clck"), Task("click", "binary")], "Did you mean 'click'"),
        ([Task("buy", "binary", given="age"), Task("age", "regression")], "regression, not binary"),
        ([Task("a", "binary", given="b"), Task("b", "binary", given="a")], "circle"),
    ],
)
def test_tasks_that_do_not_fit_together(tasks, message):
    with pytest.raises(ConfigurationError, match=message):
        Objectives.fit(tasks, labels(**{task.name: [0, 1] for task in tasks}))


def test_a_conditional_task_without_rows_says_so():
    tasks = [Task("click", "binary"), Task("buy", "binary", given="click")]
    with pytest.raises(DataError, match="'buy'"):
        Objectives.fit(tasks, labels(click=[0, 0, 1], buy=[0, 1, NAN]))


def test_evaluation_looks_at_the_task_s_own_rows():
    objectives, targets = funnel("given")
    scores = objectives.encoders[0].evaluate(np.array([0.9, 0.1, 0.5, 0.0, 0.0, 0.0]), targets[0])
    assert scores["auc"] == 1.0 and scores["accuracy"] == 1.0
    weights = np.ones((2, 6))
    weights[1, 1] = 0.0  # the only negative of the two
    values = objectives.encoders[0].scorers(np.array([0.9, 0.1, 0.5, 0.0, 0.0, 0.0]), targets[0])["auc"](weights)
    assert values[0] == 1.0 and np.isnan(values[1])


def test_evaluation_counts_row_weights_times_draws():
    data = {"a": Labels(numbers=np.array([0.0, 1.0, 1.0, NAN]), weights=np.array([1.0, 2.0, 5.0, 9.0]))}
    objectives = Objectives.fit([Task("a", "binary", metrics=["accuracy"])], data)
    (target,) = objectives.encode(data)
    predictions = np.array([0.1, 0.9, 0.2, 0.9])  # right, right, wrong, unknown
    assert objectives.encoders[0].evaluate(predictions, target)["accuracy"] == pytest.approx(3 / 8)
    draws = np.array([[2.0, 0.0, 1.0, 3.0]])
    alone = objectives.encoders[0].scorer("accuracy", predictions, target)(draws)
    assert alone.tolist() == objectives.encoders[0].scorers(predictions, target)["accuracy"](draws).tolist()
    values = objectives.encoders[0].scorers(predictions, target)["accuracy"](draws)
    assert values[0] == pytest.approx(2 / 7)
