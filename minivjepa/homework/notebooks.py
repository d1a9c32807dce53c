"""Homework notebooks: which cells students write, and how a submission's answers get into a pristine copy.

`minivjepa check` and `minivjepa grade` read a file alike.  It is not validated as a notebook, which can take minutes and a
gigabyte: only cells with a grade_id are looked at, and outputs count for nothing.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode

WRITTEN = "YOUR ANSWER HERE"  # the text of a written answer before a student edits it
LARGEST_FILE = 64 * 2**20  # bytes of a notebook
MOST_VALUES = 5 * 10**6  # in it; a list or an object takes as much memory as five values
STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.S)  # in JSON, or what is left of one at the end


class Cell(NamedTuple):
    """kind: code or markdown."""

    kind: str
    source: str


def cells_by_id(notebook: dict[str, Any]) -> dict[str, Any]:
    """grade_id -> cell, for every cell with a grade_id; the first of two with the same id counts."""
    found: dict[str, Any] = {}
    for cell in listed(notebook, "cells"):
        grade_id = get(get(get(cell, "metadata"), "nbgrader"), "grade_id")
        if isinstance(grade_id, str):
            found.setdefault(grade_id, cell)
    return found


def is_answer(cell: NotebookNode) -> bool:
    """Whether students write this cell."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def is_check(cell: NotebookNode) -> bool:
    """Whether this cell checks an answer, and has its points."""
    return bool(cell.metadata.get("nbgrader", {}).get("grade")) and not is_answer(cell)


def read_cells(content: bytes, name: str) -> dict[str, Cell]:
    """The cells of a submitted file: grade_id -> cell; the first of two with the same id counts.

    Raises ValueError for a file that is too large or not a notebook.  name: of the file.
    """
    text = content[: LARGEST_FILE + 1].decode(json.detect_encoding(content), "replace")
    bare = STRING.sub("", text)
    if len(content) > LARGEST_FILE or bare.count(",") + 5 * (bare.count("[") + bare.count("{")) > MOST_VALUES:
        size = f"is larger than {LARGEST_FILE // 2**20} MB or holds more than {MOST_VALUES:,} values"
        raise ValueError(f"{name} {size}: clear its outputs and save it again")
    try:
        held, why = json.loads(text), "no cells"
    except (ValueError, RecursionError) as error:
        held, why = None, type(error).__name__
    # format 3, of long ago, has its cells in worksheets and their text as input
    sheets = [held] if isinstance(get(held, "cells"), list) else listed(held, "worksheets")
    if not sheets:
        raise ValueError(f"{name} is not a notebook that Jupyter can open ({why}); save it again in Jupyter")
    found = cells_by_id({"cells": [cell for sheet in sheets for cell in listed(sheet, "cells")]})
    return {key: Cell(str(get(cell, "cell_type")), text_of(cell)) for key, cell in found.items()}


def get(value: Any, key: str) -> Any:
    """The value of a key; None if `value` is not an object or lacks the key."""
    return value.get(key) if isinstance(value, dict) else None


def listed(value: Any, key: str) -> list[Any]:
    """The list under a key; empty if there is no list."""
    found = get(value, key)
    return found if isinstance(found, list) else []


def text_of(cell: Any) -> str:
    """The text of a cell, which may be split into lines, with ? for halves of characters, which no file can hold."""
    source = get(cell, "input" if get(cell, "source") is None else "source")
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str)).encode(errors="replace").decode()


def assignment_of(ids: Iterable[str], known: Mapping[str, Collection[str]]) -> str | None:
    """The assignment that shares most of its grade_ids with a notebook; None if every assignment shares none."""
    shared = {name: len(set(ids) & set(its_ids)) for name, its_ids in known.items()}
    best = max(shared, key=lambda name: shared[name])
    return best if shared[best] else None


def fill_in(pristine: NotebookNode, submitted: Mapping[str, Cell]) -> NotebookNode:
    """The pristine notebook with a submission's answer cells, matched by grade_id; the rest of the submission is left out."""
    notebook = nbformat.from_dict(pristine)
    for name, cell in cells_by_id(notebook).items():
        if is_answer(cell) and name in submitted and submitted[name].kind == cell.cell_type:
            cell.source = submitted[name].source
    return notebook
