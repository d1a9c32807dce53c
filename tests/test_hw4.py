"""Homework 4: its exercises agree with the package, its project reads weights safely, and pays what it promises."""

import base64
import csv
import io
import json
import os
import pickle
import re
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from torch import Tensor

from minivjepa import rotary
from minivjepa.evaluation.statistics import mcnemar
from minivjepa.objective import sigreg, unit_directions
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_model
from minivjepa.tubelets import Grid
from minivjepa_course.grading.grade_folder import Desk, Task, grade_folder, graded_or_kept
from minivjepa_course.grading.graded import Assignment
from minivjepa_course.grading.hidden_cases import TEACHER
from minivjepa_course.grading.processes import user_ids
from minivjepa_course.grading.run_submission import Outcome
from minivjepa_course.grading.submissions import HandedIn, left_out, submissions
from minivjepa_course.homework.calling import ADAPTERS
from minivjepa_course.homework.cases import ExerciseCases, same
from minivjepa_course.homework.notebooks import cells_by_id
from minivjepa_course.homework.program import new_space, run

assignment = pytest.importorskip("assignment", reason="the teacher's folder was removed from this copy")
FOLDER = TEACHER / "hw4"
WRONG = runpy.run_path(str(FOLDER / "wrong_answers.py"))["WRONG"]
SEED = 11  # of grading: not one with which the baseline was measured


def right(name: str) -> Callable[..., Any]:
    """The right answer."""
    found: Callable[..., Any] = assignment.function_of(
        assignment.given_code("hw4"), assignment.reference_code("hw4")[name], name
    )
    return found


def given(name: str) -> Any:
    """What the notebook gives to students."""
    return assignment.function_of(assignment.given_code("hw4"), "", name)


# --- exercises ---


def test_pairs_across_are_the_packages_neighbors_in_another_order() -> None:
    """Catches: an exercise that no longer turns as rotary positions do."""
    grid, head = Grid(frames=4, height=24, width=32, tubelet=2, patch=8), 12
    ids = torch.arange(grid.tokens)
    _, h, w = grid.shape
    places = torch.stack([ids // (h * w), ids // w % h, ids % w], dim=1).float()
    angles = right("angles_of")(places, 2, 10000.0)
    x = torch.randn(1, 3, grid.tokens, head)
    theirs = rotary.rotary_angles(grid, ids[None], head, "rotary", torch.float32)
    assert theirs is not None
    in_turn = [0, 2, 4, 1, 3, 5]  # the package's pairs t0 t1 h0 h1 w0 w1, as t0 h0 w0 t1 h1 w1
    assert torch.allclose(angles, theirs[0, :, ::2][:, in_turn], atol=1e-5)
    across = torch.cat([x[..., ::2][..., in_turn], x[..., 1::2][..., in_turn]], dim=-1)
    wanted = rotary.rotate(x, theirs)
    wanted = torch.cat([wanted[..., ::2][..., in_turn], wanted[..., 1::2][..., in_turn]], dim=-1)
    assert torch.allclose(right("turn_pairs")(across, angles), wanted, atol=1e-5)
    scores = right("turn_pairs")(across[0, :1, :1].expand(1, grid.tokens, head), angles)[0]
    assert right("offset_spread")(scores @ scores.T, places.long()) < 1e-4


def test_p_is_that_of_the_package() -> None:
    """Catches: an exercise whose test is not McNemar's."""
    rng = np.random.default_rng(0)
    for size in (1, 5, 40, 200):
        a, b = (rng.random((2, size)) < 0.6).tolist()
        assert right("duel")(dict(enumerate(a)), dict(enumerate(b)), 0.05)["p"] == pytest.approx(mcnemar(a, b))


def test_gaps_are_sigreg_without_its_factor_and_without_chance() -> None:
    """Catches: a statistic that is not SIGReg's; chance that does not cancel on normal points."""
    z, directions, t = torch.randn(24, 5), unit_directions(5, 7, 0, 0, torch.device("cpu")), torch.linspace(-3, 3, 33)
    wanted = torch.exp(-(t**2) / 2)
    chance = torch.trapezoid((1 - wanted**2) * wanted, t) / 24
    assert torch.allclose(
        24 * (right("shadow_gaps")(z, directions, t).mean() + chance), sigreg(z, directions), atol=1e-4
    )
    torch.manual_seed(0)
    many = right("shadow_gaps")(torch.randn(8, 4000), torch.eye(4000), t)
    assert abs(float(many.mean())) < 4 * float(many.std()) / 4000**0.5


@pytest.mark.parametrize("name", WRONG)
def test_answers_that_are_not_listed_are_rejected_too(name: str) -> None:
    """Catches: cases that find the listed mistakes only."""
    [exercise] = [one for one in assignment.load("hw4") if one.name == name]
    drawn = [assignment.hidden_cases("hw4", replace(exercise, mistakes=()), seed) for seed in range(3)]
    assert len(WRONG[name]) >= 15
    for what, (old, new) in WRONG[name].items():
        code = assignment.reference_code("hw4")[name]
        assert old in code, what
        wrong = assignment.function_of(assignment.given_code("hw4"), code.replace(old, new), name)
        assert not any(passes(wrong, cases) for cases in drawn), what


def passes(function: Callable[..., Any], cases: ExerciseCases) -> bool:
    """Whether a function is right in every case."""
    try:
        return all(same(ADAPTERS[cases.adapter](function, case.inputs), case.expected) for case in cases.cases)
    except Exception:
        return False


# --- the project: its numbers ---


@pytest.fixture(scope="module")
def baseline() -> dict[str, Any]:
    """What was measured, see teacher/hw4/baseline.py."""
    found: dict[str, Any] = json.loads((FOLDER / "baseline.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def project() -> Any:
    """The functions of teacher/hw4/project.py."""
    import runpy

    return runpy.run_path(str(FOLDER / "project.py"))


def test_the_thresholds_are_those_of_the_record(baseline: dict[str, Any]) -> None:
    """Catches: a threshold that was typed, or a record that was made anew and not taken over."""
    import runpy

    script = runpy.run_path(str(FOLDER / "baseline.py"))
    assert (
        given("THRESHOLDS") == baseline["thresholds"] == script["thresholds"](baseline["untrained"], baseline["vjepa"])
    )
    for task, (low, middle, high) in baseline["thresholds"].items():
        untrained, vjepa = (
            [value for row in baseline[kind].values() for value in row[task]] for kind in ("untrained", "vjepa")
        )
        assert max(untrained) + 0.05 < low < middle < min(vjepa) <= max(vjepa) < high < 1
    assert len(baseline["vjepa"]) == len(baseline["untrained"]) == len(script["SEEDS"])


def test_the_text_promises_what_the_points_are(baseline: dict[str, Any]) -> None:
    """Catches: a project that is worth another number of points than it has thresholds."""
    cell = cells_by_id(assignment.read_source(FOLDER / "notebook.py"))["encoder"]
    assert cell.metadata.nbgrader["points"] == sum(map(len, baseline["thresholds"].values())) == 6
    known = assignment.prepare("hw4", SEED)
    assert known.points["encoder"] == 6
    assert known.written == {}


def reached(project: Any, data: bytes | None) -> tuple[str, int]:
    """What is said of a file, and how many thresholds it reaches."""
    said, rules, _ = project["judge"](SEED, data, [str(TEACHER)], user_ids())
    return said, sum(rules.values())


def saved(held: Any) -> bytes:
    """The bytes of a file that torch.save writes."""
    file = io.BytesIO()
    torch.save(held, file)
    return file.getvalue()


@pytest.mark.slow
def test_the_baseline_gets_four_points_and_untrained_weights_get_none(project: Any, baseline: dict[str, Any]) -> None:
    """Catches: thresholds that fresh clips move; points for weights that have learned nothing."""
    said, count = reached(project, (FOLDER / "baseline.pt").read_bytes())
    found = {name: float(value) for name, value in re.findall(r"(\w+) (0\.\d+)", said)}
    assert count == 4, said
    for task, value in found.items():
        assert baseline["thresholds"][task][1] <= value < baseline["thresholds"][task][2]
    untrained = build_model(replace(PRESETS["cpu"], seed=7)).encoder
    said, count = reached(project, saved(untrained.state_dict()))
    assert count == 0
    assert said.endswith("0 of 6 thresholds reached")


def test_no_weights_and_far_too_many_are_said_as_they_are(project: Any) -> None:
    """Catches: a crash or silence if the file is missing; a gigabyte passed on to a child."""
    assert reached(project, None) == (project["NO_WEIGHTS"], 0)
    said, count = reached(project, bytes(3 * 2**20))
    assert (said, count) == (
        "the weights could not be used: it has 3.0 MiB, expected 2 at most: save only the encoder",
        0,
    )


# --- the project: its files ---


class Runs:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def weights() -> dict[str, Tensor]:
    """Those of an untrained encoder."""
    return dict(given("new_encoder")().state_dict())


def with_value(name: str, value: Any) -> bytes:
    """Weights with another value in one place."""
    return saved({**weights(), name: value})


FIRST = "norm.weight"
GARBAGE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "torch.save did not write it"),
    "text": (lambda: b"my weights are great" * 99, "torch.save did not write it"),
    "a notebook": (lambda: (FOLDER.parent / "solutions" / "hw1.ipynb").read_bytes(), "torch.save did not write it"),
    "half a file": (lambda: saved(weights())[:200_000], "torch.save did not write it"),
    "a list": (lambda: saved(list(weights().values())), "it isn't a dict of tensors"),
    "a whole checkpoint": (lambda: saved({"config": {"dim": 64}, "encoder": weights()}), "it isn't a dict of tensors"),
    "an encoder itself": (lambda: saved(given("new_encoder")()), "it holds more than tensors"),
    "one tensor": (lambda: saved({FIRST: torch.ones(64)}), "tensors are missing"),
    "one too many": (lambda: with_value("head.weight", torch.ones(8, 64)), "1 tensors do not belong to this encoder, first 'head.weight'"),
    "another width": (lambda: with_value(FIRST, torch.ones(32)), f"{FIRST} has the shape [32], expected [64]"),
    "not a number": (lambda: with_value(FIRST, torch.full((64,), torch.nan)), "aren't finite"),
    "infinity": (lambda: with_value(FIRST, torch.full((64,), torch.inf)), "aren't finite"),
    "whole numbers": (lambda: with_value(FIRST, torch.ones(64, dtype=torch.int64)), "no real numbers"),
    "complex numbers": (lambda: with_value(FIRST, torch.ones(64, dtype=torch.complex64)), "no real numbers"),
    "too large for float32": (lambda: with_value(FIRST, torch.full((64,), 1e300, dtype=torch.float64)), "aren't finite"),
    "sparse": (lambda: with_value(FIRST, torch.ones(64).to_sparse()), "no real numbers"),
    "no values": (lambda: with_value(FIRST, torch.ones(64, device="meta")), "no real numbers"),
    "nested": (lambda: with_value(FIRST, torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])), "it isn't a dict of tensors"),
    "a large one in a small file": (lambda: with_value(FIRST, torch.ones(1).expand(2**40)), "has the shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", GARBAGE)
def test_a_file_that_is_no_encoder_is_refused_in_words(name: str) -> None:
    """Catches: an error of torch's own for a student to read; weights of other shapes that are used in part."""
    make, words = GARBAGE[name]
    with pytest.raises(ValueError, match=re.escape(words)):
        given("encoder_from")(make())


def test_half_precision_and_parameters_are_weights_too() -> None:
    """Catches: right files that are refused for the way in which they were saved."""
    own = given("new_encoder")()
    kinds = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
    ways = [{name: value.to(kind) for name, value in own.state_dict().items()} for kind in kinds]
    for held in (*ways, {**own.state_dict(), **dict(own.named_parameters())}):
        read = given("encoder_from")(saved(held)).state_dict()
        assert read.keys() == held.keys()
        assert all(torch.equal(value, held[name].float()) for name, value in read.items())


def test_the_cell_that_trains_runs_in_jupyter_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: minutes of training in `check` and in grading, which leave no time for the answers."""
    monkeypatch.setattr("minivjepa.training.minimal.train", lambda: pytest.fail("it trains"))
    notebook = nbformat.read(TEACHER.parent / "notebooks" / "homework" / "hw4.ipynb", as_version=4)
    (source,) = (cell.source for cell in notebook.cells if cell.source.startswith("TRAIN = False"))
    run(space := new_space(), "the cell", source.replace("TRAIN = False", "TRAIN = True"))
    assert space["TRAIN"]
    with pytest.raises(pytest.fail.Exception, match="it trains"):
        run({**space, "get_ipython": None}, "the cell", source.replace("TRAIN = False", "TRAIN = True"))


@pytest.mark.parametrize("how", ["torch.save", "pickle", "among weights"])
def test_code_in_a_file_does_not_run(tmp_path: Path, how: str) -> None:
    """Catches: a pickle that does what it likes, in grading or in a student's own `measure`."""
    bomb = Runs(tmp_path / "ran")
    data = {
        "torch.save": lambda: saved(bomb),
        "pickle": lambda: pickle.dumps(bomb),
        "among weights": lambda: with_value(FIRST, bomb),
    }[how]()
    with pytest.raises(ValueError, match="or it holds more than tensors"):
        given("encoder_from")(data)
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(bomb))  # the same where nothing stops it
    assert (tmp_path / "ran").exists()


@pytest.mark.slow
def test_bad_files_and_huge_features_cost_their_points_only(project: Any, tmp_path: Path) -> None:
    """Catches: a file that ends the child, or the grading; a probe that stops on features of 10 to the power of 30."""
    for data in (
        b"PK\x03\x04" + bytes(99),
        saved(Runs(tmp_path / "ran")),
        with_value("norm.weight", torch.full((64,), 1e30)),
    ):
        said, count = reached(project, data)
        assert said.startswith("the weights could not be used: ")
        assert count == 0
    assert not (tmp_path / "ran").exists()


# --- the project in a class ---

LAYOUTS = {
    "flat": (["ada.ipynb", "ada.pt", "bo.ipynb"], {"ada": "ada.pt", "bo": None}),
    "flat, in capitals": (["ada.ipynb", "ada.PT", "bo.ipynb"], {"ada": "ada.PT", "bo": None}),
    "folders": (["ada/hw4.ipynb", "ada/runs/best.PT", "bo/hw4.ipynb", "bo/pt"], {"ada": "ada/runs/best.PT", "bo": None}),
    "moodle": (
        ["Ada King_7_assignsubmission_file_/hw4.ipynb", "Ada King_7_assignsubmission_file_/encoder.pt", "Bo_8_assignsubmission_file_/hw4.ipynb"],
        {"Ada King": "Ada King_7_assignsubmission_file_/encoder.pt", "Bo": None},
    ),
    "moodle, flat": (
        ["Ada King_7_assignsubmission_file_hw4.ipynb", "Ada King_7_assignsubmission_file_encoder.pt", "Bo_8_assignsubmission_file_hw4.ipynb"],
        {"Ada King": "Ada King_7_assignsubmission_file_encoder.pt", "Bo": None},
    ),
    "canvas, two attempts": (
        ["kingada_7_90_hw4.ipynb", "kingada_7_91_encoder.pt", "kingada_7_95_encoder-1.pt", "bo_8_92_hw4.ipynb"],
        {"kingada": "kingada_7_95_encoder-1.pt", "bo": None},
    ),
    "blackboard, two attempts": (
        ["p_ada_attempt_2026-11-20-10-11-12_hw4.ipynb", "p_ada_attempt_2026-11-20-10-11-12_z.pt", "p_ada_attempt_2026-11-21-10-11-12_hw4.ipynb",
         "p_ada_attempt_2026-11-21-10-11-12_a.pt"],
        {"ada": "p_ada_attempt_2026-11-21-10-11-12_a.pt"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_belong_to_the_student_who_handed_them_in(tmp_path: Path, layout: str) -> None:
    """Catches: weights that no row has, that a classmate has, or that are those of an earlier attempt."""
    names, wanted = LAYOUTS[layout]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"{}")
    rows = submissions(tmp_path)
    found = {row.student: row.weights and row.weights.relative_to(tmp_path).as_posix() for row in rows}
    assert found == wanted
    assert len(rows) == len(wanted)
    named = {name for name in left_out(tmp_path, rows) if name.lower().endswith(".pt")}
    assert named == {name for name in names if name.lower().endswith(".pt")} - set(wanted.values())


def test_weights_without_a_notebook_are_a_row_that_says_so(tmp_path: Path) -> None:
    """Catches: a student who is in no row; a link that is followed."""
    (tmp_path / "ada.pt").write_bytes(b"x")
    (tmp_path / "bo.ipynb").write_bytes(b"{}")
    (tmp_path / "secret").write_bytes(b"x")
    os.symlink(tmp_path / "secret", tmp_path / "bo.pt")
    rows = {row.file: row for row in submissions(tmp_path)}
    assert rows["ada.pt"].instead == "there is ada.pt and no notebook: hand in the notebook itself"
    assert rows["bo.ipynb"].weights is None


def test_weights_are_read_once_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: points for a file that was changed after its digest was taken; a student who cannot tell which file was judged."""
    reads, judged = [], []

    def judge(weights: bytes | None, *where: Any) -> tuple[str, dict[str, bool], bool]:
        judged.append(weights)
        return "right", {"all": True}, False

    def read(path: Path) -> bytes:
        reads.append(path.name)
        return path.read_bytes()

    cell = {"cell_type": "code", "metadata": {"nbgrader": {"grade_id": "encoder"}}, "source": "x = 3"}
    (tmp_path / "ada.ipynb").write_text(json.dumps({"cells": [cell]}), encoding="utf-8")
    for name in ("encoder.pt", "encoder_old.pt"):
        (tmp_path / name).write_bytes(name.encode())
    known = Assignment("hw4", (), (), {"encoder": 6.0}, {}, {"encoder": judge})
    monkeypatch.setattr("minivjepa_course.grading.grade_folder.read_file", read)
    monkeypatch.setattr("minivjepa_course.grading.grade_folder.run_submission", lambda *given: Outcome())
    item = HandedIn(tmp_path / "ada.ipynb", "ada", "ada.ipynb", weights=tmp_path / "encoder_old.pt")
    (tmp_path / "records").mkdir()
    result = graded_or_kept(item, Desk([known], [], user_ids(), tmp_path / "records", "e"), last=True)
    assert judged == [b"encoder_old.pt"]
    assert reads == ["ada.ipynb", "encoder_old.pt"]
    assert result.notes == ["encoder: these points are for the file encoder_old.pt"]


@pytest.mark.slow
@pytest.mark.parametrize("marks", ["all-or-nothing", "by-rule"])
def test_a_class_gets_points_for_its_weights(tmp_path: Path, marks: str) -> None:
    """Catches: points for no weights; a bad file that costs the exercises, or the class; a column that is missing."""
    folder, out = tmp_path / "handed in", tmp_path / "grades.csv"
    notebook = nbformat.read(TEACHER.parent / "minivjepa_course" / "homework" / "hw4.ipynb", as_version=4)
    cells_by_id(notebook)["angles_of"].source = assignment.reference_code("hw4")["angles_of"]
    files = {"ada": (FOLDER / "baseline.pt").read_bytes(), "bo": None, "cy": base64.b64encode(b"garbage")}
    for student, data in files.items():
        (folder / student).mkdir(parents=True)
        nbformat.write(notebook, folder / student / "hw4.ipynb")
        if data is not None:
            (folder / student / "encoder.pt").write_bytes(data)
    task = Task(out, SEED, 1, (folder,), marks)
    grade_folder(task, submissions(folder), ["hw4"], lambda text: None, lambda: None)
    with out.open(newline="", encoding="utf-8-sig") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert {student: row["encoder"] for student, row in rows.items()} == {"ada": "4", "bo": "0", "cy": "0"}
    assert {row["angles_of"] for row in rows.values()} == {"2"}
    assert {row["automatic_total"] for row in rows.values()} == {"6", "2"}
    pages = {
        student: next(out.with_suffix("").glob(f"*-{student}.html")).read_text(encoding="utf-8") for student in files
    }
    assert "4 of 6 thresholds reached" in pages["ada"]
    assert "no weights were handed in" in pages["bo"]
    assert "torch.save did not write it" in pages["cy"]
