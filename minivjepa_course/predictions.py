"""Predict before you look: a question with a box, a menu or a curve to draw; what was measured shows once an answer is given.

Read in lesson 0.  In the editions that are only read, each answer is there, folded; without a running kernel nothing is asked.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets
from IPython.display import Markdown, display

from minivjepa.figures import Picture, curves

REVEAL = "MINIVJEPA_REVEAL"  # environment variable: show the answers, as the editions that are only read do
CLOSE = 1.05  # a number this close counts as met


class Predictions:
    """The predictions of one lesson, and what became of them."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[Any, Any]] = {}  # question -> (predicted, measured)

    def __call__(self, question: str, measured: Any = None, choices: Sequence[Any] = ()) -> None:
        """Ask, for a number or for one of the choices, and show `measured` once an answer is given; None: `reveal` will."""
        box = ipywidgets.Dropdown(options=["", *choices]) if choices else ipywidgets.Text(placeholder="a number")

        def answer() -> str:
            try:
                given = box.value if choices else float(box.value)
            except ValueError:
                return f"{box.value!r} isn't a number"
            if given == "":
                return ""
            self.made[question] = given, measured
            return "Noted." if measured is None else feedback(given, measured)

        self._ask(question, measured, [box], answer, [])

    def sketch(self, question: str, measured: Mapping[str, float], most: float) -> None:
        """Ask for a curve, with one slider from 0 to `most` for each place on its axis, and draw both curves then."""
        boxes = [_upright(place, most) for place in measured]
        drawn = ipywidgets.Image(layout={"display": "none"})
        true = list(measured.values())

        def answer() -> str:
            given = [box.value for box in boxes]
            self.made[question] = _said(given), _said(true)
            drawn.value, drawn.layout.display = sketched(measured, given).png(), "block"
            off = [abs(a - b) for a, b in zip(given, true)]
            return f"Furthest off at {list(measured)[off.index(max(off))]}: by {max(off):.2g}. It's {_said(true)}."

        self._ask(question, _said(true), boxes, answer, [drawn])

    def _ask(self, question: str, measured: Any, boxes: list[Any], answer: Callable[[], str], below: list[Any]) -> None:
        """Show a question, the boxes for it and a button.  answer(): what to say of them; nothing was given while `made` lacks it."""
        if REVEAL in os.environ:
            folded = f"<details><summary>Predict: {question}</summary>\n\n{measured}\n</details>"
            display(Markdown(f"Predict: {question}" if measured is None else folded))
            return
        button, said = ipywidgets.Button(description="That's my guess"), ipywidgets.HTML()

        def commit(_: Any) -> None:
            said.value = answer()
            for part in (*boxes, button):
                part.disabled = question in self.made

        button.on_click(commit)
        asked = ipywidgets.HTML(f"<b>Predict:</b> {question}")
        display(ipywidgets.VBox([asked, ipywidgets.HBox([*boxes, button]), said, *below]))

    def reveal(self, question: str, measured: Any) -> None:
        """Say what was measured after a question was asked, and what became of the prediction, if one was made."""
        given, _ = self.made.get(question, (None, None))
        if given is not None:
            self.made[question] = given, measured
        print(f"{question}\n  {measured if given is None else feedback(given, measured)}")

    def table(self) -> None:
        """Show all predictions of the lesson beside what was measured."""
        rows = [f"| {question} | {guess} | {measured} |" for question, (guess, measured) in self.made.items()]
        head = ["| question | you said | measured |", "|---|---|---|"]
        display(Markdown("\n".join(head + rows) if rows else "*No predictions were made.*"))


def feedback(predicted: Any, measured: Any) -> str:
    """One line on a prediction: how far off a number is, or whether a choice is right."""
    if not isinstance(predicted, float):
        return f"Right: {measured}." if predicted == measured else f"You said {predicted}. It's {measured}."
    if predicted == measured:
        return f"Exactly: {measured}."
    if predicted * measured <= 0:
        return f"It's {measured}; you said {predicted:g}."
    ratio = max(predicted / measured, measured / predicted)
    off = "close" if ratio <= CLOSE else f"off by {100 * (ratio - 1):.0f} %" if ratio < 2 else f"off by {ratio:.1f}x"
    return f"It's {measured}; you said {predicted:g}: {off if math.isfinite(ratio) else 'far off'}."


def _said(curve: Sequence[float]) -> str:
    """The values of a curve in words."""
    return ", ".join(f"{value:.2g}" for value in curve)


def _upright(place: str, most: float) -> ipywidgets.FloatSlider:
    """The slider of one place on the axis of a sketch."""
    return ipywidgets.FloatSlider(
        description=place, value=most / 2, max=most, step=most / 50, orientation="vertical", readout=False, layout={"width": "60px"}
    )  # fmt: skip


def sketched(measured: Mapping[str, float], given: Sequence[float]) -> Picture:
    """A curve that somebody predicted beside the one that was measured."""
    places = list(measured)
    columns = {"your sketch": (places, given), "measured": (places, list(measured.values()))}
    figure, _ = curves((6.4, 3), ["What you drew, and what was measured"], columns, "", "", "o")
    words = "Two curves: your sketch, and what was measured."
    return Picture(figure, words, words)
