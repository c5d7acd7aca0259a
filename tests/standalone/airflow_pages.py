"""Pages of Airflow's web interface, as a user finds the way about them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

DIALOG = "//*[@role='dialog']"
MESSAGE = "//*[@data-scope='toast' and @data-part='root']"
"""What appears at the edge of the page for a few seconds."""


def labelled(label: str) -> str:
    """Where the button with this accessible name is."""
    return f"//button[@aria-label='{label}']"


class Pages:
    """Chromium before one Airflow.

    :param folder: where the pictures go.
    """

    def __init__(self, browser: Any, url: str, folder: Path) -> None:
        self.browser = browser
        self._url = url
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def open(self, *path: str, height: int = 800) -> None:
        """Open the page at this path, whose parts may hold any character."""
        self.browser.set_window_size(1280, height)
        self.browser.get(self._url + "".join(f"/{quote(part, safe='')}" for part in path))

    def until(self, look: Callable[[], Any], what: str) -> Any:
        """Look until ``look`` answers something true, which is returned; the page may change under it."""
        wait = WebDriverWait(
            self.browser, 30, ignored_exceptions=[StaleElementReferenceException, ElementClickInterceptedException]
        )
        return wait.until(lambda _: look(), f"{what}: {self.browser.current_url}")

    def find(self, xpath: str) -> Any:
        """The first element there that can be seen, once there is one."""
        return self.until(lambda: next(iter(self.seen(xpath)), None), xpath)

    def seen(self, xpath: str) -> list[Any]:
        """The elements there that can be seen now."""
        return [found for found in self.browser.find_elements(By.XPATH, xpath) if found.is_displayed()]

    def click(self, xpath: str) -> None:
        def clicked() -> bool:
            self.find(xpath).click()
            return True

        self.until(clicked, f"to click {xpath}")

    def section(self, name: str) -> None:
        """Open a section of the connection form."""
        self.click(f"{DIALOG}//button[normalize-space()='{name}']")
        self.find(f"{DIALOG}//button[normalize-space()='{name}' and @aria-expanded='true']")

    def field(self, name: str) -> Any:
        """A field of the form that is open."""
        return self.find(f"{DIALOG}//*[@name='{name}']")

    def write(self, name: str, text: str) -> None:
        """Put ``text`` into a field of the form that is open, in place of what is there."""
        self.field(name).send_keys(Keys.CONTROL + "a")
        self.field(name).send_keys(text)

    def save(self) -> None:
        """Save the form that is open."""
        self.click(f"{DIALOG}//button[normalize-space()='Save']")
        self.until(lambda: not self.seen(DIALOG), "the form to close")

    def picture(self, name: str) -> None:
        """Keep a picture of the page."""
        time.sleep(0.7)  # until what moves has come to rest
        assert self.browser.save_screenshot(str(self._folder / f"{name}.png"))
