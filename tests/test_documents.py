"""Files that people write: what YAML would pass over in silence is an error with its file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accord.documents import read_documents, read_text
from accord.errors import ConfigurationError
from accord.merging.recipe.read import read_recipes
from accord.training import Spec
from accord.training.strict import read_yaml


def test_documents_are_plain_data() -> None:
    text = "a: 1\nb: [x, null, 2.5, true]\n---\n---\n- &same {c: 1}\n- *same\n- {<<: *same, d: 2}\n"
    assert read_documents(text, "it") == [
        {"a": 1, "b": ["x", None, 2.5, True]},
        None,
        [{"c": 1}, {"c": 1}, {"c": 1, "d": 2}],
    ]
    # Several merges in one mapping are no key that stands twice, and 1 is not "1".
    merged = "a: &a {x: 1}\nb: &b {y: 2}\nc: {<<: *a, <<: *b, z: 3}\n"
    assert read_documents(merged, "it")[0]["c"] == {"x": 1, "y": 2, "z": 3}
    assert read_documents("1: a\n'1': b\n", "it") == [{1: "a", "1": "b"}]
    assert read_documents("", "it") == [] and read_documents("\ufeffa: 1", "it") == [{"a": 1}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"'a' stands twice\s+in \"it.yaml\", line 3"),
        ("x:\n  - {n: 1, n: 1}\n", r"'n' stands twice\s+in \"it.yaml\", line 2"),
        ("yes: 1\ntrue: 2\n", r"'true' stands twice\s+in \"it.yaml\", line 2"),
        ("1: a\n0x1: b\n", r"'0x1' stands twice"),
        ("~: a\nnull: b\n", r"'null' stands twice"),
        ("? [a]\n: 1\n", r"unhashable key\s+in \"it.yaml\", line 1"),
        ("a: [1\nb: 2\n", r"no YAML .*line 2"),
        ("a: !!python/object/apply:os.system [true]\n", r"could not determine a constructor .*line 1"),
        ("a: &x\n  b: *x\n", "line 1 holds itself"),
        ("&x [*x]", "line 1 holds itself"),
        ("[" * 5000, "nested too deeply"),
        ("a: 2026-13-45\n", "month must be in"),
        (f"a: {'7' * 5000}\n", ".*digits"),
        ("a: \x00\n", "unacceptable character"),
        ("? [a, b]\n: 1\n? {c: d}\n: 2\n", "unhashable key"),
        (
            "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9) if n else '0'}]\n" for n in range(9)),
            "1,000,000 values",
        ),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s)^it.yaml is .*{message}"):
        read_documents(text, "it.yaml")


def test_a_long_file_is_no_bomb() -> None:
    assert len(read_documents("\n".join(f"- k{n}" for n in range(5000)), "it")[0]) == 5000


def test_values_are_counted_as_often_as_they_are_used() -> None:
    def many(side: int) -> str:
        return f"a: &a [{','.join(['0'] * side)}]\nb: [{','.join(['*a'] * side)}]\n"

    assert len(read_documents(many(900), "it")[0]["b"]) == 900
    with pytest.raises(ConfigurationError, match="1,000,000 values"):
        read_documents(many(1001), "it")


@pytest.mark.parametrize("read", [read_recipes, read_yaml, Spec.from_yaml], ids=["recipe", "mapping", "specification"])
def test_recipes_and_specifications_are_read_alike(read: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "it.yaml"
    what = "recipe" if read is read_recipes else "specification"
    for content, message in [
        (b"a: 1\na: 1\n", "'a' stands twice"),
        (b"a: [", "it.yaml is no YAML"),
        (b"\xff\xfe\x00", f"could not read the {what}"),
    ]:
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=message):
            read(path)
    for absent, message in [
        (tmp_path / "absent.yaml", f"there is no {what} at .*absent.yaml"),
        (tmp_path, f"could not read the {what} .*: Is a directory"),
        (path / "below", f"could not read the {what} .*: Not a directory"),
        (Path("~nobody-of-this-name/it.yaml"), f"could not read the {what} '~nobody"),
        (Path("a\0b"), f"could not read the {what} 'a.x00b'"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            read(absent)


def test_a_specification_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "it.yaml").write_text("tasks: []\n---\ntasks: []\n")
    with pytest.raises(ConfigurationError, match="holds 2 documents; a specification is one"):
        read_yaml(tmp_path / "it.yaml")
    (tmp_path / "it.yaml").write_text("# nothing yet\n")
    assert read_yaml(tmp_path / "it.yaml") is None


def test_a_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "it.yaml").write_text("a: 1\n")
    assert read_text("~/it.yaml", "recipe") == "a: 1\n"
