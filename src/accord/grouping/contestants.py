"""Who is trained to find out whether the groups are worth anything, and which run serves which task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accord.comparing.records import Job
from accord.grouping.members import key_of, tasks_of
from accord.grouping.partition import Array, Budget, Partition, arrange
from accord.grouping.shuffled import shuffled
from accord.grouping.study import GroupStudy


@dataclass(frozen=True)
class Contestant:
    """One way to train all tasks.

    Attributes:
        key: ``groups``, ``merged``, ``together``, ``random`` or ``singles``.
        name: how people call it.
        partitions: by seed, which tasks are trained together.
        kind: the sort of its runs, see :func:`accord.grouping.members.key_of`.
    """

    key: str
    name: str
    partitions: Sequence[Partition]
    kind: str = "tasks"

    def job(self, seed: int, task: int) -> Job:
        """Return the run that serves ``task``."""
        partition = self.partitions[seed]
        return Job(key_of(partition.groups[partition.server[task]], self.kind), "test", seed, 0)

    def jobs(self, seeds: int) -> list[Job]:
        """Return all runs, each once."""
        groups = ((seed, group) for seed in range(seeds) for group in self.partitions[seed].groups)
        return [Job(key_of(group, self.kind), "test", seed, 0) for seed, group in groups]

    def cost(self, budget: Budget) -> float:
        """Return the predicted cost of one seed in the unit of ``budget``."""
        return self.partitions[0].cost(budget)


def contestants(study: GroupStudy, proposal: Partition, helps: Array) -> list[Contestant]:
    """Return who is compared: the proposal, split from the joint weights if so asked, and what it must beat."""
    seeds, tasks = range(study.group.seeds), len(helps)
    together = arrange(helps, [range(tasks)])
    singles = arrange(helps, [[task] for task in range(tasks)])
    drawn = [shuffled(proposal, helps, study.spec.seed + 1000 + seed) for seed in seeds]
    found = [Contestant("groups", "proposed groups", [proposal] * len(seeds))]
    if study.merged_epochs:
        found.append(Contestant("merged", "proposed groups, merged first", [proposal] * len(seeds), "split"))
    return [
        *found,
        Contestant("together", "all together", [together] * len(seeds)),
        Contestant("random", "random groups", drawn),
        Contestant("singles", "each alone", [singles] * len(seeds)),
    ]


def merges(study: GroupStudy) -> list[Job]:
    """Return the joint runs that must be there before groups can be split from them."""
    return [Job(key_of(study.everybody, "merged"), "test", seed, 0) for seed in range(study.group.seeds)]


def place(job: Job, task: int) -> int:
    """Return the position of ``task`` in the model of ``job``."""
    return tasks_of(job.entrant).index(task)
