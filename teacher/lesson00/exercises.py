"""Lesson 00: the cases of its exercises, and the mistakes that people make."""

import torch
from assignment import Exercise

PAINTED = """def hide(clip, hidden):
    covered = clip.clone()
    covered[hidden] = 0.5
    return covered
"""


def scene(frames: int, height: int, width: int) -> dict[str, torch.Tensor]:
    """A clip without gray, and a mask that changes from frame to frame and hides less than half."""
    generator = torch.Generator().manual_seed(frames)
    clip = torch.randint(1, 4, (frames, height, width, 3), generator=generator) / 4
    hidden = torch.rand(frames, height, width, generator=generator) < 0.4
    hidden[0, 0] = torch.arange(width) == 0
    return {"clip": torch.where(clip == 0.5, 1.0, clip), "hidden": hidden}


HIDE = Exercise(
    "hide",
    (),
    (scene(2, 1, 2), scene(3, 4, 5)),
    lambda rng: [],
    (
        ("this covers what should stay visible: hidden is True where the gray belongs", PAINTED.replace("[hidden]", "[~hidden]")),
        ("the numbers are right, but the clip itself was painted over, and what's under the cover is lost: paint on clip.clone()", PAINTED.replace("clip.clone()", "clip")),
        ("hidden pixels are black: gray is 0.5", PAINTED.replace("0.5", "0.0")),
        ("hidden pixels are white: gray is 0.5", PAINTED.replace("0.5", "1.0")),
        ("hidden pixels are only dimmed, and a network could still read them: set them to 0.5", PAINTED.replace("= 0.5", "*= 0.5")),
        ("only one of the three colors is covered: indexing with [hidden] covers all three", PAINTED.replace("covered[hidden]", "covered[..., 0][hidden]")),
        ("every frame got the first frame's cover: hidden has one for each frame", PAINTED.replace("covered[hidden]", "covered[:, hidden[0]]")),
        ("a pixel that's hidden in one frame is hidden in all: each frame has its own cover", PAINTED.replace("covered[hidden]", "covered[:, hidden.any(dim=0)]")),
        ("nothing is covered", "def hide(clip, hidden):\n    return clip.clone()\n"),
    ),
    (),
    adapter="tensors",
)  # fmt: skip

FAR = """def how_far(guesses, answers):
    return (guesses - answers).abs().mean()
"""


def pair(seed: int, *shape: int) -> dict[str, torch.Tensor]:
    """Guesses and answers in quarters, none of them equal."""
    generator = torch.Generator().manual_seed(seed)
    answers = (4 * torch.randn(*shape, generator=generator)).round() / 4
    steps = torch.randint(1, 9, shape, generator=generator) * (1 - 2 * torch.randint(0, 2, shape, generator=generator))
    return {"guesses": answers + steps / 4, "answers": answers}


HOW_FAR = Exercise(
    "how_far",
    ("minivjepa.objective.latent_distance",),
    (
        {"guesses": torch.tensor([1.0, 2.0, 5.0]), "answers": torch.tensor([2.0, 4.0, 2.0])},
        pair(1, 2, 2, 3),
    ),
    lambda rng: [],
    (
        ("positive and negative errors cancel: take absolute differences before the mean", FAR.replace(".abs()", "")),
        ("the absolute value comes too late: positive and negative errors have already canceled in the mean", FAR.replace(".abs().mean()", ".mean().abs()")),
        ("these are squared differences: take absolute ones", FAR.replace(".abs()", ".square()")),
        ("this is a sum: take the mean, or a larger batch would look worse", FAR.replace(".mean()", ".sum()")),
        ("this is the largest error: take the mean of all of them", FAR.replace(".mean()", ".max()")),
        ("the number is right, but PyTorch can't learn from it: leave out .item(), .detach() and float()", "def how_far(guesses, answers):\n    return torch.tensor((guesses - answers).abs().mean().item())\n"),
        ("no gradient reaches the answers: whether it may is a switch of the race, not of the loss", FAR.replace("- answers", "- answers.detach()")),
    ),
    (),
    adapter="gradients",
)  # fmt: skip

EXERCISES = [HIDE, HOW_FAR]
