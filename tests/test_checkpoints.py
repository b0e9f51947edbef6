"""Files of weights that are not what they seem: refused in words, before memory is taken."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from captum_blocks.errors import InvalidArgument, WeightsUnavailable
from captum_blocks.zoo.checkpoints import MOST_CLASSES, fill, read_weights


def saved(tmp_path: Path, content: object) -> str:
    torch.save(content, tmp_path / "my.pt")
    return str(tmp_path / "my.pt")


def test_a_dict_that_holds_itself(tmp_path: Path) -> None:
    around: dict[str, Any] = {"epoch": 3}
    around["state_dict"] = around
    with pytest.raises(InvalidArgument, match="no weights by name but a dict with epoch, state_d"):
        read_weights(saved(tmp_path, around))
    around["weight"] = torch.ones(2)
    with pytest.raises(InvalidArgument, match="no weights by name"):
        read_weights(saved(tmp_path, around))


def test_dicts_in_dicts_up_to_a_limit(tmp_path: Path) -> None:
    content: dict[str, Any] = {"weight": torch.ones(2)}
    for depth in range(20):
        content = {"model": content, "epoch": depth}
        if depth < 7:
            found = read_weights(saved(tmp_path, content))
            assert torch.equal(found["weight"], torch.ones(2))
    with pytest.raises(InvalidArgument, match="no weights by name but a dict with model, epoch"):
        read_weights(saved(tmp_path, content))


def test_names_are_text(tmp_path: Path) -> None:
    path = saved(tmp_path, {(1, 2): torch.ones(2)})
    with pytest.raises(InvalidArgument, match="names its weights by tuple, not by text"):
        read_weights(path)


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (
            torch.zeros(1).expand(10**12, 3),
            r"to be \(1000000000000, 3\), which takes 12000000000000",
        ),
        (torch.empty(10**12, device="meta"), r"is no plain tensor of numbers \(.*meta"),
        (torch.eye(3).to_sparse(), r"is no plain tensor of numbers \(torch.sparse_coo"),
    ],
)
def test_tensors_without_their_numbers(tmp_path: Path, tensor: Tensor, message: str) -> None:
    path = saved(tmp_path, {"fc.weight": tensor})
    with pytest.raises((InvalidArgument, WeightsUnavailable), match=message):
        read_weights(path)


def test_views_of_numbers_that_are_there(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    state = {"turned": whole.T, "row": whole[1], "positions": torch.arange(5).expand(1, 5)}
    found = read_weights(saved(tmp_path, state))
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_an_archive_that_unpacks_to_much_more(tmp_path: Path) -> None:
    path = tmp_path / "my.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("my/data.pkl", bytes(4 * 2**20))
    with pytest.raises(WeightsUnavailable, match="would unpack to .* GB; torch.save does not com"):
        read_weights(path)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def of_another_type(content: bytes) -> bytes:
    return content.replace(b'"F32"', b'"X99"')


@pytest.mark.parametrize("damage", [cut, of_another_type, lambda content: b""])
def test_damaged_safetensors(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "my.safetensors"
    save_file({"weight": torch.ones(64)}, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsUnavailable, match="is damaged or no safetensors file"):
        read_weights(path)


BUILT: list[int | None] = []


def build(classes: int | None) -> nn.Module:
    BUILT.append(classes)
    body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(body, nn.Linear(4, classes or 5))


def head(weight: int, bias: int) -> dict[str, Tensor]:
    state = build(None).state_dict()
    return {**state, "1.weight": torch.zeros(weight, 4), "1.bias": torch.zeros(bias)}


def test_the_number_of_classes_is_what_the_whole_head_says(tmp_path: Path) -> None:
    BUILT.clear()
    assert fill(build, saved(tmp_path, head(7, 7)), "small")[1] == 7
    assert BUILT == [None, None, 7]


@pytest.mark.parametrize(("weight", "bias"), [(5, 10**6), (7, 8), (10**6, 5)])
def test_half_a_head_builds_nothing(tmp_path: Path, weight: int, bias: int) -> None:
    """A long row of biases alone would have the network take weights that no file holds."""
    state = head(weight, bias)
    BUILT.clear()
    with pytest.raises(InvalidArgument, match="of 4 tensors have another shape"):
        fill(build, saved(tmp_path, state), "small")
    assert BUILT == [None]


def test_neither_does_a_head_of_very_many_classes(tmp_path: Path) -> None:
    state = head(MOST_CLASSES + 1, MOST_CLASSES + 1)
    BUILT.clear()
    with pytest.raises(InvalidArgument, match=r"my\.pt is for 1048577 classes; at most 1048576"):
        fill(build, saved(tmp_path, state), "small")
    assert BUILT == [None]
