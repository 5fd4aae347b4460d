"""The page in a real Chromium: what a parser cannot see."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path

import pytest
from tests.reporting.made_runs import Made, census, clinic, write_run

from accord.reporting import write_report

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser():
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the PATH")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # playwright's own, from its event loop
        with api.sync_playwright() as playwright:
            running = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
            yield running
            running.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("reports")
    hostile = [Made("<script>alert(1)</script>", classes=("<img src=x onerror=alert(1)>",)), Made("W" * 80)]
    runs = {
        "two": {"tasks": census()},
        "five": {"tasks": clinic(), "warnings": ("A feature leaks.",)},
        "hostile": {"tasks": hostile, "warnings": ("<script>document.title='owned'</script>" + "w" * 200,)},
    }
    return {name: write_report(write_run(place / name, seeds=2, steps=300, **run)) for name, run in runs.items()}


class Tab:
    """One open page that keeps what it complained about and asked for."""

    def __init__(self, browser, path: Path, **options) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


def size(width: int, height: int = 900) -> dict:
    return {"viewport": {"width": width, "height": height}}


WIDTHS = (360, 768, 1280)
MISPLACED = """() => [...document.querySelectorAll('svg')].filter(s => s.checkVisibility()).map(s => {
    const box = s.getBoundingClientRect(), home = s.closest('section').getBoundingClientRect();
    const inside = box.left >= home.left - 1 && box.right <= home.right + 1
        && box.top >= home.top - 1 && box.bottom <= home.bottom + 1;
    return box.width > 4 && box.height > 4 && inside ? null : s.getAttribute('aria-label') || s.classList.value;
}).filter(Boolean)"""


@pytest.mark.parametrize(("name", "figures"), [("two", 11), ("five", 25), ("hostile", 11)])
def test_fits_draws_and_stays_silent(browser, reports, name, figures):
    with Tab(browser, reports[name], **size(1280)) as tab:
        page = tab.page
        for width in WIDTHS:
            page.set_viewport_size(size(width)["viewport"])
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(MISPLACED) == []
            boxes = [figure.bounding_box() for figure in page.locator("figure").all()]
            assert len(boxes) == figures and all(box and box["width"] > 50 and box["height"] > 50 for box in boxes)
        assert page.title().endswith("Accord report")
        assert tab.requests == [reports[name].as_uri()]
        assert tab.complaints == []


@pytest.mark.parametrize("width", [360, 1280])
def test_text_in_pictures_stays_readable_and_inside(browser, reports, width):
    with Tab(browser, reports["five"], **size(width)) as tab:
        found = tab.page.evaluate(
            """() => [...document.querySelectorAll('svg text')].filter(t => t.checkVisibility()).map(t => {
                const svg = t.ownerSVGElement, box = t.getBoundingClientRect();
                const scale = svg.viewBox.baseVal.width
                    ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
                return [t.textContent, 12 * scale, box.left, box.right, innerWidth];
            })"""
        )
        assert len(found) > 100
        assert [f for f in found if f[1] < 9.5] == []
        assert [f for f in found if f[2] < 0 or f[3] > f[4]] == []


@pytest.mark.parametrize("width", [360, 1280])
def test_labels_of_one_picture_do_not_collide(browser, reports, width):
    with Tab(browser, reports["five"], **size(width)) as tab:
        clashes = tab.page.evaluate(
            """() => [...document.querySelectorAll('svg')].filter(s => s.checkVisibility()).flatMap(s => {
                const boxes = [...s.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
                return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([b, q]) =>
                    p.left < q.right - 2 && q.left < p.right - 2 && p.top < q.bottom - 4 && q.top < p.bottom - 4
                ).map(([b]) => `${s.getAttribute('aria-label') || s.classList}: ${a} / ${b}`));
            })"""
        )
        assert clashes == []


CONTRAST = """() => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgb = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = (color) => {
        const [r, g, b] = rgb(color).slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (node) => {
        for (let n = node; n; n = n.parentElement) {
            const color = getComputedStyle(n).backgroundColor;
            if (rgb(color)[3] > 250) return color;
        }
        return 'white';
    };
    document.querySelectorAll('details').forEach(d => { d.open = true; });
    const low = [];
    let count = 0;
    for (const node of document.querySelectorAll('body *')) {
        const own = [...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || !node.checkVisibility() || ['SCRIPT', 'STYLE'].includes(node.tagName)) continue;
        const style = getComputedStyle(node);
        const front = light(node instanceof SVGElement ? style.fill : style.color), back = light(ground(node));
        const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
        count += 1;
        if (ratio < 4.5) low.push([node.tagName, node.textContent.slice(0, 40), ratio]);
    }
    return [count, low];
}"""


@pytest.mark.parametrize("name", ["five", "hostile"])
def test_contrast_in_light_and_dark(browser, reports, name):
    grounds = {}
    with Tab(browser, reports[name], **size(1280)) as tab:
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            grounds[scheme] = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
            count, low = tab.page.evaluate(CONTRAST)
            assert count > 300
            assert low == []
    brightness = {k: sum(map(int, re.findall(r"\d+", v)[:3])) for k, v in grounds.items()}
    assert brightness["light"] > 600 and brightness["dark"] < 150


def test_every_colour_of_the_matrix_carries_its_number(browser, reports):
    with Tab(browser, reports["five"], **size(1280)) as tab:
        tab.page.evaluate(
            """() => document.querySelectorAll('table.matrix td[data-values]').forEach((cell, i) => {
                cell.className = `q${[-10, 10, -9, 9, -7, 7, -5, 5, -2, 2][i % 10]}`; })"""
        )
        assert tab.page.locator("td.q-10").count() == 2 and tab.page.locator("td.q9").count() == 2
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            assert tab.page.evaluate(CONTRAST)[1] == []


def test_print_opens_details_and_clips_nothing(browser, reports):
    with Tab(browser, reports["five"], color_scheme="dark", **size(718)) as tab:
        page = tab.page
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate("[...document.querySelectorAll('details')].every(d => d.open)")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(
            "[...document.querySelectorAll('main table, main pre, main svg')].filter(n => n.checkVisibility())"
            ".every(n => n.getBoundingClientRect().right <= innerWidth + 1)"
        )
        assert not page.locator("nav").is_visible() and not page.locator(".slider").is_visible()
        assert sum(map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).color"))[:3])) < 150
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert not page.evaluate("[...document.querySelectorAll('details')].some(d => d.open)")
        assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_every_mark_is_reached_by_tab_and_says_its_detail(browser, reports):
    with Tab(browser, reports["five"], **size(1280)) as tab:
        page, reached = tab.page, []
        wanted = page.evaluate(
            "[...document.querySelectorAll('svg[tabindex]')].filter(n => n.checkVisibility()).length"
        )
        for _ in range(400):
            page.keyboard.press("Tab")
            kind, tip, outline = page.evaluate(
                """() => { const a = document.activeElement, t = document.getElementById('tip');
                return [a === document.body ? 'end' : a.classList[0] || a.tagName, t.hidden ? '' : t.textContent,
                        getComputedStyle(a).outlineStyle]; }"""
            )
            if kind == "end":
                break
            assert outline != "none", kind
            reached.append((kind, tip))
        marks = [(kind, tip) for kind, tip in reached if kind in ("interval", "chart", "strip", "dot")]
        assert len(marks) == wanted == 5 + 10 + 3 + 10 + 9
        assert all(tip for _, tip in marks)
        assert any(kind == "interval" and "readmitted_30d" in tip for kind, tip in marks)


def test_arrows_walk_along_curves_and_strips(browser, reports):
    with Tab(browser, reports["five"], **size(1280)) as tab:
        page, tip = tab.page, tab.page.locator("#tip")
        page.locator("#curve-0-train svg").focus()
        page.keyboard.press("Home")
        assert re.match(r"step 1\njoint  [0-9.]+\nsingle  [0-9.]+$", tip.inner_text()) or "joint" in tip.inner_text()
        first = tip.inner_text()
        page.keyboard.press("ArrowRight")
        assert tip.inner_text() != first
        assert page.locator("#curve-0-train .crosshair circle").count() == 2
        page.keyboard.press("Escape")
        assert tip.is_hidden()
        page.locator("svg.strip").first.focus()
        page.keyboard.press("End")
        assert "cosine" in tip.inner_text() and page.locator("rect.on").count() == 1


def test_the_slider_changes_the_matrix_and_back(browser, reports):
    with Tab(browser, reports["five"], **size(1280)) as tab:
        page, cell = tab.page, tab.page.locator("td[data-values]").first
        whole, kind = cell.inner_text(), cell.get_attribute("class")
        page.locator("#conflict-window").focus()
        page.keyboard.press("End")
        parts = (cell.get_attribute("data-values") or "").split()
        assert (
            float(cell.inner_text().replace("\u2212", "-")) == pytest.approx(float(parts[-1])) and parts[-1] != parts[0]
        )
        assert page.locator(".slider output").inner_text().startswith("steps ")
        page.keyboard.press("Home")
        assert (cell.inner_text(), cell.get_attribute("class")) == (whole, kind)


def test_copy_takes_the_specification(browser, reports):
    with Tab(browser, reports["two"], permissions=["clipboard-read", "clipboard-write"], **size(1280)) as tab:
        tab.page.locator("button[data-copy=spec]").click()
        tab.page.locator("button[data-copy=spec]", has_text="Copied").wait_for()
        copied = tab.page.evaluate("navigator.clipboard.readText()")
        assert copied.strip() == (reports["two"].parent / "spec.yaml").read_text().strip()


def test_hover_shows_detail(browser, reports):
    with Tab(browser, reports["two"], **size(1280)) as tab:
        tab.page.locator("svg.interval").first.hover()
        assert "income" in tab.page.locator("#tip").inner_text()


def test_without_script_everything_can_be_read(browser, reports):
    with Tab(browser, reports["five"], java_script_enabled=False, **size(1280)) as tab:
        page = tab.page
        assert page.locator("svg.interval title").count() == 5
        assert not page.locator(".slider").is_visible() and not page.locator("button.copy").first.is_visible()
        assert page.locator("table.matrix").is_visible()
        page.locator("#curve-0-train summary").click()
        assert page.locator("#curve-0-train table").is_visible()
        assert tab.complaints == []
