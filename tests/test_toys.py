"""The toys of lessons 2, 5, 7 and 12: what they claim holds, and each is one page that needs no network."""

import base64
import json
import re
from html import unescape
from pathlib import Path

import pytest
import torch

pytest.importorskip("matplotlib", reason="the figures extra is not installed")

from minivjepa.masking import draw_blocks
from minivjepa.tubelets import Grid
from minivjepa.world.rooms import Rooms
from minivjepa_course import toys

ROOT = Path(__file__).parents[1]
TOYS = ROOT / "minivjepa_course" / "toys"
PAGES = sorted(path for path in TOYS.glob("*.html") if path.stem != "collapse")  # it has tests of its own: test_page.py
WITHIN = {
    "02_masks": "painter",
    "05_objective": "dots",
    "07_ablations": "hills",
    "12_goals": "plans",
}  # lesson -> the toy in it
PATCHES = Grid(frames=16, height=56, width=56, tubelet=2, patch=4)


def simulated(momentum: float, stop: bool, steps: int) -> tuple[float, float, float]:
    """What the dots do, with gradients from torch: |a - b| of student and teacher as shares of the start, and the loss."""
    start = torch.tensor([[-0.55, 0.3], [0.45, -0.2]], dtype=torch.float64)  # clips A and B
    student, teacher = start.clone().requires_grad_(), start.clone().requires_grad_()
    slope = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    shift = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        target = student if momentum == 0 else teacher
        target = target.detach() if stop else target
        said = slope * student + shift
        own, other = ((said - target) ** 2).sum(dim=1), ((said.flip(0) - target) ** 2).sum(dim=1)
        return (0.85 * own + 0.15 * other).mean()

    trained = [student, slope, shift] + ([teacher] if momentum > 0 and not stop else [])
    for _ in range(steps):
        gradients = torch.autograd.grad(loss(), trained)
        with torch.no_grad():
            for value, gradient in zip(trained, gradients):
                value -= 0.1 * gradient
            teacher.copy_(momentum * teacher + (1 - momentum) * student)
    apart = [float((dots[0] - dots[1]).detach().norm() / (start[0] - start[1]).norm()) for dots in (student, teacher)]
    return apart[0], apart[1], float(loss().detach())


@pytest.mark.parametrize("momentum", [0, 0.5, 0.9, 0.99, 0.996, 0.999, 1])
def test_the_students_dots_meet_only_if_stop_and_average_are_both_gone(momentum: float) -> None:
    """Catches: a lesson that promises what its own model does not do."""
    student, _, _ = simulated(momentum, True, 600)
    assert student > 1
    student, teacher, loss = simulated(momentum, False, 600)
    if momentum == 0:
        assert student < 0.001
        assert loss < 0.001
    else:
        assert student > 0.9
    if momentum >= 0.99:
        assert teacher < 0.2  # the rings close in
        assert loss < 0.01


def walked(w: float, e: float, stop: bool, steps: int) -> tuple[float, float]:
    """Where a walk along the arrows is after some steps, with gradients from torch."""
    place = torch.tensor([w, e], dtype=torch.float64)
    for _ in range(steps):
        place.requires_grad_()
        target = place[1].detach() if stop else place[1]
        [gradient] = torch.autograd.grad((place[0] * place[1] - target) ** 2 / 2, place)
        place = (place - 0.03 * gradient).detach()
    return float(place[0]), float(place[1])


@pytest.mark.parametrize("start", [(0.5, 1.0), (0.5, 0.1), (-0.5, 1.5), (2.0, 0.5), (0.9, 0.5)])
def test_walks_end_where_what_they_keep_says(start: tuple[float, float]) -> None:
    """Catches: a lesson whose formula for the end of a walk is wrong."""
    (w, e), (plain_w, plain_e) = (walked(*start, stop, 2500) for stop in (True, False))
    assert e**2 - w**2 == pytest.approx(start[1] ** 2 - start[0] ** 2, abs=0.1)
    assert plain_e**2 - (1 - plain_w) ** 2 == pytest.approx(start[1] ** 2 - (1 - start[0]) ** 2, abs=0.1)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_toy_is_one_short_page_that_fetches_nothing(path: Path) -> None:
    """Catches: a library from the network, text that is too small to read, a page that grows."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    assert not re.search(r'https?://(?!www\.w3\.org/2000/svg)|src="|@import|fetch\(', text)
    assert (
        min(
            float(size)
            for size in re.findall(r"(\d+)px (?:system-ui|/)|font-size: (\d+)px", text)
            for size in size
            if size
        )
        >= 14
    )
    assert "prefers-color-scheme: dark" in text


def test_every_toy_has_a_lesson() -> None:
    """Catches: a page that nothing shows."""
    assert sorted(WITHIN.values()) == [path.stem for path in PAGES]


@pytest.mark.parametrize("lesson", [*WITHIN, "00_start_here", "06_collapse"])  # the last two hold the Collapse Page
def test_a_stored_lesson_holds_its_toy_with_words_for_where_scripts_do_not_run(lesson: str) -> None:
    """Catches: a page that GitHub or a screen reader shows as nothing; a script that could reach the notebook around it."""
    nbformat = pytest.importorskip("nbformat")
    cells = nbformat.read(ROOT / "notebooks" / f"{lesson}.ipynb", as_version=4).cells
    outputs = [cell.outputs for cell in cells if cell.cell_type == "code"]
    found = [each for each in outputs if any("<iframe" in str(o.get("data")) for o in each)]
    assert found
    for toy, caption in found:
        frame, alt = toy.data["text/html"], toy.data["text/plain"]
        assert 'sandbox="allow-scripts"' in frame
        assert len(alt) >= 40
        assert unescape(frame).count(alt) == 2  # as its title, and in place of the frame
        assert len(caption.data["text/markdown"]) >= 40
        assert len(frame) < 150_000


def test_the_painters_data_are_the_packages_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: samples that are not the sampler's, a script that ends where its data say so."""
    kept: dict[str, object] = {}
    monkeypatch.setattr(toys, "toy", lambda name, height, alt, caption, data: kept.update(data))
    masks = draw_blocks(PATCHES, 8, 0.15, seed=0, step=3, index=torch.arange(6), attempt=0)
    toys.mask_painter(PATCHES, 4, {"short": masks})
    [held] = re.findall(r'<script id="data" type="application/json">(.*?)</script>', toys.page("painter", kept))
    data = json.loads(held)
    assert data["shape"] == [8, 14, 14]
    for ids, mask in zip(data["samples"]["short"], masks, strict=True):
        assert ids == [patch for patch in range(196) if mask[patch]]


def test_the_planners_latents_lie_where_the_robot_was_and_keep_their_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: rows and columns exchanged, a table of another world, numbers rounded until distances are gone."""
    kept: dict[str, object] = {}
    monkeypatch.setattr(toys, "toy", lambda name, height, alt, caption, data: kept.update(data))
    rooms = Rooms()
    spots = toys.places(rooms)
    z = torch.stack([5 * spots[:, 0], spots[:, 1] - 0.5], dim=1)  # made by hand: a latent is a place
    toys.watched_plans(rooms, 0.08, {"by hand": z})
    [held] = re.findall(r'<script id="data" type="application/json">(.*?)</script>', toys.page("plans", kept))
    data = json.loads(held)
    side, width = data["world"]["side"], data["world"]["width"]
    whole = torch.frombuffer(bytearray(base64.b64decode(data["views"][0]["latents"])), dtype=torch.int8)
    table = whole.view(side, side, width).float() * float(z.abs().max()) / 127
    assert table[-1, 0].tolist() == pytest.approx([5 * (1 - rooms.robot), rooms.robot - 0.5], abs=0.02)
    assert torch.allclose(table.flatten(0, 1), z, atol=0.02)
