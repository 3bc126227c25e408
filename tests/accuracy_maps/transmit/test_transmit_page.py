"""`transmit --serve` in headless Chromium: what arrives follows the controls; nothing is loaded from afar."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from support.needed import need
from support.page_browser import browser as browser

from accuracy_maps.transmit.config import TransmitConfig
from accuracy_maps.transmit.page import Sending, k_choices, serve
from accuracy_maps.transmit.show import load_model
from data.files.errors import ToolkitError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[3]


@contextmanager
def served(*flags: str) -> Iterator[str]:
    """Address of the page, which the command serves until it is interrupted."""
    need("gradio", extra="demo")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "accuracy_maps.transmit.command", "--serve", "--port", str(port), *flags]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith(f"http://127.0.0.1:{port} shows the page, on this machine alone")
    yield line.split()[0]
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130


@contextmanager
def opened(browser: Browser, url: str) -> Iterator[Page]:
    """The page; every request but its own fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(90_000)
    foreign: list[str] = []
    own = (url, url.replace("http", "ws"), "data:", "blob:")
    page.on("request", lambda one: None if one.url.startswith(own) else foreign.append(one.url))
    page.on("pageerror", lambda error: foreign.append(str(error)))
    page.goto(url)
    yield page
    context.close()
    assert foreign == []


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of the page of sentences."""
    with served() as address:
        yield address


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """The page of sentences, showing its example."""
    with opened(browser, url) as page:
        page.locator("#said dd").first.wait_for()
        yield page


def said(page: Page) -> list[str]:
    return page.locator("#said dd").all_inner_texts()


def test_what_arrives_follows_sentence_snr_and_k(page: Page) -> None:
    local = said(page)[1]
    assert local.startswith("Zwei Hunde")
    assert page.locator("#symbols img").count() == 1
    assert page.locator("#measured img").count() == 1
    snr = page.locator("#snr input[type=number]")
    snr.fill("-10")
    snr.blur()
    page.locator("#said dd mark").first.wait_for()
    assert said(page)[0] != local
    assert said(page)[1] == local
    snr.fill("20")
    snr.blur()
    page.wait_for_function("document.querySelectorAll('#said dd mark').length === 0")
    assert said(page) == [local, local]
    page.locator("#sentence textarea").fill("A man sits on a bench.")
    page.wait_for_function("!document.querySelector('#said dd').innerText.includes('Hunde')")
    assert said(page)[1].startswith("Ein Mann")


def test_a_sentence_of_markup_stays_text(page: Page) -> None:
    page.locator("#sentence textarea").fill("<img src=x onerror=alert(1)> & <b>dogs</b>")
    page.wait_for_function("!document.querySelector('#said dd').innerText.includes('Hunde')")
    assert page.locator("#said dd img, #said dd b").count() == 0


def test_an_image_is_dropped_k_and_fading_are_chosen(browser: Browser, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)).save(photo)
    with served("--codec", "image-imagenette-deit-small") as url, opened(browser, url) as page:
        page.locator("input[type=file]").set_input_files(photo)
        page.locator("#said dd").first.wait_for()
        arrives, local = said(page)
        assert re.fullmatch(r"[A-Za-z ]+ \([01]\.\d\d\)", local), "a class with its probability"
        assert re.fullmatch(r"[A-Za-z ]+ \([01]\.\d\d\)", arrives)
        symbols = page.locator("#symbols img")
        before = symbols.get_attribute("src")
        page.get_by_label("16", exact=True).check()
        page.wait_for_function(f"document.querySelector('#symbols img').src !== {before!r}")
        assert page.locator("#measured img").is_visible()
        page.get_by_label("rician", exact=True).check()
        page.locator("#measured img").wait_for(state="hidden")  # no map is of this channel
        page.get_by_label("rayleigh", exact=True).check()
        page.locator("#measured img").wait_for(state="visible")
        assert said(page)[1] == local


def test_the_controls_send_what_they_say() -> None:
    config = TransmitConfig(serve=True)
    model = load_model(config)
    send = Sending(config, model)
    assert k_choices(model) == [str(k) for k in model.ks[0]]
    shown, symbols, measured = send(str(model.ks[0][0]), 18.0, "awgn", 0, "Two dogs run.")
    assert model.local(["Two dogs run."])[0].split()[0] in shown
    uses = model.transmit(["Two dogs run."], k=model.ks[0][0]).uses[0]
    assert symbols.axes[0].get_title() == f"{uses} complex channel symbols"
    assert any("codec" in line.get_label() for line in measured.axes[0].lines)
    assert send("4", 18.0, "rician", 0, "Two dogs run.")[2] is None, "no map is of this channel"
    assert send("4", 18.0, "awgn", 0, "") == ("", None, None)


def test_what_separate_coding_delivers_is_beside_it(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((128, 128, 3), (40, 90, 160), dtype=np.uint8)).save(photo)
    config = TransmitConfig(serve=True, codec="image-imagenette-deit-small", digital=True)
    send = Sending(config, load_model(config))
    shown, _, measured = send("16", 18.0, "awgn", 0, str(photo))
    assert re.search(r"separate coding, [^<]* in as many symbols</dt><dd>[A-Za-z ]+ \([01]\.\d\d\)", shown)
    assert [line.get_linestyle() for line in measured.axes[0].lines][:2] == ["-", "--"]
    nothing, *_ = send("4", -15.0, "awgn", 0, str(photo))
    assert "nothing arrives" in nothing


def test_without_gradio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(
        ToolkitError, match=r"serve: given, which needs gradio: pip install 'deepsc-toolkit\[demo\]'"
    ):
        serve(TransmitConfig(serve=True))
