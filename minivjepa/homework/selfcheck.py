"""What `minivjepa check` does: a student's answers in a pristine notebook, run by nbval, one verdict an exercise."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import nbformat

from minivjepa.homework.checking import FOLDER, assignments
from minivjepa.homework.notebooks import graded, is_check, read_notebook, with_answers

CELL_SECONDS = 120
COLORS = re.compile(r"(\x1b|#x1B)\[[0-9;]*m")  # as they are, and as XML writes them


@dataclass(frozen=True)
class Verdict:
    """Of one exercise.  message: empty if it is right in all visible cases."""

    exercise: str
    message: str


def assignment_of(path: Path) -> tuple[str, nbformat.NotebookNode, nbformat.NotebookNode]:
    """(name, pristine notebook, submitted notebook).  Raises ValueError if the file is no homework."""
    submitted = read_notebook(path)
    ids = set(graded(submitted))
    pristine = {name: read_notebook(FOLDER / f"{name}.ipynb") for name in assignments()}
    shared = {name: len(ids & set(graded(notebook))) for name, notebook in pristine.items()}
    best = max(shared, key=lambda name: shared[name])
    if not shared[best]:
        raise ValueError(f"{path} is no homework of this course: no cell carries a grade_id of {', '.join(shared)}")
    return best, pristine[best], submitted


def check_file(path: Path) -> list[Verdict]:
    """Run a student's answers in the pristine notebook.  Raises ValueError for a file that is no homework, or without nbval."""
    if importlib.util.find_spec("nbval") is None:
        raise ValueError(
            "checking a notebook needs nbval, which is not installed; run: pip install 'minivjepa[notebooks]'"
        )
    name, pristine, submitted = assignment_of(path)
    notebook = with_answers(pristine, submitted)
    for cell in notebook.cells:
        if cell.cell_type == "code":  # as in a notebook that ran
            cell.execution_count, cell.outputs = 1, []
    with tempfile.TemporaryDirectory() as folder:
        file, report = Path(folder) / f"{name}.ipynb", Path(folder) / "report.xml"
        nbformat.write(notebook, file)
        options = [
            "--nbval-lax",
            "--nbval-current-env",
            f"--nbval-cell-timeout={CELL_SECONDS}",
            "-p",
            "no:cacheprovider",
        ]
        words = [sys.executable, "-m", "pytest", *options, f"--rootdir={folder}", f"--junitxml={report}", str(file)]
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        if not report.exists():
            raise ValueError(f"nbval could not run {path}: {(done.stderr or done.stdout)[-300:]}")
        tests = list(ElementTree.parse(report).getroot().iter("testcase"))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = []
    for cell, test in zip(code, tests):
        if is_check(cell):
            failure = test.find("failure")
            text = "" if failure is None else lesson_of((failure.get("message") or "") + "\n" + (failure.text or ""))
            name = cell.metadata.nbgrader["grade_id"].removeprefix("check_")
            found.append(Verdict(name, text.removeprefix(f"{name}: ").removeprefix(f"{name} ")))
    return found


def lesson_of(text: str) -> str:
    """The message of a failed check within a traceback; its last line if it is another error."""
    clean = COLORS.sub("", text)
    found = re.search(r"CheckFailed: (.*?)(?:\n\s*\n|\Z)", clean, re.S)
    if found:
        return found[1].strip()
    lines = [line.strip() for line in clean.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"\w+(Error|Exception|Interrupt)\b", line)]
    return (errors or lines or ["failed"])[-1]
