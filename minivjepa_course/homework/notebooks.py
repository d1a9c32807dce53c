"""Homework notebooks: which cells students write, and what is read of a submission.

`minivjepa check` and `minivjepa grade` read a file alike.  It is not validated as a notebook, which can take minutes and a
gigabyte: only the kind, the grade_id and the text of cells are looked at, and outputs count for nothing.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # loading it takes longer than torch, and every graded process would pay
    from nbformat import NotebookNode

WRITTEN = "YOUR ANSWER HERE"  # the text of a written answer before a student edits it
LARGEST_FILE = 64 * 2**20  # bytes of a notebook
MOST_VALUES = 5 * 10**6  # in it; a list or an object takes as much memory as five values
STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.S)  # in JSON, or what is left of one at the end


class Cell(NamedTuple):
    """grade_id: empty if it has none; kind: code, markdown or raw."""

    grade_id: str
    kind: str
    source: str


def cells_by_id(notebook: dict[str, Any]) -> dict[str, Any]:
    """grade_id -> cell, for every cell with a grade_id; the first of two with the same id counts."""
    found: dict[str, Any] = {}
    for cell in listed(notebook, "cells"):
        if grade_id := grade_id_of(cell):
            found.setdefault(grade_id, cell)
    return found


def grade_id_of(cell: Any) -> str:
    """A cell's grade_id; empty if it has none."""
    found = get(get(get(cell, "metadata"), "nbgrader"), "grade_id")
    return found if isinstance(found, str) else ""


def given_cells(notebook: "NotebookNode") -> list[str]:
    """The code cells of an assignment that students do not write and that check nothing: imports and helpers."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code" and "nbgrader" not in cell.metadata]


def is_answer(cell: "NotebookNode") -> bool:
    """Whether students write this cell."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def is_check(cell: "NotebookNode") -> bool:
    """Whether this cell checks an answer, and has its points."""
    return bool(cell.metadata.get("nbgrader", {}).get("grade")) and not is_answer(cell)


def read_cells(content: bytes, name: str) -> list[Cell]:
    """The cells of a submitted file, in their order.

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
    cells = [cell for sheet in sheets for cell in listed(sheet, "cells")]
    return [Cell(grade_id_of(cell), str(get(cell, "cell_type")), text_of(cell)) for cell in cells]


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
