"""A submission as a program: `check` and `grade` give the same verdict on notebooks edited as people edit them."""

import copy
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

from minivjepa_course.grading import child_main, messages
from minivjepa_course.grading import grade_folder as grading
from minivjepa_course.grading import run_submission as running
from minivjepa_course.grading.grade_folder import Desk, Task, grade_folder, grade_one
from minivjepa_course.grading.graded import RIGHT, Assignment
from minivjepa_course.grading.submissions import HandedIn, submissions
from minivjepa_course.homework import selfcheck
from minivjepa_course.homework.checking import FOLDER, CheckFailed, load_cases
from minivjepa_course.homework.notebooks import cells_by_id, given_cells, read_cells
from minivjepa_course.homework.program import DONE, MOST_ENDS, MOST_NOTES, Cell, plain_python, program_of, remarks
from minivjepa_course.homework.selfcheck import check_file
from tests.test_cli import call as command
from tests.test_homework import clean as clean

pytest.importorskip("jupytext")
CLASSROOM = pytest.importorskip("classroom", reason="the teacher's folder was removed from this copy")
NAME = next(iter(CLASSROOM.worth("hw1")))  # the exercise that is edited; all others are right
Notebook = NotebookNode


def solved() -> Notebook:
    """Homework 1 with all its answers."""
    found: Notebook = CLASSROOM.notebook("hw1", CLASSROOM.reference_code("hw1"))
    return found


def right() -> str:
    return str(CLASSROOM.reference_code("hw1")[NAME])


def answer(notebook: Notebook) -> NotebookNode:
    cell: NotebookNode = cells_by_id(notebook)[NAME]
    return cell


def place(notebook: Notebook) -> int:
    return next(number for number, cell in enumerate(notebook.cells) if cell is answer(notebook))


def edit(source: str) -> Callable[[Notebook], None]:
    """Write this into the answer; RIGHT stands for the right answer."""
    return lambda notebook: answer(notebook).__setitem__("source", source.replace("RIGHT", right()))


def add(source: str, below: bool = True) -> Callable[[Notebook], None]:
    """A cell below everything, or above."""
    cell = new_code_cell(source)
    return lambda notebook: notebook.cells.append(cell) if below else notebook.cells.insert(0, cell)


def both(*edits: Callable[[Notebook], Any]) -> Callable[[Notebook], None]:
    def change(notebook: Notebook) -> None:
        for one in edits:
            one(notebook)

    return change


FUNCTION = f"def {NAME}(*given, **named):\n    "
USES_HELPER = f"{FUNCTION}return helper(*given, **named)\n"
HELPER = CLASSROOM.reference_code("hw1")[NAME].replace(f"def {NAME}(", "def helper(")
USES_IMPORT = f"{HELPER}\n{FUNCTION}return operator.itemgetter(0)([helper(*given, **named)])\n"
WRONG = f"{FUNCTION}return 'wrong'\n"
NO_FUNCTION = f"there is no function {NAME}"
CASE = "\n  case 1 of "


def import_in_given(notebook: Notebook) -> None:
    given = next(cell for cell in notebook.cells if cell.cell_type == "code")
    given.source += "\nimport operator"
    edit(USES_IMPORT)(notebook)


def copied(first: str, second: str) -> Callable[[Notebook], None]:
    def change(notebook: Notebook) -> None:
        again = copy.deepcopy(answer(notebook))
        edit(first)(notebook)
        again.source = second.replace("RIGHT", right())
        notebook.cells.insert(place(notebook) + 1, again)

    return change


def split(notebook: Notebook) -> None:
    """As JupyterLab does it, with the metadata in both; the second half has a helper."""
    copied(USES_HELPER, HELPER)(notebook)


def other_kind(kind: Callable[..., NotebookNode]) -> Callable[[Notebook], None]:
    def change(notebook: Notebook) -> None:
        about = answer(notebook).metadata
        notebook.cells[place(notebook)] = kind(right(), metadata=about)

    return change


def other_tools(notebook: Notebook) -> None:
    notebook.metadata = {"colab": {"provenance": []}, "widgets": {"x": 1}, "vscode": {"interpreter": {"hash": "x"}}}
    for cell in notebook.cells:
        cell.metadata |= {"id": "abc", "colab": {"base_uri": "x"}, "tags": ["raises-exception", "skip-execution"]}


def outputs(notebook: Notebook) -> None:
    answer(notebook).outputs = [{"output_type": "stream", "name": "stdout", "text": "right\n" * 100}]


def no_ids(notebook: Notebook) -> None:
    for cell in notebook.cells:
        cell.pop("id", None)
    notebook.nbformat_minor = 4


def lost_metadata(notebook: Notebook) -> None:
    answer(notebook).metadata = {}


def edited_check(notebook: Notebook) -> None:
    edit(WRONG)(notebook)
    cells_by_id(notebook)[f"check_{NAME}"].source = "print('right in all 6 visible cases')"


def copied_check(notebook: Notebook) -> None:
    edit(WRONG)(notebook)
    notebook.cells.append(new_code_cell(f'check("hw1", "{NAME}", {NAME})'))


def deleted(notebook: Notebook) -> None:
    del notebook.cells[place(notebook)]


GUARD = 'if __name__ == "__main__":\n    RIGHT'
EDITS: dict[str, tuple[Callable[[Notebook], Any], str]] = {  # what was done -> a word of its message, "" if it is right
    "nothing": (lambda notebook: None, ""),
    "%%time": (edit("%%time\nRIGHT"), ""),
    "%%timeit and %%capture": (edit("\n%%timeit -n 1\n%%capture out\nRIGHT"), ""),
    "%%writefile": (both(add(f"%%writefile helpers.py\n{HELPER}", False), edit(f"from helpers import helper\n{USES_HELPER}")), "No module named 'helpers'"),
    "%%writefile in the answer": (edit("%%writefile answer.py\nRIGHT"), NO_FUNCTION),
    "a shell line and %matplotlib": (edit("!pip install tensorflow \\\n  'keras'\n%matplotlib inline\nRIGHT"), ""),
    "a magic inside the function": (edit(f"{HELPER}\n{FUNCTION}%pdb off\n    files = !ls\n    return helper(*given, **named)"), ""),
    "a magic, and what looks like one in a string": (edit("%matplotlib inline\nTEXT = '''\n%d\n!x\n'''\nassert len(TEXT) == 7\nRIGHT"), ""),
    "questions": (edit("math.floor?\n?math\nmath.floor??\nRIGHT"), ""),
    "a helper above": (both(add(HELPER, False), edit(USES_HELPER)), ""),
    "a helper below": (both(add(HELPER), edit(USES_HELPER)), ""),
    "a helper redefined later": (both(add(HELPER, False), edit(USES_HELPER), add("def helper(*given, **named):\n    return 'wrong'")), CASE),
    "an import in a given cell": (import_in_given, ""),
    "a cell copied, the last right": (copied(WRONG, "RIGHT"), ""),
    "a cell copied, the last wrong": (copied("RIGHT", WRONG), "the last definition counts"),
    "a cell split between functions": (split, ""),
    "a cell split inside a function": (copied(f"def {NAME}(*given):", "    return 3"), "the last definition counts"),
    "a cell copied without its metadata": (add(WRONG), CASE),
    "outputs": (outputs, ""),
    "metadata of other tools": (other_tools, ""),
    "lost cell ids": (no_ids, ""),
    "a lost grade_id": (lost_metadata, ""),
    "a given name shadowed": (both(add("math = 3", False), edit(f"{FUNCTION}return math.floor(1)")), "AttributeError: 'int' object has no attribute 'floor'"),
    "check shadowed": (add("check = cut = 3\nfrom minivjepa import no_such_thing", False), ""),
    "an edited check": (edited_check, CASE),
    "a copied check": (copied_check, CASE),
    "a cell deleted": (deleted, "its answer cell is not in the notebook"),
    "a function renamed": (edit("def gridshape(): pass"), NO_FUNCTION),
    "a name that is no function": (edit(f"{NAME} = 3"), NO_FUNCTION),
    "a cell emptied": (edit("  \n"), "its answer cell is empty"),
    "a comment alone": (edit("# later"), NO_FUNCTION),
    "markdown where code was": (other_kind(new_markdown_cell), "its answer cell is of kind markdown, not code"),
    "raw where code was": (other_kind(new_raw_cell), "its answer cell is of kind raw, not code"),
    "raw and markdown cells": (lambda notebook: notebook.cells.extend([new_raw_cell(WRONG), new_markdown_cell(WRONG)]), ""),
    "a plot that fails": (add("import matplotlib.pyplot as plt\nplt.imshow(no_such_clip)\nplt.show()", False), ""),
    "display": (edit(f"display(3)\nRIGHT\ndisplay({NAME}, display_id='x')"), ""),
    "input": (add(f"name = input('who are you? ')\n{NAME} = 3"), ""),
    "input in the answer": (edit("RIGHT\nname = input()"), ""),
    "an error below the function": (edit("RIGHT\nassert 1 == 2"), ""),
    "an error above the function": (edit("assert 1 == 2\nRIGHT"), "AssertionError:; at the line: assert 1 == 2"),
    "unicode": (edit("π, Größe = 3.14, 'Zoë 学生 🙂'\nRIGHT"), ""),
    "CRLF": (lambda notebook: edit("%%time\r\n" + right().replace("\n", "\r\n"))(notebook), ""),
    "__main__": (edit('if __name__ == "__main__":\n    ' + right().replace("\n", "\n    ")), ""),
    "sys.exit": (both(add("import sys\nsys.exit(0)", False), add("exit()"), add("quit()")), ""),
    "sys.exit in a function": (edit(f"import sys\n{FUNCTION}sys.exit(0)"), "SystemExit"),
    "not written": (edit(f"{FUNCTION}raise NotImplementedError()"), "not written yet"),
    "the settings of torch": (add("torch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)", False), ""),
    "the device of torch": (add("torch.set_default_device('meta')", False), ""),
    "cells in reverse": (lambda notebook: notebook.cells.reverse(), ""),
    "a syntax error elsewhere": (add("def f(:\n  pass", False), ""),
}  # fmt: skip


def handed_in(name: str) -> bytes:
    """The file with this edit."""
    notebook = solved()
    EDITS[name][0](notebook)
    return json.dumps(notebook).encode()


def in_this_process(code: list[str], path: Path) -> list[ElementTree.Element]:
    """What nbval says of these cells, without a kernel."""
    space: dict[str, Any] = {}
    tests = []
    for text in code:
        test = ElementTree.Element("testcase")
        try:
            exec(text, space)
        except CheckFailed as error:
            ElementTree.SubElement(test, "failure").text = f"CheckFailed: {error}"
        tests.append(test)
    return tests


class NearChild:
    """A child that runs in this process, all of it before the first message is read."""

    def __init__(self, job: dict[str, Any], user: int):
        told = json.loads(json.dumps(job))
        self.said: list[messages.Message] = []
        self.begun = 0.0
        space = child_main.run_steps(self, told["given"], told["steps"])  # type: ignore[arg-type]
        for exercise in told["exercises"]:
            child_main.run_exercise(self, space, exercise)  # type: ignore[arg-type]
        self.said = [messages.Message({"event": "ready"}, b""), *self.said, messages.Message({"event": "end"}, b"")]

    def write(self, data: bytes) -> None:
        message = messages.receive(io.BytesIO(data))
        assert message is not None
        self.said.append(message)

    def flush(self) -> None: ...

    def start_clock(self) -> None: ...

    def end(self) -> None: ...

    def next(self, seconds: float) -> messages.Message:
        return self.said.pop(0)


@pytest.fixture(scope="module")
def homework() -> Assignment:
    """Homework 1 with its visible cases: those by which `check` judges."""
    notebook = nbformat.read(FOLDER / "hw1.ipynb", as_version=4)
    cases = tuple(load_cases("hw1", name) for name in CLASSROOM.worth("hw1"))
    return Assignment("hw1", tuple(given_cells(notebook)), cases, CLASSROOM.worth("hw1"), {})


@pytest.mark.parametrize("name", EDITS)
def test_check_and_grade_agree_on_a_notebook_that_was_edited(
    name: str, tmp_path: Path, homework: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a helper, an import or a magic that costs points in one command and not in the other; a copied cell that is ignored."""
    path = tmp_path / "mine.ipynb"
    path.write_bytes(handed_in(name))
    monkeypatch.setattr(selfcheck, "run_nbval", in_this_process)
    monkeypatch.setattr(running, "Child", NearChild)
    checked = check_file(path)
    desk = Desk([homework], [], iter(range(9)), tmp_path, "")
    graded = grade_one(read_cells(path.read_bytes(), path.name), HandedIn(path, "anna"), desk, None)
    word = EDITS[name][1]
    expected = {exercise: exercise == NAME and bool(word) for exercise in homework.points}
    assert {exercise: bool(text) for exercise, text in checked.messages.items()} == expected, checked.messages
    assert {exercise: text != RIGHT for exercise, text in graded.messages.items()} == expected, graded.messages
    for text in (checked.messages[NAME], graded.messages[NAME]):
        assert word in text
    assert len(checked.notes) == len(graded.notes)


# --- the program ---


@pytest.mark.parametrize(
    ("source", "code", "done"),
    [
        ("x = 3 % 2  # !\ny = '''\n%d\n'''", None, ""),
        ("%%time\nx = 3", "\nx = 3", "body"),
        ("\n%%timeit -n 3\n%%capture out\nx = 3", "\n\n\nx = 3", "body"),
        ("%%bash\nls", "", "left out"),
        ("%matplotlib inline\nx = (3\n  % 2)", "pass\nx = (3\n  % 2)", "lines"),
        (
            "if True:\n    !ls 'x\n    files, y = !ls\n    x = %time f()",
            "if True:\n    pass\n    pass\n    x = f()",
            "lines",
        ),
        ("%time x = f()  # slow\nif x:\n    %prun y = g(x)", "x = f()  # slow\nif x:\n    y = g(x)", ""),
        ("%time !ls\n%time\n%prun -l 3 f()\n%timeit x = 3", "pass\npass\npass\npass", "lines"),
        ("x?\n?x\nx.y??\n??x;", "pass\npass\npass\npass", "lines"),
        ("!pip install \\\n  that\nx = 3", "\npass\nx = 3", "lines"),
        ("%ls\ny = '''\n%d\n!x\n'''", "pass\ny = '''\n%d\n!x\n'''", "lines"),
        ("def f(:", None, ""),
        ("\0", None, ""),
        ("(" * 10_000, None, ""),
        ("", None, ""),
    ],
)
def test_ipythons_syntax_is_taken_out_line_for_line(source: str, code: str | None, done: str) -> None:
    """Catches: a string or a formula that is taken for a magic; another line than the student's in a message."""
    assert plain_python(source) == (source if code is None else code, done)
    assert not done or done in DONE


def cell(source: str, grade_id: str = "", kind: str = "code") -> Cell:
    return Cell(grade_id, kind, source)


def test_a_program_has_all_code_but_checks_and_given_cells_that_are_unchanged() -> None:
    """Catches: a check that somebody edited, run for its words; a given cell that runs twice, or loses what was added to it."""
    cells = [
        cell("import a  \r\nimport b\r\n"), cell("import a\nimport c"), cell("text", kind="markdown"), cell("x = 3", "f"),
        cell("print('right')", "check_f"), cell('check("hw1", "f", f)'), cell("check = 3"), cell(" "), cell("y = 3", "f"), cell("z", "g", "raw"),
    ]  # fmt: skip
    program = program_of(cells, ["import a\nimport b", "last"], ["f", "g", "h"])
    assert program.given == "import a\nimport b\n\nlast"
    assert program.steps == [(2, "", "import a\nimport c"), (4, "f", "x = 3"), (7, "", "check = 3"), (9, "f", "y = 3")]
    assert program.lost == {
        "g": "its answer cell is of kind raw, not code",
        "h": "its answer cell is not in the notebook",
    }


def test_what_happened_in_cells_is_said_where_it_matters() -> None:
    """Catches: points lost to a cell of which nobody hears; a page that is full of notes."""
    steps = [cell("", "f"), cell("", "f"), cell("", "g"), cell("", "h"), *[cell("x")] * 99]
    program = program_of([one._replace(source="x") for one in steps], [], ["f", "g", "h"])
    wrong = {"f": "wrong", "g": "there is no function g: keep the name that the exercise gives"}
    stopped = {number: f"stopped ({number})" for number in range(len(steps))}
    found, notes = remarks(program, wrong, stopped, {0: "body"})
    assert found == {
        "f": "wrong\n  its cell 1 stopped (0)\n  its cell 2 stopped (1)\n  cells 1, 2 are its answer: they ran in this order, the last definition counts",
        "g": "stopped (2)",
    }  # fmt: skip
    assert notes[:2] == [
        "cell 1 begins with %%: that line was left out, the others ran",
        "the others ran, but cell 4 stopped (3)",
    ]
    assert len(notes) == MOST_NOTES + 1
    assert notes[-1] == "and 81 more cells like these"


# --- with processes ---

ENDS = both(add("import os\nos._exit(0)", False), add("while True:\n    pass"), edit("%%time\nRIGHT\n!ls"))
REAL = (
    "a helper below",
    "an import in a given cell",
    "a cell copied, the last wrong",
    "sys.exit",
    "input",
    "display",
    "CRLF",
)


@pytest.mark.slow
def test_graded_in_children_an_edited_notebook_gets_what_it_deserves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a verdict that holds in one process only; a cell of the student's own that ends Python, and costs others points."""
    monkeypatch.setattr(running, "SECONDS", 5.0)
    monkeypatch.setattr(grading, "limits_in_force", lambda hide: {})
    folder, expected = tmp_path / "in", {name: EDITS[name][1] for name in REAL} | {"ends": ""}
    folder.mkdir()
    notebook = solved()
    ENDS(notebook)
    for name in expected:
        (folder / f"{name}.ipynb").write_bytes(json.dumps(notebook).encode() if name == "ends" else handed_in(name))
    task = Task(tmp_path / "grades.csv", 1, os.cpu_count() or 1, (folder,))
    rows = grade_folder(task, submissions(folder), ["hw1"], lambda text: None, lambda: None)
    found = [row.result for row in rows]
    assert {one.student: [name for name, text in one.messages.items() if text != RIGHT] for one in found} == {
        name: [NAME] if word else [] for name, word in expected.items()
    }
    [ends] = [one for one in found if one.student == "ends"]
    assert [note.split(" ", 2)[2] for note in ends.notes[:1]] == [DONE["lines"]]
    assert "ended the process" in ends.notes[1]
    assert "took longer than 5 s" in ends.notes[2]
    assert "Notes on cells" in next((tmp_path / "grades").glob("*-ends.html")).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("clean")
def test_check_runs_on_without_a_cell_that_ends_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a notebook of right answers called wrong because of a cell that is no answer."""
    monkeypatch.setattr(selfcheck, "CELL_SECONDS", 30)  # the first cell loads torch
    notebook = solved()
    both(ENDS, add("exit()"), add("name = input()"), add("get_ipython()"), add("display(no_such_thing)"))(notebook)
    nbformat.write(notebook, tmp_path / "mine.ipynb")
    assert command("check", str(tmp_path / "mine.ipynb")) == 0
    printed = capsys.readouterr().out
    assert "8 of 8 exercises are right in all visible cases" in printed
    assert printed.count("ended Python, or took too long") == 2
    assert "stopped with NameError: name 'get_ipython' is not defined" in printed
    assert "stopped with NameError: name 'no_such_thing' is not defined; at the line: display(no_such_thing)" in printed


SECONDS_TAKEN = {  # of each cell; what grading counts; whether the functions are called
    "nine cells that take a minute": ([60.0] * 9, 0.0, True),
    "three long ones that are short enough, and two that are not": ([9.0, 9.0, 60.0, 9.0, 60.0], 72.0, True),
    "many that are short enough": ([9.0] * 11, 99.0, False),
    "what runs again counts again": ([9.0] * 5 + [60.0] * 2, 135.0, False),
}


@pytest.mark.parametrize("case", SECONDS_TAKEN)
def test_the_time_of_a_cell_that_is_left_out_is_not_charged(
    case: str, homework: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: right answers that get no points, because cells that are no answers used up the time; `check` counting another time."""
    taken, counted, called = SECONDS_TAKEN[case]
    clock = [0.0]

    class Slow(NearChild):
        def __init__(self, job: dict[str, Any], user: int):
            self.begun = clock[0]
            self.said = [messages.Message({"event": "ready"}, b"")] * 2
            self.said += [messages.Message({"event": "step", "step": step[0]}, b"") for step in job["steps"]]
            self.said += [messages.Message({"event": "end"}, b"")]
            self.running: float = 0.0

        def start_clock(self) -> None:
            self.begun = clock[0]

        def next(self, seconds: float) -> Any:
            if self.running > seconds:
                clock[0] += seconds
                return running.Stop("took longer", False)
            clock[0] += self.running
            found = self.said.pop(0)
            self.running = taken[found.about["step"]] if "step" in found.about else 0.0
            return found

    monkeypatch.setattr(running, "Child", Slow)
    monkeypatch.setattr(running, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    steps = [running.Step(number, "", "") for number in range(len(taken))]
    outcome = running.run_submission("", steps, homework.exercises, (), iter(range(99)))
    why = "did not answer" if called else "was not called: the submission used up its 90 s"
    assert {found.why for found in outcome.results.values()} == {why}  # type: ignore[union-attr]
    assert selfcheck.in_grading(taken) == counted
    if called:
        assert outcome.stopped == {number: "took longer" for number, took in enumerate(taken) if took > 10}


@pytest.mark.parametrize(("seconds", "is_noted"), [(0.5, False), (4.0, True)])
def test_check_says_when_everything_together_takes_long(
    seconds: float, is_noted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a notebook that `check` calls right and grading has no time for, without a word."""

    def slowly(code: list[str], path: Path) -> list[ElementTree.Element]:
        tests = in_this_process(code, path)
        for test in tests:
            test.set("time", str(seconds))
        return tests

    monkeypatch.setattr(selfcheck, "run_nbval", slowly)
    nbformat.write(solved(), tmp_path / "mine.ipynb")
    found = check_file(tmp_path / "mine.ipynb")
    assert not any(found.messages.values())
    assert any("grading gives them 90 s" in note for note in found.notes) == is_noted


def test_cells_that_end_python_do_not_start_children_for_ever(
    tmp_path: Path, homework: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a notebook with a thousand cells, each of which costs grading a new process."""

    class Ends(NearChild):
        def __init__(self, job: dict[str, Any], user: int):
            started.append(job["steps"])
            self.said, self.begun = [messages.Message({"event": "ready"}, b"")] * 2, 0.0
            self.said += [messages.Message({"event": "step", "step": job["steps"][0][0]}, b"")]

        def next(self, seconds: float) -> Any:
            return self.said.pop(0) if self.said else running.Stop("ended", False)

    started: list[Any] = []
    monkeypatch.setattr(running, "Child", Ends)
    steps = [running.Step(number, "", "") for number in range(1000)]
    outcome = running.run_submission("", steps, homework.exercises, (), iter(range(99)))
    assert len(started) == len(homework.exercises) + MOST_ENDS
    assert {found.why for found in outcome.results.values()} == {
        "was not called: the submission ended its process too often"
    }  # type: ignore[union-attr]
