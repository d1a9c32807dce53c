"""EMA, the objective and the collapse metrics: small formulas, each against a second way to get it."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from minivjepa.collapse import effective_rank, feature_std, margin, position_std, rankme, token_metrics
from minivjepa.data.digits import DigitClips
from minivjepa.ema import ema_update, half_life, momentum_at, target_copy
from minivjepa.objective import latent_distance, normalise_targets, sigreg, vicreg_terms
from minivjepa.training.config import PRESETS
from minivjepa.vjepa import ARMS
from minivjepa_course.tiny import train_tiny


class Numbers(nn.Module):
    """A module that is only its parameters."""

    def __init__(self, *values: float):
        super().__init__()
        self.x = nn.Parameter(torch.tensor(values, dtype=torch.float64))


@given(st.floats(0, 1), st.integers(1, 30))
def test_ema_has_its_closed_form(momentum: float, steps: int) -> None:
    """Catches: momentum and 1 - momentum swapped. target_k = online + m^k (target_0 - online)."""
    online, target = Numbers(1.0, -3.0), Numbers(5.0, 2.0)
    for _ in range(steps):
        ema_update(target, online, momentum)
    expected = online.x + momentum**steps * (torch.tensor([5.0, 2.0]) - online.x)
    torch.testing.assert_close(target.x, expected, check_dtype=False)


def test_ema_is_exact_at_its_ends() -> None:
    """Catches: rounding, which would make momentum 1 drift and momentum 0 lag."""
    online, target = nn.Linear(50, 50), nn.Linear(50, 50)
    before = target.weight.clone()
    ema_update(target, online, 1.0)
    assert torch.equal(target.weight, before)
    ema_update(target, online, 0.0)
    assert torch.equal(target.weight, online.weight)


@given(st.floats(0.01, 0.9999))
def test_after_one_half_life_half_is_left(momentum: float) -> None:
    """Catches: log base 2 or the reciprocal."""
    assert math.isclose(momentum ** half_life(momentum), 0.5)


def test_half_life_of_known_momenta() -> None:
    """Catches: wrong ends. 173 steps at .996."""
    assert round(half_life(0.996)) == 173
    assert half_life(0.0) == 0.0
    assert half_life(1.0) == math.inf


def test_momentum_ramp_has_its_end_points() -> None:
    """Catches: a ramp that ends early or passes 1. The released stretch of 1.25 ends .998 -> 1 at .9996."""
    assert momentum_at(0, 100, 0.99, 1.0) == 0.99
    assert momentum_at(100, 100, 0.99, 1.0) == 1.0
    assert math.isclose(momentum_at(50, 100, 0.99, 1.0), 0.995)
    assert math.isclose(momentum_at(90_000, 90_000, 0.998, 1.0, 1.25), 0.9996)
    assert momentum_at(500, 100, 0.99, 1.0) == 1.0


def test_target_copy_is_separate_and_takes_no_gradient() -> None:
    """Catches: a copy that shares storage with the online encoder."""
    online = Numbers(1.0)
    target = target_copy(online)
    assert not target.x.requires_grad
    assert target_copy(online, trainable=True).x.requires_grad
    online.x.data += 1
    assert target.x.item() == 1.0


def test_targets_are_normalised_over_features() -> None:
    """Catches: normalising over tokens or clips; an affine that could shrink."""
    h = normalise_targets(torch.randn(3, 5, 64) * 7 + 2)
    assert h.mean(dim=2).abs().max() < 1e-5
    assert (h.std(dim=2, correction=0) - 1).abs().max() < 1e-4


def test_distance_is_the_mean_over_groups_of_means() -> None:
    """Catches: concatenating groups, which weighs large ones more."""
    z, h = [torch.zeros(1, 1, 2), torch.zeros(1, 9, 2)], [torch.ones(1, 1, 2), 3 * torch.ones(1, 9, 2)]
    assert latent_distance(z, h, "l1") == 2.0
    assert latent_distance(z, h, "l2") == 5.0
    with pytest.raises(ValueError, match="shorter"):
        latent_distance(z, h[:1])
    with pytest.raises(ValueError, match="unknown loss 'huber'; choose from l1, l2"):
        latent_distance(z, h, "huber")


def test_vicreg_terms_are_as_written() -> None:
    """Catches: statistics over tokens instead of clips, or diagonal entries left in."""
    z = torch.randn(200, 3, 5, dtype=torch.float64) * 0.5
    variance, covariance = vicreg_terms(z)
    hinge, off = [], []
    for position in range(3):
        cov = torch.cov(z[:, position].T)
        hinge += [max(0.0, 1 - math.sqrt(cov[i, i] + 1e-4)) for i in range(5)]
        off.append(sum(float(cov[i, j]) ** 2 for i in range(5) for j in range(5) if i != j) / 5)
    assert math.isclose(variance, sum(hinge) / len(hinge), rel_tol=1e-9)
    assert math.isclose(covariance, sum(off) / 3, rel_tol=1e-9)
    assert vicreg_terms(torch.zeros(4, 3, 5))[0] > 0.98
    assert vicreg_terms(torch.randn(1000, 3, 5) * 9)[0] == 0.0


def unit_columns(dim: int, count: int) -> torch.Tensor:
    return nn.functional.normalize(torch.randn(dim, count, dtype=torch.float64), dim=0)


@pytest.mark.parametrize("n", [64, 1024])
def test_sigreg_of_a_standard_normal_is_its_expectation_for_every_n(n: int) -> None:
    """Catches: a missing factor n or weights that are not doubled. sum_t w(t) (1 - exp(-t^2)) = 1.05."""
    torch.manual_seed(0)
    values = [sigreg(torch.randn(n, 8, dtype=torch.float64), unit_columns(8, 64)) for _ in range(300)]
    assert abs(torch.stack(values).mean() - 1.05) < 0.07


def test_sigreg_of_a_constant_is_two_fifths_n() -> None:
    """Catches: a statistic that a collapsed encoder satisfies."""
    assert abs(sigreg(torch.zeros(500, 8, dtype=torch.float64), unit_columns(8, 16)) / 500 - 0.40) < 0.01


def test_sigreg_equals_the_integral_on_a_fine_grid() -> None:
    """Catches: a wrong weight function; 17 points must agree with 4,001 by numerical integration."""
    z, directions = torch.randn(300, 4, dtype=torch.float64) * 1.5 + 0.3, unit_columns(4, 6)
    t = torch.linspace(-3, 3, 4001, dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for column in directions.T:
        phi = torch.exp(1j * (z @ column)[:, None] * t).mean(dim=0)
        total += torch.trapezoid((phi - torch.exp(-(t**2) / 2)).abs() ** 2 * torch.exp(-(t**2) / 2), t)
    torch.testing.assert_close(sigreg(z, directions), 300 * total / 6, rtol=2e-3, atol=0)


def test_sigreg_over_positions_is_the_mean_over_positions() -> None:
    """Catches: mixing clips of different positions into one sample."""
    z, directions = torch.randn(3, 50, 4, dtype=torch.float64), unit_columns(4, 6)
    torch.testing.assert_close(sigreg(z, directions), torch.stack([sigreg(part, directions) for part in z]).mean())


def test_std_metrics_tell_content_from_position() -> None:
    """Catches: the two axes swapped, which would miss a content-free collapse."""
    by_clip = torch.randn(500, 1, 4).expand(500, 9, 4)
    by_position = torch.randn(1, 900, 4).expand(50, 900, 4)
    assert abs(feature_std(by_clip) - 1) < 0.1
    assert position_std(by_clip) < 1e-6
    assert feature_std(by_position) < 1e-6
    assert abs(position_std(by_position) - 1) < 0.1


def test_effective_rank_of_a_collapsed_noisy_matrix_is_high_the_trap() -> None:
    """Catches: reading rank without std. Constant features plus rounding noise look full-rank; std tells."""
    torch.manual_seed(0)
    tokens = torch.randn(64).expand(700, 6, 64) + 1e-4 * torch.randn(700, 6, 64)
    assert effective_rank(tokens.mean(dim=1)) > 55
    assert feature_std(tokens) < 1e-3


def test_effective_rank_counts_directions() -> None:
    """Catches: squared singular values, which give another number; equal spread in k directions has rank k."""
    basis = torch.linalg.qr(torch.randn(400, 400, dtype=torch.float64))[0][:, :5]
    x = torch.zeros(400, 40, dtype=torch.float64)
    x[:, :5] = basis - basis.mean(dim=0)
    assert abs(effective_rank(x) - 5) < 0.1
    x[:, 0] *= 2  # entropy of (2, 1, 1, 1, 1) / 6
    expected = math.exp(-(2 / 6 * math.log(2 / 6) + 4 / 6 * math.log(1 / 6)))
    assert abs(effective_rank(x) - expected) < 0.1


def test_rankme_is_not_centred() -> None:
    """Catches: centring, which hides that all clips share one large vector."""
    x = torch.randn(700, 64) + 100.0
    assert rankme(x) < 8
    assert effective_rank(x) > 55


def test_rank_of_too_few_rows_is_refused_and_left_out() -> None:
    """Catches: a rank that is bounded by the number of clips instead of by the features."""
    with pytest.raises(ValueError, match="needs at least 10 rows per feature: given 100 rows of 64, expected 640"):
        effective_rank(torch.randn(100, 64))
    metrics = token_metrics(torch.randn(100, 3, 64))
    assert math.isnan(metrics["effective_rank"])
    assert metrics["feature_std"] > 0.9
    broken = torch.randn(640, 3, 64)
    broken[0, 0, 0] = math.nan  # a run that blows up is stopped for its loss, not by a failing decomposition
    assert math.isnan(token_metrics(broken)["rankme"])


def test_margin_is_large_for_content_and_zero_without_it() -> None:
    """Catches: own and other clip swapped; a metric that a content-free predictor satisfies."""
    h, other = torch.randn(50, 6, 64), torch.randn(50, 6, 64)
    assert margin(h, h, other) > 0.9
    assert margin(other, h, other) < -0.9
    shared = torch.randn(1, 6, 64).expand(50, 6, 64)
    assert abs(margin(shared, shared + 0.1 * h, shared + 0.1 * other)) < 0.01


@pytest.mark.slow
def test_at_a_constant_rate_the_stop_revives_a_nearly_collapsed_network() -> None:
    """Catches: lesson 06's answer, that such a network comes back, outliving what training does."""
    clips, _ = DigitClips(PRESETS["tiny"].grid).batch(10**6, torch.arange(64))
    spread = []
    for step, _, model in train_tiny(replace(PRESETS["tiny"], prevention=ARMS["neither"]), 4000):
        if step == 400:
            spread.append(feature_std(model.encoder(clips).detach()))
            model.prevention = ARMS["no-ema"]
    spread.append(feature_std(model.encoder(clips).detach()))
    assert spread[0] < 0.02 < 0.1 < spread[1]
