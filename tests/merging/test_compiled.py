"""Compiled loops give the numbers that tensor operations give, whatever they are given."""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from accord.merging import (
    DARE,
    DELLA,
    PCB,
    SLERP,
    TIES,
    Breadcrumbs,
    Linear,
    MergingMethod,
    ModelStock,
    NonFiniteMergeWarning,
    Rules,
    TaskArithmetic,
    compiled,
    engine,
)
from accord.merging.align import align
from accord.merging.at_once import MergesAtOnce
from accord.merging.block import BLOCK, Block
from accord.merging.gramians import GramianSurvey, Vectors
from accord.merging.survey import Survey

needs_library = pytest.mark.skipif(compiled.kernels() is None, reason="no C compiler when Accord was installed")

# bfloat16 numbers of all kinds: few distinct ones, so that there are ties and sums of 0; and what is not finite.
NUMBERS = st.sampled_from(
    [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.0078125, 3.0, 1e-40, 3e38, -3e38, np.inf, -np.inf, np.nan]
)
FINITE = st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.0078125, 3.0, 1e-40, -1e-38, 1e18])


@contextmanager
def with_paths(**paths: Path | tuple[Path, ...]) -> Iterator[None]:
    """Other paths of ``SOURCES`` or ``LIBRARY``, with which nothing compiled is found."""
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
    DARE([0.02, 1.0, 0.7], weights=[1.0, -0.5, 0.7], scale=0.4),
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
    based, models = given_to(method, base, models)
    found = merged(method, based, models)
    with without_library():
        wanted = merged(method, based, models)
    # The sign of a 0, which no later sum depends on, is not compared.
    assert torch.equal(found.nan_to_num(7.0, 8.0, 9.0), wanted.nan_to_num(7.0, 8.0, 9.0)), (found, wanted)


@needs_library
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_blocks_that_are_no_multiple_of_a_vector_give_the_same_bits(method: MergingMethod) -> None:
    base, *models = four(BLOCK + 2 * 13)
    based, models = given_to(method, base, models)
    found = merged(method, based, models)
    with without_library():
        assert torch.equal(found, merged(method, based, models))


def four(length: int, seed: int = 0) -> list[Tensor]:
    """A base and three models near it."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(length, generator=generator).bfloat16()
    return [base, *((base + 0.01 * torch.randn(length, generator=generator)).bfloat16() for _ in range(3))]


def given_to(method: MergingMethod, base: Tensor, models: list[Tensor]) -> tuple[Tensor | None, list[Tensor]]:
    """What a method takes of these."""
    between = isinstance(method, SLERP)
    return None if between or method.base == "unused" else base, models[:2] if between else models


FAST = [method for method in METHODS if isinstance(method, MergesAtOnce) and getattr(method, "merge", "") != "max"]


@needs_library
@pytest.mark.parametrize("method", FAST, ids=repr)
@pytest.mark.parametrize("length", [0, 1, 3, 511, 513, 1056, 2 * 1056 + 257])
def test_stretches_that_end_anywhere_give_the_same_bits(
    method: MergingMethod, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, *every = four(length)
    base, models = given_to(method, whole, every)
    with without_library():
        wanted = merged(method, base, models)
    monkeypatch.setattr(engine, "STRETCH", 1056)  # pieces of 512 that end at no run of 256
    monkeypatch.setattr(engine.Engine, "_merge_blocks", _refused)
    assert torch.equal(merged(method, base, models), wanted)


def _refused(*_: object) -> int:
    raise AssertionError("merged block by block")


@needs_library
@pytest.mark.filterwarnings("ignore::accord.merging.NonFiniteMergeWarning")
@pytest.mark.parametrize("method", FAST, ids=repr)
@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan, 3.3895313892515355e38])
def test_a_stretch_that_is_not_finite_leaves_the_others_as_they_are(
    method: MergingMethod, odd: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last number is the largest of bfloat16, half a step above which there is none."""
    monkeypatch.setattr(engine, "STRETCH", 1056)
    base, *every = four(3 * 1056)
    base[1100], every[0][1200], every[1][1300] = odd, odd, -odd
    for tensor in (base, *every):
        tensor[1500] = odd
    based, models = given_to(method, base, every)
    found = merged(method, based, models)
    with without_library():
        wanted = merged(method, based, models)
    assert torch.equal(found.nan_to_num(7.0, 8.0, 9.0), wanted.nan_to_num(7.0, 8.0, 9.0))


@needs_library
@pytest.mark.parametrize("method", [Linear([1.002], normalise=False), TIES(1.0, scale=1.002)], ids=repr)
def test_numbers_that_are_too_large_once_they_are_rounded_are_told(method: MergingMethod) -> None:
    """Above the largest bfloat16 there are floats that round to infinity."""
    large = torch.full((3,), torch.finfo(torch.bfloat16).max, dtype=torch.bfloat16)
    base, models = given_to(method, torch.zeros_like(large), [large])
    with pytest.warns(NonFiniteMergeWarning, match="3 merged numbers of w"):
        assert merged(method, base, models).isinf().all()


@needs_library
def test_more_models_than_fit_are_merged_block_by_block() -> None:
    generator = torch.Generator().manual_seed(2)
    base, *models = torch.randn(2 + compiled.AT_ONCE, 700, generator=generator).bfloat16().unbind()
    for method in (TIES(0.3, trim="tensor"), DARE(0.5, merge="ties"), TaskArithmetic(0.1), ModelStock()):
        found = merged(method, base, models)
        with without_library():
            assert torch.equal(found, merged(method, base, models))


@needs_library
@pytest.mark.parametrize("vectors", ["models", "all", "deltas"])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_inner_products_are_the_same_to_the_last_bit_and_exact(vectors: Vectors, kind: torch.dtype) -> None:
    stretched = 2.0 ** torch.randint(-9, 6, (4, 2 * 1056 + 45), generator=torch.Generator().manual_seed(4))
    base, *models = ((tensor * more).to(kind) for tensor, more in zip(four(len(stretched[0])), stretched, strict=True))
    if vectors == "deltas":
        for tensor in (base, *models):
            tensor[[5, 1200]] = torch.inf  # the same in all of them, which is no change
    rows = [x.double().numpy() for x in ([base, *models] if vectors == "all" else models)]
    if vectors == "deltas":
        rows = [(model - base).float().nan_to_num(0.0).double().numpy() for model in (x.float() for x in models)]
    exact = np.array([[math.fsum(one * other) for other in rows] for one in rows])

    def found() -> np.ndarray:
        with patch.object(engine, "STRETCH", 1056):
            return GivenGramian(vectors).look(base, models)

    compiled_ones = found()
    with without_library():
        assert np.array_equal(compiled_ones, found())
    np.testing.assert_allclose(compiled_ones, exact, rtol=1e-13, atol=1e-13 * np.abs(exact).max())


class GivenGramian(MergingMethod):
    """Looks at inner products and nothing else."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors: Vectors = vectors

    def survey(self, models: int, elements: int, based: bool) -> Survey:
        return GramianSurvey(models, self.vectors)

    def combine(self, block: Block, found: np.ndarray) -> Tensor:
        self.found = found
        return block.base()

    def look(self, base: Tensor, models: list[Tensor]) -> np.ndarray:
        merged(self, base, models)
        return self.found


@needs_library
@pytest.mark.parametrize("alike", [False, True])
def test_thresholds_of_a_tensor_are_those_of_a_sort(alike: bool) -> None:
    """Of so many numbers a sample is taken first; an infinity that base and model share counts as no change."""
    base, *models = four(300_000, seed=3)
    if alike:  # differences are a few multiples of one number, which lie on the ends of brackets
        base, models = base.fill_(1.0), [(1.0 + torch.randint(-9, 9, base.shape) / 128).bfloat16() for _ in models]
    base[:50] = np.inf
    models[0][:60] = np.inf
    method = TIES([0.2, 0.5, 0.9], trim="tensor")
    entry = align(method, {"w": base}, [{"w": model} for model in models], Rules())
    spans = engine.Engine(1, lambda name, count: None)
    with spans._pool() as pool:
        (found,) = engine.run_all(pool, [(spans._survey_tensor, entry[0])])
    for place, model in enumerate(models):
        sizes = (model.double() - base.double()).abs().nan_to_num(nan=0.0, posinf=np.inf).sort().values
        keeps = (60_000, 150_000, 270_000)[place]
        assert found[place][place] == sizes[-keeps]


@needs_library
@pytest.mark.parametrize("view", ["strided", "offset", "half", "single"])
@pytest.mark.parametrize("method", FAST, ids=repr)
def test_tensors_that_are_no_plain_bfloat16_are_read_right(view: str, method: MergingMethod) -> None:
    generator = torch.Generator().manual_seed(1)
    whole = [torch.randn(64, 6, generator=generator).bfloat16() for _ in range(4)]
    cut = {
        "strided": lambda x: x.T[1:4],
        "offset": lambda x: x.view(-1)[3:77],
        "half": lambda x: x.half(),
        "single": lambda x: x.float(),
    }[view]
    every = [cut(x) for x in whole]
    base, models = given_to(method, every[0], every[1:])
    found = merged(method, base, models)
    with without_library():
        assert torch.equal(found, merged(method, base, models))
    plain = [x.contiguous().double() for x in every]
    summed = plain[0] + 0.3 * sum(model - plain[0] for model in plain[1:])
    if isinstance(method, TaskArithmetic):
        assert torch.allclose(found.double(), summed, rtol=1e-2, atol=1e-2)


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
    for place, source in enumerate(compiled.SOURCES):
        changed = tmp_path / source.name
        changed.write_bytes(source.read_bytes() + b"\n")
        others = compiled.SOURCES[:place], compiled.SOURCES[place + 1 :]
        with with_paths(SOURCES=(*others[0], changed, *others[1])):
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
    sources = [str(source) for source in compiled.SOURCES if source.suffix == ".c"]
    command = ["cc", *flags, "-o", str(tmp_path / "k"), *sources, "-lm"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Callable[..., str]:
    """What an expression over ``hatch_build`` gives in a folder that has the sources alone."""
    root = Path(__file__).parents[2]
    merging = tmp_path / "src" / "accord" / "merging"
    merging.mkdir(parents=True)
    shutil.copy(root / "hatch_build.py", tmp_path)
    for source in compiled.LIBRARY.parent.glob("*.[ch]"):
        shutil.copy(source, merging)
    call = (
        "import sys, types;"
        "plugin = types.ModuleType('hatchling.builders.hooks.plugin.interface');"
        "plugin.BuildHookInterface = object;"
        "sys.modules[plugin.__name__] = plugin;"
        "import hatch_build; print(*({}))"
    )

    def told(expression: str, compiler: str = "cc") -> str:
        environment = {"CC": compiler, "PATH": "/usr/bin:/bin"}
        command = [sys.executable, "-c", call.format(expression)]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout

    return told


def test_an_installation_without_a_compiler_goes_without(installed: Callable[..., str]) -> None:
    expression = "hatch_build.compiled(), hatch_build.LIBRARY.exists()"
    assert installed(expression, "no-such-compiler") == installed(expression, "false") == "False False\n"


def test_the_installation_and_the_library_name_the_same_sources(installed: Callable[..., str]) -> None:
    names = {source.name for source in compiled.SOURCES}
    assert names == {source.name for source in compiled.LIBRARY.parent.glob("*.[ch]")}
    told, *files = installed("hatch_build.fingerprint(), *(source.name for source in hatch_build.SOURCES)").split()
    assert set(files) == names and told.encode() == compiled.fingerprint()


@needs_library
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_what_is_compiled_at_installation_is_taken(installed: Callable[..., str], tmp_path: Path) -> None:
    assert installed("[hatch_build.compiled()]") == "True\n"
    library = ctypes.CDLL(str(tmp_path / "src" / "accord" / "merging" / "kernels.shared"))
    library.accord_source.restype = ctypes.c_char_p
    assert library.accord_source() == compiled.fingerprint()
