"""Train the sharded model from a checkpoint or from the start, and save: ``resume.py FROM TO FIRST END``."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from tests.distributed.models import Model, losses_of, numbers, part
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard

import accord


def main(source: str, target: str, first: int, end: int) -> None:
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    model = Model()
    fully_shard(model)
    shared, others = model.shared(), model.others()
    balancer: nn.Module = accord.aggregation.GradVac(seed=3)
    optimiser = torch.optim.Adam([*shared, *others], lr=0.01)
    if first:
        reader = dcp.FileSystemReader(source)
        weights, moments = get_state_dict(model, optimiser)
        state = accord.engines.empty_like_saved(reader, "balancer")
        dcp.load({"model": weights, "optimiser": moments, "balancer": state}, storage_reader=reader)
        set_state_dict(model, optimiser, model_state_dict=weights, optim_state_dict=moments)
        balancer.load_state_dict(state)
    for step in range(first, end):
        x, y, seen = part(step, dist.get_rank(), dist.get_world_size())
        optimiser.zero_grad()
        accord.backward(
            losses_of(model(x), y, seen),
            shared,
            balancer,
            task_parameters=others,
            group=dist.group.WORLD,
            counts=numbers(seen),
        )
        optimiser.step()
    weights, moments = get_state_dict(model, optimiser)
    everything = {"model": weights, "optimiser": moments, "balancer": balancer.state_dict()}
    dcp.save(everything, checkpoint_id=target)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
