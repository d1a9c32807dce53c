"""The toys run in a real browser without a kernel, and inside a lesson: make browser."""

from typing import TYPE_CHECKING, Any

import pytest
import torch

from minivjepa.masking import draw_blocks
from minivjepa.world.rooms import Rooms
from minivjepa_course import toys
from tests.test_toys import PATCHES, simulated, walked

from .conftest import Lab
from .test_sliders import open_and_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, FrameLocator, Page

WAIT = 120_000  # milliseconds, on a busy machine


@pytest.fixture(params=["light", "dark"])
def bare(chromium: "Browser", request: pytest.FixtureRequest) -> "Iterator[Page]":
    """A page without JupyterLab around it, as a site shows a lesson; no script on it may fail."""
    page = chromium.new_page(viewport={"width": 850, "height": 700}, color_scheme=request.param)
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    yield page
    page.close()
    assert failed == []


def displayed(monkeypatch: pytest.MonkeyPatch, page: "Page", draw: Any, *given: Any) -> "FrameLocator":
    """The frame that a toy displays, on a page."""
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", lambda part, raw=False: shown.append(part))
    draw(*given)
    page.set_content(shown[0]["text/html"])
    return page.frame_locator("iframe")


def state(frame: "FrameLocator", name: str) -> float:
    """A number that the toy says of itself."""
    return float(frame.locator("#toy").get_attribute(f"data-{name}") or "nan")


def test_patches_are_painted_by_mouse_and_keys_and_counted(bare: "Page", monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a grid that a click misses, a drag with gaps, a wrong count, a toy that needs a mouse."""
    masks = {
        name: draw_blocks(PATCHES, count, scale, seed=0, step=3, index=torch.arange(2), attempt=0)
        for name, count, scale in (("short", 8, 0.15), ("long", 2, 0.7))
    }
    frame = displayed(monkeypatch, bare, toys.mask_painter, PATCHES, 4, masks)
    frame.locator("#clear").click(timeout=WAIT)
    assert state(frame, "share") == 0
    assert state(frame, "seen") == 1568
    clip = frame.locator("#clip")
    box = clip.bounding_box()
    assert box is not None
    side = box["width"] / 14

    def over(row: int, column: int) -> tuple[float, float]:
        return box["x"] + (column + 0.5) * side, box["y"] + (row + 0.5) * side

    bare.mouse.click(*over(2, 3))
    assert state(frame, "patches") == 1
    bare.mouse.move(*over(5, 0))
    bare.mouse.down()
    bare.mouse.move(*over(5, 13))  # in one jump
    bare.mouse.up()
    assert state(frame, "patches") == 15
    assert state(frame, "tubelets") == 120
    bare.mouse.click(*over(2, 3))  # shows it again
    clip.press("ArrowRight")
    clip.press(" ")
    assert state(frame, "patches") == 15
    for name, group in masks.items():
        frame.locator("#clear").click()
        found = []
        for _ in range(3):
            frame.locator(f"#{name}").click()
            found.append(state(frame, "patches"))
        assert set(found) == set(group.sum(dim=1).tolist())
    frame.locator("#play").click()
    assert "Play" in frame.locator("#play").inner_text()


@pytest.mark.parametrize(
    ("key", "stop", "momentum", "arm"),
    [
        ("", True, 0.99, "the arm vjepa"),
        ("Home", True, 0, "the arm no-ema"),
        ("End", True, 1, "the arm frozen"),
        ("", False, 0.99, "the arm no-stopgrad"),
        ("Home", False, 0, "the arm neither"),
    ],
)
def test_the_dots_do_what_the_model_does(
    key: str, stop: bool, momentum: float, arm: str, bare: "Page", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a gradient that was written down wrong, a control that does nothing, words that name another arm."""
    frame = displayed(monkeypatch, bare, toys.dragged_dots)
    if key:
        frame.locator("#momentum").press(key, timeout=WAIT)
    frame.locator("#stop").set_checked(stop)
    assert arm in frame.locator("#arm").inner_text()
    run(bare, frame, 300)
    student, teacher, loss = simulated(momentum, stop, int(state(frame, "step")))
    assert [state(frame, name) for name in ("student", "teacher", "loss")] == pytest.approx([student, teacher, loss])
    met = "The dots met" in frame.locator("#says").inner_text()
    assert met == (arm == "the arm neither")
    frame.locator("#reset").click()
    assert state(frame, "student") == 1


def test_controls_stay_where_they_are_while_they_are_used(bare: "Page", monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a word that changes its width and pushes its neighbour away from under the mouse."""
    masks = {name: torch.ones(2, 196, dtype=torch.bool) for name in ("short", "long")}
    rooms, plans = Rooms(), {"#moment": "End", "#play": "Enter"}
    toys_and_keys: list[tuple[Any, tuple[Any, ...], dict[str, str]]] = [
        (toys.dragged_dots, (), {"#momentum": "Home", "#play": "Enter"}),
        (toys.mask_painter, (PATCHES, 4, masks), {"#clear": "Enter", "#play": "Enter"}),
        (toys.walked_hills, (), {"#stop": " ", "#clear": "Enter"}),
        (toys.watched_plans, (rooms, 0.08, {"as the crow flies": toys.places(rooms)}), plans),
    ]
    for draw, given, keys in toys_and_keys:
        frame = displayed(monkeypatch, bare, draw, *given)
        controls = frame.locator("button, input, select")
        controls.first.wait_for(timeout=WAIT)
        before = [control.bounding_box() for control in controls.all()]
        for selector, key in keys.items():
            frame.locator(selector).press(key)
            assert [control.bounding_box() for control in controls.all()] == before, (draw.__name__, selector)


def run(page: "Page", frame: "FrameLocator", steps: int) -> None:
    """Press play, and pause after that many steps."""
    frame.locator("#play").click(timeout=WAIT)
    while state(frame, "step") < steps:
        page.wait_for_timeout(50)
    frame.locator("#play").click()


def test_a_dragged_dot_moves_and_nothing_pushes_two_that_met_apart(
    bare: "Page", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a dot that a mouse or a key cannot move; a lesson that says they stay close, and they do not."""
    frame = displayed(monkeypatch, bare, toys.dragged_dots)
    frame.locator("#momentum").press("Home", timeout=WAIT)
    run(bare, frame, 300)
    first, second = (frame.locator(f"#dot-student-{clip}").bounding_box() for clip in "ab")
    assert first is not None
    assert second is not None
    bare.mouse.move(first["x"] + first["width"] / 2, first["y"] + first["height"] / 2)
    bare.mouse.down()
    bare.mouse.move(second["x"] + second["width"], second["y"] + second["height"] / 2, steps=5)
    bare.mouse.up()
    together = state(frame, "student")
    assert 0 < together < 0.3
    run(bare, frame, int(state(frame, "step")) + 300)
    assert state(frame, "student") < 0.4
    before = state(frame, "student")
    frame.locator("#dot-student-a").press("ArrowUp")
    assert state(frame, "student") != before


def test_walks_along_the_arrows_go_where_the_gradient_says(bare: "Page", monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: an update that was written down wrong, a click or a key that starts nothing, a switch without effect."""
    frame = displayed(monkeypatch, bare, toys.walked_hills)

    def arrived() -> tuple[float, float]:
        frame.locator("#toy[data-moving=false]").wait_for(timeout=WAIT)
        return state(frame, "w"), state(frame, "e")

    plane, says = frame.locator("#plane"), frame.locator("#says")
    assert arrived() == pytest.approx(walked(2, 0.5, True, int(state(frame, "steps"))))
    assert state(frame, "walks") == 3
    assert state(frame, "loop") == pytest.approx(-0.848, abs=1e-3)
    plane.press("ArrowUp")  # the cross appears at w = e = .5
    plane.press("ArrowDown")
    plane.press("ArrowDown")
    plane.press("Enter")
    assert arrived() == pytest.approx(walked(0.5, 0.4, True, int(state(frame, "steps"))))
    assert "a right prediction" in says.inner_text()
    frame.locator("#stop").set_checked(False)
    assert arrived() == pytest.approx(walked(0.5, 0.4, False, int(state(frame, "steps"))))
    assert "collapse" in says.inner_text()
    assert state(frame, "loop") == pytest.approx(0, abs=1e-9)
    plane.click()
    arrived()
    assert state(frame, "walks") == 5
    frame.locator("#clear").click()
    assert state(frame, "walks") == 0


def test_plans_reach_a_clicked_goal_and_robots_move_as_in_the_rooms(
    bare: "Page", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a robot that walks through walls, a click or a key that chooses nothing, a menu or a slider without effect."""
    rooms = Rooms()
    latents = toys.places(rooms)  # a latent is a place: distances as the crow flies
    frame = displayed(monkeypatch, bare, toys.watched_plans, rooms, 0.08, {"as the crow flies": latents})
    plane, says = frame.locator("#plane"), frame.locator("#says")
    frame.locator("#view").select_option(index=1, timeout=WAIT)  # what has to be walked: the oracle
    assert state(frame, "reached") == 1
    box = plane.bounding_box()
    assert box is not None
    plane.click(position={"x": 0.8 * box["width"], "y": 0.9 * box["height"]})
    assert "choose the goal" in says.inner_text()
    plane.click(position={"x": 0.1 * box["width"], "y": 0.1 * box["height"]})
    assert state(frame, "reached") == 1
    assert [state(frame, name) for name in "yx"] == pytest.approx([0.1, 0.1], abs=0.08)
    frame.locator("#moment").press("End")
    assert f"Reached after {int(state(frame, 'steps'))} steps" in says.inner_text()
    assert frame.locator("#toy").get_attribute("data-moving") == "false"
    frame.locator("#moment").press("Home")
    assert "Round 1" in says.inner_text()
    for _ in range(2):  # the cross appears at (.25, .25), and there the start and the goal are chosen
        plane.press("ArrowDown")
        plane.press("Enter")
    assert "there already" in says.inner_text() or state(frame, "steps") == 1
    start, ends, actions = torch.rand(3, 200, 2, generator=torch.Generator().manual_seed(0))
    start, ends, actions = rooms.place(start), rooms.place(ends), 2 * actions - 1
    script = "(_, [starts, actions]) => starts.map((p, k) => move(p, actions[k]))"
    moved = frame.locator("body").evaluate(script, [start.tolist(), actions.tolist()])
    assert torch.allclose(torch.tensor(moved), rooms.move(start, actions), atol=1e-5)
    script = "(_, [a, b]) => a.map((p, k) => onFoot(p, b[k]))"  # a way that can be walked, at most a little longer
    longer = torch.tensor(frame.locator("body").evaluate(script, [start.tolist(), ends.tolist()]))
    longer -= rooms.walking_distance(start, ends)
    assert -1e-5 < float(longer.min()) < float(longer.max()) < 0.03


def test_a_toy_runs_inside_its_lesson(lab: Lab, page: "Page") -> None:
    """Catches: a frame that JupyterLab strips, or whose script it stops."""
    open_and_run(page, lab, "02_masks")
    page.locator("iframe").evaluate("frame => frame.scrollIntoView()")  # what is out of sight does not move
    frame = page.frame_locator("iframe")
    assert state(frame, "share") > 40  # it opens under a mask of V-JEPA's
    frame.locator("#clear").click(timeout=WAIT)
    assert state(frame, "share") == 0
