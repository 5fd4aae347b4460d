"""The page of a real front, trained, served by a real process and used in a real Chromium."""

from __future__ import annotations

import json
import signal
import zipfile

import pytest
from tests.exploring.conftest import start_server
from tests.exploring.made_fronts import census, make_record, write_front
from tests.exploring.visits import number, shares, visit

from accord.steering import open_front

pytestmark = pytest.mark.browser


def settled(page) -> None:
    page.locator("#source", has_text="Measured just now").wait_for()


def test_any_preference_is_measured_and_exactly_that_model_is_exported(browser, server, tmp_path):
    front = open_front(server.directory)
    with visit(browser, server.address) as page:
        assert server.key not in page.url
        settled(page)
        slider = page.get_by_role("slider", name="Preference between bought and price")
        with page.expect_response("**/evaluate"):
            slider.fill("37")
        page.locator("#source[data-shown='0.63,0.37']").wait_for(state="attached")
        assert shares(page) == [63, 37]
        measured = front.evaluate([0.63, 0.37])
        for row, (task, metric, scale) in enumerate((("bought", "auc", 100), ("price", "rmse", 1))):
            found = measured.metrics[task][metric]
            place = page.locator(".task-rows").nth(row).locator(".row").first
            shown = [
                place.locator(".value").inner_text(),
                *place.locator(".bounds").inner_text().strip("[]").split(", "),
            ]
            for text, value in zip(shown, (found.value, found.low, found.high), strict=True):
                half_a_digit = 0.501 * 10 ** -len(text.partition(".")[2])
                assert number(text) == pytest.approx(scale * value, abs=half_a_digit)

        page.get_by_role("button", name="Export").click()
        link = page.get_by_role("link", name="Download")
        link.wait_for()
        with page.expect_download() as waiting:
            link.click()
        waiting.value.save_as(tmp_path / "model.zip")
        assert waiting.value.suggested_filename == "bought-63-price-37.zip"
        assert page.complaints == []
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        told = json.loads(archive.read("bought-63-price-37/metrics.json"))["front"]
    assert told["preference"] == pytest.approx([0.63, 0.37], abs=0)
    assert told["validation"]["losses"] == pytest.approx(measured.losses)
    assert told["validation"]["metrics"]["bought"]["auc"]["low"] == pytest.approx(measured.metrics["bought"]["auc"].low)


def test_quick_moves_ask_one_at_a_time_and_end_with_the_last(browser, server):
    with visit(browser, server.address) as page:
        settled(page)
        open_now, most = 0, 0

        def begin(request):
            nonlocal open_now, most
            if request.url.endswith("/evaluate"):
                open_now += 1
                most = max(most, open_now)

        def end(request):
            nonlocal open_now
            if request.url.endswith("/evaluate"):
                open_now -= 1

        page.on("request", begin)
        page.on("requestfinished", end)
        slider = page.get_by_role("slider", name="Preference between bought and price")
        slider.focus()
        page.keyboard.press("Home")
        for _ in range(30):
            page.keyboard.press("ArrowRight")
        page.locator("#source[data-shown='0.7,0.3']").wait_for(state="attached")
        assert shares(page) == [70, 30] and most == 1
        assert {request.split("/", 3)[2] for request in page.requests} == {f"127.0.0.1:{server.port}"}
        assert page.complaints == []


def test_a_phone_in_the_dark_keeps_the_slider_in_sight(browser, server):
    with visit(browser, server.address, width=375, height=700, color_scheme="dark", has_touch=True) as page:
        settled(page)
        page.locator("#export").scroll_into_view_if_needed()
        box = page.locator("#share").bounding_box()
        assert 0 <= box["y"] < 120
        assert page.evaluate("document.documentElement.scrollWidth") == 375
        small = page.evaluate(
            """() => [...document.querySelectorAll('button, select, input')].filter(n => n.checkVisibility())
                .map(n => [n.id || n.textContent, n.getBoundingClientRect()])
                .filter(([, b]) => b.height < 16 || b.width < 16).map(([name]) => name)"""
        )
        assert small == []


def test_a_set_moves_from_stored_point_to_stored_point_and_a_lost_server_is_told(browser, tmp_path):
    directory = write_front(tmp_path / "a set", make_record(census(), kind="set"))
    running = start_server(directory, "--port", "0")
    try:
        with visit(browser, running.address) as page:
            slider = page.get_by_role("slider", name="Preference between income and marital_stat")
            slider.focus()
            page.keyboard.press("Home")
            page.keyboard.press("ArrowRight")
            assert shares(page) == [90, 10] and page.locator("#source").inner_text() == "Measured in the run."
            page.get_by_role("button", name="Export").click()
            refused = page.locator("#export-result [role=alert]")
            refused.wait_for()
            assert "front.yaml" in refused.inner_text()
            assert not list((directory / "exports").iterdir())

            assert running.stop(signal.SIGINT) == 0
            page.get_by_role("button", name="Export").click()
            page.locator("#export-result", has_text="The server does not answer").wait_for()
    finally:
        running.stop()


def test_a_steerable_page_falls_back_to_stored_points_when_its_server_is_gone(browser, server):
    with visit(browser, server.address) as page:
        settled(page)
        page.route("**/evaluate", lambda route: route.abort())
        slider = page.get_by_role("slider", name="Preference between bought and price")
        slider.fill("52")
        page.locator("#source.alarm", has_text="The server does not answer").wait_for()
        assert "Nearest stored point: 50" in page.locator("#source").inner_text()
        page.unroute("**/evaluate")
        slider.fill("53")
        page.locator("#source:not(.alarm)", has_text="Measured just now").wait_for()
