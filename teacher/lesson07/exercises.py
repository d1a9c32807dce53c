"""Lesson 07: the cases of its exercises, and the mistakes that people make."""

from assignment import Exercise, Inputs


def arm(w: float, e: float, t: float, target: str, stop_gradient: bool) -> Inputs:
    """Inputs of `arm_gradient`."""
    return {"w": w, "e": e, "t": t, "target": target, "stop_gradient": stop_gradient}


def gradient(old: str = "", new: str = "") -> str:
    """Code of an answer, with `new` in place of `old`."""
    code = (
        "def arm_gradient(w, e, t, target, stop_gradient):\n"
        "    error = w * e - (t if target == 'ema' else e)\n"
        "    g_w, g_e, g_t = error * e, error * w, 0.0\n"
        "    if not stop_gradient and target == 'ema':\n        g_t = g_t - error\n"
        "    if not stop_gradient and target == 'online':\n        g_e = g_e - error\n"
        "    return g_w, g_e, g_t\n"
    )
    assert old in code, old
    return code.replace(old, new)


SWITCHES = [("ema", True), ("ema", False), ("online", True), ("online", False)]

ARM_GRADIENT = Exercise(
    "arm_gradient",
    (),
    tuple(arm(w, e, t, *switches) for w, e, t in ((0.5, 2.0, 3.0), (1.5, 0.5, -1.0)) for switches in SWITCHES),
    lambda rng: [],
    (
        (
            "the stop does nothing here: with stop_gradient=True, the target counts as a constant",
            gradient("not stop_gradient and ", ""),
        ),
        (
            "the target is always a constant here: with stop_gradient=False, the gradient also goes through it",
            gradient("not stop_gradient", "False"),
        ),
        (
            "the switch works upside down: stop_gradient=True stops the gradient",
            gradient("not stop_gradient", "stop_gradient"),
        ),
        (
            "the stop cuts off the encoder altogether: e still learns through the prediction w e, only the target is a constant",
            gradient("error * w, 0.0", "0.0 if stop_gradient else error * w, 0.0"),
        ),
        (
            "without the stop, what goes through the target ended in t in both arms: with 'online' the target is e, so add it to e's",
            gradient("g_e = g_e - error", "g_t = g_t - error"),
        ),
        (
            "without the stop, what goes through the target ended in e in both arms: with 'ema' the target is t, a weight of its own",
            gradient("g_t = g_t - error", "g_e = g_e - error"),
        ),
        (
            "without the stop, with 'online', what goes through the target is lost: it ends in e",
            gradient("g_e = g_e - error", "pass"),
        ),
        (
            "without the stop, with 'online', e learns through the prediction and through the target: add the two up",
            gradient("g_e = g_e - error", "g_e = -error"),
        ),
        (
            "the prediction is always compared with t: with 'online' the target is e",
            gradient("(t if target == 'ema' else e)", "t"),
        ),
        (
            "what goes through the target has the wrong sign: the error is w e minus the target, so its slope there is -1",
            gradient("- error\n", "+ error\n"),
        ),
        (
            "this is the update, minus the gradient: return the gradient",
            gradient("return g_w, g_e, g_t", "return -g_w, -g_e, -g_t"),
        ),
        (
            "this is twice the gradient: the loss is half of the squared error",
            gradient("return g_w, g_e, g_t", "return 2 * g_w, 2 * g_e, 2 * g_t"),
        ),
        (
            "w and e have changed places: the slope of w e along w is e, and along e it's w",
            gradient("error * e, error * w", "error * w, error * e"),
        ),
        (
            "the chain rule is missing: the slope of w e along w is e, and along e it's w",
            gradient("error * e, error * w", "error, error"),
        ),
    ),
    (),
)


def seeds(differences: list[float], spread: float = 0.1) -> Inputs:
    """Two arms with these differences.  Seeds differ by more than arms do; each has one that the other lacks; none lists them in order."""
    start = 10
    levels = [round(0.3 + spread * ((7 * n) % 5), 3) for n in range(len(differences))]
    b = {start + n: level for n, level in enumerate(levels)}
    a = {start + n: round(level + d, 3) for n, (level, d) in enumerate(zip(levels, differences))}
    a = dict(sorted({**a, start - 1: 0.5}.items(), key=lambda item: item[0] % 3))
    factor = {4: 3.182, 5: 2.776, 10: 2.262}[len(differences)]
    return {"a": a, "b": dict(sorted({**b, start + len(b): 0.9}.items(), reverse=True)), "factor": factor}


VERDICT = """    if low > 0 and (d > 0).sum() >= 0.9 * n:
        verdict = "above"
    elif high < 0 and (d < 0).sum() >= 0.9 * n:
        verdict = "below"
    elif -0.02 <= low and high <= 0.02:
        verdict = "equal"
    else:
        verdict = "undecided"
"""


def compared(old: str = "", new: str = "") -> str:
    """Code of an answer, with `new` in place of `old`."""
    code = (
        "def paired_verdict(a, b, factor):\n"
        "    shared = sorted(a.keys() & b.keys())\n    n = len(shared)\n"
        "    x = torch.tensor([a[seed] for seed in shared], dtype=torch.float64)\n"
        "    y = torch.tensor([b[seed] for seed in shared], dtype=torch.float64)\n"
        "    d = x - y\n    std = d.std()\n    half = factor * std / n**0.5\n"
        "    low, high = float(d.mean() - half), float(d.mean() + half)\n"
        f"{VERDICT}    return d.tolist(), low, high, verdict\n"
    )
    assert old in code, old
    return code.replace(old, new)


PAIRED_VERDICT = Exercise(
    "paired_verdict",
    ("minivjepa.evaluation.statistics.paired",),
    (
        seeds([0.1, 0.12, 0.06, 0.09, 0.11]),  # above
        seeds([-0.2, -0.12, -0.15, -0.1]),  # below
        seeds([0.1, 0.12, 0.11, 0.1, -0.002], 0.02),  # one of five disagrees
        seeds([-0.1, -0.12, -0.11, -0.1, 0.002], 0.02),
        seeds([0.06, 0.05, 0.07, 0.06, 0.04, 0.05, 0.06, -0.01, 0.05, 0.06]),  # one of ten
        seeds([-0.06, -0.05, -0.07, -0.06, -0.04, -0.05, -0.06, 0.01, -0.05, -0.06], 0.05),
        seeds([0.004, -0.003, 0.008, -0.006, 0.002]),  # equal
        seeds([0.02, -0.02, 0.015, -0.01]),  # near 0, but not near enough
        seeds([0.01, 0.012, 0.008, 0.011, 0.009]),  # small, and above
        seeds([0.3, 0.01, 0.02, 0.02]),  # all agree, but the interval holds 0
        seeds([-0.3, -0.01, -0.02, -0.02]),
    ),
    lambda rng: [],
    (
        (
            "values were paired in the order in which they are listed: pair them by seed",
            compared("[b[seed] for seed in shared]", "list(b.values())[:n]"),
        ),
        (
            "the differences are in the order in which a lists its seeds: put the seeds in increasing order",
            compared("sorted(a.keys() & b.keys())", "[seed for seed in a if seed in b]"),
        ),
        (
            "the differences are b - a: the question is how far a is above b",
            compared("x - y", "y - x"),
        ),
        (
            "the interval is that of two separate groups: take the standard deviation of the differences, in which what a seed does to both arms is gone",
            compared("d.std()", "(x.var() + y.var()).sqrt()"),
        ),
        (
            "this interval says where single differences lie: that of their mean is narrower, by the root of n",
            compared(" / n**0.5", ""),
        ),
        (
            "the standard deviation divides by n: divide by n - 1, as torch does unless you pass correction=0",
            compared("d.std()", "d.std(correction=0)"),
        ),
        (
            "this divides by n: divide the standard deviation by its square root",
            compared("n**0.5", "n"),
        ),
        (
            "factor isn't used: half the interval is factor times the standard deviation over the root of n",
            compared("factor * std", "std"),
        ),
        (
            "only the interval decides here: for above and below, nine seeds in ten must agree, too",
            compared(" and (d > 0).sum() >= 0.9 * n", "").replace(" and (d < 0).sum() >= 0.9 * n", ""),
        ),
        (
            "for below, only the interval decides here: nine seeds in ten must be negative, too",
            compared(" and (d < 0).sum() >= 0.9 * n", ""),
        ),
        (
            "for below, only the interval's low end is looked at: its high end must lie under 0, too",
            compared("high < 0 and", "low < 0 and"),
        ),
        (
            "here all seeds must agree: one in ten may differ",
            compared(">= 0.9 * n", "== n"),
        ),
        (
            "only the seeds decide here: the whole interval must lie on one side of 0, too",
            compared("low > 0 and ", "").replace("high < 0 and ", ""),
        ),
        (
            "equal comes first here: ask for above and below before",
            compared("if low > 0", "if -0.02 <= low and high <= 0.02:\n        verdict = 'equal'\n    elif low > 0"),
        ),
        (
            "equal comes too easily here: the whole interval, not only the mean, must lie within .02 of 0",
            compared("-0.02 <= low and high <= 0.02", "abs(float(d.mean())) <= 0.02"),
        ),
        (
            "the verdict equal is missing",
            compared('        verdict = "equal"', '        verdict = "undecided"'),
        ),
    ),
    (),
)

EXERCISES = [ARM_GRADIENT, PAIRED_VERDICT]
