"""Every build of network through every step: it succeeds, or refuses in words, and is unharmed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import captum_blocks as cb
from captum_blocks.compose import Quality, Value
from captum_blocks.errors import UnusableLayer
from captum_blocks.network import LayerTable
from captum_blocks.store import Store
from tests.reference.architectures import CASES, made
from tests.reference.families import FAMILIES, family

ROUGH = Quality(size=32, n_steps=1, budget=1, cell=24, cell_steps=1)
LAYER_METHODS = (
    "LayerGradientXActivation",
    "LayerIntegratedGradients",
    "LayerConductance",
    "LayerDeepLift",
    "LayerGradientShap",
)
OPTIONS = {
    "LayerIntegratedGradients": {"n_steps": 2},
    "LayerConductance": {"n_steps": 2},
    "LayerGradientShap": {"n_samples": 1},
}


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    """Each network is built once; every test that uses it also tests that the others left it."""
    return {}


def network(name: str, built: dict[str, nn.Module]) -> tuple[cb.Network, torch.Tensor]:
    """The network and a ready picture."""
    case = CASES[name]
    module = built.setdefault(name, made(case))
    stats = (0.5,) * case.channels
    net = cb.Network(
        module,
        cb.Preprocess(case.size, stats, stats),
        name=name,
        output="logits" if name == "dict_output" else None,
    )
    generator = torch.Generator().manual_seed(0)
    return net, torch.randn(1, case.channels, case.size, case.size, generator=generator)


@cache
def chosen(name: str) -> tuple[str, ...]:
    """The layers recommended for a network, found once."""
    return network(name, {})[0].recommended()


def state_of(module: nn.Module) -> dict[str, object]:
    """Everything of a module that a user could notice."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {
        "values": {name: tensor.detach().clone() for name, tensor in tensors.items()},
        "objects": {name: id(tensor) for name, tensor in tensors.items()},
        "trainable": {name: tensor.requires_grad for name, tensor in tensors.items()},
        "gradients": {name: tensor.grad is None for name, tensor in tensors.items()},
        "training": {name: part.training for name, part in module.named_modules()},
        "hooks": {
            name: len(part._forward_hooks)
            + len(part._forward_pre_hooks)
            + len(part._backward_hooks)
            for name, part in module.named_modules()
        },
        "attributes": {name: set(vars(part)) for name, part in module.named_modules()},
    }


@contextmanager
def unharmed(net: cb.Network, built: dict[str, nn.Module]) -> Iterator[None]:
    """The module given is, down to the bit, what it was."""
    module = built[net.name]
    before = state_of(module)
    yield
    after = state_of(module)
    for name, tensor in before.pop("values").items():  # type: ignore[attr-defined]
        assert torch.equal(tensor, after["values"][name]), name  # type: ignore[index]
    after.pop("values")
    assert after == before


def place(net: cb.Network) -> str:
    """The layer that a test looks at: the last of those recommended."""
    return net.name_of(chosen(net.name)[-1])


@pytest.mark.parametrize("name", CASES)
def test_layers(name: str, networks: dict[str, nn.Module]) -> None:
    net, x = network(name, networks)
    with unharmed(net, networks):
        table = net.layers()
        marked = [info for info in table if info.recommended]
    assert [info.name for info in marked] == list(chosen(name))
    assert 1 <= len(marked) <= 3
    assert {info.layout.kind for info in marked} <= CASES[name].layouts
    grids = [info.grid for info in marked]
    assert grids == sorted(grids, reverse=True)
    outputs = {info.name for info in net.layers(x)}
    assert outputs == {info.name for info in table}


@pytest.mark.parametrize("name", CASES)
def test_visualize(name: str, networks: dict[str, nn.Module]) -> None:
    net, x = network(name, networks)
    layer = place(net)
    channels = next(net.activations(layer, [x])).shape[1]
    direction = [1.0, *[0.0] * (channels - 2), -1.0]
    with unharmed(net, networks):
        maker = cb.FeatureVisualizer(net.module, layer, net.preprocess.normalise)
        made = maker.visualize(
            [cb.optim.Channel(1), cb.optim.Direction(direction)],
            size=tuple(x.shape[2:]),
            n_steps=2,
            channels=x.shape[1],
        )
    assert made.images.shape == (2, *x.shape[1:])
    assert made.images.isfinite().all()


@pytest.mark.parametrize("method", LAYER_METHODS)
@pytest.mark.parametrize("name", CASES)
def test_attribution(name: str, method: str, networks: dict[str, nn.Module]) -> None:
    """Channels and groups of one layer add up to the same whole, or the method says why not."""
    net, x = network(name, networks)
    layer = cb.Hidden(place(net))
    how = cb.Method(method, **OPTIONS.get(method, {}))

    def attributed() -> tuple[Value, Value]:
        found = []
        for source in (layer.channels, layer.groups(2)):
            with torch.random.fork_rng():
                torch.manual_seed(0)
                np.random.seed(0)
                content = cb.Attribution(source, cb.Out(1), method=how)
                found.append(cb.evaluate(content, net, x))
        return found[0], found[1]

    with unharmed(net, networks):
        channels, groups = attributed()
    assert channels.data.isfinite().all()
    torch.testing.assert_close(groups.total, channels.total, atol=1e-4, rtol=1e-3)


HEAD_METHODS = ("IntegratedGradients", "ShapleyValues", "FeatureAblation")


@pytest.mark.parametrize("name", CASES)
def test_attribution_through_groups(name: str, networks: dict[str, nn.Module]) -> None:
    """Methods for inputs run on the groups: what a group's absence changes, all told."""
    net, x = network(name, networks)
    groups = cb.Hidden(place(net)).groups(2)
    found = {}
    with unharmed(net, networks):
        for method in HEAD_METHODS:
            how = cb.Method(method, **({"n_steps": 4} if method.startswith("I") else {}))
            found[method] = cb.evaluate(cb.Attribution(groups, cb.Out(1), method=how), net, x)
    shapley = found["ShapleyValues"]
    assert all(value.data.isfinite().all() for value in found.values())
    # Shapley values share out F(A) - F(0), whatever the network is.
    logit = float(net.logits(x)[0, 1])
    silent = silenced(net, place(net), x)
    assert float(shapley.total) == pytest.approx(logit - silent, abs=1e-3)


def silenced(net: cb.Network, layer: str, x: torch.Tensor) -> float:
    """The logit with everything at a layer set to zero, by a hook of the test's own."""
    module = dict(net.module.named_modules())[layer]
    handle = module.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    try:
        return float(net.logits(x)[0, 1])
    finally:
        handle.remove()


@pytest.mark.parametrize("name", CASES)
def test_layer_to_layer(name: str, networks: dict[str, nn.Module]) -> None:
    net, x = network(name, networks)
    chain = chosen(name)
    if len(chain) < 2:
        chain = (earlier(net, chain[-1]), chain[-1])
    below, above = (cb.Hidden(layer) for layer in chain[-2:])
    with unharmed(net, networks):
        places = cb.evaluate(cb.Attribution(below.spatial, above.spatial), net, x)
        groups = cb.evaluate(cb.Attribution(below.groups(2), above.groups(2)), net, x)
        whole = cb.evaluate(cb.Attribution(below.whole, above.groups(2)), net, x)
    assert places.axes == ("image", "to_y", "to_x", "y", "x")
    assert places.data.isfinite().all()
    torch.testing.assert_close(groups.total, whole.total, atol=1e-4, rtol=1e-3)


def earlier(net: cb.Network, layer: str) -> str:
    """A layer with positions that runs before another, and is not inside it."""
    names = [info.name for info in net.layers() if min(info.grid) > 1]
    before = names[: names.index(layer)]
    return next(name for name in before if not name.startswith(layer))


@pytest.mark.parametrize("name", CASES)
def test_a_page(name: str, networks: dict[str, nn.Module], store: Store) -> None:
    net, x = network(name, networks)
    interface = cb.report(*chosen(name), groups=2)
    with unharmed(net, networks):
        ex = cb.explain(interface, net, x, quality=ROUGH, progress=False, store=store)
    assert len(ex.scene.chapters) == len(interface.parts)
    assert ex.scene.sprites
    assert "<html" in ex.html()


def test_a_class_token_is_a_remainder_and_never_a_place(networks: dict[str, nn.Module]) -> None:
    net, x = network("vit_tiny", networks)
    last = cb.evaluate(cb.Attribution(cb.Hidden("norm").spatial, cb.Out(3)), net, x)
    assert last.data.shape == (1, 1, 4, 4)
    assert float(last.data.abs().max()) == 0
    assert float(last.remainder["tokens"].abs().sum()) > 1e-4
    tokens = cb.evaluate(cb.Activation(cb.Hidden("norm").tokens), net, x)
    assert tokens.axes == ("image", "token")
    assert net.recommended() == ("blocks.1",)


@pytest.mark.parametrize(("name", "tokens"), [("deit_distilled", 2), ("vit_registers", 5)])
def test_distillation_and_register_tokens_have_no_place(
    name: str, tokens: int, networks: dict[str, nn.Module]
) -> None:
    net, x = network(name, networks)
    layer = place(net)
    info = next(info for info in net.layers() if info.name == layer)
    assert (info.layout.prefix, info.grid) == (tokens, (4, 4))
    found = cb.evaluate(cb.Activation(cb.Hidden(layer).tokens), net, x)
    assert found.data.shape == (1, tokens)


@pytest.mark.parametrize(
    ("name", "stream", "attention", "mlp"),
    [
        ("vit_tiny", "blocks.1", "blocks.1.attn", "blocks.1.mlp"),
        (
            "vit_b_16",
            "encoder_layer_1",
            "encoder_layer_1.self_attention",
            "encoder_layer_1.mlp",
        ),
    ],
)
def test_residual_stream_attention_and_mlp_are_layers(
    name: str, stream: str, attention: str, mlp: str, networks: dict[str, nn.Module]
) -> None:
    """What a block adds to the stream is what its two parts wrote, and each can be asked."""
    net, x = network(name, networks)
    before = stream.replace("1", "0", 1)
    maps = {part: next(net.activations(part, [x])) for part in (before, stream, attention, mlp)}
    torch.testing.assert_close(
        maps[stream], maps[before] + maps[attention] + maps[mlp], atol=1e-4, rtol=1e-4
    )
    whole = [
        cb.evaluate(cb.Attribution(cb.Hidden(part).whole, cb.Out(1)), net, x)
        for part in (stream, attention, mlp)
    ]
    assert all(float(value.total.abs()) > 0 for value in whole)


def test_groups_of_a_signed_layer_are_semi_nmf_and_say_so(
    networks: dict[str, nn.Module], store: Store
) -> None:
    net, x = network("vit_tiny", networks)
    groups = cb.Hidden("blocks.1").groups(3)
    value = cb.evaluate(cb.Attribution(groups, cb.Out(1)), net, x)
    assert any("made by semi-NMF" in note for note in value.notes)
    page = cb.neuron_groups("blocks.1", n=2)
    ex = cb.explain(page, net, x, quality=ROUGH, progress=False, store=store)
    (chapter,) = ex.scene.chapters
    assert (
        "blocks.1 takes negative values, so its groups are made by semi-NMF"
        in dict(chapter.method)["notes"]
    )
    plain, _ = network("resnet18", networks)
    positive = cb.Attribution(cb.Hidden("layer3").groups(2), cb.Out(1))
    assert not any("semi-NMF" in note for note in cb.evaluate(positive, plain, x).notes)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("single_channel", torch.float16),
        ("single_channel", torch.bfloat16),
        ("vit_tiny", torch.bfloat16),
    ],
)
def test_half_precision(name: str, dtype: torch.dtype, store: Store) -> None:
    case = CASES[name]
    stats = (0.5,) * case.channels
    module, exact = made(case).to(dtype), made(case)
    net, full = (cb.Network(m, cb.Preprocess(case.size, stats, stats)) for m in (module, exact))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, case.channels, case.size, case.size, generator=generator)
    assert net.read(x).dtype == dtype
    layer = cb.Hidden(full.recommended()[-1])
    for content in (
        cb.Activation(layer.channels),
        cb.Attribution(layer.spatial, cb.Out(1)),
        cb.Attribution(layer.spatial, cb.Out(1), method=cb.Method("LayerConductance", n_steps=4)),
    ):
        found, wanted = cb.evaluate(content, net, x), cb.evaluate(content, full, x)
        assert found.data.dtype == torch.float32
        scale = float(wanted.total.abs().max() + wanted.data.abs().max())
        torch.testing.assert_close(found.data, wanted.data, atol=0.05 * scale, rtol=0.1)
    groups = cb.Attribution(layer.groups(2), cb.Out(1), method="LayerIntegratedGradients")
    whole = cb.Attribution(layer.whole, cb.Out(1), method="LayerIntegratedGradients")
    totals = [cb.evaluate(content, net, x).total for content in (groups, whole)]
    torch.testing.assert_close(*totals, atol=1e-2, rtol=5e-2)
    page = cb.neuron_groups(layer, n=2)
    ex = cb.explain(page, net, x, quality=ROUGH, progress=False, store=store)
    assert ex.scene.sprites


@pytest.mark.parametrize("name", FAMILIES)
def test_places_are_the_librarys_own_and_move_with_a_patch(name: str) -> None:
    module, size = family(name)
    net = cb.Network(module, cb.Preprocess(size))
    table = net.layers()
    x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    marked = [info for info in table if info.recommended]
    assert marked
    for info in marked:
        if info.places == "tested":
            right_cells_move(net, info.name, x)
    if not hasattr(module, "forward_intermediates"):
        return
    with torch.no_grad():
        theirs = module.forward_intermediates(x, output_fmt="NCHW", intermediates_only=True)
    ours = maps_of(module, table, x)
    for expected in theirs:
        alike = [maps for maps in ours if maps.shape == expected.shape]
        found = any(torch.allclose(maps, expected, atol=1e-4, rtol=1e-3) for maps in alike)
        # Fine tokens in an order that does not show for each of them are left out, not drawn.
        left_out = name == "hiera_tiny_224" and min(expected.shape[2:]) >= 16
        assert found != left_out, expected.shape


def maps_of(module: nn.Module, table: LayerTable, x: torch.Tensor) -> list[torch.Tensor]:
    """(image, channel, y, x) of every listed layer, by hooks of the test's own."""
    seen: dict[str, torch.Tensor] = {}
    layers, handles = {info.name: info for info in table if ":" not in info.name}, []
    for name in layers:

        def keep(module: nn.Module, inputs: object, output: object, name: str = name) -> None:
            seen[name] = (output if isinstance(output, torch.Tensor) else output[0]).clone()  # type: ignore[index]

        handles.append(module.get_submodule(name).register_forward_hook(keep))
    with torch.no_grad():
        module(x)
    for handle in handles:
        handle.remove()
    return [layers[name].layout.to_maps(output) for name, output in seen.items()]


def right_cells_move(net: cb.Network, layer: str, x: torch.Tensor) -> None:
    """A patch of the picture is changed; what changes most in the layer lies there."""
    eighth = x.shape[-1] // 8
    lit = {}
    for top, left in ((1, 5), (5, 2)):  # neither is on the diagonal, nor on it from the other
        picture = x.clone()
        picture[:, :, top * eighth : (top + 2) * eighth, left * eighth : (left + 2) * eighth] += 3
        lit[top + 1, left + 1] = picture
    plain, *changed = net.activations(layer, [x, *lit.values()], batch_size=1)
    shares = [(maps - plain)[0].abs().sum(0) for maps in changed]
    shares = [moved / moved.sum() for moved in shares]
    # What moves for either patch tells no place.
    for own, other, (row, column) in zip(shares, reversed(shares), lit, strict=True):
        rows, columns = own.shape
        y, across = divmod(int((own - other).argmax()), columns)
        # Half a patch, and a cell beside it.
        assert abs((y + 0.5) / rows * 8 - row) <= 1 + 8 / rows, (layer, y, row)
        assert abs((across + 0.5) / columns * 8 - column) <= 1 + 8 / columns, (layer, across)


def test_a_layer_that_is_never_called_is_refused() -> None:
    module = nn.Module()
    module.a, module.unused = nn.Conv2d(3, 2, 3), nn.ReLU()
    module.forward = lambda x: module.a(x).mean((2, 3))  # type: ignore[method-assign]
    content = cb.Activation(cb.Hidden("unused").channels)
    with pytest.raises(UnusableLayer, match="'unused'"):
        cb.evaluate(content, cb.Network(module), torch.zeros(1, 3, 8, 8))
