"""Modules become one script: in order, once each, with their names to themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accord.exploring import bundle, page

ASSETS = Path(bundle.__file__).parent / "assets"


def linked(monkeypatch, modules: dict[str, str], main: str = "main") -> str:
    monkeypatch.setattr(bundle, "asset", lambda name: modules[name.removesuffix(".js")])
    return bundle.script.__wrapped__(main)


def test_what_is_imported_stands_before_and_only_once(monkeypatch):
    script = linked(
        monkeypatch,
        {
            "main": 'import { a } from "./a.js";\nimport { b } from "./b.js";\na(b());\n',
            "a": 'import { b } from "./b.js";\nexport function a(x) { return b() + x; }\n',
            "b": "const hidden = 1;\nexport async function b() { return hidden; }\n",
        },
    )
    assert re.findall(r"const module_(\w+) =", script) == ["b", "a", "main"]
    assert "import" not in script and "export" not in script
    assert "return { b };" in script and "const { b } = module_b;" in script


def test_modules_in_a_circle_are_named(monkeypatch):
    with pytest.raises(ValueError, match="a → b → a"):
        linked(monkeypatch, {"a": 'import { b } from "./b.js";\n', "b": 'import { a } from "./a.js";\n'}, "a")


def test_every_module_and_style_is_used_and_nothing_is_left_to_link():
    script = bundle.script()
    modules = {path.stem for path in ASSETS.glob("*.js")}
    assert set(re.findall(r"^const module_(\w+) =", script, re.MULTILINE)) == modules
    assert not re.search(r"^\s*(import|export)\b", script, re.MULTILINE)
    assert {path.name for path in ASSETS.glob("*.css")} == set(page.STYLES)


def test_every_module_says_what_it_is_for_and_stays_small():
    for path in ASSETS.glob("*.js"):
        text = path.read_text("utf-8")
        assert text.startswith("// "), path.name
        assert len(text.splitlines()) <= 160, path.name
        for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert unsafe not in text, f"{path.name} uses {unsafe}"


def test_nothing_is_fetched_from_elsewhere():
    for path in ASSETS.iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//cdn|@import|url\((?!#)", text), path.name
