"""Which other pictures a layer is exchanged with: the reader's, those beside, or made-up ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from captum_blocks._paths import as_path
from captum_blocks._pictures import formats
from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.network import Network

# Fewer say little of a layer, and more than so many take long and say no more.
LEAST, MOST = 8, 32
SEED = 0
# Of the frequency, from rough test pictures to smooth ones; photographs are near one.
POWERS = (0.5, 2.0)


@dataclass(frozen=True, eq=False)
class Others:
    """Pictures that a layer is exchanged with.

    Attributes:
        pictures: (picture, channel, y, x), as the network takes them.
        made_up: whether they are no photographs.
    """

    pictures: Tensor
    made_up: bool = False


def beside(x: Tensor, given: Tensor | None) -> Iterator[tuple[slice, Others]]:
    """The pictures that layers of photographs are exchanged with, and which photographs those are.

    Those that the reader gave, for all; or for each the eight that follow it among those explained
    together, round the end; or, where there are no eight, test pictures made in its colours.

    Args:
        x: (image, channel, y, x), the photographs explained.
        given: (photograph, channel, y, x), the reader's.

    >>> nine = torch.rand(9, 3, 4, 4)
    >>> [each.made_up for _, each in beside(nine[:2], None)], len(list(beside(nine, None)))
    ([True, True], 9)
    >>> [places for places, _ in beside(nine[:1], nine[1:])]
    [slice(0, 1, None)]
    """
    if given is not None:
        yield slice(0, len(x)), Others(given)
        return
    enough = len(_distinct(x, x[:0], LEAST + 1)) > LEAST
    for image in range(len(x)):
        own = x[image : image + 1]
        if enough:
            following = torch.cat([x[image + 1 :], x[:image]])
            yield slice(image, image + 1), Others(_distinct(following, own, LEAST))
        else:
            yield slice(image, image + 1), Others(made_up(own), made_up=True)


def made_up(x: Tensor) -> Tensor:
    """Eight test pictures in the colours of a picture, the same each time.

    Noise from rough to smooth, its amplitude one over a power of the frequency as that of
    photographs is, with the mean, spread and mixture of the picture's channels and within their
    range: it has nothing else of the picture.

    Args:
        x: (1, channel, y, x).

    >>> made_up(torch.rand(1, 3, 8, 6)).shape
    torch.Size([8, 3, 8, 6])
    """
    own = x.detach().float().cpu()
    mean, spread = own.mean((2, 3), keepdim=True), own.std((2, 3), correction=0, keepdim=True)
    noise = _noise(own.shape[1:])
    mixed = torch.einsum("dc,pcyx->pdyx", _mixture((own - mean)[0].flatten(1)), noise)
    made = (mean + mixed).clamp(own.amin((2, 3), True), own.amax((2, 3), True))
    return torch.where(spread > 0, made, mean + noise).to(x)


def _noise(shape: torch.Size) -> Tensor:
    """(picture, channel, y, x): noise of size one, the first rough, the last smooth."""
    generator = torch.Generator().manual_seed(SEED)
    white = torch.randn(LEAST, *shape, generator=generator)
    height, width = shape[1:]
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    frequency = (down**2 + across**2).sqrt().clamp(min=1 / max(height, width))
    powers = torch.linspace(*POWERS, LEAST)[:, None, None, None]
    spectrum = torch.fft.rfft2(white) / frequency**powers
    noise: Tensor = torch.fft.irfft2(spectrum, s=(height, width))
    return noise / noise.square().mean((2, 3), keepdim=True).sqrt().clamp_min(1e-12)


def _mixture(centred: Tensor) -> Tensor:
    """(channel, channel): what gives independent noise the covariance of (channel, pixel)."""
    values, vectors = torch.linalg.eigh(centred.double() @ centred.double().T / centred.shape[1])
    mixture: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return mixture.float()


def read_others(net: Network, given: Any, x: Tensor) -> Tensor | None:
    """The reader's other photographs, as the network takes them.

    Args:
        net: the network.
        given: a folder; a list of paths, PIL images, arrays or tensors, or a dict of them by
            name; a tensor (photograph, channel, y, x); None for none. The first 32 are taken.
        x: (image, channel, y, x), the photographs explained, which do not count.

    Raises:
        WrongType: it is none of these.
        InvalidArgument: fewer than eight different ones, of another size, not finite; no folder.
        UnreadableImage: a file that is no picture.

    >>> net = Network(torch.nn.Flatten())
    >>> read_others(net, torch.rand(40, 3, 4, 4), torch.zeros(1, 3, 4, 4)).shape
    torch.Size([32, 3, 4, 4])
    """
    if given is None:
        return None
    found = [_read(net, name, each, x) for name, each in listed(given).items()]
    different = _distinct(torch.cat(found), x, MOST)
    check_enough(len(different), "different from one another and from those explained")
    return different


def listed(given: Any) -> dict[str, Any]:
    """The other photographs that were given, by a name for messages, before any of them is read.

    Raises:
        WrongType, InvalidArgument: see ``read_others``.

    >>> len(listed([f"{number}.jpg" for number in range(50)]))
    32
    """
    if isinstance(given, (str, PathLike)):
        return _in_folder(as_path(given, said="others= is a folder or a list of photographs:"))
    if isinstance(given, Mapping):
        named = [(str(name), each) for name, each in given.items()]
    elif isinstance(given, Tensor) and given.ndim == 4:
        named = list(_numbered(given.split(1)))
    elif isinstance(given, Sequence) and not isinstance(given, bytes):
        named = list(_numbered(given))
    else:
        raise WrongType(
            f"others= is a folder of photographs or a list of at least {LEAST}, not "
            f"{type(given).__name__}"
        )
    check_enough(len(named))
    return dict(named[:MOST])


def check_enough(count: int, which: str = "") -> None:
    """Whether there are as many other photographs as it takes.

    Raises:
        InvalidArgument: there are fewer.

    >>> check_enough(8)
    """
    if count < LEAST:
        those = f" {which}" if which else ""
        raise InvalidArgument(
            f"others= holds {count} photographs{those}, and at least {LEAST} are needed: give "
            "more, or leave it out"
        )


def _numbered(held: Sequence[Any]) -> list[tuple[str, Any]]:
    """Each with its file's name where it is a path, so that a message can say which one it is."""
    return [
        (f"{place + 1} ({each})" if isinstance(each, (str, PathLike)) else str(place + 1), each)
        for place, each in enumerate(held)
    ]


def _in_folder(folder: Path) -> dict[str, Any]:
    """The first picture files of a folder, by name."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise InvalidArgument(
            f"others={str(folder)!r} {what}: give a folder of photographs or a list of at least "
            f"{LEAST}"
        )
    endings = {end for end, name in Image.registered_extensions().items() if name in formats()}
    files = [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in endings and not file.name.startswith(".") and file.is_file()
    ]
    if not files:
        raise InvalidArgument(f"others={str(folder)!r}: there is no picture in that folder")
    check_enough(len(files), f"in {folder}")
    return {file.name: file for file in files[:MOST]}


def _read(net: Network, name: str, given: Any, x: Tensor) -> Tensor:
    """One of them, (1, channel, y, x)."""
    picture = net.read(given)
    if picture.shape != x[:1].shape:
        raise InvalidArgument(
            f"other photograph {name} is {tuple(picture.shape)} for {net.name}, and the one "
            f"explained {tuple(x[:1].shape)}: give photographs of one size"
        )
    if not bool(picture.isfinite().all()):
        raise InvalidArgument(f"other photograph {name} holds NaN or infinite values")
    return picture


def _distinct(pictures: Tensor, besides: Tensor, most: int) -> Tensor:
    """The first so many that are neither among some others nor there before."""
    kept: list[Tensor] = []
    for one in pictures:
        if len(kept) < most and not any(torch.equal(one, other) for other in (*besides, *kept)):
            kept.append(one)
    return torch.stack(kept) if kept else pictures[:0]
