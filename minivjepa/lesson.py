"""What every lesson uses: show a picture, compare a prediction with what was measured, check a claim.

Read in lesson 0.  Checks raise, so that a lesson run from top to bottom proves what it says; predictions never do.
"""

from typing import Any

from minivjepa.figures import Picture


class ClaimFailed(AssertionError):
    """A claim of the course did not come true in this run."""


def check(claim: str, holds: bool, says: str) -> None:
    """Print that a claim holds, or raise ClaimFailed.  `says`: the claim in words and whole numbers."""
    if not isinstance(holds, bool):
        raise TypeError(f"check {claim} was given {type(holds).__name__}, expected True or False: compare first")
    if not holds:
        raise ClaimFailed(
            f"{claim} does not hold here: {says}. Run the lesson from the top; if it stays, look at what changed"
        )
    print(f"{claim} holds: {says}")


def compare(question: str, predicted: Any, measured: Any) -> None:
    """Print a reader's prediction beside what was measured; a prediction of None was not made."""
    guess = "not predicted" if predicted is None else f"you predicted {predicted}"
    print(f"{question}\n  {guess}\n  measured      {measured}")


def show(picture: Picture) -> None:
    """Display a picture with its alt text, and its caption below in words that everybody can read."""
    from IPython.display import Image, Markdown, display

    display(Image(picture.png()), metadata={"image/png": {"alt": picture.alt}})
    display(Markdown(f"*{picture.caption}*"))
