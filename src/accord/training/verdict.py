"""Did sharing help? Joint against single-task models: same budget, same test rows, intervals, plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from accord.tasks import Metric, Scorer

Outcome = Literal["helped", "hurt", "no clear difference"]
Array = np.ndarray[Any, np.dtype[Any]]

# Rows times resamples that a verdict may touch per prediction; beyond it fewer resamples are drawn (never under 200).
MAX_DRAWS = 2e8
CHUNK = 4_000_000


@dataclass(frozen=True)
class Contest:
    """One task's primary metric for both sides.

    Attributes:
        task: its name.
        metric: what both are judged by.
        joint: one function of row weights ``[R, N]`` to values ``[R]`` per seed.
        single: the same for the single-task models.
    """

    task: str
    metric: Metric
    joint: Sequence[Scorer]
    single: Sequence[Scorer]

    @property
    def sign(self) -> float:
        """1 where more is better, else -1."""
        return 1.0 if self.metric.higher_is_better else -1.0


@dataclass(frozen=True)
class Comparison:
    """The answer for one task; ``difference``, ``low`` and ``high`` are signed so that positive is better."""

    task: str
    metric: str
    joint: float
    single: float
    difference: float
    low: float
    high: float
    outcome: Outcome
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """All answers, and delta-m: the mean relative gain over the single-task models, in per cent."""

    delta_m: dict[str, float]
    tasks: tuple[Comparison, ...]
    resamples: int


def resampled_counts(rows: int, resamples: int, rng: np.random.Generator) -> Iterator[Array]:
    """Yield chunks ``[r, rows]`` of how often each row is drawn, as scorers like them; every line sums to ``rows``.

    They are float32 as long as that counts all rows exactly.
    """
    per_chunk = max(1, min(resamples, CHUNK // max(1, rows)))
    kind = np.float32 if rows < 2**24 else np.float64
    for start in range(0, resamples, per_chunk):
        chunk = np.empty((min(per_chunk, resamples - start), rows), kind)
        for line in chunk:
            line[:] = np.bincount(rng.integers(0, rows, rows), minlength=rows)
        yield np.asfortranarray(chunk)


def judge(contests: Sequence[Contest], *, rows: int, resamples: int, confidence: float, seed: int = 0) -> Verdict:
    """Compare both sides of every contest.

    Each resample draws test rows with replacement, the same ones for every task, side and seed (a paired bootstrap),
    and, where there are several seeds, also draws seeds with replacement, so that the interval covers both sources of
    luck. Intervals are percentile intervals of the mean over seeds.

    Args:
        contests: one per task.
        rows: number of test rows ``N``.
        resamples: ``R``; reduced for very large test sets, see ``MAX_DRAWS``.
        confidence: coverage, e.g. 0.95.
        seed: of the resampling.
    """
    resamples = int(min(resamples, max(200, MAX_DRAWS // max(1, rows))))
    sides = [*(contest.joint for contest in contests), *(contest.single for contest in contests)]
    found = replicates(sides, rows, resamples, np.random.default_rng(seed))
    joint, single = found[: len(contests)], found[len(contests) :]
    answers = [_compare(c, joint[i], single[i], rows, confidence) for i, c in enumerate(contests)]
    return Verdict(_delta_m(contests, joint, single, answers, confidence), tuple(answers), resamples)


def replicates(models: Sequence[Sequence[Scorer]], rows: int, resamples: int, rng: np.random.Generator) -> list[Array]:
    """Return per model its metric ``[R]`` in resamples that are the same for all models.

    Args:
        models: one scorer per seed each; all have the same seeds in the same order.
        rows: number of test rows ``N``.
        resamples: ``R``: draws of rows and, where there are several, of seeds, over which the metric is averaged.
        rng: of the draws.
    """
    seeds = len(models[0])
    picks = rng.integers(0, seeds, (resamples, seeds))
    parts: list[list[Array]] = [[] for _ in models]
    for counts in resampled_counts(rows, resamples, rng):
        for found, model in zip(parts, models, strict=True):
            found.append(np.stack([score(counts) for score in model], axis=1))
    return [np.take_along_axis(np.concatenate(found), picks, 1).mean(1) for found in parts]


def _compare(contest: Contest, joint: Array, single: Array, rows: int, confidence: float) -> Comparison:
    ones = np.ones((1, rows))
    points = [float(np.mean([score(ones)[0] for score in side])) for side in (contest.joint, contest.single)]
    difference = contest.sign * (points[0] - points[1])
    low, high = interval(contest.sign * (joint - single), confidence)
    outcome: Outcome = "helped" if low > 0 else "hurt" if high < 0 else "no clear difference"
    words = sentence(contest, difference, low, high, outcome)
    joint_point, single_point = points
    return Comparison(
        contest.task, contest.metric.name, joint_point, single_point, difference, low, high, outcome, words
    )


def interval(values: Array, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of the finite ``values``; NaN bounds when there are none."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def sentence(contest: Contest, difference: float, low: float, high: float, outcome: Outcome) -> str:
    """Return the answer in words, in the metric's own direction and unit."""
    bounds = sorted((contest.sign * low, contest.sign * high))
    what = contest.metric.words(contest.sign * difference, *bounds)
    opening = {
        "helped": f"Sharing helped {contest.task}",
        "hurt": f"Sharing hurt {contest.task}",
        "no clear difference": f"Sharing made no clear difference to {contest.task}",
    }[outcome]
    return f"{opening}: {what}{'' if contest.metric.higher_is_better else ' (lower is better)'}."


def _delta_m(
    contests: Sequence[Contest],
    joint: Sequence[Array],
    single: Sequence[Array],
    answers: Sequence[Comparison],
    confidence: float,
) -> dict[str, float]:
    pairs = zip(contests, answers, strict=True)
    points = [c.sign * _gain(np.asarray(a.joint), np.asarray(a.single)) for c, a in pairs]
    lines = [c.sign * _gain(j, s) for c, j, s in zip(contests, joint, single, strict=True)]
    low, high = interval(np.mean(lines, axis=0), confidence)
    return {"value": float(np.mean(points)), "low": low, "high": high}


def _gain(joint: Array, single: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100.0 * (joint - single) / np.abs(single)


def paragraph(verdict: Verdict, *, seeds: int, rows: int, confidence: float, cost: Mapping[str, Any]) -> str:
    """Return the honest summary: what was compared, what came out, what it cost, and what the interval covers."""
    count = len(verdict.tasks)
    tally = {o: sum(t.outcome == o for t in verdict.tasks) for o in ("helped", "hurt", "no clear difference")}
    d = verdict.delta_m
    times = cost["joint"]["seconds"] / max(cost["single"]["seconds"], 1e-9)
    seeds_words = f"{seeds} seeds" if seeds > 1 else "one seed"
    luck = (
        f"The {100 * confidence:.0f} % intervals cover the luck of the test rows and of the seeds."
        if seeds > 1
        else f"The {100 * confidence:.0f} % intervals cover the luck of the test rows only, not that of the seed: "
        "train with several seeds before you rely on a small difference."
    )
    return (
        f"One joint model against {count} single-task models of the same architecture and training budget, "
        f"{seeds_words}, {rows:,} test rows: sharing helped {tally['helped']} of {count} tasks, hurt {tally['hurt']}, "
        f"and made no clear difference to {tally['no clear difference']}. "
        f"Mean relative gain (delta-m): {d['value']:+.2f} % [{d['low']:.2f}, {d['high']:.2f}]. "
        f"The joint model took {times:.2f} times the training time of the single-task models together. {luck}"
    )
