"""What `minivjepa check` does: a student's answers in a pristine notebook, run by nbval, one message per exercise."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import nbformat

from minivjepa.homework.checking import FOLDER, assignments
from minivjepa.homework.notebooks import assignment_of, cells_by_id, fill_in, is_check, read_cells

CELL_SECONDS = 120
COLORS = re.compile(r"(\x1b|#x1B)\[[0-9;]*m")  # as they are, and as XML writes them


def check_file(path: Path) -> dict[str, str]:
    """Exercise -> message of its check, empty if the answer is right in all visible cases.

    Raises ValueError if the file is not homework, or if nbval is not installed.
    """
    if importlib.util.find_spec("nbval") is None:
        raise ValueError("checking a notebook needs nbval, which is missing; run: pip install 'minivjepa[notebooks]'")
    submitted = read_cells(path.read_bytes(), path.name)
    pristine = {name: nbformat.read(FOLDER / f"{name}.ipynb", as_version=4) for name in assignments()}
    assignment = assignment_of(submitted, {name: cells_by_id(notebook) for name, notebook in pristine.items()})
    if assignment is None:
        ids = f"no grade_id of {', '.join(pristine)}"
        raise ValueError(f"{path} is not homework of this course: {ids}; start again from the original")
    notebook = fill_in(pristine[assignment], submitted)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in code:  # as in a notebook that ran
        cell.execution_count, cell.outputs = 1, []
    messages = {}
    for cell, test in zip(code, run_nbval(notebook, path)):
        if is_check(cell):
            name = cell.metadata.nbgrader["grade_id"].removeprefix("check_")
            messages[name] = message_of(test).removeprefix(f"{name}: ").removeprefix(f"{name} ")
    return messages


def run_nbval(notebook: nbformat.NotebookNode, path: Path) -> list[ElementTree.Element]:
    """nbval's result for every code cell.  Raises ValueError if nbval cannot run.  path: of the student's file."""
    with tempfile.TemporaryDirectory() as folder:
        file, report = Path(folder) / "homework.ipynb", Path(folder) / "report.xml"
        nbformat.write(notebook, file)
        options = ["--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={CELL_SECONDS}"]
        options += ["-p", "no:cacheprovider", f"--rootdir={folder}", f"--junitxml={report}"]
        words = [sys.executable, "-m", "pytest", "-p", "minivjepa.homework.kernels", *options, str(file)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment)
        if not report.exists():
            raise ValueError(f"nbval could not run {path}: {(done.stderr or done.stdout)[-300:]}")
        tests = list(ElementTree.parse(report).getroot().iter("testcase"))
    if errors := [error for test in tests for error in test.iter("error")]:  # not of an answer: no kernel, say
        raise ValueError(f"nbval could not run {path}: {errors[0].get('message')}")
    return tests


def message_of(test: ElementTree.Element) -> str:
    """What went wrong in a cell: the words of its check, or another error's last line; empty if it passed."""
    if test.find("skipped") is not None:
        return f"was not run: a cell above ended Python, or took more than {CELL_SECONDS} s"
    if (failure := test.find("failure")) is None:
        return ""
    clean = COLORS.sub("", f"{failure.get('message') or ''}\n{failure.text or ''}")
    found = re.search(r"CheckFailed: (.*?)(?:\n\s*\n|\Z)", clean, re.S)
    if found:
        return found[1].strip()
    lines = [line.strip() for line in clean.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"\w+(Error|Exception|Interrupt)\b", line)]
    return (errors or lines or ["failed"])[-1]
