"""Inner products at any scale, against exact arithmetic in Python's integers-of-any-size floats."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.engines._products import COLUMNS, products

ROWS = st.integers(1, 5)
SCALES = st.sampled_from([1e-30, 1e-20, 1e-10, 1.0, 1e10, 1e20, 1e30])
ENTRY = st.floats(-1, 1, width=16)


@st.composite
def jacobians(draw):
    count = draw(ROWS)
    widths = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    scales = [draw(SCALES) if draw(st.booleans()) else 0.0 for _ in range(count)]
    table = [[draw(ENTRY) * scale for _ in range(sum(widths))] for scale in scales]
    whole = torch.tensor(table, dtype=torch.float32).reshape(count, sum(widths))
    return list(whole.split(widths, dim=1)), whole


@given(jacobians())
@settings(max_examples=150)
def test_products_are_right_at_every_scale(case):
    blocks, whole = case
    found = products(blocks, torch.ones(len(whole), dtype=torch.bool))
    rows = [[Fraction(value) for value in row] for row in whole.tolist()]
    norms = [float(sum((v * v for v in row), Fraction(0))) ** 0.5 for row in rows]
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            exact = float(sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0)))
            assert abs(found[i, j].item() - exact) <= 1e-5 * norms[i] * norms[j]


@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_a_bad_row_marks_itself_only(bad):
    rows = torch.tensor([[1.0, 2.0], [bad, 1.0], [3.0, 0.0]])
    found = products([rows], torch.ones(3, dtype=torch.bool))
    assert found.diagonal().isfinite().tolist() == [True, False, True]
    assert found[0, 2] == 3.0


def test_the_result_does_not_depend_on_the_blocks():
    rows = torch.randn(4, 30)
    active = torch.ones(4, dtype=torch.bool)
    torch.testing.assert_close(
        products([rows], active), products(list(rows.split(7, dim=1)), active), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rows_are_multiplied_in_single(dtype):
    rows = torch.randn(3, 1000).to(dtype)
    exact = rows.double() @ rows.double().T
    torch.testing.assert_close(products([rows], torch.ones(3, dtype=torch.bool)), exact, rtol=1e-5, atol=1e-3)


def test_rows_of_double_precision_keep_it():
    rows = torch.tensor([[1e-120, 0.0], [1e120, 1e120]], dtype=torch.float64)
    found = products([rows], torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close(
        found, torch.tensor([[1e-240, 1.0], [1.0, 2e240]], dtype=torch.float64), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("count", [63, 64, 65])
@pytest.mark.parametrize("width", [5, 2 * COLUMNS, 2 * COLUMNS + 3])
def test_many_rows_of_any_width(count, width):
    rows = torch.randn(count, width, generator=torch.Generator().manual_seed(count))
    found, exact = products([rows]), rows.double() @ rows.double().T
    torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-3 * width**0.5)
