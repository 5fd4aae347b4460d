"""The equations of each architecture, one expert and one task at a time, from the modules' own weights."""

import torch


def expert(group, index, x):
    for weight, bias in zip(group.weights, group.biases, strict=True):
        x = torch.relu(weight[index] @ x + bias[index])
    return x


def mix(gate, x, outputs):
    weights = torch.softmax(gate @ x, 0)
    return sum(weight * output for weight, output in zip(weights, outputs, strict=True))


def mmoe(module, x):
    outputs = [expert(module.experts, e, x) for e in range(len(module.experts.weights[0]))]
    return torch.stack([mix(gate, x, outputs) for gate in module.gates])


def ple(module, x):
    streams = [x] * (module.tasks + 1)
    for level in module.levels:
        own = [
            [expert(group, e, streams[t]) for e in range(len(group.weights[0]))] for t, group in enumerate(level.own)
        ]
        shared = [expert(level.shared, e, streams[-1]) for e in range(len(level.shared.weights[0]))]
        # All streams of the next level are computed from the old ones.
        following = [mix(level.gates[t], streams[t], own[t] + shared) for t in range(module.tasks)]
        if level.shared_gate is not None:
            every = [output for outputs in own for output in outputs] + shared
            following.append(mix(level.shared_gate, streams[-1], every))
        streams = following
    return torch.stack(streams)
