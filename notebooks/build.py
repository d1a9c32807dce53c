"""Build the notebooks from their text sources: python notebooks/build.py [NAME ...]

Every notebooks/*.py with cells in py:percent form becomes an executed .ipynb beside it, with counts and outputs, and
without timings or the state of widgets.  Kernels run with one thread.
"""

import os
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
CELL_TIMEOUT = 300  # seconds
WIDGET = "application/vnd.jupyter.widget-view+json"


def sources() -> list[Path]:
    """The text of every lesson, in order."""
    return sorted(path for path in FOLDER.rglob("*.py") if path != Path(__file__))


def read(source: Path) -> NotebookNode:
    """A notebook without outputs.  Cell ids are the lesson's number and the cell's place: they change only when cells do."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem.split('_')[0]}-{number:03d}"
        cell.metadata = NotebookNode({"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def execute(notebook: NotebookNode) -> NotebookNode:
    """Run all cells in a fresh kernel and keep what belongs in a file."""
    os.environ["OMP_NUM_THREADS"] = "1"
    NotebookClient(notebook, timeout=CELL_TIMEOUT, resources={"metadata": {"path": str(FOLDER)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":  # a widget without its kernel is an empty box: the picture above it stays
            cell.outputs = [o for o in cell.outputs if WIDGET not in o.get("data", {}) and not is_bar(o)]
    notebook.metadata.pop("widgets", None)
    return notebook


def is_bar(output: NotebookNode) -> bool:
    """Whether an output is a progress bar, which tqdm writes to stderr."""
    return output.output_type == "stream" and output.name == "stderr"


def main(names: list[str]) -> None:
    """Build the named lessons, or all."""
    for source in sources():
        if not names or source.stem in names:
            start = time.perf_counter()
            nbformat.write(execute(read(source)), source.with_suffix(".ipynb"))
            print(f"{source.stem}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
