"""A real browser without a window, for the pages that tests look at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --hide-scrollbars"
)


@contextmanager
def open_browser() -> Iterator[Any]:
    """Chromium, driven by Selenium; its console is kept under ``get_log("browser")``."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    how = "Chromium and its driver are needed: apt-get install chromium chromium-driver"
    programs = [
        next(filter(None, map(shutil.which, names)), None)
        for names in (("chromium", "chromium-browser", "google-chrome"), ("chromedriver", "chromium.chromedriver"))
    ]
    assert all(programs), how
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(programs[1]))
    try:
        yield driver
    finally:
        driver.quit()
