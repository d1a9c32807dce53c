"""Lesson 02: the cases of its exercises, and the mistakes that people make."""

import torch
from assignment import Exercise


def tube(context: str, target: str, before: str = "") -> str:
    """Code of an answer: what it returns, from `shown` and `hidden`, the patches of one frame in rising order."""
    return (
        "def tube(hidden, area, steps):\n    "
        + (before or "hidden = hidden.sort().values")
        + "\n    shown = torch.tensor([p for p in range(area) if p not in hidden.tolist()])\n"
        + "    starts = torch.arange(steps)[:, None] * area\n"
        + f"    return {context}, {target}\n"
    )


def through(ids: str, start: str = "starts", stride: str = "") -> str:
    """Code: patches repeated through time."""
    return f"({start} + {ids}{stride}).flatten()"


TUBE = Exercise(
    "tube",
    ("minivjepa.masking.along_time", "minivjepa.masking.TubeMask"),
    (
        {"hidden": torch.tensor([1, 3]), "area": 4, "steps": 3},
        {"hidden": torch.tensor([5, 0, 2, 1]), "area": 6, "steps": 2},
        {"hidden": torch.tensor([2]), "area": 3, "steps": 4},
    ),
    lambda rng: [],
    (
        (
            "every time step has the ids of the first: one step later, the same place has an id that's larger by `area`",
            tube("shown.repeat(steps)", "hidden.repeat(steps)"),
        ),
        ("the two lists are swapped: the context, what the encoder sees, comes first", tube(through("hidden"), through("shown"))),
        ("this hides patches in the first frame only: repeat them in all `steps` time steps", tube("shown", "hidden")),
        (
            "the context holds every tubelet of the later steps: a patch that's hidden in one step is hidden in all of them",
            "def tube(hidden, area, steps):\n    hidden = hidden.sort().values\n    taken = hidden.tolist()\n"
            "    return torch.tensor([i for i in range(area * steps) if i not in taken]), hidden\n",
        ),
        (
            "ids don't run patch by patch: all of time step 0 comes first, so patch p at step s is s * area + p",
            tube(through("shown", "torch.arange(steps)", "[:, None] * steps"), through("hidden", "torch.arange(steps)", "[:, None] * steps")),
        ),
        (
            "these are the right ids, listed tube by tube: list all of one time step before the next, so that ids rise",
            tube("(starts + shown).T.flatten()", "(starts + hidden).T.flatten()"),
        ),
        (
            "ids have to rise, and `hidden` comes in any order: sort it, or walk through the ids of the clip",
            tube(through("shown"), through("hidden"), "pass"),
        ),
        (
            "every id is one time step late: the first time step is number 0",
            tube(through("shown", "starts + area"), through("hidden", "starts + area")),
        ),
    ),
    (),
    adapter="tensors",
)  # fmt: skip

SMALLEST = "def cut_batch(contexts):\n    K = min(len(ids) for ids in contexts)\n    return "

CUT_BATCH = Exercise(
    "cut_batch",
    ("minivjepa.masking.OfficialBlocks",),
    (
        {"contexts": [torch.tensor([0, 3, 4, 8, 9]), torch.tensor([1, 2, 4]), torch.tensor([0, 2, 4, 7])]},
        {"contexts": [torch.tensor([5, 7]), torch.tensor([0, 1, 5, 6, 7, 9])]},
        {"contexts": [torch.tensor([4, 6, 7, 11])]},
    ),
    lambda rng: [],
    (
        (
            "these are the last ids of each clip: the released code keeps the first",
            SMALLEST + "torch.stack([ids[-K:] for ids in contexts])",
        ),
        (
            "short lists are padded to the longest: don't pad, cut them all to the shortest",
            "def cut_batch(contexts):\n    return torch.nn.utils.rnn.pad_sequence(contexts, batch_first=True)",
        ),
        (
            "these are the ids that all clips share: each clip keeps its own ids, and only their number is the same",
            "def cut_batch(contexts):\n    common = set.intersection(*(set(ids.tolist()) for ids in contexts))\n"
            "    return torch.tensor([sorted(common) for _ in contexts])",
        ),
        (
            "this list of rows isn't a tensor yet: torch.stack makes it one, [B, K]",
            SMALLEST + "[ids[:K] for ids in contexts]",
        ),
        (
            "each clip is a column: it should be a row, [B, K]",
            SMALLEST + "torch.stack([ids[:K] for ids in contexts], dim=1)",
        ),
        (
            "each row is one id short: ids[:K] already stops before place K",
            SMALLEST + "torch.stack([ids[: K - 1] for ids in contexts])",
        ),
        (
            "these are positions in the lists, not the ids you find there: keep the ids themselves",
            SMALLEST + "torch.arange(K).repeat(len(contexts), 1)",
        ),
    ),
    (),
    adapter="tensors",
)

EXERCISES = [TUBE, CUT_BATCH]
