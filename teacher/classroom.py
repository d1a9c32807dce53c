"""A made-up class to try grading with: submissions whose points are known.

python teacher/classroom.py FOLDER --students 200 --seed 0    writes FOLDER/submissions and FOLDER/labels.json
minivjepa grade FOLDER/submissions --out FOLDER/grades.csv --seed 1
python teacher/classroom.py FOLDER --judge FOLDER/grades.csv  compares; exits with 1 if any row is not as labelled
python teacher/classroom.py FOLDER --grade                    all three, with the time that grading takes

--layout names the files as a platform's export does; --people leaves out everything but ordinary students.  Among them are right answers in several styles, every known mistake, files that are not notebooks, and hostile programs.  Those that could
harm a machine on which nothing confines them are written on Linux as root only.
"""

import argparse
import csv
import functools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
from assignment import Exercise, load, reference_code

from minivjepa_course.grading.sandbox import as_root_on_linux
from minivjepa_course.homework.checking import FOLDER, assignments
from minivjepa_course.homework.notebooks import LARGEST_FILE, cells_by_id, is_check

LAYOUTS = ("plain", "moodle", "moodle-flat", "canvas", "blackboard")
Answers = dict[str, str]  # grade_id -> text of the cell
WRITTEN = (
    "**Claim.** Stop-gradient keeps both encoders of my runs alive: 0.76 and 0.72 against 0.08 and 0.09 without it."
)
FUNCTION = "def NAME(*given, **named):\n"


@dataclass(frozen=True)
class Submission:
    """One file of the class.  points: what each exercise deserves; empty if the file is not graded."""

    student: str
    data: bytes
    assignment: str
    points: dict[str, float]
    status: str = "graded"

    def write(self, folder: Path, layout: str = "plain", number: int = 0) -> str:
        """Put it where grading looks for it, as student `number` of an export.  The name that the table will have for the student."""
        user, at = re.sub(r"[\W_]", "", self.student).lower(), f"{1_000_000 + number}_assignsubmission_file_"
        late = "_LATE" if number % 5 == 0 else ""
        name = {
            "plain": f"{self.student}.ipynb",
            "moodle": f"{self.student}_{at}/hw.ipynb",
            "moodle-flat": f"{self.student}_{at}hw.ipynb",
            "canvas": f"{user}{late}_{1000 + number}_{5000 + number}_hw-1.ipynb",
            "blackboard": f"week 1_{user}_attempt_2026-11-20-10-11-12_hw.ipynb",
        }[layout]
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(self.data)
        if layout == "blackboard":
            text = f"Name: {self.student} ({user})\nAssignment: week 1\n"
            (folder / name.replace("_hw.ipynb", ".txt")).write_text(text, encoding="utf-8")
        older = name.replace("_hw-1.", "_hw.").replace("-20-10-", "-19-10-")
        if older != name and number % 2 and self.assignment:  # an attempt that must not count
            (folder / older).write_bytes(text_of(notebook(self.assignment, {})))
        return user if layout == "canvas" else self.student


# --- notebooks ---


@functools.cache
def exercises(assignment: str) -> dict[str, Exercise]:
    """name -> exercise."""
    return {exercise.name: exercise for exercise in load(assignment)}


@functools.cache
def worth(assignment: str) -> dict[str, float]:
    """Exercise -> points."""
    cells = cells_by_id(nbformat.read(FOLDER / f"{assignment}.ipynb", as_version=4))
    return {
        name.removeprefix("check_"): cell.metadata.nbgrader["points"] for name, cell in cells.items() if is_check(cell)
    }


def notebook(assignment: str, answers: Answers) -> nbformat.NotebookNode:
    """The student's notebook with these cells written; the others stay as they are handed out."""
    found = nbformat.read(FOLDER / f"{assignment}.ipynb", as_version=4)
    for name, text in answers.items():
        cells_by_id(found)[name].source = text
    return found


def text_of(found: nbformat.NotebookNode) -> bytes:
    """A notebook as the bytes of its file."""
    return nbformat.writes(found).encode()


def deserved(assignment: str, right: Answers | list[str]) -> dict[str, float]:
    """All points of the exercises named, none of the others."""
    return {name: points if name in right else 0.0 for name, points in worth(assignment).items()}


def labelled(student: str, assignment: str, right: Answers, wrong: Answers) -> Submission:
    """A submission with some answers that are right and some that are not."""
    return Submission(
        student, text_of(notebook(assignment, {**right, **wrong})), assignment, deserved(assignment, right)
    )


# --- people ---


def correct(student: str, assignment: str, rng: np.random.Generator) -> Submission:
    """Everything right, each answer in a random style."""
    right = {name: any_style(one, reference_code(assignment)[name], rng) for name, one in exercises(assignment).items()}
    return labelled(student, assignment, right, {})


def any_style(exercise: Exercise, reference: str, rng: np.random.Generator) -> str:
    """One of the right answers."""
    styles = [reference, *exercise.styles]
    return styles[int(rng.integers(len(styles)))]


def partly(student: str, assignment: str, rng: np.random.Generator) -> Submission:
    """Half right, a quarter with a known mistake, a quarter not written."""
    right, wrong = {}, {}
    for name, exercise in exercises(assignment).items():
        luck = rng.random()
        if luck < 0.5:
            right[name] = any_style(exercise, reference_code(assignment)[name], rng)
        elif luck < 0.75:
            wrong[name] = exercise.mistakes[int(rng.integers(len(exercise.mistakes)))][1]
    return labelled(student, assignment, right, wrong)


def mistaken(assignment: str) -> Iterator[Submission]:
    """Every known mistake once: in each submission every other exercise is right."""
    most = max(len(exercise.mistakes) for exercise in exercises(assignment).values())
    for number in range(most):
        for turn in range(2):
            wrong = {
                name: exercise.mistakes[number][1]
                for place, (name, exercise) in enumerate(exercises(assignment).items())
                if place % 2 == turn and number < len(exercise.mistakes)
            }
            right = {name: code for name, code in reference_code(assignment).items() if name not in wrong}
            if wrong:
                yield labelled(f"mistake-{assignment}-{number:02d}-{turn}", assignment, right, wrong)


# --- programs that misbehave; NAME stands for the function that is asked for ---

LOOP = FUNCTION + "    while True:\n        pass"
TOP_LOOP = "while True:\n    pass"
EXIT = "import os\n" + FUNCTION + "    os._exit(0)"
TOP_EXIT = "import os\nos._exit(0)"
SYS_EXIT = "import sys\n" + FUNCTION + "    sys.exit(0)"
TOP_SYS_EXIT = "import sys\nsys.exit(0)"
ODD_ERROR = FUNCTION + "    raise ValueError('\\udcff' * 1000)"

PATCHES = (
    FUNCTION
    + """    import numpy, torch
    import minivjepa_course.homework as homework
    from minivjepa_course.homework import cases, checking
    def yes(*given, **named):
        return True
    for module in (numpy, torch):
        module.allclose = module.isclose = yes
    numpy.array_equal = torch.equal = numpy.testing.assert_allclose = yes
    cases.same = cases.alike = yes
    cases.diagnose = checking.diagnose = lambda *given, **named: None
    checking.require_right = checking.check = homework.check = yes
    return 12345"""
)

PEEKS = (
    FUNCTION
    + """    import gc, pathlib, sys, minivjepa
    found = []
    frame = sys._getframe()
    while frame:
        found += [value for value in frame.f_locals.values() if isinstance(value, dict)]
        frame = frame.f_back
    found += [vars(thing) for thing in gc.get_objects() if type(thing).__name__ in ('ExerciseCases', 'Case')]
    found += [thing for thing in gc.get_objects() if type(thing) is dict]
    for file in pathlib.Path(minivjepa.__file__).parents[1].glob('teacher/*/exercises.py'):
        found.append({'expected': file.read_text()})
    for thing in found:
        if isinstance(thing, dict) and isinstance(thing.get('expected'), (dict, str)):
            return thing['expected']
    return -1"""
)

GARBAGE = (
    "import os\n"
    + FUNCTION
    + """    for number in range(256):
        try:
            os.write(number, b'\\xff\\x00garbage' * 100)
        except OSError:
            pass
    return -1"""
)

FORGES = (
    "import io, json, os, struct\nimport numpy as np\n"
    + FUNCTION
    + """    held = io.BytesIO()
    odd = np.frombuffer(b'\\xff\\xff\\xff\\x7f' * 4, dtype='<U4')
    np.savez(held, **{'result': odd, 'inputs that were changed': np.ones(3)})
    messages = [{'event': 'call', 'exercise': 'NAME', 'case': 0}]
    messages += [{'event': 'result', 'exercise': 'NAME', 'case': number} for number in range(50)]
    data = b''
    for about in messages:
        text = json.dumps(about).encode()
        data += struct.pack('<II', len(text), held.tell()) + text + held.getvalue()
    for number in range(3, 256):
        try:
            os.write(number, data)
        except OSError:
            pass
    return -1"""
)

NO_ARRAYS = (
    "import io, json, os, struct, zipfile\n"
    + FUNCTION
    + """    held = io.BytesIO()
    with zipfile.ZipFile(held, 'w') as file:
        file.writestr('result.npy', b'no array at all')
    about = [{'event': 'stopped', 'exercise': ['NAME'], 'case': 0}, {'event': 'result', 'exercise': 'NAME', 'case': 0}]
    texts = [json.dumps(one).encode() for one in about]
    data = b''.join(struct.pack('<II', len(text), held.tell()) + text + held.getvalue() for text in texts)
    for number in range(3, 256):
        try:
            os.write(number, data)
        except OSError:
            pass
    return -1"""
)

# removing such a tree must not depend on how deep it is
DEEP = (
    "import os\n"
    + FUNCTION
    + """    for _ in range(1200):
        os.mkdir('d')
        os.chdir('d')
    return -1"""
)

MEMORY = "import numpy as np\n" + FUNCTION + "    held = [np.ones(2**24) for _ in range(64)]\n    return len(held)"

# it begins only where a limit will end it
FORKS = (
    "import os, resource\n"
    + FUNCTION
    + """    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    while 0 < limit < 1000:
        try:
            os.fork()
        except OSError:
            pass
    return -1"""
)

# outside the folder that grading gave it, it deletes nothing that belongs to its own user
DELETES = (
    "import os, pathlib, shutil, minivjepa\n"
    + FUNCTION
    + """    root = pathlib.Path(minivjepa.__file__).parents[1]
    for folder in (root / 'teacher', root / 'minivjepa', pathlib.Path(SUBMISSIONS)):
        try:
            if folder.stat().st_uid != os.geteuid():
                shutil.rmtree(folder, ignore_errors=True)
                (folder / 'was here').write_text('')
        except OSError:
            pass
    if pathlib.Path.cwd().name.startswith('minivjepa-'):
        for file in pathlib.Path('.').iterdir():
            file.unlink()
    return -1"""
)

# it looks for the answers where the checkout keeps all that it ever held
HISTORY = (
    "import pathlib, subprocess, minivjepa\n"
    + FUNCTION
    + """    root = pathlib.Path(minivjepa.__file__).parents[1]
    git = ['git', '-c', 'safe.directory=*', '-C', str(root)]
    found = subprocess.run([*git, 'show', 'HEAD:teacher/ASSIGNMENT/notebook.py'], capture_output=True, text=True).stdout
    space = dict(globals())
    for part in found.split('# %% '):
        code = part.partition('\\n')[2]
        if 'kind="check"' not in part and '[markdown]' not in part:
            exec(code, space)
    return space['NAME'](*given, **named)"""
)

# it leaves a process behind that outlives others' looks, and then ends whatever it may end
KILLS = (
    "import os, signal, time\n"
    + FUNCTION
    + """    mine = os.getpid()
    if not hasattr(os, 'left') and os.fork() == 0:
        os.setsid()
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                if os.fork():
                    os._exit(0)
                time.sleep(0.001)
                os.kill(mine, 0)
            except ProcessLookupError:
                os.kill(-1, signal.SIGKILL)
            except OSError:
                pass
        os._exit(0)
    os.left = True
    return -1"""
)

NUISANCES = {
    "loops": LOOP, "loops-outside": TOP_LOOP, "exits": EXIT, "exits-outside": TOP_EXIT, "sys-exits": SYS_EXIT,
    "sys-exits-outside": TOP_SYS_EXIT, "odd-error": ODD_ERROR, "patches": PATCHES, "peeks": PEEKS, "garbage": GARBAGE, "forges": FORGES,
    "no-arrays": NO_ARRAYS, "deep": DEEP,
}  # fmt: skip
DANGERS = {
    "fills-memory": MEMORY,
    "forks": FORKS,
    "deletes": DELETES,
    "history": HISTORY,
    "kills": KILLS,
}  # where nothing confines them


def attack(student: str, assignment: str, code: str, exercise: str, submissions: Path) -> Submission:
    """All right but for one exercise, whose cell is hostile."""
    right = {name: text for name, text in reference_code(assignment).items() if name != exercise}
    code = (
        code.replace("NAME", exercise).replace("ASSIGNMENT", assignment).replace("SUBMISSIONS", repr(str(submissions)))
    )
    return labelled(student, assignment, right, {exercise: code})


def hostile(assignment: str, submissions: Path, rng: np.random.Generator) -> Iterator[Submission]:
    """Every kind, each on an exercise that chance picks; the dangerous ones only where they are confined."""
    names = list(worth(assignment))
    for kind, code in {**NUISANCES, **(DANGERS if as_root_on_linux() else {})}.items():
        yield attack(f"{kind}-{assignment}", assignment, code, names[int(rng.integers(len(names)))], submissions)
    yield odd_objects(assignment)
    yield noisy(assignment)


def odd_objects(assignment: str) -> Submission:
    """Answers that return unexpected objects."""
    values = [
        "type('Mine', (), {'__eq__': lambda *both: True})()",
        "lambda: 0",
        "__import__('numpy').zeros(2**24)",
        "float('nan')",
    ]
    wrong = {
        name: FUNCTION.replace("NAME", name) + f"    return {value}" for name, value in zip(worth(assignment), values)
    }
    right = {name: text for name, text in reference_code(assignment).items() if name not in wrong}
    return labelled(f"objects-{assignment}", assignment, right, wrong)


def noisy(assignment: str) -> Submission:
    """Right, after 50 MB of words in one of its cells."""
    right = dict(reference_code(assignment))
    name = next(iter(right))
    right[name] += "\n\nfor _ in range(50):\n    print('x' * 10**6)"
    return labelled(f"noisy-{assignment}", assignment, right, {})


# --- files that are odd or broken ---


def odd_notebooks(assignment: str) -> Iterator[Submission]:
    """Notebooks that are graded although their cells were moved, doubled or renamed, or saved in an old format."""
    right = reference_code(assignment)
    first, second, *_ = right

    doubled = notebook(assignment, right)
    for name, text in ((first, TOP_EXIT), (second, right[second])):
        cell = nbformat.from_dict(cells_by_id(doubled)[name])
        cell.source, cell.id = text, f"again-{name}".replace("_", "-")
        doubled.cells.append(cell)
    cells_by_id(doubled)[second].source = "pass"
    yield Submission(
        f"doubled-{assignment}", text_of(doubled), assignment, deserved(assignment, [n for n in right if n != first])
    )  # the first one's last cell ends Python; the second's is its answer

    renamed = notebook(assignment, right)
    cells_by_id(renamed)[first].metadata.nbgrader["grade_id"] = "something_else"
    cells_by_id(renamed)[second].source = right[second].replace(f"def {second}(", "def another(")
    yield Submission(
        f"renamed-{assignment}", text_of(renamed), assignment, deserved(assignment, [n for n in right if n != second])
    )  # a function counts wherever it is written, and under its own name only

    turned = notebook(assignment, right)
    turned.cells.reverse()
    yield Submission(f"turned-{assignment}", text_of(turned), assignment, deserved(assignment, right))

    old = nbformat.convert(notebook(assignment, right), 3)
    data = nbformat.v3.writes_json(old).encode()
    yield Submission(f"format-3-{assignment}", data, assignment, deserved(assignment, right))

    words = {name: f"# Zoë schrieb: 学生 🙂\nπ = 3.14\n{text}" for name, text in right.items()}
    yield labelled(f"Zoë Ünïcødé 学生 🙂 {assignment}", assignment, words, {})
    yield labelled(f"=1+1 {assignment}", assignment, right, {})
    yield labelled(f"untouched-{assignment}", assignment, {}, {})


def broken(assignment: str) -> Iterator[Submission]:
    """Files that cannot be graded, with the status that says why."""
    whole = text_of(notebook(assignment, reference_code(assignment)))
    no_ids = notebook(assignment, reference_code(assignment))
    for cell in no_ids.cells:
        cell.metadata.pop("nbgrader", None)
    large = notebook(assignment, reference_code(assignment))
    large.cells[0].source += "x" * LARGEST_FILE
    files = {
        "half": (whole[: len(whole) // 2], "not a notebook"),
        "picture": (bytes(range(256)) * 40, "not a notebook"),
        "nothing": (b"", "not a notebook"),
        "list": (b"[" * 100_000, "not a notebook"),
        "large": (text_of(large), "not a notebook"),
        "no-cells": (text_of(nbformat.v4.new_notebook()), "no known assignment"),
        "no-ids": (text_of(no_ids), "no known assignment"),
    }
    for kind, (data, status) in files.items():
        yield Submission(f"{kind}-{assignment}", data, "", {}, status)


# --- the class ---


def everybody(students: int, seed: int, submissions: Path, people: bool = False) -> list[Submission]:
    """As many as asked: one of every kind in any order, unless it is only people, then people who are right or partly right."""
    rng = np.random.default_rng(seed)
    names = assignments()
    found: list[Submission] = []
    for name in names if not people else ():
        found += [*mistaken(name), *hostile(name, submissions, rng), *odd_notebooks(name), *broken(name)]
    rng.shuffle(found)  # type: ignore[arg-type]
    for number in range(len(found), students):
        make = correct if rng.random() < 0.5 else partly
        found.append(make(f"person-{number:04d}", names[number % len(names)], rng))
    return found[:students]


def write_class(folder: Path, students: int, seed: int, layout: str = "plain", people: bool = False) -> None:
    """Write the submissions and their labels, and beside the submissions what else lies in an archive."""
    submissions = folder / "submissions"
    submissions.mkdir(parents=True)
    found = everybody(students, seed, submissions.resolve(), people)
    labels = {
        one.write(submissions, layout, number): {
            "assignment": one.assignment,
            "points": one.points,
            "status": one.status,
        }
        for number, one in enumerate(found)
    }
    (submissions / "__MACOSX").mkdir()
    for name in ("__MACOSX/._hw.ipynb", "Thumbs.db", "desktop.ini", ".DS_Store", "questions.pdf"):
        (submissions / name).write_text("no notebook", encoding="utf-8")
    if layout != "plain":
        labels |= empty_handed(submissions, layout)
    (folder / "labels.json").write_text(json.dumps(labels, indent=1) + "\n", encoding="utf-8")
    print(f"{submissions}: {len(found)} submissions; {folder / 'labels.json'} says what they deserve")
    if not as_root_on_linux():
        print(f"left out, because nothing confines them here: {', '.join(DANGERS)}")


def empty_handed(submissions: Path, layout: str) -> dict[str, dict]:
    """A student without a notebook, and the label."""
    name = {
        "moodle": "nobody_999999_assignsubmission_file_",
        "moodle-flat": "nobody_999999_assignsubmission_onlinetext_.html",
        "canvas": "nobody_999_4999_hw.pdf",
        "blackboard": "week 1_nobody_attempt_2026-11-20-10-11-12.txt",
    }[layout]
    path = submissions / name
    path.mkdir() if layout == "moodle" else path.write_text("", encoding="utf-8")
    return {"nobody": {"assignment": "", "points": {}, "status": "nothing handed in"}}


# --- judging ---


def complaints(labels: dict[str, dict], rows: list[dict[str, str]]) -> dict[str, str]:
    """Student -> how the row differs from the label."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for row in rows:
        student = row["student"][1:] if row["student"][:2] in ("'=", "'+", "'-", "'@") else row["student"]
        wrong = difference(labels[student], row) if student in labels else "is not in the labels"
        if wrong or student in seen:
            found.setdefault(student, wrong or "has more than one row")
        seen.add(student)
    return {name: "is not in the table" for name in labels if name not in seen} | found


def difference(label: dict, row: dict[str, str]) -> str:
    """How one row differs; empty if it does not."""
    if (row["status"], row["assignment"]) != (label["status"], label["assignment"]):
        return f"is {row['status']} {row['assignment']}, expected {label['status']} {label['assignment']}: {row['message']}"
    wrong = [
        f"{name} has {row[name] or 'no'} points, expected {points:g}"
        for name, points in label["points"].items()
        if row[name] == "" or float(row[name]) != points
    ]
    if float(row["automatic_total"]) != sum(label["points"].values()):
        wrong.append(f"the total is {row['automatic_total']}")
    return "; ".join([*wrong, row["message"]]) if wrong else ""


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table of grades."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def judge(folder: Path, table: Path) -> int:
    """Print how many rows are as labelled, and which are not.  The exit code: 1 if any is not."""
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    found = complaints(labels, read_table(table))
    print(f"{len(labels) - len(found.keys() & labels.keys())} of {len(labels)} are as labelled")
    for student, why in sorted(found.items()):
        print(f"  {student}: {why}")
    return int(bool(found))


def grade_and_judge(folder: Path, layout: str) -> int:
    """Grade a class that was written, say how long that took, and judge it.  The exit code."""
    out, begun = folder / "grades.csv", time.monotonic()
    platform = layout.partition("-")[0]
    export = ["--export", platform] if platform in ("moodle", "canvas") else []
    words = [sys.executable, "-m", "minivjepa", "grade", str(folder / "submissions"), "--out", str(out), "--seed", "1"]
    code = subprocess.run([*words, *export], check=False).returncode
    if not out.exists():  # grading has said why
        return code
    seconds, used = time.monotonic() - begun, os.times()
    cpu = used.children_user + used.children_system
    print(f"grading took {seconds:.0f} s; {cpu:.0f} s of processor time, of {os.cpu_count()} processors")
    return judge(folder, out)


def main(words: list[str]) -> int:
    """Write a class, or judge its grades."""
    parser = argparse.ArgumentParser(
        description="Write a class of labelled submissions to try grading with, or judge its grades."
    )
    parser.add_argument("folder", type=Path, help="of the class; must not exist yet, unless --judge is given")
    parser.add_argument("--students", type=int, default=200, help="how many submissions to write (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the class (default: 0)")
    parser.add_argument("--judge", type=Path, metavar="CSV", help="a table that minivjepa grade wrote, to compare")
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="plain", help="whose export it looks like (default: plain)"
    )
    parser.add_argument("--people", action="store_true", help="only ordinary students: nothing odd, broken or hostile")
    parser.add_argument(
        "--grade", action="store_true", help="grade the class at once, say how long it took, and judge it"
    )
    options = parser.parse_args(words)
    if options.judge:
        if options.grade or options.people or (options.students, options.seed, options.layout) != (200, 0, "plain"):
            parser.error("--judge compares a table and writes nothing: give the folder and --judge only")
        if not (options.folder / "labels.json").exists() or not options.judge.exists():
            parser.error(f"{options.folder / 'labels.json'} or {options.judge} is not there")
        return judge(options.folder, options.judge)
    if options.folder.exists():
        parser.error(f"{options.folder} is there already; give a folder that does not exist yet")
    if options.students < 1:
        parser.error(f"--students is {options.students}, expected 1 or more")
    write_class(options.folder, options.students, options.seed, options.layout, options.people)
    return grade_and_judge(options.folder, options.layout) if options.grade else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
