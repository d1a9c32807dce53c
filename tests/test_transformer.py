import copy
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from minivjepa.encoder import Encoder
from minivjepa.predictor import Predictor
from minivjepa.training.trainer import written_out
from minivjepa.transformer import Attention, Block, block_flops, init_linear
from minivjepa.tubelets import Grid

PLACES = Grid(4, 16, 24, 2, 8)


@torch.no_grad()
def naive_attention(layer: Attention, x: torch.Tensor) -> torch.Tensor:
    """Every head, query and key in a loop of its own: the specification."""
    clips, n, dim = x.shape
    size = dim // layer.heads
    q, k, v = (F.linear(x, w, b) for w, b in zip(layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3)))
    mixed = torch.zeros_like(x)
    for clip in range(clips):
        for head in range(layer.heads):
            part = slice(head * size, (head + 1) * size)
            for i in range(n):
                scores = [float(q[clip, i, part] @ k[clip, j, part]) / math.sqrt(size) for j in range(n)]
                weights = [math.exp(s) for s in scores]
                mixed[clip, i, part] = sum(w / sum(weights) * v[clip, j, part] for j, w in enumerate(weights))
    return layer.proj(mixed)


@given(st.integers(1, 2), st.integers(1, 5), st.integers(1, 3), st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_attention_equals_a_naive_loop(clips: int, n: int, heads: int, size: int) -> None:
    """Catches: heads and head dimensions swapped in the einops pattern, or q, k, v in another order."""
    layer, x = Attention(heads * size, heads).double(), torch.randn(clips, n, heads * size, dtype=torch.float64)
    torch.testing.assert_close(layer(x), naive_attention(layer, x), rtol=1e-5, atol=1e-6)


def test_attention_written_out_is_attention_and_has_its_gradient() -> None:
    """Catches: a fast path for bfloat16 on CPUs that scales wrongly, or that is not used where gradients are needed."""
    torch.manual_seed(0)
    fused = Block(12, 3).double()
    model, x = copy.deepcopy(fused), torch.randn(2, 7, 12, dtype=torch.float64)
    expected = fused(x)
    (gradient,) = torch.autograd.grad(expected.square().sum(), fused.attention.qkv.weight)
    model.attention.attend = written_out
    found = model(x)
    assert "SoftmaxBackward0" in graph_of(found)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found.square().sum(), model.attention.qkv.weight)[0], gradient)
    mask = torch.ones(7, 7, dtype=torch.bool).tril()
    torch.testing.assert_close(model(x, allowed=mask), fused(x, allowed=mask))


def graph_of(value: torch.Tensor) -> set[str]:
    """Names of all steps that a value was computed by."""
    names, waiting = set(), [value.grad_fn]
    while waiting:
        if (node := waiting.pop()) is not None:
            names.add(type(node).__name__)
            waiting += [following for following, _ in node.next_functions]
    return names


def test_heads_must_divide_the_width() -> None:
    """Catches: a reshape error that names neither."""
    with pytest.raises(ValueError, match="width 64 is not divisible by 5 heads"):
        Attention(64, 5)
    with pytest.raises(ValueError, match="heads is 0, expected 1 or more"):
        Encoder(Grid(), 64, 1, 0)


@given(st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=8, deadline=None)
def test_analytic_flops_equal_torchs_counter(n: int, depth: int) -> None:
    """Catches: a forgotten factor 2 or a projection that is not counted."""
    grid, dim, heads, inner = Grid(4, 16, 24, 2, 8), 24, 2, 12
    encoder, predictor = Encoder(grid, dim, depth, heads), Predictor(grid, dim, inner, depth, heads)
    ids, others = torch.arange(n)[None], torch.arange(n, 12)[None]
    clip = torch.randn(1, 3, 4, 16, 24)
    with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        context = encoder(clip, ids)
    assert counted.get_total_flops() == encoder.flops(n)
    with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        predictor(context, ids, others)
    assert counted.get_total_flops() == predictor.flops(n, 12 - n)
    with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        Block(dim, heads)(torch.randn(1, n, dim))
    assert counted.get_total_flops() == sum(block_flops(n, dim).values())


def test_attention_passes_the_mlp_at_4d_and_all_dense_layers_at_6d() -> None:
    """Catches: coefficients other than 24 n D^2 + 4 n^2 D; and the paper's block in GFLOP."""
    dim = 96
    at = block_flops(4 * dim, dim)
    assert at["attention"] == at["mlp"]
    at = block_flops(6 * dim, dim)
    assert at["attention"] == at["mlp"] + at["projections"]
    giga = {name: round(value / 1e9, 1) for name, value in block_flops(1568, 1024).items()}
    assert giga == {"mlp": 26.3, "projections": 13.2, "attention": 10.1}


def spreads(network: torch.nn.Module) -> dict[str, float]:
    """Standard deviation of every Linear's weight, by its name."""
    return {
        name: float(layer.weight.detach().std())
        for name, layer in network.named_modules()
        if isinstance(layer, torch.nn.Linear)
    }


@pytest.mark.parametrize("part", [Encoder(PLACES, 192, 12, 3), Predictor(PLACES, 192, 192, 12, 3)])
def test_initialisations_have_their_spread_in_every_layer(part: torch.nn.Module) -> None:
    """Catches: an init that is accepted by name and then ignored; V-JEPA 1's start rescaled, or V-JEPA 2's not, in any block."""
    torch.manual_seed(0)
    init_linear(part, "xavier")
    assert abs(spreads(part)["blocks.3.mlp.fc1"] - math.sqrt(2 / (192 + 768))) < 0.001
    init_linear(part, "official")
    assert all(abs(spread - 0.02) < 0.0006 for spread in spreads(part).values())
    init_linear(torch.nn.ModuleList([part]), "official-2")  # blocks are found inside a module, too
    for name, spread in spreads(part).items():
        number = int(name.split(".")[1]) + 1 if name.endswith(("attention.proj", "mlp.fc2")) else 0.5
        assert abs(spread * math.sqrt(2 * number) - 0.02) < 0.0006, name
    assert round(spreads(part)["blocks.11.mlp.fc2"], 4) == 0.0041
    assert all(bool((layer.bias == 0).all()) for layer in part.modules() if isinstance(layer, torch.nn.Linear))
    with pytest.raises(ValueError, match="unknown initialization"):
        init_linear(part, "kaiming")
