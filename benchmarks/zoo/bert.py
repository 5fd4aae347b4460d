"""The layers of a BERT encoder, enough of it to run and to fine-tune the MiniLM of a package."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, HEADS, INNER, EPSILON = 384, 12, 1536, 1e-12


class Layer(nn.Module):
    """Attention and an MLP, normalised after each (Devlin et al., BERT, 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.after_attention = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, INNER), nn.GELU(), nn.Linear(INNER, WIDTH))
        self.after_mlp = nn.LayerNorm(WIDTH, eps=EPSILON)

    def forward(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """Return ``[N, L, 384]`` for as many, of which ``seen [N, 1, 1, L]`` are words and not padding."""
        q, k, v = (
            part(tokens).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        tokens = self.after_attention(tokens + self.out(attend(q, k, v, seen)))
        return self.after_mlp(tokens + self.mlp(tokens))


def attend(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Return ``[N, L, D]`` of queries, keys and values ``[N, H, L, D / H]``, where ``seen``, which broadcasts, is true.

    The few words of these texts fit into plain products, whose gradients take a tenth of the time that those of
    PyTorch's fused attention take on a CPU.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    mixed = scores.masked_fill(~seen, float("-inf")).softmax(-1) @ v
    return mixed.transpose(1, 2).flatten(2)


class Top(nn.Module):
    """The last layers on tokens ``[N, L, 384]``, 0 where there is no word, and the mean over words of the result.

    Matrices are multiplied in bfloat16, in training as in judging, which takes half the time here; weights and what is
    added up stay in float32.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(layers))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return representations ``[N, 384]``."""
        seen = words(tokens)
        if len(tokens) > 1:
            # Where no text of a batch has a word, nothing needs to be worked out. A text alone may be one of many
            # that torch.func works on together, and has no length of its own then.
            longest = int(seen.sum(1).max())
            tokens, seen = tokens[:, :longest], seen[:, :longest]
        with torch.autocast("cpu", torch.bfloat16):
            for layer in self.layers:
                tokens = layer(tokens, seen[:, None, None])
        return (tokens.float() * seen[..., None]).sum(1) / seen.sum(1, keepdim=True)


def words(tokens: Tensor) -> Tensor:
    """Return where tokens ``[N, L, D]`` are words, which are first, and not padding, ``[N, L]``."""
    return tokens.abs().amax(-1) > 0


def embed(weights: Mapping[str, Tensor], words: Tensor) -> Tensor:
    """Return the embeddings ``[N, L, 384]`` of token numbers ``[N, L]``."""
    found = weights["embeddings.word_embeddings.weight"][words]
    found = found + weights["embeddings.position_embeddings.weight"][: words.shape[1]]
    found = found + weights["embeddings.token_type_embeddings.weight"][0]
    scale, shift = weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"]
    return functional.layer_norm(found, (WIDTH,), scale, shift, EPSILON)


NAMES = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "after_attention",
    "intermediate.dense": "mlp.0",
    "output.dense": "mlp.2",
    "output.LayerNorm": "after_mlp",
}


def layer(weights: Mapping[str, Tensor], number: int) -> Layer:
    """Return a layer with the weights of a checkpoint under BERT's names."""
    with torch.device("meta"):
        made = Layer()
    kinds = ("weight", "bias")
    state = {f"{own}.{k}": weights[f"encoder.layer.{number}.{name}.{k}"] for name, own in NAMES.items() for k in kinds}
    made.load_state_dict(state, assign=True)
    return made.requires_grad_(True).eval()
