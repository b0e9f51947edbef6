"""What pictures an index is built of: where each one is, and what is known of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from captum_blocks._pictures import formats, open_picture
from captum_blocks.errors import InvalidArgument, UnreadableImage

PICTURE = ("image", "picture", "pixel_values", "img", "jpg", "jpeg", "png", "webp", "ppm")
LABEL = ("label", "labels", "cls", "class")


@dataclass(frozen=True)
class Item:
    """One picture.

    Attributes:
        picture: a path, PIL image, uint8 array, or ready float tensor; why it cannot be had, as an
            error, where it cannot.
        path: relative to the root, or what else it is called; empty where it has no name.
        label: in words, or None.
    """

    picture: Any
    path: str = ""
    label: str | None = None


class Pictures:
    """Pictures in a fixed order, each of which can be had again.

    Attributes:
        kind: "files", "tars", "dataset" or "stream".
        size: how many; None where nobody knows before they end.
        root: what paths are relative to; empty where they are relative to nothing.
    """

    kind: str = "dataset"
    size: int | None = None
    root: str = ""

    def items(self, indices: Sequence[int]) -> Iterator[Item]:
        """Those of ascending indices; fewer where they end before."""
        for index in indices:
            yield self.item(index)

    def item(self, index: int) -> Item:
        """One of them; what is wrong with it is told instead of raised."""
        raise NotImplementedError

    def given(self, path: str) -> str:
        """What a path of an item was given as."""
        return path

    def fingerprint(self) -> str:
        """Text that is another one for other pictures, as far as shows without reading them."""
        return digest([self.kind, str(self.size)])


def digest(words: Iterable[str]) -> str:
    """A short text that stands for many.

    >>> digest(["ab", "c"]) == digest(["a", "bc"])
    False
    """
    made = sha256()
    for word in words:
        made.update(word.encode("utf-8", "surrogatepass") + b"\0")
    return made.hexdigest()[:24]


def legible(text: str) -> str:
    """A text that can be written: bytes that are no UTF-8, as file names may hold, as escapes.

    >>> legible(b"caf\\xe9.png".decode("utf-8", "surrogateescape"))
    'caf\\\\xe9.png'
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character that stands for no byte
        return text.encode("utf-8", "backslashreplace").decode()


def opened(content: bytes, name: str) -> Image.Image:
    """The picture in the content of a file.

    Raises:
        UnreadableImage: it is none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(content), formats=formats()) as image:
                return open_picture(image)
    except Exception as error:
        raise UnreadableImage(f"{name} is damaged, cut short or no picture: {error}") from error


class Dataset(Pictures):
    """A torch dataset with a length: pictures, (picture, label), or dicts with them."""

    kind = "dataset"

    def __init__(self, dataset: Any) -> None:
        self.dataset, self.size = dataset, len(dataset)
        self._classes = named_classes(dataset)
        self._paths, self.root = _paths_of(dataset, self.size)

    def item(self, index: int) -> Item:
        """One of them."""
        path = self._paths[index] if self._paths else ""
        try:
            picture, label = parted(self.dataset[index])
        except Exception as error:
            return Item(error, path)
        return Item(picture, path, in_words(label, self._classes))

    def fingerprint(self) -> str:
        """Of how many there are, and of the names that are known."""
        return digest([self.kind, str(self.size), *self._paths])


class Stream(Pictures):
    """Pictures that come one after another, and again from the first when they are asked again."""

    kind = "stream"

    def __init__(self, again: Any, classes: Sequence[str] = (), size: int | None = None) -> None:
        self._again, self._classes, self.size = again, classes, size
        self._place, self._running = 0, iter(tuple[Any]())

    def items(self, indices: Sequence[int]) -> Iterator[Item]:
        """Those of ascending indices; what lies between is passed over."""
        for index in indices:
            if index < self._place or not self._place:
                self._place, self._running = 0, iter(self._again)
            for _ in range(index - self._place + 1):
                try:
                    found: Any = next(self._running)
                except StopIteration:
                    self._place = 0
                    return
                self._place += 1
            picture, label = parted(found)
            yield Item(picture, _key_of(found), in_words(label, self._classes))

    def item(self, index: int) -> Item:
        """One of them, from the first on."""
        found = next(iter(self.items([index])), None)
        return found or Item(UnreadableImage(f"the pictures ended before number {index}"))


def parted(item: Any) -> tuple[Any, Any]:
    """A dataset's item as (picture, label); the label is None where there is none.

    >>> parted(("cat.jpg", 3)), parted({"image": "cat.jpg", "cls": 3}), parted("cat.jpg")
    (('cat.jpg', 3), ('cat.jpg', 3), ('cat.jpg', None))
    """
    if isinstance(item, Mapping):
        picture = next((item[key] for key in PICTURE if key in item), None)
        if picture is None:
            raise InvalidArgument(
                f"an item of the data set has {', '.join(map(repr, item))}, and none of "
                f"{', '.join(PICTURE)}"
            )
        return picture, next((item[key] for key in LABEL if key in item), None)
    if isinstance(item, (tuple, list)) and item:
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def in_words(label: Any, classes: Sequence[str] = ()) -> str | None:
    """A label as text: the name of its class where that is known.

    A number that is not whole is no class, and None.

    >>> in_words(1, ["cat", "dog"]), in_words("cat"), in_words(0.5)
    ('dog', 'cat', None)
    """
    if label is None or isinstance(label, str):
        return label
    if isinstance(label, bytes):
        return label.decode("utf-8", "replace").strip()
    try:
        # Tensors and arrays of one number; those of more refuse.
        plain = label.item() if hasattr(label, "item") else label
        number = int(plain)
        whole = bool(number == plain)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
    if not whole:
        return None
    return str(classes[number]) if 0 <= number < len(classes) else str(number)


def named_classes(dataset: Any) -> list[str]:
    """The names of a data set's classes, where it tells them as torchvision's do."""
    classes = getattr(dataset, "classes", None)
    known = isinstance(classes, (list, tuple)) and all(isinstance(each, str) for each in classes)
    return list(classes) if known and classes is not None else []


def _paths_of(dataset: Any, size: int) -> tuple[list[str], str]:
    """The files of a torchvision folder, relative to its root."""
    samples, root = getattr(dataset, "samples", None), getattr(dataset, "root", None)
    if not isinstance(samples, list) or len(samples) != size or not isinstance(root, (str, Path)):
        return [], ""
    paths = [Path(each[0]) for each in samples]
    if all(path.is_relative_to(root) for path in paths):
        return [path.relative_to(root).as_posix() for path in paths], str(root)
    return [str(path) for path in paths], ""


def _key_of(item: Any) -> str:
    return str(item.get("__key__", "")) if isinstance(item, Mapping) else ""


def is_ready(picture: Any) -> bool:
    """Whether it is a tensor as a network takes it."""
    return isinstance(picture, Tensor)
