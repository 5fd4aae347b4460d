"""The section ``front`` of a specification."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from accord.errors import ConfigurationError
from accord.steering import FrontSpec, parse_front
from accord.steering.grid import inside, nearest, preference_grid
from accord.steering.methods import front_methods, is_set, method_class


def test_every_front_method_resolves_to_options_that_resolve_to_themselves() -> None:
    assert {"cosmos", "pa_mal", "pa_lo_ra", "pareto_hyper_network", "epo", "pmgda", "pmtl"} < set(front_methods())
    assert {"hypervolume_gradient", "moosvgd"} < set(front_methods()) and "mogfn" not in front_methods()
    for name in front_methods():
        front = parse_front({"method": name})
        assert front.method == name
        assert parse_front({"method": name, "options": front.options}) == front


@pytest.mark.parametrize("written", ["phn", "PHN", "ParetoHyperNetwork", "pareto-hyper-network"])
def test_names_are_found_as_people_write_them(written: str) -> None:
    assert parse_front({"method": written}).method == "pareto_hyper_network"
    assert not is_set(method_class(written)) and is_set(method_class("linear"))


def test_what_authors_use_on_tables_is_the_default_there_and_can_be_changed() -> None:
    assert parse_front({"method": "cosmos"}).options == {"penalty": 0.01, "concentration": 0.5}
    assert parse_front({"method": "moo_svgd"}).options["repulsion"] == 0.01
    assert parse_front({"method": "pa_mal"}).options.items() >= {"window": 2, "penalty": 5.0}.items()
    assert parse_front({"method": "cosmos", "options": {"penalty": 2.0}}).options["penalty"] == 2.0


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"method": "cosmo"}, "Did you mean 'cosmos'"),
        ({"method": "mogfn"}, "no method of fronts is called 'mogfn'"),
        ({"method": "cagrad"}, "no method of fronts is called 'cagrad'"),
        ({"method": "cosmos", "options": {"penallty": 1}}, "Did you mean 'penalty'"),
        ({"method": "cosmos", "options": {"net": 1}}, "no option 'net'"),
        ({"method": "cosmos", "options": {"penalty": -1.0}}, "penalty must be"),
        ({"method": "cosmos", "options": {"concentration": 0.0}}, "concentration must be"),
        ({"method": "cosmos", "options": {"penalty": "much"}}, "cannot be"),
        ({"method": "pa_mal", "options": {"window": 1, "penalty": 1.0}}, "needs a window of 2"),
        ({"method": "phn", "options": {"hidden": 100}}, "cannot be"),
        ({"method": "epo", "options": {"tolerance": 0.0}}, "tolerance must be"),
        ({"method": "moo_svgd", "options": {"repulsion": -1.0}}, "repulsion must be"),
        ({"method": "hypervolume_gradient", "options": {"reference": [1, 1]}}, "takes no options"),
        ({"method": "epo", "points": 1}, "at least 2"),
        ({"method": "epo", "points": -1}, "at least 2"),
        ({"metod": "epo"}, "Did you mean 'method'"),
    ],
)
def test_mistakes_are_explained(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_front(section)


@pytest.mark.parametrize(
    ("method", "tasks", "points", "wanted"),
    [("cosmos", 2, 0, 11), ("epo", 2, 0, 5), ("cosmos", 3, 0, 21), ("epo", 5, 0, 10), ("epo", 2, 7, 7)],
)
def test_points(method: str, tasks: int, points: int, wanted: int) -> None:
    assert FrontSpec(method, points=points).wanted(tasks) == wanted


def test_the_grid_has_corners_and_at_least_as_many_points() -> None:
    assert len(preference_grid(2, 11)) == 11 and len(preference_grid(3, 21)) == 21
    assert inside(torch.eye(2)).flatten().tolist() == pytest.approx([0.98, 0.02, 0.02, 0.98])
    for tasks in (2, 3, 4):
        grid = preference_grid(tasks, 12)
        assert len(grid) >= 12 and torch.allclose(grid.sum(1), torch.ones(len(grid), dtype=torch.float64))
        assert {tuple(row) for row in torch.eye(tasks).tolist()} <= {tuple(row) for row in grid.tolist()}
        moved = inside(grid)
        assert float(moved.min()) >= min(0.02, 0.5 / tasks) - 1e-12
        assert torch.allclose(moved.sum(1), torch.ones(len(grid), dtype=torch.float64))
        assert [nearest(grid, row) for row in moved] == list(range(len(grid)))
