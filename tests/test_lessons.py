"""The notebooks are what their text says, prove their claims, and can be read without a kernel."""

import base64
import io
import json
import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import Tensor

from minivjepa.collapse import position_std
from minivjepa.ema import ema_update
from minivjepa.encoder import Encoder
from minivjepa.objective import sigreg
from minivjepa.training.config import Config
from minivjepa.training.recipe import schedule
from minivjepa.tubelets import Grid, gather_tokens
from minivjepa.vjepa import VJEPA
from minivjepa.world.frozen_model import FrozenWorldModel

nbformat = pytest.importorskip("nbformat", reason="the notebooks extra is not installed")
pytest.importorskip("jupytext")

FOLDER = Path(__file__).parents[1] / "notebooks"
BUILD = runpy.run_path(str(FOLDER / "build.py"), run_name="build")
LESSONS = BUILD["sources"]()
MARK = "# NBVAL_CHECK_OUTPUT"
imagine = FrozenWorldModel.imagine  # as it is before a test breaks it
# the lesson that must prove each claim of the course
CLAIMS = {
    "T1": "01", "T2": "01", "T3": "02", "M1": "02", "M2": "02", "M3": "02", "C1": "03", "C2": "03", "P1": "04", "P2": "04", "P3": "04", "P4": "04",
    "O1": "05", "O4": "05", "O2": "06", "O6": "06", "O9": "06", "O3": "07", "O5a": "07", "O5b": "07", "L1": "07", "L2": "07", "O7a": "09", "O7b": "12", "O8": "11",
}  # fmt: skip


def built(source: Path) -> "nbformat.NotebookNode":
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_a_notebook_is_what_its_text_says(lesson: Path) -> None:
    """Catches: a text that was changed without `make notebooks`, or a notebook that was edited by hand."""
    text, notebook = BUILD["reading"](lesson), built(lesson)
    nbformat.validate(notebook)
    assert [(c.cell_type, c.source, c.id, c.metadata) for c in notebook.cells] == [
        (c.cell_type, c.source, c.id, c.metadata) for c in text.cells
    ]


def test_every_cell_ran_in_order_and_without_an_error(lesson: Path) -> None:
    """Catches: a notebook saved half-way; nbval skips a cell that has no count."""
    code = [cell for cell in built(lesson).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        assert all(output.output_type != "error" for output in cell.outputs)
        assert all(output.get("name") != "stderr" for output in cell.outputs), cell.source


def test_code_that_a_lesson_prints_is_the_packages() -> None:
    """Catches: a lesson that wasn't built again after the code it shows had changed."""
    code = [path.read_text(encoding="utf-8") for path in (FOLDER.parent / "minivjepa").rglob("*.py")]
    shown = [
        output.text.strip("\n")
        for lesson in LESSONS
        for cell in built(lesson).cells
        if cell.source.startswith("print(inspect.getsource(")
        for output in cell.outputs
    ]
    assert len(shown) == 3
    assert all(any(text in file for file in code) for text in shown)


def test_checked_cells_are_marked_exactly_and_print_what_is_the_same_everywhere(lesson: Path) -> None:
    """Catches: text behind the marker, which turns the check off; a float, which another machine prints differently."""
    marked = 0
    for cell in built(lesson).cells:
        if "NBVAL" in cell.source:
            assert cell.source.splitlines()[0] == MARK
            assert cell.source.count("NBVAL") == 1
            assert cell.outputs, cell.source
            for output in cell.outputs:
                assert output.output_type == "stream", cell.source
            assert "check(" in cell.source or "assert " in cell.source, "a marked cell must be able to fail by itself"
            marked += 1
        elif cell.cell_type == "code":
            assert "check(" not in cell.source.replace("def check(", ""), cell.source
    assert marked >= 2


def test_pictures_have_alt_text_and_a_caption_below(lesson: Path) -> None:
    """Catches: a figure that some people cannot see, and nobody can understand without the code."""
    for cell in built(lesson).cells:
        outputs = cell.get("outputs", [])
        for number, output in enumerate(outputs):
            for kind in {"image/png", "image/gif"} & output.get("data", {}).keys():
                assert len(output.metadata[kind]["alt"]) >= 40
                assert len(outputs[number + 1].data["text/markdown"]) >= 40


def attached(notebook: "nbformat.NotebookNode") -> dict[str, bytes]:
    """The pictures that stand in a notebook's text: cell and name -> file."""
    return {
        f"{cell.id} {name}": base64.b64decode(data)
        for cell in notebook.cells
        for name, held in cell.get("attachments", {}).items()
        for data in held.values()
    }


def pixels(file: bytes) -> np.ndarray:
    """All frames of a picture, uint8 [T, H, W, 3]."""
    image = pytest.importorskip("PIL.Image")
    sequence = pytest.importorskip("PIL.ImageSequence")
    with image.open(io.BytesIO(file)) as opened:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in sequence.Iterator(opened)])


def test_pictures_in_the_text_are_in_both_editions(lesson: Path) -> None:
    """Catches: a picture that was changed without `make notebooks`, is missing without a kernel, or is heavy; one without alt text."""
    text = attached(BUILD["reading"](lesson))
    alts = re.findall(r"!\[([^\]]*)\]\(attachment:", lesson.read_text(encoding="utf-8"))
    assert len(alts) == len(text)
    assert all(len(alt) >= 40 for alt in alts)
    for stored in (built(lesson), nbformat.read(BUILD["LEARNERS"] / f"{lesson.stem}.ipynb", as_version=4)):
        found = attached(stored)
        assert found.keys() == text.keys()
        for name, file in found.items():
            assert len(file) < 300e3
            mine, made = pixels(file).astype(int), pixels(text[name])
            assert mine.shape == made.shape
            assert np.abs(mine - made).mean() < 8, name  # another matplotlib draws letters a little differently


def test_every_lesson_says_where_in_the_diagram_it_is(lesson: Path) -> None:
    """Catches: a lesson with another lesson's diagram, or with none; alt text that says something else."""
    from minivjepa_course.pictures.component_diagram import you_are_here

    number = lesson.stem[:2]
    assert f"![{you_are_here(number).alt}](attachment:here-{number}.png)" in lesson.read_text(encoding="utf-8")


def test_no_state_of_widgets_and_no_timings_are_stored(lesson: Path) -> None:
    """Catches: what breaks the page on hosting sites, or changes with every build."""
    notebook = built(lesson)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert all(cell.metadata in ({}, {"jupyter": {"source_hidden": True}}) for cell in notebook.cells)
    assert "widget-view" not in lesson.with_suffix(".ipynb").read_text()
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


def test_a_lesson_has_its_anatomy(lesson: Path) -> None:
    """Catches: a lesson without a goal, a prediction, something to break, or questions."""
    text = lesson.read_text()
    for part in ("**At the end you can explain**", "*", "## Break it", "**In the package:**"):
        assert part in text, part
    assert len(re.findall(r"^my_\w+ = None$|^guess\(", text, re.M)) >= 2
    assert text.count("<details><summary>") == text.count("</details>")
    assert re.findall(r"<details><summary>(\d)\.", text) == ["1", "2", "3"]
    assert re.search(r"\*\d+ minutes", text)


def test_every_claim_is_checked_in_its_lesson_and_nowhere_else() -> None:
    """Catches: a claim of the course that no cell computes."""
    found: dict[str, set[str]] = {}
    for path in LESSONS:
        for claim in re.findall(r'check\(\s*"([A-Z]\d[ab]?)', path.read_text()):
            found.setdefault(claim, set()).add(path.stem[:2])
    assert found == {claim: {where} for claim, where in CLAIMS.items()}


def test_lessons_begin_with_one_and_the_same_cell_that_does_nothing_here() -> None:
    """Catches: a lesson that cannot fetch the course on Colab, or one that fetches it where it is installed."""
    cells = {next(cell.source for cell in BUILD["read"](path).cells if cell.cell_type == "code") for path in LESSONS}
    assert len(cells) == 1
    [cell] = cells
    exec(cell, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(ImportError, match="make lab"):
            exec(cell, {})


def test_the_syllabus_says_what_the_lessons_say() -> None:
    """Catches: a lesson that became longer, or a list that forgot one."""
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    minutes = {
        path.stem: int(re.findall(r"^# \*(\d+) minutes", path.read_text(encoding="utf-8"), re.M)[0]) for path in LESSONS
    }
    listed = {stem: int(number) for stem, number in re.findall(r"\((\d\d_\w+)\.ipynb\) \|[^|]*\| (\d+),", page)}
    assert listed == minutes
    assert "Eight hours" in page
    assert abs(sum(minutes.values()) - 8 * 60) <= 15


def test_links_in_lessons_resolve(lesson: Path) -> None:
    """Catches: a module or a lesson that was renamed."""
    root = FOLDER.parent
    for name in re.findall(r"`(minivjepa/[\w/]+\.py)`", lesson.read_text()):
        assert (root / name).exists(), name


@pytest.mark.parametrize(
    ("values", "says"),
    [({"side": 64, "patch": 8}, "64 x 64 pixels"), ({"side": 64, "patch": 48}, "a tubelet of 48 does not divide")],
)
def test_a_slider_draws_again_and_says_what_cannot_be_drawn(values: dict[str, int], says: str) -> None:
    """Catches: a dead slider; a traceback where a size does not fit."""
    pytest.importorskip("ipywidgets")
    from minivjepa.figures.film_strips import cut_up
    from minivjepa.tubelets import Grid
    from minivjepa_course.widgets import explore

    view = explore(lambda side, patch: cut_up(Grid(4, side, side, 2, patch)), {"side": [32, 64], "patch": [8, 16, 48]})
    shown: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minivjepa_course.widgets.show", lambda picture: shown.append(picture.caption))
        patch.setattr("minivjepa_course.widgets.print", lambda error: shown.append(str(error)), raising=False)
        for child in view.children[:-1]:
            child.value = values[child.description]
        view.update()
    assert says in shown[-1]


def test_arrows_point_where_tokens_say_that_the_digit_moves() -> None:
    """Catches: arrows upside down, since frames count rows from the top; an arrow on another token; a wrong answer counted as right."""
    from minivjepa_course.pictures.probe_pictures import token_arrows

    answers = np.array([[[2, 6], [0, 2]]])  # down, up; right, down
    picture = token_arrows(np.zeros((1, 8, 8, 3)), {"made by hand": answers}, truth=2)
    [ax] = picture.figure.axes
    [arrows] = ax.collections
    assert ax.get_ylim() == (1, 0)
    assert arrows.angles == "xy"  # along the axes as they are, so a positive V points down
    np.testing.assert_allclose(arrows.V, [1, -1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(arrows.XY, [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)])
    assert "moves down" in picture.caption
    assert "made by hand 2 of 4" in picture.caption


def run_until(stem: str, claim: str) -> None:
    """Execute a lesson's code up to and including the cell that checks a claim, pictures left out."""
    space: dict[str, object] = {"__name__": "lesson"}
    for cell in BUILD["read"](FOLDER / f"{stem}.py").cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, stem, "exec"), space)
            if f'check("{claim}"' in cell.source or (MARK in cell.source and claim in cell.source):
                return
    raise AssertionError(f"{stem} has no check of {claim}")


def transposed(clip: Tensor, grid: Grid) -> Tensor:
    return rearrange(
        clip,
        "B C (t dt) (h dh) (w dw) -> B (t w h) (C dt dh dw)",
        dt=grid.tubelet, dh=grid.patch, dw=grid.patch,
    )  # fmt: skip


def leaking(self: Encoder, clip: Tensor, ids: Tensor | None = None) -> Tensor:
    x = self.embed(clip, None)
    for block in self.blocks:
        x = block(x)
    return self.norm(x) if ids is None else gather_tokens(self.norm(x), ids)


def swapped(target: torch.nn.Module, online: torch.nn.Module, momentum: float) -> None:
    ema_update(target, online, 1 - momentum)


def undetached(self: VJEPA, clip: Tensor) -> Tensor:
    assert self.target_encoder is not None
    return self.target_encoder.requires_grad_(True)(clip)


def blind(h: Tensor) -> float:
    return position_std(h)


def unmixed(x: Tensor, angles: Tensor) -> Tensor:
    return torch.cat([x[..., : angles.shape[-1]] * angles.cos()[:, None], x[..., angles.shape[-1] :]], dim=-1)


def late(config: Config, step: int) -> tuple[float, float, float]:
    return schedule(config, step + 1)


def without_n(z: Tensor, directions: Tensor) -> Tensor:
    return sigreg(z, directions) / z.shape[-2]


def unmoved(self: FrozenWorldModel, z: Tensor, actions: Tensor) -> Tensor:
    return imagine(self, z, torch.zeros_like(actions))


TRUTHS = {
    "the grid transposed": ("minivjepa.tubelets.patchify", transposed, "01_tubelets", "your loop is not right yet"),
    "hidden pixels leaked": ("minivjepa.encoder.Encoder.forward", leaking, "04_components", "P1"),
    "the detach dropped": ("minivjepa.vjepa.VJEPA.targets", undetached, "04_components", "P3"),
    "the momentum swapped": ("minivjepa.ema.ema_update", swapped, "05_objective", "O4"),
    "the trainer a step late": ("minivjepa.training.recipe.schedule", late, "08_train", '"the loop"'),
    "queries and keys not turned": ("minivjepa.rotary.rotate", unmixed, "10_released", '"rotary"'),
    "SIGReg without its factor": ("minivjepa.objective.sigreg", without_n, "11_one_term", "flat and grows"),
    "actions ignored": ("minivjepa.world.frozen_model.FrozenWorldModel.imagine", unmoved, "12_goals", "O7b actions"),
    "collapse read within clips": ("minivjepa.collapse.feature_std", blind, "06_collapse", "assert low =="),
}


@pytest.mark.slow
@pytest.mark.parametrize("truth", TRUTHS)
def test_a_lesson_notices_when_the_truth_changes(truth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a check cell that passes whatever the package does."""
    where, wrong, stem, claim = TRUTHS[truth]
    monkeypatch.chdir(FOLDER)
    for shown in ("show", "play"):
        monkeypatch.setattr(f"minivjepa_course.lesson.{shown}", lambda picture: None)
    monkeypatch.setattr("minivjepa_course.widgets.explore", lambda draw, sliders: None)
    run_until(stem, claim)  # it passes as long as nothing is changed
    monkeypatch.setattr(where, wrong)
    with pytest.raises(AssertionError):
        run_until(stem, claim)


@pytest.mark.parametrize(
    ("claim", "other", "cells"),
    [("O5a", "neither", []), ("L2", "frozen", ["fresh = ", "long = "]), ("L1", "pixels", ["pixels = {"])],
)
def test_the_lesson_on_ablations_notices_results_that_say_something_else(
    claim: str, other: str, cells: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a verdict on the arms that does not depend on the numbers."""
    monkeypatch.chdir(FOLDER)
    code = [cell.source for cell in BUILD["read"](FOLDER / "07_ablations.py").cells if cell.cell_type == "code"]
    marks = ("import json", "def paired_verdict(", "FATES = ", "def load(", "def fate(", *cells, f'"{claim}",')
    chosen = [next(cell for cell in code if mark in cell) for mark in marks]
    monkeypatch.setattr("minivjepa_course.lesson.show", lambda picture: None)
    exec("\n".join(chosen), {})  # it passes on the stored results
    read = json.loads

    def exchanged(text: str) -> Any:
        results = read(text)
        if "arms" in results and {"vjepa", other} <= results["arms"].keys():
            results["arms"]["vjepa"], results["arms"][other] = results["arms"][other], results["arms"]["vjepa"]
        return results

    monkeypatch.setattr("json.loads", exchanged)
    with pytest.raises(AssertionError, match=f"{claim} does not hold"):
        exec("\n".join(chosen), {})
