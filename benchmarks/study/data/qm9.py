"""QM9: twelve properties of small molecules, here from counts over their SMILES alone, without coordinates.

Ramakrishnan et al., Quantum chemistry structures and properties of 134 kilo molecules, 2014. Counts tell the energies
nearly exactly and the dipole moment badly: twelve tasks of very different difficulty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import torch
from benchmarks.study.data.packages import located
from benchmarks.study.networks import HardShared
from benchmarks.study.problem import About, Part, Problem, Sizes
from torch import nn

SIZES = Sizes(train=20_000, validation=4_000, test=10_000, steps=160, batch=256)
ABOUT = About(
    "QM9",
    "regression",
    "Small molecules, random rows; the twelve usual tasks, each standardised. Features are counts of the 256 most "
    "frequent pieces of one to three characters of the SMILES, without coordinates: good for the energies, poor for "
    "the dipole moment.",
    "A perceptron with two shared layers of 64 and one output per task.",
)
TASKS = {
    "mu": "Dipole_debye",
    "alpha": "Polarizability_bohr3",
    "HOMO": "HOMO_au",
    "LUMO": "LUMO_au",
    "gap": "HOMO_LUMO_gap_au",
    "R2": "R2_bohr2",
    "ZPVE": "ZPVE_au",
    "U0": "InternalEnergy_0K_au",
    "U": "InternalEnergy_298K_au",
    "H": "Enthalphy_298K_au",  # sic
    "G": "GibbsFreeEnergy_298K_au",
    "Cv": "Heatcapacity_Cv_cal_mol_K",
}
GRAMS, LONGEST = 256, 3
HIDDEN = 64


def load(sizes: Sizes = SIZES) -> Problem:
    """Return the problem, from the files of the package qm9pack: random rows, targets standardised."""
    smiles, values = read()
    rows = np.random.default_rng(0).permutation(len(smiles))
    ends = np.cumsum([0, sizes.train, sizes.validation, sizes.test])
    parts = [rows[start:end] for start, end in pairwise(ends)]
    texts = [[smiles[row] for row in part] for part in parts]
    grams = frequent(texts[0])
    counts = standardised([count(part, grams) for part in texts])
    targets = standardised([values[part] for part in parts])
    train, validation, test = (
        Part(torch.from_numpy(x), torch.from_numpy(y)) for x, y in zip(counts, targets, strict=True)
    )

    def build(tasks: int) -> HardShared:
        trunk = nn.Sequential(nn.Linear(len(grams), HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
        return HardShared(trunk, HIDDEN, tasks, 1)

    return Problem("qm9", tuple(TASKS), ABOUT.kind, sizes, train, validation, test, build)


def read() -> tuple[list[str], np.ndarray]:
    """Return the SMILES and the targets ``[N, 12]`` of all 130,831 molecules."""
    import pyarrow as pa
    import pyarrow.csv as csv

    options = csv.ConvertOptions(include_columns=["SMILES", *TASKS.values()])
    files = [located("qm9pack", f"qm9pack/data/qm9_part{number}.csv") for number in (1, 2, 3)]
    table = pa.concat_tables(csv.read_csv(file, convert_options=options) for file in files)
    return table["SMILES"].to_pylist(), np.stack([table[column].to_numpy() for column in TASKS.values()], 1)


def grams_of(smiles: str) -> Iterable[str]:
    """Yield all pieces of one to three characters: atoms, bonds, ring closures, branches, charges, and their order."""
    for length in range(1, LONGEST + 1):
        for start in range(len(smiles) - length + 1):
            yield smiles[start : start + length]


def frequent(texts: Sequence[str]) -> dict[str, int]:
    """Return the pieces that most molecules have, with their column."""
    holders = Counter(gram for text in texts for gram in set(grams_of(text)))
    return {gram: column for column, (gram, _) in enumerate(holders.most_common(GRAMS))}


def count(texts: Sequence[str], grams: dict[str, int]) -> np.ndarray:
    """Return how often each molecule has each piece, ``[N, len(grams)]``."""
    counts = np.zeros((len(texts), len(grams)), np.float32)
    for row, text in enumerate(texts):
        for gram in grams_of(text):
            if gram in grams:
                counts[row, grams[gram]] += 1
    return counts


def standardised(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Shift and scale all parts so that the first has mean 0 and variance 1 in each column."""
    mean, spread = parts[0].mean(0), parts[0].std(0)
    return [((part - mean) / np.where(spread > 0, spread, 1)).astype(np.float32) for part in parts]
