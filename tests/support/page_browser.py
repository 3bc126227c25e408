"""Headless Chromium for the pages that reports write, and how a test moves their sliders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from support.needed import missing, need

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (1280, 400)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium; a test that needs it is skipped where there is none."""
    playwright = need("playwright.sync_api", extra="dev")
    executable = shutil.which("chromium")
    if executable is None:
        missing("no chromium on PATH (apt-get install chromium)")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses root's sandbox
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


class Visit:
    """A page opened offline, with everything it asked for or complained of."""

    def __init__(
        self, browser: Browser, path: Path, *, width: int = 1280, scheme: Literal["light", "dark"] = "light"
    ) -> None:
        self.complaints: list[str] = []
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("console", lambda message: self.complaints.append(f"console: {message.text}"))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        self.page.on("request", self._requested)
        self._own = path.resolve().as_uri()
        self.page.goto(self._own)

    def _requested(self, request: Any) -> None:
        if request.url != self._own:
            self.complaints.append(f"request: {request.url}")

    def set(self, **values: float | str) -> None:
        """Move sliders and selects, as a user does."""
        for name, value in values.items():
            self.page.evaluate(
                "([id, value]) => { const input = document.getElementById(id); input.value = value;"
                " if (input.value !== value) throw new Error(`${id} took ${input.value} for ${value}`);"
                " input.dispatchEvent(new Event('input')); }",
                [name, f"{value:g}" if isinstance(value, int | float) else value],
            )

    def value(self, name: str) -> float:
        """A read-out with all its digits."""
        return float(self.page.locator(f"#{name}").get_attribute("data-value") or "nan")

    def tiles_fill_their_rows(self) -> bool:
        """No read-out stands alone in a row that has room for more."""
        return self.page.evaluate(
            "[...document.querySelectorAll('.readings')].every((tiles) =>"
            " Math.abs(tiles.lastElementChild.getBoundingClientRect().right"
            " - tiles.getBoundingClientRect().right) < 1)"
        )

    def fits(self) -> bool:
        """Nothing sticks out of the window sideways."""
        return self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
