"""What people call: table in, fitted model out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from accord.comparing import Crew, begin, parse_compare, run_study
from accord.grouping import begin as begin_grouping
from accord.grouping import parse_group
from accord.grouping import run_study as run_grouping
from accord.merging import begin_job, merge_recipe
from accord.reporting import (
    TaskGroups,
    comparison_text,
    verdict_text,
    write_comparison,
    write_front,
    write_grouping,
    write_merge,
    write_report,
)
from accord.steering import FrontRun, open_front, parse_front, run_front
from accord.tasks import Task
from accord.training import ModelParts, Progress, Result, TextChoice, Trained, plan, run
from accord.training.files import read_json
from accord.training.keywords import changes_of


@final
@dataclass(frozen=True)
class Model:
    """A fitted model.

    Attributes:
        trained: the network with its encoders.
        metrics: what is in ``metrics.json``: test metrics, verdict, costs, warnings.
        directory: its run directory.
    """

    trained: Trained
    metrics: Mapping[str, Any]
    directory: Path

    def __str__(self) -> str:
        return verdict_text(self.metrics)

    def predict(self, table: Any, *, query: str | None = None) -> dict[str, np.ndarray]:
        """Return columns of predictions, one row per row of ``table``; see :meth:`accord.training.Trained.predict`."""
        return self.trained.predict(table, query=query)

    def save(self, directory: str | Path) -> Path:
        """Write ``spec.yaml``, ``features.json``, ``model.safetensors``, ``metrics.json`` and the history."""
        target = Path(directory)
        target.mkdir(parents=True, exist_ok=True)
        self.trained.save(target)
        for name in ("metrics.json", "history.parquet"):
            if target.resolve() != self.directory.resolve():
                (target / name).write_bytes((self.directory / name).read_bytes())
        return target

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report (``report.html`` in the run directory by default) and return its path."""
        return write_report(self.directory, path)


def fit(
    table: Any,
    tasks: Sequence[Task] = (),
    *,
    targets: Sequence[str] = (),
    test: Any = None,
    text: TextChoice | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    trunk: Any = None,
    heads: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    trackers: Iterable[str] = (),
    **options: Any,
) -> Model:
    """Train one model for several tasks, compare it with single-task models, and write a run directory.

    Args:
        table: a path, data set name, frame, Arrow table, mapping of arrays, query or connection; see
            :func:`accord.data.open_table`.
        tasks: what to predict.
        targets: columns to predict whose kind is inferred.
        test: a second table that holds the test rows, anything ``table`` may be.
        text: how free text is read: ``"hashed"`` n-grams (the default), the local folder of a Hugging Face model, or
            your own frozen encoder, a function from a list of texts to an array or tensor ``[n, d]``.
        out: the run directory; a temporary one when left out.
        resume: go on with the unfinished run in ``out``.
        trunk: your own module ``[B, D] -> [B, H]`` instead of ``sharing``.
        heads: your own modules ``[B, H] -> [B, width]`` by task name.
        progress: receives news.
        trackers: ``"tensorboard"``, ``"trackio"``, ``"mlflow"``.
        **options: ``sharing``, ``balancing``, ``sampling``, each with ``..._options``, ``sampling_rows``, ``query``,
            ``columns``, ``non_finite``, ``split``, ``split_column``, ``seed``, and every field of
            :class:`accord.training.TrainingSpec` and :class:`accord.training.EvaluationSpec`.

    Returns:
        The fitted model; ``print(model)`` says whether sharing helped.

    Raises:
        ConfigurationError: an unknown option or method.
        DataError: the table or a label cannot be used.
        RunError: ``out`` is taken or cannot be written.
    """
    changes = changes_of("fit", options)
    parts = ModelParts(trunk, heads) if trunk is not None or heads is not None else None
    what = plan(table, tasks=tasks, targets=targets, options=changes, test=test, text=text)
    directory = Path(tempfile.mkdtemp(prefix="accord-")) if out is None else Path(out)
    result = run(what, directory, resume=resume, progress=progress, parts=parts, trackers=trackers)
    return finish(result)


@final
@dataclass(frozen=True)
class MethodComparison:
    """A comparison of methods.

    Attributes:
        results: what is in ``compare.json``; empty where Ctrl-C came first (go on with ``resume=True``).
        directory: where the records are.
    """

    results: Mapping[str, Any]
    directory: Path

    def __str__(self) -> str:
        return comparison_text(self.results)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the page (``compare.html`` in the directory by default) and return its path."""
        return write_comparison(self.directory, path)


def compare(
    table: Any,
    tasks: Sequence[Task] = (),
    *,
    methods: Sequence[str],
    targets: Sequence[str] = (),
    trials: int = 5,
    seeds: int = 5,
    jobs: int = 1,
    storage: str | Path | None = None,
    rate_factor: float = 10.0,
    rope: float = 0.5,
    search: Mapping[str, Any] | None = None,
    test: Any = None,
    text: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> MethodComparison:
    """Compare methods under the same data, budget and tuning effort with tuned plain weights, and write a page.

    Args:
        table: what :func:`fit` takes.
        tasks: what to predict.
        methods: names of methods of weighting, aggregation, sharing and sampling, or several of them joined:
            ``"mmoe+upgrad"``.
        targets: columns to predict whose kind is inferred.
        trials: tuning runs of every method.
        seeds: fresh seeds that the best trial of every method is tested with.
        jobs: runs at a time, each in a process of its own.
        storage: where several machines that share ``out`` agree on who makes which run: a journal file or the address
            of an SQL database. A comparison that is there already is joined.
        rate_factor: learning rates are searched within this factor of ``learning_rate``.
        rope: a difference in the relative gain of this many per cent does not matter.
        search: other ranges than the usual, see :class:`accord.comparing.CompareSpec`.
        test: a second table that holds the test rows.
        text: ``"hashed"`` or the local folder of a Hugging Face model.
        out: the directory; a temporary one when left out.
        resume: go on with the unfinished comparison in ``out``.
        progress: receives news.
        **options: those of :func:`fit` that describe a run.

    Raises:
        ConfigurationError: an unknown option or method.
        DataError: the table or a label cannot be used.
        RunError: ``out`` is taken or cannot be written.
    """
    named = {"methods": tuple(methods), "trials": trials, "seeds": seeds, "rate_factor": rate_factor, "rope": rope}
    crew = Crew(jobs, None if storage is None else str(storage))
    rules = parse_compare({**named, "search": search or {}})
    what = plan(table, tasks=tasks, targets=targets, options=changes_of("compare", options), test=test, text=text)
    directory = Path(tempfile.mkdtemp(prefix="accord-")) if out is None else Path(out)
    study = begin(what, rules, directory, resume=resume or storage is not None)
    outcome = run_study(study, crew, progress=progress)
    if outcome.results is None:
        return MethodComparison({}, directory)
    write_comparison(directory)
    return MethodComparison(outcome.results, directory)


def front(
    table: Any,
    tasks: Sequence[Task] = (),
    *,
    method: str = "cosmos",
    targets: Sequence[str] = (),
    points: int = 0,
    method_options: Mapping[str, Any] | None = None,
    test: Any = None,
    text: TextChoice | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    trackers: Iterable[str] = (),
    **options: Any,
) -> FrontRun:
    """Train a whole front in one run, measure it beside balanced and single-task models, and write a page.

    Args:
        table: what :func:`fit` takes.
        tasks: what to predict.
        method: ``"cosmos"``, ``"pa_lo_ra"``, ``"pa_mal"`` or ``"phn"`` make one steerable model; solvers and
            scalarisations (``"epo"``, ``"linear"``, ...) train one model for each point.
        targets: columns to predict whose kind is inferred.
        points: how many evenly spaced preferences are measured, or trained, at least; 0 is the usual number.
        method_options: the method's constructor arguments.
        test: a second table that holds the test rows.
        text: how free text is read, see :func:`fit`.
        out: the directory; a temporary one when left out.
        resume: go on with the unfinished front in ``out``.
        progress: receives news.
        trackers: mirrors of the history.
        **options: those of :func:`fit` that describe a run.

    Returns:
        The front: :meth:`~accord.steering.FrontRun.evaluate` any preference, get its
        :meth:`~accord.steering.FrontRun.solution`, :meth:`~accord.steering.FrontRun.export` it.

    Raises:
        ConfigurationError: an unknown option or method.
        DataError: the table or a label cannot be used.
        RunError: ``out`` is taken or cannot be written.
    """
    section = parse_front({"method": method, "points": points, "options": dict(method_options or {})})
    what = plan(table, tasks=tasks, targets=targets, options=changes_of("front", options), test=test, text=text)
    directory = Path(tempfile.mkdtemp(prefix="accord-")) if out is None else Path(out)
    result = run_front(what, section, directory, resume=resume, progress=progress, trackers=trackers)
    write_front(result.directory)
    return open_front(result.directory, text=text)


def group(
    table: Any,
    tasks: Sequence[Task] = (),
    *,
    targets: Sequence[str] = (),
    affinity: str = "inter_task_affinity",
    affinity_options: Mapping[str, Any] | None = None,
    partitioner: str = "auto",
    partitioner_options: Mapping[str, Any] | None = None,
    groups: int | None = None,
    compute: float | None = None,
    measure: bool = False,
    seeds: int = 3,
    merged: float = 0.0,
    jobs: int = 1,
    test: Any = None,
    text: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> TaskGroups:
    """Propose which tasks should train together under a budget, and where asked measure what that is worth.

    Args:
        table: what :func:`fit` takes.
        tasks: what to predict.
        targets: columns to predict whose kind is inferred.
        affinity: who helps whom, e.g. ``"data_maps"``; see the room :mod:`accord.grouping`.
        affinity_options: its constructor's arguments.
        partitioner: how groups are made of that; ``"auto"`` is exact up to 12 tasks.
        partitioner_options: its constructor's arguments.
        groups: at most so many encoders.
        compute: instead, at most the compute of so many models of all tasks.
        measure: train the groups, all tasks together, each alone and random groups, and compare them.
        seeds: how often each of them is trained.
        merged: fraction of the epochs that all tasks train together before they are split.
        jobs: runs at a time, each in a process of its own.
        test: a second table that holds the test rows.
        text: ``"hashed"`` or the local folder of a Hugging Face model.
        out: the directory; a temporary one when left out.
        resume: go on with the grouping in ``out``; a proposal may be measured so later.
        progress: receives news.
        **options: those of :func:`fit` that describe a run.

    Raises:
        ConfigurationError: an unknown option or method, or a budget that pays for nothing.
        DataError: the table or a label cannot be used.
        RunError: ``out`` is taken or cannot be written, or a run failed.
    """
    crew = Crew(jobs)
    named = {"groups": groups, "compute": compute, "measure": measure, "seeds": seeds, "merged": merged}
    named |= {"affinity": affinity, "affinity_options": affinity_options or {}}
    rules = parse_group({**named, "partitioner": partitioner, "partitioner_options": partitioner_options or {}})
    what = plan(table, tasks=tasks, targets=targets, options=changes_of("group", options), test=test, text=text)
    directory = Path(tempfile.mkdtemp(prefix="accord-")) if out is None else Path(out)
    study = begin_grouping(what, rules, directory, resume=resume)
    outcome = run_grouping(study, crew, progress=progress)
    if outcome.results is None:
        return TaskGroups({}, directory)
    write_grouping(directory)
    return TaskGroups(outcome.results, directory)


def merge(
    recipe: str | Path | Mapping[str, Any],
    out: str | Path,
    *,
    report: bool = False,
    seed: int | None = None,
    threads: int | None = None,
    memory: int = 600 << 20,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Merge checkpoints, or LoRA adapters, into one, as a recipe says; a merge that was killed goes on where it was.

    Args:
        recipe: a file in mergekit's format, YAML text, or a mapping.
        out: folder of the result; new, empty, or of the same merge when it was killed.
        report: look at the models once more and write ``merge.html`` and ``merge.json`` beside the result.
        seed: of random masks, in place of the recipe's own.
        threads: at most; one per core when left out. The result does not depend on it.
        memory: bytes that the process may take besides the page cache.
        progress: told ``(done, whole, phase)``: bytes, and of what: ``"pass 1 before writing"``, ``"writing"``,
            ``"merging"`` (of adapters), ``"comparing"`` (for the report).

    Returns:
        The folder of the result.

    Raises:
        ConfigurationError: the recipe says something that cannot be.
        DataError: a model is missing or damaged, or they do not fit each other.
        RunError: the folder holds something else, or cannot be written.
    """
    folder = merge_recipe(recipe, out, seed=seed, threads=threads, memory=memory, progress=progress)
    if report:
        job = begin_job(recipe, out, seed=seed, threads=threads, memory=memory)
        write_merge(job.plan(job.recipes[-1]), progress=progress)
    return folder


def finish(result: Result) -> Model:
    """Write the report of a run and return its model."""
    write_report(result.directory)
    return Model(result.trained, result.metrics, result.directory)


def load(
    directory: str | Path,
    *,
    trunk: Any = None,
    heads: Mapping[str, Any] | None = None,
    text: TextChoice | None = None,
) -> Model:
    """Read a run directory back; nothing in it can execute code.

    Args:
        directory: written by :func:`fit`, ``accord fit`` or :meth:`Model.save`.
        trunk: the module the run was trained with, where it was your own.
        heads: likewise.
        text: the text encoder the run was trained with, where it was your own function or its folder has moved.

    Raises:
        RunError: not a run directory, or a damaged one.
        ConfigurationError: free text was read by an encoder that is not there.
    """
    parts = ModelParts(trunk, heads) if trunk is not None or heads is not None else None
    directory = Path(directory)
    return Model(Trained.load(directory, parts, text=text), read_json(directory / "metrics.json"), directory)
