import copy
import dataclasses
import inspect
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from minivjepa.collapse import feature_std
from minivjepa.data.digits import DigitClips
from minivjepa.objective import SIGReg, VICReg
from minivjepa.predictor import Predictor
from minivjepa.training.arms import with_arm
from minivjepa.training.config import Config
from minivjepa.training.recipe import build_model, parameter_groups, sample_masks, schedule
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer
from minivjepa.tubelets import Grid, patchify, unpatchify
from minivjepa.vjepa import ARMS, VJEPA, CollapsePrevention

TUBE = ("tube:0.5",)


def arm(config: Config, name: str, **changes: object) -> Config:
    return dataclasses.replace(config, prevention=ARMS[name], **changes)


def one_step(model: VJEPA, config: Config, step: int = 0) -> torch.Tensor:
    """Loss of one step, gradients left in place."""
    index = torch.arange(config.batch)
    clip, _ = DigitClips(config.grid, seed=config.seed).batch(step, index)
    model.zero_grad()
    loss = model(clip, sample_masks(config, step, index), config.seed, step)
    loss.backward()
    return loss


def train(config: Config, steps: int, update: bool = True) -> tuple[VJEPA, list[float]]:
    """A few steps of the recipe, without files; update: whether the target encoder is ever updated."""
    model, losses = build_model(config), []
    optimiser = torch.optim.AdamW(parameter_groups(model, config), lr=config.lr)
    for step in range(steps):
        losses.append(one_step(model, config, step).item())
        optimiser.step()
        if update:
            model.update_target(schedule(config, step)[2])
    return model, losses


def test_hidden_pixels_cannot_change_context_vectors(tiny: Config) -> None:
    """Catches: embedding or attending before hiding, the leak that makes the task trivial. Bit for bit."""
    config = dataclasses.replace(tiny, masks=TUBE)
    model = build_model(config)
    clip = torch.randn(4, 3, 4, 16, 16)
    [(context, target)] = sample_masks(config, 0, torch.arange(4))
    tubelets = patchify(clip, config.grid)
    tubelets.scatter_(1, target[..., None].expand(-1, -1, tubelets.shape[-1]), 1e6)
    poisoned = unpatchify(tubelets, config.grid)
    assert torch.equal(model.encoder(clip, context), model.encoder(poisoned, context))
    assert torch.equal(model.predict(clip, [(context, target)])[0], model.predict(poisoned, [(context, target)])[0])
    assert not torch.equal(model.targets(clip), model.targets(poisoned))


def test_context_vectors_see_every_visible_tubelet(tiny: Config) -> None:
    """Catches: attention that does not mix tokens, with which the leak test would pass for nothing."""
    model, ids = build_model(tiny), torch.tensor([[0, 2, 5]])
    clip = torch.randn(1, 3, 4, 16, 16)
    tubelets = patchify(clip, tiny.grid)
    tubelets[0, 5] += 1
    changed = model.encoder(unpatchify(tubelets, tiny.grid), ids) - model.encoder(clip, ids)
    assert (changed.abs().amax(dim=2) > 0).all()


def test_the_predictor_takes_no_clip() -> None:
    """Catches: a predictor that is handed pixels."""
    assert list(inspect.signature(Predictor.forward).parameters) == [
        "self",
        "context",
        "context_ids",
        "target_ids",
        "group",
    ]


def test_predictions_do_not_depend_on_the_order_of_context_tokens() -> None:
    """Catches: positions added by place in the list instead of by id."""
    grid = Grid(4, 16, 24, 2, 8)
    predictor = Predictor(grid, 16, 12, 2, 2).double()
    context, ids = torch.randn(1, 5, 16, dtype=torch.float64), torch.tensor([[0, 3, 4, 7, 9]])
    target = torch.tensor([[1, 2, 11]])
    order = torch.tensor([4, 2, 0, 1, 3])
    torch.testing.assert_close(
        predictor(context[:, order], ids[:, order], target), predictor(context, ids, target), rtol=1e-10, atol=1e-12
    )
    assert not torch.allclose(predictor(context[:, order], ids, target), predictor(context, ids, target))


def test_predictions_follow_the_order_of_target_ids() -> None:
    """Catches: predictions returned for the context tokens, or in sorted order."""
    predictor = Predictor(Grid(4, 16, 24, 2, 8), 16, 12, 2, 2).double()
    context, ids = torch.randn(1, 5, 16, dtype=torch.float64), torch.tensor([[0, 3, 4, 7, 9]])
    forward = predictor(context, ids, torch.tensor([[1, 2, 11]]))
    assert forward.shape == (1, 3, 16)
    torch.testing.assert_close(
        forward.flip(1), predictor(context, ids, torch.tensor([[11, 2, 1]])), rtol=1e-10, atol=1e-12
    )


def test_each_mask_group_has_its_own_mask_token(tiny: Config) -> None:
    """Catches: one token shared by all groups."""
    config = dataclasses.replace(tiny, masks=("tube:0.5", "future"))
    model = build_model(config)
    assert model.predictor.mask_tokens.shape == (2, config.predictor_dim)
    one_step(model, config)
    assert (model.predictor.mask_tokens.grad.abs().sum(dim=1) > 0).all()


def test_mask_groups_share_one_token_where_asked(tiny: Config) -> None:
    """Catches: an option that changes nothing; V-JEPA 2's ten tokens cut to the one that its recipes use, and still another one used."""
    config = dataclasses.replace(tiny, masks=("tube:0.5", "future"), share_mask_token=True)
    model, index = build_model(config), torch.arange(4)
    clip, masks = DigitClips(config.grid).batch(0, index)[0], sample_masks(config, 0, index)
    assert model.predictor.mask_tokens.shape == (1, config.predictor_dim)
    released = copy.deepcopy(model)
    released.predictor.mask_tokens = torch.nn.Parameter(torch.randn(10, config.predictor_dim))
    model.predictor.mask_tokens = torch.nn.Parameter(released.predictor.mask_tokens[:1].detach().clone())
    (_, second), (context, target) = model.predict(clip, masks), masks[1]
    seen = released.encoder(clip, context)
    assert torch.equal(second, released.predictor(seen, context, target, 0))
    assert not torch.allclose(second, released.predictor(seen, context, target, 1))


@pytest.mark.parametrize("name", ["vjepa", "frozen"])
def test_gradients_reach_online_and_predictor_and_never_the_target(tiny: Config, name: str) -> None:
    """Catches: a missing stop-gradient, or a detach in the wrong place that starves the encoder."""
    config = arm(tiny, name)
    model = build_model(config)
    for step in range(3):
        one_step(model, config, step)
        for part in (model.encoder, model.predictor):
            for label, parameter in part.named_parameters():
                assert parameter.grad is not None, label
                assert parameter.grad.abs().sum() > 0 or label.endswith("mask_tokens"), label
        assert all(p.grad is None for p in model.target_encoder.parameters())


def test_targets_carry_gradient_only_without_stop_gradient(tiny: Config) -> None:
    """Catches: arms that differ in name only."""
    clip = torch.randn(2, 3, 4, 16, 16)
    for name, prevention in ARMS.items():
        model = build_model(arm(tiny, name))
        assert model.targets(clip).requires_grad is not prevention.stop_gradient, name


def test_no_stopgrad_trains_its_target_encoder_and_the_others_have_none(tiny: Config) -> None:
    """Catches: a target that is left out of the optimiser, or one that exists where the online encoder is the target."""
    model = build_model(arm(tiny, "no-stopgrad"))
    one_step(model, arm(tiny, "no-stopgrad"))
    assert all(p.grad is not None for p in model.target_encoder.parameters())
    trained = {id(p) for group in parameter_groups(model, tiny) for p in group["params"]}
    assert trained == {id(p) for p in model.parameters()}
    for name in ("no-ema", "neither", "vicreg", "sigreg"):
        assert build_model(arm(tiny, name)).target_encoder is None


def test_frozen_target_never_moves_and_vjepas_does(tiny: Config) -> None:
    """Catches: a frozen arm that follows its schedule after all."""
    before = build_model(tiny)
    for name, moves in {"frozen": False, "vjepa": True}.items():
        model, _ = train(arm(tiny, name), 3)
        pairs = zip(before.encoder.parameters(), model.target_encoder.parameters())
        assert any(not torch.equal(a, b) for a, b in pairs) is moves, name


def test_constant_momentum_one_is_a_target_that_is_never_updated_bit_for_bit(tiny: Config) -> None:
    """Catches: an EMA that rounds at momentum 1, with which the frozen arm would drift."""
    assert ARMS["frozen"] == CollapsePrevention(momentum=1.0)
    frozen, losses = train(arm(tiny, "frozen"), 6)
    still, still_losses = train(tiny, 6, update=False)
    assert losses == still_losses
    for a, b in zip(frozen.parameters(), still.parameters()):
        assert torch.equal(a, b)


def test_constant_momentum_zero_is_no_ema_bit_for_bit(tiny: Config) -> None:
    """Catches: an EMA before the optimiser's step, or one that rounds at momentum 0."""
    followed, losses = train(dataclasses.replace(tiny, prevention=CollapsePrevention(momentum=0.0)), 6)
    online, online_losses = train(arm(tiny, "no-ema"), 6)
    assert losses == online_losses
    for part in ("encoder", "predictor"):
        for a, b in zip(getattr(followed, part).parameters(), getattr(online, part).parameters()):
            assert torch.equal(a, b)


@pytest.mark.parametrize("kind", ["l1", "l2"])
@torch.no_grad()
def test_the_hand_made_constant_network_has_loss_zero(tiny: Config, kind: str) -> None:
    """Catches: an objective that forbids collapse after all; the real model, weights set by hand."""
    model = build_model(arm(tiny, "neither", loss=kind))
    vector = torch.randn(tiny.dim)
    model.encoder.norm.weight.zero_()
    model.encoder.norm.bias.copy_(vector)
    model.predictor.leave.weight.zero_()
    model.predictor.leave.bias.copy_(model.normalised(vector))
    clip, _ = DigitClips(tiny.grid).batch(0, torch.arange(4))
    loss = model(clip, sample_masks(tiny, 0, torch.arange(4)))
    assert loss == 0.0
    assert feature_std(model.encoder(clip)) == 0.0


@pytest.mark.parametrize("name", ["vjepa", "no-ema", "neither", "sigreg"])
def test_every_weight_learns_under_bf16_autocast(tiny: Config, name: str) -> None:
    """Catches: casts made for detached targets and reused in the forward pass, which leaves weights without gradient."""
    config = arm(tiny, name, precision="bf16")
    trainer = Trainer(config, DigitClips(tiny.grid), Run(Path("unused")), torch.device("cpu"))
    trainer.train_step()
    for part in (trainer.model.encoder, trainer.model.predictor):
        for label, parameter in part.named_parameters():
            assert parameter.grad is not None, label


def test_the_detach_is_what_separates_no_ema_from_neither(tiny: Config) -> None:
    """Catches: a stop-gradient that changes nothing: same first loss, other gradients."""
    grads = []
    for name in ("no-ema", "neither"):
        model = build_model(arm(tiny, name))
        loss = one_step(model, arm(tiny, name))
        grads.append((float(loss.detach()), model.encoder.embed.project.weight.grad.clone()))
    assert grads[0][0] == grads[1][0]
    assert not torch.allclose(grads[0][1], grads[1][1])


@pytest.mark.parametrize("name", ["vicreg", "sigreg"])
def test_regularisers_push_on_the_encoder(tiny: Config, name: str) -> None:
    """Catches: a term that is computed and not added, or computed on normalised features."""
    config = arm(tiny, name)
    model = build_model(config)
    clip, _ = DigitClips(tiny.grid).batch(0, torch.arange(8))
    h = model.targets(clip)
    [mask] = sample_masks(config, 0, torch.arange(8))
    assert config.prevention.regulariser is not None
    term = config.prevention.regulariser(h, seed=0, step=0)
    assert term > 0
    assert config.prevention.regulariser(h * 0.01, seed=0, step=0) > term
    without = build_model(arm(tiny, "neither"))  # the same weights and the same loss, but for the term
    torch.testing.assert_close(model(clip, [mask]) - without(clip, [mask]), term)
    term.backward()
    assert model.encoder.embed.project.weight.grad.abs().sum() > 0


def test_sigreg_draws_other_directions_at_every_step_and_seed_and_vicreg_draws_none() -> None:
    """Catches: directions that never change, which leave most of the space unseen."""
    h = torch.randn(8, 3, 12)
    drawn = [float(SIGReg(directions=4)(h, seed, step)) for seed, step in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3
    assert VICReg()(h, 0, 0) == VICReg()(h, 1, 5)


def test_unknown_switches_are_refused() -> None:
    """Catches: a misspelt switch that silently keeps the default."""
    with pytest.raises(ValueError, match="unknown target 'emma'; choose from ema, online"):
        CollapsePrevention(target="emma")
    with pytest.raises(ValueError, match="expected a number from 0 to 1"):
        CollapsePrevention(momentum=1.2)


def test_switches_that_would_do_nothing_are_refused() -> None:
    """Catches: a regulariser on detached targets, which would be logged and train nothing."""
    with pytest.raises(ValueError, match="would do nothing; set stop_gradient=False"):
        CollapsePrevention(regulariser=VICReg())
    with pytest.raises(ValueError, match="momentum belongs to the EMA copy"):
        CollapsePrevention(target="online", momentum=0.5)


@pytest.mark.parametrize("name", ["vjepa", "no-ema", "neither", "no-stopgrad"])
def test_step_flops_are_torchs_own_count(tiny: Config, name: str) -> None:
    """Catches: a component left out, or targets that are not back-propagated where nothing detaches them.

    Torch counts a training step a little lower: pixels need no gradient.
    """
    config = arm(tiny, name, masks=("tube:0.5", "future"), batch=1)
    model = build_model(config)
    masks = sample_masks(config, 0, torch.arange(1))
    sizes = [(c.shape[1], t.shape[1]) for c, t in masks]
    clip = torch.randn(1, 3, 4, 16, 16)
    with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH):
        model(clip, masks).backward()
    embedded = sum(k for k, _ in sizes) + (0 if config.prevention.stop_gradient else config.grid.tokens)
    expected = sum(model.step_flops(sizes).values()) - 2 * embedded * config.grid.values * config.dim
    assert counted.get_total_flops() == expected


def test_pixel_targets_are_the_hidden_tubelets_each_with_mean_0_and_std_1(tiny: Config) -> None:
    """Catches: an arm `pixels` that predicts features, or whose encoder starts from other weights than vjepa's."""
    model = build_model(with_arm(tiny, "pixels"))
    assert model.target_encoder is None
    clip, _ = DigitClips(tiny.grid).batch(0, torch.arange(4))
    wanted = model.normalised(model.targets(clip))
    pixels = patchify(clip, tiny.grid)
    expected = (pixels - pixels.mean(-1, keepdim=True)) / (pixels.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(wanted, expected)
    for name, value in build_model(tiny).encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value)
    one_step(model, with_arm(tiny, "pixels"))
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.encoder.parameters() if p.ndim > 1)


def test_a_projector_stands_between_features_and_targets_and_is_trained(tiny: Config) -> None:
    """Catches: a projector outside the optimiser, or before the encoder's features that probes read."""
    prevention = dataclasses.replace(ARMS["vicreg"], projector=40)
    config = dataclasses.replace(tiny, prevention=prevention)
    model = build_model(config)
    clip, _ = DigitClips(tiny.grid).batch(0, torch.arange(4))
    assert model.encoder(clip).shape[-1] == tiny.dim
    torch.testing.assert_close(model.targets(clip), model.projector(model.encoder(clip)))
    assert model.predict(clip, sample_masks(config, 0, torch.arange(4)))[0].shape[-1] == 40
    before = [p.clone() for p in model.projector.parameters()]
    trained, _ = train(config, 2)
    assert all(not torch.equal(old, new) for old, new in zip(before, trained.projector.parameters()))
