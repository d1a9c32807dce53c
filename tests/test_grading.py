"""Grading: everybody gets what their work deserves, whatever else their program does."""

import csv
import dataclasses
import functools
import importlib.util
import io
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from minivjepa.homework import grading, running, sandbox
from minivjepa.homework.cases import CHANGED, Arrays, Case, Task
from minivjepa.homework.checking import assignments
from minivjepa.homework.exercises import TEACHER
from minivjepa.homework.grading import (
    Assignment,
    Graded,
    grade_folder,
    grade_one,
    judge,
    prepare,
    submissions,
    table,
)
from minivjepa.homework.records import edition, record
from minivjepa.homework.sandbox import Limits, as_root_on_linux
from tests.test_cli import call, refused

pytest.importorskip("jupytext")
if not TEACHER.is_dir():
    pytest.skip("the teacher's folder was removed from this copy", allow_module_level=True)


def load_classroom() -> ModuleType:
    """teacher/classroom.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("classroom", TEACHER / "classroom.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CLASSROOM = load_classroom()
WRITTEN = "**Claim.** Without stop-gradient the target of both my runs ends below 0.1."
SECONDS = 5.0  # of one call, so that endless loops do not take long here
SEED = 3


def everybody(folder: Path) -> list[Any]:
    """The class of this test: one of every kind of homework 1, and two of the others."""
    rng = np.random.default_rng(SEED)
    right = {name: CLASSROOM.references(name) for name in assignments()}
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
    monkeypatch.setattr(grading, "Limits", functools.partial(Limits, seconds=SECONDS))
    folder, out = tmp_path / "handed in", tmp_path / "grades.csv"
    found = everybody(folder)
    hand_in(folder, found)
    before = snapshot(folder, TEACHER)
    heard: list[str] = []
    results = grade_folder(folder, out, assignments(), SEED, grading.processors(), heard.append, lambda: None)
    assert snapshot(folder, TEACHER) == before
    rows = CLASSROOM.read_table(out)
    assert CLASSROOM.complaints(labels(found), rows) == {}
    assert list(rows[0]) == columns()
    assert {row["to_mark"] for row in rows if row["student"] == "with-words"} == {"6"}
    assert any(row["student"] == "'=1+1 hw1" for row in rows)
    assert len(list(out.with_suffix("").glob("*.html"))) == len(results) == len(found)
    check_words({row["student"]: row["message"] for row in rows})
    check_resume(folder, out, capsys)
    if not as_root_on_linux():
        pytest.skip("submissions that need limits were left out: those limits need Linux and root")
    assert heard == []


def columns() -> list[str]:
    """Of the table, as teacher/README.md promises."""
    exercises = [name for assignment in assignments() for name in CLASSROOM.worth(assignment)]
    return ["student", "assignment", *exercises, "automatic_total", "to_mark", "status", "message"]


def check_words(messages: dict[str, str]) -> None:
    """Feedback says what happened."""
    for student, word in {
        "right": "",
        "loops-hw1": f"took longer than {SECONDS:.0f} s",
        "loops-outside-hw1": f"took longer than {SECONDS:.0f} s",
        "exits-hw1": "ended the process",
        "sys-exits-hw1": "stopped with SystemExit",
        "objects-hw1": "is a Mine, expected numbers",
        "doubled-hw1": "there is no function",
        "renamed-hw1": "its answer cell is not in the notebook",
        "untouched-hw1": "not written yet",
        "half-hw1": "is not a notebook",
        "large-hw1": "is larger than 20 MB",
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
    started = time.monotonic()
    assert call("grade", str(folder), "--out", str(out), "--seed", str(SEED), "--resume") == 0
    assert time.monotonic() - started < 60
    assert "files graded; feedback pages are in" in capsys.readouterr().out
    assert out.read_bytes() == before
    assert snapshot(records) == kept


@pytest.mark.slow
@pytest.mark.skipif(not as_root_on_linux(), reason="the strongest limits need Linux and root")
def test_every_limit_is_in_force_on_linux_as_root() -> None:
    """Catches: a submission that can read the answers, reach the network, or run as root."""
    held = running.limits_in_force([str(TEACHER)], Limits())
    assert len(held) == 8
    assert all(held.values()), held


# --- what follows starts no process ---


@pytest.mark.skipif(sys.platform == "win32", reason="users have no numbers on Windows")
@pytest.mark.parametrize("user", [1000, 65534, 1_234_567])
def test_an_ordinary_user_is_not_told_that_submissions_run_as_another(
    user: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: nobody, or a user of a large network, taken for the one that submissions get on Linux as root."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    asked_by_them, asked_by_root = (sandbox.probe(str(tmp_path / "none"), 1, parent) for parent in (user, 0))
    assert not asked_by_them["an unprivileged user"]
    assert not asked_by_them["number of processes"]
    assert asked_by_root["an unprivileged user"]


def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: dict[str, bool]) -> list[str]:
    """Grade a file that is no notebook, on a machine with these limits; what is said before."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "anna.ipynb").write_text("my answers", encoding="utf-8")
    monkeypatch.setattr(grading, "limits_in_force", lambda hide, limits: held)
    heard: list[str] = []
    grade_folder(tmp_path / "in", tmp_path / "grades.csv", ["hw1"], 0, 1, heard.append, lambda: None)
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
    assert [path.name for path in (tmp_path / "grades").glob("*.html")] == ["000-anna.html"]


def folder_of(tmp_path: Path) -> Path:
    """A folder with one submission."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "anna.ipynb").touch()
    return tmp_path / "in"


BAD = {
    "a folder that is not there": ((), "nowhere", "is not a folder"),
    "a folder without files": ((), "empty", "holds no files"),
    "a table that is no table": (("--out", "grades.txt"), "in", "is no CSV file"),
    "a table that exists": (("--out", "old.csv"), "in", "is there already"),
    "a table in no folder": (("--out", "no/grades.csv"), "in", "is no folder"),
    "nothing to resume": (("--resume",), "in", "nothing to resume"),
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
    monkeypatch.setattr(grading, "TEACHER", tmp_path / "teacher")
    monkeypatch.setattr("minivjepa.homework.exercises.TEACHER", tmp_path / "teacher")
    with pytest.raises(ValueError, match="belong to teachers and were removed"):
        prepare("hw1", 0)


def test_students_are_named_by_their_file_or_folder(tmp_path: Path) -> None:
    """Catches: hidden files of an archive taken for students; a row that nobody can assign."""
    for name in ("anna.ipynb", "ben/hw1.ipynb", "ben/hw2.ipynb", ".DS_Store", "__x/.hidden/a.ipynb", "clara/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [student for _, student in submissions(tmp_path)] == ["anna", "ben", "ben", "clara"]


def test_a_record_belongs_to_one_content_one_seed_one_path_and_one_edition(tmp_path: Path) -> None:
    """Catches: an old grade for a submission that was handed in again, or by exercises that have changed since."""
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"1")
    asked = (("a", 0, "x"), ("a", 1, "x"), ("b", 0, "x"), ("a", 0, "y"))
    names = [record(tmp_path, tmp_path / name, seed, graded_by) for name, seed, graded_by in asked]
    (tmp_path / "a").write_bytes(b"2")
    assert len({*names, record(tmp_path, tmp_path / "a", 0, "x")}) == 5
    (tmp_path / "a").write_bytes(b"1")
    assert record(tmp_path, tmp_path / "a", 0, "x") == names[0]


@pytest.fixture
def own_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the teacher's folder that a test may change, used in place of the real one."""
    copy = tmp_path / "course" / "teacher"
    shutil.copytree(TEACHER, copy, ignore=shutil.ignore_patterns("solutions", "__pycache__"))
    (copy.parent / "results").mkdir()
    (copy.parent / "results" / "matrix.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(grading, "TEACHER", copy)
    monkeypatch.setattr("minivjepa.homework.exercises.TEACHER", copy)
    return copy


def test_a_change_of_an_exercise_or_of_the_package_is_another_edition(
    own_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: new cases, points, recorded runs or another version of the course that --resume does not notice."""
    seen = [edition(own_teacher)]
    for name in ("teacher/hw1/exercises.py", "teacher/hw3/notebook.py", "results/matrix.json"):
        with (own_teacher.parent / name).open("a", encoding="utf-8") as file:
            file.write("\n")
        seen.append(edition(own_teacher))
    monkeypatch.setattr("minivjepa.homework.records.PACKAGE", tmp_path)
    seen.append(edition(own_teacher))
    assert len(set(seen)) == 5
    assert edition(own_teacher) == seen[-1]
    (own_teacher / "hw3" / "rubric.md").write_text("marked by hand", encoding="utf-8")
    assert edition(own_teacher) == seen[-1]


def test_resume_takes_what_is_unchanged_and_grades_anew_once_an_exercise_has_changed(
    own_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: points by rules that the teacher has changed since; a class that is graded again for nothing."""
    graded: list[str] = []

    def note(path: Path, student: str, known: list[Assignment], *others: Any) -> Graded:
        graded.append(student)
        return Graded(student, "hw1", {"cut": known[0].points["cut"]}, 0.0, "graded", {})

    monkeypatch.setattr(grading, "limits_in_force", lambda hide, limits: {})
    monkeypatch.setattr(grading, "grade_one", note)
    folder, out = folder_of(tmp_path), tmp_path / "grades.csv"

    def cut() -> str:
        grade_folder(folder, out, ["hw1"], 0, 1, lambda text: None, lambda: None)
        return CLASSROOM.read_table(out)[0]["cut"]

    assert (cut(), cut(), graded) == ("4", "4", ["anna"])
    text = own_teacher / "hw1" / "notebook.py"
    old = text.read_text(encoding="utf-8")
    text.write_text(
        old.replace('"check_cut" kind="check" points=4', '"check_cut" kind="check" points=7'), encoding="utf-8"
    )
    assert (cut(), cut(), graded) == ("7", "7", ["anna", "anna"])


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights of their own on Windows")
def test_a_link_to_the_solutions_is_no_submission(tmp_path: Path) -> None:
    """Catches: full points for whoever hands in a link and guesses where the solutions are."""
    (tmp_path / "anna.ipynb").symlink_to(TEACHER / "solutions" / "hw1.ipynb")
    found = grade_one(tmp_path / "anna.ipynb", "anna", [], [], 0, Limits())
    assert (found.status, found.total) == ("not a notebook", 0)
    assert "is a link to another file" in found.message


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@a", "\t=1"])
def test_what_a_spreadsheet_would_compute_is_quoted(name: str) -> None:
    """Catches: a formula that runs when the teacher opens the table."""
    row = Graded(name, "hw1", {"cut": 4.0}, 0.0, "graded", {"cut": "right"})
    known = Assignment("hw1", "", (), {"cut": 4.0, "other": 2.0}, {})
    header, cells = csv.reader(table([row], [known]).splitlines())
    assert dict(zip(header, cells)) == {
        "student": f"'{name}", "assignment": "hw1", "cut": "4", "other": "", "automatic_total": "4", "to_mark": "0",
        "status": "graded", "message": "",
    }  # fmt: skip


RIGHT = {"result": np.ones(2), CHANGED: np.zeros(0, "U40")}
TASK = Task("f", "call", (), (Case({"x": 1}, RIGHT, {}),))
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
    said = judge(TASK, [ODD[case]])
    assert said != "right"
    assert len(said) <= grading.LONGEST
    assert judge(TASK, [RIGHT]) == "right"


class Talker:
    """A child that says the same for ever, or nothing."""

    limits = Limits(seconds=0.1)

    def __init__(self, message: dict[str, Any] | None):
        self.message = message
        self.waited: list[float] = []

    def next(self, seconds: float) -> tuple[dict[str, Any], bytes] | str:
        self.waited.append(seconds)
        return "took too long" if self.message is None else (self.message, b"")


def test_a_submission_cannot_say_that_it_is_right() -> None:
    """Catches: a child's own words, written to its pipe, taken for the verdict; fewer results than cases."""
    assert grading.judge(TASK, "right") != grading.RIGHT
    assert grading.judge(TASK, []) != grading.RIGHT
    assert grading.judge(TASK, [RIGHT, RIGHT]) != grading.RIGHT
    assert grading.judge(TASK, [RIGHT]) == grading.RIGHT


def test_messages_without_an_end_are_cut_off() -> None:
    """Catches: a grader that listens to one submission for ever."""
    talker: Any = Talker({"event": "call", "exercise": "f"})
    assert running.follow(talker, [TASK], {}, time.monotonic() + 0.05)[0] == "f"


def test_a_child_has_its_time_to_start_even_late() -> None:
    """Catches: a whole class that is not graded because one submission used up its time."""
    talker: Any = Talker(None)
    with pytest.raises(ValueError, match="did not start"):
        running.follow(talker, [TASK], {}, time.monotonic() - 1)
    assert talker.waited == [running.STARTING]


def packed(**arrays: np.ndarray) -> bytes:
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    return held.getvalue()


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", packed(a=np.zeros(10**6)), b"\x93NUMPY" * 9])
def test_arrays_of_strangers_are_read_with_care(data: bytes) -> None:
    """Catches: a compressed bomb, or a traceback for bytes that are no arrays."""
    with pytest.raises(ValueError, match="cannot be read"):
        running.read_arrays(data)


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
        Graded(name, label["assignment"], label["points"], 0.0, label["status"], {}) for name, label in held.items()
    ]
    known = [Assignment(name, "", (), CLASSROOM.worth(name), {}) for name in assignments()]
    out = tmp_path / "grades.csv"
    out.write_text(table(rows, known), encoding="utf-8")
    assert write_and_judge([str(folder), "--judge", str(out)]) == 0
    assert "40 of 40 are as labelled" in capsys.readouterr().out
    full = next(number for number, row in enumerate(rows) if row.total)
    rows[full] = dataclasses.replace(rows[full], points=dict.fromkeys(rows[full].points, 0.0))
    out.write_text(table(rows[1:] if full else rows[:-1], known), encoding="utf-8")
    assert write_and_judge([str(folder), "--judge", str(out)]) == 1
    assert "38 of 40 are as labelled" in capsys.readouterr().out


def test_the_made_up_class_contains_every_known_mistake() -> None:
    """Catches: a mistake of the exercises that the rehearsal never hands in."""
    for assignment in assignments():
        text = "".join(one.data.decode() for one in CLASSROOM.mistaken(assignment))
        for exercise in CLASSROOM.exercises(assignment).values():
            for message, code in exercise.mistakes:
                line = max(code.splitlines(), key=len)
                assert json.dumps(line, ensure_ascii=False)[1:-1] in text, message
