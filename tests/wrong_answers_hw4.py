"""What else people may write for homework 4: the part of a right answer that they have otherwise.  None of these is in the exercises' lists."""

FREQUENCY, PRODUCT = "base ** -(torch.arange(pairs) / pairs)", "(places[:, None, :] * frequency[:, None]).flatten(1)"
ANGLES_OF = {
    "the base of e": ("base **", "math.e **"), "the base squared": ("base **", "base**2 **"), "the root of the base": ("base **", "base**0.5 **"),
    "divided by pairs + 1": ("/ pairs)", "/ (pairs + 1))"), "whole powers": (FREQUENCY, "base ** -torch.arange(pairs).float()"),
    "a line of frequencies": (FREQUENCY, "1 - torch.arange(pairs) / pairs * (1 - 1 / base)"), "one over the number": (FREQUENCY, "1.0 / (1 + torch.arange(pairs))"),
    "half precision": (FREQUENCY, "(base ** -(torch.arange(pairs) / pairs)).half().float()"), "rounded frequencies": (FREQUENCY, "(base ** -(torch.arange(pairs) / pairs)).round(decimals=3)"),
    "places rounded": ("places[", "places.round()["), "places from the smallest": ("(places[:, None, :]", "((places - places.amin(dim=0))[:, None, :]"),
    "places scaled to 1": ("(places[:, None, :]", "((places / places.abs().amax())[:, None, :]"), "within a turn": ("return ", "return (2 * math.pi) % "),
    "remainder": (PRODUCT, f"torch.remainder({PRODUCT}, 2 * math.pi)"), "degrees": (PRODUCT, f"({PRODUCT}).rad2deg()"), "last axis first": ("places[:, None, :]", "places.flip(1)[:, None, :]"),
    "two axes only": ("places[:, None, :]", "places[:, None, :2]"), "tokens and pairs exchanged": (".flatten(1)", ".flatten(1).T"), "cosines": (PRODUCT, f"({PRODUCT}).cos()"),
    "at most 1000": ("base **", "min(base, 1000.0) **"), "at least 10": ("base **", "max(base, 10.0) **"),
    "numbers clipped": ("places[", "places.clamp(-16, 16)["), "no negative": ("places[", "places.clamp_min(0)["),
}  # fmt: skip
TURN_PAIRS = {
    "r of x": ("angles.shape[1]", "x.shape[-1] // 2"), "r of tokens": ("angles.shape[1]", "min(angles.shape[1], angles.shape[0])"), "the last numbers": ("x[..., r : 2 * r], x[..., 2 * r :]", "x[..., -r:], x[..., r:-r]"),
    "last token's angles": ("angles.cos(), angles.sin()", "angles[-1:].cos(), angles[-1:].sin()"), "mean angle": ("angles.cos(), angles.sin()", "angles.mean(dim=1, keepdim=True).cos(), angles.mean(dim=1, keepdim=True).sin()"),
    "first pair's angle": ("angles.cos(), angles.sin()", "angles[:, :1].cos(), angles[:, :1].sin()"), "half the angle": ("angles.cos(), angles.sin()", "(angles / 2).cos(), (angles / 2).sin()"),
    "angles reversed": ("angles.cos(), angles.sin()", "angles.flip(0).cos(), angles.flip(0).sin()"), "pairs reversed": ("angles.cos(), angles.sin()", "angles.flip(1).cos(), angles.flip(1).sin()"),
    "halves exchanged": ("[a * cos - b * sin, a * sin + b * cos, still]", "[a * sin + b * cos, a * cos - b * sin, still]"), "rest first": ("[a * cos - b * sin, a * sin + b * cos, still]", "[still, a * cos - b * sin, a * sin + b * cos]"),
    "plus": ("a * cos - b * sin", "a * cos + b * sin"), "only the first half": ("a * sin + b * cos", "b"), "only the second half": ("a * cos - b * sin", "a"),
    "no negative angles": ("angles.cos(), angles.sin()", "angles.cos(), angles.abs().sin()"), "lengths kept to 1": ("a * cos - b * sin, a * sin + b * cos", "(a * cos - b * sin) / (a**2 + b**2).sqrt(), (a * sin + b * cos) / (a**2 + b**2).sqrt()"),
    "small angles": ("angles.cos(), angles.sin()", "1 - angles**2 / 2, angles"), "rest turned by 0 of the last": ("still]", "-still]"), "whole numbers": ("    r = ", "    x = x.round()\n    r = "),
    "in place on a": ("    cos, sin", "    x[..., :r] = a * 1.001\n    cos, sin"), "the input comes back": ("return torch.cat", "return x if x.ndim > 4 else torch.cat"),
    "heads only": ("angles.cos(), angles.sin()", "(angles.cos()[None], angles.sin()[None]) if x.ndim == 3 else (angles.cos()[:, None], angles.sin()[:, None]) if x.ndim > 3 else (angles.cos(), angles.sin())"),
}  # fmt: skip
KEY, LARGEST = "tuple(b - a for a, b in zip(here, there))", "max(max(group) - min(group) for group in groups.values())"
OFFSET_SPREAD = {
    "largest axis": (KEY, "max(b - a for a, b in zip(here, there))"), "city distance": (KEY, "sum(abs(b - a) for a, b in zip(here, there))"), "product": (KEY, "math.prod(b - a for a, b in zip(here, there))"),
    "set of numbers": (KEY, "frozenset(b - a for a, b in zip(here, there))"), "sorted numbers": (KEY, "tuple(sorted(b - a for a, b in zip(here, there)))"), "first two": (KEY, "tuple(b - a for a, b in zip(here, there))[:2]"),
    "sums of places": (KEY, "tuple(b + a for a, b in zip(here, there))"), "both places": (KEY, "(tuple(here), tuple(there))"), "index for repeated": (KEY, "(j - i, here == there)"),
    "code in base 10": (KEY, "sum((b - a) * 2**k for k, (a, b) in enumerate(zip(here, there)))"), "middle": (LARGEST, "sorted(max(g) - min(g) for g in groups.values())[len(groups) // 2]"),
    "smallest": (LARGEST, "min(max(g) - min(g) for g in groups.values())"), "sum": (LARGEST, "sum(max(g) - min(g) for g in groups.values())"), "variance": (LARGEST, "float(max(np.var(g) for g in groups.values()))"),
    "last minus first": (LARGEST, "max(abs(g[-1] - g[0]) for g in groups.values())"), "signed": (LARGEST, "max(g[0] - g[-1] for g in groups.values())"), "relative": (LARGEST, "max((max(g) - min(g)) / (abs(max(g)) + 1) for g in groups.values())"),
    "from the mean": (LARGEST, "float(max(max(abs(x - np.mean(g)) for x in g) for g in groups.values()))"), "two first": (LARGEST, "max([abs(g[0] - g[1]) for g in groups.values() if len(g) > 1], default=0.0)"),
    "true or false": (LARGEST, f"({LARGEST}) > 1e-6"), "of the mean scores": (LARGEST, "float(max(np.mean(g) for g in groups.values()) - min(np.mean(g) for g in groups.values()))"),
    "absolute scores": ("float(scores[i, j])", "abs(float(scores[i, j]))"), "rounded": ("float(scores[i, j])", "round(float(scores[i, j]))"),
    "below the diagonal only": ("            offset", "            if i < j:\n                continue\n            offset"), "not to its own place": ("            offset", "            if here == there and i != j:\n                continue\n            offset"),
    "each place once": ("where = places.tolist()", "where = [list(p) for p in dict.fromkeys(map(tuple, places.tolist()))]"), "larger groups only": (LARGEST, "max([max(g) - min(g) for g in groups.values() if len(g) > 2], default=0.0)"),
}  # fmt: skip
P_VALUE = "min(1.0, 2 * sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1)) / 2**n)"
DUEL = {
    "b's count": ("range(min(only_a, only_b) + 1)", "range(only_b + 1)"), "from m up": ("range(min(only_a, only_b) + 1)", "range(max(only_a, only_b), n + 1)[1:]"), "normal, continuity": (P_VALUE, "min(1.0, float(2 * stats.norm.sf((abs(only_a - only_b) - 1) / max(n, 1) ** 0.5)))"),
    "doubled pmf": (P_VALUE, "min(1.0, 2 * math.comb(n, min(only_a, only_b)) / 2**n)"), "three digits": (P_VALUE, f"round({P_VALUE}, 3)"), "n 0 is p 0": (P_VALUE, f"{P_VALUE} if n else 0.0"), "n 0 is nan": (P_VALUE, f"{P_VALUE} if n else math.nan"),
    "sign test with ties halved": ("n = only_a + only_b", "n = only_a + only_b + sum(a[k] == b[k] for k in a if k in b) % 2"), "p at most .999": ("min(1.0,", "min(0.999,"), "wilcoxon by rank": (P_VALUE, "float(stats.binomtest(only_a, max(n, 1), 0.5, 'greater').pvalue)"),
    "two-sided chi": (P_VALUE, "float(stats.chi2.sf(abs(only_a - only_b), 1))"), "too few by m": ("2 / 2**n >= alpha", "2 / 2**min(only_a, only_b) >= alpha"), "too few > alpha": ("2 / 2**n >= alpha", "2 / 2**n > alpha"), "one tail too few": ("2 / 2**n >= alpha", "1 / 2**n >= alpha"),
    "fewer than six": ("2 / 2**n >= alpha", "n < 6"), "fewer than five": ("2 / 2**n >= alpha", "n < 5"), "too few unless decided": ('word = "too few"', 'word = "too few" if p > 0.5 else word'), "undecided first": ("2 / 2**n >= alpha", "2 / 2**n >= alpha and p < 1"),
    "winner by all": ('"a" if only_a > only_b', '"a" if sum(a.values()) > sum(b.values())'), "winner by rate": ('"a" if only_a > only_b', '"a" if sum(a.values()) / len(a) > sum(b.values()) / len(b)'), "always a": ('"a" if only_a > only_b else "b"', '"a"'), "capital": ('"undecided"', '"equal"'),
    "alpha half": ("p < alpha", "p < alpha / 2"), "p below alpha by one tail": ("p < alpha", "p / 2 < alpha"), "at least two more": ("p < alpha", "p < alpha and abs(only_a - only_b) > 6"), "pairs of a missing in b as lost": ("for pair in a if pair in b)\n    only_b", "for pair in a if pair in b) + sum(a[pair] for pair in a if pair not in b)\n    only_b"),
    "sorted zip": ("sum(a[pair] and not b[pair] for pair in a if pair in b)", "sum(a[x] and not b[y] for x, y in zip(sorted(a), sorted(b)))"), "from 0": ("for pair in a if pair in b)\n    only_b", "for pair in range(len(a)) if pair in a and pair in b)\n    only_b"), "pops": ("    n = only_a", "    a.clear()\n    n = only_a"),
}  # fmt: skip
NEAREST, BEST = "distance.amin(dim=1)", "distance.amin(dim=1).argsort(stable=True)[:elites]"
CEM_ROUND = {
    "noise clipped": ("spread * noise).clamp(-1, 1)", "spread * noise.clamp(-1, 1))"), "clipped to the mean": (".clamp(-1, 1), mean", ".clamp(mean.min(), mean.max()), mean"), "clipped below only": (".clamp(-1, 1)", ".clamp(min=-1)"), "clipped by length": (".clamp(-1, 1)", ".renorm(2, 0, 1.0)"),
    "tanh": ("(mean + spread * noise).clamp(-1, 1)", "(mean + spread * noise).tanh()"), "variance for spread": ("spread * noise", "spread**2 * noise"), "root of spread": ("spread * noise", "spread.sqrt() * noise"), "without the mean": ("(mean + spread * noise)", "(spread * noise)"), "minus noise": ("mean + spread", "mean - spread"),
    "first step": (NEAREST, "distance[:, 0]"), "sum": (NEAREST, "distance.sum(dim=1)"), "median": (NEAREST, "distance.median(dim=1).values"), "last two": (NEAREST, "distance[:, -2:].amin(dim=1)"), "largest axis": (".sum(dim=2)", ".amax(dim=2)"), "first axis": (".sum(dim=2)", "[..., 0]"), "discounted": (NEAREST, "(distance * 1.3 ** torch.arange(distance.shape[1])).amin(dim=1)"),
    "goal negative": ("- goal)", "+ goal)"), "steps reversed": ("plans.cumsum(dim=1)", "plans.flip(1).cumsum(dim=1)"), "cumulative mean": ("plans.cumsum(dim=1)", "(plans.cumsum(dim=1) / (1 + torch.arange(plans.shape[1]))[:, None])"), "guess without cost": (BEST, "distance[:-1].amin(dim=1).argsort(stable=True)[: elites - 1].tolist() + [len(plans) - 1]"),
    "guess twice": (", mean[None]])", ", mean[None], mean[None]])"), "median elites": ("best.mean(dim=0)", "best.median(dim=0).values"), "weighted": ("best.mean(dim=0)", "(best * torch.arange(len(best), 0, -1)[:, None, None]).sum(dim=0) / sum(range(len(best) + 1))"), "one fewer": ("[:elites]", "[: max(1, elites - 1)]"),
    "mean of keep": ("keep * mean", "keep * mean.mean()"), "no spread below .05": ("best.std(dim=0, correction=0)", "best.std(dim=0, correction=0).clamp_min(0.05)"), "spread over steps": ("best.std(dim=0, correction=0)", "best.std(dim=(0, 1), correction=0)"), "mean deviation": ("best.std(dim=0, correction=0)", "(best - best.mean(dim=0)).abs().mean(dim=0)"),
    "spread of all": ("best.std(dim=0, correction=0)", "plans.std(dim=0, correction=0)"), "mixed variances": ("keep * spread + (1 - keep) * best.std(dim=0, correction=0)", "(keep * spread**2 + (1 - keep) * best.var(dim=0, correction=0)).sqrt()"), "keep squared": ("keep * mean", "keep**2 * mean"), "keep of elites + old": ("(1 - keep) * best.mean", "best.mean"),
    "mean clipped in": ("    best =", "    mean = mean.clamp(-0.5, 0.5)\n    best ="), "in place": ("    best =", "    mean.mul_(1.0).add_(0.001)\n    best ="),
}  # fmt: skip
SQUARES = "(angle.cos().mean(dim=0) - wanted) ** 2 + angle.sin().mean(dim=0) ** 2"
INTEGRAL = "torch.trapezoid((gap - chance) * wanted, t)"
SHADOW_GAPS = {
    "first direction for all": ("return ", "gap = gap[:1].expand_as(gap)\n    return "), "length 1 by L1": ("directions.norm(dim=0)", "directions.abs().sum(dim=0)"), "squared length": ("directions.norm(dim=0)", "directions.norm(dim=0) ** 2"), "largest": ("directions.norm(dim=0)", "directions.abs().amax(dim=0)"), "points normalised": ("(z @", "(F.normalize(z, dim=1) @"),
    "root": ("len(z)", "len(z) ** 0.5"), "D for n": ("len(z)", "z.shape[1]"), "two for one": ("(1 - torch.exp", "(2 - torch.exp"), "added": ("gap - chance", "gap + chance"), "chance of the cosine only": ("(1 - torch.exp(-(t**2))) / len(z)", "((1 + torch.exp(-2 * t**2)) / 2 - torch.exp(-(t**2))) / len(z)"), "below 0 cut": ("(gap - chance)", "(gap - chance).clamp_min(0)"),
    "result below 0 cut": (INTEGRAL, f"{INTEGRAL}.clamp_min(0)"), "absolute": (INTEGRAL, f"{INTEGRAL}.abs()"), "weight normalised": (INTEGRAL, f"{INTEGRAL} / torch.trapezoid(wanted, t)"), "right ends": (INTEGRAL, "(((gap - chance) * wanted)[:, 1:] * t.diff()).sum(dim=1)"), "Simpson": (INTEGRAL, "torch.from_numpy(__import__('scipy.integrate').integrate.simpson(((gap - chance) * wanted).numpy(), x=t.numpy()))"),
    "from -t to t": (INTEGRAL, "torch.trapezoid((gap - chance) * wanted, t) * 2"), "by the range": (INTEGRAL, f"{INTEGRAL} / (t[-1] - t[0])"), "t positive": ("wanted = torch.exp(-(t**2) / 2)", "t = t.abs()\n    wanted = torch.exp(-(t**2) / 2)"), "1 / sqrt(2 pi)": ("(gap - chance) * wanted", "(gap - chance) * wanted / math.sqrt(2 * math.pi)"), "sin to wanted": ("angle.sin().mean(dim=0) ** 2", "(angle.sin().mean(dim=0) - wanted) ** 2"),
    "sin wrong sign": ("wanted) ** 2 + angle", "wanted) ** 2 - angle"), "sum of points": (SQUARES, "(angle.cos().sum(dim=0) - wanted) ** 2 + angle.sin().sum(dim=0) ** 2"), "median": ("angle.cos().mean(dim=0)", "angle.cos().median(dim=0).values"), "2 pi": ("[..., None] * t", "[..., None] * t * 2 * math.pi"), "unit width": ("    wanted", "    angle = angle / (z @ directions).std()\n    wanted") , "chance by m": ("len(z)", "len(t)"),
    "chance of K": ("len(z)", "directions.shape[1]"), "no square in exp": ("torch.exp(-(t**2) / 2)", "torch.exp(-t.abs() / 2)"), "e of t squared over 2 n": ("(1 - torch.exp(-(t**2)))", "(1 - torch.exp(-2 * t**2))"),
}  # fmt: skip
ERROR, PENALTY = "((guess - z[:, 1:]) ** 2).mean()", "torch.trapezoid((gap - chance) * wanted, t).mean()"
ONE_TERM = {
    "half": (ERROR, "0.5 * ((guess - z[:, 1:]) ** 2).mean()"), "root": (ERROR, "((guess - z[:, 1:]) ** 2).mean().sqrt()"), "per clip norm": (ERROR, "(guess - z[:, 1:]).norm(dim=-1).mean()"), "smooth": (ERROR, "F.smooth_l1_loss(guess, z[:, 1:])"), "last only": (ERROR, "((guess[:, -1] - z[:, -1]) ** 2).mean()"), "first only": (ERROR, "((guess[:, 0] - z[:, 1]) ** 2).mean()"), "reversed": ("guess -", "guess.flip(1) -"), "cosine": (ERROR, "1 - F.cosine_similarity(guess, z[:, 1:], dim=-1).mean()"),
    "sum over times": (ERROR, "((guess - z[:, 1:]) ** 2).mean(dim=(0, 2)).sum()"), "normalised target": ("guess - z[:, 1:]", "guess - F.layer_norm(z[:, 1:], z.shape[-1:])"), "penalty at time 0": ("angle = (z @", "z = z[:, :1]\n    angle = (z @"), "penalty of the last": ("angle = (z @", "z = z[:, -1:]\n    angle = (z @"), "largest direction": (PENALTY, "torch.trapezoid((gap - chance) * wanted, t).amax(dim=-1).mean()"), "largest time": (PENALTY, "torch.trapezoid((gap - chance) * wanted, t).mean(dim=-1).amax()"),
    "sum over directions": (PENALTY, "torch.trapezoid((gap - chance) * wanted, t).sum(dim=-1).mean()"), "squared": (PENALTY, f"{PENALTY} ** 2"), "absolute": (PENALTY, f"{PENALTY}.abs()"), "weight and rest": ("error + weight", "(1 - weight) * error + weight"), "weight squared": ("+ weight *", "+ weight**2 *"), "chance of times": ("len(z)", "(len(z) * z.shape[1])"), "chance of guess": ("len(z)", "guess.shape[1]"), "both guess and latents": ("angle = (z @", "z = torch.cat([z, guess], dim=1)\n    angle = (z @"),
    "centered": ("angle = (z @", "z = z - z.mean(dim=0)\n    angle = (z @"), "centered target detached mean": ("guess - z[:, 1:]", "guess - z[:, 1:] + z.mean().detach() - z.mean()"), "directions detached": ("    angle =", "    directions = directions.detach()\n    angle ="), "chance as of two clips": (" / len(z)", " / max(2, len(z))"), "half of the target's gradient": ("guess - z[:, 1:]", "guess - (z[:, 1:] + z[:, 1:].detach()) / 2"),
    "penalty without gradient of cos": ("angle.cos()", "angle.detach().cos()"), "without gradient of sin": ("angle.sin()", "angle.detach().sin()"), "times alternate": ("angle = (z @", "z = z[:, ::2]\n    angle = (z @"),
}  # fmt: skip
WRONG = {
    "angles_of": ANGLES_OF, "turn_pairs": TURN_PAIRS, "offset_spread": OFFSET_SPREAD, "duel": DUEL, "cem_round": CEM_ROUND,
    "shadow_gaps": SHADOW_GAPS, "one_term": ONE_TERM,
}  # fmt: skip
