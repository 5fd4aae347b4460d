"""The layers of a Llama, enough of it to run and to adapt the SmolLM2 of a package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from benchmarks.zoo.bert import attend
from torch import Tensor, nn
from torch.nn import functional

WIDTH, HEADS, SHARED_HEADS, HEAD, INNER, BASE, EPSILON = 576, 9, 3, 64, 1536, 100_000.0, 1e-5
NAMES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "attn_norm", "ffn_norm")


class Norm(nn.Module):
    """Division by the root of the mean square, and a scale."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return as many."""
        return functional.rms_norm(tokens, (WIDTH,), self.weight, EPSILON)


class Layer(nn.Module):
    """Causal attention of nine heads on three keys, and a gated MLP (Touvron et al., Llama 2, 2023).

    Weights have the names and the order of a GGUF file, in which neighbouring numbers of a head turn together.
    """

    def __init__(self) -> None:
        super().__init__()
        shared = SHARED_HEADS * HEAD
        self.attn_q, self.attn_output = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))
        self.attn_k, self.attn_v = (nn.Linear(WIDTH, shared, bias=False) for _ in range(2))
        self.ffn_gate, self.ffn_up = (nn.Linear(WIDTH, INNER, bias=False) for _ in range(2))
        self.ffn_down = nn.Linear(INNER, WIDTH, bias=False)
        self.attn_norm, self.ffn_norm = Norm(), Norm()

    def forward(self, tokens: Tensor) -> Tensor:
        """Return ``[N, L, 576]`` for as many."""
        seen = self.attn_norm(tokens)
        q, k, v = (
            part(seen).unflatten(-1, (-1, HEAD)).transpose(1, 2) for part in (self.attn_q, self.attn_k, self.attn_v)
        )
        k, v = (part.repeat_interleave(HEADS // SHARED_HEADS, 1) for part in (turned(k), v))
        earlier = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril()
        tokens = tokens + self.attn_output(attend(turned(q), k, v, earlier))
        seen = self.ffn_norm(tokens)
        return tokens + self.ffn_down(functional.silu(self.ffn_gate(seen)) * self.ffn_up(seen))


def turned(heads: Tensor) -> Tensor:
    """Return queries or keys ``[N, H, L, 64]`` turned by their places (Su et al., RoFormer, 2021)."""
    places = torch.arange(heads.shape[2], dtype=torch.float32)
    angles = places[:, None] * BASE ** -(torch.arange(0, HEAD, 2) / HEAD)
    even, odd = heads.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


class Top(nn.Module):
    """The last layers on tokens ``[N, L, 576]``, 0 where there is no word, and the mean over words of the result.

    Matrices are multiplied in bfloat16, as in the zoo of sentences.
    """

    def __init__(self, layers: list[Layer], norm: Norm) -> None:
        super().__init__()
        self.layers, self.norm = nn.ModuleList(layers), norm

    def forward(self, tokens: Tensor) -> Tensor:
        """Return representations ``[N, 576]``."""
        words = (tokens.abs().amax(-1) > 0)[..., None]
        with torch.autocast("cpu", torch.bfloat16):
            for layer in self.layers:
                tokens = layer(tokens)
        return (self.norm(tokens.float()) * words).sum(1) / words.sum(1)


class File:
    """A GGUF file: its words, and its weights in float32."""

    def __init__(self, path: Path) -> None:
        from gguf import GGUFReader, dequantize  # pyright: ignore[reportMissingImports]

        self.reader, self.dequantize = GGUFReader(path), dequantize
        self.tensors: dict[str, Any] = {tensor.name: tensor for tensor in self.reader.tensors}

    def weight(self, name: str) -> Tensor:
        """Return a tensor."""
        tensor = self.tensors[f"{name}.weight"]
        return torch.from_numpy(self.dequantize(tensor.data, tensor.tensor_type).copy())

    def layer(self, number: int) -> Layer:
        """Return a layer."""
        with torch.device("meta"):
            made = Layer()
        state = {f"{name}.weight": self.weight(f"blk.{number}.{name}") for name in NAMES}
        made.load_state_dict(state, assign=True)
        return made.eval()

    def norm(self) -> Norm:
        """Return the norm behind the last layer."""
        made = Norm()
        made.load_state_dict({"weight": self.weight("output_norm")})
        return made

    def tokenizer(self) -> Any:
        """Return the byte-level tokenizer."""
        from tokenizers import Tokenizer, models, pre_tokenizers  # pyright: ignore[reportMissingImports]

        words, merges = (self.reader.fields[f"tokenizer.ggml.{what}"].contents() for what in ("tokens", "merges"))
        pairs = [tuple(merge.split(" ")) for merge in merges]
        made = Tokenizer(models.BPE({word: place for place, word in enumerate(words)}, pairs))
        parts = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        made.pre_tokenizer = pre_tokenizers.Sequence(parts)
        return made
