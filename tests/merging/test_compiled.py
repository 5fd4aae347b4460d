"""Compiled loops give the numbers that tensor operations give, whatever they are given."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from accord.merging import DARE, DELLA, PCB, SLERP, TIES, Breadcrumbs, Linear, MergingMethod, TaskArithmetic, compiled
from accord.merging.block import BLOCK

needs_library = pytest.mark.skipif(compiled.kernels() is None, reason="no C compiler when Accord was installed")

# bfloat16 numbers of all kinds: few distinct ones, so that there are ties and sums of 0; and what is not finite.
NUMBERS = st.sampled_from(
    [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.0078125, 3.0, 1e-40, 3e38, -3e38, np.inf, -np.inf, np.nan]
)
FINITE = st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.0078125, 3.0, 1e-40, -1e-38, 1e18])


@contextmanager
def with_paths(**paths: Path) -> Iterator[None]:
    """Other paths of ``SOURCE`` or ``LIBRARY``, with which nothing compiled is found."""
    before = {name: getattr(compiled, name) for name in paths}
    try:
        for name, path in paths.items():
            setattr(compiled, name, path)
        compiled.kernels.cache_clear()
        assert compiled.kernels() is None
        yield
    finally:
        for name, path in before.items():
            setattr(compiled, name, path)
        compiled.kernels.cache_clear()


def without_library() -> AbstractContextManager[None]:
    """Nothing is compiled."""
    return with_paths(LIBRARY=Path("nowhere"))


def merged(method: MergingMethod, base: Tensor | None, models: list[Tensor]) -> Tensor:
    return method(None if base is None else {"w": base}, [{"w": model} for model in models])["w"]


METHODS = [
    Linear(),
    TaskArithmetic(0.3),
    SLERP(0.3),
    TIES(0.2),
    TIES(0.5, trim="tensor", merge="sum", weights=[0.3, 1.0, -0.5], draw="positive"),
    TIES(0.3, weights=[0.7, 0.2, 0.5], rescale=True),
    TIES([0.2, 1.0, 0.6], merge="max"),
    DARE(0.4, merge="ties"),
    DARE(0.4, merge="ties_sum", weights=0.3),
    DELLA(0.4),
    Breadcrumbs(0.7, 0.05),
    PCB(),
]


@needs_library
@pytest.mark.filterwarnings("ignore::accord.merging.NonFiniteMergeWarning")
@pytest.mark.parametrize("method", METHODS, ids=repr)
@settings(max_examples=15, deadline=None)
@given(data=st.data(), length=st.integers(1, 40), finite=st.booleans())
def test_methods_give_the_same_bits(method: MergingMethod, data: st.DataObject, length: int, finite: bool) -> None:
    kinds = FINITE if finite else NUMBERS
    rows = data.draw(st.lists(st.lists(kinds, min_size=length, max_size=length), min_size=4, max_size=4))
    base, *models = torch.tensor(rows).bfloat16().unbind()
    count = 2 if isinstance(method, SLERP) else 3
    based = base if method.base != "unused" and not isinstance(method, SLERP) else None
    found = merged(method, based, models[:count])
    with without_library():
        wanted = merged(method, based, models[:count])
    # The sign of a 0, which no later sum depends on, is not compared.
    assert torch.equal(found.nan_to_num(7.0, 8.0, 9.0), wanted.nan_to_num(7.0, 8.0, 9.0)), (found, wanted)


@needs_library
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_blocks_that_are_no_multiple_of_a_vector_give_the_same_bits(method: MergingMethod) -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(BLOCK + 2 * 13, generator=generator).bfloat16()
    models = [(base + 0.01 * torch.randn(len(base), generator=generator)).bfloat16() for _ in range(3)]
    count = 2 if isinstance(method, SLERP) else 3
    based = base if method.base != "unused" and not isinstance(method, SLERP) else None
    found = merged(method, based, models[:count])
    with without_library():
        assert torch.equal(found, merged(method, based, models[:count]))


@needs_library
@pytest.mark.parametrize("view", ["strided", "offset", "half", "single"])
def test_tensors_that_are_no_plain_bfloat16_are_read_right(view: str) -> None:
    generator = torch.Generator().manual_seed(1)
    whole = [torch.randn(64, 6, generator=generator).bfloat16() for _ in range(4)]
    cut = {
        "strided": lambda x: x.T[1:4],
        "offset": lambda x: x.view(-1)[3:77],
        "half": lambda x: x.half(),
        "single": lambda x: x.float(),
    }[view]
    base, *models = (cut(x) for x in whole)
    plain = [x.contiguous().double() for x in (base, *models)]
    summed = plain[0] + 0.3 * sum(model - plain[0] for model in plain[1:])
    assert torch.allclose(merged(TaskArithmetic(0.3), base, models).double(), summed, rtol=1e-2, atol=1e-2)
    found = merged(TIES(0.4), base, models)
    with without_library():
        assert torch.equal(found, merged(TIES(0.4), base, models))


@needs_library
@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, np.inf, np.nan]), max_size=70),
    bounds=st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, np.inf]), min_size=2, max_size=2).map(sorted),
)
def test_a_tally_counts_what_numpy_counts(numbers: list[float], bounds: list[float]) -> None:
    low, high = bounds
    loops = compiled.kernels()
    assert loops is not None
    array = np.array(numbers, np.float32)
    found = loops.tally(torch.from_numpy(array), low, high, torch.empty(len(array)))
    between = array[(array > low) & (array < high)]
    assert found[:3] == (int((array > high).sum()), int((array == high).sum()), int((array == low).sum()))
    assert found[3].tolist() == between.tolist()


@needs_library
def test_a_library_of_another_source_is_not_used(tmp_path: Path) -> None:
    changed = tmp_path / "kernels.c"
    changed.write_bytes(compiled.SOURCE.read_bytes() + b"\n")
    with with_paths(SOURCE=changed):
        assert compiled.kernels() is None


def test_a_file_that_is_no_library_is_not_used(tmp_path: Path) -> None:
    broken = tmp_path / "kernels.shared"
    broken.write_bytes(b"no library")
    with pytest.raises(OSError, match="kernels"):
        ctypes.CDLL(str(broken))
    with with_paths(LIBRARY=broken):
        assert compiled.kernels() is None


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_source_compiles_without_a_warning(tmp_path: Path) -> None:
    flags = ["-O1", "-Wall", "-Wextra", "-Wno-psabi", "-Werror", "-fPIC", "-shared", '-DSOURCE="x"']
    command = ["cc", *flags, "-o", str(tmp_path / "k"), str(compiled.SOURCE), "-lm"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_installation_without_a_compiler_goes_without(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    merging = tmp_path / "src" / "accord" / "merging"
    merging.mkdir(parents=True)
    shutil.copy(root / "hatch_build.py", tmp_path)
    shutil.copy(compiled.SOURCE, merging)
    call = (
        "import sys, types;"
        "plugin = types.ModuleType('hatchling.builders.hooks.plugin.interface');"
        "plugin.BuildHookInterface = object;"
        "sys.modules[plugin.__name__] = plugin;"
        "import hatch_build; print(hatch_build.compiled(), hatch_build.LIBRARY.exists())"
    )

    def told(compiler: str) -> str:
        environment = {"CC": compiler, "PATH": "/usr/bin:/bin"}
        command = [sys.executable, "-c", call]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout

    assert told("no-such-compiler") == told("false") == "False False\n"
    if shutil.which("cc") is not None and compiled.kernels() is not None:
        assert told("cc") == "True True\n"
