"""Sliders around the pictures of the lessons; each lesson also shows its picture without them.

Read in lesson 1.  A widget is a function from numbers to a Picture, and the sliders that choose the numbers.
"""

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets

from minivjepa.course.figures import Picture
from minivjepa.course.lesson import show


def explore(draw: Callable[..., Picture], sliders: Mapping[str, Any]) -> ipywidgets.interactive:
    """An interactive view of draw(...).  sliders: argument -> (least, most, step), a list to choose from, or a widget.

    Where draw raises ValueError, such as for a clip that tubelets do not divide, its message stands in place of the picture.
    """
    return ipywidgets.interactive(lambda **values: _show_or_say(draw, values), **sliders)


def _show_or_say(draw: Callable[..., Picture], values: Mapping[str, Any]) -> None:
    """Show the picture of these values, or print why it cannot be drawn."""
    try:
        show(draw(**values))
    except ValueError as error:
        print(error)
