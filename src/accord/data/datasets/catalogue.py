"""The data sets that Accord knows by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from accord.data.datasets import readers
from accord.data.datasets.entry import Dataset, File

_UCI = "CC BY 4.0"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
Reader = Callable[[Path], dict[str, Any]]
_LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multilabel"

CENSUS_INCOME = Dataset(
    name="census-income",
    title="Census-Income (KDD)",
    description="People asked in the U.S. Current Population Surveys of 1994 and 1995: work, household, income.",
    rows=299_285,
    columns=42,
    tasks={"income": "binary", "marital_stat": "multiclass", "education": "multiclass"},
    licence=_UCI,
    citation="U.S. Census Bureau (2000). Census-Income (KDD). UCI Machine Learning Repository. doi:10.24432/C5N30T",
    homepage="https://archive.ics.uci.edu/dataset/117/census+income+kdd",
    files=(),
    read=readers.census_income,
    excluded={"instance_weight": "row weight of the survey; may serve as a task's sample weight"},
)

ADULT = Dataset(
    name="adult",
    title="Adult",
    description="People in the U.S. census of 1994: work, household, and whether they earn over 50,000 dollars.",
    rows=48_842,
    columns=15,
    tasks={"income": "binary", "marital_status": "multiclass"},
    licence=_UCI,
    citation="Becker, B. and Kohavi, R. (1996). Adult. UCI Machine Learning Repository. doi:10.24432/C5XW20",
    homepage="https://archive.ics.uci.edu/dataset/2/adult",
    files=(
        File(
            "https://archive.ics.uci.edu/static/public/2/adult.zip",
            "sha256:7537312dd56c2b98035880805ce99e68183a30ee468aa5329d6df0fbb3cc21bb",
            620_237,
        ),
    ),
    read=readers.adult,
    excluded={"fnlwgt": "row weight of the survey; may serve as a task's sample weight"},
)

FASHION_MNIST = Dataset(
    name="fashion-mnist",
    title="Fashion-MNIST",
    description="Pictures of clothes, 28 by 28 grey pixels, of ten kinds.",
    rows=70_000,
    columns=785,
    tasks={"label": "multiclass"},
    licence="MIT",
    citation="Xiao, H., Rasul, K. and Vollgraf, R. (2017). Fashion-MNIST. arXiv:1708.07747",
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    files=tuple(
        File(f"{_FASHION}/{name}-ubyte.gz", f"md5:{md5}", size, f"sha256:{content}")
        for name, md5, size, content in (
            (
                "train-images-idx3",
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                26_421_880,
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            (
                "train-labels-idx1",
                "25c81989df183df01b3e8a0aad5dffbe",
                29_515,
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            (
                "t10k-images-idx3",
                "bef4ecab320f06d8554ea6380940ec79",
                4_422_102,
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            (
                "t10k-labels-idx1",
                "bb300cfdad3c16e7a12a480ee83cd310",
                5_148,
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        )
    ),
    read=readers.fashion_mnist,
)

_MNIST_FILES = tuple(
    File(f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}-ubyte.gz", f"md5:{md5}", size, prefix="mnist-")
    for name, md5, size in (
        ("train-images-idx3", "f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
        ("train-labels-idx1", "d53e105ee54ea40749a09fcbcd1e9432", 28_881),
        ("t10k-images-idx3", "9fb629c4189551a2d022fa330f9573f3", 1_648_877),
        ("t10k-labels-idx1", "ec29112dd5afa0611ce80d1b7f02629c", 4_542),
    )
)
_FASHION_FILES = tuple(replace(file, prefix="fashion-") for file in FASHION_MNIST.files)
_OVERLAID = "Sabour, S., Frosst, N. and Hinton, G. (2017). Dynamic Routing Between Capsules. NIPS 30; as in " + (
    "Sener, O. and Koltun, V. (2018). Multi-Task Learning as Multi-Objective Optimization. NeurIPS 31"
)
_MNIST_TERMS = "MNIST: CC BY-SA 3.0"


def _overlaid(
    name: str, title: str, what: str, tasks: tuple[str, ...], licence: str, files: tuple[File, ...], read: Reader
) -> Dataset:
    return Dataset(
        name=name,
        title=title,
        description=f"{what} on a canvas of 36 by 36 grey pixels, the brighter pixel on top; which is where?",
        rows=70_000,
        columns=36 * 36 + len(tasks),
        tasks=dict.fromkeys(tasks, "multiclass"),
        licence=licence,
        citation=_OVERLAID,
        homepage="https://arxiv.org/abs/1710.09829",
        files=files,
        read=read,
    )


_PAIR = ("left", "right")
OVERLAID = (
    _overlaid("multi-mnist", "MultiMNIST", "Two digits", _PAIR, _MNIST_TERMS, _MNIST_FILES, readers.multi_mnist),
    _overlaid(
        "multi-fashion", "Multi-Fashion", "Two pieces of clothing", _PAIR, "MIT", _FASHION_FILES, readers.multi_fashion
    ),
    _overlaid(
        "multi-fashion-and-mnist",
        "Multi-Fashion-and-MNIST",
        "A digit and a piece of clothing",
        _PAIR,
        f"{_MNIST_TERMS}; Fashion-MNIST: MIT",
        (*_MNIST_FILES, *_FASHION_FILES),
        readers.multi_fashion_and_mnist,
    ),
    _overlaid(
        "multi-mnist-3",
        "MultiMNIST of three",
        "Three digits",
        (*_PAIR, "bottom"),
        _MNIST_TERMS,
        _MNIST_FILES,
        readers.multi_mnist_3,
    ),
)

QM9 = Dataset(
    name="qm9",
    title="QM9",
    description="Small organic molecules with quantum-chemical properties; the structure is given as SMILES text.",
    rows=133_885,
    columns=21,
    tasks=dict.fromkeys(("mu", "alpha", "homo", "lumo", "gap", "r2", "zpve", "cv"), "regression"),
    licence="CC0 1.0",
    citation="Ramakrishnan, R. et al. (2014). Quantum chemistry structures and properties of 134 kilo molecules. "
    "Scientific Data 1, 140022",
    homepage="https://doi.org/10.1038/sdata.2014.22",
    files=(File("https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/qm9.csv"),),
    read=readers.qm9,
    excluded={"mol_id": "names the row"},
)

MOVIELENS_100K = Dataset(
    name="movielens-100k",
    title="MovieLens 100k",
    description="Ratings of films, one to five stars, with the user's and the film's attributes.",
    rows=100_000,
    columns=28,
    tasks={"rating": "ordinal", "gender": "binary"},
    licence="GroupLens terms: research only; no commercial use or redistribution without permission",
    citation="Harper, F. M. and Konstan, J. A. (2015). The MovieLens Datasets. ACM TiiS 5(4). doi:10.1145/2827872",
    homepage="https://grouplens.org/datasets/movielens/100k/",
    files=(
        File(
            "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
            "sha256:50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
            4_924_029,
        ),
    ),
    read=readers.movielens_100k,
)

YEAST = Dataset(
    name="yeast",
    title="Yeast",
    description="Genes with micro-array measurements and fourteen functional classes, of which each gene has several.",
    rows=2_417,
    columns=117,
    tasks={f"label_{i}": "binary" for i in range(1, 15)},
    licence="not stated by its authors; widely used for research",
    citation="Elisseeff, A. and Weston, J. (2001). A kernel method for multi-labelled classification. NIPS 14",
    homepage=f"{_LIBSVM}.html#yeast",
    files=(File(f"{_LIBSVM}/yeast_train.svm.bz2"), File(f"{_LIBSVM}/yeast_test.svm.bz2")),
    read=readers.yeast,
)

DATASETS: dict[str, Dataset] = {
    entry.name: entry for entry in (CENSUS_INCOME, ADULT, FASHION_MNIST, *OVERLAID, QM9, MOVIELENS_100K, YEAST)
}
