"""What is known to go wrong in mergekit 0.1.5, FusionBench 0.2.33 and peft 0.21.2 does not go wrong here.

They were run or read and their faults written down; each has a test, here or where it belongs.

mergekit
 1. task arithmetic of bfloat16 in bfloat16, 9 % of the entries wrong: ``test_methods.py``:
    ``test_half_precision_is_computed_in_float32_and_rounded_once``; every method: ``test_arithmetic_is_wider_than_*``
 2. DARE restores a norm instead of dividing by the density: ``test_methods.py``: ``test_dare_divides_by_*``
 3. DARE of task vectors that are sparse already decays: ``test_dare_of_a_sparse_task_vector_keeps_its_mean``
 4. masks that depend on what was drawn before: ``test_methods.py``: ``test_masks_depend_on_seed_model_and_name_alone``,
    ``test_masks.py``, ``test_files.py::test_threads_change_nothing``
 5. trimming per tensor only, and none unless a density is set: ``test_methods.py``: ``test_ranks_span_*``;
    ``test_the_papers_density_is_the_default``
 6. vocabularies cut to the smaller one without a word: ``test_align.py::test_refused``, ``test_vocabulary.py``
 7. classifiers, embedding models and plain PyTorch modules refused: ``test_any_module_can_be_merged``
 8. a merged copy of the whole model for every adapter: ``test_adapters.py``; an adapter from adapters:
    ``test_adapters.py::test_a_recipe_of_adapters_makes_an_adapter``
 9. 1.5 GB of anonymous memory, not known before: ``test_files.py``: ``test_the_peak_of_memory_is_the_one_foretold``
10. seconds of imports before the first message: ``tests/cli/test_merge.py``: ``test_merging_imports_no_transformers_*``
11. a killed merge starts again and a partial one looks whole: ``test_robustness.py``
12. a tied head that one checkpoint stores and another does not: ``test_align.py``: ``test_tied_matrices_*``
13. infinities, as of masks, become NaN: ``test_infinities_that_all_share_stay``
14. signs that cancel are taken for positive ones: ``test_methods.py``:
    ``test_opposite_entries_leave_the_base_or_count_as_positive``
15. a mean over models of negative weight is divided by the signed sum of the weights, which may be 0:
    ``test_a_mean_with_negative_weights_stays_within_its_models``
16. Model Stock leads away from models that oppose each other: ``test_models_that_oppose_each_other_leave_the_base``
17. arcee-style fusion looks at a sample of large tensors: ``test_arcee_fusion.py``:
    ``test_order_statistics_are_those_of_a_sort``
18. SCE counts the share of the entries that differ, not of all: ``test_sce.py``: ``test_against_arrays``
19. a full or read-only disk, and shards that are damaged, end in tracebacks: ``test_robustness.py``

FusionBench
 1. trimming keeps one entry too many, and crashes where it should keep one or all:
    ``test_trimming_keeps_exactly_as_many_as_it_says``
 2. a threshold of 0 where most entries are 0: ``test_trimming_a_sparse_task_vector``
 3. out of memory at eight times the input: ``test_files.py``: ``test_the_peak_of_memory_is_the_one_foretold``
 4. TALL masks compare task vectors with weights: ``test_masked.py``: ``test_masks_compare_task_vectors_*``
 5. embeddings of other sizes crash inside the arithmetic: ``test_align.py::test_refused``
 6. coefficients of AdaMerging leave [0, 1]: ``test_learned_merging.py``:
    ``test_adamerging_lowers_the_entropy_and_keeps_its_bounds``

peft
 1. factors averaged in place of products, with cross terms: ``test_adapters.py``:
    ``test_a_sum_of_adapters_is_exact_and_no_average_of_factors``
 2. wrong with rsLoRA, DoRA, rank patterns, biases: ``test_adapters.py``: ``test_scales_as_peft_has_them``,
    ``test_dora_gives_rows_their_length``, ``test_what_is_no_product_is_refused_by_name``; what comes out is read again:
    ``test_a_recipe_of_adapters_makes_an_adapter``
 3. TIES, DARE and pruning of the two factors apart: ``test_adapters.py``: ``test_other_methods_see_the_products``,
    ``test_ranks_span_the_changes_of_all_modules``

Papers' own code
 1. soups of adapters that average factors: ``test_adapters.py``: ``test_soups_of_adapters_mix_their_products``
 2. DARE after TIES instead of before it: ``test_dare_drops_before_signs_are_elected``
 3. a maximum over all task vectors, not those that agree (EMR): ``test_masked.py``: ``test_emr_by_hand``
 4. directions without strength filled up at random (TSV-Merge, Iso): ``test_matrices.py``:
    ``test_tasks_on_one_axis_by_hand``
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from accord.merging import DARE, SLERP, TIES, Linear, ModelStock, TaskArithmetic


def one(values):
    return {"w": torch.as_tensor(values)}


def test_every_test_that_is_named_above_is_there():
    files = list(Path(__file__).parents[1].rglob("test_*.py"))
    text, known = "\n".join(path.read_text("utf-8") for path in files), {path.stem for path in files}
    assert __doc__ is not None
    for name, star in re.findall(r"\b(test_[a-z0-9_]+)(\*?)", __doc__):
        assert name in known or re.search(rf"def {name}" if star else rf"def {name}\(", text), name


@pytest.mark.parametrize("method", [TaskArithmetic(0.3137), TIES(0.7), DARE(0.5), DARE(0.5, merge="ties")], ids=repr)
def test_arithmetic_is_wider_than_what_is_stored(method):
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(40_000, generator=generator).bfloat16()
    models = [(base + 0.02 * torch.randn(40_000, generator=generator)).bfloat16() for _ in range(3)]
    merged = method(one(base), [one(model) for model in models])["w"]
    exact = method(one(base.double()), [one(model.double()) for model in models])["w"]
    assert (merged != exact.bfloat16()).float().mean() < 0.002


def test_dare_of_a_sparse_task_vector_keeps_its_mean():
    size, rounds = 4000, 60
    sparse = torch.zeros(size)
    sparse[::20] = torch.randn(size // 20, generator=torch.Generator().manual_seed(0))
    total = sum(DARE(0.1, seed=seed)(one(torch.zeros(size)), [one(sparse)])["w"] for seed in range(rounds))
    share = (total / rounds * sparse).sum() / (sparse * sparse).sum()
    fourth = (sparse**4).sum().sqrt() / (sparse * sparse).sum()
    assert abs(share - 1) < 5 * 3 * fourth / rounds**0.5  # each entry has the deviation sqrt(1 / 0.1 - 1) = 3
    assert not total[sparse == 0].any()


def test_dare_drops_before_signs_are_elected():
    """The one negative entry wins wherever both positive ones were dropped, as it never could the other way round."""
    size = 4000
    models = [one(torch.full((size,), value)) for value in (1.0, 1.0, -1.5)]
    merged = DARE(0.5, merge="ties")(one(torch.zeros(size)), models)["w"]
    alone, against_one, none = (
        (merged == -3.0).float().mean(),
        (merged > 0).float().mean(),
        (merged == 0).float().mean(),
    )
    # -3 is elected against nobody or against one 2: half of the places, in three quarters of them.
    assert abs(alone - 3 / 8) < 0.03 and abs(none - 1 / 8) < 0.03 and abs(against_one - 1 / 2) < 0.03


def test_the_papers_density_is_the_default():
    assert TIES().density == 0.2 and TIES().trim == "model"
    assert DARE().density == 0.1


def test_any_module_can_be_merged():
    def made(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.GRU(4, 5), nn.Embedding(7, 2))

    base, models = made(0), [made(1), made(2)]
    base.load_state_dict(TaskArithmetic(0.5)(base, models))
    for name, tensor in base.state_dict().items():
        if tensor.is_floating_point():
            mean = sum(model.state_dict()[name].double() for model in models) / 2
            torch.testing.assert_close(tensor.double(), mean, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("method", [Linear(), TaskArithmetic(), TIES(), DARE(), SLERP()], ids=repr)
def test_infinities_that_all_share_stay(method):
    base = torch.tensor([1.0, -torch.inf, torch.inf, 2.0])
    models = [torch.tensor([2.0, -torch.inf, torch.inf, 0.0]), torch.tensor([3.0, -torch.inf, torch.inf, 1.0])]
    merged = method(None if isinstance(method, SLERP) else one(base), [one(model) for model in models])["w"]
    assert merged[1] == -torch.inf and merged[2] == torch.inf and torch.isfinite(merged[[0, 3]]).all()


@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 400), percent=st.integers(1, 100), scope=st.sampled_from(["model", "tensor"]))
def test_trimming_keeps_exactly_as_many_as_it_says(size, percent, scope):
    values = np.random.default_rng(size).permutation(size).astype(np.float32) + 1.0
    merged = TIES(percent / 100, trim=scope)(one(np.zeros(size, np.float32)), [one(values)])["w"].numpy()
    kept = max(1, percent * size // 100)
    assert np.count_nonzero(merged) == kept
    assert set(merged[merged != 0]) == set(np.sort(values)[size - kept :])


def test_trimming_a_sparse_task_vector():
    """With fewer entries than the density keeps, all of them stay, and zeros do not count in the mean."""
    sparse, other = torch.zeros(100), torch.zeros(100)
    sparse[:5], other[3:9] = torch.arange(1.0, 6.0), 10.0
    merged = TIES(0.2)(one(torch.zeros(100)), [one(sparse), one(other)])["w"]
    assert merged[:9].tolist() == [1.0, 2.0, 3.0, 7.0, 7.5, 10.0, 10.0, 10.0, 10.0]
    assert not merged[9:].any()


def test_a_mean_with_negative_weights_stays_within_its_models():
    """Two models agree once the second one's weight has turned it; the signed sum of the weights would be 0."""
    models = [one([3.0, 2.0]), one([-1.0, 5.0])]
    merged = TIES(1.0, weights=[1.0, -1.0])(one([0.0, 0.0]), models)["w"]
    # weighted: (3, 2) and (1, -5): means 2 and, of the one that is elected, -5
    assert merged.tolist() == [2.0, -5.0]
    uneven = TIES(1.0, weights=[1.0, -3.0])(one([0.0, 0.0]), models)["w"]
    assert uneven.tolist() == pytest.approx([(3.0 + 3.0) / 4.0, -15.0 / 3.0])


def test_models_that_oppose_each_other_leave_the_base():
    """The formula's ratio at a cosine of -1/2 is -2: two steps from the base away from both models."""
    base, models = one([1.0, 1.0]), [one([2.0, 1.0]), one([0.5, 1.0 + 0.75**0.5])]
    assert ModelStock()(base, models)["w"].tolist() == [1.0, 1.0]
