"""Every slider and menu of the lessons moves its picture, in a real browser: make browser."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import ROOT, Lab

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

OPEN, RUN, DRAW = 180, 900, 180  # seconds that a page, a lesson and a picture may take on a busy machine
# how IPython begins the report of an error; JupyterLab shows it like any other text on stderr
ERROR = re.compile(r"Traceback \(most recent call last\)|Cell In\[\d+\], line \d+")
SHOWN = "out => [...out.querySelectorAll('img')].map(image => image.src).join() + out.innerText"
MARK = "out => [...out.querySelectorAll('.jp-OutputArea-child')].forEach(child => child.classList.add('before'))"


def widgets(text: str) -> int:
    """How many widgets a lesson's text makes."""
    return len(re.findall(r"^[^#\n]*\bexplore\(", text, re.M))


LESSONS = [path for path in sorted((ROOT / "notebooks").glob("[0-9]*.py")) if widgets(path.read_text(encoding="utf-8"))]


def wait_until(page: "Page", condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Look again and again; an AssertionError says what did not come true, or what JupyterLab asks instead."""
    end = time.monotonic() + seconds
    while not condition():
        for dialog in page.locator(".jp-Dialog").all():
            raise AssertionError(f"instead of {what}, JupyterLab says: {dialog.inner_text()}")
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        page.wait_for_timeout(100)


def idle(page: "Page") -> bool:
    return page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').count() > 0


def connected(page: "Page", lab: Lab) -> bool:
    """Whether the page has its kernel: a page that still waits for one also calls itself idle."""
    return page.locator(".jp-KernelName", has_text="Python 3").count() > 0 and lab.has_idle_kernel()


def counts(page: "Page") -> list[str]:
    """What stands before each code cell: [ ] before it ran, [*] while it waits, [3] after."""
    return page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()


def open_and_run(page: "Page", lab: Lab, name: str) -> None:
    """Open a notebook and run all cells, as a reader does; none may fail."""
    cells = lab.code_cells(name)
    page.goto(lab.address(name), timeout=OPEN * 1000)
    wait_until(page, lambda: connected(page, lab) and idle(page), OPEN, f"{name} to open with an idle kernel")
    wait_until(page, lambda: len(counts(page)) == cells, OPEN, f"all cells of {name} to be in the page")
    page.get_by_role("menuitem", name="Run", exact=True).click(timeout=OPEN * 1000)
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click(timeout=OPEN * 1000)
    wait_until(page, lambda: "[1]:" in counts(page), RUN, f"the first cell of {name}")
    wait_until(page, lambda: idle(page) and "[*]:" not in counts(page), RUN, f"all cells of {name}")
    no_error(page.locator("body"), name)
    assert counts(page) == [f"[{n}]:" for n in range(1, cells + 1)], f"{name}: not all cells ran"


def no_error(place: "Locator", name: str) -> None:
    for output in place.locator(".jp-OutputArea-output", has_text=ERROR).all():
        raise AssertionError(f"{name} shows an error:\n{output.inner_text()}")


def settled(page: "Page", box: "Locator", name: str) -> str:
    """What a widget shows, once the kernel rests and three looks in a row see the same."""
    looks: list[str] = []

    def rests() -> bool:
        looks.append(box.locator(".widget-output").evaluate(SHOWN) if idle(page) else "")
        return looks[-1] != "" and looks[-3:] == looks[-1:] * 3

    wait_until(page, rests, DRAW, f"{name} to show something and rest")
    no_error(box, name)
    return looks[-1]


def changes(page: "Page", box: "Locator", move: Callable[[], object], name: str) -> bool:
    """Whether a move changes what the widget shows; waits until it was drawn again."""
    before = settled(page, box, name)
    box.locator(".widget-output").evaluate(MARK)
    move()
    wait_until(page, lambda: box.locator(".before").count() == 0, DRAW, f"{name} to be drawn again")
    return settled(page, box, name) != before


def name_of(control: "Locator") -> str:
    return control.locator(".widget-label").first.inner_text()


def chosen(menu: "Locator") -> int:
    return menu.locator("select").evaluate("menu => menu.selectedIndex")


def choices(menu: "Locator") -> int:
    return menu.locator("option").count()


def choose(page: "Page", box: "Locator", menu: "Locator", index: int) -> bool:
    return changes(page, box, lambda: menu.locator("select").select_option(index=index), name_of(menu))


def press(page: "Page", box: "Locator", slider: "Locator", key: str) -> bool:
    handle = slider.locator(".noUi-handle")
    at_end = "aria-valuemax" if key in ("ArrowRight", "End") else "aria-valuemin"
    if handle.get_attribute("aria-valuenow") == handle.get_attribute(at_end):
        return False  # it cannot move further, so nothing is drawn
    return changes(page, box, lambda: handle.press(key), name_of(slider))


def alive(page: "Page", box: "Locator", control: "Locator") -> bool:
    """Whether moving a control changes the picture from here: a step and back, or else going to an end."""
    if choices(control):
        first = chosen(control)
        others = [index for index in range(choices(control)) if index != first]
        return any([choose(page, box, control, index) for index in (*others[:1], first) if others])
    assert control.locator(".noUi-handle").count() == 1, f"{name_of(control)}: neither a slider nor a menu"
    step_and_back = [press(page, box, control, key) for key in ("ArrowRight", "ArrowLeft")]
    return any(step_and_back) or any(press(page, box, control, key) for key in ("Home", "End"))


def alive_somewhere(page: "Page", box: "Locator", control: "Locator", menus: "list[Locator]") -> bool:
    """Whether a control changes the picture here or under another choice in a menu: some matter only to some masks."""
    if alive(page, box, control):
        return True
    for menu in menus:
        first = chosen(menu)
        for index in range(choices(menu)):
            if index != first:
                choose(page, box, menu, index)
                if alive(page, box, control):
                    return True
        choose(page, box, menu, first)
    return False


def check_controls(page: "Page", box: "Locator") -> None:
    """Move every slider and menu of a widget; an AssertionError names one that does nothing."""
    controls = box.locator(".widget-inline-hbox").all()
    assert controls, "a widget without sliders and menus"
    for control in controls:
        menus = [other for other in controls if choices(other) and name_of(other) != name_of(control)]
        assert alive_somewhere(page, box, control, menus), f"{name_of(control)} is dead: nothing changes when it moves"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_every_slider_and_menu_of_a_lesson_changes_its_picture(lesson: Path, lab: Lab, page: "Page") -> None:
    """Catches: a cell that fails in JupyterLab, a widget that is not shown, a slider that does nothing or shows an error."""
    open_and_run(page, lab, lesson.stem)
    boxes, expected = page.locator(".widget-interact"), widgets(lesson.read_text(encoding="utf-8"))
    wait_until(page, lambda: boxes.count() == expected, DRAW, f"{expected} widgets")
    for box in boxes.all():
        check_controls(page, box)
    for button in page.get_by_role("button", name="That's my guess").all():
        check_prediction(page, button.locator("xpath=ancestor::div[contains(@class, 'widget-vbox')]"))


def check_prediction(page: "Page", box: "Locator") -> None:
    """Predict 1, or the first choice, or sketch a curve; an AssertionError says what was shown too early, or not at all."""
    answer = re.compile(
        "you said 1|Exactly|Right: |You said |Noted|Furthest off at 1: by 0.5"
    )  # Noted: a later cell answers
    assert not answer.search(box.inner_text())
    entry = box.locator("input, select")
    if box.locator(".noUi-handle").count():
        # off by .48 in time step 0 then, and still by .5 in time step 1
        box.locator(".noUi-handle").first.press("ArrowUp")
    elif box.locator("select").count():
        entry.select_option(index=1)
    else:
        entry.fill("1")
        entry.press("Tab")
    box.get_by_role("button").click()
    wait_until(page, lambda: answer.search(box.inner_text()) is not None, DRAW, "an answer to a prediction")
    wait_until(page, lambda: box.get_by_role("button").is_disabled(), DRAW, "one guess, and no second")
    if box.locator(".noUi-handle").count():
        wait_until(page, lambda: box.locator("img").is_visible(), DRAW, "both curves")


PLANTED = """
from matplotlib.figure import Figure
from minivjepa.figures import Picture
from minivjepa_course.widgets import explore

def draw(living, planted):
    figure = Figure(figsize=(2, 1))
    figure.subplots().bar([0, 1], [1, {height}])
    return Picture(figure, "two bars", "Two bars.")

explore(draw, {"living": (1, 9), "planted": (1, 9)})
"""


@pytest.mark.parametrize(
    ("height", "says"),
    [("living", "planted is dead"), ("living / (6 - planted)", "planted shows an error:")],
    ids=["dead", "failing"],
)
def test_a_dead_or_failing_slider_is_found_and_named(height: str, says: str, lab: Lab, page: "Page") -> None:
    """Catches: a check that passes whatever the sliders do, or takes a traceback for another picture."""
    from nbformat import v4, write

    cell = v4.new_code_cell(PLANTED.strip().replace("{height}", height))
    kernel = {"name": "python3", "display_name": "Python 3"}  # without it JupyterLab asks for one
    write(v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel}), lab.notebooks / "planted.ipynb")
    open_and_run(page, lab, "planted")
    with pytest.raises(AssertionError, match=says):
        check_controls(page, page.locator(".widget-interact"))
