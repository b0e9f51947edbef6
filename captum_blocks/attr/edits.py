"""What really changes when a part of the picture is blurred, or replaced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any

import torch
from captum.attr import PerturbationAttribution
from captum.log import log_usage
from torch import Tensor, nn

from captum_blocks import hooks
from captum_blocks._gradients import without_gradients
from captum_blocks.attr._visit import quiet
from captum_blocks.attr.head import check_input, check_targets, listed
from captum_blocks.attr.odds import Score, check_score, scored
from captum_blocks.attr.regions import BLUR, blurred
from captum_blocks.attr.tail import MOST_SECONDS
from captum_blocks.behaviour import observed, warn_of
from captum_blocks.errors import InvalidArgument, UnknownName, UnsupportedMethod, did_you_mean
from captum_blocks.scores import class_scores
from captum_blocks.wrappers import check_takes_a_picture, plain, taking_a_picture

EDITS = ("blur",)
# "blur", or what stands in the region's place.
Edited = str | Tensor
# Pictures that go through the network together: more would hold its early layers many times.
AT_ONCE = 8


class RegionEdit(PerturbationAttribution):  # type: ignore[misc]
    """How much of a score goes when a part of the picture is blurred, or replaced.

    The number of a region is the score as it is minus the score with that region alone edited,
    ``x * (1 - mask) + fill * mask``: positive supports the class. Single edits do not add up, and
    the edited picture may hold new evidence that neither picture held: a blur is a picture, too.

    The whole network runs once for every region.

    Args:
        forward_func: the network.
        sigma: of the Gaussian that blurs, as a share of the picture's shorter side.
        perturbations_per_eval: edited pictures that go through together.

    Raises:
        InvalidArgument: a sigma or a number of pictures that cannot be.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 4)).eval()
    >>> mask = torch.zeros(1, 2, 4, 4)
    >>> mask[:, 0, :2], mask[:, 1, 2:] = 1, 1
    >>> RegionEdit(net).attribute(torch.rand(1, 1, 4, 4), mask, targets=[2]).shape
    torch.Size([1, 1, 2])
    """

    def __init__(
        self, forward_func: nn.Module, sigma: float = BLUR, perturbations_per_eval: int = AT_ONCE
    ) -> None:
        PerturbationAttribution.__init__(self, plain(forward_func))
        if not 0 < sigma <= 1:
            raise InvalidArgument(f"sigma={sigma!r} is a share of the picture's side, 0 to 1")
        if not isinstance(perturbations_per_eval, int) or perturbations_per_eval < 1:
            raise InvalidArgument(
                f"perturbations_per_eval={perturbations_per_eval!r}; at least one goes through"
            )
        self.sigma, self._at_once = sigma, perturbations_per_eval

    @log_usage()
    def attribute(
        self,
        inputs: Tensor,
        masks: Tensor,
        targets: Sequence[int],
        fill: Edited = "blur",
        score: Score = "logit",
    ) -> Tensor:
        """What each region's edit takes from some classes' scores.

        Args:
            inputs: (image, channel, y, x), what the network takes.
            masks: (image, region, y, x) from 0 (stays) to 1 (edited); in between, a mixture of
                both. One image's serve all where the first axis has length one.
            targets: class indices, the same for each image.
            fill: "blur", a Gaussian with reflected edges; or a tensor that stands in the region's
                place: of the inputs' shape, of one input's, or with a number for each channel.
            score: "logit", or "log-odds" of the class against all others.

        Returns:
            (image, class, region), detached.

        Raises:
            InvalidArgument: masks or a filling that do not fit; a class that does not exist.
            UnknownName: there is no such filling or score.
            UnsupportedMethod: it would take more than five minutes.
        """
        check_score(score)
        listed(targets)
        own, edited = self.edited(inputs, masks, fill)
        wanted = check_targets(targets, own.shape[1])
        taken = [scored(own, each, score)[:, None] - scored(edited, each, score) for each in wanted]
        return torch.stack(taken, 1)

    def edited(self, inputs: Tensor, masks: Tensor, fill: Edited = "blur") -> tuple[Tensor, Tensor]:
        """All logits, as they are and with each region edited: what ``attribute`` scores.

        Args:
            inputs: and masks, fill: see ``attribute``, which also says what is raised.

        Returns:
            (image, class) and (image, region, class), detached.
        """
        images = check_input(inputs)
        if images.ndim != 4:
            raise InvalidArgument(
                f"the images have shape {tuple(images.shape)}; a region is one of pictures "
                "(image, channel, y, x)"
            )
        masks = checked_masks(masks, images)
        filling = _filling(fill, images, self.sigma)
        check_takes_a_picture(self.forward_func)
        with quiet(self.forward_func), without_gradients():
            behaviour = observed(self.forward_func, images)
            step = 1 if behaviour.apart else self._at_once
            start = perf_counter()
            own = torch.cat([self._scores(rows) for rows in images.split(step)])
            _check_time((perf_counter() - start) / len(images), masks.shape[:2].numel())
            rows = _mixtures(images, filling, masks, step)
            network = self.forward_func if behaviour.apart else self._running(images, own)
            edited = torch.cat([self._scores(each, network) for each in rows])
        warn_of(behaviour.notes)
        return own, edited.unflatten(0, masks.shape[:2])

    def _running(self, images: Tensor, own: Tensor) -> nn.Module:
        """The network that edited pictures go through; it answers its own to these images."""
        found: nn.Module = self.forward_func
        return found

    def _scores(self, rows: Tensor, network: nn.Module | None = None) -> Tensor:
        """(row, class) of pictures that go through together."""
        runs = network or self.forward_func
        with taking_a_picture(hooks.module_of(runs)):
            return class_scores(runs(rows), len(rows))

    def has_convergence_delta(self) -> bool:
        """Never: single edits add up to nothing in particular."""
        return False

    @property
    def multiplies_by_inputs(self) -> bool:
        """Always: what is edited is the picture itself."""
        return True


def checked_masks(masks: Any, images: Tensor) -> Tensor:
    """Masks as (image, region, y, x), of the kind and on the device of the images.

    A region without any pixel may stand among others: what fires nowhere has none.

    Args:
        masks: as given.
        images: (image, channel, y, x).

    Raises:
        InvalidArgument: they are no such tensor, of another size than the images, not from 0 to 1,
            or there is no pixel in any of them.

    >>> checked_masks(torch.ones(1, 2, 3, 3), torch.rand(4, 3, 3, 3)).shape
    torch.Size([4, 2, 3, 3])
    """
    wanted = f"(image, region, {images.shape[2]}, {images.shape[3]})"
    if not isinstance(masks, Tensor):
        raise InvalidArgument(f"masks are a tensor {wanted}, not a {type(masks).__name__}")
    fits = masks.ndim == 4 and masks.shape[2:] == images.shape[2:] and masks.shape[1] > 0
    if not fits or len(masks) not in (1, len(images)):
        raise InvalidArgument(
            f"masks of shape {tuple(masks.shape)} do not fit images of shape "
            f"{tuple(images.shape)}; give {wanted}"
        )
    given: Tensor = masks.detach().to(images)
    low, high = float(given.min()), float(given.max())
    if not (low >= 0 and high <= 1):
        raise InvalidArgument(
            f"masks go from 0 (stays) to 1 (edited), and these from {low:g} to {high:g}"
        )
    if not high:
        raise InvalidArgument("masks that are zero everywhere have no region to edit")
    return given.expand(len(images), *given.shape[1:])


def _filling(fill: Edited, images: Tensor, sigma: float) -> Tensor:
    """(image, channel, y, x), what stands in the place of a region."""
    if isinstance(fill, Tensor):
        return checked_filling(fill, images)
    if fill not in EDITS:
        hint = did_you_mean(str(fill), EDITS) or "; there are 'blur', or a tensor"
        raise UnknownName(f"no filling {fill!r} of a region{hint}")
    return blurred(images, sigma * min(images.shape[2:]))


def checked_filling(fill: Tensor, images: Tensor) -> Tensor:
    """A tensor given as filling, in the shape of the images.

    Raises:
        InvalidArgument: it is of another shape, or holds numbers that are not finite.

    >>> checked_filling(torch.zeros(3), torch.rand(2, 3, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """
    given = fill.detach().to(images)
    if not bool(torch.isfinite(given).all()):
        raise InvalidArgument("the filling holds NaN or infinite values")
    if given.ndim == 1 and len(given) == images.shape[1]:
        given = given[:, None, None].expand(images.shape[1:])
    if given.shape == images.shape[1:]:
        given = given[None]
    if given.shape[1:] != images.shape[1:] or len(given) not in (1, len(images)):
        raise InvalidArgument(
            f"a filling of shape {tuple(fill.shape)} does not fit images of shape "
            f"{tuple(images.shape)}; give that, {tuple(images.shape[1:])}, or a number for each of "
            f"the {images.shape[1]} channels"
        )
    return given.expand_as(images)


def _mixtures(images: Tensor, filling: Tensor, masks: Tensor, step: int) -> Iterator[Tensor]:
    """The edited pictures, image by image and region by region, so many at a time."""
    for image, instead, own in zip(images, filling, masks, strict=True):
        for some in own.split(step):
            share = some[:, None]
            yield image * (1 - share) + instead * share


def _check_time(seconds: float, rows: int) -> None:
    """Whether so many passes take at most five minutes, told from the first ones."""
    if seconds * rows > MOST_SECONDS:
        raise UnsupportedMethod(
            f"{rows:,} edits of the picture: the whole network runs for each, which takes about "
            f"{seconds * rows / 60:.0f} minutes, five at most; take fewer regions: groups, or "
            "the places of a later layer"
        )
