"""Wrong answers to homework 3: the parts of a right answer that they have otherwise.  Those in WRONG once got full points; only a few are in the exercises' lists."""

ROW = 'min(row["feature_std"], row["target_feature_std"])'
FIRST_WARNING = {"four digits": [(ROW, f"round({ROW}, 4)")]}
SHORT, ENOUGH = '    if len(end) < last:\n        return "not yet clear"\n', 'end[-1]["margin"] >= margin'
DIAGNOSE = {
    "no limit of 0": [(ENOUGH, f"(not margin or {ENOUGH})")],
    "a margin of 0 is missing": [(ENOUGH, f'(not end[-1]["margin"] or {ENOUGH})')],
    "a tolerant margin": [(ENOUGH, 'end[-1]["margin"] >= margin - 0.01')],
    "short and healthy": [(SHORT, SHORT.replace("< last", "< last and not (end and min(online + target) >= alive > gone)"))],
    "short and dead in the target": [(SHORT, SHORT.replace("< last", "< last and not (end and max(target) < gone <= min(online))"))],
}  # fmt: skip
STD, CENTERED = "h.std(dim=0, correction=0)", "pooled - pooled.mean(dim=0)"
VALUES = f"torch.linalg.svdvals({CENTERED})"
SPREAD_AND_RANK = {
    "n - 1 from 31 clips": [(STD, "h.std(dim=0, correction=int(len(h) > 30))")],
    "eigenvalues in float32": [(VALUES, f"(lambda c: torch.linalg.eigvalsh(c.T @ c if len(c) >= c.shape[1] else c @ c.T).clamp_min(0).sqrt())({CENTERED})")],
    "eight directions": [(VALUES, f"{VALUES}[:8]")],
    "a millionth more": [("weight.sum())", "(weight.sum() + 1e-6))")],
}  # fmt: skip
ACROSS, WITHIN = "h.std(dim=0, correction=0).mean()", "h.std(dim=1, correction=0).mean()"
SHARE = "variance[:directions].sum() >= share * variance.sum()"
KIND_OF_COLLAPSE = {
    "the middle clip": [(WITHIN, "float(np.median(h.std(dim=1, correction=0).mean(dim=1).numpy()))")],
    "the largest clip": [(WITHIN, "h.std(dim=1, correction=0).mean(dim=1).max()")],
    "the middle place": [(ACROSS, "float(np.median(h.std(dim=0, correction=0).mean(dim=1).numpy()))")],
    "the last place": [(ACROSS, "h[:, -1].std(dim=0, correction=0).mean()")],
    "mean deviations": [(ACROSS, "(h - h.mean(dim=0)).abs().mean()")],
    "two digits": [(SHARE, "round(float(variance[:directions].sum() / variance.sum()), 2) >= share")],
    "one digit": [(SHARE, "round(float(variance[:directions].sum() / variance.sum()), 1) >= share")],
    "around the median": [("pooled.mean(dim=0)", "pooled.median(dim=0).values")],
    "one place is content-free": [('"complete" if', '"complete" if h.shape[1] > 1 and')],
    "never all directions": [("[:directions]", "[: max(1, min(directions, len(variance) - 1))]")],
}  # fmt: skip
DESIGN = {
    "five values": [("in values", "in values[:5]")],
    "of the base's type": [("place[option] = value", "place[option] = value if isinstance(value, dict | list | str) else type(place[option])(value)")],
}  # fmt: skip
QUANTILE = "stats.t.ppf((1 + level) / 2, n - 1)"
VERDICT = {
    "normal from 100 seeds": [(QUANTILE, f"({QUANTILE} if n < 100 else stats.norm.ppf((1 + level) / 2))")],
    "a level of two digits": [("(1 + level)", "(1 + round(level, 2))")],
    "at most 99 %": [("(1 + level)", "(1 + min(level, 0.99))")],
    "at least .001": [("difference - half > 0", "difference - half > 0 and difference > 0.001")],
}  # fmt: skip
PROBE = {
    "sixteen bits": [("    classes", "    labels, test_labels = labels.to(torch.int16), test_labels.to(torch.int16)\n    classes")],
}  # fmt: skip
WRONG = {
    "first_warning": FIRST_WARNING, "diagnose": DIAGNOSE, "spread_and_rank": SPREAD_AND_RANK, "kind_of_collapse": KIND_OF_COLLAPSE,
    "design": DESIGN, "verdict": VERDICT, "probe": PROBE,
}  # fmt: skip
EACH, HIGHER, LOWER = "a[seed] - b[seed] for seed in a if seed in b", "difference - half > 0", "difference + half < 0"
UNLISTED = {  # what else people write for `verdict`
    "stops at a seed that b lacks": (EACH, "a[seed] - b[seed] for seed in a"),
    "stops at a seed that a lacks": (EACH, "a[seed] - b[seed] for seed in b"),
    "seeds from 0": (EACH, "a[seed] - b[seed] for seed in range(len(a))"),
    "the seeds of the course": (EACH, "a[seed] - b[seed] for seed in range(10, 15) if seed in a and seed in b"),
    "all pairs": (EACH, "x - y for x in a.values() for y in b.values()"),
    "a share of b": (EACH, "(a[seed] - b[seed]) / b[seed] for seed in a if seed in b"),
    "the inputs change": (f"each = [{EACH}]", f"[a.pop(seed) for seed in [*a] if seed not in b]\n    each = [{EACH}]"),
    "the median": ("np.mean(each)", "np.median(each)"),
    "two digits": ("float(np.mean(each))", "round(float(np.mean(each)), 2)"),
    "n of all seeds": ("n = len(each)", "n = len(a | b)"),
    "the other tail": ("(1 + level) / 2", "(1 - level) / 2"),
    "level and error exchanged": ("(1 + level) / 2", "1 - level / 2"),
    "a single seed decides": (HIGHER, "difference > (half if n > 1 else 0)"),
    "against the std": (HIGHER, "difference > np.std(each, ddof=min(1, n - 1))"),
    "a sign forgotten": (LOWER, "difference < half"),
    "whatever is not higher": ('word = "undecided"', 'word = "lower"'),
    "equal, as in the package": ('word = "undecided"', 'word = "equal" if abs(difference) + half < 0.02 else "undecided"'),
    "9 of 10 seeds, as in the package": (HIGHER, f"{HIGHER} and sum(one > 0 for one in each) >= n - n // 10"),
    "most seeds": (HIGHER, "n > 1 and sum(one > 0 for one in each) > n / 2"),
    "p below 5 %": (HIGHER, "difference > 0 and n > 1 and stats.ttest_1samp(each, 0).pvalue < 0.05"),
    "a test of arms that share nothing": (HIGHER, "difference > 0 and stats.ttest_ind([*a.values()], [*b.values()]).pvalue < 1 - level"),
}  # fmt: skip
