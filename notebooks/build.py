"""Build the notebooks from their text sources: python notebooks/build.py [--timings] [NAME ...]

Every notebooks/*.py with cells in py:percent form becomes two notebooks.  The reading edition, beside it, was executed: outputs are
there, solutions are there and folded.  The learner's edition, in the package, has stubs in their place and no outputs.
With --timings the reading editions are run, timed and not written.  Kernels run with one thread.

A cell `# %% folded=true` starts folded in both editions.  In a cell `# %% exercise="f"` the learner writes the function f; what stands
between BEGIN SOLUTION and END SOLUTION is the solution.  A markdown cell with `![alt](attachment:NAME)` gets the picture that ATTACHMENTS
names: it shows in both editions before anything runs.
"""

import argparse
import os
import re
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from minivjepa import ADDRESS
from minivjepa.figures import SHOWN
from minivjepa_course.pictures.component_diagram import LESSONS, you_are_here
from minivjepa_course.pictures.films import opening
from minivjepa_course.predictions import REVEAL

sys.path.append(str(Path(__file__).parents[1] / "teacher"))
from lessons import cases_text

FOLDER = Path(__file__).parent
LEARNERS = FOLDER.parent / "minivjepa_course" / "lessons"
CELL_TIMEOUT = 300  # seconds
SLOWEST_CELL, SLOWEST_LESSON = 90, 240  # seconds that a lesson may take on two cores with one thread
WIDGET = "application/vnd.jupyter.widget-view+json"
SOLUTION = re.compile(r"^(?P<indent>[ \t]*)### BEGIN SOLUTION\n(?P<code>.*?)^[ \t]*### END SOLUTION\n", re.M | re.S)
ATTACHED = re.compile(r"!\[[^\]]*\]\(attachment:([\w.-]+)\)")
ATTACHMENTS: dict[str, Callable[[], bytes]] = {
    "opening.gif": lambda: opening().gif(),
    **{f"here-{number}.png": lambda number=number: you_are_here(number).png(SHOWN) for number in LESSONS},  # type: ignore[misc]
}
STUB = 'raise NotImplementedError("your turn: write this, and run the cell")'


def sources() -> list[Path]:
    """The text of every lesson, in order."""
    return sorted(FOLDER.glob("[0-9]*.py"))


def read(source: Path) -> NotebookNode:
    """A lesson's cells as they are written.  Their ids are the lesson's number and the cell's place: they change only when cells do."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem.split('_')[0]}-{number:03d}"
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def reading(source: Path) -> NotebookNode:
    """The edition to be read, not yet executed: with solutions, folded."""
    return edition(source, lambda found: found["code"], folded=("folded", "exercise"))


def learners(source: Path) -> NotebookNode:
    """The edition to be worked in: a stub in place of each solution, no outputs, and so nothing for nbval to compare."""
    notebook = edition(source, lambda found: f"{found['indent']}{STUB}\n", folded=("folded",))
    for cell in notebook.cells:
        cell.source = cell.source.removeprefix("# NBVAL_CHECK_OUTPUT\n")
    return notebook


def edition(source: Path, written: Callable[[re.Match[str]], str], folded: tuple[str, ...]) -> NotebookNode:
    """A lesson with `written(...)` in place of solutions; the cells with one of these marks start folded."""
    notebook = read(source)
    for cell in notebook.cells:
        cell.source = SOLUTION.sub(written, cell.source).replace('ADDRESS = ""', f'ADDRESS = "{ADDRESS}"')
        hidden = any(mark in cell.metadata for mark in folded)
        cell.metadata = NotebookNode({"jupyter": {"source_hidden": True}} if hidden else {})
        if names := ATTACHED.findall(cell.source):
            cell.attachments = NotebookNode({name: attachment(name) for name in names})
    return notebook


@cache
def attachment(name: str) -> NotebookNode:
    """A picture of ATTACHMENTS as cells keep it: its kind, then its bytes as text."""
    return NotebookNode({f"image/{name.rpartition('.')[2]}": b64encode(ATTACHMENTS[name]()).decode()})


def write_learners(source: Path) -> None:
    """Write the learner's edition of a lesson, and the cases of its exercises."""
    nbformat.write(learners(source), LEARNERS / f"{source.stem}.ipynb")
    if cases := cases_text(source, read(source).cells):
        (LEARNERS / f"lesson{source.stem[:2]}.json").write_text(cases, encoding="utf-8")


def execute(notebook: NotebookNode) -> NotebookNode:
    """Run all cells in a fresh kernel; nbclient notes when each began and ended."""
    os.environ |= {"OMP_NUM_THREADS": "1", REVEAL: "1"}
    NotebookClient(notebook, timeout=CELL_TIMEOUT, resources={"metadata": {"path": str(FOLDER)}}).execute()
    return notebook


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """Keep what belongs in a file."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":  # a widget without its kernel is an empty box: the picture above it stays
            cell.outputs = [o for o in cell.outputs if WIDGET not in o.get("data", {}) and not is_bar(o)]
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = NotebookNode(name="python")  # not the version of the Python that ran it
    return notebook


def seconds(cell: NotebookNode) -> float:
    """How long a cell ran."""
    when = [
        datetime.fromisoformat(cell.metadata.execution[f"iopub.{moment}"])
        for moment in ("execute_input", "status.idle")
    ]
    return (when[1] - when[0]).total_seconds()


def is_bar(output: NotebookNode) -> bool:
    """Whether an output is a progress bar, which tqdm writes to stderr."""
    return output.output_type == "stream" and output.name == "stderr"


def main() -> int:
    """Build the named lessons, or all; or time them, and exit with 1 where one is too slow."""
    parser = argparse.ArgumentParser(description="Build or time the notebooks.")
    parser.add_argument("names", nargs="*", help="lessons, such as 02_masks; all if none is given")
    parser.add_argument("--timings", action="store_true", help="run and time them, write nothing")
    options = parser.parse_args()
    known = {source.stem: source for source in sources()}
    for name in options.names:
        if name not in known:
            parser.error(f"no lesson {name!r}; choose from {', '.join(known)}")
    slow = 0
    for name in options.names or known:
        if not options.timings:
            write_learners(known[name])
        start = time.perf_counter()
        notebook = execute(reading(known[name]))
        took = time.perf_counter() - start
        cells = {cell.id: seconds(cell) for cell in notebook.cells if "execution" in cell.metadata}
        longest = max(cells, key=lambda cell: cells[cell])
        print(f"{name}: {took:.0f} s, longest cell {longest}: {cells[longest]:.0f} s", flush=True)
        if options.timings:
            slow += took > SLOWEST_LESSON or cells[longest] > SLOWEST_CELL
        else:
            nbformat.write(cleaned(notebook), known[name].with_suffix(".ipynb"))
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
