"""Homework 2's capstone: right answers fit together into a V-JEPA, and one that can't take part is told why."""

from typing import Any

import pytest
import torch

from minivjepa_course.grading.hidden_cases import TEACHER
from minivjepa_course.homework.program import new_space, run

pytest.importorskip("jupytext")
assignment = pytest.importorskip("assignment", reason="the teacher's folder was removed from this copy")
STEPS = 60
STYLES = [
    (exercise.name, number)
    for exercise in (assignment.load("hw2") if TEACHER.is_dir() else [])
    for number in range(len(exercise.styles))
]


@pytest.fixture
def notebook() -> dict[str, Any]:
    """A notebook's names, with all right answers, after its given cells."""
    space = new_space()
    run(space, "given cells", assignment.given_code("hw2"))
    for name, code in assignment.reference_code("hw2").items():
        run(space, name, code)
    return space


def exercise(name: str) -> Any:
    [found] = [one for one in assignment.load("hw2") if one.name == name]
    return found


def style(name: str, number: int) -> str:
    return str(exercise(name).styles[number])


def loss_and_gradient(notebook: dict[str, Any], own: bool, stop: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of the capstone's model, and the gradient of its encoder's pixels weights."""
    weights = notebook["new_weights"](0)
    weights["encoder.weight"].requires_grad_()
    pixels = torch.randn(notebook["BATCH"], 32, 384, generator=torch.Generator().manual_seed(1))
    loss = notebook["vjepa_loss"](weights, pixels, *notebook["draw_masks"](0), stop, own)
    loss.backward()
    return loss.detach(), weights["encoder.weight"].grad


def spread(notebook: dict[str, Any], own: bool, stop: bool) -> float:
    """Feature std after a short training, as a share of what it was before."""
    rows = list(notebook["train"](own, stop, steps=STEPS))
    return float(rows[-1][2] / rows[0][2])


def test_right_answers_make_a_vjepa_that_lives_with_its_own_stop_and_dies_without(notebook: dict[str, Any]) -> None:
    """Catches: exercises whose answers don't fit together; a capstone in which the student's own stop does nothing."""
    assert notebook["what_is_missing"]() == []
    assert spread(notebook, own=False, stop=True) > 0.5
    assert spread(notebook, own=True, stop=True) > 0.5
    assert spread(notebook, own=True, stop=False) < 0.1
    without = assignment.reference_code("hw2")["student_loss"].replace("whole = whole.detach()", "pass")
    run(notebook, "student_loss", without)
    assert spread(notebook, own=True, stop=True) < 0.1


@pytest.mark.slow
def test_every_way_to_write_it_takes_part_or_is_told_why_not(notebook: dict[str, Any]) -> None:
    """Catches: a right answer that gives another V-JEPA, or stops the capstone with a traceback."""
    notebook["BATCH"] = 2  # loops over tokens are slow
    right = {arm: loss_and_gradient(notebook, *arm) for arm in ((False, True), (True, False))}
    reference, told = assignment.reference_code("hw2"), []
    last = {"predict": ("body",), "student_loss": ("encode", "ask", "distance")}
    for name, number in STYLES:
        if name in ("plan", "follow", "audit"):
            continue
        run(notebook, name, style(name, number))
        stand_ins = {word: notebook[word] for word in last.get(name, ())}
        loses = name != "student_loss" and notebook["loses_gradient"](name)
        if loses or notebook["unused"](name, **stand_ins):
            told.append((name, loses))
        else:
            for arm, (loss, gradient) in right.items():
                mine, its_gradient = loss_and_gradient(notebook, *arm)
                assert torch.isclose(mine.float(), loss, rtol=1e-3), (name, number)
                assert torch.allclose(its_gradient, gradient, rtol=1e-2, atol=1e-4), (name, number)
        run(notebook, name, reference[name])
    assert ("attend", True) in told  # written with numpy
    assert ("predict", False) in told  # without the argument `body`
    assert len(told) < len(STYLES) / 2


@pytest.mark.parametrize(("name", "number"), [one for one in STYLES if one[0] in ("plan", "follow")])
def test_the_target_follows_in_every_style(notebook: dict[str, Any], name: str, number: int) -> None:
    """Catches: momenta or targets in another form than the training loop can use."""
    right = list(notebook["train"](False, True, steps=20))
    run(notebook, name, style(name, number))
    mine = list(notebook["train"](False, True, steps=20))
    assert torch.allclose(torch.tensor(mine), torch.tensor(right), rtol=1e-3)


def test_what_is_missing_is_said_in_a_line_each(notebook: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a capstone that runs on wrong functions, or stops with a traceback; blame for the wrong one."""
    reference = assignment.reference_code("hw2")
    run(notebook, "plan", "def plan(*given, **named):\n    raise NotImplementedError()")
    del notebook["attend"]
    run(notebook, "follow", exercise("follow").mistakes[0][1])
    notebook["watch"]("mine", own=False, stop=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Not yet. Go back to:"
    assert [line.split()[0].rstrip(":") for line in lines[1:]] == ["plan", "follow", "attend"]
    assert notebook["HISTORIES"] == {}
    for name in ("plan", "follow", "attend"):
        run(notebook, name, reference[name])
    run(notebook, "latent_loss", style("latent_loss", 0))  # with numpy
    old = "def predict(context, context_ids, target_ids, weights, group, rows):"
    run(notebook, "predict", f"{old}\n    return right(context, context_ids, target_ids, weights, group, rows)")
    run(notebook, "right", reference["predict"].replace("def predict(", "def right("))
    first, second = notebook["what_is_missing"]()
    assert first.startswith("latent_loss is right, but gradients get lost in it")
    assert second.startswith("predict is right, but it doesn't call its argument body")


def test_the_audit_sees_no_gradient_in_the_target_encoder(notebook: dict[str, Any]) -> None:
    """Catches: a table of gradients that is not of the capstone's own model."""
    pixels = torch.randn(notebook["BATCH"], 32, 384)
    for stop, target in ((True, (0, 0, 15)), (False, (15, 0, 0))):
        found = notebook["audit"](
            notebook["new_weights"](0), pixels, *notebook["draw_masks"](0), stop, notebook["vjepa_loss"]
        )
        assert found == {"encoder": (15, 0, 0), "target": target, "predictor": (16, 0, 0)}


def test_nothing_is_trained_where_functions_are_graded(notebook: dict[str, Any]) -> None:
    """Catches: a minute of training in every `check` and for every submission."""
    assert notebook["HISTORIES"] == {}
    assert "film" not in notebook  # nor drawn
