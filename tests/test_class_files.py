"""A teacher's week: a platform's export goes in as it comes; a table, a gradebook and feedback come out, and nothing is lost."""

import csv
import functools
import io
import json
import stat
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minivjepa.training.files import LOCK
from minivjepa_course.grading import grade_folder as grading
from minivjepa_course.grading.grade_folder import Desk, rules_of
from minivjepa_course.grading.gradebook import CANVAS, MOODLE
from minivjepa_course.grading.graded import Assignment, Graded, Row, by_rule
from minivjepa_course.grading.hidden_cases import teachers_code
from minivjepa_course.grading.run_submission import run_submission
from minivjepa_course.grading.submissions import HandedIn, left_out, single_folder, submissions
from minivjepa_course.grading.summary import summary
from minivjepa_course.grading.unpacking import opened
from minivjepa_course.homework.cases import CHANGED, Case, ExerciseCases
from minivjepa_course.homework.checking import assignments
from minivjepa_course.homework.notebooks import Cell
from tests.test_cli import call, refused

CLASSROOM = pytest.importorskip("classroom", reason="the teacher's folder was removed from this copy")
NOTEBOOK = '{"cells": []}'


def folder_with(folder: Path, *names: str, text: str = NOTEBOOK) -> Path:
    """A folder with these files; a name that ends in / is an empty folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            (folder / name).mkdir(exist_ok=True)
        else:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


ADA = HandedIn(Path(), "Ada Lovelace", number="1234567", platform="moodle")
EXPORTS: dict[str, tuple[list[str], list[HandedIn]]] = {
    "Moodle, in folders, with the folder that an archive was unpacked to": (
        ["hw1-export/Ada Lovelace_1234567_assignsubmission_file_/hw1.ipynb"],
        [ADA._replace(file="hw1-export/Ada Lovelace_1234567_assignsubmission_file_/hw1.ipynb")],
    ),
    "Moodle, flat, with words beside the file": (
        [
            "Ada Lovelace_1234567_assignsubmission_file_my_hw1.ipynb",
            "Ada Lovelace_1234567_assignsubmission_onlinetext_.html",
        ],
        [ADA._replace(file="Ada Lovelace_1234567_assignsubmission_file_my_hw1.ipynb")],
    ),
    "Moodle, two of the same name, one in a folder of her own, one without a file": (
        [
            "Ada Lovelace_1234567_assignsubmission_file/work/hw1.ipynb",
            "Ada Lovelace_7_assignsubmission_file_/",
        ],
        [
            ADA._replace(file="Ada Lovelace_1234567_assignsubmission_file/work/hw1.ipynb"),
            ADA._replace(file="Ada Lovelace_7_assignsubmission_file_", number="7", instead="the folder is empty"),
        ],
    ),
    "Canvas, late, the third try of a file, and another's PDF": (
        [
            "lovelaceada_LATE_12345_67890_hw1-2.ipynb", "lovelaceada_12345_67950_hw1.ipynb", "lovelaceada_12345_67870_hw1-1.ipynb",
            "ekbo_12346_67891_hw1.pdf",
        ],
        [
            HandedIn(Path(), "ekbo", "ekbo_12346_67891_hw1.pdf", "12346", platform="canvas",
                     instead="there is ekbo_12346_67891_hw1.pdf and no notebook: hand in the notebook itself"),
            HandedIn(Path(), "lovelaceada", "lovelaceada_LATE_12345_67890_hw1-2.ipynb", "12345", True,
                     ("lovelaceada_12345_67870_hw1-1.ipynb", "lovelaceada_12345_67950_hw1.ipynb"), "canvas"),
        ],
    ),
    "Blackboard, two tries, another student whose user name has the same end": (
        [
            "week 1_ada_attempt_2026-11-20-10-11-12_hw1.ipynb", "week 1_ada_attempt_2026-11-09-23-11-12_hw1.ipynb",
            "week 1_bo_ada_attempt_2026-11-21-10-11-12_hw1.ipynb",
        ],
        [
            HandedIn(Path(), "ada", "week 1_ada_attempt_2026-11-20-10-11-12_hw1.ipynb", "ada", False,
                     ("week 1_ada_attempt_2026-11-09-23-11-12_hw1.ipynb",), "blackboard"),
            HandedIn(Path(), "ada", "week 1_bo_ada_attempt_2026-11-21-10-11-12_hw1.ipynb", "ada", platform="blackboard"),
        ],
    ),
    "Blackboard, a file whose own name looks like another student's": (
        ["hw1_aking_attempt_2026-11-20-10-11-12_x_bob_attempt_2026-11-21-10-11-12_hw1.ipynb", "hw1_bob_attempt_2026-11-09-10-11-12_hw1.ipynb"],
        [
            HandedIn(Path(), "aking", "hw1_aking_attempt_2026-11-20-10-11-12_x_bob_attempt_2026-11-21-10-11-12_hw1.ipynb", "aking", platform="blackboard"),
            HandedIn(Path(), "bob", "hw1_bob_attempt_2026-11-09-10-11-12_hw1.ipynb", "bob", platform="blackboard"),
        ],
    ),
    "Canvas, files whose own names look like those of other platforms": (
        [
            "kingada_123_456_x_bob_attempt_2026-11-21-10-11-12_hw1.ipynb", "bob_124_457_hw1.ipynb",
            "cy_125_458_x_bob_9_assignsubmission_file_hw1.ipynb",
        ],
        [
            HandedIn(Path(), "kingada", "kingada_123_456_x_bob_attempt_2026-11-21-10-11-12_hw1.ipynb", "123", platform="canvas"),
            HandedIn(Path(), "bob", "bob_124_457_hw1.ipynb", "124", platform="canvas"),
            HandedIn(Path(), "cy", "cy_125_458_x_bob_9_assignsubmission_file_hw1.ipynb", "125", platform="canvas"),
        ],
    ),
    "Blackboard, an assignment whose title has numbers, as Canvas's names have": (
        ["week_1_2_ada_attempt_2026-11-20-10-11-12_hw1.ipynb"],
        [HandedIn(Path(), "ada", "week_1_2_ada_attempt_2026-11-20-10-11-12_hw1.ipynb", "ada", platform="blackboard")],
    ),
    "names that browsers and systems change": (
        ["anna.ipynb", "dan.ipynb.json", "eve.IPYNB", "ben/hw1.ipynb.json", "ben/Thumbs.db", "__MACOSX/._anna.ipynb", "carl/notes.txt", "read me.pdf"],
        [
            HandedIn(Path(), "anna", "anna.ipynb"),
            HandedIn(Path(), "dan", "dan.ipynb.json"),
            HandedIn(Path(), "eve", "eve.IPYNB"),
            HandedIn(Path(), "ben", "ben/hw1.ipynb.json"),
            HandedIn(Path(), "carl", "carl", instead="there is notes.txt and no notebook: hand in the notebook itself"),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", EXPORTS)
def test_an_export_is_read_as_the_platform_writes_it(case: str, tmp_path: Path) -> None:
    """Catches: an old attempt graded, two students taken for one, a student without a row, a name that nobody can assign."""
    names, rows = EXPORTS[case]
    folder_with(tmp_path, *names)
    found = submissions(tmp_path)
    assert sorted(item._replace(path=Path()) for item in found) == sorted(rows)
    assert all(item.path == tmp_path / item.file for item in found)


def test_blackboards_text_gives_the_name_and_the_user_name(tmp_path: Path) -> None:
    """Catches: a user name with _ that is cut in two; a table without names."""
    folder_with(tmp_path, "hw1_j_doe_attempt_2026-11-20-10-11-12_hw1.ipynb")
    text = "Name: Jo Dœ (j_doe)\nAssignment: hw1\n\nComments:\nName: Eve (eve)\n"
    folder_with(tmp_path, "hw1_j_doe_attempt_2026-11-20-10-11-12.txt", text=text)
    [found] = submissions(tmp_path)
    assert (found.student, found.number) == ("Jo Dœ", "j_doe")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("names", "students", "said"),
    [
        (["Class1/ada.ipynb", "Class1/bob.ipynb"], ["ada", "bob"], "Class1 is taken for the class"),
        (["Class1/ada/hw1.ipynb", "Class1/bob/hw1.ipynb"], ["ada", "bob"], "Class1 is taken for the class"),
        (["ada/hw1.ipynb"], ["ada"], "ada is taken for one student"),
        (["ada/work/hw1.ipynb"], ["ada"], "ada is taken for one student"),
        (["ada/hw1.ipynb", "ada/hw-2 (1).ipynb"], ["ada", "ada"], "ada is taken for one student"),
        (["Ada King_7_assignsubmission_file_/hw1.ipynb"], ["Ada King"], ""),
        (["ada.ipynb", "bob/hw1.ipynb"], ["ada", "bob"], ""),
    ],
)
def test_a_single_folder_means_the_same_in_a_zip_and_in_a_folder(
    names: list[str], students: list[str], said: str, zipped: bool, tmp_path: Path
) -> None:
    """Catches: a class that becomes one student, or a student who is named after a file or a folder of theirs, without a word."""
    path = zip_of(tmp_path / "a.zip", same, *names) if zipped else folder_with(tmp_path / "a", *names)
    with opened(path) as folder:
        rows = submissions(folder)
        assert sorted(item.student for item in rows) == students
        assert single_folder(folder).partition(":")[0] == said
        assert left_out(folder, rows) == []


def test_the_newest_weights_are_those_that_came_last(tmp_path: Path) -> None:
    """Catches: a number in a student's own file name that beats a later upload."""
    names = ["ada_1_457_encoder-200.pt", "ada_1_999_encoder.pt", "ada_1_450_encoder-3.pt", "ada_1_456_hw4.ipynb"]
    (item,) = submissions(folder_with(tmp_path, *names))
    assert item.weights is not None
    assert item.weights.name == "ada_1_999_encoder.pt"


def test_a_name_is_the_same_however_a_system_writes_its_accents(tmp_path: Path) -> None:
    """Catches: weights that belong to another Zoë than the notebook."""
    both = (unicodedata.normalize("NFC", "Zoë.ipynb"), unicodedata.normalize("NFD", "Zoë.pt"))
    (item,) = submissions(folder_with(tmp_path, *both))
    assert item.student == unicodedata.normalize("NFC", "Zoë")
    assert item.weights is not None


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    """Catches: a file that is neither graded nor named."""
    junk = [".DS_Store", "Thumbs.db", "__MACOSX/._a.ipynb", "ben/help.pdf", "desktop.ini", "read me.pdf"]
    folder_with(tmp_path, "anna.ipynb", "ben/hw1.ipynb", "carl/only.pdf", *junk)
    assert left_out(tmp_path, submissions(tmp_path)) == junk


# --- a zip ---


def zip_of(path: Path, change: Callable[[zipfile.ZipInfo], None], *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            info = zipfile.ZipInfo(name)
            change(info)
            file.writestr(info, NOTEBOOK)
    return path


def same(info: zipfile.ZipInfo) -> None:
    """As it is."""


def as_link(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFLNK | 0o777) << 16


def test_a_zip_is_unpacked_and_gone_afterwards(tmp_path: Path) -> None:
    """Catches: students' work left in the folder for temporary files; a folder around the students taken for a student."""
    with opened(zip_of(tmp_path / "a.zip", same, "class/anna.ipynb", "class/Bö Ek.ipynb")) as folder:
        assert [item.file for item in submissions(folder)] == ["class/Bö Ek.ipynb", "class/anna.ipynb"]
    assert not folder.exists()


@pytest.mark.parametrize("name", ["../a.ipynb", "/etc/a.ipynb", "b/../../a.ipynb", "..\\a.ipynb", "C:\\a.ipynb"])
def test_a_zip_that_leads_out_of_its_folder_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: an archive that writes over the teacher's files."""
    path = zip_of(tmp_path / "a.zip", same, name)
    assert "leads out of its folder" in refused(capsys, "grade", str(path), "--out", str(tmp_path / "g.csv"))


def test_zips_that_cannot_be_trusted_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a link, an encrypted file, a bomb, half a download; a traceback for any of them."""
    locked = zip_of(tmp_path / "locked.zip", same, "anna.ipynb")
    data = bytearray(locked.read_bytes())
    for place in (6, data.index(b"PK\x01\x02") + 8):  # the flags, in the file's header and in the list
        data[place] |= 1
    locked.write_bytes(data)
    (tmp_path / "half.zip").write_bytes(zip_of(tmp_path / "whole.zip", same, "anna.ipynb").read_bytes()[:60])
    for name, how in (("lzma", zipfile.ZIP_LZMA), ("bz2", zipfile.ZIP_BZIP2)):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", how) as file:
            file.writestr("anna.ipynb", NOTEBOOK * 100)
        data = bytearray((tmp_path / f"{name}.zip").read_bytes())
        data[50:90] = b"\xff" * 40  # in the middle of what is compressed
        (tmp_path / f"{name}.zip").write_bytes(data)
    zip_of(tmp_path / "link.zip", as_link, "anna.ipynb")
    monkeypatch.setattr("minivjepa_course.grading.unpacking.MOST_ENTRIES", 1)
    zip_of(tmp_path / "bomb.zip", same, "a.ipynb", "b.ipynb")
    for name, why in {
        "locked": "is encrypted",
        "half": "can be read",
        "lzma": "can be read",
        "bz2": "can be read",
        "link": "holds a link",
        "bomb": "more than 1 files",
    }.items():
        with pytest.raises(ValueError, match=f"{why}.*unpack it yourself"), opened(tmp_path / f"{name}.zip"):
            pass


# --- the week: grading without running anything ---


@pytest.fixture
def graded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grading in which no process starts: all get 4 points, the late 7, and 2 are to be marked.  Who was graded, in order."""
    asked: list[str] = []

    def grade(cells: list[Cell], item: HandedIn, desk: Desk, weights: bytes | None) -> Graded:
        asked.append(item.student)
        rules = {"cut": {"one": True, "two": False, "three": True}, "other": {"one": True}}
        told = {"cut": "the axes are exchanged\n  more", "other": "right"}
        return Graded(item.student, "hw1", {"cut": 3.0 * item.late, "other": 4.0}, 2.0, "graded", told, rules=rules)

    known = Assignment("hw1", (), (), {"cut": 3.0, "other": 4.0}, {"argument": 2.0})
    monkeypatch.setattr(grading, "limits_in_force", lambda hide: {})
    monkeypatch.setattr(grading, "teachers_code", lambda: {"prepare": lambda name, seed: known})
    monkeypatch.setattr(grading, "grade_one", grade)
    monkeypatch.setattr("minivjepa_course.commands.grade.assignments", lambda: ["hw1"])
    return asked


def moodle_class(tmp_path: Path) -> tuple[str, ...]:
    """An export, and the words that grade it."""
    names = [f"{name}_{10 + n}_assignsubmission_file_/hw1.ipynb" for n, name in enumerate(("Ada", "Bo", "Cy"))]
    folder = folder_with(tmp_path / "in", *names, "Dee_13_assignsubmission_file_/")
    return "grade", str(folder), "--out", str(tmp_path / "g.csv"), "--jobs", "1"


def table_of(tmp_path: Path) -> dict[str, dict[str, str]]:
    return {row["student"]: row for row in CLASSROOM.read_table(tmp_path / "g.csv")}


def edited(path: Path, student: str, by_hand: str, **how: str) -> None:
    """Write points by hand into the table, as a spreadsheet of this kind saves it."""
    rows = CLASSROOM.read_table(path)
    for row in rows:
        row["by_hand"] = by_hand if row["student"] == student else row["by_hand"]
    with path.open("w", newline="", encoding=how.get("encoding", "utf-8-sig")) as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=how.get("delimiter", ","))
        writer.writeheader()
        writer.writerows(rows)


def test_points_by_hand_survive_whatever_saved_them_and_count(graded: list[str], tmp_path: Path) -> None:
    """Catches: an afternoon of marking that the next run of the command throws away; a total without it."""
    words = moodle_class(tmp_path)
    assert call(*words, "--seed", "7") == 0
    assert (tmp_path / "g.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert table_of(tmp_path)["Ada"]["by_hand"] == ""
    edited(tmp_path / "g.csv", "Ada", "1,5", delimiter=";", encoding="cp1252")
    assert call(*words, "--resume") == 0
    edited(tmp_path / "g.csv", "Bo", "2", delimiter="\t")
    assert call(*words, "--resume", "--only", "Ada", "--export", "moodle") == 0
    found = table_of(tmp_path)
    assert [(row["by_hand"], row["total"]) for row in found.values()] == [
        ("1.5", "5.5"),
        ("2", "6"),
        ("", "4"),
        ("", "0"),
    ]
    assert {row["automatic_total"] for row in found.values()} == {"4", "0"}
    assert graded == ["Ada", "Bo", "Cy", "Ada"]
    with (tmp_path / "g" / "moodle-hw1.csv").open(newline="", encoding="utf-8-sig") as file:
        assert [row["Grade"] for row in csv.DictReader(file)] == ["5.5", "6", "4", ""]


@pytest.mark.parametrize("points", ["four", "-1", "nan"])
def test_points_by_hand_that_cannot_be_read_stop_everything(
    graded: list[str], points: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a slip of the keyboard that becomes no points, in a table that is written over."""
    words = moodle_class(tmp_path)
    assert call(*words) == 0
    edited(tmp_path / "g.csv", "Ada", points)
    before = (tmp_path / "g.csv").read_bytes()
    capsys.readouterr()
    assert f"row 2: by_hand is {points!r}, expected a number" in refused(capsys, *words, "--resume")
    assert (tmp_path / "g.csv").read_bytes() == before


SAVED: dict[str, Callable[[str], bytes]] = {
    "UTF-16, tabs": lambda text: text.replace(",", "\t").encode("utf-16"),
    "a line sep=": lambda text: b"sep=,\r\n" + text.encode(),
    "ends of lines of old Macs": lambda text: text.replace("\n", "\r").encode(),
}
NOT_READ: dict[str, Callable[[str], bytes]] = {
    "a title above": lambda text: b"Homework 1\n" + text.encode(),
    "an empty line above": lambda text: b"\n" + text.encode(),
    "a column with another name": lambda text: text.replace("by_hand", "by hand").encode(),
    "another delimiter": lambda text: text.replace(",", "|").encode(),
    "a workbook": lambda text: b"PK\x03\x04\x14\x00\x06\r\x00" + text.encode(),
    "nothing": lambda text: b"",
}


@pytest.mark.parametrize("how", [*SAVED, *NOT_READ])
def test_a_table_of_which_points_by_hand_cannot_be_read_is_not_written_over(
    graded: list[str], how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: marks that vanish without a word because a spreadsheet saved the table in another way; a traceback for it."""
    words = moodle_class(tmp_path)
    assert call(*words) == 0
    edited(tmp_path / "g.csv", "Ada", "2", encoding="utf-8")
    text = (tmp_path / "g.csv").read_bytes().decode().replace("\r\n", "\n")
    (tmp_path / "g.csv").write_bytes(before := {**SAVED, **NOT_READ}[how](text))
    capsys.readouterr()
    if how in SAVED:
        assert call(*words, "--resume") == 0
        assert table_of(tmp_path)["Ada"]["total"] == "6"
    else:
        assert "expected a table with the columns by_hand and file" in refused(capsys, *words, "--resume")
        assert (tmp_path / "g.csv").read_bytes() == before


def test_points_by_hand_for_a_file_that_is_gone_are_not_lost(
    graded: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: marks that vanish because a student handed in again under another name."""
    words = moodle_class(tmp_path)
    assert call(*words) == 0
    edited(tmp_path / "g.csv", "Ada", "2")
    folder = tmp_path / "in" / "Ada_10_assignsubmission_file_"
    (folder / "hw1.ipynb").rename(folder / "better.ipynb")
    capsys.readouterr()
    assert "which isn't handed in now" in refused(capsys, *words, "--resume")
    assert table_of(tmp_path)["Ada"]["by_hand"] == "2"


def test_the_seed_is_remembered_and_another_is_refused_by_name(
    graded: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: half a class graded by other hidden cases; a seed that everybody knows, unsaid."""
    words = moodle_class(tmp_path)
    assert call(*words, "--seed", "7") == 0
    assert "seed 0 is known" not in capsys.readouterr().err
    assert call(*words, "--resume") == 0
    assert len(graded) == 3
    capsys.readouterr()
    assert "--seed is 8, but" in (said := refused(capsys, *words, "--resume", "--seed", "8"))
    assert "was graded with 7" in said
    other = ("grade", str(tmp_path / "in"), "--out", str(tmp_path / "other.csv"))
    assert call(*other) == 0
    assert "seed 0 is known to everybody" in "".join(capsys.readouterr())


def test_one_student_is_graded_again_by_name_or_number(
    graded: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a whole class graded again for one student; a misspelt name that grades nobody and says nothing."""
    words = moodle_class(tmp_path)
    assert call(*words) == 0
    assert call(*words, "--resume", "--only", "Bo") == call(*words, "--resume", "--only", "12") == 0
    assert graded == ["Ada", "Bo", "Cy", "Bo", "Cy"]
    capsys.readouterr()
    assert "did you mean 'Ada'?" in refused(capsys, *words, "--resume", "--only", "Adda")
    assert "no submission is theirs" in refused(capsys, *words, "--resume", "--only", "")
    assert "add --resume" in refused(capsys, *words, "--only", "Ada")


def test_a_student_is_found_however_the_name_is_typed(graded: list[str], tmp_path: Path) -> None:
    """Catches: an accent that a file's name has as two characters and the keyboard as one."""
    folder = folder_with(tmp_path / "in", unicodedata.normalize("NFD", "José.ipynb"), "ann.ipynb")
    words = ("grade", str(folder), "--out", str(tmp_path / "g.csv"))
    assert call(*words) == call(*words, "--resume", "--only", unicodedata.normalize("NFC", "José")) == 0
    assert len(graded) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="asks for the lock as Linux and macOS do")
def test_points_by_hand_that_were_typed_while_grading_ran_are_kept_and_doubted(
    graded: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: marks that the end of a long run writes over; 60 typed for 6, unsaid; two runs that write to the same table."""
    words = moodle_class(tmp_path)
    assert call(*words) == 0
    quick, inside = grading.grade_one, []

    def slow(cells: list[Cell], item: HandedIn, desk: Desk, weights: bytes | None) -> Graded:
        edited(tmp_path / "g.csv", "Bo", "20")
        other = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'ab'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        held = subprocess.run([sys.executable, "-c", other, str(tmp_path / "g" / LOCK)], capture_output=True, text=True)
        assert "BlockingIOError" in held.stderr
        inside.append(item.student)
        return quick(cells, item, desk, weights)

    monkeypatch.setattr(grading, "grade_one", slow)
    assert call(*words, "--resume", "--only", "Ada") == 0
    assert inside == ["Ada"]
    assert (table_of(tmp_path)["Bo"]["by_hand"], table_of(tmp_path)["Bo"]["total"]) == ("20", "24")
    said = "".join(capsys.readouterr())
    assert "Bo_11_assignsubmission_file_/hw1.ipynb has 20 points, of 2 that can be given by hand" in said


def test_names_that_students_choose_reach_no_terminal_as_they_are(
    graded: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a file name that clears the teacher's screen, or writes a line of its own; attempts that are left out unsaid."""
    names = ["ada_1_2_\x1b[2Jx\ny.pdf", "ada_1_3_hw-1.ipynb", "ada_1_4_hw-2.ipynb"]
    folder = folder_with(tmp_path / "in", *names)
    assert call("grade", str(folder), "--out", str(tmp_path / "g.csv")) == 0
    said = capsys.readouterr().out
    assert "1 files (ada_1_2_�[2Jx�y.pdf)" in said
    assert "a newer attempt is there: 1 files" in said
    path = zip_of(tmp_path / "a.zip", same, "../\x1b[2J.ipynb")
    assert "\x1b" not in refused(capsys, "grade", str(path), "--out", str(tmp_path / "h.csv"))


def test_an_export_for_a_platform_that_gave_no_numbers_is_refused(
    graded: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: an empty gradebook after an hour of grading."""
    words = moodle_class(tmp_path)
    assert "--export canvas needs the students' numbers" in refused(capsys, *words, "--export", "canvas")
    assert graded == []


def test_the_gradebooks_have_the_columns_and_names_that_platforms_import(graded: list[str], tmp_path: Path) -> None:
    """Catches: a file that Moodle or Canvas does not take, a grade of 0 for a file that could not be read, the worse of two files."""
    assert call(*moodle_class(tmp_path), "--export", "moodle") == 0
    lines = list(csv.reader(io.StringIO((tmp_path / "g" / "moodle-hw1.csv").read_text(encoding="utf-8-sig"))))
    assert tuple(lines[0]) == MOODLE
    ada = ["Participant 10", "Ada", "", "Submitted for grading", "4", "9", "Yes", "", ""]
    assert lines[1] == [*ada, "cut: the axes are exchanged"]
    assert lines[4][:5] == ["Participant 13", "Dee", "", "No submission", ""]
    with zipfile.ZipFile(tmp_path / "g" / "moodle-hw1-feedback.zip") as file:
        names = [
            f"{name}_{n}_assignsubmission_file_/feedback.html" for n, name in enumerate(("Ada", "Bo", "Cy", "Dee"), 10)
        ]
        assert file.namelist() == names
        assert "the axes are exchanged" in file.read(names[1]).decode()
    folder = folder_with(tmp_path / "canvas", "ekbo_LATE_5_71_hw1.ipynb", "ekbo_5_72_again.ipynb", "ann.ipynb")
    assert call("grade", str(folder), "--out", str(tmp_path / "c.csv"), "--export", "canvas") == 0
    lines = list(csv.reader(io.StringIO((tmp_path / "c" / "canvas-hw1.csv").read_text(encoding="utf-8-sig"))))
    points = ["    Points Possible", "", "", "", "", "9"]
    assert lines == [[*CANVAS, "hw1"], points, ["ekbo", "5", "", "", "", "7"]]
    with zipfile.ZipFile(tmp_path / "c" / "canvas-hw1-feedback.zip") as file:
        assert file.namelist() == ["ekbo_LATE_5_71_hw1.html"]


# --- rules ---


def test_a_rule_holds_if_all_its_cases_are_right() -> None:
    """Catches: a rule that holds because one of its cases is right, or because no case of it was answered."""
    right = {"result": np.ones(2), CHANGED: np.zeros(0, "U40")}
    wrong = {**right, "result": np.zeros(2)}
    odd = {**right, "result": np.frombuffer(b"\xff\xff\xff\x7f" * 2, "<U1")}
    cases = tuple(Case({}, right, {}, rule) for rule in "aabbcd")
    exercise = ExerciseCases("f", "call", (), cases)
    answers = {0: right, 1: right, 2: wrong, 3: right, 5: odd}
    assert rules_of(exercise, answers) == {"a": True, "b": False, "c": False, "d": False}


def test_marks_by_rule_are_asked_for_and_remembered(graded: list[str], tmp_path: Path) -> None:
    """Catches: part of the points for a wrong answer, unasked; a class of which half is marked one way and half another."""
    words = moodle_class(tmp_path)
    assert call(*words) == 0
    assert table_of(tmp_path)["Ada"]["cut"] == "0"
    assert call(*words, "--resume", "--marks", "by-rule") == 0
    assert call(*words, "--resume") == 0
    row = table_of(tmp_path)["Ada"]
    assert (row["cut"], row["other"], row["automatic_total"]) == ("2", "4", "6")
    assert len(graded) == 3
    unknown = Graded("Eve", "hw1", {"cut": 0.0}, 0.0, "graded", {"cut": "not written yet"})
    assert by_rule(unknown, {"cut": 3.0}).points == {"cut": 0.0}
    page = next((tmp_path / "g").glob("*-Ada.html")).read_text(encoding="utf-8")
    assert [
        page.count(f"{mark}</span> {rule}</li>") for mark, rule in (("✓", "one"), ("✗", "two"), ("✓", "three"))
    ] == [1] * 3


def test_the_summary_counts_mistakes_and_names_nobody() -> None:
    """Catches: a page for the lecture that shows who it was, or what a student wrote into an error."""
    cases = (Case({}, {}, {"the axes are exchanged": {}}, "rows come first"),)
    known = [Assignment("hw1", (), (ExerciseCases("cut", "call", (), cases),), {"cut": 4.0}, {})]
    told = [
        "right",
        "perhaps: the axes are exchanged\n  case 1",
        "the axes are exchanged",
        "stopped; the submission says: <b>Eve</b>",
        "result is 3",
    ]
    rows = [
        Row(HandedIn(Path(), f"Eve {n}"), Graded(f"Eve {n}", "hw1", {"cut": 0.0}, 0.0, "graded", {"cut": text}, rules={"cut": {"rows come first": False, "b": True}}))
        for n, text in enumerate(told)
    ]  # fmt: skip
    rows.append(Row(HandedIn(Path(), "Eve"), Graded("Eve", "", {}, 0.0, "not a notebook", {})))
    text = summary(rows, known)
    assert "Eve" not in text
    for words in ("cut <span", "1 of 5 right", "5 files were graded; not graded: 1 not a notebook", "cut: wrong in 4"):
        assert words in text, words
    for count, words in (
        (2, "the axes are exchanged"),
        (1, "stops with an error"),
        (1, "gives another wrong result"),
        (4, "broken: rows come first"),
    ):
        assert f'<td class="count">{count}</td><td>{words}</td>' in text, words
    assert not any(word in text for word in ("http", "src=", "<script"))


# --- a whole class of each platform, with everything that runs ---


@pytest.fixture(scope="module")
def prepared() -> dict[str, Callable[[str, int], Assignment]]:
    """The teacher's code, which computes each assignment's cases once for all classes of this file."""
    return {"prepare": functools.cache(teachers_code()["prepare"])}


@pytest.fixture(scope="module")
def run_once() -> Callable[..., Any]:
    """run_submission that runs a notebook once: the class is the same in every layout, only its files have other names."""
    known: dict[str, Any] = {}

    def run(given: Any, steps: Any, exercises: Any, *where: Any) -> Any:
        key = repr((given, steps, [one.name for one in exercises]))
        if key not in known:
            known[key] = run_submission(given, steps, exercises, *where)
        return known[key]

    return run


@pytest.mark.slow
@pytest.mark.parametrize("layout", [layout for layout in CLASSROOM.LAYOUTS if layout != "plain"])
def test_an_export_goes_in_and_points_go_back(
    layout: str,
    prepared: dict[str, Callable[[str, int], Assignment]],
    run_once: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Catches: a student who gets another's points, or an old attempt's, on the way from the platform and back."""
    monkeypatch.setattr(grading, "teachers_code", lambda: prepared)
    monkeypatch.setattr(grading, "run_submission", run_once)
    folder, platform = tmp_path / "class", layout.partition("-")[0]
    CLASSROOM.write_class(folder, len(assignments()), 5, layout, people=True)
    export = ["--export", platform] if platform in ("moodle", "canvas") else []
    archive = tmp_path / "export.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted((folder / "submissions").rglob("*")):
            file.write(path, path.relative_to(folder / "submissions"))
    capsys.readouterr()
    assert call("grade", str(archive), "--out", str(tmp_path / "g.csv"), "--seed", "2", *export) == 0
    assert "left out, because they are no notebooks" in capsys.readouterr().out
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    rows = table_of(tmp_path)
    assert CLASSROOM.complaints(labels, list(rows.values())) == {}
    assert {label["assignment"] for label in labels.values()} == {*assignments(), ""}
    assert rows["nobody"]["status"] == "nothing handed in"
    assert all(row["id"] and row["file"] for row in rows.values())
    if platform == "canvas":
        assert [row["late"] for row in rows.values()].count("late") == 1
    if layout in ("canvas", "blackboard"):
        assert 0 < sum(bool(row["older_files"]) for row in rows.values()) < len(rows)
    for name in assignments() if export else ():
        text = (tmp_path / "g" / f"{platform}-{name}.csv").read_text(encoding="utf-8-sig")
        books = {
            row["Full name" if platform == "moodle" else "Student"]: row for row in csv.DictReader(io.StringIO(text))
        }
        books.pop("    Points Possible", None)
        for student, book in books.items():
            number = book["Identifier"].removeprefix("Participant ") if platform == "moodle" else book["ID"]
            points = sum(labels[student]["points"].values()) if labels[student]["assignment"] == name else None
            assert number == rows[student]["id"]
            assert book["Grade" if platform == "moodle" else name] == ("" if points is None else f"{points:g}")
        assert set(books) == {s for s, label in labels.items() if label["assignment"] in (name, "")}
