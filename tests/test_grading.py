"""Grading: everybody gets what their work deserves, whatever else their program does."""

import csv
import dataclasses
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minivjepa_course.grading import child_process as children
from minivjepa_course.grading import grade_folder as grading
from minivjepa_course.grading import messages, sandbox
from minivjepa_course.grading import run_submission as running
from minivjepa_course.grading.feedback import page
from minivjepa_course.grading.grade_folder import SURPRISE, Desk, Task, feedback_on, grade_folder, graded_or_kept
from minivjepa_course.grading.graded import RIGHT as ALL_RIGHT
from minivjepa_course.grading.graded import Assignment, Graded, Row, edition, kept, result_file
from minivjepa_course.grading.hidden_cases import TEACHER, teachers_code
from minivjepa_course.grading.messages import HEADER, Message
from minivjepa_course.grading.mounts import answer_folders
from minivjepa_course.grading.processes import Process
from minivjepa_course.grading.sandbox import MEMORY_BYTES, as_root_on_linux
from minivjepa_course.grading.submissions import MOST_FILES, HandedIn, submissions
from minivjepa_course.grading.table import table
from minivjepa_course.homework.calling import BLOCKED, NO_FUNCTION, NOT_WRITTEN
from minivjepa_course.homework.cases import CHANGED, Arrays, Case, ExerciseCases
from minivjepa_course.homework.checking import assignments
from minivjepa_course.homework.notebooks import Cell, read_cells
from minivjepa_course.homework.program import Step
from tests.test_cli import call, refused

pytest.importorskip("jupytext")
CLASSROOM = pytest.importorskip("classroom", reason="the teacher's folder was removed from this copy")
WRITTEN = "**Claim.** Without stop-gradient the target of both my runs ends below 0.1."
SECONDS = 3.0  # of one call, so that endless loops do not take long here
SEED = 3


def everybody(folder: Path) -> list[Any]:
    """The class of this test: one of every kind of homework 1, and two of the others."""
    rng = np.random.default_rng(SEED)
    right = {name: CLASSROOM.reference_code(name) for name in assignments()}
    return [
        CLASSROOM.labelled("right", "hw2", right["hw2"], {}),
        CLASSROOM.labelled("with-words", "hw3", right["hw3"], {"argument": WRITTEN}),
        CLASSROOM.partly("partly", "hw3", rng),
        *CLASSROOM.hostile("hw1", folder, rng),
        *CLASSROOM.odd_notebooks("hw1"),
        *CLASSROOM.broken("hw1"),
    ]


def hand_in(folder: Path, found: list[Any]) -> None:
    folder.mkdir()
    for one in found:
        one.write(folder)


def grade_all(
    folder: Path,
    out: Path,
    names: list[str],
    seed: int,
    jobs: int,
    say: Callable[[str], None],
    done: Callable[[], None],
) -> list[Row]:
    """Grade a folder, as the command does."""
    return grade_folder(Task(out, seed, jobs, (folder,)), submissions(folder), names, say, done)


def as_row(result: Graded, by_hand: float | None = None) -> Row:
    """The line of a result, of a file named after the student."""
    return Row(HandedIn(Path(), result.student, f"{result.student}.ipynb"), result, by_hand)


def snapshot(*folders: Path) -> dict[str, tuple[int, int]]:
    """Size and time of everything below; not of bytecode, which this process may write."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for folder in folders
        for path in (folder, *folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def labels(found: list[Any]) -> dict[str, dict]:
    return {one.student: dataclasses.asdict(one) for one in found}


@pytest.mark.slow
def test_a_hostile_class_gets_what_it_deserves_and_leaves_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a wrong answer with points, a right one without, a file touched, or a grader that somebody can stop."""
    monkeypatch.setattr(running, "SECONDS", SECONDS)
    folder, out = tmp_path / "handed in", tmp_path / "grades.csv"
    found = everybody(folder)
    hand_in(folder, found)
    before = snapshot(folder, TEACHER)
    heard: list[str] = []
    results = grade_all(folder, out, assignments(), SEED, os.cpu_count() or 1, heard.append, lambda: None)
    assert snapshot(folder, TEACHER) == before
    rows = CLASSROOM.read_table(out)
    assert CLASSROOM.complaints(labels(found), rows) == {}
    assert list(rows[0]) == columns()
    assert {row["to_mark"] for row in rows if row["student"] == "with-words"} == {"6"}
    assert any(row["student"] == "'=1+1 hw1" for row in rows)
    assert len(list(out.with_suffix("").glob("[0-9]*.html"))) == len(results) == len(found)
    check_words({row["student"]: row["message"] for row in rows})
    check_resume(folder, out, capsys)
    if not as_root_on_linux():
        pytest.skip("submissions that need limits were left out: those limits need Linux and root")
    assert heard == []


def columns() -> list[str]:
    """Of the table, as teacher/README.md promises."""
    exercises = [
        name
        for assignment in assignments()
        for name in (*CLASSROOM.worth(assignment), *teachers_code()["projects_of"](assignment))
    ]
    sums = ["automatic_total", "to_mark", "by_hand", "total"]
    return ["student", "assignment", *exercises, *sums, "status", "message", "id", "late", "file", "older_files"]


def check_words(messages: dict[str, str]) -> None:
    """Feedback says what happened."""
    for student, word in {
        "right": "",
        "loops-hw1": f"took longer than {SECONDS:.0f} s",
        "loops-outside-hw1": f"took longer than {SECONDS:.0f} s",
        "exits-hw1": "ended the process",
        "sys-exits-hw1": "stopped; the submission says: SystemExit",
        "objects-hw1": "is a Mine, expected numbers",
        "doubled-hw1": "ended the process",
        "renamed-hw1": "there is no function",
        "untouched-hw1": "not written yet",
        "half-hw1": "is not a notebook",
        "large-hw1": "is larger than 64 MB",
        "no-ids-hw1": "their grade_ids are gone",
    }.items():
        assert word in messages[student], (student, messages[student])
    if as_root_on_linux():
        assert re.search("2 GiB of memory|took longer", messages["fills-memory-hw1"])  # whichever comes first


def check_resume(folder: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Grading again takes every result from its record."""
    records, before = out.with_suffix("") / "records", out.read_bytes()
    kept = snapshot(records)
    out.unlink()
    started = time.process_time()  # not by the clock: a busy machine is no bug
    assert call("grade", str(folder), "--out", str(out), "--seed", str(SEED), "--resume") == 0
    assert time.process_time() - started < 60
    assert "files graded; feedback pages are in" in capsys.readouterr().out
    assert out.read_bytes() == before
    assert snapshot(records) == kept


@pytest.mark.slow
@pytest.mark.skipif(not as_root_on_linux(), reason="the strongest limits need Linux and root")
def test_every_limit_is_in_force_on_linux_as_root() -> None:
    """Catches: a submission that can read the answers, reach the network, or run as root."""
    held = running.limits_in_force([str(path) for path in answer_folders(TEACHER.parent)])
    assert len(held) == 9
    assert all(held.values()), held


# --- what follows starts no process ---


@pytest.mark.skipif(sys.platform == "win32", reason="users have no numbers on Windows")
@pytest.mark.parametrize("user", [1000, 65534, 1_234_567])
def test_an_ordinary_user_is_not_told_that_submissions_run_as_another(
    user: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: nobody, or a user of a large network, taken for the one that submissions get on Linux as root."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    asked_by_them, asked_by_root = (sandbox.probe([str(tmp_path / "none")], 1, parent) for parent in (user, 0))
    assert not asked_by_them["an unprivileged user"]
    assert not asked_by_them["number of processes"]
    assert asked_by_root["an unprivileged user"]


def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: dict[str, bool]) -> list[str]:
    """Grade a file that is no notebook, on a machine with these limits; what is said before."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "anna.ipynb").write_text("my answers", encoding="utf-8")
    monkeypatch.setattr(grading, "limits_in_force", lambda hide: held)
    heard: list[str] = []
    grade_all(tmp_path / "in", tmp_path / "grades.csv", ["hw1"], 0, 1, heard.append, lambda: None)
    return heard


def test_limits_that_are_not_in_force_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a teacher who believes that submissions cannot reach the network."""
    assert quick(tmp_path, monkeypatch, {"no network": False, "memory": True}) == [
        "not in force on this machine: no network; grade in a container that you can throw away"
    ]


def test_pages_of_an_earlier_run_do_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: an old page under an old number, beside the new one."""
    old = tmp_path / "grades" / "007-anna.html"
    old.parent.mkdir()
    old.touch()
    quick(tmp_path, monkeypatch, {})
    assert {path.name for path in (tmp_path / "grades").glob("*.html")} == {"000-anna.html", "summary.html"}


def folder_of(tmp_path: Path) -> Path:
    """A folder with one submission."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "anna.ipynb").write_text('{"cells": []}', encoding="utf-8")
    return tmp_path / "in"


BAD = {
    "a folder that is not there": ((), "nowhere", "is not a folder"),
    "a folder without files": ((), "empty", "holds no files"),
    "a table that is no table": (("--out", "grades.txt"), "in", "is not a CSV file"),
    "a table that exists": (("--out", "old.csv"), "in", "exists; choose another"),
    "a table in no folder": (("--out", "no/grades.csv"), "in", "is not a folder"),
    "nothing to resume": (("--resume",), "in", "nothing to resume"),
    "a folder without results to resume": (
        ("--out", "empty.csv", "--resume"),
        "in",
        "empty has no settings.json",
    ),
    "a table among the submissions": (("--out", "in/grades.csv"), "in", "lies in in, among the submissions"),
    "no jobs": (("--jobs", "0"), "in", "--jobs is 0, expected 1 or more"),
    "a negative seed": (("--seed", "-1"), "in", "--seed is -1, expected a whole number"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_before_anything_runs(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a traceback, advice that is missing, a table that is lost, or a folder left behind."""
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "old.csv").touch()
    words, folder, message = BAD[case]
    before = sorted(tmp_path.rglob("*"))
    given = words if "--out" in words else ("--out", "grades.csv", *words)
    assert message in refused(capsys, "grade", folder, *given)
    assert sorted(tmp_path.rglob("*")) == before


def test_grading_without_the_teachers_folder_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Catches: a traceback in a student's copy of the course."""
    monkeypatch.setattr("minivjepa_course.grading.hidden_cases.TEACHER", tmp_path / "teacher")
    with pytest.raises(ValueError, match="belong to teachers"):
        teachers_code()


def test_students_are_named_by_their_file_or_folder(tmp_path: Path) -> None:
    """Catches: hidden files of an archive taken for students; a row that nobody can assign."""
    for name in ("anna.ipynb", "ben/hw1.ipynb", "ben/hw2.ipynb", ".DS_Store", ".x/a.ipynb", "clara/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [item.student for item in submissions(tmp_path)] == ["anna", "ben", "ben", "clara"]


def test_a_record_belongs_to_one_content_one_seed_one_path_and_one_edition(tmp_path: Path) -> None:
    """Catches: an old grade for a submission that was handed in again, or by exercises that have changed since."""
    asked = (("a", "x"), ("b", "x"), ("a", "y"))
    names = [result_file(tmp_path, name, b"1", graded_by) for name, graded_by in asked]
    assert len({*names, result_file(tmp_path, "a", b"2", "x")}) == 4
    assert result_file(tmp_path, "a", b"1", "x") == names[0]
    assert edition(TEACHER, 1) != edition(TEACHER, 0) == edition(TEACHER, 0)


@pytest.fixture
def own_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the teacher's folder that a test may change, used in place of the real one."""
    copy = tmp_path / "course" / "teacher"
    shutil.copytree(TEACHER, copy, ignore=shutil.ignore_patterns("solutions", "__pycache__"))
    (copy.parent / "results").mkdir()
    (copy.parent / "results" / "matrix.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(grading, "TEACHER", copy)
    monkeypatch.setattr("minivjepa_course.grading.hidden_cases.TEACHER", copy)
    return copy


def test_a_change_of_an_exercise_or_of_the_package_is_another_edition(
    own_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: new cases, points, recorded runs or another version of the course that --resume does not notice."""
    seen = [edition(own_teacher, 0)]
    for name in ("teacher/hw1/exercises.py", "teacher/hw3/notebook.py", "results/matrix.json"):
        with (own_teacher.parent / name).open("a", encoding="utf-8") as file:
            file.write("\n")
        seen.append(edition(own_teacher, 0))
    monkeypatch.setattr("minivjepa_course.grading.graded.PACKAGES", [tmp_path])
    seen.append(edition(own_teacher, 0))
    assert len(set(seen)) == 5
    assert edition(own_teacher, 0) == seen[-1]
    (own_teacher / "hw3" / "rubric.md").write_text("marked by hand", encoding="utf-8")
    assert edition(own_teacher, 0) == seen[-1]


def test_resume_takes_what_is_unchanged_and_grades_anew_once_an_exercise_has_changed(
    own_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: points by rules that the teacher has changed since; a class that is graded again for nothing."""
    graded: list[str] = []

    def note(cells: list[Cell], item: HandedIn, desk: Desk, weights: bytes | None) -> Graded:
        graded.append(item.student)
        return Graded(item.student, "hw1", {"cut": desk.known[0].points["cut"]}, 0.0, "graded", {})

    monkeypatch.setattr(grading, "limits_in_force", lambda hide: {})
    monkeypatch.setattr(grading, "grade_one", note)
    folder, out = folder_of(tmp_path), tmp_path / "grades.csv"

    def cut() -> str:
        grade_all(folder, out, ["hw1"], 0, 1, lambda text: None, lambda: None)
        return CLASSROOM.read_table(out)[0]["cut"]

    assert (cut(), cut(), graded) == ("4", "4", ["anna"])
    text = own_teacher / "hw1" / "notebook.py"
    old = text.read_text(encoding="utf-8")
    text.write_text(
        old.replace('"check_cut" kind="check" points=4', '"check_cut" kind="check" points=7'), encoding="utf-8"
    )
    assert (cut(), cut(), graded) == ("7", "7", ["anna", "anna"])


def desk_in(folder: Path) -> Desk:
    """A desk that knows no assignment."""
    return Desk([], [], iter(()), folder, "")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights of their own on Windows")
def test_a_link_to_the_solutions_is_no_submission(tmp_path: Path) -> None:
    """Catches: full points for whoever hands in a link and guesses where the solutions are."""
    (tmp_path / "anna.ipynb").symlink_to(TEACHER / "solutions" / "hw1.ipynb")
    found = graded_or_kept(HandedIn(tmp_path / "anna.ipynb", "anna"), desk_in(tmp_path), last=True)
    assert (found.status, found.total) == ("not a notebook", 0)
    assert "is a link to another file" in found.message


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        *((name, f"'{name}") for name in ("=1+1", "+1", "-1", "@a", " =1", "＝1")),  # noqa: RUF001
        ("\t=1", "�=1"),
        ("\x1b]0;mine\x07", "�]0;mine�"),
        ("a\rben,hw1,4\n", "a�ben,hw1,4�"),
        ("a\u2028b\x85", "a�b�"),
        ("\u202eannA\u2066", "�annA�"),
        ('Zoë "学生" 👩‍🎓', 'Zoë "学生" 👩‍🎓'),
    ],
)
def test_what_a_spreadsheet_would_compute_or_a_terminal_obey_is_not_in_the_table(name: str, shown: str) -> None:
    """Catches: a formula that runs when the teacher opens the table; a row that a student wrote; a name that turns others around."""
    row = as_row(Graded(name, "hw1", {"cut": 4.0}, 0.0, "graded", {"cut": "right"}), 2.0)
    known = Assignment("hw1", (), (), {"cut": 4.0, "other": 2.0}, {})
    header, cells = csv.reader(io.StringIO(table([row], [known]), newline=""))
    assert dict(zip(header, cells)) == {
        "student": shown, "assignment": "hw1", "cut": "4", "other": "", "automatic_total": "4", "to_mark": "0",
        "by_hand": "2", "total": "6", "status": "graded", "message": "", "id": "", "late": "", "file": f"{shown}.ipynb", "older_files": "",
    }  # fmt: skip
    assert len(table([row], [known]).splitlines()) == 2
    assert "\x1b" not in page(row, [known])


RIGHT = {"result": np.ones(2), CHANGED: np.zeros(0, "U40")}
EXERCISE = ExerciseCases("f", "call", (), (Case({"x": 1}, RIGHT, {}),))
ODD: dict[str, Arrays] = {
    "text of impossible letters": {**RIGHT, "result": np.frombuffer(b"\xff\xff\xff\x7f" * 2, "<U1")},
    "numbers as names of inputs": {**RIGHT, CHANGED: np.ones(3)},
    "nothing": {},
    "a name of a million letters": {**RIGHT, "x" * 10**6: np.ones(1)},
    "another type": {**RIGHT, "result": np.ones(2, bool)},
}


@pytest.mark.parametrize("case", ODD)
def test_forged_results_are_wrong_and_stop_nobody(case: str) -> None:
    """Catches: a crash of the grader over arrays that no function returns; a page of feedback without an end."""
    said = feedback_on(EXERCISE, [ODD[case]])
    assert said != "right"
    assert len(said) <= grading.LONGEST
    assert feedback_on(EXERCISE, [RIGHT]) == "right"


class Talker:
    """A child that says these things, one after the other, and the last for ever."""

    def __init__(self, *said: dict[str, Any] | children.Stop):
        self.said = list(said)
        self.waited: list[float] = []
        self.clocks = 0

    def start_clock(self) -> None:
        self.begun = time.monotonic()
        self.clocks += 1

    def next(self, seconds: float) -> Message | children.Stop:
        self.waited.append(seconds)
        found = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        return found if isinstance(found, children.Stop) else Message(found, b"")


STEPS = {0: Step(1, "f", ""), 1: Step(4, "", "")}


def follow(*said: Any, seconds: float = 0.05) -> tuple[Any, running.Outcome, int]:
    """What comes of listening to somebody who says this; how often the clock was started."""
    talker: Any = Talker(*said)
    talker.start_clock()
    outcome = running.Outcome()
    end = running.follow(talker, STEPS, [EXERCISE], outcome, time.monotonic() + seconds)
    return end, outcome, talker.clocks - 1


def test_a_submission_cannot_say_that_it_is_right() -> None:
    """Catches: a child's own words, written to its pipe, taken for the verdict; fewer results than cases."""
    assert feedback_on(EXERCISE, []) != ALL_RIGHT
    assert feedback_on(EXERCISE, [RIGHT, RIGHT]) != ALL_RIGHT
    assert feedback_on(EXERCISE, [RIGHT]) == ALL_RIGHT
    forged = {"event": "stopped", "exercise": "f", "case": 0, "why": "right"}
    _, outcome, _ = follow(forged, {"event": "end"}, seconds=60)
    assert feedback_on(EXERCISE, outcome.results["f"]).startswith("stopped; the submission says: right\n")


@pytest.mark.parametrize("why", [NOT_WRITTEN, BLOCKED, NO_FUNCTION.format("f")])
def test_our_own_words_stand_as_they_are(why: str) -> None:
    """Catches: a hint that looks like something a student made up."""
    said = {"event": "stopped", "exercise": "f", "case": 0, "why": why}
    _, outcome, _ = follow(said, {"event": "end"}, seconds=60)
    assert feedback_on(EXERCISE, outcome.results["f"]) == why


def test_words_of_a_submission_stay_on_one_line_behind_its_name() -> None:
    """Catches: a page on which a student writes lines that look like ours."""
    why = "x\n\n  case 1 of 1: all points\u2028right"
    step = {"event": "stopped", "step": 1, "why": why}
    call = {"event": "stopped", "exercise": "f", "case": 0, "why": why}
    _, outcome, _ = follow(step, call, {"event": "end"}, seconds=60)
    line = "stopped; the submission says: x case 1 of 1: all points right"
    assert outcome.stopped == {1: line}
    assert feedback_on(EXERCISE, outcome.results["f"]).split("\n") == [line, "  case 1 of 1, called with x = 1"]


def test_what_is_said_in_lists_inside_lists_is_no_text() -> None:
    """Catches: a submission that can't be graded, again and again, because of what it writes to the pipe."""
    deep: Any = []
    for _ in range(985):
        deep = [deep]
    done, step = {"event": "done", "step": 0, "what": []}, {"event": "stopped", "step": 1, "why": deep}
    call = {"event": "stopped", "exercise": "f", "case": 0, "why": deep}
    _, outcome, _ = follow(done, step, call, {"event": "end"}, seconds=60)
    assert outcome.done == {}
    assert outcome.stopped == {1: "stopped; the submission says: "}
    assert feedback_on(EXERCISE, outcome.results["f"]).startswith("stopped; the submission says: \n")


def test_messages_without_an_end_are_cut_off() -> None:
    """Catches: a grader that listens to one submission for ever."""
    end, _, clocks = follow({"event": "call", "exercise": "f", "case": 0})
    assert end[0] == ("f", 0)
    assert clocks == 1


def test_a_step_or_a_call_starts_the_clock_once() -> None:
    """Catches: a submission that gets ten more seconds with every message that it sends."""
    new = [{"event": "step", "step": 0}, {"event": "step", "step": 1}, {"event": "call", "exercise": "f", "case": 0}]
    odd = [{"event": "call", "exercise": "f", "case": 9}, {"event": "call", "exercise": "f", "case": "0"}]
    odd += [
        {"event": "call", "exercise": ["f"], "case": 0},
        {"event": "step", "step": 7},
        {"event": "step", "step": [0]},
    ]
    end, _, clocks = follow(*new, *new, *odd, *new, children.Stop("took longer", True), seconds=60)
    assert clocks == 3
    assert end == (("f", 0), ("took longer", True))


def test_ten_seconds_are_ten_seconds_whatever_messages_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a call that lasts as long as it talks."""
    monkeypatch.setattr(running, "SECONDS", 0.5)
    child = watched(monkeypatch, [])
    chatter = Message({"event": "call", "exercise": "f", "case": 0}, b"")
    started, stopped = time.monotonic(), threading.Event()

    def talk() -> None:
        while not stopped.wait(0.02):
            child.messages.put(chatter)

    talker = threading.Thread(target=talk)
    talker.start()
    child.start_clock()
    end = running.follow(child, STEPS, [EXERCISE], running.Outcome(), time.monotonic() + 60)
    stopped.set()
    talker.join()
    assert end is not None
    assert end[0] == ("f", 0)
    assert end[1].why.startswith("took longer than")
    assert time.monotonic() - started < 5


def test_answers_that_wait_to_be_read_count_however_late_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: points lost because the process that grades was slow to listen."""
    child = watched(monkeypatch, [])
    for number in range(3):
        child.messages.put(Message({"n": number}, b""))
    time.sleep(0.02)
    found = [child.next(0.01) for _ in range(4)]
    assert [one.about["n"] for one in found[:3]] == [0, 1, 2]  # type: ignore[union-attr]
    assert isinstance(found[3], children.Stop)


@pytest.mark.parametrize("name", ["nobody asked", ["f"], {"f": 1}, None, 3])
def test_what_is_said_of_exercises_that_nobody_asked_for_is_not_kept(name: Any) -> None:
    """Catches: memory that fills up with invented names; one that becomes the culprit, so that children start again and again."""
    events = ("step", "call", "stopped", "result", "done")
    said = [
        {"event": event, "exercise": name, "step": name if name != 3 else 30, "case": 0, "why": "w"} for event in events
    ]
    end, outcome, clocks = follow(*said, children.Stop("took longer", True), seconds=60)
    assert end == (("f", None), ("took longer", True))
    assert (outcome, clocks) == (running.Outcome(), 0)


def test_the_time_of_start_and_given_cells_is_not_the_submissions() -> None:
    """Catches: points lost because the machine was slow to load torch, or because the teacher's own cells take long."""
    talker: Any = Talker({"event": "ready"}, {"event": "begins"})
    running.wait_until_ready(talker)
    assert talker.waited == [running.STARTING, running.GIVEN]
    for said, why in (
        ([children.Stop("took longer", True)], "did not start: took longer"),
        ([{"event": "not confined", "why": "is still root"}], "did not start: is still root"),
        (
            [{"event": "ready"}, children.Stop("ended", False)],
            "given cells of the assignment did not finish: ended",
        ),
    ):
        late: Any = Talker(*said)
        with pytest.raises(ValueError, match=why):
            running.wait_until_ready(late)


def packed(**arrays: np.ndarray) -> bytes:
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    return held.getvalue()


def npz(*entries: bytes, shared: int = 0) -> bytes:
    """Entries that are not compressed; the list of them names the first so many times more."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        for number, entry in enumerate(entries):
            file.writestr(f"{number}.npy", entry)
        file.filelist += file.filelist[:1] * shared
    return held.getvalue()


def npy(kind: str, shape: tuple[int, ...], body: bytes = b"") -> bytes:
    """The bytes of an array that claims to be of this shape."""
    held = io.BytesIO()
    np.lib.format.write_array_header_1_0(held, {"descr": kind, "fortran_order": False, "shape": shape})
    return held.getvalue() + body


STRANGE = {
    "nothing": b"",
    "half a file": b"PK\x03\x04",
    "a compressed bomb": packed(a=np.zeros(10**6)),
    "no zip": b"\x93NUMPY" * 9,
    "an entry that is no array": npz(b"hello"),
    "letters of no width": npz(npy("<U0", (150_000_000,))),
    "rows of no length": npz(npy("<f8", (150_000_000, 0))),
    "more than there is": npz(npy("<f8", (10**9,))),
    "too many": npz(*[npy("<f8", (1,), bytes(8))] * (messages.MOST_ARRAYS + 1)),
    "parts that share their bytes": npz(npy("<f8", (10**5,), bytes(8 * 10**5)), shared=500),
}


@pytest.mark.parametrize("case", STRANGE)
def test_arrays_of_strangers_are_read_with_care(case: str) -> None:
    """Catches: a compressed bomb, a traceback for bytes that are no arrays, gigabytes that take 300 bytes to write down."""
    with pytest.raises(ValueError, match="cannot be read"):
        messages.read_arrays(STRANGE[case])


def test_one_result_is_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a right answer without points: np.load parses text, and Python 3.11 fails at that now and then in two threads at once."""
    load, inside, most = np.load, [], []

    def slow(*given: Any, **named: Any) -> Any:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        return load(*given, **named)

    monkeypatch.setattr(np, "load", slow)
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(messages.read_arrays, [npz(npy("<f8", (1,), bytes(8)))] * 8))
    assert most == [1] * 8


def test_messages_are_small() -> None:
    """Catches: a megabyte of brackets, which takes a hundred once it is read, and 64 of them that wait."""
    fine, large = (json.dumps({"event": "x" * n}).encode() for n in (100, messages.LARGEST_WORDS))
    assert messages.receive(io.BytesIO(HEADER.pack(len(fine), 0) + fine)) == (json.loads(fine), b"")
    assert messages.receive(io.BytesIO(b"")) is None
    for size, arrays in ((len(large), 0), (len(fine), messages.LARGEST + 1)):
        with pytest.raises(ValueError, match="larger than"):
            messages.receive(io.BytesIO(HEADER.pack(size, arrays) + large))


def test_results_are_few() -> None:
    """Catches: hundreds of megabytes of results, each of them small enough."""
    data = npz(npy("<f8", (1,), bytes(8)))
    assert len(messages.read_arrays(data, len(data))) == 1
    with pytest.raises(ValueError, match="returned more than 16 MiB in all"):
        messages.read_arrays(data, len(data) - 1)


def test_the_room_for_results_is_the_same_for_all_children() -> None:
    """Catches: a submission that ends its process after each exercise, and sends back the whole limit every time."""
    data = npz(npy("<f8", (1,), bytes(8)))
    outcome = running.Outcome(room=len(data) + 1)
    for name in ("f", "g"):
        said = [Message({"event": "result", "exercise": name, "case": 0}, data), Message({"event": "end"}, b"")]
        child: Any = SimpleNamespace(begun=0.0, next=lambda seconds, said=said: said.pop(0))
        running.follow(child, {}, [dataclasses.replace(EXERCISE, name=name)], outcome, time.monotonic() + 60)
    assert isinstance(outcome.results["f"], list)
    assert outcome.results["g"] == running.Failed("returned more than 16 MiB in all", 0)


def test_memory_is_looked_at_also_while_messages_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a submission that keeps gigabytes and talks without a pause; an answer lost to what a later one did, on a busy machine."""
    child = watched(monkeypatch, [Process(1, MEMORY_BYTES, 0.0), Process(2, 1, 0.0)])
    ended: list[str] = []
    monkeypatch.setattr(child.process, "kill", lambda: ended.append("child"), raising=False)
    monkeypatch.setattr(children, "end_all", lambda user, session: ended.append("all"))
    answer = Message({}, b"")
    for message in (answer, children.Stop("ended the process that was to call it", True)):
        child.messages.put(message)
    assert child.next(1.0) == answer
    assert ended == ["child", "all"]
    assert child.next(1.0) == ("used more than 2 GiB of memory", False)


def watched(monkeypatch: pytest.MonkeyPatch, found: list[Process]) -> children.Child:
    """A child that was not started, with these processes."""
    child = object.__new__(children.Child)
    child.user, child.process, child.ended = None, type("NotStarted", (), {"pid": -1}), None  # type: ignore[assignment]
    child.looked, child.busy, child.messages = time.monotonic() - 1, 0.0, children.queue.Queue()
    child.start_clock()
    monkeypatch.setattr(children, "belonging", lambda user, session: found)
    return child


@pytest.mark.parametrize(("seconds", "again"), [(0.0, True), (0.1, True), (0.2, False)])
def test_a_loop_that_had_a_processor_for_itself_is_not_tried_again(
    seconds: float, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: points lost on a busy machine; twice the time for every endless loop of a class."""
    assert watched(monkeypatch, [Process(1, 0, seconds)]).next(0.2) == ("took longer than 0 s", again)


@pytest.mark.skipif(not as_root_on_linux(), reason="only root can give up being root")
def test_nothing_runs_where_root_cannot_be_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a submission that runs as root because one call was not allowed, and nobody looked."""
    monkeypatch.setattr(
        sandbox.ctypes, "CDLL", lambda *given, **named: type("No", (), {"unshare": lambda *flags: -1})()
    )
    monkeypatch.setattr(sandbox, "set_limits", lambda: None)
    monkeypatch.setattr(sandbox, "FIRST_TO_GO", "0")
    for name in ("chown", "setgroups", "setgid", "setuid"):
        monkeypatch.setattr(os, name, lambda *given: None)
    with pytest.raises(OSError, match="is still root, expected to be user 60000"):
        sandbox.confine([], 60_000)


def test_a_tree_of_any_depth_is_removed(tmp_path: Path) -> None:
    """Catches: a class that is not graded because somebody made a folder in a folder, thousands of times."""
    folder = tempfile.TemporaryDirectory(dir=tmp_path)
    deep_tree(Path(folder.name), 1500)
    children.remove_tree(folder)
    assert list(tmp_path.iterdir()) == []


def deep_tree(folder: Path, levels: int) -> None:
    """Make folders inside each other; their path is too long to be written in one piece."""
    before = Path.cwd()
    os.chdir(folder)
    for _ in range(levels):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(before)


# --- files and folders ---


@pytest.fixture
def odd_folder(tmp_path: Path) -> Iterator[Path]:
    """Everything that may lie among submissions and is none."""
    held = tempfile.TemporaryDirectory(dir=tmp_path)
    folder = Path(held.name)
    (folder / "deep" / "a").mkdir(parents=True)
    deep_tree(folder / "deep" / "a", 1200)
    (folder / "empty").mkdir()
    (folder / "many").mkdir()
    for number in range(MOST_FILES + 1):
        (folder / "many" / f"{number}.ipynb").touch()
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "link").symlink_to(tmp_path)
    (folder / "nowhere.ipynb").symlink_to(tmp_path / "nowhere")
    if as_root_on_linux():
        os.mknod(folder / "device.ipynb", 0o020600, os.makedev(1, 5))  # /dev/zero, which has no end
    yield folder
    children.remove_tree(held)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links need rights of their own on Windows")
def test_what_is_no_plain_file_is_not_opened_and_gives_a_row(odd_folder: Path, tmp_path: Path) -> None:
    """Catches: a pipe or a device that the grader reads for ever; a tree whose depth stops it; a link to the solutions, or into /proc."""
    desk = desk_in(tmp_path)
    found = {item.student: graded_or_kept(item, desk, last=True) for item in submissions(odd_folder)}
    words = {"deep": "inside a student's", "many": "more than 20 files", "pipe": "not a regular file", "link": "is a link", "nowhere": "is a link", "empty": "the folder is empty"}  # fmt: skip
    words |= {"device": "not a regular file"} if as_root_on_linux() else {}
    assert set(found) == set(words)
    for student, word in words.items():
        status = "nothing handed in" if student == "empty" else "not a notebook"
        assert (found[student].status, word in found[student].message) == (status, True), found[student]


def test_no_more_of_a_file_is_read_than_a_notebook_may_have(tmp_path: Path) -> None:
    """Catches: a file of a terabyte, which takes no room on the disk."""
    with (tmp_path / "anna.ipynb").open("wb") as file:
        file.truncate(2**40 if sys.platform == "linux" else 2**27)
    found = graded_or_kept(HandedIn(tmp_path / "anna.ipynb", "anna"), desk_in(tmp_path), last=True)
    assert "anna.ipynb is larger than 64 MB" in found.message


@pytest.mark.parametrize(
    "content",
    [
        b'{"cells": [' + b"{}," * 10**6 + b"{}]}",
        b"[" * 10**6,
        b'"' + rb"\"" * 10**7 + b"\\",
        b'{"cells": 1}',
        b"9" * 10**6,
        b"\xff",
        b"null",
        b'"cells"',
    ],
)
def test_a_notebook_that_is_none_is_refused_at_once(content: bytes) -> None:
    """Catches: minutes and gigabytes for a file of a few megabytes; a traceback."""
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"is not a notebook that Jupyter can open|holds more than 5,000,000 values"):
        read_cells(content, "anna.ipynb")
    assert time.monotonic() - started < 5


def test_cells_are_found_whatever_stands_around_them() -> None:
    """Catches: a minute of validation for thousands of outputs that are none; a cell without metadata that stops the rest."""
    answer = {"cell_type": "code", "metadata": {"nbgrader": {"grade_id": "f"}}, "source": ["a = 1\n", "b = 2", 3]}
    odd = [
        1,
        None,
        {},
        {"metadata": 3},
        {"metadata": {"nbgrader": []}},
        {"metadata": {"nbgrader": {"grade_id": ["f"]}}},
    ]
    outputs = {"cell_type": "code", "outputs": [{"output_type": "x"}] * 16_000}
    started = time.monotonic()
    found = read_cells(json.dumps({"cells": [*odd, outputs, answer]}).encode(), "anna.ipynb")
    assert found[-1] == ("f", "code", "a = 1\nb = 2")
    assert [cell.grade_id for cell in found[:-1]] == [""] * (len(odd) + 1)
    assert time.monotonic() - started < 5


def as_saved_elsewhere() -> dict[str, bytes]:
    """One notebook with one answer, as many programs save it."""
    answer = {"cell_type": "code", "metadata": {"nbgrader": {"grade_id": "f"}}, "source": "é = [1, 2]\n"}
    prints = [{"output_type": "stream", "name": "stdout", "text": ["[1, 2], {3, 4}\n"] * 1_200_000}]
    run = {**answer, "execution_count": 1, "id": "#VSC-" + "a" * 70, "outputs": prints}
    plain = json.dumps({"cells": [answer], "nbformat": 4, "nbformat_minor": 0}, ensure_ascii=False)
    widgets = {"application/vnd.jupyter.widget-state+json": {"state": {}}, "colab": {"name": ["x"]}}
    return {
        "no counts, no outputs, no ids": plain.encode(),
        "25 MB of output": json.dumps({"cells": [run], "metadata": {"widgets": widgets}}, indent=1).encode(),
        "a mark of the byte order": plain.encode("utf-8-sig"),
        "UTF-16": plain.encode("utf-16"),
        "CRLF": json.dumps({"cells": [answer]}, indent=1).replace("\n", "\r\n").encode(),
        "half a character": plain.replace("é = ", "é = \\ud800").encode(),
        "format 3": json.dumps(
            {"worksheets": [{"cells": [{**answer, "input": answer["source"], "source": None}]}]}
        ).encode(),
    }


def test_a_notebook_is_read_whatever_saved_it_and_printed_in_it() -> None:
    """Catches: points lost to another editor, to an encoding, or to outputs, which nobody looks at."""
    for how, content in as_saved_elsewhere().items():
        assert (len(content) > 25e6) == (how == "25 MB of output")
        half = "?" if how == "half a character" else ""
        assert read_cells(content, "anna.ipynb") == [("f", "code", f"é = {half}[1, 2]\n")], how


def test_answers_are_looked_for_wherever_git_keeps_them(tmp_path: Path) -> None:
    """Catches: the answers in a history that submissions can read: of a worktree, of a clone that borrows, of a larger repository."""
    main, tree, lender = (tmp_path / name for name in ("main", "tree", "lender"))
    own = main / ".git" / "worktrees" / "tree"
    for folder in (own, tree / "course", main / ".git" / "objects" / "info", lender / "objects"):
        folder.mkdir(parents=True)
    (tree / ".git").write_text(f"gitdir: {own}\n", encoding="utf-8")
    (own / "commondir").write_text("../..\n", encoding="utf-8")
    (main / ".git" / "objects" / "info" / "alternates").write_text(f"{lender / 'objects'}\n", encoding="utf-8")
    found = answer_folders(tree / "course")
    assert {tree / "course", own, main / ".git", main, lender / "objects"} <= set(found)
    assert set(answer_folders(main)) >= {main, main / ".git", lender / "objects"}


# --- nobody costs others anything ---


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grading in which no process starts and no case is computed."""
    monkeypatch.setattr(grading, "limits_in_force", lambda hide: {})
    prepared = {"prepare": lambda name, seed: Assignment(name, (), (), {"cut": 4.0}, {})}
    monkeypatch.setattr(grading, "teachers_code", lambda: prepared)


def class_of(tmp_path: Path, *students: str) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for student in students:
        (folder / f"{student}.ipynb").write_text('{"cells": []}', encoding="utf-8")
    return folder


@pytest.mark.usefixtures("nothing_runs")
def test_a_surprise_costs_one_row_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a whole class without a table because of one submission; a row that --resume takes for done; an exit code that hides it."""
    asked: list[str] = []

    def grade(cells: list[Cell], item: HandedIn, desk: Desk, weights: bytes | None) -> Graded:
        asked.append(item.student)
        if item.student == "eve":
            raise RecursionError("nobody thought of this")
        return Graded(item.student, "hw1", {"cut": 4.0}, 0.0, "graded", {})

    monkeypatch.setattr(grading, "grade_one", grade)
    words = (
        "grade",
        str(class_of(tmp_path, "anna", "eve", "zoe")),
        "--out",
        str(tmp_path / "grades.csv"),
        "--jobs",
        "1",
    )
    assert call(*words) == 1
    assert "1 could not be graded" in capsys.readouterr().out
    rows = {row["student"]: row for row in CLASSROOM.read_table(tmp_path / "grades.csv")}
    assert [rows[name]["status"] for name in ("anna", "eve", "zoe")] == ["graded", SURPRISE, "graded"]
    assert "RecursionError: nobody thought of this" in rows["eve"]["message"]
    assert rows["eve"]["cut"] == ""
    assert call(*words, "--resume") == 1
    assert asked == ["anna", "eve", "zoe", "eve"]


@pytest.mark.usefixtures("nothing_runs")
def test_what_ran_out_of_time_is_graded_again_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: points lost because somebody else's submission kept the machine busy."""
    at_work: list[str] = []
    tried: list[tuple[str, int]] = []

    def grade(cells: list[Cell], item: HandedIn, desk: Desk, weights: bytes | None) -> Graded:
        at_work.append(item.student)
        time.sleep(0.2)
        busy = len(at_work)
        tried.append((item.student, busy))
        at_work.remove(item.student)
        points = 4.0 if len(tried) > 4 or item.student != "anna" else 0.0
        return Graded(item.student, "hw1", {"cut": points}, 0.0, "graded", {}, again=not points)

    monkeypatch.setattr(grading, "grade_one", grade)
    done: list[int] = []
    folder, out = class_of(tmp_path, "anna", "ben", "clara", "dora"), tmp_path / "grades.csv"
    results = grade_all(folder, out, ["hw1"], 0, 2, lambda text: None, lambda: done.append(1))
    assert [result.total for result in results] == [4, 4, 4, 4]
    assert tried[-1] == ("anna", 1)
    assert (len(tried), len(done), len(list((tmp_path / "grades" / "records").iterdir()))) == (5, 4, 4)


def test_a_record_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """Catches: a class that --resume cannot grade because a record was cut off."""
    (tmp_path / "a.json").write_text('{"student": "an', encoding="utf-8")
    (tmp_path / "b.json").write_text('{"name": "anna"}', encoding="utf-8")
    assert [kept(tmp_path / f"{name}.json") for name in "abc"] == [None, None, None]


@pytest.mark.usefixtures("nothing_runs")
def test_the_checkout_and_its_history_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: answers that submissions read in the checkout's other folders, or get from git."""
    hidden: list[str] = []
    monkeypatch.setattr(grading, "limits_in_force", lambda hide: dict.fromkeys(map(hidden.append, hide), True))
    grade_all(class_of(tmp_path, "anna"), tmp_path / "grades.csv", ["hw1"], 0, 1, lambda text: None, lambda: None)
    checkout = TEACHER.parent.resolve()
    wanted = {TEACHER, checkout, tmp_path / "in", tmp_path, tmp_path / "grades", *answer_folders(checkout)}
    assert {str(path.resolve()) for path in wanted} <= set(hidden)


# --- the class itself ---


def test_the_made_up_class_has_everybody_and_its_judge_sees_every_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a rehearsal that passes whatever the grades are."""
    write_and_judge: Callable[[list[str]], int] = CLASSROOM.main
    folder = tmp_path / "class"
    assert write_and_judge([str(folder), "--students", "40"]) == 0
    held = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    assert len(held) == len(submissions(folder / "submissions")) == 40
    rows = [
        as_row(Graded(name, label["assignment"], label["points"], 0.0, label["status"], {}))
        for name, label in held.items()
    ]
    known = [Assignment(name, (), (), CLASSROOM.worth(name), {}) for name in assignments()]
    out = tmp_path / "grades.csv"
    out.write_text(table(rows, known), encoding="utf-8")
    assert write_and_judge([str(folder), "--judge", str(out)]) == 0
    assert "40 of 40 are as labelled" in capsys.readouterr().out
    full = next(number for number, row in enumerate(rows) if row.total)
    none = dict.fromkeys(rows[full].result.points, 0.0)
    rows[full] = as_row(dataclasses.replace(rows[full].result, points=none))
    out.write_text(table(rows[1:] if full else rows[:-1], known), encoding="utf-8")
    assert write_and_judge([str(folder), "--judge", str(out)]) == 1
    assert "38 of 40 are as labelled" in capsys.readouterr().out


def test_the_made_up_class_contains_every_known_mistake() -> None:
    """Catches: a mistake of the exercises that the rehearsal never hands in."""
    for assignment in assignments():
        cells = [cell for one in CLASSROOM.mistaken(assignment) for cell in json.loads(one.data)["cells"]]
        sources = {"".join(cell["source"]) for cell in cells}
        for exercise in CLASSROOM.exercises(assignment).values():
            for message, code in exercise.mistakes:
                assert code in sources, message


def test_the_judge_sees_a_wrong_row_beside_a_right_one() -> None:
    """Catches: a student with two rows, the last of them right, of whom nothing is said."""
    labels = {name: {"assignment": "hw1", "points": {"cut": 4.0}, "status": "graded"} for name in ("ada", "bo", "cy")}
    points = (("ada", "0"), ("ada", "4"), ("bo", "4"), ("bo", "4"))
    rows = [
        {"student": name, "assignment": "hw1", "status": "graded", "cut": n, "automatic_total": n, "message": ""}
        for name, n in points
    ]
    found = CLASSROOM.complaints(labels, rows)
    assert found.keys() == {"ada", "bo", "cy"}
    assert found["ada"].startswith("cut has 0 points, expected 4")
    assert (found["bo"], found["cy"]) == ("has more than one row", "is not in the table")


SCRIPTS: dict[str, tuple[list[str], str]] = {
    "project without a file": (["hw4/project.py"], "arguments are required: file"),
    "project, a file that is not there": (["hw4/project.py", "no.pt"], "no.pt is not a file"),
    "baseline without a folder": (["hw4/baseline.py"], "arguments are required: folder"),
    "mutants of nothing": (["mutants.py"], "arguments are required: assignment"),
    "mutants of an unknown assignment": (["mutants.py", "hw9"], "unknown assignment 'hw9'; choose from"),
    "mutants of an unknown exercise": (["mutants.py", "hw1", "cutt"], "hw1 has no exercise 'cutt'; choose from"),
    "a judge with other options": (["classroom.py", "c", "--judge", "g.csv", "--grade"], "writes nothing"),
}


@pytest.mark.parametrize("case", SCRIPTS)
def test_the_teachers_scripts_say_what_is_missing(case: str) -> None:
    """Catches: a traceback for a word that was left out or misspelt; a script that does nothing and says nothing."""
    words, message = SCRIPTS[case]
    done = subprocess.run(
        [sys.executable, str(TEACHER / words[0]), *words[1:]], cwd=TEACHER.parent, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_class_is_judged_also_where_a_file_could_not_be_graded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a traceback in place of the rows that differ, or for a run that did not get as far as a table."""
    (tmp_path / "labels.json").write_text('{"ada": {}}', encoding="utf-8")
    monkeypatch.setattr(CLASSROOM.subprocess, "run", lambda *words, **how: subprocess.CompletedProcess(words, 2))
    assert CLASSROOM.grade_and_judge(tmp_path, "plain") == 2
    (tmp_path / "grades.csv").write_text("student\n", encoding="utf-8")
    assert CLASSROOM.grade_and_judge(tmp_path, "plain") == 1
    assert "ada: is not in the table" in capsys.readouterr().out
