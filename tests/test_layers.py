"""The package keeps to the layers that docs/design.md draws, and to the house rules a parser can see."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "accord"
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()} - {
    "__init__",
    "__main__",
    "__pycache__",
}
CONTRACTS = {"errors", "method", "registry", "balancer", "holding", "documents"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

# Distributions whose import name is not their own.
IMPORT_NAMES = {"pyyaml": "yaml", "mlflow-skinny": "mlflow"}


def distributions(requirements: list[str]) -> set[str]:
    """Import names of a list of requirements."""
    names = {
        requirement.split("[")[0].split(">")[0].split("=")[0].split("<")[0].strip() for requirement in requirements
    }
    return {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names}


CORE = distributions(PROJECT["dependencies"])
EXTRAS = distributions([r for extra in PROJECT["optional-dependencies"].values() for r in extra])


def drawn_layers() -> list[list[str]]:
    """Layers of docs/design.md, top first: the leading words of each line of its picture that are rooms."""
    picture = (ROOT / "docs" / "design.md").read_text("utf-8").split("## Layers")[1].split("```")[1]
    layers = []
    for line in picture.splitlines():
        rooms = []
        for word in line.split():
            if word not in ROOMS or word in rooms:
                break
            rooms.append(word)
        if rooms:
            layers.append(rooms)
    return layers


LAYERS = drawn_layers()
HEIGHT = {room: len(LAYERS) - depth for depth, rooms in enumerate(LAYERS) for room in rooms}


def room_of(path: Path) -> str:
    """Room that a file belongs to; the package's own ``__init__`` belongs to none, and ``__main__`` is the command."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return {"__init__": "", "__main__": "cli"}.get(first, first)


def imported(path: Path, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of everything a file imports, absolute or relative, wherever it stands."""
    package = ["accord", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and dotted(node.func).endswith("import_module") and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


def dotted(node: ast.AST) -> str:
    """``torch.load`` of the expression ``torch.load``; empty where it is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def may_import(room: str, other: str) -> bool:
    """Whether ``room`` may import ``other``: only downwards, the contracts among themselves, testing below training."""
    if room == other or {room, other} <= CONTRACTS:
        return True
    if room == "testing":
        return HEIGHT[other] < HEIGHT["training"]
    return other != "testing" and HEIGHT[room] > HEIGHT[other]


def trees() -> Iterator[tuple[Path, ast.Module]]:
    """Every source file with its syntax tree."""
    return ((path, ast.parse(path.read_text("utf-8"), str(path))) for path in FILES)


def test_every_room_is_drawn_once() -> None:
    drawn = [room for rooms in LAYERS for room in rooms]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) | {"testing"} == ROOMS | {"testing"}


def test_the_rule_itself_tells_up_from_down() -> None:
    assert may_import("cli", "training") and may_import("aggregation", "linalg") and may_import("registry", "errors")
    assert not may_import("linalg", "aggregation")
    assert not may_import("weighting", "aggregation")
    assert not may_import("training", "testing")
    assert may_import("testing", "aggregation") and not may_import("testing", "training")


def test_imports_point_down() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {room_of(path)} may not import {name}"
        for path, tree in trees()
        if room_of(path)
        for line, name in imported(path, tree)
        if name.split(".")[0] == "accord"
        and (parts := name.split("."))[1:2]
        and parts[1] in ROOMS
        and not may_import(room_of(path), parts[1])
    ]
    assert not wrong, "\n".join(wrong)


def test_rooms_name_what_they_import_of_accord() -> None:
    # `import accord` followed by accord.training would slip past the check above.
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: import the room, not the package"
        for path, tree in trees()
        for line, name in imported(path, tree)
        if name == "accord"
    ]
    assert not wrong, "\n".join(wrong)


def test_third_party_imports_are_declared() -> None:
    allowed = CORE | EXTRAS | set(sys.stdlib_module_names) | {"accord"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name} is in no dependency list of pyproject.toml"
        for path, tree in trees()
        for line, name in imported(path, tree)
        if name.split(".")[0] not in allowed
    ]
    assert not wrong, "\n".join(wrong)


FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FORBIDDEN_CALLS = {
    "eval": "executes text",
    "exec": "executes text",
    "torch.load": "executes what it loads",
    "torch.save": "writes what only torch.load reads",
    "yaml.load": "may build any object; use safe_load",
    "yaml.unsafe_load": "executes what it loads",
    "yaml.full_load": "may build any object; use safe_load",
    "os.system": "runs a shell",
    "torch.manual_seed": "is global state; pass a generator",
    "torch.set_default_dtype": "is global state",
    "np.random.seed": "is global state; pass a generator",
    "numpy.random.seed": "is global state; pass a generator",
    "random.seed": "is global state; pass a generator",
}


def restored(tree: ast.AST) -> set[ast.AST]:
    """Nodes under ``with torch.random.fork_rng()``, which puts the global generators back as they were."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        and any(
            isinstance(i.context_expr, ast.Call) and dotted(i.context_expr.func).endswith("fork_rng")
            for i in node.items
        )
        for inner in ast.walk(node)
    }


def house_rules(path: Path, tree: ast.AST) -> Iterator[str]:
    """Yield each breach of the house rules in a file."""
    for line, name in imported(path, tree):
        if name.split(".")[0] in FORBIDDEN_MODULES:
            yield f"{path.name}:{line}: {name} executes what it loads"
    scoped = restored(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or node in scoped:
            continue
        safe = any(k.arg == "weights_only" and getattr(k.value, "value", None) is True for k in node.keywords)
        if (reason := FORBIDDEN_CALLS.get(dotted(node.func))) and not (dotted(node.func) == "torch.load" and safe):
            yield f"{path.name}:{node.lineno}: {dotted(node.func)} {reason}"
        for keyword in node.keywords:
            if keyword.arg in ("shell", "allow_pickle") and getattr(keyword.value, "value", None) is not False:
                yield f"{path.name}:{node.lineno}: {keyword.arg}= may execute what it is given"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "eval('1')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import subprocess\nsubprocess.run('x', shell=True)",
        "import torch\ntorch.manual_seed(0)",
    ],
)
def test_the_house_rules_catch(source: str) -> None:
    assert list(house_rules(PACKAGE / "example.py", ast.parse(source)))


@pytest.mark.parametrize("source", ["model.eval()", "with torch.random.fork_rng():\n    torch.manual_seed(0)"])
def test_the_house_rules_allow(source: str) -> None:
    assert not list(house_rules(PACKAGE / "example.py", ast.parse(source)))


def test_nothing_that_is_loaded_can_execute() -> None:
    wrong = [breach for path, tree in trees() for breach in house_rules(path, tree)]
    assert not wrong, "\n".join(wrong)


def test_files_stay_readable() -> None:
    long = {str(p.relative_to(ROOT)): n for p in FILES if (n := len(p.read_text("utf-8").splitlines())) > 400}
    assert not long, f"one idea, one file: split {long}"


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in memory after ``statement`` ran in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_accord_costs_nothing_it_was_not_asked_for() -> None:
    assert not loaded_by("import accord") & (EXTRAS | CORE)


def test_rooms_import_extras_only_when_a_job_needs_them() -> None:
    # One interpreter for all of them, because PyTorch takes seconds to import; the kit for tests is last.
    rooms = [*sorted(ROOMS - CONTRACTS - {"testing"}), "testing"]
    code = """
import importlib, json, sys
seen = {}
for room in sys.argv[1:]:
    importlib.import_module(f"accord.{room}")
    seen[room] = sorted({name.split(".")[0] for name in sys.modules} | {"scipy.stats"} & set(sys.modules))
print(json.dumps(seen))
"""
    done = subprocess.run([sys.executable, "-c", code, *rooms], capture_output=True, text=True, check=True)
    for room, modules in json.loads(done.stdout).items():
        own = distributions(PROJECT["optional-dependencies"]["testing"]) if room == "testing" else set()
        assert not set(modules) & EXTRAS - own, f"importing accord.{room} imports an extra"
        assert "scipy.stats" not in modules, f"importing accord.{room} takes half a second longer than it need"


def test_the_command_line_starts_without_torch() -> None:
    assert "torch" not in loaded_by("import accord.cli")


def test_the_library_needs_no_command_line_packages() -> None:
    assert not loaded_by("import accord.engines, accord.aggregation, accord.weighting") & {"cyclopts", "rich"}
