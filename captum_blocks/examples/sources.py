"""From whatever a person calls their pictures to pictures in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, SequentialSampler, default_collate

from captum_blocks._paths import as_path
from captum_blocks._pictures import ADDRESS
from captum_blocks.errors import InvalidArgument, WrongType
from captum_blocks.examples.files import TAR, Files, Listed, archives, elsewhere, folder_of
from captum_blocks.examples.items import (
    Dataset,
    Item,
    Pictures,
    Stream,
    legible,
    named_classes,
    parted,
)

Sources = Literal["picture", "folder"] | Callable[[Any], Any]
SAID = "images is a folder, a list of paths, a torch Dataset or DataLoader, or tar archives:"


def pictures_of(images: Any) -> Pictures:
    """Pictures in a fixed order.

    Args:
        images: a folder (subfolders are labels); a list of paths; a torch ``Dataset`` or
            ``DataLoader`` of pictures or (picture, label); WebDataset tars, one or a list; an
            fsspec URL.

    Raises:
        WrongType: it is none of these.
        InvalidArgument: there is no picture; a DataLoader that shuffles.
    """
    if isinstance(images, Pictures):
        return images
    if isinstance(images, (str, PathLike)):
        return _of_path(str(images) if isinstance(images, PathLike) else images)
    if isinstance(images, DataLoader):
        return _of_loader(images)
    if isinstance(images, IterableDataset):
        return Stream(images, named_classes(images))
    if isinstance(images, (list, tuple)) and all(isinstance(p, (str, PathLike)) for p in images):
        return _of_paths([str(each) for each in images])
    if _is_a_set(images):
        if not len(images):
            raise InvalidArgument("there is no picture in what was given: it is empty")
        return Dataset(images)
    raise WrongType(f"{SAID} not {type(images).__name__}")


def _is_a_set(images: Any) -> bool:
    """Whether things can be had from it by number, and it is no single picture."""
    numbered = hasattr(images, "__getitem__") and hasattr(images, "__len__")
    single = isinstance(images, (Tensor, np.ndarray)) and images.ndim != 4
    return numbered and not single and not isinstance(images, dict)


def _of_path(path: str) -> Pictures:
    if path.endswith(TAR):
        return archives([path])
    if ADDRESS.match(path):
        return elsewhere(path)
    folder = as_path(path, said="no such folder:")
    if folder.is_dir():
        return folder_of(folder)
    what = "is a file, and no tar archive" if folder.exists() else "is not there"
    raise InvalidArgument(f"{path} {what}: give a folder of photographs, or a list of paths")


def _of_paths(paths: list[str]) -> Pictures:
    if not paths:
        raise InvalidArgument("there is no picture in what was given: the list is empty")
    tars = [path.endswith(TAR) for path in paths]
    if all(tars):
        return archives(paths)
    if any(tars):
        raise InvalidArgument("tar archives and pictures in one list: give one or the other")
    return Listed(paths, [_size(path) for path in paths])


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return -1


def _of_loader(loader: DataLoader[Any]) -> Pictures:
    """The items of a loader, which it does not put into another order."""
    dataset = loader.dataset
    if isinstance(dataset, IterableDataset):
        return Stream(_Unbatched(loader), named_classes(dataset))
    batches = loader.batch_sampler
    sampler = loader.sampler if batches is None else getattr(batches, "sampler", None)
    if not isinstance(sampler, SequentialSampler):
        kind = type(batches if sampler is None else sampler).__name__
        raise InvalidArgument(
            f"this DataLoader puts its pictures into an order of its own ({kind}), so no picture "
            "could be found again by its number: give DataLoader(dataset, shuffle=False), or the "
            "dataset itself"
        )
    if loader.collate_fn is not default_collate:
        return Stream(_Unbatched(loader), named_classes(dataset), len(dataset))  # type: ignore[arg-type]
    return pictures_of(dataset)


class _Unbatched:
    """The items of a loader's batches, one by one."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[Any]:
        for batch in self._loader:
            if self._loader.batch_size is None:
                yield batch
                continue
            pictures, labels = parted(batch)
            for place, picture in enumerate(pictures):
                yield picture, None if labels is None else labels[place]


def source_of(item: Item, index: int, sources: Sources) -> str:
    """The photograph that a picture is of: tiles and frames of one are no independent samples.

    Args:
        item: the picture.
        index: its number.
        sources: "picture": each is its own; "folder": those in one folder are of one; or a function
            of the path, or of the number where there is no path.

    >>> source_of(Item(None, "park/0001.jpg"), 0, "folder")
    'park'
    """
    if callable(sources):
        return legible(str(sources(item.path or index)))
    if sources == "folder":
        return str(Path(item.path).parent.as_posix()) if item.path else str(index)
    return item.path or str(index)


def asked_as_given(sources: Sources, pictures: Pictures) -> Sources:
    """The same; a function is asked of paths as they were given, however they are kept."""
    if not callable(sources):
        return sources
    return lambda known: sources(pictures.given(known) if isinstance(known, str) else known)


def checked_sources(sources: Any) -> Sources:
    """Refuse what says of no picture which photograph it is of."""
    if sources is None or sources == "picture":
        return "picture"
    if sources == "folder" or callable(sources):
        return sources  # type: ignore[no-any-return]
    raise InvalidArgument(
        f"sources={sources!r}: give 'folder', or a function from a path to the name of the "
        "photograph that the picture was cut from; None where each is one of its own"
    )


def found_again(images: Any, kind: str, paths: Iterable[str]) -> Pictures:
    """The pictures of an index that was loaded, by where they are now.

    Args:
        images: the new root of files, of a list the folder that holds all of them; or what the
            index was built of.
        kind: of the pictures that it was built of.
        paths: of all of them, by number.
    """
    if kind == "files" and isinstance(images, (str, PathLike)):
        root = str(images)
        if ADDRESS.match(root):
            return elsewhere(root, list(paths))
        return Files(root, list(paths))
    return pictures_of(images)
