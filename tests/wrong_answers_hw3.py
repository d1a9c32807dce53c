"""Wrong answers to homework 3 that once got full points: the parts of a right answer that they have otherwise.  Only a few are in the exercises' lists."""

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
