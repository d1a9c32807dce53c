"""The course as a site: every page is there, every link holds, and nothing comes from another host."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("myst_nb", reason="the site extra is not installed")

import make_site

ROOT = Path(__file__).parents[1]

LOADED = {"src", "srcset", "poster", "data"}  # attributes that a browser follows by itself; and href of these tags
LOADING = {"link", "image", "use"}


class Page(HTMLParser):
    """What a page points to, what it loads, which anchors it has, and pictures without alt text."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.silent: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        loaded = [value for name, value in given.items() if name in LOADED]
        if "href" in given:
            (loaded if tag in LOADING and given.get("rel") != "canonical" else self.links).append(given["href"])
        self.loads += loaded
        if tag == "img" and not given.get("alt", "").strip():
            self.silent.append(given.get("src", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """All pages of a fresh site.  Building it fails on any warning of Sphinx."""
    folder = tmp_path_factory.mktemp("built") / "site"
    command = [sys.executable, str(ROOT / "docs" / "website" / "make_site.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path: Page(path) for path in sorted(folder.rglob("*.html"))}


def top(site: dict[Path, Page]) -> Path:
    """The folder with all pages."""
    return min((path.parent for path in site), key=lambda folder: len(folder.parts))


@pytest.mark.slow
def test_every_lesson_and_homework_is_a_page_and_search_finds_it(site: dict[Path, Page]) -> None:
    """Catches: a lesson that the site forgets."""
    names = {path.stem for path in site}
    notebooks = [*(ROOT / "notebooks").glob("[0-9]*.ipynb"), *(ROOT / "notebooks" / "homework").glob("*.ipynb")]
    assert {path.stem for path in notebooks} <= names
    search = (top(site) / "searchindex.js").read_text(encoding="utf-8")
    assert all(
        f"notebooks/{path.relative_to(ROOT / 'notebooks').with_suffix('').as_posix()}" in search for path in notebooks
    )
    assert {top(site) / "index.html", top(site) / "collapse.html"} <= set(site)


@pytest.mark.slow
def test_every_link_and_anchor_on_the_site_resolves(site: dict[Path, Page]) -> None:
    """Catches: a link to a page that is not there, or to a heading that was renamed."""
    broken = []
    for path, page in site.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//") or path.name in ("search.html", "collapse.html"):
                continue
            goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not goal.exists() or (
                parts.fragment
                and goal in site
                and goal.name != "collapse.html"
                and unquote(parts.fragment) not in site[goal].anchors
            ):
                broken.append(f"{path.name}: {link}")
    assert broken == []


@pytest.mark.slow
def test_no_page_loads_anything_from_another_host(site: dict[Path, Page]) -> None:
    """Catches: a theme, an extension or a formula that fetches a font or a script."""
    elsewhere = re.compile(r"^(?:https?:)?//")
    assert [(path.name, load) for path, page in site.items() for load in page.loads if elsewhere.match(load)] == []
    for style in top(site).rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*['\"]?(?:https?:)?//", style.read_text(encoding="utf-8")), style.name


@pytest.mark.slow
def test_every_picture_on_the_site_has_alt_text(site: dict[Path, Page]) -> None:
    """Catches: a figure of a notebook whose alt text is lost on its way to the page."""
    pictures = {path.name: page.silent for path, page in site.items() if page.silent}
    assert pictures == {}
    file_name = re.compile(r'alt="[^"]*\.(?:png|gif)"')
    assert [path.name for path in site if file_name.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.slow
def test_no_solution_of_homework_is_on_the_site(site: dict[Path, Page]) -> None:
    """Catches: a site that gives the class its answers."""
    for path in site:
        if "homework" in path.parts:
            text = path.read_text(encoding="utf-8")
            assert "NotImplementedError" in text or path.stem == "homework"
            assert "check_hidden" not in text


def test_a_link_that_leaves_the_site_leads_into_the_repository_or_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a broken link while the course has no address, and Colab links to nowhere."""
    pages = [Path("docs/speed.md")]
    text = "[speed](speed.md#steps), [the loop](../minivjepa/training/minimal.py), ![a](../results/a.png), [out](https://a.org)"
    assert make_site.linked(text, Path("docs/x.md"), pages) == text.replace(
        "[the loop](../minivjepa/training/minimal.py)", "the loop"
    )
    monkeypatch.setattr(make_site, "ADDRESS", "https://github.com/me/course")
    assert "[the loop](https://github.com/me/course/blob/HEAD/minivjepa/training/minimal.py)" in make_site.linked(
        text, Path("docs/x.md"), pages
    )
    links = make_site.where_it_runs(make_site.ADDRESS, Path("notebooks/06_collapse.ipynb"))
    assert "colab.research.google.com/github/me/course/blob/HEAD/notebooks/06_collapse.ipynb" in links
    assert "mybinder.org/v2/gh/me/course/HEAD?labpath=notebooks/06_collapse.ipynb" in links
