"""A real Chromium without a network, and pages that tell what they asked for."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, Route, sync_playwright

LAUNCH_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOCAL_SCHEMES = ("file:", "data:", "blob:", "about:")


@dataclass
class OpenedPage:
    """A page in the browser; `requests` are those that would leave the machine."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser():
    """Chromium of the system; tests are skipped where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on the PATH (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=LAUNCH_ARGS)
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser):
    """Open a local file at a width of the screen, with every other request refused and kept."""
    contexts = []

    def open_file(path: Path, *, width: int = 1280, height: int = 900) -> OpenedPage:
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        opened = OpenedPage(context.new_page())

        def refuse_external(route: Route, request: Request) -> None:
            if request.url.startswith(LOCAL_SCHEMES):
                route.continue_()
            else:
                opened.requests.append(request.url)
                route.abort()

        context.route("**/*", refuse_external)
        opened.page.on(
            "console",
            lambda message: opened.errors.append(message.text)
            if message.type in ("error", "warning")
            else None,
        )
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.page.goto(path.as_uri())
        return opened

    yield open_file
    for context in contexts:
        context.close()
