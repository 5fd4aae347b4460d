"""The saved page in a real Chromium: it fits, is silent, can be used by hand, keyboard and ear, and tells the truth."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from tests.exploring.made_fronts import census, clinic, figures, grid, hostile, make_record, task, write_front
from tests.exploring.visits import heard, number, shares, visit
from tests.reporting.test_report_browser import CONTRAST

from accord.exploring import write_front_page

pytestmark = pytest.mark.browser

RECORDS = {
    "two": make_record(census()),
    "three": make_record(clinic(3), steps=5),
    "five": make_record(clinic(5), steps=4, warnings=["A feature leaks."], notes=["One seed."]),
    "bare": make_record(census(), baselines=False, knee=None, paragraph=None),
    "hostile": make_record(hostile(), steps=5, warnings=["<img src=x onerror=alert(1)>"]),
    "many": make_record([task(f"task {i}") for i in range(11)], steps=2),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("pages")
    return {
        name: write_front_page(write_front(place / name, record), place / f"{name}.html")
        for name, record in RECORDS.items()
    }


@pytest.mark.parametrize("name", RECORDS)
def test_fits_every_width_and_stays_silent(browser, pages, name):
    with visit(browser, pages[name].as_uri()) as page:
        for width in (320, 375, 768, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(50)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            outside = page.evaluate(
                """() => [...document.querySelectorAll('#plot svg text, #triangle text')].map(t => {
                    const a = t.getBoundingClientRect(), b = t.ownerSVGElement.getBoundingClientRect();
                    return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1
                        ? t.textContent : null; }).filter(Boolean)"""
            )
            assert outside == []
        assert page.locator(".mark-point").count() == len(RECORDS[name]["points"]) + 1  # one in the legend
        assert page.requests == [pages[name].as_uri()] and page.complaints == []


@pytest.mark.parametrize("name", ["two", "three", "hostile"])
def test_everything_can_be_read_and_the_rules_of_axe_are_kept(browser, pages, name):
    with visit(browser, f"{pages[name].as_uri()}#limits=0:90.5") as page:
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        for width, scheme in ((375, "dark"), (1280, "light")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            found = Axe().run(page)
            assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in found.response["violations"]] == []
            assert len(found.response["passes"]) > 20
            page.evaluate(
                "document.querySelectorAll('option').forEach(o => { o.textContent = ''; })"
            )  # not our colours
            count, low = page.evaluate(CONTRAST)
            assert count > 60 and low == []


@pytest.mark.parametrize("name", ["two", "three", "five"])
def test_every_control_is_reached_in_a_sensible_order_and_has_a_name(browser, pages, name):
    with visit(browser, pages[name].as_uri()) as page:
        reached = []
        for _ in range(200):
            page.keyboard.press("Tab")
            one = page.evaluate(
                """() => { const a = document.activeElement; if (a === document.body) return null;
                const home = a.closest('section'), style = getComputedStyle(a);
                const name = a.getAttribute('aria-label') || a.labels?.[0]?.textContent || a.textContent;
                return [home ? home.id : '', name, style.outlineStyle !== 'none' || a.matches('.limit')]; }"""
            )
            if one is None:
                break
            reached.append(one)
        assert all(label.strip() and outlined for _, label, outlined in reached)
        homes = list(dict.fromkeys(home for home, _, _ in reached))
        assert homes == ["", "steer", "front", "chosen", "points", "conflict"]
        assert reached[0][1] == "Skip to the preference"


def test_the_slider_says_where_it_is_and_metrics_follow(browser, pages):
    with visit(browser, pages["two"].as_uri()) as page:
        slider = page.get_by_role("slider", name="Preference between income and marital_stat")
        slider.focus()
        page.keyboard.press("Home")
        assert slider.get_attribute("aria-valuetext") == "income 100 %, marital_stat 0 %"
        for step in range(1, 4):
            page.keyboard.press("ArrowRight")
            point = RECORDS["two"]["points"][step]
            assert shares(page) == [round(100 * s) for s in point["preference"]]
            auc = point["metrics"]["income"]["auc"]
            row = page.locator(".row").first
            assert number(row.locator(".value").inner_text()) == pytest.approx(100 * auc["value"], abs=0.005)
            ends = [number(text) for text in re.findall(r"[\d.]+", row.locator(".bounds").inner_text())]
            assert ends == pytest.approx([100 * auc["low"], 100 * auc["high"]], abs=0.006)
        page.keyboard.press("End")
        assert slider.get_attribute("aria-valuetext") == "income 0 %, marital_stat 100 %"
        heard(page, "income AUC 80.00, from 79.60 to 80.40")


def test_rows_say_how_they_compare(browser, pages):
    with visit(browser, f"{pages['two'].as_uri()}#preference=0.5,0.5") as page:
        row = page.locator(".row").first
        here = 100 * RECORDS["two"]["points"][5]["metrics"]["income"]["auc"]["value"]
        others = [100 * b["metrics"]["income"]["auc"]["value"] for b in RECORDS["two"]["baselines"][:2]]
        words = [s.strip(" ,") for s in row.locator(".compared > span").all_text_contents()]
        assert words == [
            f"{abs(here - other):.2f} {'better' if here > other else 'worse'} than {name}"
            for other, name in zip(others, ("balanced", "single-task"), strict=True)
        ]


def test_a_limit_shades_counts_and_leads_to_the_best(browser, pages):
    record = RECORDS["two"]
    with visit(browser, pages["two"].as_uri()) as page:
        field = page.get_by_role("spinbutton", name="income AUC at least")
        field.fill("90.9")
        kept = [p for p in record["points"] if 100 * p["metrics"]["income"]["auc"]["value"] >= 90.9]
        assert page.locator("#kept").inner_text() == f"{len(kept)} of 11 stored points keep the limit."
        assert page.locator("#plot .mark-point.fails").count() == 11 - len(kept)
        assert page.locator("#plot .beyond").count() == 1
        handle = page.get_by_role("slider", name="Limit for income AUC")
        assert (
            handle.get_attribute("aria-valuetext") == f"at least 90.90; {len(kept)} of 11 stored points keep all limits"
        )
        page.get_by_role("button", name="Go to the best of them").click()
        best = max(kept, key=lambda p: p["metrics"]["marital_stat"]["auc"]["value"])
        assert shares(page) == [round(100 * s) for s in best["preference"]]

        page.get_by_label("Count a limit as kept only if the whole interval keeps it").check()
        surely = [p for p in kept if 100 * p["metrics"]["income"]["auc"]["low"] >= 90.9]
        assert len(surely) < len(kept)
        assert page.locator("#kept").inner_text() == f"{len(surely)} of 11 stored points keep the limit."

        page.get_by_role("spinbutton", name="marital_stat AUC at least").fill("93.9")
        assert page.locator("#kept").inner_text() == "None of 11 stored points keeps all 2 limits."
        page.get_by_role("spinbutton", name="income AUC at least").fill("99")
        apart = """[...document.querySelectorAll(".label-bound")].map(e => e.getBoundingClientRect().toJSON())"""
        for other in ("10", "93.9", "99"):
            page.get_by_role("spinbutton", name="marital_stat AUC at least").fill(other)
            one, two = page.evaluate(apart)
            assert one["bottom"] <= two["top"] or two["bottom"] <= one["top"] or one["right"] <= two["left"]
        page.get_by_role("button", name="Go to the nearest miss").click()
        assert page.locator(".row.fails .outside").first.inner_text().startswith("misses its limit by ")
        page.get_by_role("button", name="Remove limits").click()
        assert page.locator("#plot .fails").count() == 0 and field.input_value() == ""
        assert page.complaints == []


def test_a_handle_of_the_strip_takes_keys_and_the_plots_takes_the_pointer(browser, pages):
    with visit(browser, pages["two"].as_uri()) as page:
        handle = page.get_by_role("slider", name="Limit for marital_stat AUC")
        assert handle.get_attribute("aria-valuetext") == "no limit"
        handle.focus()
        page.keyboard.press("PageUp")
        assert (handle.get_attribute("aria-valuetext") or "").startswith("at least ")
        page.keyboard.press("Home")
        assert handle.get_attribute("aria-valuetext") == "no limit"

        grip = page.locator(".handle.x .grip").bounding_box()
        plot = page.locator("#plot").bounding_box()
        page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
        page.mouse.down()
        page.mouse.move(plot["x"] + plot["width"] / 2, grip["y"] + 30, steps=5)
        page.mouse.up()
        bound = number(page.get_by_role("spinbutton", name="income AUC at least").input_value())
        values = [100 * p["metrics"]["income"]["auc"]["value"] for p in RECORDS["two"]["points"]]
        assert min(values) < bound < max(values)
        assert page.locator("#plot .mark-point.fails").count() == sum(v < bound for v in values)
        edge = page.locator(".handle.x .bound").bounding_box()
        assert edge["x"] == pytest.approx(plot["x"] + plot["width"] / 2, abs=3)


def test_points_are_chosen_by_hand_by_key_and_from_the_table(browser, pages):
    points = RECORDS["two"]["points"]
    with visit(browser, pages["two"].as_uri()) as page:
        page.locator("#plot [data-place='2']").click()
        assert shares(page) == [80, 20]
        page.locator("#plot svg").focus()
        page.keyboard.press("Home")
        worst = min(points, key=lambda p: p["metrics"]["income"]["auc"]["value"])
        tip = page.locator("#tip").inner_text()
        assert (
            tip.startswith("income 0 %, marital_stat 100 %")
            and f"{100 * worst['metrics']['income']['auc']['value']:.2f}" in tip
        )
        heard(page, "income 0 %, marital_stat 100 %")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        assert shares(page) == [10, 90]
        page.keyboard.press("Escape")
        assert page.locator("#tip").is_hidden()
        page.locator("#points summary").click()
        page.get_by_role("button", name="Show income 70 %, marital_stat 30 %").click()
        assert shares(page) == [70, 30]
        assert page.locator("tr.here").count() == 1


def test_axes_change_and_the_page_remembers(browser, pages):
    with visit(browser, pages["three"].as_uri()) as page:
        page.get_by_role("button", name="Losses").click()
        assert page.get_by_role("button", name="Losses").get_attribute("aria-pressed") == "true"
        assert "readmitted_30d loss across, length_of_stay loss up" in page.locator("#plot svg").get_attribute(
            "aria-label"
        )
        page.get_by_role("combobox", name="Up").select_option(label="mortality: AUC")
        page.get_by_role("button", name="Equal shares").click()
        page.get_by_role("spinbutton", name="mortality AUC at least").fill("85.5")
        while "limits" not in page.url:
            page.wait_for_timeout(50)
        page.reload()
        page.locator("html.ready").wait_for()
        assert "loss across, mortality AUC, points up" in page.locator("#plot svg").get_attribute("aria-label")
        assert page.get_by_role("spinbutton", name="mortality AUC at least").input_value() == "85.50"
        assert shares(page) == [33, 33, 33]
        assert page.complaints == []


SPOILT = (
    "preference=a,b",
    "preference=1,2,3",
    "preference=-1,2",
    "preference=1e999,1",
    "x=99&y=-1",
    "limits=x:y,99:1,0:",
    "%%%",
)


def test_a_spoilt_address_does_no_harm(browser, pages):
    with visit(browser, pages["two"].as_uri()) as page:
        for text in SPOILT:
            page.goto("about:blank")
            page.goto(f"{pages['two'].as_uri()}#{text}")
            page.locator("html.ready").wait_for()
            assert shares(page) == [50, 50] and page.complaints == [], text
            assert page.locator("#plot .mark-shown").count() == 1


def test_the_triangle_takes_hand_and_keys(browser, pages):
    with visit(browser, pages["three"].as_uri()) as page:
        triangle = page.locator("#triangle")
        box = triangle.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] - 50, steps=4)
        page.mouse.up()
        assert shares(page) == [0, 0, 100]
        triangle.focus()
        for _ in range(5):
            page.keyboard.press("ArrowDown")
        left, right, top = shares(page)
        assert top == pytest.approx(88, abs=2) and left == pytest.approx(right, abs=1)
        page.keyboard.press("ArrowRight")
        assert shares(page)[1] > right
        assert re.fullmatch(
            r"readmitted_30d \d+ %, length_of_stay \d+ %, mortality \d+ %", triangle.get_attribute("aria-valuetext")
        )
        nearest = page.locator("#source").inner_text()
        assert re.fullmatch(r"Nearest stored point: \d+ % / \d+ % / \d+ %\.", nearest.replace("\u00a0", " "))


def test_parallel_sliders_share_one_whole(browser, pages):
    with visit(browser, pages["five"].as_uri()) as page:
        page.get_by_role("button", name="Equal shares").click()
        assert shares(page) == [20] * 5
        page.get_by_role("slider", name="sepsis", exact=True).focus()
        page.keyboard.press("End")
        assert shares(page) == [0, 0, 0, 100, 0]
        for _ in range(20):
            page.keyboard.press("ArrowLeft")
        assert shares(page) == [5, 5, 5, 80, 5]


def test_what_is_shown_is_the_nearest_stored_point(browser, pages):
    tasks = clinic(5)
    with visit(browser, f"{pages['five'].as_uri()}#preference=0.55,0.3,0.15,0,0") as page:
        wanted = [0.55, 0.3, 0.15, 0, 0]
        near = min(grid(5, 4), key=lambda p: sum((a - b) ** 2 for a, b in zip(p, wanted, strict=True)))
        expected = figures(tasks, near)["metrics"]["readmitted_30d"]["auc"]["value"]
        assert number(page.locator(".row .value").first.inner_text()) == pytest.approx(100 * expected, abs=0.005)
        assert "Nearest stored point: 50" in page.locator("#source").inner_text().replace("\u00a0", " ")


def test_a_saved_page_says_how_to_export(browser, pages):
    with visit(browser, f"{pages['two'].as_uri()}#preference=0.3,0.7") as page:
        assert page.locator("#export code").inner_text() == "accord explore two --preference 0.3,0.7 --export chosen"
        assert page.get_by_role("button", name="Export").count() == 0


def test_without_a_script_the_figures_are_there(browser, pages):
    with visit(browser, pages["five"].as_uri(), java_script_enabled=False) as page:
        assert "need JavaScript" in page.locator("noscript").inner_text()
        page.locator("#points summary").click()
        assert page.locator("#points table").is_visible() and page.locator("table.matrix").is_visible()
        assert not page.locator("#chosen .live").is_visible()


def test_less_motion_where_it_is_asked_for(browser, pages):
    durations = {}
    for motion in ("reduce", "no-preference"):
        with visit(browser, pages["two"].as_uri(), reduced_motion=motion) as page:
            durations[motion] = page.evaluate(
                "Math.max(...[...document.querySelectorAll('*')]"
                ".map(n => parseFloat(getComputedStyle(n).transitionDuration)))"
            )
    assert durations["reduce"] == 0 < durations["no-preference"]


def test_paper_shows_the_choice_and_not_the_controls(browser, pages):
    with visit(browser, pages["five"].as_uri(), width=718, color_scheme="dark") as page:
        page.emulate_media(media="print")
        for hidden in ("#jumps", ".tools", ".limit", "#export", "#preference input"):
            assert not page.locator(hidden).first.is_visible()
        assert page.locator("#plot svg").is_visible() and page.locator(".row .value").first.is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ink = page.evaluate("getComputedStyle(document.body).color")
        assert sum(map(int, re.findall(r"\d+", ink)[:3])) < 150
        assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_missing_numbers_leave_gaps_and_no_errors(browser, tmp_path):
    record = make_record(census())
    gap = {"value": None, "low": None, "high": None}
    for point in record["points"][:4]:
        point["metrics"]["income"]["auc"] = gap
    for point in record["points"][4:]:
        point["metrics"]["marital_stat"]["auc"] = {**point["metrics"]["marital_stat"]["auc"], "low": None, "high": None}
    file = write_front_page(write_front(tmp_path / "gaps", record), tmp_path / "gaps.html")
    with visit(browser, f"{file.as_uri()}#preference=1,0&limits=0:90") as page:
        assert page.locator(".row .value").first.inner_text() == "\u2013"
        assert page.locator(".row .outside").first.inner_text() == "no value"
        assert page.locator("#plot .mark-point").count() == 7 and page.locator("#plot .mark-shown").count() == 0
        page.get_by_role("button", name="Go to the best of them").click()
        assert page.locator("#plot .mark-shown").count() == 1 and page.complaints == []


def test_a_front_of_one_point_and_equal_values_is_drawn(browser, tmp_path):
    record = make_record(census(), baselines=False)
    record["points"] = record["points"][5:6]
    record["knee"] = 0
    place = tmp_path / quote("odd name & #1")
    file = write_front_page(write_front(place, json.loads(json.dumps(record))), tmp_path / "one.html")
    with visit(browser, file.as_uri()) as page:
        assert page.locator("#plot .mark-point").count() == 1 and page.complaints == []
