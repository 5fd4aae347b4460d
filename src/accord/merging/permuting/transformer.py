"""Groups of hidden units of the perceptrons in a transformer, by the names of their tensors."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.merging.merging_method import Weights
from accord.merging.permuting.groups import Axis, Groups

# Layers that make hidden units, and the one that takes them in, by the ends of their names in the usual architectures.
PERCEPTRONS = (
    (("gate_proj", "up_proj"), "down_proj"),
    (("w1", "w3"), "w2"),
    (("wi_0", "wi_1"), "wo"),
    (("wi",), "wo"),
    (("fc1",), "fc2"),
    (("fc_in",), "fc_out"),
    (("linear1",), "linear2"),
    (("lin1",), "lin2"),
    (("c_fc",), "c_proj"),
    (("dense_h_to_4h",), "dense_4h_to_h"),
    (("intermediate.dense",), "output.dense"),
)


def transformer_groups(model: Weights) -> Groups:
    """Return the groups of hidden units of the perceptrons of a transformer, one for each layer.

    Known are the names of Llama, Mistral, Qwen and Gemma, T5, BERT, DistilBERT, GPT-2 (whose matrices are transposed),
    GPT-J, NeoX, OPT, CLIP and ``nn.TransformerEncoderLayer``. Heads of attention and the residual stream keep their
    order.

    Raises:
        ConfigurationError: there is no such perceptron.
    """
    state: Mapping[str, Tensor] = model.state_dict() if isinstance(model, nn.Module) else model
    axes: dict[str, tuple[Axis, ...]] = {}
    sizes: dict[str, int] = {}
    for name in state:
        for ups, down in PERCEPTRONS:
            prefix = name.removesuffix(f"{ups[0]}.weight")
            if prefix == name or prefix in sizes or (prefix and not prefix.endswith(".")):
                continue
            if f"{prefix}{down}.weight" in state and all(f"{prefix}{up}.weight" in state for up in ups):
                _add(state, prefix, ups, down, axes, sizes)
    if not sizes:
        raise ConfigurationError("no tensor is named like the perceptron of a known transformer; describe the groups")
    groups = Groups(axes, sizes)
    groups.check(state)
    return groups


def _add(
    state: Mapping[str, Tensor],
    prefix: str,
    ups: tuple[str, ...],
    down: str,
    axes: dict[str, tuple[Axis, ...]],
    sizes: dict[str, int],
) -> None:
    inner, outer = state[f"{prefix}{ups[0]}.weight"].shape, state[f"{prefix}{down}.weight"].shape
    straight = inner[0] == outer[1]
    sizes[prefix] = inner[0] if straight else inner[1]
    for up in ups:
        axes[f"{prefix}{up}.weight"] = (prefix, None) if straight else (None, prefix)
        if f"{prefix}{up}.bias" in state:
            axes[f"{prefix}{up}.bias"] = (prefix,)
    axes[f"{prefix}{down}.weight"] = (None, prefix) if straight else (prefix, None)
