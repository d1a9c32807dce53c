"""Sliders around the pictures of the lessons.

Read in lesson 1.  A widget is a function from numbers to a Picture, and the sliders that choose the numbers.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets

from minivjepa.figures import Picture
from minivjepa_course.lesson import show
from minivjepa_course.predictions import REVEAL

Sliders = Mapping[
    str, Any
]  # argument -> (least, most, step), with a start if not the middle; a list of choices; a widget


def explore(draw: Callable[..., Picture], sliders: Sliders) -> ipywidgets.interactive | None:
    """An interactive view of draw(...), with one slider or menu per argument; where nothing can move, its opening picture.

    Where draw raises ValueError, such as for a clip that tubelets do not divide, its message stands in place of the picture.
    """
    controls = {name: _control(given) for name, given in sliders.items()}
    if REVEAL in os.environ:  # an edition that is only read
        _show_or_say(draw, {name: control.value for name, control in controls.items()})
        return None
    return ipywidgets.interactive(lambda **values: _show_or_say(draw, values), **controls)


def _control(given: Any) -> Any:
    """The widget for what is given of an argument."""
    if isinstance(given, tuple) and len(given) == 4:
        least, most, step, start = given
        return ipywidgets.IntSlider(value=start, min=least, max=most, step=step)
    return ipywidgets.interactive.widget_from_abbrev(given)


def _show_or_say(draw: Callable[..., Picture], values: Mapping[str, Any]) -> None:
    """Show the picture of these values, or print why it cannot be drawn."""
    try:
        show(draw(**values))
    except ValueError as error:
        print(error)
