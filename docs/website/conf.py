"""How Sphinx makes the site from the pages that make_site.py collected."""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

project = "minivjepa"
author = "The minivjepa authors"
html_title = "minivjepa: how V-JEPA works inside"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
myst_enable_extensions = ["dollarmath", "attrs_inline"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_ipywidgets_js: dict[str, Any] = {}  # sliders need a kernel; their scripts would come from another host
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
html_theme = "furo"
html_static_path = ["style.css"]
html_css_files = ["style.css"]
html_extra_path = ["collapse.html"]
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # it fetches pages, which browsers forbid for files
html_math_renderer = "mathml"


def mathml(display: str) -> Any:
    """A visitor that writes a formula as MathML, which browsers draw without a script."""

    def visit(writer: Any, node: nodes.math | nodes.math_block) -> None:
        formula = convert(node.astext().replace(r"\_", "_"), display=display)
        writer.body.append(formula if display == "inline" else f'<div class="formula">{formula}</div>')
        raise nodes.SkipNode

    return visit


def as_written(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text with `code` in backticks: nothing else in them is markup."""
    for number, line in enumerate(lines):
        parts = re.split(r"(`[^`]*`)", line)
        parts[::2] = [re.sub(r"([*|\\]|_\b)", r"\\\1", part) for part in parts[::2]]
        lines[number] = "".join(f"`{part}`" if part.startswith("`") else part for part in parts)


REACHABLE = {  # what the theme writes -> what people need who read with a keyboard or a screen reader
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    ' aria-label="Toggle hidden content"': "",  # the visible text says it better
    "<pre>": '<pre tabindex="0">',  # long lines scroll
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
}


def make_reachable(app: Sphinx, error: Exception | None) -> None:
    """Mend every page that was written."""
    for path in Path(app.outdir).rglob("*.html"):
        if path.name not in html_extra_path:
            text = path.read_text(encoding="utf-8")
            for written, needed in REACHABLE.items():
                text = text.replace(written, needed)
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """What Sphinx calls."""
    app.add_html_math_renderer("mathml", (mathml("inline"), None), (mathml("block"), None))
    app.connect("autodoc-process-docstring", as_written)
    app.connect("build-finished", make_reachable)
