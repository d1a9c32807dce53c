"""Variants change what they name and nothing else; the linear predictor is linear."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from minivjepa.predictor import Predictor
from minivjepa.training.arms import VARIANTS, LinearPredictor, with_arm
from minivjepa.training.config import PRESETS, Config
from minivjepa.training.recipe import build_model, sample_masks
from minivjepa.tubelets import Grid
from minivjepa.vjepa import ARMS

GRID = Grid(4, 16, 24, 2, 8)  # 12 tokens


def ids(*values: int) -> torch.Tensor:
    return torch.tensor([values])


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_changes_the_fields_it_names_and_nothing_else(name: str) -> None:
    """Catches: a variant that equals the recipe, or that resets what the user chose."""
    base = dataclasses.replace(PRESETS["cpu"], lr=1.5e-3, seed=7, masks=("random:0.5",))
    changed = with_arm(base, name)
    differing = {f.name for f in dataclasses.fields(Config) if getattr(base, f.name) != getattr(changed, f.name)}
    assert differing == set(VARIANTS[name])
    sample_masks(changed, 0, torch.arange(4))  # and can draw its masks on the grid of the lessons


def test_arms_and_variants_share_no_name_and_unknown_ones_are_refused() -> None:
    """Catches: a variant hidden behind an arm of the same name; a misspelt arm that trains vjepa."""
    assert not set(ARMS) & set(VARIANTS)
    assert with_arm(PRESETS["cpu"], "neither").prevention == ARMS["neither"]
    with pytest.raises(ValueError, match=r"unknown arm 'niether'; choose from vjepa, .*momentum-.9"):
        with_arm(PRESETS["cpu"], "niether")


@given(weight=st.floats(-2, 2), seed=st.integers(0, 99))
def test_the_linear_predictor_is_linear_in_the_context(weight: float, seed: int) -> None:
    """Catches: a norm or an activation that slipped in. Affine: weights that sum to 1 pass through."""
    torch.manual_seed(seed)
    predictor = LinearPredictor(GRID, 6).double()
    torch.nn.init.normal_(predictor.mixing)
    torch.nn.init.normal_(predictor.offset)
    x, y = torch.randn(2, 1, 3, 6, dtype=torch.float64)
    mixed = predictor(weight * x + (1 - weight) * y, ids(0, 5, 7), ids(1, 11))
    apart = weight * predictor(x, ids(0, 5, 7), ids(1, 11)) + (1 - weight) * predictor(y, ids(0, 5, 7), ids(1, 11))
    torch.testing.assert_close(mixed, apart)


def test_the_linear_predictor_equals_a_loop_over_its_table() -> None:
    """Catches: rows and columns of the table swapped; ids taken as positions in the batch."""
    torch.manual_seed(0)
    predictor, context = LinearPredictor(GRID, 5), torch.randn(2, 3, 5)
    torch.nn.init.normal_(predictor.mixing)
    torch.nn.init.normal_(predictor.offset)
    seen, asked = torch.tensor([[0, 4, 9], [1, 2, 3]]), torch.tensor([[11, 2], [0, 7]])
    found = predictor(context, seen, asked)
    for b in range(2):
        for m in range(2):
            j = asked[b, m]
            parts = [predictor.mixing[j, k] * predictor.features(context[b, n]) for n, k in enumerate(seen[b])]
            torch.testing.assert_close(found[b, m], sum(parts, start=predictor.offset[j]))


def test_depth_zero_means_the_linear_predictor() -> None:
    """Catches: a predictor without attention, which could not see its context at all."""
    tiny = PRESETS["tiny"]
    model = build_model(dataclasses.replace(tiny, predictor_depth=0))
    assert isinstance(model.predictor, LinearPredictor)
    assert isinstance(build_model(tiny).predictor, Predictor)
    clip, masks = torch.randn(2, 3, 4, 16, 16), sample_masks(tiny, 0, torch.arange(2))
    [first], [second] = model.predict(clip, masks), model.predict(clip.flip(0), masks)
    torch.testing.assert_close(first.flip(0), second)
    assert not torch.allclose(first, second)


def test_its_flops_are_torchs_own_count() -> None:
    """Catches: a cost table that forgets the mixing."""
    predictor = LinearPredictor(GRID, 6)
    with FlopCounterMode(display=False) as counted:
        predictor(torch.randn(1, 3, 6), ids(0, 1, 2), ids(5, 6))
    assert counted.get_total_flops() == predictor.flops(3, 2)
