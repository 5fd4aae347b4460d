"""The page of a comparison in a real Chromium: at every width, in the dark, by keyboard, and with hostile names."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.reporting.made_comparisons import write_comparison_directory
from tests.reporting.test_report_browser import CONTRAST, MISPLACED, Tab, browser, size

from accord.reporting import write_comparison

pytestmark = pytest.mark.browser
__all__ = ["browser"]  # the fixture: one Chromium for the tests of this file
HOSTILE = "<script>document.title='owned'</script>"
SECTIONS = ("verdict", "metrics", "ranks", "costs", "search", "specification")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("comparisons")
    many = ["cagrad", "hard_sharing+upgrad", "ple+temperature", "smooth_tchebycheff", "random_loss_weighting", "famo"]
    made = {
        "two": write_comparison_directory(place / "two", ["cagrad", "ple+upgrad"]),
        "six": write_comparison_directory(
            place / "six", many, notes=["tune-1.json is damaged. That run is made again."]
        ),
        "hostile": write_comparison_directory(place / "hostile", ["cagrad"], (HOSTILE, "W" * 80), notes=[HOSTILE]),
    }
    return {name: write_comparison(directory) for name, directory in made.items()}


@pytest.mark.parametrize("name", ["two", "six", "hostile"])
def test_nothing_overflows_or_is_fetched_at_any_width(browser, pages: dict[str, Path], name: str) -> None:
    with Tab(browser, pages[name], **size(360)) as tab:
        for width in (360, 768, 1280):
            tab.page.set_viewport_size(size(width)["viewport"])
            assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
            assert tab.page.evaluate(MISPLACED) == []
        assert all(tab.page.locator(f"#{section}").is_visible() for section in SECTIONS)
        assert tab.page.title().endswith("Accord comparison")
        assert tab.requests == [pages[name].as_uri()]
        assert tab.complaints == []


def test_the_answer_says_who_is_better_worse_and_out(browser, pages: dict[str, Path]) -> None:
    with Tab(browser, pages["six"], **size(1280)) as tab:
        rows = tab.page.locator("#verdict .verdict-row:not(.axis-row)")
        assert rows.count() == 5  # famo failed
        chips = [row.locator(".chip").inner_text() for row in rows.all()]
        assert [sum(word in chip for chip in chips) for word in ("better", "worse", "no clear")] == [2, 2, 1]
        assert "2 of 5 methods better" in tab.page.locator("#verdict .answer").inner_text()
        assert "damaged" in tab.page.locator("#warnings").inner_text()
        names = tab.page.locator("#metrics tbody tr").all_inner_texts()
        assert any("tuned plain weights" in name for name in names) and any("single-task" in name for name in names)


def test_trials_unfold_by_keyboard_and_mark_the_chosen_one(browser, pages: dict[str, Path]) -> None:
    with Tab(browser, pages["two"], **size(1280)) as tab:
        summary = tab.page.locator("#search summary").nth(3)
        summary.focus()
        tab.page.keyboard.press("Enter")
        shown = tab.page.locator("#search details[open]")
        assert shown.count() == 1
        assert "2 (chosen)" in shown.inner_text() and "c = 0.4" in shown.inner_text()


@pytest.mark.parametrize("name", ["six", "hostile"])
def test_contrast_in_light_and_dark(browser, pages: dict[str, Path], name: str) -> None:
    with Tab(browser, pages[name], **size(1280)) as tab:
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            count, low = tab.page.evaluate(CONTRAST)
            assert count > 80 and low == []


def test_without_script_everything_can_be_read(browser, pages: dict[str, Path]) -> None:
    with Tab(browser, pages["two"], java_script_enabled=False, **size(1280)) as tab:
        assert tab.page.locator("#ranks svg title").count() >= 1
        tab.page.locator("#specification summary").first.click()
        assert "epochs" in tab.page.locator("#specification").inner_text()
        assert tab.complaints == []
