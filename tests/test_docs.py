"""Everything the documentation shows runs, and everything public is documented.

Blocks of one page run in order, in one directory, Python blocks in one namespace, commands of shell blocks as real
processes, but for those that call ``accord`` and nothing else: they are spared the seconds of importing PyTorch. Two
comments steer this, each on the line before a block: ``<!-- file: NAME -->`` writes the block to a file first, and
``<!-- not run: REASON -->`` leaves it out.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from accord.cli import main
from accord.method import Method
from accord.registry import ROOMS, registered

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    + [p for p in (ROOT / "docs").rglob("*.md") if not p.relative_to(ROOT / "docs").parts[0].startswith("_")]
)
BLOCK = re.compile(r"(?:<!-- (file|not run): ([^\n]+?) -->\n)?^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROWS = 1500
LONG = ("distributed.md", "tutorial-explore.md", "tutorial-group.md")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text, first line, and what the comment before it says."""

    language: str
    text: str
    line: int
    order: str
    subject: str


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    text = page.read_text("utf-8")
    for found in BLOCK.finditer(text):
        order, subject, language, body = found.groups()
        yield Block(language, body, text[: found.start(4)].count("\n") + 1, order or "", subject or "")


def runnable(page: Path) -> list[Block]:
    """Blocks of a page that a reader would copy and that no test of their own runs."""
    if page.name == "CONTRIBUTING.md":
        return []
    return [block for block in blocks(page) if block.language in ("python", "sh") or block.order == "file"]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Parquet file with real rows of Census-Income, so that the pages' long runs take seconds here."""
    from accord.data import open_table, write_parquet

    path = tmp_path_factory.mktemp("sample") / "census-income.parquet"
    rows = open_table("census-income").sample(ROWS, seed=0).to_arrow()
    write_parquet(path, {name: rows[name] for name in rows.column_names})
    return path


def smaller(text: str) -> str:
    """Return a block with the sample in place of the whole data set."""
    return re.sub(r"census-income(?!\.parquet|[\w/-])(?<!runs/census-income)", "census-income.parquet", text)


def test_the_substitution_leaves_paths_alone() -> None:
    assert smaller("accord fit census-income --out runs/census-income") == (
        "accord fit census-income.parquet --out runs/census-income"
    )
    assert smaller('accord.fit("census-income", x)') == 'accord.fit("census-income.parquet", x)'


def commands(text: str) -> list[str]:
    """Return the commands of a shell block, one for each line that is not gone on with."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def accord_words(command: str) -> list[str]:
    """Return the words behind ``accord``; nothing where a command is anything else or more to a shell."""
    words = shlex.split(command, comments=True)
    return words[1:] if words[:1] == ["accord"] and not re.search(r"[|&;<>()$`*?~{]", command) else []


def test_only_plain_calls_are_made_without_a_shell() -> None:
    first, second, third = commands("accord fit 'a b' \\\n  --out c  # why\n\nfalse\naccord doctor\n")
    assert accord_words(first) == ["fit", "a b", "--out", "c"] and accord_words(third) == ["doctor"]
    for text in (second, "accord fit a | head", "accord fit *.csv", "accord doctor && false", "accord predict $RUN"):
        assert not accord_words(text)


def pages_to_run() -> Iterator[Any]:
    """Pages whose blocks run, the longest only with the slow tests: what they show is tested in its room, too."""
    for page in filter(runnable, PAGES):
        marks = [pytest.mark.slow] if page.name in LONG else []
        yield pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks)


@pytest.mark.parametrize("page", list(pages_to_run()))
def test_every_block_runs(page: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(sample, tmp_path / sample.name)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in runnable(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        if block.order == "not run":
            continue
        if block.order == "file":
            target = tmp_path / block.subject
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(smaller(block.text), "utf-8")
        elif block.language == "python":
            exec(compile("\n" * (block.line - 1) + smaller(block.text), str(page), "exec"), namespace)
        else:
            for command in commands(smaller(block.text)):
                if words := accord_words(command):
                    assert main(words) == 0, where
                    continue
                shell = ["bash", "-e", "-o", "pipefail", "-c", command]
                done = subprocess.run(shell, env=environment, capture_output=True, text=True, timeout=240)
                assert done.returncode == 0, f"{where}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_every_example_runs_and_says_something(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(example)])
    with torch.random.fork_rng():
        runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out.strip()


def test_adding_a_method_takes_one_file_and_one_line(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.parquet"))
    files = [block for block in blocks(ROOT / "CONTRIBUTING.md") if block.order == "file"]
    for block in files:
        (tmp_path / block.subject).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / block.subject).write_text(block.text, "utf-8")
    method, test = (tmp_path / block.subject for block in files)
    room = method.with_name("__init__.py")
    line = f"from accord.aggregation.{method.stem} import Directions\n__all__ += ['Directions']\n"
    room.write_text(room.read_text("utf-8") + line, "utf-8")

    def call(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "Directions" in call("-m", "accord", "methods", "directions")
    assert " passed" in call("-m", "pytest", "-q", "-p", "no:cacheprovider", str(test))


def test_what_is_not_run_has_a_reason_and_stays_rare() -> None:
    every = [block for page in PAGES for block in runnable(page)]
    left_out = [block for block in every if block.order == "not run"]
    assert all(len(block.subject) > 10 for block in left_out)
    assert len(left_out) <= len(every) / 4


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)?", page.read_text("utf-8")):
        if "://" in target or target.startswith(("mailto:", "/_generated")):
            continue
        base = ROOT / "docs" if target.startswith("/") else page.parent
        assert (base / target.lstrip("/")).exists(), f"{page.name} links to {target}"


PUBLIC = [
    "aggregation",
    "comparing",
    "data",
    "engines",
    "grouping",
    "linalg",
    "merging",
    "pareto",
    "reporting",
    "sampling",
    "sharing",
    "steering",
    "steps",
    "tasks",
    "testing",
    "training",
    "weighting",
]


@pytest.mark.parametrize("room", PUBLIC)
def test_every_public_name_has_a_docstring_of_its_own(room: str) -> None:
    module = importlib.import_module(f"accord.{room}")
    assert module.__doc__
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        member = getattr(module, name)
        if not (inspect.isclass(member) or inspect.isroutine(member)):
            continue  # constants are explained where they are made
        assert (member.__doc__ or "").strip(), f"accord.{room}.{name} has no docstring"
        if inspect.isclass(member):
            for method, function in inspect.getmembers(member, inspect.isroutine):
                if not method.startswith("_") and getattr(function, "__module__", "").startswith("accord."):
                    assert inspect.getdoc(getattr(member, method)), f"accord.{room}.{name}.{method} has no docstring"


METHODS = [(room, name) for room in ROOMS for name in registered(room)]


@pytest.mark.parametrize(("room", "name"), METHODS)
def test_every_method_tells_where_it_comes_from_and_what_it_costs(room: str, name: str) -> None:
    cls = registered(room)[name]
    facts: Method = cls.method  # pyright: ignore[reportAttributeAccessIssue]
    assert "method" in vars(cls), "the record of a base class says nothing about this method"
    assert facts.title and facts.paper and facts.cost
    assert 1950 <= facts.year <= 2030
    assert facts.url.startswith("https://")
    assert all(isinstance(number, int) for number in facts.catalogue)
    assert str(facts.year) in (cls.__doc__ or ""), "the docstring cites the paper with its year"


def test_the_guide_and_the_changelog_know_every_method() -> None:
    guide = (ROOT / "docs" / "choosing.md").read_text("utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    for room, name in METHODS:
        assert f"`{name}`" in guide, f"docs/choosing.md does not say when to use {name}"
        assert registered(room)[name].__name__ in changelog, f"CHANGELOG.md does not name {name}"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated pages."""
    out = tmp_path_factory.mktemp("generated")
    code = (
        f"import sys; sys.path.insert(0, 'docs'); import generate, pathlib; generate.main(pathlib.Path({str(out)!r}))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=240)
    return out


def test_every_method_has_a_page_with_a_picture(generated: Path) -> None:
    pages = {(page.parent.name, page.stem) for page in (generated / "methods").glob("*/*.md")}
    assert pages == set(METHODS)
    for page in (generated / "methods").glob("*/*.svg"):
        assert "nan" not in page.read_text("utf-8")
    table = (generated / "methods.md").read_text("utf-8")
    assert all(f"`{name}`" in table for _, name in METHODS)


def test_every_key_of_the_specification_is_explained(generated: Path) -> None:
    rows = [line for line in (generated / "specification.md").read_text("utf-8").splitlines() if line.startswith("| `")]
    assert "| `training.learning_rate` |" in "\n".join(rows)
    silent = [row for row in rows if row.rstrip().endswith("|  |")]
    assert not silent, "\n".join(silent)


def test_the_command_line_reference_covers_every_verb(generated: Path) -> None:
    from accord.cli.app import VERBS

    text = (generated / "cli.md").read_text("utf-8")
    assert all(f"## accord {verb}\n" in text for verb in VERBS)


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "-q", "-b", "html", "docs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").exists()
