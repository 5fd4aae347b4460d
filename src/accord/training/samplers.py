"""Samplers by name: which of them a run can serve, and how they are built for its data."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from accord.errors import ConfigurationError, suggest
from accord.registry import build, check_params, find, snake
from accord.sampling import PiKE, Sampler, UncertaintyAware, UniMax

# What a specification offers instead of an object.
BANDIT = "exp3"


def offered(name: str) -> type[Sampler]:
    """Return the class of the sampler ``name``.

    Raises:
        ConfigurationError: there is none, or one that a run cannot serve.
    """
    cls = find(name, "sampling")
    if not issubclass(cls, Sampler):
        raise ConfigurationError(f"{snake(cls.__name__)} chooses rows, not tasks: it is for loops of your own")
    if issubclass(cls, UncertaintyAware):
        raise ConfigurationError(
            f"{snake(cls.__name__)} learns from the model's uncertainty on trusted data, which a run does not have: it "
            "is for loops of your own"
        )
    return cls


def check_sampling(
    name: str | None, options: Mapping[str, Any], rows: Mapping[str, Any] | None, tasks: Sequence[str]
) -> None:
    """Raise a :class:`ConfigurationError` where a section ``sampling`` cannot be meant: see ``SamplingSpec``.

    For a task alone nothing is sampled, whatever is asked for, and only names are looked at.
    """
    if name is None:
        if options or rows is not None:
            raise ConfigurationError("sampling has options or rows but no method: name sampling.method")
        return
    check_params(offered(name), options)
    if len(tasks) > 1:
        _check_rows(rows, tasks)
        make_sampler(name, options, sizes=[1] * len(tasks), batch=len(tasks), steps=1, seed=0)


def _check_rows(rows: Mapping[str, Any] | None, tasks: Sequence[str]) -> None:
    if rows is None:
        return
    for name in rows:
        if name not in tasks:
            raise ConfigurationError(f"sampling.rows names {name!r}, which is no task. {suggest(str(name), tasks)}")
    for name in tasks:
        found = rows.get(name)
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            raise ConfigurationError(f"sampling.rows.{name} must be a whole number of at least 1, not {found!r}")


def make_sampler(
    name: str, options: Mapping[str, Any], *, sizes: Sequence[int], batch: int, steps: int, seed: int
) -> Sampler:
    """Build a sampler with what a run knows, and ``options`` over it.

    A bandit that another sampler asks for is given by its name, ``exp3`` if it is not.

    Args:
        name: of the sampler.
        options: of its constructor.
        sizes: ``[T]``, training rows with a label, by task.
        batch: rows of a batch.
        steps: batches of the whole training.
        seed: of the draws.
    """
    cls = offered(name)
    known: dict[str, Any] = {
        "tasks": len(sizes),
        "sizes": list(sizes),
        "weights": [1.0] * len(sizes),
        "horizon": steps,
        "steps": max(1, round(0.9 * steps)),  # of CompetenceCurriculum, whose paper says so
        "seed": seed,
    }
    if issubclass(cls, UniMax | PiKE):  # the former asks for the rows of the whole training
        known["rows"] = batch * steps if issubclass(cls, UniMax) else batch
    takes = inspect.signature(cls).parameters
    given = {**{key: value for key, value in known.items() if key in takes}, **options}
    if "bandit" in takes:
        inner = str(options.get("bandit", BANDIT))
        given["bandit"] = make_sampler(inner, {}, sizes=sizes, batch=batch, steps=steps, seed=seed)
    return build(name, given, rooms=("sampling",), place="sampling.options")
