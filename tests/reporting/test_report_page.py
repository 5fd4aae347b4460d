import base64
import hashlib
import json
import re
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from tests.reporting.made_runs import Made, census, clinic, make_history, write_history, write_run
from tests.reporting.parsed import Node, parse

from accord.errors import AccordError, RunError
from accord.reporting import write_report

SECTIONS = [
    "verdict",
    "metrics",
    "costs",
    "curves",
    "weights",
    "conflict",
    "calibration",
    "data",
    "specification",
    "environment",
]
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></title><svg/onload=alert(1)>",
    "a'b\"c&d;{}|e\nf",
    "\u202egnp.exe \x00\x1b[31m",
    "年齢と収入" * 30,
    "x" * 300,
]


def page(directory, **options) -> Node:
    return parse(write_report(write_run(directory, **options)).read_text("utf-8"))


def small(tasks, **options):
    return {"tasks": tasks, "seeds": 2, "steps": 60, "every": 5, "evaluations": 4, **options}


def sections(root: Node) -> list[str]:
    return [node["id"] for node in root.all("main")[0].children]


def check(root: Node) -> None:
    """What must hold for every page, whatever the run."""
    everything = root.all()
    ids = [node["id"] for node in everything if "id" in node.attributes]
    assert len(ids) == len(set(ids)), "ids repeat"
    for node in everything:
        for name, value in node.attributes.items():
            assert not name.startswith("on") and name != "style", f"inline {name} on <{node.tag}>"
            if name in ("aria-labelledby", "for") or (name == "href" and node.tag == "a"):
                assert (value or "").lstrip("#") in ids, f"{name}={value} points nowhere"
            if node.tag != "meta" and name in (
                "x",
                "y",
                "x1",
                "x2",
                "y1",
                "y2",
                "cx",
                "cy",
                "width",
                "height",
                "d",
            ):
                assert not re.search("nan|inf", value or ""), f"{name}={value!r} on <{node.tag}>"
    levels = [int(node.tag[1]) for node in everything if re.fullmatch("h[1-6]", node.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels)), levels
    for tag in ("main", "header", "nav", "footer"):
        assert len(root.all(tag)) == 1, tag
    for svg in root.all("svg"):
        named = svg.attributes.get("aria-label") and svg.children[0].tag == "title"
        assert named or svg.attributes.get("aria-hidden") == "true"
    for node in everything:
        assert node.attributes.get("data-tip") is None or node["data-tip"].strip()
    assert not root.all("script")[0].attributes and len(root.all("script")) == 1


@pytest.fixture(scope="module")
def clinic_page(tmp_path_factory) -> Node:
    return page(tmp_path_factory.mktemp("clinic"), tasks=clinic(), warnings=("leak!",))


def test_everything_is_there_in_order(clinic_page):
    check(clinic_page)
    assert sections(clinic_page) == ["warnings", *SECTIONS]
    links = [a["href"] for a in clinic_page.all("nav")[0].all("a")]
    assert links == [f"#{name}" for name in SECTIONS]


def test_the_policy_allows_this_style_and_script_only(clinic_page):
    policy = next(m for m in clinic_page.all("meta") if m.attributes.get("http-equiv") == "Content-Security-Policy")[
        "content"
    ]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and rules["base-uri"] == "'none'" and rules["form-action"] == "'none'"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        content = "".join(clinic_page.all(tag)[0].texts)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
        assert not re.search(r"@import|url\(|fetch\(|XMLHttp|innerHTML|eval\(", content)


def test_nothing_points_outside(clinic_page):
    for node in clinic_page.all():
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            value = node.attributes.get(name)
            assert value is None or value.startswith("#") or value == "data:,"


def test_verdict_says_each_sentence_and_draws_each_interval(clinic_page, tmp_path):
    verdict = clinic_page.all("section", id="verdict")[0]
    assert (
        verdict.all("p", class_="answer")[0].text()
        == "Sharing helped 2 of 5 tasks, hurt 1 and made no clear difference to 2."
    )
    rows = verdict.all("li", class_="verdict-row")
    assert len(rows) == 5 and len(verdict.all("svg", class_="interval")) == 5
    for row in rows:
        svg = row.all("svg", class_="interval")[0]
        value, low, high = _numbers(svg["data-tip"])
        dot = float(svg.all("circle")[0]["cx"].rstrip("%"))
        left, right = (float(svg.all("line", class_="whisker")[0][k].rstrip("%")) for k in ("x1", "x2"))
        # Zero is at 50 % in every row, whatever the unit; distances from it keep the proportions of the numbers.
        assert svg.all("line", class_="zero")[0]["x1"] == "50%"
        assert (dot - 50) / value == pytest.approx((right - 50) / high, rel=0.06)
        assert left < dot < right and (low < 0) == (left < 50)
        assert left > 0 and right < 100


def _numbers(tip):
    return [
        float(n.replace("\u2212", "-")) for n in re.findall("[+\u2212]?[0-9.]+", tip.split("\n")[1].split("R²")[-1])
    ][:3]


def test_the_better_mean_is_marked_in_words(clinic_page):
    rows = clinic_page.all("section", id="metrics")[0].all("tr")[1:]
    assert len(rows) == 10
    rmse = next(row for row in rows if "RMSE" in row.text())
    joint, single = rmse.all("td")[1:]
    assert "better" in joint.text() and "better" not in single.text()  # 31.2 h against 32.6 h, lower is better
    assert joint.all("strong") and not single.all("strong")
    assert sum("better" in cell.text() for row in rows for cell in row.all("td")[1:]) == 10


def test_figures_have_tables_with_the_same_numbers(clinic_page):
    figures = clinic_page.all("figure")
    assert len(figures) == 1 + 10 + 3 + 2 + 3 + 6
    without = [f["id"] for f in figures if not f.all("table")]
    assert without == []
    assert all(f.all("figcaption") for f in figures)


def test_matrix_is_symmetric_and_says_its_numbers(clinic_page):
    rows = clinic_page.all("table", class_="matrix")[0].all("tr")[1:]
    cells = [[cell.text() for cell in row.all("td")] for row in rows]
    assert [row[i] for i, row in enumerate(cells)] == ["same task"] * 5
    assert all(cells[i][j] == cells[j][i] for i in range(5) for j in range(5))
    assert len(clinic_page.all("svg", class_="strip")) == 10


def test_same_run_same_bytes(tmp_path):
    write_run(tmp_path / "run", **small(census()))
    first = write_report(tmp_path / "run").read_bytes()
    assert write_report(tmp_path / "run", tmp_path / "deep" / "other.html").read_bytes() == first
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_inert(tmp_path, name):
    tasks = [Made(name, classes=(name,)), Made("plain")]
    directory = write_run(tmp_path, **small(tasks, warnings=(name,)))
    metrics = json.loads((directory / "metrics.json").read_text("utf-8"))
    metrics["environment"] = {name: name}
    metrics["tasks"][0]["metrics"]["auc"] = {"label": name, "unit": name}
    (directory / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    column = {"name": name, "kind": name, "role": "feature", "reason": name}
    features = {"schema": {"columns": [column, {**column, "role": "dropped"}]}}
    (directory / "features.json").write_text(json.dumps(features), encoding="utf-8")
    spec = {"data": {"source": name}, "balancing": {"method": name}, "model": {"sharing": name}}
    (directory / "spec.yaml").write_text(yaml.safe_dump(spec, allow_unicode=True), encoding="utf-8")
    root = parse(write_report(directory).read_text("utf-8"))
    check(root)
    assert sections(root) == ["warnings", *SECTIONS]
    assert not root.all("img") and all(node.parent.tag == "body" for node in root.all("script"))
    assert root.all("bdi")


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"tasks": census(), "baselines": False}, set()),
        ({"tasks": census(), "history": False}, {"curves", "weights", "conflict"}),
        ({"tasks": census()[:1]}, {"conflict"}),
        ({"tasks": [Made("y", classes=())]}, {"conflict", "calibration"}),
    ],
)
def test_sections_without_content_vanish(tmp_path, change, gone):
    root = page(tmp_path, **small(**change))
    check(root)
    assert sections(root) == [name for name in SECTIONS if name not in gone]


def test_without_baselines_the_page_says_so(tmp_path):
    root = page(tmp_path, **small(census(), baselines=False))
    said = root.all("section", id="verdict")[0].text()
    assert "not known" in said and "evaluation.baselines: true" in said
    assert "Single" not in root.all("section", id="metrics")[0].all("thead")[0].text()
    assert not root.all("path", class_="base")


def test_one_task_says_that_nothing_was_shared(tmp_path):
    root = page(tmp_path, **small(census()[:1], baselines=False))
    assert "nothing was shared" in root.all("section", id="verdict")[0].text()


def test_an_interrupted_run(tmp_path):
    directory = write_run(tmp_path, **small(census(), baselines=False))
    metrics = json.loads((directory / "metrics.json").read_text())
    (directory / "metrics.json").write_text(json.dumps({**metrics, "interrupted": True}))
    assert "interrupted" in parse(write_report(directory).read_text()).all("section", id="verdict")[0].text()


def test_an_unfinished_run_shows_what_there_is(tmp_path):
    directory = write_run(tmp_path, **small(census()))
    (directory / "metrics.json").unlink()
    root = parse(write_report(directory).read_text("utf-8"))
    check(root)
    assert "not finished" in root.all("section", id="warnings")[0].text()
    assert sections(root) == ["warnings", "verdict", "curves", "weights", "conflict", "data", "specification"]


def test_many_warnings_are_folded_not_lost(tmp_path):
    root = page(tmp_path, **small(census(), warnings=tuple(f"warning {i}" for i in range(30))))
    box = root.all("section", id="warnings")[0]
    assert box.all("h2")[0].text() == "30 warnings" and len(box.all("li")) == 30
    assert len([li for li in box.all("li") if li.parent.parent.tag != "details"]) == 4


def test_two_tasks_get_a_line_and_no_matrix(tmp_path):
    root = page(tmp_path, **small(census()))
    conflict = root.all("section", id="conflict")[0]
    assert len(conflict.all("svg", class_="chart")) == 2 and not conflict.all("table", class_="matrix")


def test_layers_are_told_apart_where_they_were_measured(tmp_path):
    directory = write_run(tmp_path, **small(clinic(), layers=("trunk.0", "trunk.2")))
    root = parse(write_report(directory).read_text("utf-8"))
    check(root)
    rows = [[cell.text() for cell in row.children] for row in root.all("figure", id="conflict-layers")[0].all("tr")[1:]]
    history = pq.read_table(directory / "history.parquet").to_pandas()
    for row, layer in zip(rows, ("trunk.0", "trunk.2"), strict=True):
        measured = history[history["name"] == f"cosine:{layer}"]
        by_pair = measured.groupby(["task", "other"])["value"].mean()
        worst = " ".join(sorted(f"{' '.join(by_pair.idxmin())} ×".split()))  # the parser does not keep their order
        wanted = [layer, by_pair.mean(), f"{100 * (measured['value'] < 0).mean():.0f} %", worst, by_pair.min()]
        shown = [cell.replace("−", "-").replace("\u00a0", " ") for cell in row]
        shown[3] = " ".join(sorted(shown[3].split()))
        assert shown == [f"{part:.2f}" if isinstance(part, float) else part for part in wanted]


def test_sizes_and_rates_are_drawn_beside_weights(tmp_path):
    section = page(tmp_path, **small(census())).all("section", id="weights")[0]
    assert [figure.attributes["id"] for figure in section.all("figure")] == [
        "weights-figure",
        "dominances-figure",
        "effective-rates-figure",
    ]


def test_no_metrics_values_are_shown_as_absent(tmp_path):
    directory = write_run(tmp_path, **small(census()))
    metrics = json.loads((directory / "metrics.json").read_text())
    metrics["test"]["joint"]["income"]["auc"] = [None, float("nan")]
    metrics["verdict"]["tasks"][0].update(difference=None, low=None, high=None)
    metrics["verdict"]["delta_m"] = {"value": None, "low": None, "high": None}
    metrics["cost"]["joint"] = {"seconds": None}
    (directory / "metrics.json").write_text(json.dumps(metrics))
    root = parse(write_report(directory).read_text("utf-8"))
    check(root)
    assert "not a number" in root.all("section", id="metrics")[0].text()
    assert "costs" not in sections(root)
    first = root.all("svg", class_="interval")[0]
    assert not first.all("circle") and not first.all("line", class_="whisker")


def test_long_histories_of_many_tasks_stay_small(tmp_path):
    tasks = [Made(f"task number {i} with quite a long name") for i in range(24)]
    directory = write_run(tmp_path, tasks=tasks, seeds=2, steps=2000, every=25, evaluations=40)
    size = write_report(directory).stat().st_size
    assert size < 1_500_000
    few = write_run(tmp_path / "few", tasks=tasks[:2], seeds=1, steps=60_000, every=1, evaluations=300)
    assert write_report(few).stat().st_size < 300_000


def test_a_spike_is_reported_not_hidden(tmp_path):
    directory = write_run(tmp_path, **small(census()[:1], history=False))
    chunks = make_history(census()[:1], 1, 300, 1, 5, False, np.random.default_rng(0))
    chunks[0].values[[3, 5]] = 1e6, np.nan
    write_history(directory / "history.parquet", chunks)
    chart = parse(write_report(directory).read_text()).all("figure", id="curve-0-train")[0].all("svg")[0]
    assert "beyond the axis" in chart.all("desc")[0].text() and "1 not finite" in chart.all("desc")[0].text()


@pytest.mark.parametrize("name", ["metrics.json", "features.json", "spec.yaml", "history.parquet"])
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe{", b"{", b"[1, 2]", b"a: [", b"!!python/object/apply:os.system ['true']"]
)
def test_damage_is_explained_and_names_the_file(tmp_path, name, content):
    directory = write_run(tmp_path, **small(census()))
    report = write_report(directory)
    before = report.read_bytes()
    (directory / name).write_bytes(content)
    try:
        write_report(directory)
    except AccordError as error:
        assert name in str(error)
        assert report.read_bytes() == before
    else:
        assert name == "spec.yaml" and content in (b"", b"[1, 2]", b"{")


def test_a_directory_that_is_no_run(tmp_path):
    with pytest.raises(RunError, match="not a run directory"):
        write_report(tmp_path)


def test_a_history_of_something_else(tmp_path):
    directory = write_run(tmp_path, **small(census()))
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), directory / "history.parquet")
    with pytest.raises(RunError, match="has no column 'seed'"):
        write_report(directory)


def test_where_nothing_can_be_written_the_old_report_stays(tmp_path):
    directory = write_run(tmp_path, **small(census()))
    occupied = tmp_path / "taken"
    (occupied / "by a folder").mkdir(parents=True)
    with pytest.raises(RunError, match="could not write"):
        write_report(directory, occupied)
    assert (occupied / "by a folder").is_dir() and not list(tmp_path.rglob("*.part"))


def test_few_measurements_leave_no_holes_in_strips(tmp_path):
    root = page(tmp_path, **small(clinic(), steps=7, every=1, evaluations=2))
    strips = root.all("svg", class_="strip")
    assert [len(strip.all("rect")) for strip in strips] == [7] * 10
    assert not root.all("rect", class_="q-none")
    assert root.all("input")[0]["max"] == "7"


def test_a_line_that_ends_early_is_labelled_there(tmp_path):
    directory = write_run(tmp_path, **small(census()[:1], history=False))
    chunks = make_history(census()[:1], 1, 100, 5, 10, True, np.random.default_rng(0))
    single = next(c for c in chunks if c.run.startswith("single") and c.phase == "validation")
    single.steps, single.values = single.steps[:4], single.values[:4]
    write_history(directory / "history.parquet", chunks)
    chart = parse(write_report(directory).read_text()).all("figure", id="curve-0-validation")[0].all("svg")[0]
    places = {label.text(): float(label["x"]) for label in chart.all("text", class_="label")}
    ends = [max(float(c["cx"]) for c in chart.all("circle", class_=look)) for look in ("t0", "base")]
    assert places == pytest.approx({"joint": ends[0] + 8, "single": ends[1] + 8}) and ends[1] < ends[0] - 50


def test_metrics_of_a_task_share_its_heading(clinic_page):
    table = clinic_page.all("table", class_="metrics")[0]
    bodies = table.all("tbody")
    assert [len(body.all("tr")) for body in bodies] == [2] * 5
    assert all(th["scope"] == "rowgroup" and th["rowspan"] == "2" for body in bodies for th in body.all("th"))


@pytest.mark.parametrize(("seeds", "said"), [(1, "one seed"), (2, "half their range"), (3, "Student t")])
def test_the_metrics_say_what_their_interval_is(tmp_path, seeds, said):
    section = page(tmp_path, **small(census(), seeds=seeds)).all("section", id="metrics")[0]
    assert said in section.all("p", class_="lead")[0].text()
    assert ("±" in section.all("tbody")[0].text()) == (seeds > 1)


def test_rows_are_counted_over_equal_stretches(tmp_path):
    directory = write_run(tmp_path, **small(census()[:1]))
    metrics = json.loads((directory / "metrics.json").read_text())
    curve = {
        "label": "yes",
        "ece": 0.1,
        "count": [4, 12, 9, 0],
        "confidence": [0.01, 0.02, 0.92, 0.5],
        "frequency": [0, 0, 1, 1],
    }
    (directory / "metrics.json").write_text(json.dumps({**metrics, "calibration": {"income": [curve]}}))
    chart = parse(write_report(directory).read_text()).all("figure", id="calibration-0-0")[0].all("svg")[0]
    heights = [float(bar["height"]) for bar in chart.all("rect", class_="bar")]
    # 4 + 12 rows in the first twentieth, 9 in the one from 0.9: heights as 4 to 3; the empty bin has no mark.
    assert heights == pytest.approx([48, 36], abs=0.01)
    assert len(chart.all("circle")) == 3


def test_costs_are_compared_only_where_there_is_something_to_compare(tmp_path):
    both = page(tmp_path / "a", **small(census())).all("section", id="costs")[0]
    assert len(both.all("svg")) == 8 and "39\u00a0% less" in both.text().replace("39 %", "39\u00a0%")
    alone = page(tmp_path / "b", **small(census(), baselines=False)).all("section", id="costs")[0]
    assert not alone.all("svg") and "1 min 14 s" in alone.text()
