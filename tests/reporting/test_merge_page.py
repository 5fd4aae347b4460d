"""The report of a merge: its numbers against dense ones, and a page that holds up."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from tests.merging import recipe_zoo as zoo

from accord.errors import DataError
from accord.merging import begin_job
from accord.reporting import write_merge
from accord.reporting.merging.facts import paragraph
from accord.reporting.merging.page import merge_page


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    root = tmp_path_factory.mktemp("zoo")
    states = zoo.write_zoo(root)
    models = [{"model": str(root / name), "parameters": {"weight": w}} for name, w in (("alpha", 0.5), ("beta", 1.0))]
    recipe = {"models": models, "merge_method": "task_arithmetic", "base_model": str(root / "base")}
    job = begin_job(recipe, root / "out")
    plan = job.plan(job.recipes[0])
    with pytest.raises(DataError):
        write_merge(plan)
    plan.run()
    page = write_merge(plan)
    return states, json.loads(page.with_suffix(".json").read_text()), page.read_text()


def test_the_numbers_are_those_of_dense_vectors(reported):
    states, facts, _ = reported
    base, one, other = (
        np.concatenate([t.double().numpy().ravel() for t in states[name].values()])
        for name in ("base", "alpha", "beta")
    )
    changes = [one - base, other - base]
    merged = 0.5 * changes[0] + changes[1]
    total = facts["total"]
    lengths = [np.linalg.norm(change) for change in changes]
    assert total["elements"] == len(base)
    assert total["moved"] == pytest.approx([length / np.linalg.norm(base) for length in lengths], rel=1e-5)
    assert total["cosines"][0][1] == pytest.approx(changes[0] @ changes[1] / lengths[0] / lengths[1], rel=1e-4)
    assert total["kept"] == pytest.approx([merged @ c / (c @ c) for c in changes], rel=1e-4)
    assert total["conflict"] == pytest.approx(np.mean(changes[0] * changes[1] < 0), abs=1e-6)
    sizes = [np.abs(change) for change in changes]
    lost = (sizes[0] + sizes[1] - np.abs(changes[0] + changes[1])).sum() / (sizes[0] + sizes[1]).sum()
    assert total["interference"]["before"] == pytest.approx(lost, rel=1e-4)
    against = [size[change * merged <= 0].sum() for size, change in zip(sizes, changes, strict=True)]
    assert total["interference"]["after"] == pytest.approx(sum(against) / (sizes[0] + sizes[1]).sum(), rel=1e-4)
    assert total["merged"] == pytest.approx(np.linalg.norm(merged) / np.linalg.norm(base), rel=1e-5)


def test_layers_kinds_and_tensors_add_up(reported):
    _, facts, _ = reported
    assert [(layer["stack"], layer["layer"]) for layer in facts["layers"]] == [("model.layers", n) for n in range(4)]
    assert {kind["kind"] for kind in facts["kinds"]} >= {"self_attn.q_proj.weight", "lm_head.weight"}
    for parts in (facts["kinds"], facts["tensors"]):
        assert sum(part["elements"] for part in parts) == facts["total"]["elements"]


class Balance(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "link", "br", "hr", "input", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_says_it_in_words(reported):
    _, facts, page = reported
    parser = Balance()
    parser.feed(page)
    assert not parser.open
    assert facts["paragraph"] in page.replace("&#x27;", "'") and "The result keeps" in facts["paragraph"]
    assert page.count("<figure") == 5 and 'src="' not in page and 'href="http' not in page


def rows_of(page, title):
    """The cells of a table by its caption, without the head."""
    found = re.search(rf"<caption[^>]*>{re.escape(title)}</caption>.*?<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert found is not None
    rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)
    return [
        [re.sub("<[^>]*>", "", c) for c in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows
    ]


def test_cosines_are_shown_by_layer(reported):
    states, _, page = reported
    expected = []
    for layer in range(4):
        changes = [
            np.concatenate(
                [
                    (states[name][key] - states["base"][key]).double().numpy().ravel()
                    for key in states["base"]
                    if key.startswith(f"model.layers.{layer}.")
                ]
            )
            for name in ("alpha", "beta")
        ]
        expected.append(changes[0] @ changes[1] / np.linalg.norm(changes[0]) / np.linalg.norm(changes[1]))
    shown = rows_of(page, "Cosines between changes, model.layers")
    assert [row[0] for row in shown] == ["0", "1", "2", "3"]
    assert [float(row[1].replace("\u2212", "-")) for row in shown] == pytest.approx(expected, abs=0.0051)


def test_of_many_models_the_extremes_are_shown(reported):
    _, facts, _ = reported
    many = json.loads(json.dumps(facts))
    cosines = [[1.0, 0.1, 0.2, None], [0.1, 1.0, -0.3, 0.6], [0.2, -0.3, 1.0, 0.4], [None, 0.6, 0.4, 1.0]]
    for part in (many["total"], *many["layers"], *many["kinds"], *many["tensors"]):
        part |= {
            "models": list("abcd"),
            "cosines": cosines,
            "moved": [0.1] * 4,
            "kept": [0.5] * 4,
            "against": [0.1] * 4,
        }
    many["layers"][3] |= {"models": ["a"], "cosines": [[1.0]], "moved": [0.1], "kept": [0.5]}
    shown = rows_of(merge_page(many), "Cosines between changes, model.layers")
    assert shown[0] == ["0", "\u22120.30", "0.20", "0.60"] and shown[3] == ["3", "\u2013", "\u2013", "\u2013"]


def test_names_cannot_become_code(reported):
    _, facts, _ = reported
    evil = json.loads(json.dumps(facts).replace("alpha", "<script>alert(1)</script>"))
    assert "<script>alert" not in merge_page(evil)


def test_a_stack_of_layers_has_nothing_to_compare():
    facts = {"name": "tall", "models": [{"name": "a"}, {"name": "b"}], "total": {"models": ["a"], "moved": [0.0]}}
    assert paragraph(facts) == "tall holds layers of a and b as they are."
