"""Homework: answers, mistakes and hints agree; its files say what their source says; cases can be trusted; `minivjepa check`."""

import copy
import dataclasses
import functools
import html
import importlib
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any, get_args, get_origin, get_type_hints
from unittest.mock import MagicMock
from xml.etree import ElementTree

import hypothesis.extra.numpy as arrays_of
import nbformat
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minivjepa.figures import Picture
from minivjepa_course.grading.hidden_cases import TEACHER
from minivjepa_course.homework import check
from minivjepa_course.homework.calling import ADAPTERS, Blocked, blocking, call
from minivjepa_course.homework.cases import (
    CHANGED,
    Arrays,
    Case,
    ExerciseCases,
    alike,
    as_arrays,
    cases_from_json,
    decode,
    diagnose,
    encode,
    same,
)
from minivjepa_course.homework.checking import (
    FOLDER,
    CheckFailed,
    assignments,
    draw_side_by_side,
    load_cases,
    require_right,
)
from minivjepa_course.homework.kernels import WatchedKernel
from minivjepa_course.homework.notebooks import cells_by_id, is_answer, is_check
from minivjepa_course.homework.program import new_space, run
from minivjepa_course.homework.selfcheck import message_of, run_step
from tests.test_cli import call as command
from tests.test_cli import refused

pytest.importorskip("jupytext")
if TEACHER.is_dir():
    import build
    from assignment import function_of, given_code, hidden_cases, load, read_source, reference_code, visible_cases
    from mutants import survivors

ROOT = Path(__file__).parents[1]
NAMES = [(name, exercise) for name in assignments() for exercise in json.loads((FOLDER / f"{name}.json").read_text())]
POINTS = {"hw1": 25, "hw2": 27, "hw3": 30, "hw4": 30}
SEEDS = (1, 2)
needs_teacher = pytest.mark.skipif(not TEACHER.is_dir(), reason="the teacher's folder was removed from this copy")
each_exercise = pytest.mark.parametrize(("assignment", "name"), NAMES)
each_assignment = pytest.mark.parametrize("assignment", assignments())


@functools.cache
def exercises(assignment: str) -> dict[str, Any]:
    return {exercise.name: exercise for exercise in load(assignment)}


@functools.cache
def source(assignment: str) -> nbformat.NotebookNode:
    return read_source(TEACHER / assignment / "notebook.py")


@functools.cache
def visible(assignment: str, name: str) -> ExerciseCases:
    return visible_cases(assignment, exercises(assignment)[name])


@functools.cache
def hidden(assignment: str, name: str, seed: int) -> ExerciseCases:
    return hidden_cases(assignment, exercises(assignment)[name], seed)


def all_cases(assignment: str, name: str) -> list[ExerciseCases]:
    """The visible cases, and the hidden ones of every seed."""
    return [visible(assignment, name), *(hidden(assignment, name, seed) for seed in SEEDS)]


def said(cases: ExerciseCases, function: Callable[..., Any]) -> str:
    """What a check says of a function, nothing if it is right."""
    try:
        require_right(cases, function)
    except CheckFailed as error:
        return str(error)
    return ""


def function(assignment: str, name: str, code: str) -> Callable[..., Any]:
    return function_of(given_code(assignment), code, name)


# --- exercises ---


@needs_teacher
@each_exercise
def test_right_answers_in_every_style_pass(assignment: str, name: str) -> None:
    """Catches: a check that insists on one way to write it; a hidden case that the reference fails."""
    styles = exercises(assignment)[name].styles
    assert len(styles) >= 2
    for code in (reference_code(assignment)[name], *styles):
        for cases in all_cases(assignment, name):
            assert said(cases, function(assignment, name, code)) == "", code


@needs_teacher
def test_an_answer_that_fails_on_some_seed_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a thousand seeds of which none is tried, or whose failures are swallowed."""
    import many_seeds

    assert many_seeds.failures("hw1", range(1, 3), "grid_shape") == []
    wrong = dataclasses.replace(exercises("hw1")["grid_shape"], styles=("def grid_shape(*given, **named): return 0",))
    monkeypatch.setattr(many_seeds, "load", lambda assignment: [wrong])
    found = many_seeds.failures("hw1", range(1, 3), "grid_shape")
    assert [text.split(":")[0] for text in found] == ["grid_shape, seed 1", "grid_shape, seed 2"]
    printed = capsys.readouterr().out
    assert all(text in printed for text in found)  # also if it's stopped before its end


@needs_teacher
@each_exercise
def test_every_mistake_is_rejected_and_called_by_its_own_name(assignment: str, name: str) -> None:
    """Catches: points for a known mistake; a student who is told of another bug than his own."""
    mistakes = dict(exercises(assignment)[name].mistakes)
    assert len(mistakes) == len(exercises(assignment)[name].mistakes) >= 6
    for message, code in mistakes.items():
        wrong = function(assignment, name, code)
        for cases in all_cases(assignment, name)[1:]:
            assert said(cases, wrong), f"hidden cases do not see: {message}"
        for cases in all_cases(assignment, name):
            first = said(cases, wrong).split("\n")[0].removeprefix(f"{name}: ").removeprefix("perhaps: ")
            assert first == message or first not in mistakes, message


@needs_teacher
@pytest.mark.slow
@each_exercise
def test_every_mutant_of_the_answer_is_found_on_ten_seeds(assignment: str, name: str) -> None:
    """Catches: hidden inputs that never leave a narrow region, so that a slip gets full points."""
    exercise = exercises(assignment)[name]
    survived = survivors(assignment, exercise)
    assert [what for what in survived if what not in exercise.equivalent] == []
    sure = [what for what, why in exercise.equivalent.items() if not why.startswith("on some machines")]
    assert [what for what in sure if what not in survived] == []  # a reason for nothing


@needs_teacher
@each_exercise
def test_every_mistake_is_named_somewhere(assignment: str, name: str) -> None:
    """Catches: a hint that no student will ever read."""
    for message, code in exercises(assignment)[name].mistakes:
        wrong = function(assignment, name, code)
        assert any(message in said(cases, wrong) for cases in all_cases(assignment, name)), message


@each_exercise
def test_an_unwritten_answer_is_called_unwritten(assignment: str, name: str) -> None:
    """Catches: a stub that passes, or fails with a traceback."""
    notebook = nbformat.read(FOLDER / f"{assignment}.ipynb", as_version=4)
    stub = function(assignment, name, cells_by_id(notebook)[name].source) if TEACHER.is_dir() else unwritten
    with pytest.raises(CheckFailed, match=f"^{name} is not written yet$"):
        check(assignment, name, stub)


def unwritten(*given: Any, **named: Any) -> Any:
    raise NotImplementedError


@each_exercise
def test_what_would_answer_is_blocked_under_any_alias_and_only_inside(assignment: str, name: str) -> None:
    """Catches: a blocked name that was renamed; an import under another name as a way around; a block that stays."""
    for full in load_cases(assignment, name).blocked:
        module, _, attribute = full.rpartition(".")
        alias = getattr(importlib.import_module(module), attribute)
        with blocking([full]):
            assert refuses(alias), full
        assert not refuses(alias)


def refuses(function: Callable[..., Any]) -> bool:
    """Whether it is blocked; an error for missing arguments is none."""
    try:
        function()
    except Exception as error:
        return isinstance(error, Blocked)
    return False


def test_a_call_of_the_blocked_function_is_said_in_the_check() -> None:
    """Catches: a student who hands in the package's own function."""
    from minivjepa.masking import coverage as theirs

    with pytest.raises(CheckFailed, match="do it without the package's own function"):
        check("hw1", "coverage", lambda ids, shape: theirs(ids, shape))


# --- files ---


@needs_teacher
@each_assignment
def test_student_notebooks_are_those_of_the_source(assignment: str) -> None:
    """Catches: a text that was edited without `make assignments`; two copies that differ."""
    files = [ROOT / "notebooks" / "homework" / f"{assignment}.ipynb", FOLDER / f"{assignment}.ipynb"]
    assert files[0].read_bytes() == files[1].read_bytes()
    wanted = build.student_version(source(assignment))
    assert nbformat.read(files[0], as_version=4) == wanted


def secret_lines(assignment: str) -> set[str]:
    """Lines of answers and hidden tests that are long enough to give something away."""
    text = "\n".join(cell.source for cell in source(assignment).cells if cell.cell_type == "code")
    regions = [found[0] for pattern in (build.SOLUTION, build.HIDDEN) for found in pattern.finditer(text)]
    lines = {line.strip() for region in regions for line in region.splitlines()}
    return {line for line in lines if len(line) > 25 and not line.startswith("###")}


def squeezed(text: str) -> str:
    """Words without their markup, as a browser shows them, and without spaces."""
    return "".join(html.unescape(re.sub(r"</?(code|details|summary)>", "", text)).split())


@needs_teacher
@each_assignment
def test_no_line_of_an_answer_is_in_what_students_get(assignment: str) -> None:
    """Catches: a solution or a hidden test in a notebook or among the cases; a hint that is a line of the answer."""
    secrets = secret_lines(assignment)
    assert len(secrets) > 20
    shown = [squeezed(cell.source) for cell in nbformat.read(FOLDER / f"{assignment}.ipynb", as_version=4).cells]
    assert not [line for line in secrets if any(squeezed(line) in text for text in shown)]
    for file in (FOLDER / f"{assignment}.ipynb", FOLDER / f"{assignment}.json"):
        text = file.read_text(encoding="utf-8")
        assert not [line for line in secrets if line in text or json.dumps(line)[1:-1] in text], file.name


@needs_teacher
@each_assignment
def test_a_model_of_a_written_answer_is_not_in_what_students_get(assignment: str) -> None:
    """Catches: a sample of the argument handed out with the question."""
    text = (FOLDER / f"{assignment}.ipynb").read_text(encoding="utf-8")
    for cell in source(assignment).cells:
        if cell.cell_type == "markdown" and is_answer(cell):
            assert all(json.dumps(line)[1:-1] not in text for line in cell.source.splitlines() if len(line) > 25)


def close(a: Arrays, b: Arrays, tolerance: float = 1e-5) -> bool:
    """Whether stored and computed results agree up to rounding."""
    return set(a) == set(b) and all(
        a[key].dtype.kind == b[key].dtype.kind
        and a[key].shape == b[key].shape
        and (
            np.allclose(a[key], b[key], tolerance, tolerance, True)
            if a[key].dtype.kind == "f"
            else np.array_equal(a[key], b[key])
        )
        for key in a
    )


def nearly(a: Any, b: Any) -> bool:
    """Whether two JSON values differ by rounding only: matrix products round differently on other processors."""
    if isinstance(a, dict | list) and type(a) is type(b) and len(a) == len(b):
        pairs = zip(a, b) if isinstance(a, list) else ((a[key], b.get(key)) for key in a)
        return all(nearly(*pair) for pair in pairs)
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) if isinstance(a, float) and isinstance(b, float) else a == b


@needs_teacher
@each_exercise
def test_stored_cases_are_those_of_the_source(assignment: str, name: str) -> None:
    """Catches: expected values, or known mistakes, of an older version of an exercise."""
    stored, fresh = load_cases(assignment, name), visible(assignment, name)
    assert (stored.adapter, stored.blocked, len(stored.cases)) == (fresh.adapter, fresh.blocked, len(fresh.cases))
    for old, new in zip(stored.cases, fresh.cases):
        assert nearly(json.loads(json.dumps(encode(old.inputs))), json.loads(json.dumps(encode(new.inputs))))
        assert close(old.expected, new.expected)
        assert set(old.mistakes) == set(new.mistakes)
        for message, result in new.mistakes.items():  # how many digits are lost depends on the processor
            assert close(old.mistakes[message], result, 1e-2 if "lose half the digits" in message else 1e-5), message


def is_a(value: Any, kind: Any) -> bool:
    """Whether a value is what a signature says, also inside lists, tuples and dicts; a whole number will do for a float."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == len(inner) and all(map(is_a, value, inner))
    if origin is list:
        return isinstance(value, list) and all(is_a(part, inner[0]) for part in value)
    if origin is dict:
        return isinstance(value, dict) and all(is_a(a, inner[0]) and is_a(b, inner[1]) for a, b in value.items())
    if kind is Any:
        return True
    return isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) <= (kind is bool)


@needs_teacher
@each_exercise
def test_inputs_have_the_types_that_the_signature_says(assignment: str, name: str) -> None:
    """Catches: a tuple that arrives as a list, so that `(batch,) + shape` stops, or `place in corners` finds nothing."""
    kinds = get_type_hints(function(assignment, name, reference_code(assignment)[name]))
    for case in (case for cases in all_cases(assignment, name) for case in cases.cases):
        assert [key for key, value in case.inputs.items() if not is_a(value, kinds[key])] == [], case.rule


@needs_teacher
@each_assignment
def test_solutions_are_those_of_the_source_and_ran_without_an_error(assignment: str) -> None:
    """Catches: solutions of an older text, or that were never run."""
    held = nbformat.read(TEACHER / "solutions" / f"{assignment}.ipynb", as_version=4)
    wanted = build.solution_version(source(assignment))
    assert [(cell.cell_type, cell.source, cell.metadata) for cell in held.cells] == [
        (cell.cell_type, cell.source, cell.metadata) for cell in wanted.cells
    ]
    for cell in held.cells:
        if cell.cell_type == "code":
            assert cell.execution_count
            assert all(output.output_type != "error" for output in cell.outputs)
    said_in = {name: "".join(out.get("text", "") for out in cell.outputs) for name, cell in checks(held).items()}
    assert all("right in all" in text for text in said_in.values()), said_in


def checks(notebook: nbformat.NotebookNode) -> dict[str, nbformat.NotebookNode]:
    """Exercise -> the cell that checks it."""
    return {name.removeprefix("check_"): cell for name, cell in cells_by_id(notebook).items() if is_check(cell)}


@each_assignment
def test_cells_are_unique_and_every_answer_has_a_check_with_points(assignment: str) -> None:
    """Catches: two cells of one name; an exercise without points, or without a check of its own."""
    notebook = nbformat.read(FOLDER / f"{assignment}.ipynb", as_version=4)
    ids = [cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert len(ids) == len(set(ids))
    code = [name for name, cell in cells_by_id(notebook).items() if is_answer(cell) and cell.cell_type == "code"]
    assert code == list(checks(notebook)) == [name for own, name in NAMES if own == assignment]
    for name, cell in checks(notebook).items():
        assert cell.source == f'check("{assignment}", "{name}", {name})'
        assert cell.metadata.nbgrader.points > 0
    worth = sum(cell.metadata.nbgrader.get("points", 0) for cell in cells_by_id(notebook).values())
    assert worth == POINTS[assignment]
    assert f"{POINTS[assignment]} points" in notebook.cells[0].source


def test_no_two_exercises_share_a_name() -> None:
    """Catches: a table of grades with one column for two exercises."""
    assert len({name for _, name in NAMES}) == len(NAMES)


# --- cases ---

TENSORS = arrays_of.arrays(
    st.sampled_from([np.float32, np.float64, np.int64, np.bool_]), arrays_of.array_shapes(min_dims=0, min_side=0)
).map(torch.as_tensor)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
KEYS = st.text() | st.integers()
INPUTS = st.recursive(
    PLAIN | TENSORS,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
    max_leaves=6,
)
RESULTS = st.dictionaries(
    st.text(),
    arrays_of.arrays(
        st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_, np.dtype("U5")]),
        arrays_of.array_shapes(min_dims=0, min_side=0),
    ),
    max_size=3,
)


@given(INPUTS)
def test_inputs_survive_json(value: Any) -> None:
    """Catches: a type, a shape, an infinite number, a seed as a key, or a tuple that is lost on the way to a child process."""
    there_and_back = decode(json.loads(json.dumps(encode(value))))
    assert repr(encode(there_and_back)) == repr(encode(value))
    if isinstance(value, dict):
        assert list(there_and_back) == list(value)
    if isinstance(value, torch.Tensor):
        assert (there_and_back.dtype, there_and_back.shape) == (value.dtype, value.shape)
        assert torch.equal(there_and_back.nan_to_num(7), value.nan_to_num(7))


@given(RESULTS)
def test_results_survive_json(value: Arrays) -> None:
    """Catches: an expected value that is stored as another."""
    there_and_back = decode(json.loads(json.dumps(encode(value))))
    assert list(there_and_back) == list(value)
    for name, array in value.items():
        assert (there_and_back[name].dtype, there_and_back[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(there_and_back[name], array)


@given(RESULTS)
def test_a_result_is_the_same_as_itself_and_not_as_one_with_more(value: Arrays) -> None:
    """Catches: NaN that differs from itself; a missing or additional output that nobody notices."""
    assert same(value, copy.deepcopy(value))
    assert not same(value, {**value, "one that nobody asked for" * 2: np.zeros(1)})


@pytest.mark.parametrize(
    ("mine", "right", "equal"),
    [
        (np.array([1, 0]), np.array([True, False]), False),
        (np.array([1, 2], np.uint8), np.array([1, 2]), True),
        (np.array([1.0], np.float32), np.array([1.0 + 1e-6]), True),
        (np.array([1.0]), np.array([1.001]), False),
        (np.zeros((2, 1)), np.zeros(2), False),
        (np.zeros((0, 3)), np.zeros((0, 2)), False),
        (np.array([np.nan]), np.array([0.0]), False),
        (np.array(["ab"]), np.array(["abc"]), False),
    ],
)
def test_kind_shape_and_values_all_count(mine: np.ndarray, right: np.ndarray, equal: bool) -> None:
    """Catches: broadcasting, or ids as floats, taken for right."""
    assert alike(mine, right) is alike(right, mine) is equal


def test_floats_will_not_do_for_whole_numbers() -> None:
    """Catches: ids as floats, which can't be used as ids."""
    assert not alike(np.array([1, 2]), np.array([1.0, 2.0]))
    assert alike(np.array([1.0, 2.0]), np.array([1, 2]))
    assert not alike(np.array([1.0, 2.0]), np.array([1, 3]))


def result(value: Any) -> Arrays:
    return as_arrays(value)


def test_numbers_and_single_tensors_may_stand_side_by_side() -> None:
    """Catches: a right answer that is refused since one of its numbers comes from autograd and another was written down."""
    mixed = result((torch.tensor(1.5), torch.tensor(-2.0), 0.0))
    assert list(mixed) == ["result"]
    assert mixed["result"].tolist() == [1.5, -2.0, 0.0]
    assert result([torch.tensor(2), 3])["result"].tolist() == [2, 3]
    assert list(result([torch.tensor(1.0), torch.ones(2)])) == ["result.0", "result.1"]


CASES = [Case({}, result(2), {"plus": result(2), "twice": result(4)}), Case({}, result(3), {"plus": result(7)})]


@pytest.mark.parametrize(
    ("results", "found"),
    [
        ((2, 3), None),
        ((2, 7), ("plus", 1)),
        ((4, 3), ("perhaps: twice", 0)),
        ((4, 9), ("perhaps: twice", 0)),
        ((4, 7), ("perhaps: twice", 0)),
        ((2, 5), ("result is 5, expected 3; 1 of 1 values differ", 1)),
        ((2, 3.0), ("result holds floats, expected whole numbers", 1)),
        ((2, True), ("result holds booleans, expected whole numbers", 1)),
        ((2, [3]), ("result has the shape [1], expected []", 1)),
        ((2, (3, "a")), ("result is a list of 2 values, expected one value", 1)),
    ],
)  # fmt: skip
def test_a_mistake_is_named_only_as_far_as_it_explains_the_results(results: tuple, found: tuple | None) -> None:
    """Catches: a certain word for a guess; a difference that is described as another."""
    assert diagnose(CASES, [result(value) for value in results]) == found


def test_a_whole_number_will_do_for_a_float_of_the_same_value() -> None:
    """Catches: a right answer that is refused since min(1, ...) or max(0, ...) gives a whole number."""
    cases = [Case({}, result(1.0)), Case({}, result([0.0, 2.0]))]
    assert diagnose(cases, [result(1), result([0, 2])]) is None
    assert diagnose(cases, [result(1), result([0, 3])]) == ("result at [1] is 3, expected 2.0; 1 of 2 values differ", 1)
    assert diagnose(cases, [result(True), result([0, 2])]) == ("result holds booleans, expected floats", 0)


def test_a_mistake_that_stops_in_a_case_is_no_more_than_perhaps() -> None:
    """Catches: a hint that is called certain though one of its cases has no result."""
    cases = [CASES[1], Case({}, result(1))]
    assert diagnose(cases, [result(7), result(2)]) == ("perhaps: plus", 0)


def test_two_mistakes_that_give_the_same_are_no_more_than_perhaps() -> None:
    """Catches: a certain word for one of two explanations."""
    assert diagnose([Case({}, result(3), {"plus": result(7), "more": result(7)})], [result(7)]) == ("perhaps: plus", 0)


TENSOR, NUMBERS = torch.zeros(2, 3), torch.zeros(40)
FAR = torch.arange(40.0)
FORMS = {
    "a nested list": (TENSOR, [[0.0] * 3] * 2, "result is a list of 2 lists or tensors, expected a tensor of shape [2, 3]"),
    "lists inside lists": (torch.zeros(1, 1, 2), [[[0.0, 0.0]]], "result is a list of 1 lists, expected a tensor of shape [1, 1, 2]"),
    "a dict": (TENSOR, {"a": TENSOR}, "result is a dict, expected a tensor of shape [2, 3]"),
    "one of two": ((TENSOR, NUMBERS), TENSOR, "result is one value, expected 2 parts: result.0, result.1"),
    "too few": ((TENSOR, NUMBERS, TENSOR), (TENSOR, NUMBERS), "result has 2 parts, expected 3"),
    "too many": ((TENSOR, NUMBERS), (TENSOR, NUMBERS, TENSOR), "result has 3 parts, expected 2"),
    "close": (torch.tensor(1.0), torch.tensor(1.0003), "result is 1.0003, expected 1.0, and may differ by 0.0002; 1 of 1 values differ"),
    "far": (torch.tensor([1.0, 2]), torch.tensor([1.0, 9]), "result at [1] is 9.0, expected 2.0; 1 of 2 values differ"),
    "text": ("higher", "lower", "result is 'lower', expected 'higher'; 1 of 1 values differ"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_difference_is_said_as_it_is(name: str) -> None:
    """Catches: "is missing" for what is there in another form; two numbers that look equal; a tolerance that nobody is told."""
    right, mine, message = FORMS[name]
    assert diagnose([Case({}, result(right))], [result(mine)]) == (message, 0)


def shown(right: Any, mine: Any, inputs: dict[str, Any]) -> str:
    """What a check says of a function that returns this."""
    return said(
        ExerciseCases("f", "call", (), (Case(inputs, call(lambda **given: right, inputs)),)), lambda **given: mine
    )


def test_values_around_a_difference_are_shown_with_their_place() -> None:
    """Catches: eight equal values shown of two tensors that differ further on."""
    wrong = FAR.clone()
    wrong[30] = -1
    text = shown(FAR, wrong, {})
    assert (
        "expected result: shape [40], values from [27] on [27.0, 28.0, 29.0, 30.0, 31.0, 32.0, 33.0, 34.0] ..." in text
    )
    assert (
        "got      result: shape [40], values from [27] on [27.0, 28.0, 29.0, -1.0, 31.0, 32.0, 33.0, 34.0] ..." in text
    )
    assert "values from [3, 3] on" in shown(FAR.reshape(5, 8), wrong.reshape(5, 8), {})


def test_only_what_differs_is_shown() -> None:
    """Catches: "expected 0.5, got 0.5" for a part that is right up to rounding."""
    text = shown({"a": 0.5, "b": 1}, {"a": 0.5 + 1e-6, "b": 2}, {})
    assert "expected result.b: 1\n  got      result.b: 2" in text
    assert "result.a" not in text


def test_the_inputs_that_decided_are_shown() -> None:
    """Catches: "..." in place of the list on which a function is wrong."""
    inputs = {
        "small": torch.tensor([0.25, 1.0]),
        "large": FAR,
        "rows": [{"a": 1, "b": torch.ones(1)}],
        "many": list(range(99)),
    }
    text = shown(1, 2, inputs)
    assert "small = tensor [2] [0.25, 1.0], large = tensor [40] [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0] ...," in text
    assert "rows = [{'a': 1, 'b': tensor [1] [1.0]}], many = [0, 1, 2," in text
    assert "23, ... 99 in all]" in text


def test_a_crash_says_the_case_and_the_line() -> None:
    """Catches: an error whose place a student has to guess."""
    space = new_space()
    run(space, "cell 3", "def helper(x):\n    return [1, 2][x]  # here\n\ndef f(x):\n    return helper(x)")
    exercise = ExerciseCases("f", "call", (), (Case({"x": 0}, result(1)), Case({"x": 5}, result(2))))
    assert said(exercise, space["f"]).split("\n") == [
        "f stopped with IndexError: list index out of range; at the line: return [1, 2][x]  # here",
        "  case 2 of 2, called with x = 5",
    ]


def test_an_error_of_torch_is_not_called_unwritten() -> None:
    """Catches: "not written yet" for a function that is written, and calls what torch does not have."""

    def missing() -> None:
        raise NotImplementedError("Could not run 'aten::x'")

    exercise = ExerciseCases("f", "call", (), (Case({}, result(1)),))
    assert said(exercise, missing).startswith("f stopped with NotImplementedError: Could not run 'aten::x'")


def test_a_function_that_ends_python_is_not_right() -> None:
    """Catches: sys.exit in an answer, which a notebook's kernel takes for no error."""
    exercise = ExerciseCases("f", "call", (), (Case({}, result(1)),))
    assert said(exercise, sys.exit).startswith("f stopped with SystemExit")


def spoil_list(values: list) -> int:
    values[0]["rows"][1] = 5
    return 0


def spoil_tensor(values: list) -> int:
    values[0]["tensor"][0, 1] += 1
    return 0


def spoil_keys(values: list) -> int:
    del values[0]["rows"]
    return 0


@pytest.mark.parametrize("spoil", [spoil_list, spoil_tensor, spoil_keys])
def test_changes_inside_nested_inputs_are_seen_and_stay_outside(spoil: Callable[..., Any]) -> None:
    """Catches: an answer that changes its inputs; a change that reaches the next case."""
    inputs = {"values": [{"rows": [1, 2, 3], "tensor": torch.zeros(1, 2)}]}
    before = repr(inputs)
    assert call(spoil, inputs)[CHANGED].tolist() == ["values"]
    assert repr(inputs) == before
    assert call(lambda values: len(values), inputs)[CHANGED].size == 0


def test_a_changed_input_is_wrong_even_where_the_result_is_right() -> None:
    """Catches: points for an operation in place that spoils the caller's tensor."""
    inputs = {"x": torch.ones(2)}
    right = call(lambda x: x + 1, inputs)
    assert diagnose([Case(inputs, right)], [call(lambda x: x.add_(1), inputs)]) == (
        "the call changed its inputs (x): make new tensors instead",
        0,
    )


@pytest.mark.parametrize(
    ("inputs", "spoil", "instead"),
    [
        ({"x": [1]}, lambda x: x.append(2), "(x): make a new list instead"),
        ({"x": {"a": 1}}, lambda x: x.clear(), "(x): make a new dict instead"),
        ({"x": [1], "y": torch.ones(1)}, lambda x, y: [x.pop(), y.add_(1)], "(x, y): make a new list and new tensors instead"),
    ],
)  # fmt: skip
def test_what_to_make_instead_is_of_the_kind_that_was_changed(
    inputs: dict[str, Any], spoil: Callable[..., Any], instead: str
) -> None:
    """Catches: "make new tensors" for a list."""
    got = call(lambda **given: [spoil(**given), 1][1], inputs)
    assert diagnose([Case(inputs, call(lambda **given: 1, inputs))], [got]) == (
        f"the call changed its inputs {instead}",
        0,
    )


def test_no_gradient_and_a_gradient_of_zeros_are_told_apart() -> None:
    """Catches: a stop-gradient that is taken for a weight of zero."""
    inputs = {"x": torch.ones(2), "y": torch.ones(2)}
    stopped = ADAPTERS["gradients"](lambda x, y: (x * y.detach()).sum(), inputs)
    zeros = ADAPTERS["gradients"](lambda x, y: (x + 0 * y).sum(), inputs)
    assert stopped["gradient of y"].shape == (0,)
    assert zeros["gradient of y"].tolist() == [0, 0]
    with pytest.raises(TypeError, match=r"expected one number, a tensor of shape \[\], and got \[2\]"):
        ADAPTERS["gradients"](lambda x, y: x, inputs)
    with pytest.raises(TypeError, match=r"and got float: leave out .item\(\) and float\(\)"):
        ADAPTERS["gradients"](lambda x, y: (x * y).sum().item(), inputs)


@pytest.mark.parametrize(
    "value", [object(), lambda: 0, {1, 2}, b"bytes", None, [object()], {"a": [None]}, torch.ones(2) * 1j, 2**70]
)
def test_what_is_no_number_and_no_text_is_refused_in_words(value: Any) -> None:
    """Catches: a crash of the check itself, for something that nobody expected."""
    exercise = ExerciseCases("f", "call", (), (Case({}, result(1)),))
    with pytest.raises(CheckFailed, match="expected numbers"):
        require_right(exercise, lambda: value)


def test_unknown_names_are_refused_with_what_there_is() -> None:
    """Catches: a KeyError for a check cell that was edited."""
    with pytest.raises(ValueError, match="unknown assignment 'hw9'; choose from hw1, hw2, hw3, hw4"):
        check("hw9", "cut", abs)
    with pytest.raises(ValueError, match="hw1 has no exercise 'cutt'; choose from grid_shape, coverage"):
        check("hw1", "cutt", abs)


# --- minivjepa check ---


def hand_in(path: Path, assignment: str, answers: dict[str, str]) -> Path:
    """The student's notebook with some answers written."""
    notebook = nbformat.read(FOLDER / f"{assignment}.ipynb", as_version=4)
    for name, code in answers.items():
        cells_by_id(notebook)[name].source = code
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which a pytest can be started from a test."""
    for name in [name for name in os.environ if name.startswith(("PYTEST_", "COV_"))]:
        monkeypatch.delenv(name)


def test_what_grading_would_stop_for_its_time_is_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a function that is right at home, and has no points because grading does not wait for it."""
    cases = ExerciseCases("f", "call", (), (Case({"x": 1.0}, call(lambda x: 2 * x, {"x": 1.0})),))
    monkeypatch.setattr("minivjepa_course.homework.checking.load_cases", lambda assignment, exercise: cases)
    check("hw1", "f", lambda x: 2 * x)
    run_step(new_space(), 1, "a = 1")
    for module in ("checking", "selfcheck"):
        monkeypatch.setattr(f"minivjepa_course.homework.{module}.SECONDS", 0.0)
    with pytest.raises(CheckFailed, match="f: a call took 0 s, and grading stops a call after"):
        check("hw1", "f", lambda x: 2 * x)
    with pytest.raises(CheckFailed, match="took 0 s: grading leaves out a cell"):
        run_step(new_space(), 1, "a = 1")


@pytest.mark.slow
@pytest.mark.usefixtures("clean")
@needs_teacher
def test_check_says_what_is_right_and_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a command that passes a known mistake, or hides it in a traceback."""
    message, wrong = exercises("hw1")["cut"].mistakes[0]
    answers = {"grid_shape": reference_code("hw1")["grid_shape"], "cut": wrong, "positions": "def positions(:"}
    assert command("check", str(hand_in(tmp_path / "mine.ipynb", "hw1", answers))) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mine.ipynb: 1 of 8 exercises are right in all visible cases"
    assert lines[1].split() == ["✓", "grid_shape", "right"]
    assert any(re.fullmatch(rf"  ✗ cut +{re.escape(message)}", line) for line in lines)
    assert any(
        re.match(r"  ✗ positions +stopped with SyntaxError.*; at the line: def positions\(:", line) for line in lines
    )
    assert sum(line.endswith("not written yet") for line in lines) == 5
    assert "Traceback" not in "".join(lines)


@pytest.mark.slow
@pytest.mark.usefixtures("clean")
@needs_teacher
def test_check_passes_the_solutions(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: an answer key that the course's own command rejects."""
    assert command("check", str(TEACHER / "solutions" / "hw1.ipynb")) == 0
    assert "hw1.ipynb: 8 of 8 exercises are right in all visible cases" in capsys.readouterr().out


def test_check_refuses_what_is_no_homework(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a traceback, or no advice, for a wrong file."""
    (tmp_path / "text.ipynb").write_text("my answers", encoding="utf-8")
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "empty.ipynb")
    assert "is not a notebook that Jupyter can open" in refused(capsys, "check", str(tmp_path / "text.ipynb"))
    assert "is not homework of this course" in refused(capsys, "check", str(tmp_path / "empty.ipynb"))
    assert "missing.ipynb: No such file or directory; choose a path that can be read" in refused(
        capsys, "check", str(tmp_path / "missing.ipynb")
    )
    assert "no notebook is given" in refused(capsys, "check")


def test_check_without_nbval_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a traceback where the notebooks extra is not installed."""
    monkeypatch.setattr("minivjepa_course.homework.selfcheck.importlib.util.find_spec", lambda name: None)
    assert "pip install 'minivjepa[notebooks]'" in refused(capsys, "check", str(FOLDER / "hw1.ipynb"))


@pytest.mark.slow
@pytest.mark.usefixtures("clean")
def test_a_kernel_that_does_not_start_makes_no_answer_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: an exercise counted as right because its check never ran."""
    (tmp_path / "ipykernel_launcher.py").write_text("raise SystemExit(1)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "nbval could not run" in refused(capsys, "check", str(FOLDER / "hw1.ipynb"))


@pytest.mark.parametrize("stream", ["shell", "iopub"])
def test_a_kernel_that_died_is_not_waited_for(stream: str) -> None:
    """Catches: a student whose cell ends Python looks at a still screen until the cell's 120 seconds are up."""
    kernel, waited = object.__new__(WatchedKernel), []

    def nothing(timeout: float) -> None:
        waited.append(timeout)
        raise Empty

    kernel.km = MagicMock(**{"is_alive.side_effect": [True, True, False]})
    kernel.kc = MagicMock(get_shell_msg=nothing, get_iopub_msg=nothing)
    with pytest.raises(Empty):
        kernel.get_message(stream, timeout=120)
    assert waited == [1.0] * 3


@pytest.mark.slow
@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("ends", ["import os; os._exit(0)", "while True: pass"])
def test_what_did_not_run_is_not_right(
    ends: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: nbval leaves out the cells after one that ended the kernel, and each of them was called right."""
    monkeypatch.setattr("minivjepa_course.homework.selfcheck.CELL_SECONDS", 30)
    file = hand_in(tmp_path / "mine.ipynb", "hw1", {"grid_shape": ends})
    assert command("check", str(file)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "0 of 8 exercises are right" in lines[0]
    assert lines[1].split(maxsplit=2) == ["✗", "grid_shape", "ended Python, or took too long"]
    assert sum(line.endswith("not written yet") for line in lines) == 7


@pytest.mark.parametrize(
    ("traceback", "message"),
    [
        ("\x1b[31mCheckFailed\x1b[0m: cut: the order\n  case 1\n\nmore", "cut: the order\n  case 1"),
        ("x\nNameError: name 'cut' is not defined\n\n", "NameError: name 'cut' is not defined"),
        ("", "failed"),
    ],
)
def test_the_message_is_found_in_a_traceback(traceback: str, message: str) -> None:
    """Catches: colors, or a traceback, in what a student reads."""
    cell = ElementTree.Element("testcase")
    ElementTree.SubElement(cell, "failure").text = traceback
    assert message_of(cell) == message


@pytest.mark.slow
@pytest.mark.usefixtures("clean")
def test_nbval_fails_an_empty_homework_at_its_checks_alone(tmp_path: Path) -> None:
    """Catches: a given cell that stops; a check that passes before anything is written."""
    pytest.importorskip("nbval")
    file, report = ROOT / "notebooks" / "homework" / "hw1.ipynb", tmp_path / "report.xml"
    words = ["--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, f"--junitxml={report}", str(file)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout[-2000:]
    code = [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    assert [case.find("failure") is not None for case in cases] == [is_check(cell) for cell in code]


def test_stored_cases_are_read_as_they_were_written() -> None:
    """Catches: an adapter that does not exist, or a case without an expected value."""
    for assignment in assignments():
        for name, held in json.loads((FOLDER / f"{assignment}.json").read_text(encoding="utf-8")).items():
            exercise = cases_from_json(name, held)
            assert exercise.adapter in ADAPTERS
            assert all(case.expected and CHANGED in case.expected for case in exercise.cases)


def test_the_picture_shows_what_the_check_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a picture with another tolerance than the check's; an error in place of the message for a table of text."""
    shell = type("ZMQInteractiveShell", (MagicMock,), {})  # as in Jupyter
    monkeypatch.setattr(pytest.importorskip("IPython"), "get_ipython", shell)
    shown: list[Picture] = []
    monkeypatch.setattr("minivjepa_course.lesson.show", shown.append)
    right = np.ones((2, 3))
    near = right + np.array([[1e-4, 0, 0], [5e-5, 1, 1e-7]])  # only one of them is wrong for the check
    draw_side_by_side({"result": right}, {"result": near})
    assert "in 1 places" in shown[0].alt
    draw_side_by_side({"result": right.astype(int)}, {"result": right})
    draw_side_by_side({"result": right.astype(str)}, {"result": near.astype(str)})
    assert len(shown) == 1
