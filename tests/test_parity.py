"""Our encoder and predictor are V-JEPA 2's as released: equal to transformers' VJEPA2Model, and broken details show."""

import dataclasses
import json
import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import minivjepa.encoder
from minivjepa.encoder import Encoder
from minivjepa.released.load import Pretrained, load_pretrained
from minivjepa.released.names import HUGGING_FACE, State, from_hugging_face, from_original, swap, to_original
from minivjepa.tubelets import Grid, gather_tokens, sincos_positions

transformers = pytest.importorskip("transformers", reason="the parity extra is not installed")
modeling = pytest.importorskip("transformers.models.vjepa2.modeling_vjepa2")
safetensors_torch = pytest.importorskip("safetensors.torch")
EXACT, CLOSE = 1e-9, 1e-5  # norm-wise relative error allowed in float64 and in float32


@dataclasses.dataclass(frozen=True)
class Shape:
    """One geometry: clip and tubelet, widths, heads and depths of encoder and predictor."""

    clip: tuple[int, int, int] = (6, 16, 16)
    tubelet: int = 2
    patch: int = 4
    dim: int = 24
    heads: int = 2
    depth: int = 2
    inner: int = 12
    predictor_heads: int = 2
    predictor_depth: int = 2
    groups: int = 3
    ratio: float = 4.0

    @property
    def grid(self) -> Grid:
        return Grid(*self.clip, self.tubelet, self.patch)


SHAPES = {
    "plain": Shape(),
    "odd heads": Shape(dim=39, heads=3, inner=26),
    "heads that turn fully": Shape(dim=36, heads=3, inner=18, predictor_heads=1),
    "one frame a tubelet": Shape(clip=(5, 12, 12), tubelet=1, patch=4, groups=1),
    "long clip, three frames a tubelet": Shape(clip=(18, 8, 8), tubelet=3, patch=4, depth=3),
    "rectangular": Shape(clip=(4, 12, 20)),
    "another MLP, as ViT-g": Shape(dim=44, heads=2, ratio=48 / 11),
}


def square_only(shape: Shape) -> int:
    """The side that Hugging Face's config takes; rectangles need their_rows as well."""
    return shape.clip[2]


@pytest.fixture
def their_rows(monkeypatch: pytest.MonkeyPatch) -> Callable[[Grid], None]:
    """Makes VJEPA2Model count rows of a rectangle: as released it derives them from one side, for squares only."""

    def apply(grid: Grid) -> None:
        _, h, w = grid.shape
        attention = modeling.VJEPA2RopeAttention
        monkeypatch.setattr(attention, "_get_frame_pos", lambda self, ids: ids // (h * w))

        def position_ids(self: Any, x: Tensor, masks: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
            ids = torch.arange(x.size(1)) if masks is None else masks[:, None].repeat(1, self.num_attention_heads, 1)
            return ids // (h * w), ids % (h * w) // w, ids % w

        monkeypatch.setattr(attention, "get_position_ids", position_ids)

    return apply


def their_model(shape: Shape, dtype: torch.dtype = torch.float64) -> Any:
    """A small random VJEPA2Model; weights large enough that every detail matters."""
    config = transformers.VJEPA2Config(
        patch_size=shape.patch, crop_size=square_only(shape), frames_per_clip=shape.clip[0], tubelet_size=shape.tubelet,
        hidden_size=shape.dim, num_attention_heads=shape.heads, num_hidden_layers=shape.depth, pred_hidden_size=shape.inner,
        pred_num_attention_heads=shape.predictor_heads, pred_num_hidden_layers=shape.predictor_depth, pred_num_mask_tokens=shape.groups, mlp_ratio=shape.ratio,
    )  # fmt: skip
    config._attn_implementation = "sdpa"  # the other one takes its softmax in float32 whatever the weights are
    model = transformers.VJEPA2Model(config).to(dtype).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def loaded(model: Any, shape: Shape, folder: Path) -> Pretrained:
    """The same weights through a folder on disk into our classes."""
    model.save_pretrained(folder)
    return load_pretrained(str(folder), clip=shape.clip)


def inputs(shape: Shape, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """A clip [2, C, T, H, W], context ids and target ids, another choice for each clip."""
    generator = torch.Generator().manual_seed(1)
    clip = torch.randn(2, 3, *shape.clip, generator=generator, dtype=dtype)
    n = shape.grid.tokens
    order = torch.stack([torch.randperm(n, generator=generator) for _ in range(2)])
    return clip, order[:, : n // 3].sort(1).values, order[:, n // 3 : n // 3 + n // 2].sort(1).values


def error(ours: Tensor, theirs: Tensor) -> float:
    """Norm-wise relative error."""
    return float(((ours - theirs).norm() / theirs.norm()).detach())


def run_ours(pair: Pretrained, clip: Tensor, context: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Features of the whole clip, and predictions from a context that is gathered from them, as Hugging Face does."""
    assert pair.encoder is not None
    assert pair.predictor is not None
    h = pair.encoder(clip)
    return h, pair.predictor(gather_tokens(h, context), context, target, 1 % pair.predictor.mask_tokens.shape[0])


def run_theirs(model: Any, clip: Tensor, context: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The same two tensors from VJEPA2Model."""
    out = model(clip.transpose(1, 2), context_mask=[context], target_mask=[target])
    return out.last_hidden_state, out.predictor_output.last_hidden_state


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", SHAPES)
def test_outputs_and_gradients_equal_those_of_transformers(
    name: str, dtype: torch.dtype, tmp_path: Path, their_rows: Callable[[Grid], None]
) -> None:
    """Catches: any difference in the forward pass, and any parameter that would train differently."""
    shape, allowed = SHAPES[name], EXACT if dtype == torch.float64 else CLOSE
    if name == "rectangular":
        their_rows(shape.grid)
    model = their_model(shape, dtype)
    pair = loaded(model, shape, tmp_path)
    assert pair.predictor is not None
    pair.encoder.to(dtype)
    pair.predictor.to(dtype)
    clip, context, target = inputs(shape, dtype)
    wanted = torch.randn(2, target.shape[1], shape.dim, dtype=dtype, generator=torch.Generator().manual_seed(2))
    (h, z), (their_h, their_z) = run_ours(pair, clip, context, target), run_theirs(model, clip, context, target)
    assert error(h, their_h) < allowed
    assert error(z, their_z) < allowed
    (z - wanted).abs().mean().backward()
    (their_z - wanted).abs().mean().backward()
    theirs = from_hugging_face(
        {key: p.grad if p.grad is not None else torch.zeros_like(p) for key, p in model.named_parameters()}
    )
    ours = {f"encoder.{k}": p for k, p in pair.encoder.named_parameters()}
    ours |= {f"predictor.{k}": p for k, p in pair.predictor.named_parameters()}
    assert set(ours) == set(theirs)
    for key, parameter in ours.items():
        assert parameter.grad is not None, key
        assert error(parameter.grad, theirs[key].reshape(parameter.shape)) < allowed, key


def hugging_face_state(model: Any) -> dict[str, Tensor]:
    return {key: value for key, value in model.state_dict().items()}


def to_hugging_face(ours: dict[str, Tensor], grid: Grid) -> State:
    """The inverse of from_hugging_face: encoder.* and predictor.* under VJEPA2Model's names."""
    theirs: State = {}
    for key, value in ours.items():
        name = swap(key, {new: old for old, new in HUGGING_FACE.items()})
        if ".attention.qkv." in name:
            for part, piece in zip(("query", "key", "value"), value.chunk(3)):
                theirs[name.replace(".qkv.", f".{part}.")] = piece
        elif name.endswith("patch_embeddings.proj.weight"):
            theirs[name] = value.reshape(len(value), grid.channels, grid.tubelet, grid.patch, grid.patch)
        else:
            theirs[name] = value[:, None, None] if name.endswith("mask_tokens") else value
    return theirs


@pytest.mark.parametrize("name", SHAPES)
def test_weights_come_back_bit_for_bit(name: str) -> None:
    """Catches: a name or a shape that one direction of a translation forgets."""
    shape = SHAPES[name]
    theirs = hugging_face_state(their_model(shape, torch.float32))
    ours = from_hugging_face(theirs)
    back = to_hugging_face({k: v.flatten(1) if "project.weight" in k else v for k, v in ours.items()}, shape.grid)
    assert set(back) == set(theirs)
    assert all(torch.equal(back[key], theirs[key]) and back[key].shape == theirs[key].shape for key in theirs)
    ours["target_encoder.norm.weight"] = torch.randn(shape.dim)
    original = to_original(ours, shape.grid)
    again = from_original(original)
    assert set(again) == set(ours)
    assert all(torch.equal(again[key], ours[key]) for key in ours)


def as_meta_stores(model: Any, tables: bool) -> dict[str, dict[str, Tensor]]:
    """VJEPA2Model's weights with the names and shapes of Meta's checkpoints, written out by hand, not by layouts.py."""
    theirs = model.state_dict()

    def block(source: str, target: str) -> dict[str, Tensor]:
        made = {}
        for kind in ("weight", "bias"):
            for same in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                made[f"{target}.{same}.{kind}"] = theirs[f"{source}.{same}.{kind}"]
            made[f"{target}.attn.proj.{kind}"] = theirs[f"{source}.attention.proj.{kind}"]
            three = [theirs[f"{source}.attention.{part}.{kind}"] for part in ("query", "key", "value")]
            made[f"{target}.attn.qkv.{kind}"] = torch.cat(three)
        return made

    config = model.config
    encoder = {}
    predictor = {
        f"mask_tokens.{number}": theirs["predictor.embeddings.mask_tokens"][number]
        for number in range(config.pred_num_mask_tokens)
    }
    for kind in ("weight", "bias"):
        encoder[f"patch_embed.proj.{kind}"] = theirs[f"encoder.embeddings.patch_embeddings.proj.{kind}"]
        encoder[f"norm.{kind}"] = theirs[f"encoder.layernorm.{kind}"]
        predictor[f"predictor_embed.{kind}"] = theirs[f"predictor.embeddings.predictor_embeddings.{kind}"]
        predictor[f"predictor_norm.{kind}"] = theirs[f"predictor.layernorm.{kind}"]
        predictor[f"predictor_proj.{kind}"] = theirs[f"predictor.proj.{kind}"]
    for number in range(config.num_hidden_layers):
        encoder |= block(f"encoder.layer.{number}", f"blocks.{number}")
    for number in range(config.pred_num_hidden_layers):
        predictor |= block(f"predictor.layer.{number}", f"predictor_blocks.{number}")
    if tables:
        grid = Grid(config.frames_per_clip, config.crop_size, config.crop_size, config.tubelet_size, config.patch_size)
        encoder["pos_embed"] = sincos_positions(grid, config.hidden_size)[None]
        predictor["predictor_pos_embed"] = sincos_positions(grid, config.pred_hidden_size)[None]
    parts = {
        "encoder": encoder,
        "predictor": predictor,
        "target_encoder": {key: 2 * value for key, value in encoder.items()},
    }
    if tables:
        parts["target_encoder"]["pos_embed"] = encoder["pos_embed"]
    return {part: {f"module.backbone.{key}": value for key, value in held.items()} for part, held in parts.items()}


@pytest.mark.parametrize("tables", [False, True], ids=["plain", "with unused position tables"])
def test_metas_v_jepa_2_checkpoints_compute_what_transformers_does(tables: bool, tmp_path: Path) -> None:
    """Catches: a name of theirs that only our own inverse knows; V-JEPA 2 files with V-JEPA 1's tables taken for V-JEPA 1."""
    shape = SHAPES["plain"]
    model = their_model(shape, torch.float32)
    torch.save(as_meta_stores(model, tables), tmp_path / "latest.pt")
    pair = load_pretrained(str(tmp_path / "latest.pt"), shape.clip, shape.heads, shape.predictor_heads)
    assert pair.layout == "original"
    assert pair.encoder is not None
    assert pair.target_encoder is not None
    clip, context, target = inputs(shape, torch.float32)
    with torch.no_grad():
        for ours, theirs in zip(run_ours(pair, clip, context, target), run_theirs(model, clip, context, target)):
            assert error(ours, theirs) < CLOSE
    assert torch.equal(pair.target_encoder.norm.weight, 2 * pair.encoder.norm.weight)
    only = load_pretrained(
        str(tmp_path / "latest.pt"), shape.clip, shape.heads, positions="rotary-tiled", parts=("target_encoder",)
    )
    assert only.encoder is None
    assert only.predictor is None


def test_v_jepa_1_checkpoints_have_sine_cosine_positions(tmp_path: Path) -> None:
    """Catches: rotary positions in V-JEPA 1; mask tokens in another order."""
    shape = dataclasses.replace(SHAPES["plain"], groups=2)
    model = their_model(shape, torch.float32)
    torch.save(as_meta_stores(model, tables=True), tmp_path / "vitl16.pth.tar")
    pair = load_pretrained(str(tmp_path / "vitl16.pth.tar"), shape.clip, shape.heads, shape.predictor_heads)
    assert pair.encoder is not None
    assert pair.predictor is not None
    assert pair.encoder.positions == pair.predictor.positions == "sincos"
    assert torch.equal(pair.predictor.mask_tokens, model.state_dict()["predictor.embeddings.mask_tokens"][:, 0, 0])
    clip, context, _ = inputs(shape, torch.float32)
    with torch.no_grad():
        assert error(pair.encoder(clip, context)[0], slow_encoder(pair.encoder, clip[0], context[0])) < CLOSE


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod.backbone.", ""])
def test_what_wrapped_a_model_in_training_is_not_in_its_names(wrapper: str, tmp_path: Path) -> None:
    """Catches: a file of DistributedDataParallel or torch.compile that cannot be read."""
    shape = SHAPES["plain"]
    model = their_model(shape, torch.float32)
    theirs, metas = hugging_face_state(model), as_meta_stores(model, tables=False)
    expected = from_hugging_face(theirs)
    safetensors_torch.save_file(
        {wrapper + key: value.clone() for key, value in theirs.items()}, tmp_path / "theirs.safetensors"
    )
    parts = {
        part: {wrapper + key.removeprefix("module.backbone."): v for key, v in held.items()}
        for part, held in metas.items()
    }
    torch.save(parts, tmp_path / "metas.pt")
    for file in ("theirs.safetensors", "metas.pt"):
        pair = load_pretrained(str(tmp_path / file), shape.clip, shape.heads, shape.predictor_heads)
        assert pair.encoder is not None
        assert torch.equal(pair.encoder.norm.weight, expected["encoder.norm.weight"])
    torch.save({"ema_encoder": parts["encoder"]}, tmp_path / "ema.pt")
    with pytest.raises(ValueError, match=r"has an ema_encoder only, .* give one of V-JEPA 1 or 2"):
        load_pretrained(str(tmp_path / "ema.pt"))


@pytest.mark.parametrize("groups", [2, 3], ids=["V-JEPA 1", "V-JEPA 2"])
def test_a_written_file_has_every_tensor_of_theirs(groups: int, tmp_path: Path) -> None:
    """Catches: V-JEPA 1's tables of positions left out, which its strict load asks for, or given to V-JEPA 2."""
    shape = dataclasses.replace(SHAPES["plain"], groups=groups)
    theirs = as_meta_stores(their_model(shape, torch.float32), tables=groups == 2)
    torch.save(theirs, tmp_path / "theirs.pt")
    pair = load_pretrained(str(tmp_path / "theirs.pt"), shape.clip, shape.heads, shape.predictor_heads)
    networks = {"encoder": pair.encoder, "target_encoder": pair.target_encoder, "predictor": pair.predictor}
    ours = {
        f"{part}.{key}": v for part, network in networks.items() if network for key, v in network.state_dict().items()
    }
    written = to_original(ours, shape.grid, "sincos" if groups == 2 else "rotary-tiled")
    assert {part: set(held) for part, held in written.items()} == {part: set(held) for part, held in theirs.items()}
    assert all(torch.equal(written[part][key], v) for part, held in theirs.items() for key, v in held.items())


def slow_encoder(encoder: Encoder, clip: Tensor, ids: Tensor) -> Tensor:
    """The encoder on visible tokens only, one clip, token, head and pair of numbers at a time."""
    grid, (_, h, w) = encoder.grid, encoder.grid.shape
    d, scheme = encoder.head_dim, encoder.positions
    tokens = []
    for i in ids.tolist():  # one tubelet: cut it out and multiply
        t, y, x = i // (h * w), i // w % h, i % w
        frames = slice(t * grid.tubelet, (t + 1) * grid.tubelet)
        rows, columns = slice(y * grid.patch, (y + 1) * grid.patch), slice(x * grid.patch, (x + 1) * grid.patch)
        token = encoder.embed.project.weight @ clip[:, frames, rows, columns].flatten() + encoder.embed.project.bias
        tokens.append(token + (sincos_positions(grid, encoder.dim)[i] if scheme == "sincos" else 0))
    x = torch.stack(tokens)

    def turn(vector: Tensor, i: int) -> Tensor:
        out, pairs = vector.clone(), d // 6
        for axis, place in enumerate((i // (h * w), i // w % h, i % w)):
            for pair in range(pairs):
                first = 2 * pairs * axis + 2 * pair
                angles = [
                    place * 10000.0 ** -((n % pairs if scheme == "rotary-tiled" else n // 2) / pairs)
                    for n in (2 * pair, 2 * pair + 1)
                ]
                a, b = vector[first], vector[first + 1]
                out[first] = a * math.cos(angles[0]) - b * math.sin(angles[0])
                out[first + 1] = b * math.cos(angles[1]) + a * math.sin(angles[1])
        return out

    for block in encoder.blocks:
        q, k, v = (F.layer_norm(x, (encoder.dim,), block.norm1.weight, block.norm1.bias, 1e-6) @ part.T + bias
                   for part, bias in zip(block.attention.qkv.weight.chunk(3), block.attention.qkv.bias.chunk(3)))  # fmt: skip
        heads = []
        for head in range(encoder.dim // d):
            own = slice(head * d, (head + 1) * d)
            if scheme == "sincos":
                queries, keys = q[:, own], k[:, own]
            else:
                queries, keys = (torch.stack([turn(row[own], i) for row, i in zip(m, ids.tolist())]) for m in (q, k))
            heads.append(torch.softmax(queries @ keys.T / math.sqrt(d), dim=1) @ v[:, own])
        x = x + torch.cat(heads, dim=1) @ block.attention.proj.weight.T + block.attention.proj.bias
        y = (
            F.layer_norm(x, (encoder.dim,), block.norm2.weight, block.norm2.bias, 1e-6) @ block.mlp.fc1.weight.T
            + block.mlp.fc1.bias
        )
        x = x + (0.5 * y * (1 + torch.erf(y / math.sqrt(2)))) @ block.mlp.fc2.weight.T + block.mlp.fc2.bias
    return F.layer_norm(x, (encoder.dim,), encoder.norm.weight, encoder.norm.bias, 1e-6)


@pytest.mark.parametrize("scheme", ["sincos", "rotary", "rotary-tiled"])
def test_the_training_path_encodes_visible_tokens_only_and_equals_a_slow_reference(scheme: str) -> None:
    """Catches: what transformers cannot, which encodes the whole clip and gathers the context afterwards.

    In training the encoder must not see hidden tubelets, so its features differ from theirs; a rotation by the place
    in the list instead of by id would show here.
    """
    shape = Shape(clip=(6, 8, 12), patch=4, dim=26, heads=2, depth=2)
    torch.manual_seed(0)
    encoder = Encoder(shape.grid, shape.dim, shape.depth, shape.heads, scheme).double()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    clip, context, _ = inputs(shape)
    fast = encoder(clip, context)
    for number in range(2):
        assert error(fast[number], slow_encoder(encoder, clip[number], context[number])) < EXACT
    assert error(fast, gather_tokens(encoder(clip), context)) > 0.01  # it matters what a token sees


def tanh_gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def swap_qkv(pair: Pretrained) -> None:
    for block in pair.encoder.blocks:
        q, k, v = block.attention.qkv.weight.data.chunk(3)
        block.attention.qkv.weight.data = torch.cat([k, q, v])


def other_eps(pair: Pretrained) -> None:
    for module in pair.encoder.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-5


def pairs_by_halves(x: Tensor, angles: Tensor) -> Tensor:
    """Rotation of (x0, x_half) pairs, as in other rotary models."""
    angles = angles.unsqueeze(1)
    turned, still = x.tensor_split([angles.shape[-1]], dim=-1)
    half = turned.shape[-1] // 2
    quarter = torch.cat((-turned[..., half:], turned[..., :half]), dim=-1)
    return torch.cat([turned * angles.cos() + quarter * angles.sin(), still], dim=-1)


BROKEN = (
    "nothing",
    "rotary frequencies",
    "rotary pairs",
    "LayerNorm eps",
    "GELU variant",
    "qkv order",
    "position order",
    "mask token",
    "final norm",
)


@pytest.mark.parametrize("detail", BROKEN)
def test_a_broken_detail_shows(detail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a parity test too loose to see one."""
    shape = SHAPES["plain"]
    model = their_model(shape)
    pair = loaded(model, shape, tmp_path)
    assert pair.predictor is not None
    pair.encoder.double()
    pair.predictor.double()
    clip, context, target = inputs(shape)
    if detail == "rotary frequencies":
        pair.encoder.positions = "rotary"
    elif detail == "rotary pairs":
        monkeypatch.setattr("minivjepa.transformer.rotate", pairs_by_halves)
    elif detail == "LayerNorm eps":
        other_eps(pair)
    elif detail == "GELU variant":
        monkeypatch.setattr(
            "minivjepa.transformer.F",
            type("", (), {"gelu": tanh_gelu, "scaled_dot_product_attention": F.scaled_dot_product_attention}),
        )
    elif detail == "qkv order":
        swap_qkv(pair)
    elif detail == "position order":
        pair.encoder.grid = dataclasses.replace(shape.grid, frames=8, height=12)  # the same N, counted otherwise
        monkeypatch.setattr(
            minivjepa.encoder.TubeletEmbedding,
            "forward",
            lambda self, clip, ids: self.project(minivjepa.tubelets.patchify(clip, self.grid)),
        )
    elif detail == "mask token":
        pair.predictor.mask_tokens.data = pair.predictor.mask_tokens.data.roll(1, 0)
    elif detail == "final norm":
        pair.predictor.norm = torch.nn.Identity()
    with torch.no_grad():
        ours, theirs = run_ours(pair, clip, context, target), run_theirs(model, clip, context, target)
    worst = max(error(a, b) for a, b in zip(ours, theirs))
    assert (worst < EXACT) == (detail == "nothing"), worst


class Trap:
    """Pickles to a call that would leave a file behind."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    """Catches: torch.load without weights_only."""
    for name, save in (
        ("trap.pt", torch.save),
        ("trap.pth", lambda value, path: path.write_bytes(pickle.dumps(value))),
    ):
        save({"encoder": Trap(tmp_path / "sprung")}, tmp_path / name)
        with pytest.raises(
            ValueError,
            match=f"{name} cannot be read as weights: it holds more than tensors, which is refused, never executed",
        ):
            load_pretrained(str(tmp_path / name))
    assert not (tmp_path / "sprung").exists()


def damaged(change: Callable[[dict[str, Tensor]], Any], folder: Path) -> str:
    """A folder of Hugging Face's layout whose tensors were changed."""
    their_model(SHAPES["plain"], torch.float32).save_pretrained(folder)
    state = safetensors_torch.load_file(folder / "model.safetensors")
    change(state)
    safetensors_torch.save_file(state, folder / "model.safetensors")
    return str(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("encoder.layer.1.mlp.fc1.bias"), r"hugging-face layout, encoder: blocks.1.mlp.fc1.bias is missing"),
        (lambda s: s.update(novelty=torch.ones(2)), "has the unknown key novelty"),
        (lambda s: s.update({"encoder.novelty": torch.ones(2)}), r"encoder: novelty is \(2,\), expected nothing"),
        (lambda s: s.update({"predictor.proj.bias": torch.ones(7)}), r"predictor: leave.bias is \(7,\), expected \(24,\)"),
        (lambda s: [s.pop(key) for key in list(s) if "norm1" in key], r"is missing, .*is missing, .*is missing, .*is missing, "),
        (lambda s: s.pop("encoder.layer.0.attention.key.weight"), "encoder.layer.0.attention.key.weight"),
        (lambda s: s.pop("encoder.embeddings.patch_embeddings.proj.weight"), "holds no tubelet embedding"),
        (lambda s: s.pop("encoder.layernorm.weight"), "encoder: norm.weight is missing"),
        (lambda s: s.pop("predictor.embeddings.mask_tokens"), "predictor: mask_tokens is missing"),
    ],
    ids=["missing", "stranger", "extra", "misshaped", "many", "no key matrix", "no embedding", "no final norm", "no mask tokens"],
)  # fmt: skip
def test_keys_that_do_not_fit_are_named(
    change: Callable[[dict[str, Tensor]], Any], message: str, tmp_path: Path
) -> None:
    """Catches: weights that load in part, without a word."""
    with pytest.raises(ValueError, match=message):
        load_pretrained(damaged(change, tmp_path), SHAPES["plain"].clip)


def test_what_is_no_checkpoint_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a traceback from the depths of a library."""
    with pytest.raises(ValueError, match=r"nowhere.pt does not exist; give a folder, a .safetensors or .pt file"):
        load_pretrained("nowhere.pt")
    with pytest.raises(ValueError, match=r"holds no config.json with .safetensors beside it"):
        load_pretrained(str(tmp_path))
    half = tmp_path / "half.safetensors"
    half.write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{")
    with pytest.raises(ValueError, match=r"half.safetensors is not a complete safetensors file"):
        load_pretrained(str(half))
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match=r"list.pt holds a list, expected a dict of tensors"):
        load_pretrained(str(tmp_path / "list.pt"))
    half.unlink()
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(ValueError, match=r"text.pt cannot be read as weights: torch.save did not write it"):
        load_pretrained(str(tmp_path / "text.pt"))
    torch.save({"config": {}, "step": 3, "model": {}}, tmp_path / "ours.pt")
    with pytest.raises(ValueError, match=r"ours.pt is a checkpoint of minivjepa; give its folder instead"):
        load_pretrained(str(tmp_path / "ours.pt"))
    for held in (
        {"encoder": torch.ones(2)},
        {"encoder": {"norm.weight": "one"}},
        {"encoder": {3: torch.ones(2)}},
        {"a": 1},
    ):
        torch.save(held, tmp_path / "odd.pt")
        with pytest.raises(ValueError, match=r"odd.pt, read in the .* layout, has .* expected"):
            load_pretrained(str(tmp_path / "odd.pt"))
    with pytest.raises(ValueError, match="nobody does not exist"):
        load_pretrained(f"{tmp_path}/nobody")

    def offline(*words: Any, **options: Any) -> str:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(
        ValueError, match=r"facebook/vjepa2-vitl-fpc64-256 could not be fetched .*by hand into a folder"
    ):
        load_pretrained("facebook/vjepa2-vitl-fpc64-256")


def test_a_geometry_that_cannot_be_known_is_asked_for(tmp_path: Path) -> None:
    """Catches: a guess at the heads or at the positions, or position tables of another clip taken for granted."""
    shape, file = dataclasses.replace(SHAPES["plain"], groups=2), str(tmp_path / "one.pt")
    held = as_meta_stores(their_model(shape, torch.float32), tables=True)
    torch.save(held, file)
    with pytest.raises(ValueError, match="how many attention heads of an encoder 24 wide, as no released model is"):
        load_pretrained(file, shape.clip)
    with pytest.raises(ValueError, match=r"not the sine-cosine table .* a clip of 6 x 16 x 24; give the clip size"):
        load_pretrained(file, (6, 16, 24), shape.heads, shape.predictor_heads)
    torch.save({"encoder": held["encoder"]}, file)
    with pytest.raises(
        ValueError, match="has a position table, as V-JEPA 1 and some files of V-JEPA 2 do; give positions"
    ):
        load_pretrained(file, shape.clip, shape.heads)
    pair = load_pretrained(file, shape.clip, shape.heads, positions="rotary-tiled")
    assert pair.encoder is not None
    assert pair.encoder.positions == "rotary-tiled"
    with pytest.raises(ValueError, match="unknown positions 'rope'; choose from sincos"):
        load_pretrained(file, shape.clip, shape.heads, positions="rope")


def test_the_config_beside_the_weights_decides(tmp_path: Path) -> None:
    """Catches: a config that is ignored, contradicted without a word, or trusted when it is nonsense."""
    shape = SHAPES["plain"]
    their_model(shape, torch.float32).save_pretrained(tmp_path)
    file, config = str(tmp_path / "model.safetensors"), tmp_path / "config.json"
    for source in (str(tmp_path), file):
        pair = load_pretrained(source)
        assert pair.encoder is not None
        assert pair.encoder.grid == shape.grid
        assert pair.encoder.head_dim == shape.dim // shape.heads
    with pytest.raises(ValueError, match=r"has 2 heads of an encoder 24 wide by its config.json, and 3 were asked for"):
        load_pretrained(file, heads=3)
    good = json.loads(config.read_text())
    for name, value in (
        ("crop_size", None),
        ("crop_size", "32"),
        ("frames_per_clip", [16]),
        ("num_attention_heads", -1),
    ):
        config.write_text(json.dumps(good | {name: value}))
        with pytest.raises(ValueError, match=f"has {name} .* in its config.json, expected a whole number above 0"):
            load_pretrained(file)
    for name, value, has in (
        ("num_hidden_layers", 4, "the file has 2"),
        ("pred_num_hidden_layers", 12, "the file has 2"),
        ("hidden_size", 48, "the file has 24"),
        ("pred_hidden_size", 24, "the file has 12"),
        ("mlp_ratio", 3, "the file has 4.0"),
        ("tubelet_size", 4, "the file has 2"),
        ("patch_size", 16, "the file has 4"),
        ("in_chans", 1, "the file has 3"),
        ("hidden_act", "relu", "this package has 'gelu'"),
        ("layer_norm_eps", 1e-3, "this package has 1e-06"),
        ("qkv_bias", False, "this package has True"),
    ):
        config.write_text(json.dumps(good | {name: value}))
        with pytest.raises(ValueError, match=f"config.json that says {name} {value!r} where {has}; give"):
            load_pretrained(file)
    config.write_text("[]")
    with pytest.raises(ValueError, match="holds a list, expected an object with the sizes"):
        load_pretrained(file)
    config.write_text("{")
    with pytest.raises(ValueError, match=r"config.json is damaged"):
        load_pretrained(file)


FULL_SIZE = """
import resource, sys, torch
from safetensors.torch import save_file
from minivjepa.encoder import Encoder
from minivjepa.predictor import Predictor
from minivjepa.released.load import load_pretrained
from minivjepa.tubelets import Grid
from tests.test_parity import to_hugging_face

grid, file = Grid(16, 256, 256), sys.argv[1]
made = {"encoder": Encoder(grid, 1024, 24, 16, "rotary-tiled"), "predictor": Predictor(grid, 1024, 384, 12, 12, 10, "rotary-tiled")}
ours = {f"{part}.{key}": value for part, network in made.items() for key, value in network.state_dict().items()}
save_file({key: value.clone() for key, value in to_hugging_face(ours, grid).items()}, file)
wanted = ours["encoder.blocks.23.mlp.fc2.weight"].clone()
del made, ours
scale = 2**30 if sys.platform == "darwin" else 2**20  # ru_maxrss is in bytes there, in kB elsewhere
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
pair = load_pretrained(file)
assert torch.equal(pair.encoder.blocks[23].mlp.fc2.weight, wanted)
with torch.inference_mode():
    print(tuple(pair.encoder(torch.randn(1, 3, 16, 256, 256)).shape), len(pair.predictor.mask_tokens))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale)
"""


@pytest.mark.slow
def test_vit_l_loads_and_embeds_a_full_clip_in_16_gib(tmp_path: Path) -> None:
    """Catches: a loader that only works for toys, or that holds the 1.3 GB of weights many times over."""
    pytest.importorskip("resource", reason="peak memory is read with a module that Windows lacks")
    ended = subprocess.run(
        [sys.executable, "-c", FULL_SIZE, str(tmp_path / "model.safetensors")],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    (tmp_path / "model.safetensors").unlink(missing_ok=True)  # 1.3 GB
    assert ended.returncode == 0, ended.stderr
    shape, memory = ended.stdout.splitlines()
    assert shape == "(1, 2048, 1024) 10"
    assert float(memory) < 8  # GiB: the file, what is read of it, the network and its activations
