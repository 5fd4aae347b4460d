"""What is in the room is found by ``accord methods`` and not offered as a balancer."""

from __future__ import annotations

import pytest

from accord.balancer import Balancer
from accord.errors import ConfigurationError
from accord.registry import find, registered


@pytest.mark.parametrize("name", registered("steps"))
def test_no_method_of_the_room_is_a_balancer(name: str) -> None:
    assert not issubclass(find(name), Balancer)
    with pytest.raises(ConfigurationError, match="unknown weighting or aggregation"):
        find(name, "weighting", "aggregation")
