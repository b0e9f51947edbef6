"""What is said of an attribution beside what really changes when its atoms are taken away."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import isnan
from typing import Any

from torch import Tensor

from captum_blocks.compose.evaluation.tables import needed
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import ATOMS, Attribution, Given
from captum_blocks.grammar.content import DEFAULT_METHOD

FILLED = {
    "zero": "filled with zero",
    "mean": "filled with its mean over positions",
    "resample": "filled with what other photographs have there",
    "tensor": "filled with the numbers given",
}


@dataclass(frozen=True, eq=False)
class Randomised:
    """Rank correlations with removals in a network whose weights are shuffled.

    An attribution that tells what the network has learned is far from these removals: near 0.

    Attributes:
        head: (image, class), only the weights of the classifier.
        all: (image, class), the weights of every part.

    >>> import torch
    >>> Randomised(torch.zeros(1, 1), torch.zeros(1, 1)).all.item()
    0.0
    """

    head: Tensor
    all: Tensor


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """An attribution beside what really changes when each of its atoms is taken away.

    Attributes:
        content: the attribution.
        rank_correlation: (image, class), Spearman's, over atoms, of the attribution and what each
            removal alone takes from the score; NaN where all atoms are equal in one of them.
        top_overlap: (image, class), the share of the ``k`` strongest atoms that is among those
            whose removal changes the score most.
        deletion: (image, class), the mean probability of the class while atoms are taken away, the
            largest attribution first: low where these matter. Of a network whose outputs are plain
            values, the mean output.
        insertion: (image, class), the same while they are put back, the largest first: high where
            these suffice.
        randomised: the rank correlations with shuffled weights.
        classes: their indices.
        photographs: names of the images, or their numbers.
        fill: what stood in the place of atoms: "zero", "mean", "resample" or "tensor".
        score: what removals were scored by: "log-odds", "logit", "output" or "probability".
        k: how many of the strongest were compared.
        n_atoms: how many there are.
        notes: what was repaired, defaulted or approximated in the attribution.

    >>> import torch
    >>> from torch import nn
    >>> from captum_blocks.compose import faithfulness
    >>> from captum_blocks.grammar import Hidden, Out
    >>> net = nn.Sequential(nn.Conv2d(1, 6, 2), nn.Flatten(), nn.Linear(24, 4)).eval()
    >>> channels = Attribution(Hidden("0").channels, Out(2))
    >>> found = faithfulness(channels, net, torch.rand(1, 1, 3, 3), score="logit")
    >>> round(found.rank_correlation.item(), 4), found.k, found.n_atoms
    (1.0, 3, 6)
    """

    content: Attribution
    rank_correlation: Tensor
    top_overlap: Tensor
    deletion: Tensor
    insertion: Tensor
    randomised: Randomised
    classes: tuple[int, ...]
    photographs: tuple[str, ...]
    fill: str
    score: str
    k: int
    n_atoms: int
    notes: tuple[str, ...] = ()

    def to_frame(self) -> Any:
        """A ``pandas.DataFrame``, a row for each image and class.

        Raises:
            MissingDependency: pandas is not installed.
        """
        pandas = needed("pandas", "to_frame")
        image, classes = zip(*product(range(len(self.photographs)), self.classes), strict=True)
        columns = {
            "rank_correlation": self.rank_correlation,
            "top_overlap": self.top_overlap,
            "deletion": self.deletion,
            "insertion": self.insertion,
            "randomised_head": self.randomised.head,
            "randomised_all": self.randomised.all,
        }
        numbers = {name: held.flatten().tolist() for name, held in columns.items()}
        return pandas.DataFrame({"image": image, "class": classes, **numbers})

    def sentence(self, image: int = 0, class_: int = 0) -> str:
        """What the numbers of one image and class say, in one sentence.

        Args:
            image: its place.
            class_: the place of the class among those judged, not its index.

        Raises:
            InvalidArgument: there is no such place.
        """
        images, classes = self.rank_correlation.shape
        if not (0 <= image < images and 0 <= class_ < classes):
            raise InvalidArgument(
                f"image={image}, class_={class_}: there are {images} images and {classes} classes, "
                "counted from 0"
            )
        here = image, class_
        plural = ATOMS[self.content.source.atom].plural
        how = f"{FILLED[self.fill]}, scored by {self.score}"
        compared_with = f"Ranked against removing each of {self.n_atoms} {plural} ({how})"
        name, correlation = self._method(), float(self.rank_correlation[here])
        if isnan(correlation):
            return (
                f"{compared_with}, {name} has no rank correlation: the attribution is the same for "
                "all of them, or what their removal changes is."
            )
        common = round(float(self.top_overlap[here]) * self.k)
        return (
            f"{compared_with}, {name} has a rank correlation of {_two(correlation)} and shares "
            f"{common} of its {self.k} strongest; {_against(float(self.randomised.all[here]))}."
        )

    def __str__(self) -> str:
        return self.sentence()

    def _method(self) -> str:
        method = self.content.method
        if isinstance(method, Given):
            return f"the attribution given as {method.name!r}"
        if method.name == DEFAULT_METHOD and not method.options:
            return "gradient × activation"
        options = ", ".join(f"{key}={value!r}" for key, value in method.options)
        return method.name + (f"({options})" if options else "")


def _against(correlation: float) -> str:
    """How the attribution compares with a network of shuffled weights."""
    if isnan(correlation):
        return "with all weights shuffled, no removal changes the score more than another"
    return f"against the network with all its weights shuffled {_two(correlation)}"


def _two(correlation: float) -> str:
    """In two digits, zero without a sign.

    >>> _two(-0.001), _two(-0.5)
    ('0.00', '-0.50')
    """
    return f"{round(correlation, 2) + 0.0:.2f}"
