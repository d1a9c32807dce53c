"""Every trick that makes a step faster computes what the obvious version computes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader

from minivjepa.data.digits import DigitClips
from minivjepa.data.read_ahead import Ahead
from minivjepa.data.video import VideoClips
from minivjepa.encoder import Encoder
from minivjepa.masking import MaskPair
from minivjepa.predictor import LinearPredictor, Predictor
from minivjepa.speed.step_time import Geometry as Measured
from minivjepa.speed.step_time import fixed_masks, prepare
from minivjepa.training.config import PRESETS, Config
from minivjepa.training.monitor import MONITOR_STEP
from minivjepa.training.recipe import build_model
from minivjepa.training.trainer import Tuning
from minivjepa.transformer import Attention, attend
from minivjepa.tubelets import patchify
from minivjepa.vjepa import ARMS, VJEPA
from tests.conftest import GRID
from tests.test_video import counting, write_video

CPU = torch.device("cpu")


def masks(sizes: list[tuple[int, int]], clips: int) -> list[MaskPair]:
    """A mask group of every size (K, M), other ids in every clip."""
    config = Config(grid=GRID, batch=clips, dim=12, heads=1, predictor_dim=12, predictor_heads=1)
    return fixed_masks(Measured(config, tuple(sizes)))


def small(positions: str, predictor: str = "transformer") -> VJEPA:
    """Two blocks each, two groups, float64, weights that are not at their start."""
    torch.manual_seed(0)
    made: Any = LinearPredictor(GRID, 24) if predictor == "linear" else Predictor(GRID, 24, 12, 2, 1, 3, positions)
    model = VJEPA(Encoder(GRID, 24, 2, 2, positions), made, ARMS["vjepa"]).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=3),
    st.integers(1, 3),
    st.sampled_from([("sincos", "transformer"), ("rotary", "transformer"), ("sincos", "linear")]),
)
def test_all_mask_groups_in_one_pass_equal_one_after_the_other(
    sizes: list[tuple[int, int]], clips: int, kind: tuple[str, str]
) -> None:
    """Catches: attention across groups, a group with another's mask token or positions, sizes cut in the wrong place."""
    model, groups = small(*kind), masks(sizes, clips)
    clip = torch.randn(clips, 3, 4, 16, 24, dtype=torch.float64)
    packed = model.predict(clip, groups)
    obvious = [
        model.predictor(model.encoder(clip, context), context, target, group)
        for group, (context, target) in enumerate(groups)
    ]
    for fast, slow in zip(packed, obvious, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-11)


def test_gradients_of_all_groups_in_one_pass_are_those_of_one_after_the_other() -> None:
    """Catches: a forward pass that agrees while a detached or doubled gradient does not."""
    model, groups = small("sincos"), masks([(3, 5), (2, 7)], 2)
    clip = torch.randn(2, 3, 4, 16, 24, dtype=torch.float64)

    def gradients(predict: Callable[[], Any]) -> dict[str, Tensor]:
        model.zero_grad()
        sum((z**2).sum() for z in predict()).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    fast = gradients(lambda: model.predict(clip, groups))
    slow = gradients(
        lambda: [model.predictor(model.encoder(clip, c), c, t, group) for group, (c, t) in enumerate(groups)]
    )
    assert fast.keys() == slow.keys()
    assert len(fast) > 20
    for name in fast:
        torch.testing.assert_close(fast[name], slow[name], rtol=1e-9, atol=1e-9, msg=name)


def test_no_group_sees_another() -> None:
    """Catches: one long sequence where several short ones were meant."""
    torch.manual_seed(0)
    attention = Attention(24, 2)
    x = torch.randn(2, 9, 24)
    changed = torch.cat([x[:, :4], torch.randn(2, 5, 24)], dim=1)
    for sizes in ([4, 5], [4, 2, 3]):
        before, after = attention(x, sizes=sizes), attention(changed, sizes=sizes)
        assert torch.equal(before[:, :4], after[:, :4])
        assert not torch.allclose(before[:, 4:], after[:, 4:])
    assert not torch.allclose(attention(x)[:, :4], attention(changed)[:, :4])
    blocks = torch.block_diag(*(torch.ones(n, n) for n in (4, 2, 3))).bool()
    torch.testing.assert_close(attention(x, sizes=[4, 2, 3]), attention(x, allowed=blocks))
    with pytest.raises(ValueError, match="both say who may look at whom"):
        attention(x, allowed=blocks, sizes=[4, 2, 3])


def test_tubelets_that_are_cut_once_equal_a_clip(tiny: Config) -> None:
    """Catches: an embedding that takes tubelets for something else."""
    model = build_model(tiny)
    clip, _ = DigitClips(tiny.grid).batch(0, torch.arange(3))
    ids = torch.tensor([[0, 3, 5]] * 3)
    tubelets = patchify(clip, tiny.grid)
    assert torch.equal(model.encoder(tubelets), model.encoder(clip))
    assert torch.equal(model.encoder(tubelets, ids), model.encoder(clip, ids))


def test_a_step_cuts_every_clip_once_and_runs_the_target_encoder_once(
    tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: work that is done again for every mask group."""
    config = dataclasses.replace(tiny, masks=("random:0.5", "tube:0.5"))
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        "minivjepa.vjepa.patchify", lambda clip, grid: seen.append(tuple(clip.shape)) or patchify(clip, grid)
    )
    monkeypatch.setattr("minivjepa.tubelets.patchify", lambda clip, grid: pytest.fail("cut again"))
    step = prepare(Measured(config, ((4, 4), (3, 5))), "float32", CPU)
    calls: list[int] = []
    target = step.trainer.model.target_encoder
    assert target is not None
    target.register_forward_hook(lambda *_: calls.append(1))
    step()
    assert seen == [(config.batch, 3, 4, 16, 16)]
    assert len(calls) == 1


def test_attention_written_out_in_bf16_is_within_a_hundredth_of_the_truth() -> None:
    """Catches: a softmax over the wrong axis, a scale that is forgotten, bf16 that loses more than it must."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 40, 16, dtype=torch.bfloat16) for _ in range(3))
    weight = torch.randn(2, 3, 40, 16)

    def run(function: Callable[..., Tensor], dtype: torch.dtype) -> list[Tensor]:
        given_ = [x.detach().to(dtype).requires_grad_() for x in (q, k, v)]
        result = function(*given_)
        (result * weight.to(dtype)).sum().backward()
        return [result.detach().double(), *(x.grad.double() for x in given_ if x.grad is not None)]

    truth = run(F.scaled_dot_product_attention, torch.float64)
    ours, torchs = run(attend, torch.bfloat16), run(F.scaled_dot_product_attention, torch.bfloat16)
    assert not all(torch.equal(a, b) for a, b in zip(ours, torchs))  # so it is not simply the same code
    for exact, mine, theirs in zip(truth, ours, torchs, strict=True):
        assert float((mine - exact).norm() / exact.norm()) < 0.01
        assert float((mine - exact).norm()) < 2 * float((theirs - exact).norm())


def test_recomputing_gives_the_same_bits_and_keeps_less(tiny: Config) -> None:
    """Catches: activation checkpointing that changes a gradient, or that keeps everything all the same."""
    config = dataclasses.replace(tiny, depth=4, predictor_depth=4)
    found = []
    for recompute in (False, True):
        step = prepare(Measured(config, ((4, 4),)), "float32", CPU, Tuning(recompute=recompute))
        kept: list[int] = []

        def keep(tensor: Tensor, kept: list[int] = kept) -> Tensor:
            kept.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            distance, _ = step.trainer.parallel(step.clip, step.masks, None)
        distance.backward()
        gradients = [p.grad for p in step.trainer.model.parameters() if p.grad is not None]
        found.append((distance, gradients, sum(kept)))
    (loss, gradients, whole), (again, same, part) = found
    assert torch.equal(loss, again)
    assert len(gradients) == len(same) > 50
    assert all(torch.equal(a, b) for a, b in zip(gradients, same))
    assert part < whole / 3


@pytest.mark.slow
def test_a_compiled_step_computes_what_a_plain_one_does(tiny: Config) -> None:
    """Catches: a compiled model whose weights are not those that are saved, or that learns something else."""
    geometry = Measured(dataclasses.replace(tiny, masks=("random", "tube")), ((3, 4), (2, 5)))
    plain, fused = (prepare(geometry, "float32", CPU, Tuning(compile=flag)) for flag in (False, True))
    losses: dict[str, list[float]] = {"plain": [], "fused": []}
    try:
        for _ in range(4):
            for name, step in (("plain", plain), ("fused", fused)):
                step.trainer.update(step.clip, step.masks)
                losses[name].append(float(step.trainer.pending[-1]))
    except torch._inductor.exc.InductorError as error:  # needs a C++ compiler
        pytest.skip(f"torch.compile does not work here: {str(error).splitlines()[0][:100]}")
    assert losses["fused"] == pytest.approx(losses["plain"], rel=1e-4)
    assert losses["plain"][-1] != losses["plain"][0]


def test_compiling_masks_of_changing_size_is_refused() -> None:
    """Catches: minutes of compilation at every step."""
    config = dataclasses.replace(PRESETS["tiny"], masks=("official-short",))
    with pytest.raises(
        ValueError, match=r"--compile needs masks of a constant size, and those of official-short change"
    ):
        prepare(Measured(config, ((2, 2),)), "float32", CPU, Tuning(compile=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_step_never_waits_for_the_gpu(tmp_path: Path) -> None:  # pragma: no cover
    """Catches: a number that is fetched, or a copy from pageable memory, inside the loop."""
    config = dataclasses.replace(PRESETS["tiny"], masks=("official-short", "official-long", "random"))
    step = prepare(Measured(config, ((2, 2),) * 3), "bfloat16", torch.device("cuda"))
    for _ in range(3):
        step.trainer.train_step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step.trainer.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.fixture
def video(tmp_path: Path) -> VideoClips:
    """Frames that say their number."""
    return VideoClips(write_video(tmp_path / "clip.mkv", counting(24)), PRESETS["tiny"].grid, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 5])
def test_clips_read_ahead_are_the_clips(video: VideoClips, first: int) -> None:
    """Catches: steps that are skipped or repeated, at the start or after a resume; another clip for the monitor."""
    index = torch.tensor([4, 5, 6])
    ahead = Ahead(video, steps=9, workers=2, device=CPU)
    for step in (MONITOR_STEP, *range(first, 7), MONITOR_STEP, 7, 8):
        assert torch.equal(ahead.batch(step, index)[0], video.batch(step, index)[0]), step
    assert torch.equal(ahead.batch(2, index)[0], video.batch(2, index)[0])  # and from anywhere again


def test_workers_are_asked_for_steps_in_order(video: VideoClips, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: workers that are started anew for every step."""
    started: list[int] = []
    begin = Ahead.start

    def start(self: Ahead, step: int, index: Tensor) -> Any:
        started.append(step)
        return begin(self, step, index)

    monkeypatch.setattr(Ahead, "start", start)
    monkeypatch.setattr(
        "minivjepa.data.read_ahead.DataLoader",
        lambda data, **options: DataLoader(data, **{**options, "num_workers": 0}),  # in this process
    )
    ahead = Ahead(video, steps=6, workers=1, device=CPU)
    for step in (2, 3, MONITOR_STEP, 4, 5):
        ahead.batch(step, torch.arange(2))
    assert started == [2]
