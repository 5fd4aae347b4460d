"""``group.json``: who helps whom, which groups follow, what they are predicted to gain, and what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import torch

from accord import __version__
from accord.grouping.agglomerative import linkage
from accord.grouping.partition import Array, Budget, Partition
from accord.grouping.shuffled import shuffled
from accord.grouping.spec import pick
from accord.grouping.study import GroupStudy
from accord.grouping.words import paragraph
from accord.grouping.write_specs import FOLDER
from accord.registry import snake
from accord.training.environment import describe
from accord.training.prepare import Prepared
from accord.training.results import describe_task
from accord.training.strict import encode

if TYPE_CHECKING:
    from accord.grouping.measured import Measured

DRAWS = 200


@dataclass(frozen=True)
class Proposal:
    """What follows from the affinity.

    Attributes:
        matrix: ``[T, T]`` as the affinity gives it.
        helps: the same less what is neutral, 0 on the diagonal and where unknown.
        neutral: see :class:`accord.grouping.Affinity`.
        budget: what groups may cost.
        partition: the groups.
        together: one group of all tasks, for its predicted gains.
        seconds: that the runs took which the affinity went by.
    """

    matrix: Array
    helps: Array
    neutral: float | None
    budget: Budget
    partition: Partition
    together: Partition
    seconds: float


def collect(
    study: GroupStudy,
    prepared: Prepared,
    proposal: Proposal,
    measured: Measured | None,
    device: torch.device,
    effort: Mapping[str, Any],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return the content of ``group.json`` (see docs/design.md)."""
    found: dict[str, Any] = {
        "accord": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "group": encode(study.group),
        "tasks": [describe_task(encoder) for encoder in prepared.objectives.encoders],
        "rows": {name: len(rows) for name, rows in prepared.parts.items()},
        "confidence": study.spec.evaluation.confidence,
        "affinity": _affinity(study, proposal),
        "partitioner": study.group.partitioner_name(len(study.names)),
        "budget": _budget(study, proposal),
        "groups": _groups(study, proposal),
        "predicted": _predicted(study, proposal),
        "measured": measured.facts if measured else None,
        "effort": dict(effort),
        "warnings": [str(leak) for leak in prepared.leaks],
        "notes": [*prepared.notes, *notes, *(measured.notes if measured else ())],
        "environment": describe(device),
    }
    found["paragraph"] = paragraph(found)
    return found


def _affinity(study: GroupStudy, proposal: Proposal) -> dict[str, Any]:
    from accord.grouping.affinity import Affinity

    cls: Any = pick(study.group.affinity, Affinity)
    return {
        "name": snake(cls.__name__),
        "title": cls.method.title,
        "neutral": proposal.neutral,
        "matrix": proposal.matrix.tolist(),
        "helps": proposal.helps.tolist(),
        "joins": linkage(proposal.helps).tolist(),
    }


def _budget(study: GroupStudy, proposal: Proposal) -> dict[str, Any]:
    unit = "groups" if study.group.compute is None else "models of all tasks"
    return {
        "unit": unit,
        "limit": proposal.budget.limit,
        "group": proposal.budget.group,
        "task": proposal.budget.task,
        "spent": proposal.partition.cost(proposal.budget),
    }


def _groups(study: GroupStudy, proposal: Proposal) -> list[dict[str, Any]]:
    partition = proposal.partition
    return [
        {
            "tasks": [study.names[t] for t in group],
            "serves": [study.names[t] for t in served],
            "cost": proposal.budget.cost(len(group)),
            "predicted": sum(partition.gains[t] for t in served) / max(1, len(served)),
            "spec": f"{FOLDER}/group-{number}.yaml",
        }
        for number, (group, served) in enumerate(zip(partition.groups, partition.served, strict=True), 1)
    ]


def _predicted(study: GroupStudy, proposal: Proposal) -> dict[str, Any]:
    """Return mean predicted gains, in the affinity's unit; that of random groups over 200 draws."""
    drawn = [shuffled(proposal.partition, proposal.helps, seed).gain for seed in range(DRAWS)]
    return {
        "groups": proposal.partition.gain,
        "together": proposal.together.gain,
        "random": sum(drawn) / len(drawn),
        "tasks": [
            {"task": name, "group": group + 1, "gain": gain, "together": together}
            for name, group, gain, together in zip(
                study.names, proposal.partition.server, proposal.partition.gains, proposal.together.gains, strict=True
            )
        ],
    }
