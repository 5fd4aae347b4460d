"""Whatever small table and specification come in: it trains, or it explains; nothing else."""

from __future__ import annotations

import warnings
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import accord
from accord.errors import AccordError, NonFiniteLossWarning

NAMES = ["a", "b", "c", "d", "weird name", "ünï", "a=b", "<b>", "target", "", "a/b", "x" * 300, "None", "1"]
TEXT = ["x", "ÿ", "a much longer text, with words", "?", "", "NA", "nan", "\x00", "1e5", "-0", "😀", "2020-01-01", " "]
DATES = ["2020-01-01", "2021-06-30", "1999-12-31", "2020-02-29"]


def column(random: Random, rows: int) -> np.ndarray:
    """Return one column of a random sort, mostly sane."""
    rng = np.random.default_rng(random.getrandbits(32))
    plain = rng.normal(size=rows)
    sorts = {
        "float": plain,
        "sparse": np.where(rng.random(rows) < 0.5, np.nan, plain),
        "huge": plain * 1e30,
        "tiny": plain * 1e-30,
        "infinite": np.where(rng.random(rows) < 0.05, np.inf, plain),
        "int": rng.integers(-5, 50, rows),
        "wide": rng.integers(-(2**53), 2**53, rows),
        "bool": rng.random(rows) < 0.4,
        "code": rng.integers(0, 4, rows),
        "rare": (rng.random(rows) < 0.03).astype(int),
        "text": np.array(TEXT)[rng.integers(0, len(TEXT), rows)],
        "words": np.array([" ".join(random.choices(TEXT, k=6)) for _ in range(rows)] or ["x"])[:rows],
        "category": np.array(["x", "y", "z"])[rng.integers(0, 3, rows)],
        "date": np.array(DATES)[rng.integers(0, len(DATES), rows)],
        "datetime": np.datetime64("2020-01-01") + rng.integers(0, 999, rows).astype("timedelta64[D]"),
        "id": np.arange(rows),
        "constant": np.full(rows, 7.0),
        "missing": np.full(rows, np.nan),
    }
    return sorts[random.choices(list(sorts), weights=[8, 3, 1, 1, 1, 4, 1, 4, 4, 2, 2, 2, 4, 2, 2, 1, 1, 1])[0]]


def options(random: Random) -> dict[str, Any]:
    """Return a few options, now and then wrong ones."""
    choices: dict[str, list[Any]] = {
        "sharing": ["hard_sharing", "mmoe", "ple", "omoe", "mmmoe"],
        "balancing": ["fixed", "uncertainty", "upgrad", "cagrad", "nash_mtl", "pcgrad", "random_loss_weighting", "x"],
        "split": ["random", "random", "stratified", "grouped", "time", "given"],
        "split_column": NAMES[:4],
        "batch_size": [1, 7, 1000],
        "learning_rate": [0.0, 1e-2, 1e30],
        "clip_norm": [0.0, 1.0],
        "schedule": ["cosine", "constant", "linear", "sine"],
        "baselines": [True, False],
        "seeds": [1, 2],
    }
    return {name: random.choice(values) for name, values in choices.items() if random.random() < 0.12}


def attempt(seed: int, out: Path) -> str:
    """Fit one random table; return what happened."""
    random = Random(seed)
    rows = random.choices([0, 1, 2, 5, 20, 60, 150], weights=[1, 1, 1, 1, 2, 6, 6])[0]
    names = random.sample(NAMES, random.randint(1, 6))
    table = {name: column(random, rows) for name in names}
    # One target that can be learned, most of the time, or few tables would get past the first check.
    table["label"] = np.random.default_rng(seed).integers(0, 3, rows) + 0.5
    others = [*names, *(["absent"] if seed % 7 == 0 else [])]
    more = random.choices([0, 1, 2], weights=[4, 2, 1])[0]
    targets = ["label", *random.sample(others, min(more, len(others)))]
    try:
        model = accord.fit(
            table, targets=targets, out=out, **{"epochs": 1, "resamples": 10, "threads": 1, **options(random)}
        )
    except AccordError as error:
        assert str(error).strip()
        return "explained"
    predictions = model.predict(table)
    assert all(len(values) == rows for values in predictions.values())
    assert (out / "report.html").stat().st_size > 0
    return "trained"


def fuzz(seeds: range, place: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A diverging model is allowed to say so; any other warning is a defect.
        warnings.simplefilter("ignore", NonFiniteLossWarning)
        return [attempt(seed, place / str(seed)) for seed in seeds]


def test_it_trains_or_explains(tmp_path: Path) -> None:
    outcomes = fuzz(range(40), tmp_path)
    assert outcomes.count("trained") >= 8, "the fuzz hardly reaches training any more"
    assert outcomes.count("explained") >= 8


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(1, 26))
def test_it_trains_or_explains_at_length(tmp_path: Path, block: int) -> None:
    fuzz(range(40 * block, 40 * block + 40), tmp_path)
