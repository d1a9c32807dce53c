"""Build the course as a site: python docs/website/make_site.py [FOLDER]

Collects the lessons' reading editions, the homework statements, results and docs, and turns them into static pages that open from disk
and ask nothing of another host.  Nothing is executed: outputs and numbers are the committed ones.
"""

import argparse
import re
import shutil
import sys
from base64 import b64decode
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from sphinx.cmd.build import build_main

from minivjepa import ADDRESS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COLLAPSE_PAGE = ROOT / "minivjepa_course" / "toys" / "collapse.html"
PAGES = [
    "README.md", "CONTRIBUTING.md", "DATA.md", "CHANGELOG.md", "docs/*.md", "notebooks/README.md", "notebooks/[0-9]*.ipynb",
    "notebooks/homework/*.ipynb", "results/README.md", "results/answers.md", "results/plan.md",
]  # fmt: skip
PICTURES = ["results/*.png", "results/*.gif"]
OWN = ["conf.py", "index.md", "method.md", "style.css"]
# [text](target), but no picture, and nothing that is elsewhere or on the same page
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<path>(?!\w+:|#)[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")


def every(patterns: list[str]) -> list[Path]:
    """The files of the repository that fit, as paths from its root."""
    return [path.relative_to(ROOT) for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def collect(folder: Path) -> None:
    """Copy all that the site shows into a folder, where the repository has it, so that links between pages hold."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = every(PAGES)
    for path in [*pages, *every(PICTURES)]:
        into = folder / path
        into.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            into.write_text(linked((ROOT / path).read_text(encoding="utf-8"), path, pages), encoding="utf-8")
        elif path.suffix == ".ipynb":
            write_notebook(nbformat.read(ROOT / path, as_version=4), path, pages, into)
        else:
            shutil.copy2(ROOT / path, into)
    for name in OWN:
        shutil.copy2(HERE / name, folder / name)
    shutil.copy2(COLLAPSE_PAGE, folder / COLLAPSE_PAGE.name)


def linked(text: str, path: Path, pages: list[Path]) -> str:
    """The Markdown of a file at `path`.  A link to a file without a page leads into the repository, or is plain text until that has an address."""

    def mended(link: re.Match[str]) -> str:
        goal = (ROOT / path.parent / link["path"]).resolve().relative_to(ROOT)
        if goal in pages:
            return link[0]
        return f"[{link['text']}]({ADDRESS}/blob/HEAD/{goal.as_posix()})" if ADDRESS else link["text"]

    return LINK.sub(mended, text)


def write_notebook(book: NotebookNode, path: Path, pages: list[Path], into: Path) -> None:
    """A notebook as Sphinx reads it: folded cells fold, pictures are files beside it with their alt text, and links are mended."""
    for cell in book.cells:
        if cell.cell_type == "markdown":
            for name, kinds in cell.pop("attachments", {}).items():
                (into.parent / name).write_bytes(b64decode(next(iter(kinds.values()))))
            cell.source = linked(cell.source.replace("](attachment:", "]("), path, pages)
            continue
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            cell.metadata["tags"] = ["remove-cell" if "find_spec" in cell.source else "hide-input"]
        for number, output in enumerate(cell.outputs):
            for kind in [kind for kind in output.get("data", {}) if kind.startswith("image/")]:
                name = f"{into.stem}-{cell.id}-{number}.{kind.removeprefix('image/')}"
                (into.parent / name).write_bytes(b64decode(output.data[kind]))
                shown = output.metadata[kind]
                size = f"{{width={shown['width']}px}}" if "width" in shown else ""
                output.data = NotebookNode({"text/markdown": f"![{shown['alt']}]({name}){size}"})
    if ADDRESS:
        book.cells[0].source += f"\n\n{where_it_runs(ADDRESS, path)}"
    nbformat.write(book, into)


def where_it_runs(address: str, path: Path) -> str:
    """Links that open a notebook of a repository on GitHub in Colab and Binder."""
    repository = address.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{repository}/blob/HEAD/{path.as_posix()}"
    binder = f"https://mybinder.org/v2/gh/{repository}/HEAD?labpath={path.as_posix()}"
    return f"Run it: [on Colab]({colab}), [on Binder]({binder})."


def main() -> int:
    """Build the site; 1 if Sphinx warns of anything."""
    parser = argparse.ArgumentParser(description="Build the course as a site.")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=ROOT / "site", help="where the pages go (default: site)"
    )
    folder = parser.parse_args().folder
    source = ROOT / "build" / "website"
    made = ROOT / "build" / "pages" / "html"  # extensions write beside the pages, too
    collect(source)
    shutil.rmtree(made.parent, ignore_errors=True)
    failed = build_main(["-q", "-W", "--keep-going", "-d", str(source / ".doctrees"), str(source), str(made)])
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(made, folder)
        print(f"open {folder / 'index.html'} in a browser")
    return failed


if __name__ == "__main__":
    sys.exit(main())
