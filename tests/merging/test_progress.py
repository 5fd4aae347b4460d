"""A merge tells how far it is: every pass over all tensors by its own name, and then the writing."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.merging import recipe_zoo as zoo

import accord
from accord.merging import TIES, Linear, MergingMethod, plan_merge

WRITING = "writing"


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    generator = torch.Generator().manual_seed(0)
    paths = [tmp_path / f"m{place}.safetensors" for place in range(3)]
    for path in paths:
        save_file({f"t{n}": torch.randn(50, 30 + n, generator=generator) for n in range(4)}, path)
    return paths


class Heard:
    """Keeps what it is told, and holds every phase to counting from its start to its end."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, str]] = []

    def __call__(self, done: int, whole: int, phase: str) -> None:
        self.told.append((done, whole, phase))

    def phases(self) -> list[tuple[str, int]]:
        """The phases in their order, each with its size; after a check that each goes up and arrives."""
        found = []
        for phase, group in groupby(self.told, key=lambda each: each[2]):
            steps = list(group)
            counts = [done for done, _, _ in steps]
            (whole,) = {whole for _, whole, _ in steps}
            assert counts == sorted(counts) and counts[-1] == whole
            found.append((phase, whole))
        assert len({phase for phase, _ in found}) == len(found)
        return found


@pytest.mark.parametrize("threads", [1, 3])
def test_passes_over_the_model_come_before_the_writing(models: list[Path], tmp_path: Path, threads: int) -> None:
    heard = Heard()
    plan = plan_merge(TIES(density=0.3), models[0], models[1:], tmp_path / "out", threads=threads)
    plan.run(heard)
    *passes, last = heard.phases()
    assert last == (WRITING, plan.bytes_out)
    assert passes and passes == [(f"pass {n + 1} before writing", plan.bytes_in) for n in range(len(passes))]
    # Tensor by tensor, and each pass begins at nothing.
    first = [done for done, _, phase in heard.told if phase == passes[0][0]]
    assert len(first) == 5 and first[0] == 0 and len(set(first)) == 5


@pytest.mark.parametrize("method", [Linear(), TIES(density=0.3, trim="tensor")], ids=repr)
def test_what_looks_at_one_tensor_at_a_time_only_writes(
    models: list[Path], tmp_path: Path, method: MergingMethod
) -> None:
    heard = Heard()
    plan = plan_merge(method, models[0], models[1:], tmp_path / "out")
    plan.run(heard)
    assert heard.phases() == [(WRITING, plan.bytes_out)]


def test_a_merge_that_goes_on_starts_where_it_was(models: list[Path], tmp_path: Path) -> None:
    plan = plan_merge(Linear(), models[0], models[1:], tmp_path / "out", shard_bytes=7000, threads=1)
    first = plan.shards[0].entries[0].bytes

    def cut(done: int, _: int, __: str) -> None:
        if done > first:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plan.run(cut)
    heard = Heard()
    plan.run(heard)
    assert heard.told[0][0] == first and heard.phases() == [(WRITING, plan.bytes_out)]


def test_adapters_tell_of_passes_and_modules(tmp_path: Path) -> None:
    for seed in (5, 6):
        zoo.write_adapter(tmp_path / str(seed), zoo.factors(seed))
    size = 8 * (8 * 8 + 8 * 16)  # of one adapter's changes in float64
    recipe = {"models": [str(tmp_path / name) for name in "56"], "parameters": {"weight": 1}}
    heard = Heard()
    accord.merge({**recipe, "merge_method": "linear"}, tmp_path / "sum", progress=heard)
    assert heard.phases() == [("merging", size)]
    heard = Heard()
    own = {"merge_method": "accord.TIES", "parameters": {"density": 0.5}, "rank": 4}
    accord.merge({**recipe, **own}, tmp_path / "ties", progress=heard)
    *passes, last = heard.phases()
    assert last == ("merging", size) and {whole for _, whole in passes} == {3 * size}  # the base's changes are 0
