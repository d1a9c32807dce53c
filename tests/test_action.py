"""The action-conditioned predictor never looks ahead, uses what it is given, and learns a small world."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from minivjepa.encoder import Encoder
from minivjepa.objective import normalise_targets
from minivjepa.released.load import load_pretrained
from minivjepa.released.names import to_original
from minivjepa.tubelets import Grid
from minivjepa.world.action_predictor import ActionPredictor, action_loss, encode_frames, rollout

FRAME = Grid(2, 16, 24, 2, 8)  # n = 6 tokens


def predictor(seed: int = 0, dim: int = 10) -> ActionPredictor:
    torch.manual_seed(seed)
    made = ActionPredictor(FRAME, dim, 24, 2, 2, actions=3, states=4).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return made


def inputs(T: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((2, T, 6, 10), (2, T, 3), (2, T, 4))
    z, a, s = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return z, a, s


def advance(state: Tensor, action: Tensor) -> Tensor:
    return torch.cat([state[:, :3] + action, state[:, 3:]], dim=1)


@given(T=st.integers(2, 5), frame=st.integers(1, 4), which=st.integers(0, 2))
def test_what_comes_later_changes_nothing(T: int, frame: int, which: int) -> None:
    """Catches: a causal mask over tokens instead of frames, or one frame too generous."""
    frame = min(frame, T - 1)
    model, given_ = predictor(), list(inputs(T))
    before = model(*given_)
    changed = given_[which].clone()
    changed[:, frame] += 1.0
    after = model(*given_[:which], changed, *given_[which + 1 :])
    torch.testing.assert_close(after[:, :frame], before[:, :frame], rtol=1e-12, atol=1e-12)
    assert (after[:, frame] - before[:, frame]).abs().max() > 1e-4  # and what is there counts at once
    assert frame + 1 == T or (after[:, frame + 1] - before[:, frame + 1]).abs().max() > 1e-6  # and is remembered


def test_every_token_of_a_frame_sees_its_whole_frame() -> None:
    """Catches: causality inside a frame, where the last patch must reach the first."""
    model, (z, a, s) = predictor(), inputs(2)
    moved = z.clone()
    moved[:, 0, -1] += 1.0
    assert (model(moved, a, s)[:, 0, 0] - model(z, a, s)[:, 0, 0]).abs().max() > 1e-6


def test_patches_are_told_apart_by_place_and_frames_by_time() -> None:
    """Catches: positions that are lost. Two patches of one frame, and two frames, change places."""
    model, (z, a, s) = predictor(), inputs(3)
    out = model(z, a, s)
    swapped = model(z[:, :, [1, 0, 2, 3, 4, 5]], a, s)[:, :, [1, 0, 2, 3, 4, 5]]
    assert (out - swapped).abs().max() > 1e-4
    order = [1, 0, 2]
    assert (model(z[:, order], a[:, order], s[:, order])[:, 2] - out[:, 2]).abs().max() > 1e-4


def test_actions_turn_by_time_alone_and_patches_by_row_and_column_too() -> None:
    """Catches: rows counted with the height, actions and states without a time, another number of patches than the frame."""
    model = predictor()  # frames of 2 x 3 tokens, heads 12 wide: two pairs an axis
    z, a, s = inputs(3)
    angles = model.angles(3, 6, z)
    assert angles is not None
    table = angles[0].reshape(3, 8, 3, 4)  # frame; action, state, patches; axis; number
    for frame in range(3):
        for token, (row, column) in enumerate([(0, 0), (0, 0), *((r, c) for r in range(2) for c in range(3))]):
            assert table[frame, token, :, 0].tolist() == [frame, row, column]
    with pytest.raises(ValueError, match=r"frames have 4 tokens each, expected 6 of a grid \(1, 2, 3\)"):
        model(z[:, :, :4], a, s)


def test_a_rollout_feeds_itself_and_its_first_step_is_teacher_forcing() -> None:
    """Catches: true frames that leak into imagination; states that stand still."""
    model, (z, a, s) = predictor(), inputs(3)
    imagined = rollout(model, z[:, 0], a, s[:, 0], advance)
    assert imagined.shape == (2, 3, 6, 10)
    torch.testing.assert_close(imagined[:, 0], normalise_targets(model(z[:, :1], a[:, :1], s[:, :1])[:, 0]))
    states = torch.stack([s[:, 0], advance(s[:, 0], a[:, 0])], dim=1)
    second = model(torch.stack([z[:, 0], imagined[:, 0]], dim=1), a[:, :2], states)[:, 1]
    torch.testing.assert_close(imagined[:, 1], normalise_targets(second))


def test_the_losses_are_means_of_absolute_differences() -> None:
    """Catches: a frame shifted by one; a rollout judged at another step."""
    model, (z, a, s) = predictor(), inputs(4)
    forced, imagined = action_loss(model, z, a[:, :3], s[:, :3], advance)
    guesses = normalise_targets(model(z[:, :3], a[:, :3], s[:, :3]))
    by_hand = sum((guesses[:, k] - z[:, k + 1]).abs().sum() for k in range(3)) / (2 * 3 * 6 * 10)
    torch.testing.assert_close(forced, torch.as_tensor(by_hand))
    last = rollout(model, z[:, 0], a[:, :2], s[:, 0], advance)[:, -1]
    torch.testing.assert_close(imagined, (last - z[:, 2]).abs().mean())
    with pytest.raises(ValueError, match="a rollout of 2 steps needs as many actions, given 1"):
        action_loss(model, z[:, :2], a[:, :1], s[:, :1], advance)


def test_frames_are_encoded_alone_and_standing_still() -> None:
    """Catches: an encoder that sees motion, or frames and clips mixed up in the batch."""
    torch.manual_seed(0)
    encoder, clip = Encoder(FRAME, 12, 1, 2), torch.randn(2, 3, 5, 16, 24)
    features = encode_frames(encoder, clip)
    assert features.shape == (2, 5, 6, 12)
    assert not features.requires_grad
    alone = torch.stack([clip[1, :, 3]] * 2, dim=1)[None]
    torch.testing.assert_close(features[1, 3], normalise_targets(encoder(alone))[0].detach())
    with pytest.raises(ValueError, match="sees clips of 4 frames, expected one tubelet of 2"):
        encode_frames(Encoder(Grid(4, 16, 24, 2, 8), 12, 1, 2), clip)


@pytest.mark.slow
def test_it_learns_a_world_whose_frames_shift_as_told() -> None:
    """Catches: gradients that do not reach the actions. Patches are rolled by the action; without it the shift cannot be known."""
    torch.manual_seed(0)
    model = ActionPredictor(FRAME, 10, 24, 2, 2, actions=2, states=1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)

    def world(count: int) -> tuple[Tensor, Tensor, Tensor]:
        first = normalise_targets(torch.randn(count, 6, 10))
        shift = torch.randint(0, 2, (count, 2))  # roll by one patch, or not
        frames = [first]
        for step in range(2):
            frames.append(torch.where(shift[:, step, None, None] == 1, frames[-1].roll(1, 1), frames[-1]))
        return torch.stack(frames, 1), torch.nn.functional.one_hot(shift, 2).float(), torch.zeros(count, 2, 1)

    for _ in range(400):
        z, actions, states = world(64)
        loss = sum(action_loss(model, z, actions, states, lambda state, action: state))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    z, actions, states = world(256)
    with torch.no_grad():
        forced, imagined = action_loss(model, z, actions, states, lambda state, action: state)
        blind, _ = action_loss(model, z, actions.flip(-1), states, lambda state, action: state)
    assert forced < 0.5
    assert imagined < 0.7
    assert blind > 2 * forced  # told the opposite, it predicts the opposite


def as_meta_stores(model: ActionPredictor) -> dict[str, Tensor]:
    """V-JEPA 2-AC's predictor with the names of Meta's checkpoint, written out by hand, camera layer included."""
    own, stored = model.state_dict(), {}
    for kind in ("weight", "bias"):
        for theirs, ours in (
            ("predictor_embed", "enter"),
            ("action_encoder", "enter_action"),
            ("state_encoder", "enter_state"),
        ):
            stored[f"module.{theirs}.{kind}"] = own[f"{ours}.{kind}"]
        stored[f"module.predictor_norm.{kind}"] = own[f"norm.{kind}"]
        stored[f"module.predictor_proj.{kind}"] = own[f"leave.{kind}"]
        for number in range(len(model.blocks)):
            for same in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                stored[f"module.predictor_blocks.{number}.{same}.{kind}"] = own[f"blocks.{number}.{same}.{kind}"]
            for half in ("qkv", "proj"):
                stored[f"module.predictor_blocks.{number}.attn.{half}.{kind}"] = own[
                    f"blocks.{number}.attention.{half}.{kind}"
                ]
    stored["module.extrinsics_encoder.weight"] = torch.zeros(24, 2)  # an action has 3 numbers
    stored["module.extrinsics_encoder.bias"] = torch.zeros(24)
    return stored


def slow_prediction(
    stored: dict[str, Tensor], heads: int, shape: tuple[int, int], z: Tensor, a: Tensor, s: Tensor
) -> Tensor:
    """What V-JEPA 2-AC computes for one clip, one head and one token at a time: z [T, n, D], a [T, A], s [T, S] -> [T, n, D]."""
    w = {key.removeprefix("module."): value for key, value in stored.items()}
    T, n = z.shape[:2]

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        spread = (x.var(dim=-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
        return (x - x.mean(dim=-1, keepdim=True)) / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    tokens, places = [], []  # of each frame: action, state, patches
    for t in range(T):
        tokens += [linear(a[t], "action_encoder"), linear(s[t], "state_encoder"), *linear(z[t], "predictor_embed")]
        places += [(t, 0, 0), (t, 0, 0), *((t, k // shape[1], k % shape[1]) for k in range(n))]
    x = torch.stack(tokens)
    head = x.shape[1] // heads
    third = head // 3 // 2 * 2  # numbers of a head that turn by time, by row and by column

    def turned(vector: Tensor, place: tuple[int, ...]) -> Tensor:
        out = vector.clone()
        for axis, where in enumerate(place):
            for number in range(0, third, 2):
                i = axis * third + number
                first, second = (where * 10000.0 ** -(k % (third // 2) / (third // 2)) for k in (number, number + 1))
                out[i] = vector[i] * math.cos(first) - vector[i + 1] * math.sin(first)
                out[i + 1] = vector[i + 1] * math.cos(second) + vector[i] * math.sin(second)
        return out

    for number in range(2):
        block = f"predictor_blocks.{number}"
        q, k, v = linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv").chunk(3, dim=-1)
        mixed = torch.zeros_like(x)
        for part in (slice(i * head, (i + 1) * head) for i in range(heads)):
            query = torch.stack([turned(vector, place) for vector, place in zip(q[:, part], places)])
            key = torch.stack([turned(vector, place) for vector, place in zip(k[:, part], places)])
            for i, place in enumerate(places):
                seen = [j for j, other in enumerate(places) if other[0] <= place[0]]  # this frame and those before it
                mixed[i, part] = torch.softmax(query[i] @ key[seen].T / head**0.5, dim=0) @ v[seen, part]
        x = x + linear(mixed, f"{block}.attn.proj")
        inner = linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")
        x = x + linear(inner * 0.5 * (1 + torch.erf(inner / 2**0.5)), f"{block}.mlp.fc2")
    return linear(norm(x, "predictor_norm"), "predictor_proj").reshape(T, 2 + n, -1)[:, 2:]


def test_metas_v_jepa_2_ac_goes_in_and_out(tmp_path: Path) -> None:
    """Catches: a name of theirs that is not read or not written; ordinary frequencies, or V-JEPA 2's heads, for its predictor."""
    square = Grid(2, 16, 16, 2, 8)
    torch.manual_seed(0)
    encoder, made = (
        Encoder(square, 12, 1, 2, "rotary-tiled"),
        ActionPredictor(square, 12, 24, 2, 2, 3, 4, "rotary-tiled"),
    )
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    ours = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
    ours |= {f"predictor.{key}": value for key, value in made.state_dict().items()}
    written = to_original(ours, square)
    stored = as_meta_stores(made)
    assert {key.replace("backbone.", ""): v.shape for key, v in written["predictor"].items()} == {
        k: v.shape for k, v in stored.items()
    }
    assert all(
        torch.equal(written["predictor"][key.replace("module.", "module.backbone.")], v) for key, v in stored.items()
    )
    torch.save({"encoder": written["encoder"], "predictor": stored, "epoch": 3}, tmp_path / "ac.pt")
    pair = load_pretrained(str(tmp_path / "ac.pt"), (2, 16, 16), heads=2, predictor_heads=2)
    assert pair.predictor is None
    assert pair.action_predictor is not None
    z, a, s = (torch.randn(1, 3, *shape) for shape in ((4, 12), (3,), (4,)))
    with torch.no_grad():
        expected = slow_prediction(stored, 2, (2, 2), z[0], a[0], s[0])
        torch.testing.assert_close(pair.action_predictor(z, a, s)[0], expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="width 24 is not divisible by 16 heads"):  # the released one has 16
        load_pretrained(str(tmp_path / "ac.pt"), (2, 16, 16), heads=2)
    with pytest.raises(ValueError, match="V-JEPA 2-AC's predictor, whose positions are rotary; leave positions out"):
        load_pretrained(str(tmp_path / "ac.pt"), (2, 16, 16), heads=2, predictor_heads=2, positions="sincos")
    del stored["module.state_encoder.weight"]
    torch.save({"encoder": written["encoder"], "predictor": stored}, tmp_path / "cut.pt")
    with pytest.raises(ValueError, match=r"enter_state\.weight"):
        load_pretrained(str(tmp_path / "cut.pt"), (2, 16, 16), heads=2, predictor_heads=2)
