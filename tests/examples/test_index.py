"""What an index knows, on disk and back, and of which network and photographs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

import captum_blocks as cb
from captum_blocks.cli import main
from captum_blocks.errors import InvalidArgument, WrongType
from tests.conftest import SmallNet
from tests.examples.conftest import COUNT, photographs
from tests.reference import examples as slow

DIRECTION = torch.linspace(-1, 1, 10)


@pytest.fixture(scope="module")
def saved(
    small: cb.Network, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> cb.ExampleIndex:
    path = tmp_path_factory.mktemp("index") / "a.blocks"
    return cb.ExampleIndex.build(small, folder, path=path, batch_size=8, progress=False)


@pytest.fixture
def copy(saved: cb.ExampleIndex, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved.folder, tmp_path / "copy"))


def maps_of(net: cb.Network, pictures: list[torch.Tensor], layer: str = "late") -> torch.Tensor:
    return slow.activations(net.module, net.module.get_submodule(layer), pictures)


def test_statistics_are_those_of_all_places(
    small: cb.Network, index: cb.ExampleIndex, pictures: list[torch.Tensor]
) -> None:
    maps = maps_of(small, pictures)
    found = index.statistics("late")
    assert found.count == COUNT * 16
    for channel in range(10):
        numbers = maps[:, channel].double().flatten()
        told = (found.mean, found.variance, found.skewness, found.kurtosis)
        wanted = slow.moments(numbers.tolist())
        assert [float(each[channel]) for each in told] == pytest.approx(wanted, rel=1e-4)
        assert found.maximum[channel] == pytest.approx(float(numbers.max()))


@pytest.mark.parametrize("of", ["maximum", "minimum", "mean"])
def test_quantiles_are_exact(
    small: cb.Network, index: cb.ExampleIndex, pictures: list[torch.Tensor], of: str
) -> None:
    flat = maps_of(small, pictures, "early").flatten(2)
    numbers = {"maximum": flat.amax(2), "minimum": flat.amin(2), "mean": flat.mean(2)}[of]
    shares = [0.0, 0.03, 0.5, 0.99, 1.0]
    found = index.quantiles("early", shares, of)
    for channel in range(6):
        for share, value in zip(shares, found[:, channel], strict=True):
            wanted = slow.quantile(numbers[:, channel].tolist(), share)
            assert value == pytest.approx(wanted, rel=1e-3, abs=1e-7)
            assert of == "mean" or value == slow.halves_around(wanted)[of == "maximum"]


@pytest.mark.parametrize("of", ["maximum", "mean"])
def test_percentiles_count_half_of_those_that_are_equal(
    small: cb.Network, index: cb.ExampleIndex, pictures: list[torch.Tensor], of: str
) -> None:
    flat = maps_of(small, pictures).flatten(2)
    numbers = (flat.amax(2) if of == "maximum" else flat.mean(2)).numpy()
    found = index.percentiles("late", numbers[3], of)
    assert found is not None
    for channel in range(10):
        own = numbers[:, channel]
        below, equal = (own < own[3]).sum(), (own == own[3]).sum()
        assert found[channel] == pytest.approx((below + equal / 2) / COUNT, abs=0.6 / COUNT)
    with pytest.raises(InvalidArgument, match="late has 10 channels, and the values are of shape"):
        index.percentiles("late", numbers[3, :4])


def test_tables_are_of_each_photograph(
    small: cb.Network, index: cb.ExampleIndex, pictures: list[torch.Tensor]
) -> None:
    flat = maps_of(small, pictures).flatten(2)
    found = index.tables("late")
    assert np.array_equal(found["position"], flat.argmax(2))
    assert (found["maximum"] >= flat.amax(2).numpy() - 1e-6).all()
    assert (found["minimum"] <= flat.amin(2).numpy() + 1e-6).all()
    np.testing.assert_allclose(found["maximum"], flat.amax(2), rtol=1e-3)
    np.testing.assert_allclose(found["mean"], flat.mean(2), atol=1e-6)
    known = index.pictures()
    assert known["image"].tolist() == list(range(COUNT))
    assert set(known["label"]) == {-1}
    assert len(set(known["source"])) == COUNT


def test_quantiles_that_there_are_not(index: cb.ExampleIndex) -> None:
    with pytest.raises(InvalidArgument, match="shares from 0 to 1"):
        index.quantiles("late", [1.5])
    with pytest.raises(InvalidArgument, match="of='median' is none of maximum, minimum, mean"):
        index.quantiles("late", [0.5], of="median")


def test_vectors_are_from_the_same_places_away_from_the_padding(
    small: cb.Network, index: cb.ExampleIndex, pictures: list[torch.Tensor]
) -> None:
    places = index.vectors("late")[2]
    assert (places >= 0.25).all()
    assert (places <= 0.75).all()
    assert len(np.unique(places)) == 2 * COUNT
    for layer, side in (("early", 8), ("late", 4)):
        vectors, images, same = index.vectors(layer)
        assert np.array_equal(same, places)
        maps = maps_of(small, pictures, layer)
        for vector, image, (down, across) in zip(vectors, images, places, strict=True):
            wanted = maps[image, :, int(down * side), int(across * side)]
            np.testing.assert_allclose(vector, wanted, atol=1e-6)


def test_vectors_of_some_photographs_whatever_the_batches(
    small: cb.Network, pictures: list[torch.Tensor]
) -> None:
    def vectors(step: int) -> tuple[np.ndarray, ...]:
        how = {"vectors": 20, "batch_size": step, "progress": False}
        return cb.ExampleIndex.build(small, pictures, "late", **how).vectors("late")  # type: ignore[arg-type]

    (one, images, places), (other, same, there) = vectors(7), vectors(16)
    assert len(images) == 20
    assert np.array_equal(images, same)
    assert np.array_equal(places, there)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_vectors_are_not_from_the_bars_of_a_letterbox(small_module: nn.Module) -> None:
    net = cb.Network(small_module, cb.Preprocess(16, (0.5,) * 3, (0.5,) * 3, fit="letterbox"))
    wide = [each.resize((40, 20)) for each in photographs(30)]
    places = cb.ExampleIndex.build(net, wide, "early", progress=False).vectors("early")[2]
    assert (places[:, 0] >= 0.25).all() and (places[:, 0] <= 0.75).all()  # noqa: PT018
    assert places[:, 1].max() > 0.75


def test_saved_and_loaded_it_says_the_same(
    saved: cb.ExampleIndex, small: cb.Network, folder: Path, tmp_path: Path
) -> None:
    path = saved.save(tmp_path / "b.blocks")
    loaded = cb.ExampleIndex.load(path, photos=folder, net=small)
    assert (loaded.layers, loaded.count, loaded.labels) == (saved.layers, 30, saved.labels)
    for layer in loaded.layers:
        units = (layer, [0, 2])
        assert loaded.top(units, 4) == saved.top(units, 4)
    direction = torch.linspace(-1, 1, saved._stored.widths[-1])
    layer = loaded.layers[-1]
    assert loaded.top(direction, 4, layer=layer) == saved.top(direction, 4, layer=layer)
    with pytest.raises(InvalidArgument, match="is there already: give another path"):
        saved.save(path)


def test_nothing_is_pickled_and_no_photograph_is_inside(saved: cb.ExampleIndex) -> None:
    import pyarrow.parquet as pq
    from safetensors import safe_open

    kinds = {path.suffix for path in saved.folder.rglob("*") if path.is_file()}
    assert kinds == {".json", ".parquet", ".safetensors"}
    for path in saved.folder.rglob("*.safetensors"):
        with safe_open(path, "np") as file:
            assert all(file.get_tensor(name) is not None for name in file.keys())  # noqa: SIM118
    assert pq.read_table(saved.folder / "images.parquet").column_names == [
        *("image", "path", "label", "source")
    ]
    told = (saved.folder / "index.json").read_text()
    assert str(saved._pictures.root) not in told  # type: ignore[union-attr]
    assert isinstance(saved._stored.layer(0)["high"], np.memmap)


def test_thumbnails_where_they_are_asked_for(small: cb.Network, folder: Path) -> None:
    import io

    import pyarrow.parquet as pq

    index = cb.ExampleIndex.build(small, folder, "late", thumbnails=True, progress=False)
    (column,) = pq.read_table(index.folder / "images.parquet", columns=["thumbnail"]).columns
    small_ones = [Image.open(io.BytesIO(each.as_py())) for each in column]
    assert {each.size for each in small_ones} == {(24, 24)}
    first = np.asarray(Image.open(sorted(folder.glob("*/*.png"))[0]), float)
    assert np.abs(np.asarray(small_ones[0], float) - first).mean() < 12


def test_without_network_or_photographs_channels_are_told_and_directions_are_not(
    saved: cb.ExampleIndex, small: cb.Network
) -> None:
    loaded = cb.ExampleIndex.load(saved.folder)
    layer = saved.layers[-1]
    assert [e.image for e in loaded.top((layer, 0), 5)[0]] == [
        e.image for e in saved.top((layer, 0), 5)[0]
    ]
    assert not Path(loaded.top((layer, 0), 1)[0][0].path).is_absolute()
    direction = torch.ones(saved._stored.widths[-1])
    with pytest.raises(InvalidArgument, match="give net= and photos= to ExampleIndex.load"):
        loaded.top(direction, layer=layer)
    loaded = cb.ExampleIndex.load(saved.folder, net=small)
    with pytest.raises(InvalidArgument, match="give photos= to ExampleIndex.load"):
        loaded.top(direction, layer=layer)


def test_photographs_that_have_moved_or_changed(
    saved: cb.ExampleIndex, small: cb.Network, folder: Path, tmp_path: Path
) -> None:
    layer = saved.layers[-1]
    direction = torch.ones(saved._stored.widths[-1])
    loaded = cb.ExampleIndex.load(saved.folder, photos=tmp_path, net=small)
    with pytest.raises(InvalidArgument, match=r"looked at again cannot be: .*no such picture.*ph"):
        loaded.top(direction, layer=layer)
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    loaded = cb.ExampleIndex.load(saved.folder, photos=moved, net=small)
    assert [e.image for e in loaded.top(direction, layer=layer)[0]] == [
        e.image for e in saved.top(direction, layer=layer)[0]
    ]
    for path in moved.glob("*/*.png"):
        Image.open(path).rotate(180).save(path)
    with pytest.raises(InvalidArgument, match="is another photograph than the one that the index"):
        loaded.top(direction, layer=layer)
    with pytest.raises(InvalidArgument, match="photos= holds 3 pictures, and the index is of 30"):
        cb.ExampleIndex.load(saved.folder, photos=photographs(3))


def test_an_index_of_another_network_is_refused(saved: cb.ExampleIndex, small: cb.Network) -> None:
    with torch.random.fork_rng():
        other = SmallNet().eval()
    with pytest.raises(InvalidArgument, match="is of SmallNet, and Other has other weights: its"):
        cb.ExampleIndex.load(saved.folder, net=cb.Network(other, small.preprocess, name="Other"))
    darker = cb.Preprocess(size=16, mean=(0.4,) * 3, std=(0.5,) * 3)
    with pytest.raises(InvalidArgument, match="has another preprocessing"):
        cb.ExampleIndex.load(saved.folder, net=cb.Network(small.module, darker))
    tanh = SmallNet().eval()
    tanh.early[1] = nn.Tanh()
    tanh.load_state_dict(small.module.state_dict())
    with pytest.raises(InvalidArgument, match="the same weights, put together otherwise"):
        saved.check(cb.Network(tanh, small.preprocess))
    saved.check(small)


def test_a_layer_that_computes_otherwise_is_noticed(
    small: cb.Network, pictures: list[torch.Tensor]
) -> None:
    module = SmallNet().eval()
    net = cb.Network(module, small.preprocess)
    index = cb.ExampleIndex.build(net, pictures, "late", progress=False)
    with torch.no_grad():
        module.late[0].weight.mul_(1.5)
    with pytest.raises(InvalidArgument, match="say something else than when the index was built"):
        index.top(DIRECTION, layer="late")


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("index.json", b"{", "index.json is damaged or missing"),
        ("index.json", b"[]", "index.json is damaged: it holds no table"),
        ("index.json", b'{"format": "cats"}', "holds no index of photographs"),
        ("index.json", None, "holds no index of photographs: there is no index.json in it"),
        ("layers/0000.safetensors", None, "layers/0000.safetensors is missing or not as it was"),
        ("layers/0001.safetensors", b"x", "layers/0001.safetensors is missing or not as it was"),
        ("images.parquet", b"PAR1", "images.parquet is missing or not as it was written"),
        ("kept/0000001.safetensors", b"", "kept/0000001.safetensors is missing or not as it was"),
    ],
)
def test_a_damaged_index_is_refused(copy: Path, name: str, damage: bytes | None, said: str) -> None:
    if damage is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(damage)
    with pytest.raises(InvalidArgument, match=said):
        cb.ExampleIndex.load(copy)


def test_one_bit_of_a_table_is_noticed(copy: Path) -> None:
    path = copy / "layers" / "0000.safetensors"
    content = bytearray(path.read_bytes())
    content[-7] ^= 4
    path.write_bytes(bytes(content))
    with pytest.raises(InvalidArgument, match="not as it was written; build it again"):
        cb.ExampleIndex.load(copy)


def test_no_index_at_all(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="is not there; an index of photographs is a folder"):
        cb.ExampleIndex.load(tmp_path / "nowhere")
    with pytest.raises(InvalidArgument, match="is a file; an index of photographs is a folder"):
        cb.ExampleIndex.load(copy / "index.json")
    with pytest.raises(WrongType, match="a path is text"):
        cb.ExampleIndex.load(3)  # type: ignore[arg-type]
    told = json.loads((copy / "index.json").read_text())
    (copy / "index.json").write_text(json.dumps({**told, "version": 99}))
    with pytest.raises(InvalidArgument, match="is of version 99, and this reads 1: build it again"):
        cb.ExampleIndex.load(copy)
    del told["rows"]
    (copy / "index.json").write_text(json.dumps(told))
    with pytest.raises(InvalidArgument, match="is damaged: index.json lacks 'rows'"):
        cb.ExampleIndex.load(copy)


def test_few_photographs_claim_nothing(index: cb.ExampleIndex, saved: cb.ExampleIndex) -> None:
    assert index.too_few == ""
    assert saved.too_few.startswith("the index is of 30 different photographs, and with fewer than")
    assert saved.too_few in saved.report
    assert saved.percentiles(saved.layers[0], np.zeros(saved._stored.widths[0])) is None


def test_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, picture in enumerate(photographs(5, side=64)):
        picture.save(folder / f"{number}.png")
    arguments = ["index", "demo", str(folder), "-o", str(tmp_path / "x.blocks")]
    ran = CliRunner().invoke(main, [*arguments, "--layers", "bn2"])
    assert ran.exit_code == 0, ran.output
    assert "5 photographs at bn2; the index is of 5 different photographs" in ran.output
    assert cb.ExampleIndex.load(tmp_path / "x.blocks").count == 5
    ran = CliRunner().invoke(main, [*arguments, "--layers", "bn_2"])
    assert ran.exit_code == 2
    assert "no layer 'bn_2' in" in ran.output


def test_real_photographs_and_the_demo_network(demo: cb.Network, tmp_path: Path) -> None:
    from tests.benchmarks.photographs import bundled

    made = list(bundled())[:14]
    for number, (_, _, picture) in enumerate(made):
        picture.save(tmp_path / f"{number:02d}.png")
    sources = {f"{n:02d}.png": source for n, (source, _, _) in enumerate(made)}
    layers = ["blocks.4.2.bn1", "bn2"]
    index = cb.ExampleIndex.build(
        demo, tmp_path, layers, sources=sources.__getitem__, progress=False, batch_size=5
    )
    assert index.sources == len({source for source, _, _ in made})
    x = torch.cat([demo.read(picture) for _, _, picture in made])
    generator = torch.Generator().manual_seed(0)
    own = [source for source, _, _ in made]
    for layer, grid in zip(layers, (14, 7), strict=True):
        maps = maps_of(demo, list(x), layer)
        assert maps.shape[2:] == (grid, grid)
        directions = torch.randn(2, maps.shape[1], generator=generator)
        found = index.top(directions, 3, layer=layer)
        for examples, direction in zip(found, directions, strict=True):
            wanted = slow.top(maps, direction, 3, sources=own)
            assert [e.image for e in examples] == [image for image, _, _ in wanted]
            assert [e.position for e in examples] == [where for _, _, where in wanted]
            values = [value for _, value, _ in wanted]
            assert [e.value for e in examples] == pytest.approx(values, rel=1e-3)


def test_an_index_without_labels_says_so_of_preferences(index: cb.ExampleIndex) -> None:
    told = index.preferred("late")
    assert (index.sources, told.found) == (70, ())
    assert told.note == "no photograph has a label: nothing is said about what units prefer"
