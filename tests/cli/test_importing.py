"""Imports are spared the collector, which comes back whatever happens."""

from __future__ import annotations

import gc

import pytest

from accord.cli.importing import spared_collection


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_rests_and_is_as_before_afterwards(was_on: bool) -> None:
    before = gc.isenabled()
    (gc.enable if was_on else gc.disable)()
    try:
        with pytest.raises(ImportError), spared_collection():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == was_on and gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        (gc.enable if before else gc.disable)()
