"""The files around the package agree with each other."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import accord

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]


def pins() -> dict[str, str]:
    """Versions in constraints.txt by canonical name."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return {canonicalize_name(n): v for n, _, v in (line.partition("==") for line in lines if "==" in line)}


def test_there_is_one_version() -> None:
    assert accord.__version__ == PROJECT["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["version"] == PROJECT["version"]


def test_the_changelog_speaks_of_this_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0] == PROJECT["version"]


INSTALLED = [
    *PROJECT["dependencies"],
    *(line for extra in ("tables", "frames", "testing") for line in PROJECT["optional-dependencies"][extra]),
    *(line for group in PYPROJECT["dependency-groups"].values() for line in group if isinstance(line, str)),
]


@pytest.mark.parametrize("line", INSTALLED)
def test_what_is_installed_is_pinned_within_its_bounds(line: str) -> None:
    requirement = Requirement(line)
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_torch_is_installed_first_in_the_spelling_that_brings_no_cuda() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    installs = re.findall(r"pip install --quiet (.*)", makefile)
    assert installs[1] == f"torch=={pins()['torch']}"
    assert "-c constraints.txt" in installs[2]


def test_ci_does_exactly_what_people_do() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert script.rstrip().splitlines()[-1] == "exec make test"
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"]).returncode == 0
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100


def test_types_are_shipped() -> None:
    assert (ROOT / "src" / "accord" / "py.typed").exists()
