"""The Collapse Page in a real browser, opened from disk with the network off: make browser."""

import json
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from minivjepa_course.toys import page as filled

from .conftest import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Page

FILE = ROOT / "minivjepa_course" / "toys" / "collapse.html"
AXE = ROOT / "page" / "node_modules" / "axe-core" / "axe.min.js"
WAIT = 120_000  # milliseconds, on a busy machine: steps are counted here, never seconds
CHAPTERS = ["vjepa", "neither", "no-stopgrad", "no-ema", "frozen", "sigreg", "pixels"]
Open = Callable[..., "Page"]


@pytest.fixture
def opened(chromium: "Browser") -> "Iterator[Open]":
    """Open the page with a link's fragment, and options of a browser context.  It may log no error and ask for nothing else."""
    contexts, wrong = [], []

    def asked(url: str) -> None:
        if not url.startswith((FILE.as_uri(), "blob:", "data:")):
            wrong.append(url)

    def page(fragment: str = "", script: str = "", **options: Any) -> "Page":
        contexts.append(chromium.new_context(**({"viewport": {"width": 1240, "height": 900}} | options)))
        contexts[-1].set_offline(True)
        if script:
            contexts[-1].add_init_script(script)
        page = contexts[-1].new_page()
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: asked(request.url))
        page.goto(FILE.as_uri() + fragment)
        return page

    yield page
    for context in contexts:
        context.close()
    assert wrong == []


def state(page: "Page | Frame", name: str) -> Any:
    """A number or a word that the page says of itself, after it has drawn."""
    page.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    text = page.locator("#page").get_attribute(f"data-{name}")
    try:
        return json.loads(text or "null")
    except json.JSONDecodeError:
        return text


def until(page: "Page | Frame", test: str) -> None:
    """Wait until an expression of `it`, what the page says of itself, is true."""
    page.wait_for_function(
        f"() => {{ const it = document.querySelector('#page').dataset; return {test}; }}", timeout=WAIT
    )


def run_to(page: "Page | Frame", step: int) -> None:
    """Train as fast as it goes, and pause after that many steps."""
    page.locator("#speed").press("End")
    page.locator("#play").click()
    until(page, f"it.step >= {step}")
    page.locator("#play").click()


def test_it_opens_from_disk_without_the_network(opened: Open) -> None:
    """Catches: a script, a font or a worker that is fetched; a page that stays empty until it has trained."""
    page = opened()
    until(page, "it.probe")
    assert "kill" in page.locator("h1").inner_text()
    assert page.locator("#notice").is_hidden()
    assert (state(page, "step"), state(page, "arm"), state(page, "playing")) == (0, "vjepa", False)
    painted = page.evaluate("performance.getEntriesByType('paint').at(-1).startTime")
    print(f"first paint after {painted:.0f} ms; the file has {FILE.stat().st_size} bytes")


@pytest.mark.parametrize(("number", "arm"), list(enumerate(CHAPTERS)))
def test_a_chapter_sets_switches_diagram_and_link(number: int, arm: str, opened: Open) -> None:
    """Catches: a chapter that trains something else than its switches, its diagram or its link show."""
    page = opened()
    page.locator("#chapters button").nth(number).click()
    assert state(page, "arm") == arm
    diagram = page.locator("#schematic")
    target, stop = page.locator("[name=target]:checked").input_value(), page.locator("#stop").is_checked()
    assert (target, stop) == {
        "vjepa": ("ema", True),
        "frozen": ("ema", True),
        "no-ema": ("online", True),
        "neither": ("online", False),
        "no-stopgrad": ("ema", False),
        "sigreg": ("online", False),
        "pixels": ("pixels", True),
    }[arm]
    assert diagram.get_attribute("data-target") == target
    assert diagram.get_attribute("data-stop") == ("on" if stop else "off")
    assert diagram.get_attribute("data-frozen") == ("yes" if arm == "frozen" else "no")
    assert page.locator(".extra").is_visible() == (arm == "sigreg")
    shown = page.evaluate(
        "[...document.querySelectorAll('.gradient *')].filter(e => e.checkVisibility()).map(e => e.className.baseVal)"
    )
    assert ("reaches" in shown, "bar" in shown) == (not stop, stop and arm != "pixels")
    assert f"arm={arm}" in page.url
    page.locator("#step").click()
    until(page, "it.step == 1 && it.loss")


def test_neither_dies_where_vjepa_lives(opened: Open) -> None:
    """Catches: a page on which nothing collapses, everything does, or the wrong curve is called dead."""
    page = opened("#arm=neither")
    page.locator("[name=guess][value=alike]").check()
    run_to(page, 300)
    dead = state(page, "step")
    assert state(page, "share") < 0.1
    assert "Collapse" in page.locator("#says").inner_text()
    assert "You were right" in page.locator("#answer").inner_text()
    assert page.locator(".box.online.dead").count() == 1
    assert page.locator("#next").inner_text() == "Next: Average, no stop →"
    page.locator("#chapters button").first.click()
    until(page, "it.step == 0")
    run_to(page, dead)
    assert state(page, "share") > 0.5
    assert "keep" in page.locator("#says").inner_text()
    frames = page.evaluate("""() => new Promise(done => { document.querySelector('#play').click(); let n = 0; const start = performance.now();
        (function frame() { n++; performance.now() - start < 3000 ? requestAnimationFrame(frame) : done(n / 3); })(); })""")
    print(f"{frames:.0f} frames a second while it trains")


def test_a_switch_flipped_in_mid_run_acts_and_leaves_a_mark(opened: Open) -> None:
    """Catches: a switch that starts a new run, does nothing, or leaves no mark on the curves."""
    page = opened()
    run_to(page, 40)
    assert state(page, "share") > 0.3
    run, step = state(page, "run"), state(page, "step")
    page.locator("[name=target][value=online]").check()
    page.locator("#stop").uncheck()
    assert (state(page, "arm"), state(page, "run"), state(page, "flips")) == ("neither", run, 1)
    run_to(page, step + 300)
    assert state(page, "share") < 0.1
    assert page.locator("#answer").is_hidden()  # what was guessed was another experiment
    page.locator("[name=target][value=ema]").check()
    page.locator("#momentum").press("End")
    assert "never moves" in page.locator("#momentum-words").inner_text()
    page.locator("#momentum").press("ArrowLeft")
    assert (
        page.locator("#momentum-words").inner_text() == "0.9997, half-life 2310 steps"
    )  # by hand, so it no longer rises
    page.locator("[name=regulariser][value=sigreg]").check()
    page.locator("#lambda").press("ArrowRight")
    assert page.locator("#lambda-words").inner_text() == "0.2"
    page.locator("[name=target][value=pixels]").check()
    assert page.locator("#stop").is_disabled()
    assert (state(page, "run"), page.locator("[name=regulariser][value=none]").is_checked()) == (run, True)
    step = state(page, "step")
    page.locator("#step").click()
    until(page, f"it.step > {step}")


@pytest.mark.parametrize(("name", "value"), [("predictor", "linear"), ("model", "larger"), ("seed", "7")])
def test_what_shapes_the_network_starts_a_new_run(name: str, value: str, opened: Open) -> None:
    """Catches: a curve that goes on with another network."""
    page = opened()
    page.locator("#step").click()
    until(page, "it.step == 1")
    run = state(page, "run")
    if name == "seed":
        page.locator("#seed").fill(value)
        page.locator("#seed").press("Enter")
    else:
        page.locator(f"[name={name}][value={value}]").check()
    until(page, "it.step == 0 && it.probe")
    assert state(page, "run") == run + 1
    assert f"{name}={value}" in page.url


def test_tubelets_are_hidden_by_mouse_touch_and_keys(opened: Open) -> None:
    """Catches: a stroke that misses or leaves gaps, a mask of all or nothing, a painter that needs a mouse."""
    page = opened(has_touch=True)
    until(page, "it.hidden > 0")
    future, tubelets = state(page, "hidden"), 2 * state(page, "hidden")
    strip, clip = page.locator("#strip"), page.locator("#clip")
    box = strip.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 4
    page.mouse.move(box["x"] + 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.45 * box["width"], middle, steps=20)
    page.mouse.up()
    assert state(page, "hidden") > future
    page.locator("#future").click()
    assert state(page, "hidden") == future
    strip.focus()
    for key in (" ", "Enter"):
        hidden, label = state(page, "hidden"), strip.get_attribute("aria-label") or ""
        strip.press(key)
        assert state(page, "hidden") == hidden + (1 if ": shown" in label else -1)
    strip.press("ArrowRight")
    strip.press("ArrowDown")
    assert state(page, "playing") is False  # space on the strip paints
    page.locator("#random").click()
    assert state(page, "hidden") == tubelets / 2
    page.locator("#future").click()
    clip.tap(position={"x": 20, "y": 20})
    until(page, f"it.hidden > {future}")
    assert "hidden=" in page.url
    page.locator("#future").click()
    for left in (tubelets - 1, 1):  # a stroke over everything covers, and the next uncovers, but never all
        page.mouse.move(box["x"] + 2, box["y"] + 2)
        page.mouse.down()
        for row in (0.2, 0.8):
            page.mouse.move(box["x"] + 2, box["y"] + row * box["height"])
            page.mouse.move(box["x"] + box["width"] - 2, box["y"] + row * box["height"], steps=40)
        page.mouse.up()
        assert state(page, "hidden") == left


def test_a_link_carries_the_settings(opened: Open) -> None:
    """Catches: a setting that a link forgets, or one that it cannot mean and that is taken without a word."""
    page = opened("#arm=no-stopgrad&momentum=0.9&schedule=0&seed=3&predictor=linear&hidden=0.1.2")
    again = opened("#" + page.url.split("#")[1])
    for one in (page, again):
        assert one.locator("#notice").is_hidden()
        assert not one.locator("#stop").is_checked()
        assert one.locator("#seed").input_value() == "3"
        assert one.locator("[name=predictor]:checked").input_value() == "linear"
        assert "0.9" in one.locator("#momentum-words").inner_text()
        assert state(one, "hidden") == 3
    assert page.url == again.url
    for bad, said in (
        ("arm=byol", "arm=byol"),
        ("momentum=2", "momentum=2"),
        ("colour=red", "colour=red"),
        ("target=pixels&stop=0", "can't train"),
    ):
        wrong = opened("#" + bad)
        assert said in wrong.locator("#notice").inner_text()
        until(wrong, "it.probe")


def test_keys_play_step_restart_and_turn_the_chapters(opened: Open) -> None:
    """Catches: a page that needs a mouse; a key that acts while one types."""
    page = opened()
    until(page, "it.probe")
    page.keyboard.press("s")
    until(page, "it.step == 1")
    page.keyboard.press(" ")
    until(page, "it.playing == 'true' && it.step > 3")
    page.keyboard.press(" ")
    until(page, "it.playing == 'false'")
    page.keyboard.press("r")
    until(page, "it.step == 0")
    for arm in [*CHAPTERS[1:], CHAPTERS[0]]:
        page.keyboard.press("n")
        assert state(page, "arm") == arm
    page.keyboard.press("b")
    assert state(page, "arm") == CHAPTERS[-1]
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    page.locator("#seed").press("n")
    assert state(page, "arm") == CHAPTERS[-1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("fragment", ["", "#arm=neither", "#arm=sigreg", "#embed"])
def test_axe_finds_nothing_serious(scheme: str, fragment: str, opened: Open) -> None:
    """Catches: a control without a name, text without contrast, a landmark that is missing."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed; run: npm ci --prefix page")
    page = opened(fragment, color_scheme=scheme)
    until(page, "it.probe")
    page.locator("#step").click()
    until(page, "it.step == 1")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    bad = [
        (one["id"], [node["html"] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert bad == []


def test_a_phone_scrolls_in_one_direction(opened: Open) -> None:
    """Catches: a page that is wider than a phone; a button that is off the screen; text that is too small to read."""
    page = opened(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    until(page, "it.probe")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#play").is_visible()
    sizes = """[...document.querySelectorAll("body *")].filter(e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
        .map(e => [e.tagName, parseFloat(getComputedStyle(e).fontSize) * (e.ownerSVGElement ? e.getScreenCTM().a : 1)])"""
    assert [pair for pair in page.evaluate(sizes) if pair[1] < 13.2] == []


def test_a_clip_waits_where_motion_is_not_wanted(opened: Open) -> None:
    """Catches: a clip that plays for people who asked their system for less motion."""
    page = opened(reduced_motion="reduce")
    until(page, "it.probe")
    assert page.locator("#film").get_attribute("aria-label") == "Play the clip"
    page.locator("#step").click()
    until(page, "it.step == 1")


def test_without_a_worker_it_says_so_and_shows_what_was_recorded(opened: Open) -> None:
    """Catches: an empty page where a browser forbids workers."""
    page = opened(script="delete window.Worker")
    assert "can't train here" in page.locator("#notice").inner_text()
    assert page.locator("#play").is_hidden()
    said = set()
    for arm, button in zip(CHAPTERS, page.locator("#chapters button").all(), strict=True):
        button.click()
        until(page, f"it.arm === '{arm}'")  # the page draws before its next frame
        said.add(page.locator("#says").inner_text())
    assert len(said) == len(CHAPTERS)
    assert all("full model" in words for words in said)


def test_it_trains_inside_a_lesson(chromium: "Browser", tmp_path: Path) -> None:
    """Catches: a page that needs storage, the address bar or an origin, none of which a sandboxed frame has."""
    html = escape(filled("collapse", {"arm": "neither", "seed": 1}))
    (tmp_path / "lesson.html").write_text(
        f'<iframe sandbox="allow-scripts" style="width: 820px; height: 900px" srcdoc="{html}"></iframe>'
    )
    page = chromium.new_page()
    page.set_default_timeout(WAIT)
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto((tmp_path / "lesson.html").as_uri())
    frame = page.frames[1]
    until(frame, "it.probe")
    assert (state(frame, "arm"), frame.locator("#seed").input_value()) == ("neither", "1")
    assert frame.locator("h1").is_hidden()
    run_to(frame, 5)
    page.close()
    assert failed == []
