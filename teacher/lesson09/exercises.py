"""Lesson 09: the cases of its exercises, and the mistakes that people make."""

import torch
from assignment import Exercise

RETRIEVE = """def retrieve(features, query, k):
    distance = (features - features[query]).norm(dim=1)
    distance[query] = float("inf")
    return distance.topk(k, largest=False).indices
"""
NORM = "(features - features[query]).norm(dim=1)"
LEFT_OUT = '    distance[query] = float("inf")\n'
CLIPS = torch.tensor([[0.75, 1.75], [8, 8], [1, 4.25], [4, 0.5], [2, 3], [9, -6], [-5, 1], [2, 1]])
TWINS = torch.tensor(
    [[2.0, 0, 1], [0, 3, 0], [2, 0, 1], [2, 0.5, 1], [-6, 0, 9], [2, 4, 1], [2, -1, 1]]
)  # 0 and 2 are alike

RETRIEVE_EXERCISE = Exercise(
    "retrieve",
    (),  # the package counts neighbors, and doesn't say which they are
    (
        {"features": CLIPS, "query": 4, "k": 3},
        {"features": TWINS, "query": 2, "k": 3},
        {"features": CLIPS, "query": 0, "k": 4},
        {"features": TWINS[1:], "query": 2, "k": 2},
    ),
    lambda rng: [],
    (
        ("the query is among its own neighbors: it's at distance 0 from itself, so leave it out", RETRIEVE.replace(LEFT_OUT, "")),
        (
            "the first of the sorted clips is left out, and it need not be the query: another clip may have the same features. "
            "Leave out the query by its number",
            RETRIEVE.replace(LEFT_OUT, "").replace("distance.topk(k, largest=False).indices", "distance.argsort(stable=True)[1 : k + 1]"),
        ),
        (
            "every clip at distance 0 is left out, but another clip may have the query's features: leave out the query only, by its number",
            RETRIEVE.replace("distance[query]", "distance[distance == 0]"),
        ),
        (
            "once the query's row is gone, each clip behind it has a number that's one too small: set the query's distance to infinity instead",
            "def retrieve(features, query, k):\n    others = torch.cat([features[:query], features[query + 1 :]])\n"
            "    return (others - features[query]).norm(dim=1).topk(k, largest=False).indices\n",
        ),
        ("these are the farthest clips: the smallest distances win, with largest=False", RETRIEVE.replace('"inf"', '"-inf"').replace("largest=False", "largest=True")),
        ("these are distances: return the numbers of the clips, which topk calls indices", RETRIEVE.replace(".indices", ".values")),
        ("these are the right clips in the order of their numbers: put the nearest first", RETRIEVE.replace(".indices", ".indices.sort().values")),
        ("the farthest of the k comes first: put the nearest first", RETRIEVE.replace(".indices", ".indices.flip(0)")),
        ("these have the largest dot products with the query, which favors long vectors: take Euclidean distances", RETRIEVE.replace(NORM, "-features @ features[query]")),
        (
            "these have the smallest angles to the query, whatever their length: take Euclidean distances",
            RETRIEVE.replace(NORM, "-torch.cosine_similarity(features, features[query][None])"),
        ),
        ("these distances are sums of absolute differences: take Euclidean ones, the root of the sum of squares", RETRIEVE.replace(NORM, "(features - features[query]).abs().sum(dim=1)")),
        ("positive and negative differences cancel: square them before you add them up", RETRIEVE.replace(NORM, "(features - features[query]).sum(dim=1).abs()")),
    ),
    (),
)  # fmt: skip

KNN = """def knn(features, labels, queries, k):
    nearest = torch.cdist(queries, features).topk(k, largest=False).indices
    votes = torch.nn.functional.one_hot(labels[nearest]).sum(dim=1)
    return votes.argmax(dim=1)
"""
COUNT = "    votes = torch.nn.functional.one_hot(labels[nearest]).sum(dim=1)\n    return votes.argmax(dim=1)\n"
DISTANCES = "torch.cdist(queries, features)"


def voted(votes: str) -> str:
    """Code of an answer that ends differently once the nearest are known."""
    return KNN.replace(COUNT, f"    return {votes}\n")


LINE = torch.tensor([[0.0, 0], [1, 0], [2.25, 0], [3.75, 0], [6, 0], [8.5, 0], [11, 0]])
LINE_LABELS = torch.tensor([4, 2, 4, 2, 1, 0, 0])
PLANE = torch.tensor([[1.0, 1], [2, 1], [1, 3], [6, 6], [7, 5], [-4, 0.5], [-5, 2], [12, 9], [0.5, -3]])
PLANE_LABELS = torch.tensor([3, 0, 3, 1, 1, 2, 2, 1, 0])

KNN_EXERCISE = Exercise(
    "knn",
    ("minivjepa.evaluation.probes.knn_accuracy",),
    (
        {"features": LINE, "labels": LINE_LABELS, "queries": torch.tensor([[0.25, 0.0], [7.5, 0.0], [2.5, 0.0], [5.5, 0.0]]), "k": 3},
        {"features": LINE, "labels": LINE_LABELS, "queries": torch.tensor([[0.125, 0.0], [4.5, 0.0], [9.0, 0.0], [1.5, 0.0]]), "k": 4},
        {"features": PLANE, "labels": PLANE_LABELS, "queries": torch.tensor([[1.0, 1.5], [5.0, 4.0], [-3.0, 0.0], [1.0, -1.0], [2.0, 6.5]]), "k": 3},
        {"features": PLANE, "labels": PLANE_LABELS, "queries": PLANE[:4] + torch.tensor([0.25, 0.0]), "k": 1},
        {"features": LINE, "labels": LINE_LABELS, "queries": LINE[:4], "k": 2},
    ),
    lambda rng: [],
    (
        ("labels are averaged, but a 2 and a 4 don't make a 3: count the votes for each label", voted("labels[nearest].float().mean(dim=1).round().long()")),
        ("this is the middle label, but labels have no order: count the votes for each of them", voted("labels[nearest].median(dim=1).values")),
        ("only the nearest clip votes: let all k of them vote", voted("labels[nearest[:, 0]]")),
        ("these are all the votes: count them, and return one label per query", voted("labels[nearest]")),
        ("these are numbers of clips: look up their labels, labels[nearest]", voted("nearest[:, 0]")),
        ("these are the votes that the winner got: return the winner's label", KNN.replace("argmax(dim=1)", "amax(dim=1)")),
        ("the farthest clips vote: take the smallest distances, with largest=False", KNN.replace("largest=False", "largest=True")),
        (
            "queries and training clips are swapped: find the nearest training clips of each query, torch.cdist(queries, features)",
            KNN.replace("(queries, features)", "(features, queries)"),
        ),
        (
            "the nearest clip is left out, as if it were the query itself: queries aren't among the training clips here",
            KNN.replace(".topk(k, largest=False).indices", ".topk(k + 1, largest=False).indices[:, 1:]"),
        ),
        ("a tie goes to the largest label: the smallest wins", voted("(labels.max() - torch.nn.functional.one_hot(labels.max() - labels[nearest]).sum(dim=1).argmax(dim=1))")),
        (
            "a tie goes to the label that's met first, from the nearest clip on: the smallest label wins",
            "def knn(features, labels, queries, k):\n    nearest = torch.cdist(queries, features).topk(k, largest=False).indices\n"
            "    lists = labels[nearest].tolist()\n    return torch.tensor([max(votes, key=votes.count) for votes in lists])\n",
        ),
        (
            "near clips count more than far ones here: every one of the k has the same vote",
            "def knn(features, labels, queries, k):\n    far, nearest = torch.cdist(queries, features).topk(k, largest=False)\n"
            "    votes = torch.nn.functional.one_hot(labels[nearest]) / (far[..., None] + 1e-6)\n    return votes.sum(dim=1).argmax(dim=1)\n",
        ),
        ("these have the largest dot products with the queries, which favors long vectors: take Euclidean distances", KNN.replace(DISTANCES, "(-queries @ features.T)")),
        (
            "these have the smallest angles to the queries, whatever their length: take Euclidean distances",
            KNN.replace(DISTANCES, "(-torch.cosine_similarity(queries[:, None], features[None], dim=2))"),
        ),
        ("these distances are sums of absolute differences: take Euclidean ones, as torch.cdist does by itself", KNN.replace("(queries, features)", "(queries, features, p=1)")),
    ),
    (),
)  # fmt: skip

EXERCISES = [RETRIEVE_EXERCISE, KNN_EXERCISE]
