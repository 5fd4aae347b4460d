"""Tensors that do not match are handled or refused, by name."""

from __future__ import annotations

import pytest
import torch

from accord.errors import DataError
from accord.merging import DARE, Linear, Rules, TaskArithmetic


def state(**tensors):
    return {name: torch.as_tensor(value) for name, value in tensors.items()}


BASE = state(w=[[1.0, 2.0]], head=[3.0])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (state(w=[[1.0, 2.0]]), "lacks head"),
        (state(w=[[1.0, 2.0]], head=[3.0], probe=[1.0]), "has probe"),
        (state(w=[[1.0, 2.0], [3.0, 4.0]], head=[3.0]), r"w is \[2, 2\] in checkpoint 1 and \[1, 2\].*vocabularies"),
        (state(w=[1.0, 2.0], head=[3.0]), "not siblings"),
        (
            state(**{"_orig_mod.w": [[1.0, 2.0]], "_orig_mod.head": [3.0]}),
            "put '_orig_mod.' in front when it was saved",
        ),
        (state(**{"net.w": [[1.0, 2.0]], "net.head": [3.0], "net.x": [1.0]}), "lacks w, head, which"),
        (state(w=torch.tensor([[1, 2]]), head=[3.0]), "int64"),
    ],
)
def test_refused(model, message):
    with pytest.raises(DataError, match=message):
        TaskArithmetic()(BASE, [model])


def test_missing_tensors_stay_as_the_base_has_them_if_asked():
    merged = TaskArithmetic(1.0)(BASE, [state(w=[[5.0, 6.0]])], rules=Rules(missing="base"))
    assert merged["head"].item() == 3.0 and merged["w"].tolist() == [[5.0, 6.0]]
    with pytest.raises(DataError, match="lacks head"):  # without a base there is nothing to stay at
        Linear()(None, [BASE, state(w=[[5.0, 6.0]])], rules=Rules(missing="base"))


def test_extra_tensors_are_left_out_if_asked():
    merged = TaskArithmetic(1.0)(state(w=[[1.0, 2.0]]), [BASE], rules=Rules(extra="drop"))
    assert list(merged) == ["w"]


def test_counters_come_from_the_base_and_quantised_arrays_are_refused():
    base, model = state(n=5, ids=[0, 1]), state(n=9, ids=[0, 1])
    assert TaskArithmetic()(base, [model])["n"].item() == 5
    with pytest.raises(DataError, match=r"ids is int64 and differs.*[Qq]uantised"):
        TaskArithmetic()(base, [state(n=5, ids=[0, 2])])


def test_dtypes_may_be_mixed_and_the_base_decides():
    base, model = state(w=[1.0, 2.0]), {"w": torch.tensor([3.0, 4.0], dtype=torch.bfloat16)}
    merged = TaskArithmetic(0.5)(base, [model])["w"]
    assert merged.dtype == torch.float32 and merged.tolist() == [2.0, 3.0]


def test_tied_matrices_stay_one_and_share_their_mask():
    shared = torch.randn(50, 40)
    base = {"embed": shared, "head": shared}
    tuned = shared + 1.0
    merged = DARE(0.5)(base, [{"embed": tuned, "head": tuned.clone()}])
    assert merged["embed"].data_ptr() == merged["head"].data_ptr()
    # stored once in one checkpoint and twice in another
    assert torch.equal(DARE(0.5)(base, [{"embed": tuned}])["head"], merged["embed"])
    apart = DARE(0.5)(base, [{"embed": tuned, "head": tuned + 1.0}])
    assert not torch.equal(apart["embed"], apart["head"])


def test_matrices_that_only_start_alike_are_not_tied():
    first = torch.zeros(8, 8)
    second = first.clone()
    second[-1, -1] = 1.0
    merged = TaskArithmetic(1.0)({"a": first, "b": second}, [{"a": first, "b": second}])
    assert torch.equal(merged["b"], second) and torch.equal(merged["a"], first)
