"""Where a layer's numbers lie: each kind of network that keeps its places in a way of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.errors import InvalidArgument, UnusableLayer
from captum_blocks.layouts import Layout
from captum_blocks.network.weaving import Weave, stripes

WIDTH, SIZE, PATCH = 8, 32, 4
GRID = (SIZE // PATCH, SIZE // PATCH)


class Patches(nn.Module):
    """A picture cut into patches, each embedded by itself: (image, channel, y, x)."""

    def __init__(self, patch: int = PATCH) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).tanh()


class Network(nn.Module):
    """Patches, then whatever a test is about, then scores."""

    def __init__(self, *middle: nn.Module, patch: int = PATCH) -> None:
        super().__init__()
        self.patches = Patches(patch)
        self.middle = nn.Sequential(*middle)
        self.head = nn.LazyLinear(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.middle(self.patches(x)).flatten(1))


class Apply(nn.Module):
    """A function as a layer."""

    def __init__(self, function) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)  # type: ignore[no-any-return]


def network(*middle: nn.Module, size: int = SIZE, patch: int = PATCH) -> cb.Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Network(*middle, patch=patch).eval()
        with torch.no_grad():
            module(torch.randn(1, 3, size, size))
    return cb.Network(module, cb.Preprocess(size), name="net")


def picture(size: int = SIZE, images: int = 1) -> Tensor:
    return torch.randn(images, 3, size, size, generator=torch.Generator().manual_seed(5))


def infos(net: cb.Network, x: Tensor | None = None):  # type: ignore[no-untyped-def]
    return {info.name: info for info in net.layers(x)}


def patches_of(net: cb.Network, x: Tensor) -> Tensor:
    return net.module.patches(x).detach()  # type: ignore[operator, no-any-return]


def with_token(at: int):  # type: ignore[no-untyped-def]
    """Tokens row by row, one that sees the whole picture put in at a place."""

    def function(maps: Tensor) -> Tensor:
        tokens = maps.flatten(2).mT
        token = tokens.mean(1, keepdim=True)
        return torch.cat([tokens[:, :at], token, tokens[:, at:]], 1)

    return Apply(function)


@pytest.mark.parametrize("at", [0, 1, 20, 32, 64], ids=lambda at: f"token {at}")
def test_a_class_token_is_found_wherever_it_stands(at: int) -> None:
    net, x = network(with_token(at)), picture(images=2)
    info = infos(net)["middle"]
    assert (info.places, info.layout.grid, info.layout.n_unplaced) == ("tested", GRID, 1)
    assert info.layout.token_places == (at,)
    assert torch.equal(next(net.activations("middle", [x])), patches_of(net, x))
    token = cb.evaluate(cb.Activation(cb.Hidden("middle").tokens), net, x[:1])
    torch.testing.assert_close(token.data[0, 0], patches_of(net, x[:1]).mean((2, 3)).norm())


def mask_units(maps: Tensor) -> Tensor:
    """Units of 2 x 2 patches one after another, as networks that mask units keep them."""
    n, c, h, w = maps.shape
    units = maps.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1)
    return units.reshape(n, h * w, c)


def test_tokens_in_an_order_of_their_own() -> None:
    shuffled = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    for name, order in (
        ("units", mask_units),
        ("shuffled", lambda maps: maps.flatten(2).mT[:, shuffled]),
        ("columns first", lambda maps: maps.transpose(2, 3).flatten(2).mT),
    ):
        net, x = network(Apply(order)), picture()
        info = infos(net)["middle"]
        assert info.places == "tested", name
        assert "reordered" in repr(net.layers())
        assert torch.equal(next(net.activations("middle", [x])), patches_of(net, x)), name
        # Pictures of another size are of another order: nothing is carried over.
        maps = cb.evaluate(cb.Activation(cb.Hidden("middle").spatial), net, x)
        torch.testing.assert_close(maps.data[0], patches_of(net, x)[0].norm(dim=0))


def test_an_order_is_kept_where_a_layer_itself_shows_nothing() -> None:
    """Attention to everything behind a reordering: guessed from its neighbour, and said so."""
    spread = Apply(lambda tokens: tokens.mean(1, keepdim=True).expand_as(tokens) + 0.0)
    net = network(Apply(mask_units), nn.Sequential(spread))
    known = infos(net)
    assert known["middle.0"].places == "tested"
    assert known["middle.1"].places == "guessed"
    assert known["middle.1"].layout == known["middle.0"].layout


class Windows(nn.Module):
    """(image, channel, y, x) -> windows of 4 x 4, moved by some rows and columns."""

    def __init__(self, shift: int, last: bool) -> None:
        super().__init__()
        self.shift, self.last = shift, last
        self.inside = nn.Identity() if not last else nn.ReLU()
        self.attend = nn.Linear(WIDTH, WIDTH)

    def forward(self, maps: Tensor) -> Tensor:
        n, c, h, w = maps.shape
        rolled = maps.roll((-self.shift, -self.shift), (2, 3))
        cut = rolled.reshape(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1)
        windows = cut.reshape(-1, 4, 4, c) if self.last else cut.reshape(-1, 16, c)
        windows = self.attend(windows)
        back = windows.reshape(n, h // 4, w // 4, 4, 4, c).permute(0, 5, 1, 3, 2, 4)
        return back.reshape(n, c, h, w).roll((self.shift, self.shift), (2, 3))


@pytest.mark.parametrize("shift", [0, 1, 2])
@pytest.mark.parametrize("last", [False, True], ids=["tokens", "maps"])
def test_windows_are_put_together(shift: int, last: bool) -> None:
    net, x = network(Windows(shift, last)), picture(images=3)
    assert "middle.0.attend" not in infos(net)
    maps = next(net.activations("middle.0.attend", [x]))
    assert torch.equal(maps, net.module.middle(patches_of(net, x)).detach())  # type: ignore[operator]
    found = cb.evaluate(cb.Activation(cb.Hidden("middle.0.attend").neurons), net, x)
    assert found.data.shape == (3, WIDTH, *GRID)
    attribution = cb.Attribution(cb.Hidden("middle.0.attend").spatial, cb.Out(1))
    with pytest.raises(cb.BlocksError):
        cb.evaluate(attribution, net, x)


def test_declared_windows_that_reach_over_the_grid() -> None:
    def padded(maps: Tensor) -> Tensor:
        full = nn.functional.pad(maps, (0, 4, 0, 4))
        cut = full.reshape(len(maps), WIDTH, 2, 6, 2, 6).permute(0, 2, 4, 3, 5, 1)
        return cut.reshape(-1, 36, WIDTH)

    joined = Apply(lambda windows: windows.unflatten(0, (-1, 4)).flatten(1))
    module = network(Apply(padded), joined).module
    layout = Layout("tokens", grid=GRID, window=(6, 6))
    net = cb.Network(module, cb.Preprocess(SIZE), layouts={"middle.0": layout})
    x = picture(images=2)
    assert torch.equal(next(net.activations("middle.0", [x])), patches_of(net, x))


class Spread(nn.Module):
    """Windows in which everything depends on everything: nothing shows where they are."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed = Apply(lambda w: w.mean((0, 1), keepdim=True).expand_as(w) + 0.0)

    def forward(self, maps: Tensor) -> Tensor:
        cut = maps.reshape(len(maps), WIDTH, 2, 4, 2, 4).permute(0, 2, 4, 3, 5, 1)
        return self.mixed(cut.reshape(-1, 16, WIDTH)).reshape(len(maps), -1)


def test_windows_that_show_no_place_are_refused_in_words() -> None:
    net, x = network(Spread()), picture()
    layer = cb.Hidden("middle.0.mixed")
    with pytest.raises(UnusableLayer, match=r"layer 'middle\.0\.mixed' returns \(4, 16, 8\)"):
        cb.evaluate(cb.Activation(layer.spatial), net, x)
    with pytest.raises(UnusableLayer, match="declare where its places are"):
        cb.explain(cb.InfoVis(cb.Activation(layer.spatial), mark="overlay"), net, x, progress=False)


@pytest.mark.parametrize("last", [True, False], ids=["channels last", "channels first"])
def test_a_cube_is_read_as_pictures_show_it(last: bool) -> None:
    order = (0, 2, 3, 1) if last else (0, 1, 2, 3)
    net = network(Apply(lambda maps: maps.permute(order) * 1.0))
    x = picture()
    info = infos(net)["middle"]
    assert info.shape == (8, 8, 8)
    assert (info.layout.kind, info.places) == ("NHWC" if last else "NCHW", "tested")
    assert torch.equal(next(net.activations("middle", [x])), patches_of(net, x))


def test_a_convolution_keeps_channels_first_whatever_the_shape() -> None:
    """A spectrogram, halved down but not across: 4 x 8 positions of 4 channels."""
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3, (2, 1), 1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2)
    )
    net = cb.Network(module.eval(), cb.Preprocess((8, 8), (0.5,), (0.5,)))
    table = {info.name: info for info in net.layers()}
    assert {table[name].layout.kind for name in ("0", "1")} == {"NCHW"}
    assert table["0"].grid == (4, 8)
    x = torch.randn(1, 1, 8, 8)
    direct = cb.attr.LayerMethod(module, "0", "LayerActivation").attribute(x, [0]).maps
    assert torch.equal(direct[:, 0], module[0](x))


def patch_pixels(maps: Tensor) -> Tensor:
    """(channel, pixel of a 2 x 2 patch, patch), as MobileViT's second version keeps it."""
    n, c, h, w = maps.shape
    cut = maps.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
    return cut.reshape(n, c, 4, h * w // 4)


@pytest.mark.parametrize(
    "strange",
    [
        pytest.param(Apply(patch_pixels), id="pixels of patches"),
        pytest.param(Apply(lambda m: patch_pixels(m).permute(0, 2, 3, 1)), id="blocks of tokens"),
        pytest.param(
            Apply(lambda m: (m.flatten(2).mT @ m.flatten(2)).softmax(-1)[:, None]),
            id="attention weights",
        ),
        pytest.param(Apply(lambda m: m.flatten(2).unflatten(1, (2, 4)).mT * 1.0), id="heads"),
        pytest.param(
            nn.Sequential(
                Apply(lambda m: m.flatten(2).reshape(len(m), 4, 2, 64).transpose(1, 2)),
                nn.Conv2d(2, 1, 1, bias=False),
            ),
            id="a detector's distribution layer",
        ),
    ],
)
def test_four_axes_and_no_map(strange: nn.Module) -> None:
    net, x = network(strange), picture()
    table = net.layers()
    assert "middle.0" in table.left_out
    assert "left out:" in repr(table)
    assert net.recommended() == ("patches",)
    with pytest.raises(UnusableLayer, match="are no map of the picture"):
        cb.evaluate(cb.Activation(cb.Hidden("middle.0").spatial), net, x)
    with pytest.raises(UnusableLayer):
        cb.evaluate(cb.Attribution(cb.Hidden("middle.0").channels, cb.Out(0)), net, x)


def test_what_shows_nothing_is_guessed_and_said_to_be() -> None:
    everywhere = Apply(lambda m: m.mean((2, 3), keepdim=True).expand_as(m) + 0.0)
    net = network(everywhere, nn.Conv2d(WIDTH, WIDTH, 1))
    known = infos(net)
    assert (known["middle.0"].layout.kind, known["middle.0"].places) == ("NCHW", "guessed")
    assert known["middle.1"].places == "guessed"
    assert known["patches"].places == "tested"
    assert known["head"].places == ""
    assert "guessed: places are believed by the shape" in repr(net.layers())


def test_a_declared_layout_is_believed() -> None:
    module = network(Apply(mask_units)).module
    net = cb.Network(module, cb.Preprocess(SIZE), layouts={"middle": Layout("tokens", grid=GRID)})
    info = infos(net)["middle"]
    assert (info.layout.order, info.places) == (None, "declared")


def softmax_over_classes() -> nn.Module:
    return nn.Sequential(nn.Conv2d(WIDTH, 5, 1), nn.Softmax(1))


@pytest.mark.parametrize(
    ("layer", "against"),
    [
        pytest.param(nn.ZeroPad2d((0, 1, 0, 1)), "padding", id="padding"),
        pytest.param(softmax_over_classes(), "shares of one", id="softmax"),
        pytest.param(Apply(lambda m: m * 0), "the same for every picture", id="zeros"),
        pytest.param(
            Apply(lambda m: torch.linspace(0, 1, 64).reshape(8, 8).expand_as(m) + 0),
            "the same for every picture",
            id="a table",
        ),
    ],
)
def test_never_recommended(layer: nn.Module, against: str) -> None:
    net = network(layer)
    known = infos(net)
    assert known["middle.0"].against == against
    assert not {"middle", "middle.0", "middle.0.1"} & set(net.recommended())


def test_no_channels_are_not_listed() -> None:
    net = network(Apply(lambda maps: torch.cat([maps, maps[:, :0]], 1)), Apply(lambda m: m[:, :0]))
    assert "middle.1" not in infos(net)
    assert net.recommended() == ("middle.0",)


class TwoAnswers(nn.Module):
    """An answer of its own for every branch."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = Patches()
        self.one = nn.Sequential(nn.Conv2d(WIDTH, 6, 3, 1, 1), nn.ReLU())
        self.other = nn.Sequential(nn.Conv2d(WIDTH, 6, 3, 1, 1), nn.ReLU())
        self.heads = nn.ModuleList([nn.Linear(6, 3), nn.Linear(6, 2)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.patches(x)
        branches = (self.one(maps), self.other(maps))
        first, second = (h(b.mean((2, 3))) for h, b in zip(self.heads, branches, strict=True))
        return first, second


@pytest.mark.parametrize(("output", "used"), [(0, "one"), (1, "other")])
def test_layers_beside_the_answer_are_not_recommended(output: int, used: str) -> None:
    net = cb.Network(TwoAnswers().eval(), cb.Preprocess(SIZE), output=output)
    names = net.recommended()
    assert names[-1] == used
    for name in names:
        value = cb.evaluate(cb.Attribution(cb.Hidden(name).spatial, cb.Out(0)), net, picture())
        assert float(value.data.abs().sum()) > 0


@pytest.mark.parametrize("shape", [(1, 1, 8, 8, 8), (2, 3, 4, 16, 16)])
def test_a_volume_is_called_one(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgument, match="is a batch of volumes or films") as caught:
        network().read(torch.zeros(shape))
    assert "x[None]" not in str(caught.value)


@contextmanager
def passes(net: cb.Network) -> Iterator[list[int]]:
    """How many pictures the network is shown inside."""
    shown: list[int] = []
    hook = net.module.register_forward_pre_hook(lambda module, given: shown.append(len(given[0])))
    try:
        yield shown
    finally:
        hook.remove()


def test_tests_are_made_once_and_made_anew_where_they_must() -> None:
    net = network(Apply(mask_units))
    with passes(net) as first:
        net.layers()
    with passes(net) as again:
        net.layers()
    # The dry run is of two pictures; what is woven of them is shown one by one.
    assert again == [2, 1]
    assert len(first) > len(again)
    with passes(net) as evaluated:
        cb.evaluate(cb.Activation(cb.Hidden("middle").spatial), net, picture())
    assert evaluated == [1]
    with torch.no_grad():
        net.module.patches.conv.weight.mul_(2)  # type: ignore[union-attr, operator]
    with passes(net) as trained:
        cb.evaluate(cb.Activation(cb.Hidden("middle").spatial), net, picture())
    assert len(trained) > 1


def test_layers_of_one_page_are_tested_together() -> None:
    net = network(nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU())
    names = ("patches", "middle.0")
    with passes(net) as one:
        cb.evaluate(cb.Activation(cb.Hidden(names[0]).spatial), net, picture())
    other = network(nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU())
    with passes(other) as all_of_them:
        first, second = (
            cb.InfoVis(cb.Activation(cb.Hidden(name).spatial), mark="overlay") for name in names[:2]
        )
        cb.explain(first | second, other, picture(), progress=False)
    assert len(all_of_them) <= len(one) + 2


def test_the_network_is_left_alone() -> None:
    net = network(nn.Dropout(0.5), nn.BatchNorm2d(WIDTH))
    net.module.train()
    before = {name: tensor.clone() for name, tensor in net.module.state_dict().items()}
    state = torch.get_rng_state()
    net.layers()
    assert net.module.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(
        torch.equal(tensor, before[name]) for name, tensor in net.module.state_dict().items()
    )
    assert not any(part._forward_hooks for part in net.module.modules())


def test_every_cell_has_a_code_of_its_own() -> None:
    """Read as binary numbers, stripes count cells; neighbours differ in one digit."""
    for count in (1, 2, 3, 7, 14, 37):
        codes = stripes(count, count * 3)[:, ::3].T
        assert len({tuple(code.tolist()) for code in codes}) == count
        assert bool(((codes[1:] != codes[:-1]).sum(1) == 1).all())


def test_woven_pictures_are_made_of_two() -> None:
    weave = Weave((3, 12, 20), (3, 5))
    one, other = weave.two()
    woven = list(weave.woven())
    assert len(woven) == 2 + 3
    for digit, made in enumerate(woven):
        code = weave.down[digit][:, None] if digit < 2 else weave.across[digit - 2][None]
        assert torch.equal(made, torch.where(code.expand(12, 20) < 0, one, other))
