"""Imports are spared the collector, which comes back whatever happens, and what nobody asks for."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.merging import recipe_zoo

from accord.cli.importing import UNUSED, put_off, spared_collection


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


def test_a_module_that_is_put_off_is_there_in_name_until_it_is_asked_for_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_to_load.py").write_text("import sys\nsys.loaded = True\nanswer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "loaded", False, raising=False)
    finders = list(sys.meta_path)
    with put_off("slow_to_load"):
        import slow_to_load  # pyright: ignore[reportMissingImports]
    assert sys.meta_path == finders
    assert slow_to_load.__file__ == str(tmp_path / "slow_to_load.py") and not hasattr(slow_to_load, "__path__")
    assert not sys.loaded  # pyright: ignore[reportAttributeAccessIssue]
    assert slow_to_load.answer == 42 and type(slow_to_load) is ModuleType
    assert sys.loaded  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError, match="question"):
        _ = slow_to_load.question
    del sys.modules["slow_to_load"]


def test_only_the_named_module_is_put_off_and_a_missing_one_is_missing() -> None:
    with put_off("no_such_module"), pytest.raises(ModuleNotFoundError, match="no_such_module"):
        import no_such_module  # noqa: F401  # pyright: ignore[reportMissingImports]


def test_merges_of_every_kind_do_without_what_is_put_off(tmp_path: Path) -> None:
    """A process that never imports PyTorch in full runs all recipes of the merging tests."""
    recipe_zoo.write_zoo(tmp_path)
    recipes = sorted(Path(recipe_zoo.__file__).with_name("recipes").glob("*.yaml"))
    for path in recipes:
        shutil.copy(path, tmp_path)
    code = (
        "import sys; from accord.cli import main; "
        "codes = [main(['merge', name, 'out-' + name]) for name in sys.argv[1:]]; "
        f"print(codes, type(sys.modules[{UNUSED!r}]).__name__)"
    )
    words = [sys.executable, "-c", code, *(path.name for path in recipes)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"{[0] * len(recipes)} _Unloaded", done.stderr
