"""A network and what it needs to be spoken about: preprocessing, labels, its layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from captum_blocks._gradients import without_gradients
from captum_blocks._pictures import Source, open_picture
from captum_blocks.behaviour import observed
from captum_blocks.errors import InvalidArgument
from captum_blocks.hooks import alone, capture, find_layer, running, together
from captum_blocks.layouts import Layout
from captum_blocks.network import answers
from captum_blocks.network.answers import Prediction
from captum_blocks.network.labels import Labels, check_labels, index_of, read_labels
from captum_blocks.network.placed import Placed
from captum_blocks.network.readout import Readout, Region, as_scores
from captum_blocks.network.ready import checked, is_of_bands
from captum_blocks.network.squashing import HEADS, Noticed, notice
from captum_blocks.preprocessing import Preprocess, preprocessing
from captum_blocks.scores import counted
from captum_blocks.wrappers import check_takes_a_picture, plain, taking_a_picture

Where = Sequence[float] | Tensor | np.ndarray


class Network(Placed):
    """A vision module with its preprocessing, labels and name.

    ``net.module`` is what every engine and Captum itself take: the module given, or, where
    ``output``, ``region`` or an element of a layer is asked for, the same module behind a readout
    that returns (image, class) and keeps all layer names. The module given is never modified.

    Layers are named by their dotted name, or by its end where that is unambiguous
    (``"3.conv1"``). A layer that returns several tensors stands for the first one;
    ``"encoder:hidden"`` and ``"lstm:1.0"`` name another, by key, field or index.

    Several threads may use one module, which takes them in turn. While it is looked at it is in
    evaluation mode, also for a thread that trains it: give a copy then, ``copy.deepcopy(module)``.
    That its weights or its mode changed meanwhile is warned of, and it is left in training mode.

    Args:
        module: the network; never modified.
        preprocess: a ``Preprocess``, a torchvision transform (``weights.transforms()``), or None
            for a module that is only given ready tensors.
        labels: class names: a list, a dict from index to name or from name to index, or a file
            (JSON, CSV, or text with a name on each line); None shows "class 207".
        name: what to call it.
        layouts: layouts of layers that cannot be guessed, by dotted name.
        source: where the weights come from, for the page's footer.
        recommend: layers to look at when none are named, early to late; guessed unless given.
        output: which element of what the module returns holds the scores, by name or index, e.g.
            ``"logits"``, ``0``, ``"heads.age"``. Unless given, the only tensor, one called
            ``"logits"`` or ``"out"``, or the only table with a row for each picture; where several
            could be meant, none is taken.
        head: what the scores are: ``"classes"`` exclude each other (softmax), ``"labels"`` stand
            each for itself (sigmoid), ``"values"`` are plain numbers, ``"probabilities"`` have been
            through softmax or sigmoid already: attributions then go to the logits in front of it,
            where the network has them. Unless given, several scores are classes and a single one
            is a value; what turn out to be probabilities are taken as such, with a warning.
        region: of a module that returns a map of scores (image, class, y, x): where each class's
            score is averaged; a box (top, left, bottom, right) in fractions of the picture the
            network sees, or a mask (y, x).

    Raises:
        WrongType: ``module`` is no module, or ``region`` no region.
        InvalidArgument: no such head, an empty region, or labels that cannot be read.
        LayerNotFound: a layout is declared for a layer that is not there.

    >>> net = Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), Preprocess(size=8))
    >>> net.layers()[1].sign, net.layers()[1].field
    ('>= 0', (3, 3))
    """

    def __init__(
        self,
        module: nn.Module,
        preprocess: Preprocess | Callable[[Any], Tensor] | None = None,
        labels: Labels = None,
        name: str | None = None,
        layouts: dict[str, Layout] | None = None,
        source: str = "",
        recommend: Sequence[str] = (),
        *,
        output: str | int | None = None,
        head: answers.Head | None = None,
        region: Where | None = None,
    ) -> None:
        module = plain(module)
        check_takes_a_picture(module)
        self.preprocess = preprocessing(preprocess)
        self.labels = read_labels(labels)
        self.name = name or type(module).__name__
        self.source = source
        self.output, self.head = output, answers.checked_head(head)
        self.region = None if region is None else Region(region)
        self._given = module
        self._elements: dict[str, tuple[str, ...]] = {}
        self._recommended = tuple(recommend)
        self._takes: dict[tuple[int, ...], bool] = {}
        self._noticed: Noticed | None = None
        self.module = self._read_out()
        self.layouts = {self.name_of(layer): layout for layer, layout in (layouts or {}).items()}

    def with_region(self, region: Where) -> Network:
        """The same network, its map of scores averaged over another region.

        Args:
            region: a box (top, left, bottom, right) in fractions of the picture the network sees,
                or a mask (y, x).

        >>> net = Network(nn.Conv2d(3, 2, 1)).with_region((0, 0, 0.5, 0.5))
        >>> net.logits(torch.zeros(1, 3, 4, 4)).shape
        torch.Size([1, 2])
        """
        made = copy(self)
        made.region, made._takes, made._noticed = Region(region), {}, None
        made.module = made._read_out()
        return made

    def _read_out(self) -> nn.Module:
        """The module that returns (image, class): the one given where nothing else is asked for."""
        logits = self.head == "probabilities"
        if self.output is None and self.region is None and not self._elements and not logits:
            return self._given
        return Readout(self._given, self.output, self.region, self._elements, logits)

    def picture(self, source: Source) -> Image.Image:
        """The photograph, upright RGB, as the reader gave it; of many bands the first three."""
        if is_of_bands(source, self.channels):
            shown = source[..., :3] if source.shape[2] > 3 else source[..., :1]  # type: ignore[index, union-attr]
            return open_picture(np.ascontiguousarray(shown))
        return open_picture(source)

    def read(self, source: Source | Tensor) -> Tensor:
        """A photograph, or a ready float tensor -> (image, channel, y, x) for the module.

        A network of other than one or three channels reads uint8 arrays (height, width, channel).

        Raises:
            UnreadableImage: the file cannot be read as a picture.
            InvalidArgument: a tensor that is not ready, or no preprocessing to make one with.
        """
        if isinstance(source, Tensor):
            return checked(source, self.preprocess).to(self._like)
        if self.preprocess is None:
            raise InvalidArgument(
                f"{self.name} has no preprocessing, so it cannot read a photograph; give it a "
                "ready tensor, or Network(module, preprocess=Preprocess(size, mean, std))"
            )
        if self.channels in (1, 3):
            return self.preprocess(open_picture(source)).to(self._like)
        if not is_of_bands(source, self.channels):
            raise InvalidArgument(
                f"{self.name} takes {self.channels} channels; give a uint8 array "
                f"(height, width, {self.channels}), or a ready tensor"
            )
        return self.preprocess.bands(source).to(self._like)  # type: ignore[union-attr, arg-type]

    def logits(self, x: Tensor) -> Tensor:
        """(image, class) in evaluation mode, without gradient."""
        module = self.module  # another thread may name an element, which makes another readout
        with without_gradients(), running(module), taking_a_picture(self._given):
            output = together([module(rows) for rows in self._batches(x)])
        with without_gradients():
            return self.answer(output, x)

    def _batches(self, x: Tensor) -> Sequence[Tensor]:
        """Pictures that may be run together: one at a time where they would change each other."""
        return x.split(1) if len(x) > 1 and observed(self.module, x).apart else (x,)

    def answer(self, output: Any, x: Tensor) -> Tensor:
        """What the module returned for pictures as (image, class).

        The first answer is looked at: what it shows is warned of, and remembered.

        Raises:
            UnusableLayer: it cannot be read so; what it is and what to declare is said.
            InvalidArgument: there are fewer or more labels than outputs.
        """
        scores = self._table(output, x)
        check_labels(self.labels, scores.shape[1], self.name)
        if self._noticed is None:
            self._noticed = Noticed()
            self._noticed = notice(self._scores, output, scores, x, self.head, self.name)
        if self._head == "probabilities" and not answers.between_zero_and_one(scores):
            raise InvalidArgument(
                f"{self.name} is declared to give probabilities, and its outputs lie between "
                f"{float(scores.min()):.3g} and {float(scores.max()):.3g}; leave head= out, or say "
                "what they are: 'classes', 'labels' or 'values'"
            )
        return scores

    def _table(self, output: Any, x: Tensor) -> Tensor:
        return counted(as_scores(output, len(x), self.name), len(x), self.name)

    def _scores(self, x: Tensor) -> Tensor:
        with running(module := self.module):
            return self._table(module(x), x)

    def predict(self, x: Tensor, top: int = 5) -> list[Prediction]:
        """The strongest outputs of one ready image: [(index, label, probability), ...].

        The third number is a probability where the head is one of classes (softmax) or labels
        (sigmoid), and the plain output where it is one of values.
        """
        if len(x) != 1:
            raise InvalidArgument(f"predict takes one image, not a batch of {len(x)}")
        return self.ranked(self.logits(x)[0], top)

    def ranked(self, logits: Tensor, top: int) -> list[Prediction]:
        """The strongest of (class,) logits."""
        scores = answers.scores(self.head_of(len(logits)), logits)
        values, indices = scores.topk(min(top, len(logits)))
        return [
            Prediction(index, self.label(index), value)
            for index, value in zip(indices.tolist(), values.tolist(), strict=True)
        ]

    def probabilities(self, logits: Tensor) -> Tensor | None:
        """(..., class) logits -> probabilities; None where outputs are plain values."""
        head = self.head_of(logits.shape[-1])
        return None if head == "values" else answers.scores(head, logits)

    def head_of(self, outputs: int) -> answers.Head:
        """What so many outputs are: "classes", "labels", "values" or "probabilities"."""
        return answers.head_for(self._head, outputs)

    @property
    def _head(self) -> answers.Head | None:
        """What the outputs were declared to be, or turned out to be."""
        squash = getattr(self.module, "squash", None)
        if squash is not None and self.head in (None, "probabilities"):
            return HEADS[squash]
        seen = None if self._noticed is None else self._noticed.head
        return seen or self.head

    def told(self, logits: Tensor, index: int) -> str:
        """The score of one of (class,) logits as printed: "12.3%", or "3.14" of a value."""
        head = self.head_of(len(logits))
        return answers.told(head, float(answers.scores(head, logits)[index]))

    def said(self, prediction: Prediction, outputs: int) -> str:
        """The number of a prediction as printed, of a network of so many outputs."""
        return answers.told(self.head_of(outputs), prediction.probability)

    @property
    def reading(self) -> str:
        """How scores are taken from what the module returns, in words; empty where they are it."""
        parts = []
        if self.output is not None:
            parts.append(f"element {str(self.output)!r} of what the network returns")
        if self.region is not None:
            parts.append(f"each class's mean over {self.region}")
        if self._noticed is not None and self._noticed.choice is not None:
            parts.append(self._noticed.choice)
        if self._head is not None:
            parts.append(answers.MEANING[self._head])
        return "; ".join(parts)

    def label(self, index: int) -> str:
        """The name of a class; "class 207" where no name is known."""
        if self.labels is not None and index < len(self.labels):
            return self.labels[index]
        return f"{answers.NAMED[self._head or 'classes']} {index}"

    def class_index(self, wanted: int | str, n_classes: int) -> int:
        """The index of a class given by index or name.

        Raises:
            InvalidArgument: out of range, unknown (with the nearest names), or ambiguous.
        """
        index = index_of(wanted, self.labels, self.name) if isinstance(wanted, str) else int(wanted)
        if not 0 <= index < n_classes:
            raise InvalidArgument(f"no class {index}: {self.name} has classes 0 to {n_classes - 1}")
        return index

    def name_of(self, layer: nn.Module | str) -> str:
        """The full dotted name of a layer given as a module, a name, or the end of one.

        Raises:
            LayerNotFound: there is no such layer, or several names end so.
        """
        if isinstance(layer, str) and ":" in layer:
            return self._element(layer)
        return find_layer(self.module, layer)[0]

    def _element(self, layer: str) -> str:
        """A layer's element becomes a layer of its own in the readout, when it is first named."""
        base, _, wanted = layer.partition(":")
        name = find_layer(self.module, base)[0]
        with alone(self._given):
            if wanted not in self._elements.get(name, ()):
                self._elements = {**self._elements, name: (*self._elements.get(name, ()), wanted)}
                self.module = self._read_out()
        return f"{name}:{wanted}"

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether the module can take images of this (channel, height, width).

        Transformers usually take one size only.
        """
        if shape not in self._takes:
            try:
                self.logits(self._like.new_zeros(1, *shape))
            except (RuntimeError, ValueError, AssertionError, IndexError):
                self._takes[shape] = False
            else:
                self._takes[shape] = True
        return self._takes[shape]

    def activations(
        self, layer: str | nn.Module, photos: Iterable[Source | Tensor], batch_size: int = 32
    ) -> Iterator[Tensor]:
        """Activations of many photographs, (batch, channel, y, x) at a time, tokens left out."""
        name = self.name_of(layer)
        batch: list[Tensor] = []
        for photo in photos:
            batch.append(self.read(photo))
            if len(batch) == batch_size:
                yield self._maps(name, torch.cat(batch))
                batch = []
        if batch:
            yield self._maps(name, torch.cat(batch))

    def _maps(self, name: str, x: Tensor) -> Tensor:
        found, module = [], self.module
        layer = {name: find_layer(module, name)[1]}
        for rows in self._batches(x):
            with without_gradients(), running(module), capture(layer) as seen:
                module(rows)
            found.append(seen[name])
        output = together(found)
        return self.layout_of(name, output, tuple(x.shape[1:])).to_maps(output)

    def __repr__(self) -> str:
        return (
            f"Network({self.name})" if not self.source else f"Network({self.name}, {self.source})"
        )
