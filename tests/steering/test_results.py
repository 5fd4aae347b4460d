"""What fronts amount to: hypervolumes, knees, intervals and sentences, by hand and by identities."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from accord.pareto import LinearScalarisation, SmoothTchebycheffScalarisation, TchebycheffScalarisation
from accord.steering.balancers import Scalarised
from accord.steering.hypervolumes import Pile, hypervolumes, no_skill
from accord.steering.measure import Measured, Value, measure
from accord.steering.results import _cosines, _cost, knee, resamples, undominated
from accord.steering.rows import Rows
from accord.steering.words import paragraph, reach
from accord.tasks import Labels, Objectives, Task
from accord.training.prepare import Prepared


def objectives(rows: int = 200) -> tuple[Objectives, dict[str, Labels]]:
    """Return a binary task with missing and weighted labels, two columns of labels, and a task given the first."""
    rng = np.random.default_rng(0)
    click = (rng.random(rows) < 0.5).astype(float)
    click[:20] = np.nan
    numbers = (rng.random((rows, 2)) < 0.3).astype(float)
    numbers[5, 0] = np.nan
    labels = {
        "click": Labels(numbers=click[:, None], weights=rng.random(rows)),
        "sizes": Labels(numbers=numbers),
        "buy": Labels(numbers=(rng.random(rows) < 0.4).astype(float)[:, None]),
    }
    tasks = [
        Task("click", "binary", sample_weight="w"),
        Task("sizes", "multilabel", columns=("a", "b"), weight=2.0),
        Task("buy", "binary", given="click", space="entire"),
    ]
    return Objectives.fit(tasks, labels), labels


def test_row_losses_add_up_to_the_losses_on_any_rows() -> None:
    found, labels = objectives()
    targets = found.encode(labels)
    outputs = [torch.randn(200, e.width, generator=torch.Generator().manual_seed(1)) for e in found.encoders]
    for rows in (torch.arange(200), torch.arange(0, 200, 3), torch.tensor([25, 25, 30])):
        whole = found.losses([o[rows] for o in outputs], [t.take(rows) for t in targets])
        for loss, (weighted, weights) in zip(whole, found.row_losses(outputs, targets), strict=True):
            assert loss is not None
            assert float(weighted[rows].sum() / weights[rows].sum()) == pytest.approx(float(loss), rel=1e-5)
    missing = found.row_losses(outputs, targets)[0]
    assert not missing[1][:20].any() and not missing[0][:20].any()


def test_no_skill_is_the_entropy_of_the_training_frequencies() -> None:
    labels = {
        "a": Labels(numbers=np.array([[1.0], [0.0], [0.0], [0.0]])),
        "n": Labels(numbers=np.array([[1.0], [3.0], [1.0], [3.0]])),
    }
    found = Objectives.fit([Task("a", "binary"), Task("n", "regression")], labels)
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    corner = no_skill(found, found.encode(labels))
    assert float(corner[0]) == pytest.approx(entropy, rel=1e-5)
    # A standardised number has variance 1 about its mean.
    halves = float(corner[1])
    assert halves == pytest.approx(
        float(found.losses([torch.zeros(4, 1), torch.zeros(4, 1)], found.encode(labels))[1] or 0)
    )


def test_a_pile_resamples_as_taking_the_rows_would() -> None:
    found, labels = objectives()
    targets = found.encode(labels)
    outputs = [[torch.randn(200, e.width) for e in found.encoders] for _ in range(2)]
    pile = Pile([found.row_losses(one, targets) for one in outputs])
    rows = torch.randint(0, 200, (200,), generator=torch.Generator().manual_seed(3))
    counts = np.bincount(rows.numpy(), minlength=200)[None].astype(float)
    means = pile.means(counts)
    assert means.shape == (1, 2, 3)
    for number, one in enumerate(outputs):
        taken = found.losses([o[rows] for o in one], [t.take(rows) for t in targets])
        assert means[0, number] == pytest.approx([float(loss or 0) for loss in taken], rel=1e-4)


def test_gains_and_intervals_are_of_the_same_rows_and_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    def pile(loss: float) -> Pile:
        return Pile([[(torch.full((50,), loss), torch.ones(50)) for _ in range(2)]])

    # Two seeds, whose fronts cover 0.8^2 and 0.6^2 of the square below (1, 1), and their balanced models 0.2^2.
    seeds: Any = [{"front": pile(0.2), "balanced": pile(0.8)}, {"front": pile(0.4), "balanced": pile(0.8)}]
    monkeypatch.setattr("accord.steering.hypervolumes._piles", lambda one, *_: one)
    rows, corner = cast(Rows, range(50)), torch.ones(2, dtype=torch.float64)
    found = hypervolumes(seeds, cast(Prepared, None), rows, corner, resamples=200, confidence=0.95, seed=0)
    wanted = {"front": (0.5, 0.36, 0.64), "balanced": (0.04, 0.04, 0.04), "gain": (0.46, 0.32, 0.6)}
    for name, numbers in wanted.items():
        assert tuple(found[name].values()) == pytest.approx(numbers, rel=1e-5), name


def test_knee_and_dominance_by_hand() -> None:
    points = torch.tensor([[0.0, 1.0], [0.1, 0.3], [0.5, 0.2], [0.6, 0.6], [1.0, 0.0]])
    assert undominated(points) == [True, True, True, False, True]
    assert knee(points) == 1
    # A better point that is not finite is none.
    assert knee(torch.cat([points, torch.tensor([[float("nan"), 0.0]])])) == 1
    assert knee(points[[0, 4]]) is None
    assert knee(torch.tensor([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])) is None  # on the line
    assert knee(torch.tensor([[0.0, 1.0], [0.8, 0.8], [1.0, 0.0]])) is None  # beyond it: the front is concave
    assert knee(torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.2, 0.2, 0.2]])) == 3


def test_measured_survives_json_and_has_the_metric_of_all_rows() -> None:
    found, labels = objectives()
    targets = found.encode(labels)
    outputs = [torch.randn(200, e.width) for e in found.encoders]
    made = measure(found, outputs, targets, resamples(200, 40, 0))
    for task, own in made.metrics.items():
        for value in own.values():
            assert value.low <= value.value <= value.high, task
    assert made == measure(found, outputs, targets, resamples(200, 40, 0))
    half = measure(found, outputs, targets, resamples(200, 40, 0), confidence=0.5).metrics["click"]
    assert all(v.high - v.low < made.metrics["click"][n].high - made.metrics["click"][n].low for n, v in half.items())
    assert Measured.from_dict(made.to_dict()) == made
    gone = Measured.from_dict(
        {"losses": {"a": None}, "metrics": {"a": {"auc": {"value": None, "low": None, "high": None}}}}
    )
    assert gone.losses["a"] != gone.losses["a"] and gone.metrics["a"]["auc"].low != gone.metrics["a"]["auc"].low


def test_scalarised_weights_are_slopes_brought_to_one() -> None:
    losses = torch.tensor([2.0, 1.0, 4.0])
    preference = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    linear = Scalarised(LinearScalarisation(), preference)
    assert linear(losses).tolist() == pytest.approx([0.5, 0.25, 0.25])
    assert linear(losses, active=torch.tensor([True, False, True])).tolist() == pytest.approx([2 / 3, 0.0, 1 / 3])
    assert Scalarised(TchebycheffScalarisation(), preference)(torch.tensor([1.0, 1.0, 4.0])).tolist() == [0.0, 0.0, 1.0]
    smooth = SmoothTchebycheffScalarisation()
    probe = losses.double().requires_grad_()
    (slope,) = torch.autograd.grad(smooth(probe, preference), probe)
    assert Scalarised(smooth, preference)(losses).tolist() == pytest.approx((slope / slope.sum()).tolist(), rel=1e-6)
    some = Scalarised(smooth, preference)(losses, active=torch.tensor([True, False, True]))
    alone = Scalarised(smooth, torch.tensor([2 / 3, 1 / 3], dtype=torch.float64))(losses[[0, 2]])
    assert some.tolist() == pytest.approx([float(alone[0]), 0.0, float(alone[1])])
    assert not Scalarised(smooth, preference)(losses, active=torch.zeros(3, dtype=torch.bool)).any()


def described(
    low: tuple[float, float], high: tuple[float, float], gain: tuple[float, float], better: bool = True
) -> str:
    """Return the paragraph of a front whose metric has these intervals at its ends."""

    def point(share: float, bounds: tuple[float, float]) -> dict[str, object]:
        value = Value(sum(bounds) / 2, bounds[0], bounds[1])
        judged = Measured({"a": 1.0}, {"a": {"auc": value}}).to_dict()
        return {"preference": [share, 1 - share], "test": judged}

    look = {"label": "AUC", "higher_is_better": better, "unit": "", "scale": 1.0}
    interval = {"value": 0.5, "low": 0.4, "high": 0.6}
    return paragraph(
        {
            "method": "cosmos",
            "kind": "steerable",
            "rows": {"test": 1000},
            "seeds": [0],
            "confidence": 0.95,
            "tasks": [{"name": "a", "primary": "auc", "metrics": {"auc": look}}],
            "points": [point(0.0, low), point(1.0, high)],
            "hypervolume": {
                "front": interval,
                "balanced": interval,
                "gain": {"value": sum(gain) / 2, "low": gain[0], "high": gain[1]},
            },
            "cost": {"front": {"seconds": 1.0}, "baselines": {"seconds": 2.0}},
        }
    )


def test_the_paragraph_claims_what_the_intervals_support() -> None:
    apart, touching = ((0.1, 0.2), (0.3, 0.4)), ((0.1, 0.3), (0.2, 0.4))
    assert "Steering moves a: AUC" in described(*apart, (0.1, 0.2))
    assert "the wrong way" in described(apart[1], apart[0], (0.1, 0.2))
    assert "the wrong way" in described(*apart, (0.1, 0.2), better=False)
    assert "Steering moves a: AUC" in described(apart[1], apart[0], (0.1, 0.2), better=False)
    assert "no clear difference to a" in described(*touching, (0.1, 0.2))
    assert "covers more" in described(*apart, (0.1, 0.2))
    assert "does not clearly cover more" in described(*apart, (-0.1, 0.2))
    assert "covers less" in described(*apart, (-0.2, -0.1))
    assert "0.50 times the training time" in described(*apart, (0.1, 0.2))
    assert "not of the seed" in described(*apart, (0.1, 0.2))
    # As many digits as the interval has a use for: two of its half width.
    assert "hypervolume 0.50 [0.40, 0.60] against" in described(*apart, (0.1, 0.2))
    assert "difference +0.150 [+0.100, +0.200]" in described(*apart, (0.1, 0.2))
    assert "difference +0.1000 [+0.1000, +0.1000]" in described(*apart, (0.1, 0.1))


def test_reach_is_from_where_a_task_counts_least_to_where_it_counts_most_on_test_rows() -> None:
    def point(share: float, value: float) -> dict[str, Any]:
        def measured(number: float) -> dict[str, Any]:
            return {"metrics": {"b": {"auc": {"value": number, "low": number - 0.01, "high": number + 0.01}}}}

        return {"preference": [1 - share, share], **measured(0.5), "test": measured(value)}

    task = {"name": "b", "primary": "auc", "metrics": {"auc": {"label": "AUC", "higher_is_better": True}}}
    found = {"tasks": [{"name": "a"}, task], "points": [point(0.5, 0.3), point(1.0, 0.9), point(0.0, 0.6)]}
    said = "Steering moves b: AUC from 0.6 where it counts least to 0.9 where it counts most."
    assert reach(found, task) == said
    found["points"][1] = point(1.0, float("nan"))
    assert reach(found, task) == ""


def test_costs_and_cosines_by_hand() -> None:
    def model(seconds: float, parameters: int, memory: int) -> dict[str, Any]:
        return {"seconds": seconds, "parameters": parameters, "peak_memory_mb": memory}

    # The mean over seeds of what their models took one after the other; the models of one seed; the most at any time.
    several = [[model(1.0, 5, 7), model(2.0, 6, 9)], [model(5.0, 5, 8), model(4.0, 6, 2)]]
    assert _cost(several) == {"seconds": 6.0, "parameters": 11, "peak_memory_mb": 9}

    def record(run: str, phase: str, name: str, task: str, against: str, value: float) -> tuple[Any, ...]:
        return (run, 0, 0, 0, 0, phase, name, task, against, value)

    history = [
        record("joint", "train", "cosine", "a", "b", 0.2),
        record("joint", "train", "cosine", "b", "a", 0.6),
        record("front", "train", "cosine", "a", "b", 9.0),
        record("joint", "validation", "cosine", "a", "b", 9.0),
        record("joint", "train", "loss", "a", "", 9.0),
    ]
    objectives = SimpleNamespace(objectives=SimpleNamespace(names=("a", "b")))
    field: Any = SimpleNamespace(prepared=objectives, context=SimpleNamespace(history=SimpleNamespace(records=history)))
    assert _cosines(field) == {"tasks": ["a", "b"], "matrix": [[1.0, pytest.approx(0.4)], [pytest.approx(0.4), 1.0]]}
