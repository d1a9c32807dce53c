"""The site in Chromium, opened from disk: pages work without a network."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
AXE = ROOT / "page" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh site."""
    pytest.importorskip("myst_nb", reason="the site extra is not installed")
    folder = tmp_path_factory.mktemp("built") / "site"
    subprocess.run([sys.executable, str(ROOT / "docs" / "website" / "make_site.py"), str(folder)], check=True, cwd=ROOT)
    return folder


@pytest.fixture
def page(chromium: "Browser") -> "Iterator[Page]":
    """A page that fails the test if it logs an error or asks another host for anything."""
    context = chromium.new_context()
    page, faults = context.new_page(), []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:", "blob:", "about:")) else faults.append(request.url)
        ),
    )
    yield page
    context.close()
    assert faults == []


def test_every_page_opens_from_disk_without_an_error_or_a_request_elsewhere(site: Path, page: "Page") -> None:
    """Catches: a script that needs a server, a font from a CDN, a broken output of a notebook."""
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        page.wait_for_load_state("load")
        assert page.title(), path.name


def test_search_finds_a_word_of_a_lesson(site: Path, page: "Page") -> None:
    """Catches: a search that only works on a server."""
    page.goto((site / "search.html").as_uri() + "?q=half-life")
    page.locator("#search-results li").first.wait_for()
    assert "05 One loss" in page.locator("#search-results").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "README", "notebooks/06_collapse"])
def test_axe_finds_nothing_serious_on_the_site(name: str, scheme: str, site: Path, page: "Page") -> None:
    """Catches: code that a keyboard can't scroll, a fold without a name, text without contrast."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed; run: npm ci --prefix page")
    page.emulate_media(color_scheme=scheme)
    page.goto((site / f"{name}.html").as_uri())
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {preload: false})")[
        "violations"
    ]  # it would ask for style sheets, which files forbid
    assert [(each["id"], len(each["nodes"])) for each in found if each["impact"] in ("serious", "critical")] == []
