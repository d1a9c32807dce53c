"""Two editions of every lesson from one text; exercises that name mistakes; predictions; and a folder of the learner's own."""

import json
import math
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="the notebooks extra is not installed")
pytest.importorskip("jupytext")

from assignment import TEACHER, function_of, load  # noqa: E402
from lessons import GIVEN, answers, cases_text  # noqa: E402

from minivjepa_course.commands import lab as command  # noqa: E402
from minivjepa_course.homework.checking import YourTurn, attempt, solution  # noqa: E402
from minivjepa_course.predictions import REVEAL, Predictions, feedback  # noqa: E402
from tests.test_cli import call, refused  # noqa: E402

BUILD = runpy.run_path(str(Path(__file__).parents[1] / "notebooks" / "build.py"), run_name="build")
LEARNERS: Path = BUILD["LEARNERS"]
LESSONS = {source.stem: source for source in BUILD["sources"]()}
WITH_EXERCISES = [folder.name.removeprefix("lesson") for folder in sorted(TEACHER.glob("lesson[0-9]*"))]
EXERCISES = [(number, exercise) for number in WITH_EXERCISES for exercise in load(f"lesson{number}")]


def alike(a: object, b: object) -> bool:
    """Whether two values from JSON are the same but for the last digits of numbers, which another processor may round."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-6) or (math.isnan(a) and math.isnan(b))
    return a == b


def source_of(number: str) -> Path:
    return next(path for stem, path in LESSONS.items() if stem.startswith(number))


@pytest.mark.parametrize("stem", LESSONS)
def test_the_learners_edition_is_that_of_the_text_and_answers_nothing(stem: str) -> None:
    """Catches: a text that was changed without `make notebooks`; a solution, an output or a marker that a learner sees."""
    stored = nbformat.read(LEARNERS / f"{stem}.ipynb", as_version=4)
    nbformat.validate(stored)
    text = BUILD["learners"](LESSONS[stem])
    assert [(c.source, c.id, c.metadata) for c in stored.cells] == [(c.source, c.id, c.metadata) for c in text.cells]
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    seen = "\n".join(cell.source for cell in stored.cells)
    assert "SOLUTION" not in seen
    assert "NBVAL" not in seen
    for found in BUILD["SOLUTION"].finditer("\n".join(cell.source for cell in BUILD["read"](LESSONS[stem]).cells)):
        telling = [line.strip() for line in found["code"].splitlines() if len(line.strip()) > 20]
        assert telling
        assert not any(line in seen for line in telling), telling


@pytest.mark.parametrize("number", WITH_EXERCISES)
def test_a_lesson_has_at_most_1100_words_and_a_late_one_1500(number: str) -> None:
    """Catches: a lesson that grows back into a paper."""
    cells = BUILD["read"](source_of(number)).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    plain = re.sub(r"<[^>]+>|`[^`]*`|!\[[^]]*\]\([^)]*\)|\$+[^$]*\$+", " ", prose)
    assert len([word for word in plain.split() if re.search("[a-zA-Z]", word)]) <= (1100 if number < "07" else 1500)


@pytest.mark.parametrize("number", WITH_EXERCISES)
def test_cases_and_solutions_are_those_of_the_text(number: str) -> None:
    """Catches: an exercise that was changed without `make notebooks`."""
    source = source_of(number)
    stored = json.loads((LEARNERS / f"lesson{number}.json").read_text())
    assert alike(stored, json.loads(cases_text(source, BUILD["read"](source).cells)))
    assert len(answers(BUILD["read"](source).cells)) >= 2  # each lesson has two functions to write, at least


@pytest.mark.parametrize(("number", "exercise"), EXERCISES, ids=lambda value: getattr(value, "name", value))
def test_an_exercise_takes_the_solution_and_names_each_mistake(number: str, exercise, capsys) -> None:  # type: ignore[no-untyped-def]
    """Catches: a right answer that is refused, a known mistake that passes or is called another, a stub with a traceback."""
    written = answers(BUILD["read"](source_of(number)).cells)
    attempt(number, function_of(GIVEN, "".join(written.values()), exercise.name))
    assert capsys.readouterr().out == f"{exercise.name}: right\n"
    assert len(exercise.mistakes) >= 3
    for message, code in exercise.mistakes:
        with pytest.raises(YourTurn, match=re.escape(message)):
            attempt(number, function_of(GIVEN, code, exercise.name))

    def stub(*given: object, **named: object) -> None:
        raise NotImplementedError

    stub.__name__ = exercise.name
    with pytest.raises(YourTurn, match=f"{exercise.name} is not written yet") as refusal:
        attempt(number, stub)
    assert refusal.value._render_traceback_() == [f"{exercise.name} is not written yet"]
    solution(number, exercise.name)
    assert capsys.readouterr().out.strip() == written[exercise.name].strip()


@pytest.mark.parametrize(
    ("number", "name", "code", "got"),
    [
        ("02", "tube", "return tuple(part.tolist() for part in right(hidden, area, steps))", "a tuple of list"),
        ("01", "place", "return right(p, width).tolist()", "a list of float"),
        ("01", "place", "return list(right(p, width))", "a list of Tensor"),
        ("01", "place", "return right(p, width).numpy()", "ndarray"),
    ],
)
def test_the_right_numbers_are_refused_where_later_cells_need_a_tensor(
    number: str, name: str, code: str, got: str
) -> None:
    """Catches: an answer called right that crashes the lesson a cell later."""
    written = answers(BUILD["read"](source_of(number)).cells)[name]
    head = written.split("\n")[0]
    other = written.replace(f"def {name}(", "def right(") + f"\n\n{head}\n    {code}\n"
    with pytest.raises(YourTurn, match=f"expected tensors and got {got};"):
        attempt(number, function_of(GIVEN, other, name))


@pytest.mark.parametrize(
    ("predicted", "measured", "says"),
    [
        (196.0, 196, "Exactly: 196."),
        (200.0, 196, "close"),
        (250.0, 196, "off by 28 %"),
        (14.0, 196, "off by 14.0x"),
        (0.0, 196, "It's 196; you said 0."),
        (-3.0, 196, "It's 196; you said -3."),
        ("left", "left", "Right: left."),
        ("left", "right", "You said left. It's right."),
    ],
)
def test_a_prediction_is_answered_in_one_line(predicted: object, measured: object, says: str) -> None:
    """Catches: a division by zero, a factor upside down, a wrong choice called right."""
    assert says in feedback(predicted, measured)


def parts(shown: list) -> tuple:  # type: ignore[type-arg]
    [box] = shown
    _, (entry, button), said = box.children[0], box.children[1].children, box.children[2]
    return entry, button, said


def test_an_answer_shows_after_a_prediction_only_and_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: an answer that is on screen at once; a second try; words where a number is asked for."""
    shown: list = []
    monkeypatch.delenv(REVEAL, raising=False)
    monkeypatch.setattr("minivjepa_course.predictions.display", shown.append)
    guess = Predictions()
    guess("how many?", 196)
    entry, button, said = parts(shown)
    assert said.value == ""
    entry.value = "many"
    button.click()
    assert said.value == "'many' isn't a number"
    entry.value = "98"
    button.click()
    assert said.value == "It's 196; you said 98: off by 2.0x."
    assert entry.disabled
    assert button.disabled
    shown.clear()
    guess("which?", "b", choices=["a", "b"])
    entry, button, said = parts(shown)
    button.click()  # nothing is chosen yet
    assert said.value == ""
    entry.value = "a"
    button.click()
    assert guess.made == {"how many?": (98.0, 196), "which?": ("a", "b")}
    shown.clear()
    guess.table()
    assert "| how many? | 98.0 | 196 |" in shown[0].data
    shown.clear()
    monkeypatch.setenv(REVEAL, "1")
    guess("how many?", 196)
    assert "196" in shown[0].data
    assert "<details>" in shown[0].data


def test_a_curve_is_sketched_with_one_slider_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a sketch that shows the answer at once, that compares the wrong places, or that can be drawn again."""
    shown: list = []
    monkeypatch.delenv(REVEAL, raising=False)
    monkeypatch.setattr("minivjepa_course.predictions.display", shown.append)
    guess = Predictions()
    guess.sketch("how does it fall?", {"early": 1.0, "middle": 0.5, "late": 0.1}, most=1)
    [box] = shown
    (*sliders, button), said, drawn = box.children[1].children, box.children[2], box.children[3]
    assert (said.value, drawn.value, drawn.layout.display) == ("", b"", "none")
    for slider, value in zip(sliders, (1.0, 0.6, 0.5)):
        slider.value = value
    button.click()
    assert said.value == "Furthest off at late: by 0.4. It's 1, 0.5, 0.1."
    assert bytes(drawn.value).startswith(b"\x89PNG")
    assert drawn.layout.display == "block"
    assert all(part.disabled for part in (*sliders, button))
    assert guess.made == {"how does it fall?": ("1, 0.6, 0.5", "1, 0.5, 0.1")}
    monkeypatch.setenv(REVEAL, "1")
    guess.sketch("how does it fall?", {"early": 1.0}, most=1)
    assert "<details>" in shown[-1].data


def test_a_prediction_waits_for_what_is_not_measured_yet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: an answer before the run, a guess that is forgotten while it runs, a reader without one who gets no answer."""
    shown: list = []
    monkeypatch.delenv(REVEAL, raising=False)
    monkeypatch.setattr("minivjepa_course.predictions.display", shown.append)
    guess = Predictions()
    guess("who wins?", choices=["a", "b"])
    guess.reveal("who wins?", "b")
    assert capsys.readouterr().out == "who wins?\n  b\n"
    entry, button, said = parts(shown)
    entry.value = "a"
    button.click()
    assert said.value == "Noted."
    guess.reveal("who wins?", "b")
    assert capsys.readouterr().out == "who wins?\n  You said a. It's b.\n"
    assert guess.made == {"who wins?": ("a", "b")}
    shown.clear()
    monkeypatch.setenv(REVEAL, "1")
    guess("who wins?", choices=["a", "b"])
    assert shown[0].data == "Predict: who wins?"


def test_work_in_a_folder_is_never_overwritten(tmp_path: Path) -> None:
    """Catches: an afternoon's work lost to a second `minivjepa lab`; an untouched lesson that stays old."""
    folder = tmp_path / "mine"
    assert command.lay_out(folder) == []
    first = folder / "notebooks" / "01_tubelets.ipynb"
    assert {path.stem for path in (folder / "notebooks").glob("*.ipynb")} == set(LESSONS)
    assert (folder / "notebooks" / "homework" / "hw1.ipynb").exists()
    assert (folder / "results" / "matrix.json").exists()
    first.write_text(first.read_text() + "\n")  # work in it
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert command.lay_out(folder) == []
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    laid = json.loads((folder / command.LAID).read_text())
    untouched = folder / "notebooks" / "02_masks.ipynb"
    untouched.write_text("an older edition")
    laid |= {"notebooks/02_masks.ipynb": command.digest(b"an older edition"), "notebooks/01_tubelets.ipynb": "another"}
    (folder / command.LAID).write_text(json.dumps(laid))
    [said] = command.lay_out(folder)
    assert "01_tubelets.ipynb has changes of yours and stays; the newer edition is 01_tubelets (new).ipynb" in said
    assert first.read_bytes() == before[first]
    assert (first.parent / "01_tubelets (new).ipynb").read_bytes() == (LEARNERS / first.name).read_bytes()
    assert untouched.read_bytes() == (LEARNERS / untouched.name).read_bytes()
    second = first.parent / "01_tubelets (new).ipynb"
    second.write_text("work in the new one")
    laid = json.loads((folder / command.LAID).read_text()) | {"notebooks/01_tubelets.ipynb": "another"}
    (folder / command.LAID).write_text(json.dumps(laid))
    [said] = command.lay_out(folder)
    assert "01_tubelets (new 2).ipynb" in said
    assert second.read_text() == "work in the new one"


def test_lab_opens_the_first_lesson_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a lab that opens nothing, or that fills a folder before it finds that it cannot."""
    ran: list[list[str]] = []

    class Done:
        returncode = 0

    monkeypatch.setattr("subprocess.run", lambda words: ran.append(words) or Done)
    assert call("lab", "--folder", str(tmp_path / "mine"), "--no-browser", "--", "--port", "9000") == 0
    first = tmp_path / "mine" / "notebooks" / "00_start_here.ipynb"
    assert ran[0][1:] == ["-m", "jupyterlab", str(first), "--no-browser", "--port", "9000"]
    (tmp_path / "file").write_text("")
    assert "is a file; give a folder, or a new name" in refused(capsys, "lab", "--folder", str(tmp_path / "file"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'minivjepa[notebooks]'" in refused(capsys, "lab", "--folder", str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a process is ended by a signal")
def test_what_pip_installs_brings_the_lessons_along(tmp_path: Path) -> None:
    """Catches: a wheel without lessons, cases or results; a lesson that needs the repository around it."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    root, wheels, site = Path(__file__).parents[1], tmp_path / "wheels", tmp_path / "site"
    subprocess.run([*pip, "wheel", str(root), "--no-deps", "--no-build-isolation", "-w", str(wheels)], check=True)
    [wheel] = wheels.iterdir()
    assert wheel.stat().st_size < 20e6
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True)
    place = tmp_path / "elsewhere"
    place.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "minivjepa", "lab", "--no-browser", "--", "--allow-root"]
    lab = subprocess.Popen(
        command, cwd=place, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert lab.stderr is not None
        assert any("is running at" in line for line in lab.stderr)  # it serves
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        lab.communicate(timeout=60)
    lessons = place / "my-course" / "notebooks"
    assert {path.stem for path in lessons.glob("*.ipynb")} == set(LESSONS)
    notebook = nbformat.read(lessons / "02_masks.ipynb", as_version=4)
    solved = {cell.id: cell.source for cell in BUILD["reading"](LESSONS["02_masks"]).cells}
    written = [cell for cell in notebook.cells if BUILD["STUB"] in cell.source]
    assert len(written) == 2
    for cell in written:  # as a learner writes
        cell.source = solved[cell.id]
    notebook.cells.insert(0, nbformat.v4.new_code_cell("import minivjepa\nprint(minivjepa.__file__)"))
    run = "import sys, nbformat, nbclient; nb = nbformat.reads(sys.stdin.read(), 4); nbclient.execute(nb, cwd=sys.argv[1]); print(nbformat.writes(nb))"
    words = [sys.executable, "-c", run, str(lessons)]
    environment[REVEAL] = "1"  # nbclient can wait for ever where an interactive view holds a picture
    done = subprocess.run(
        words,
        input=nbformat.writes(notebook),
        env=environment,
        cwd=place,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert str(site) in nbformat.reads(done.stdout, 4).cells[0].outputs[0].text
