"""What every lesson uses: show a picture or a table, check a claim.

Read in lesson 0.  Checks raise, so that a lesson run from top to bottom proves what it says; predictions never do.
"""

from typing import Any

from minivjepa.figures import Picture, shown_width
from minivjepa_course.pictures.films import Film


class ClaimFailed(AssertionError):
    """A claim of the course did not come true in this run."""


def check(claim: str, holds: bool, says: str) -> None:
    """Print that a claim holds, or raise ClaimFailed.  `says`: the claim in words, with whole numbers only."""
    if not isinstance(holds, bool):
        raise TypeError(f"check {claim} was given {type(holds).__name__}, expected True or False: compare first")
    if not holds:
        raise ClaimFailed(
            f"{claim} does not hold here: {says}. Run the lesson from the top; if it fails again, look at what you changed"
        )
    print(f"verified: {says}")


def show(picture: Picture) -> None:
    """Display a picture with its alt text, and its caption below."""
    Live().show(picture)


def play(film: Film) -> None:
    """Display a film with its alt text, and its caption below."""
    from IPython.display import Image, Markdown, display

    display(Image(film.gif(), format="gif"), metadata={"image/gif": {"alt": film.alt}})
    display(Markdown(f"*{film.caption}*"))


class Live:
    """One place in a notebook for a picture that changes while something runs; the last one stays."""

    def __init__(self) -> None:
        self.places: list[Any] = []  # of the picture and its caption, once they are there

    def show(self, picture: Picture) -> None:
        """Display the picture, in the place of the one before it if there was one."""
        from IPython.display import Image, Markdown, display

        png = picture.png()
        described = {"image/png": {"alt": picture.alt, "width": shown_width(png)}}
        parts = ((Image(png), described), (Markdown(f"*{picture.caption}*"), None))
        if self.places:
            for place, (part, metadata) in zip(self.places, parts):
                place.update(part, metadata=metadata)
        else:
            self.places = [display(part, metadata=metadata, display_id=True) for part, metadata in parts]


def table(markdown: str) -> None:
    """Display a Markdown table."""
    from IPython.display import Markdown, display

    display(Markdown(markdown))
