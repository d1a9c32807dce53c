"""Predict before you look: a question with a box or a menu; what was measured shows once an answer is given.

Read in lesson 0.  In the editions that are only read, each answer is there, folded; without a running kernel nothing is asked.
"""

import math
import os
from collections.abc import Sequence
from typing import Any

import ipywidgets
from IPython.display import Markdown, display

REVEAL = "MINIVJEPA_REVEAL"  # environment variable: show the answers, as the editions that are only read do
CLOSE = 1.05  # a number this close counts as met


class Predictions:
    """The predictions of one lesson, and what became of them."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[Any, Any]] = {}  # question -> (predicted, measured)

    def __call__(self, question: str, measured: Any = None, choices: Sequence[Any] = ()) -> None:
        """Ask, for a number or for one of the choices, and show `measured` once an answer is given; None: `reveal` will."""
        if REVEAL in os.environ:
            answer = f"<details><summary>Predict: {question}</summary>\n\n{measured}\n</details>"
            display(Markdown(f"Predict: {question}" if measured is None else answer))
            return
        box = ipywidgets.Dropdown(options=["", *choices]) if choices else ipywidgets.Text(placeholder="a number")
        button = ipywidgets.Button(description="That's my guess")
        said = ipywidgets.HTML()

        def commit(_: Any) -> None:
            try:
                given = box.value if choices else float(box.value)
            except ValueError:
                said.value = f"{box.value!r} isn't a number"
                return
            if given != "":
                self.made[question] = given, measured
                box.disabled = button.disabled = True
                said.value = "Noted." if measured is None else feedback(given, measured)

        button.on_click(commit)
        display(ipywidgets.VBox([ipywidgets.HTML(f"<b>Predict:</b> {question}"), ipywidgets.HBox([box, button]), said]))

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
