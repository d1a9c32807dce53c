"""Lesson 03: the cases of its exercises, and the mistakes that people make."""

import torch
from assignment import Exercise

ATTENTION = "def attention(q, k, v):\n    score = q @ k.T / q.shape[1] ** 0.5\n    return score.softmax(dim=1) @ v\n"


def head(seed: int, n: int, d: int, size: float = 1.0) -> dict[str, torch.Tensor]:
    """Queries, keys and values of n tokens, rounded: they stand in messages.  size: of queries and keys."""
    generator = torch.Generator().manual_seed(seed)
    q, k, v = ((4 * torch.randn(n, d, generator=generator)).round() / 4 for _ in range(3))
    return {"q": size * q, "k": size * k, "v": v}


WEIGHT = "score.softmax(dim=1)"
NAIVE = "(score.exp() / score.exp().sum(dim=1, keepdim=True))"

ATTENTION_EXERCISE = Exercise(
    "attention",
    ("torch.nn.functional.scaled_dot_product_attention",),
    (head(1, 3, 2), head(2, 2, 4), head(3, 5, 3), head(4, 3, 2, size=16.0)),
    lambda rng: [],
    (
        ("the scale is missing: divide the scores by the root of d, or in wide heads one token gets all the weight", ATTENTION.replace(" / q.shape[1] ** 0.5", "")),
        ("the scale comes too late: divide the scores before the softmax, or the weights of a row don't add up to 1", ATTENTION.replace(" / q.shape[1] ** 0.5", "").replace(WEIGHT, f"({WEIGHT} / q.shape[1] ** 0.5)")),
        ("the scores are divided by d: divide by its root, which is about the size of a sum of d random products", ATTENTION.replace(" ** 0.5", "")),
        ("the scores are multiplied by the root of d: divide by it", ATTENTION.replace("/ q.shape[1]", "* q.shape[1]")),
        ("the scores are divided by the root of n, the number of tokens: d is the length of a query, q.shape[1]", ATTENTION.replace("shape[1]", "shape[0]")),
        ("the softmax runs down the columns: each row belongs to one query, and its weights add up to 1, so dim=1", ATTENTION.replace("dim=1", "dim=0")),
        ("the scores are transposed: row i belongs to query i and column j to key j, so q @ k.T", ATTENTION.replace("q @ k.T", "k @ q.T")),
        ("the weights are transposed: row i of the weights says what token i takes, so weights @ v", ATTENTION.replace(WEIGHT, WEIGHT + ".T")),
        ("these are the weights themselves: average the values with them, weights @ v", ATTENTION.replace(" @ v", "")),
        ("there's no softmax: raw scores can be negative, and a row of them doesn't add up to 1", ATTENTION.replace(WEIGHT, "score")),
        ("the keys are averaged: keys are for comparing, and values are what gets passed on", ATTENTION.replace("@ v", "@ k")),
        ("the queries are compared with one another: compare each query with every key", ATTENTION.replace("k.T", "q.T")),
        ("the weights of a row aren't divided by their sum: exp alone isn't a softmax", ATTENTION.replace(WEIGHT, "score.exp()")),
        ("exp of a large score overflows, and inf / inf is nan: call softmax, or subtract the largest score of each row first", ATTENTION.replace(WEIGHT, NAIVE)),
    ),
    (),
    adapter="tensors",
)  # fmt: skip


def cost(projections: str = "8 * n * D**2", mlp: str = "16 * n * D**2", attention: str = "4 * n**2 * D") -> str:
    """Code of an answer: the FLOPs of each part."""
    return (
        f'def block_cost(n, D):\n    return {{"projections": {projections}, "mlp": {mlp}, "attention": {attention}}}\n'
    )


BLOCK_COST = Exercise(
    "block_cost",
    ("minivjepa.transformer.block_flops", "minivjepa.transformer.linear_flops"),
    ({"n": 3, "D": 2}, {"n": 10, "D": 4}, {"n": 1568, "D": 1024}),
    lambda rng: [],
    (
        ("these are multiplications only: each comes with an addition, which doubles all three parts", cost("4 * n * D**2", "8 * n * D**2", "2 * n**2 * D")),
        ("the additions are missing in the attention itself: each of its two products costs 2 * n * n * D", cost(attention="2 * n**2 * D")),
        ("this counts three projections: besides query, key and value there's a fourth, at the end", cost(projections="6 * n * D**2")),
        ("the MLP has two matrices, D x 4 D and 4 D x D: this counts one", cost(mlp="8 * n * D**2")),
        ("the MLP is four times as wide inside: its matrices are D x 4 D and 4 D x D, not D x D", cost(mlp="4 * n * D**2")),
        ("n and D are swapped in all parts: matrices have D x D weights, and scores are n x n", cost("8 * D * n**2", "16 * D * n**2", "4 * D**2 * n")),
        ("n and D are swapped in the attention itself: there are n x n scores, and each takes D products", cost(attention="4 * n * D**2")),
        ("the projection at the end is counted with the attention itself: it's the fourth of the projections", cost(projections="6 * n * D**2", attention="4 * n**2 * D + 2 * n * D**2")),
        ("this is for a single token: there are n of them", cost("8 * D**2", "16 * D**2", "4 * n * D")),
        ("the count for the attention itself forgets that queries and values have D numbers", cost(attention="4 * n**2")),
    ),
    (),
)  # fmt: skip

EXERCISES = [ATTENTION_EXERCISE, BLOCK_COST]
