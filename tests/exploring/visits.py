"""Open pages that keep what they complained about and asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def visit(browser: Any, address: str, *, width: int = 1280, height: int = 900, **options: Any) -> Iterator[Any]:
    """Yield the page at ``address``, drawn; ``page.complaints`` and ``page.requests`` tell what it did."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(120_000)  # a busy machine is no fault of the page
    page = context.new_page()
    page.complaints, page.requests = [], []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (page.complaints.append("dialog"), dialog.dismiss()))
    page.on("request", lambda request: page.requests.append(request.url))
    page.goto(address)
    try:
        if options.get("java_script_enabled", True):
            page.locator("html.ready").wait_for()
        yield page
    finally:
        context.close()


def shares(page: Any) -> list[int]:
    """The preference that the controls show, in per cent."""
    return [int(text.split()[0]) for text in page.locator("#preference output").all_inner_texts()]


def number(text: str) -> float:
    """A number as the page shows it."""
    return float(text.replace("\u2212", "-").replace(",", ""))


def heard(page: Any, text: str) -> None:
    """Wait until a screen reader would have been told ``text``."""
    page.locator("#said", has_text=text).wait_for(state="attached")
