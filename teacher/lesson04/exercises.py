"""Lesson 04: the cases of its exercises, and the mistakes that people make."""

import torch
from assignment import Exercise, Inputs


def numbered(*shape: int, start: float = 0.0) -> torch.Tensor:
    """Values that are all different whole numbers."""
    return torch.arange(float(torch.tensor(shape).prod())).reshape(shape) + start


def lists(context_ids: list[list[int]], target_ids: list[list[int]], places: int, width: int) -> Inputs:
    """Inputs of `tokens` for these ids."""
    ids = torch.tensor(context_ids)
    return {
        "context": numbered(*ids.shape, width, start=1000.0),
        "context_ids": ids,
        "target_ids": torch.tensor(target_ids),
        "table": numbered(places, width, start=1.0) / 10,
        "mask_token": numbered(width, start=500.0),
    }


def tokens(seen: str, hidden: str, both: str = "[seen, hidden]") -> str:
    """Code of an answer: its two parts, and what it joins."""
    return (
        "def tokens(context, context_ids, target_ids, table, mask_token):\n    B, M = target_ids.shape\n"
        f"    seen = {seen}\n    hidden = {hidden}\n    return torch.cat({both}, dim=1)\n"
    )


SEEN, HIDDEN = "context + table[context_ids]", "mask_token + table[target_ids]"

TOKENS = Exercise(
    "tokens",
    (),
    (
        lists([[2, 5], [0, 3]], [[4, 0, 1], [5, 1, 2]], places=6, width=4),
        lists([[1, 2, 3]], [[4, 0]], places=5, width=2),
        lists([[3], [1], [2]], [[1, 0], [2, 3], [0, 3]], places=4, width=3),
    ),
    lambda rng: [],
    (
        (
            "no token carries a position: add table[context_ids] to the context vectors, and table[target_ids] to the mask tokens",
            tokens("context", "mask_token.expand(B, M, -1)"),
        ),
        (
            "the mask tokens carry no position: nothing says which hidden place each of them asks for",
            tokens(SEEN, "mask_token.expand(B, M, -1)"),
        ),
        (
            "the context vectors carry no position: add table[context_ids], or the predictor can't know where they come from",
            tokens("context", HIDDEN),
        ),
        (
            "the mask tokens come first: the context goes first, because the predictor reads its guesses from the end",
            tokens(SEEN, HIDDEN, "[hidden, seen]"),
        ),
        (
            "every clip got the places of the first one: each clip has its own row of ids, so don't index with ids[0]",
            tokens("context + table[context_ids[0]]", "mask_token + table[target_ids[0]].expand(B, M, -1)"),
        ),
        (
            "the hidden places are counted 0, 1, 2, ...: take the rows of the table that target_ids names, not its first M rows",
            tokens(SEEN, "mask_token + table[:M].expand(B, M, -1)"),
        ),
        (
            "places are counted 0, 1, 2, ... along the predictor's list: each token gets the row of the table that its id names",
            tokens(
                "context + table[: context.shape[1]]",
                "mask_token + table[context.shape[1] : context.shape[1] + M].expand(B, M, -1)",
            ),
        ),
        (
            "the mask token is missing: a hidden place gets mask_token plus its position",
            tokens(SEEN, "table[target_ids]"),
        ),
    ),
    (),
    adapter="tensors",
)


def picked(target_ids: list[list[int]], places: int, width: int) -> Inputs:
    """Inputs of `answers` for these ids."""
    return {"features": numbered(len(target_ids), places, width), "target_ids": torch.tensor(target_ids)}


def answers(value: str) -> str:
    """Code of an answer that returns this."""
    return f"def answers(features, target_ids):\n    B, M = target_ids.shape\n    return {value}\n"


ANSWERS = Exercise(
    "answers",
    ("minivjepa.tubelets.gather_tokens",),
    (
        picked([[4, 0, 1], [5, 1, 2]], places=6, width=2),
        picked([[2, 1]], places=4, width=3),
        picked([[1, 0], [2, 3], [0, 3]], places=4, width=2),
    ),
    lambda rng: [],
    (
        (
            "every clip got the places of the first one: each clip has its own row of target_ids",
            answers("features[:, target_ids[0]]"),
        ),
        (
            "each clip was asked for the places of all clips: features[:, target_ids] is [B, B, M, D], so go clip by clip",
            answers("features[:, target_ids]"),
        ),
        (
            "these are the last M features: in the teacher's list every tubelet is at its own place, hidden or not",
            answers("features[:, -M:]"),
        ),
        (
            "these are the first M features: take those that target_ids names",
            answers("features[:, :M]"),
        ),
        (
            "each answer has only its first number: gather needs ids as wide as the features, [B, M, D]",
            answers("features.gather(1, target_ids[..., None])"),
        ),
        (
            "the answers come in the order of the clip: keep the order of target_ids, because answer m is compared with guess m",
            answers("torch.stack([h[ids.sort().values] for h, ids in zip(features, target_ids)])"),
        ),
    ),
    (),
    adapter="tensors",
)

EXERCISES = [TOKENS, ANSWERS]
