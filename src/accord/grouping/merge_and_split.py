"""Federated tasks trained together first, and split where they part ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from accord.errors import ConfigurationError
from accord.grouping.adopt import adopt
from accord.grouping.clients import Client, average_rounds
from accord.grouping.inter_task_affinity import InterTaskAffinity
from accord.grouping.lookahead import lookahead
from accord.grouping.partition import Budget, Partition, Partitioner
from accord.method import Method
from accord.sharing import MultiTaskModel


@dataclass(frozen=True)
class Split:
    """What became of the tasks.

    Attributes:
        affinity: ``[T, T]``, mean over clients and rounds before the split.
        partition: the groups.
        models: one per group, of its tasks in order.
    """

    affinity: Tensor
    partition: Partition
    models: list[MultiTaskModel]


class MergeAndSplit:
    """MAS: merge simultaneous federated tasks into one, split it by the affinities seen, and go on from its weights.

    For ``merged`` rounds all tasks train as one model by federated averaging; at the end of each round every client
    measures TAG's matrix on its own model and batch, and the server takes the mean. The partitioner divides the tasks
    by it, and each group trains for the other rounds, from the joint weights::

        found = accord.grouping.MergeAndSplit(BranchAndBound(), Budget(2), rounds=20, merged=8)(build, clients)

    All of it runs in this process, client after client: a simulation, with nothing sent and nothing hidden.
    ``accord group --merged`` does the same for one table that is not divided among clients.

    Cost: T times the gradients, and T + 1 forwards, once per client and merged round, beside the training.

    Args:
        partitioner: how groups are made.
        budget: how many, or how dear.
        rounds: of all training, at least 2.
        merged: rounds before the split, at least 1 and less than ``rounds``.
        steps: local steps of a round.
        rate: of the local steps.
        step: relative length of the steps that affinities are measured by, see :func:`accord.grouping.lookahead`.

    Source: Zhuang et al., MAS: Towards Resource-Efficient Federated Multiple-Task Learning, 2023, where branch and
    bound makes the groups, of the affinities of the rounds before the split.
    """

    method: ClassVar[Method] = Method(
        title="MAS",
        paper="MAS: Towards Resource-Efficient Federated Multiple-Task Learning",
        year=2023,
        url="https://arxiv.org/abs/2307.11285",
        needs="parameters",
        cost="one model of all tasks, then one per group",
        catalogue=(43,),
    )

    def __init__(
        self,
        partitioner: Partitioner,
        budget: Budget,
        *,
        rounds: int = 20,
        merged: int = 8,
        steps: int = 5,
        rate: float = 0.05,
        step: float = 0.001,
    ) -> None:
        if not 1 <= merged < rounds:
            raise ConfigurationError(
                f"merged must be from 1 to rounds - 1, so that there is a split; got {merged} of {rounds}"
            )
        self.partitioner, self.budget = partitioner, budget
        self.rounds, self.merged = rounds, merged
        self.steps, self.rate, self.step = steps, rate, step

    def __call__(self, build: Callable[[Sequence[int]], MultiTaskModel], clients: Sequence[Client]) -> Split:
        """Train and split.

        Args:
            build: returns a fresh model of the tasks at these positions among all; of all tasks for an empty list.
            clients: everybody's data.
        """
        joint = build([])
        everybody = list(range(joint.tasks))
        affinity = InterTaskAffinity(joint.tasks)

        def look(model: MultiTaskModel, client: Client, step: int) -> None:
            shared = model.shared_parameters()
            before, after = lookahead(lambda: client.losses(model, everybody, step), shared, step=self.step)
            affinity.observe(before=before, after=after)

        training = {"steps": self.steps, "rate": self.rate}
        average_rounds(joint, clients, everybody, rounds=range(self.merged), look=look, **training)
        partition = self.partitioner(affinity.matrix(), self.budget)
        models = []
        for group in partition.groups:
            models.append(build(group))
            adopt(models[-1], joint, group)
            average_rounds(models[-1], clients, group, rounds=range(self.merged, self.rounds), **training)
        return Split(affinity.matrix(), partition, models)
