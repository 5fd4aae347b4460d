"""What a budget of encoders or of compute comes to for the models of a specification."""

from __future__ import annotations

from torch import nn

from accord.grouping.partition import Budget
from accord.grouping.spec import GroupSpec
from accord.sharing import MultiTaskModel

DEFAULT_GROUPS = 3


def budget_of(group: GroupSpec, model: MultiTaskModel) -> Budget:
    """Return the budget of ``group``; compute is counted in that of ``model``, which has all tasks.

    The compute of a model goes with the weights that every row passes through: all but embeddings, of which a row reads
    one line each. A group of n tasks then costs the shared weights and n times a task's mean own weights.
    """
    tasks = model.tasks
    if group.compute is None:
        return Budget(float(group.groups or min(DEFAULT_GROUPS, tasks)))
    tables = {id(p) for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    shared = sum(p.numel() for p in model.shared_parameters() if id(p) not in tables)
    own = sum(p.numel() for t in range(tasks) for p in model.task_parameters(t) if id(p) not in tables)
    total = max(1, shared + own)
    return Budget(group.compute, group=max(shared, 1) / total, task=own / total / tasks)
