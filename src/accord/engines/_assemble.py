"""Bring the processes of one step together."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from accord.engines._call import Call
from accord.engines._introduce import facts, introduce, state
from accord.engines._joint_losses import join
from accord.engines._processes import Processes
from accord.engines._shards import Shards, is_sharded
from accord.engines._team import Replicas, Several, gathered_copy
from accord.errors import ConfigurationError


def assemble(processes: Processes, read: Callable[[], Call], balancer: nn.Module) -> Call:
    """Return the call with the losses over all processes, made from what ``read`` returns on each of them.

    Raises:
        ConfigurationError: the processes' arguments do not fit together, or cannot be meant.
        AccordError: another process failed to read its own.
    """

    def prepare() -> tuple[Call, Several]:
        call = read()
        return call, _team(processes, call)

    call, team = introduce(processes, prepare, lambda both: facts(both[0], balancer))
    joint, kinds = join(processes, call.objectives, call.shared[0].device, state(balancer))
    call.objectives = team.told(joint, kinds)
    call.team = team
    return call


def check_alone(call: Call) -> Call:
    """Return ``call`` if one process can take the step.

    Raises:
        ConfigurationError: it has counts of samples, or shards of parameters.
    """
    if call.objectives.shares:
        raise ConfigurationError("counts says how a batch is spread over processes; pass group= too, or leave it out")
    if any(is_sharded(tensor) for tensor in call.shared):
        raise ConfigurationError("shared holds sharded parameters (DTensor): pass group=, the processes they lie on")
    return call


def _team(processes: Processes, call: Call) -> Several:
    if call.graph.hides:
        raise ConfigurationError(
            "a checkpoint with use_reentrant=True hides its parameters from other processes: use use_reentrant=False"
        )
    if is_sharded(call.shared[0]):
        return Shards(processes, call.shared, call.others, call.graph)
    if any(node.name() == "RegisterPostBackwardFunctionBackward" for node in call.graph.owner):
        raise ConfigurationError(gathered_copy())
    known = {id(tensor) for tensor in call.shared}
    unnamed = [leaf for leaves in call.graph.leaves.values() for leaf in leaves if id(leaf) not in known]
    if unnamed and call.others is None:
        raise ConfigurationError(
            f"the losses reach a parameter of shape {list(unnamed[0].shape)} outside shared: with group=, name such "
            "parameters as task_parameters, e.g. heads.parameters(), since a process whose part of the batch lacks a "
            "task cannot know that task's parameters"
        )
    return Replicas(processes)
