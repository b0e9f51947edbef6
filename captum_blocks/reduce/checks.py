"""What a reducer refuses, said before any work starts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state
from torch import Tensor

from captum_blocks.errors import (
    BlocksError,
    InvalidArgument,
    UnknownName,
    WrongType,
    did_you_mean,
)
from captum_blocks.reduce.rows import Rows

RANK_ROWS = 4096


class NotFitted(BlocksError, NotFittedError):
    """A reducer that was asked to transform before it was fitted.

    >>> issubclass(NotFitted, NotFittedError)
    True
    """


class BatchesUnsupported(BlocksError, AttributeError):
    """``partial_fit`` of an algorithm that needs all data at once.

    >>> issubclass(BatchesUnsupported, AttributeError)
    True
    """


class FirstBatchTooSmall(InvalidArgument):
    """A first batch in which so many groups cannot begin."""


@contextmanager
def first_batch(table: Tensor) -> Iterator[None]:
    """Say of refusals that they speak of the first batch alone, and how to mend that."""
    try:
        yield
    except InvalidArgument as error:
        raise FirstBatchTooSmall(
            f"the first batch ({len(table)} positions) decides where the groups start, and it is "
            f"too small: {error}; or begin with several batches joined, or use fit_loader"
        ) from error


def check_finite(table: Tensor, what: str = "the activations") -> None:
    """Refuse NaN and infinity, saying how many and where the first one is."""
    # One pass without a mask as large as the table: a sum is finite iff all its terms are, save
    # for overflow, which the slow path then clears up.
    if bool(torch.isfinite(table.detach().sum())):
        return
    bad = ~torch.isfinite(table.detach())
    count = int(bad.sum())
    if count:
        row, channel = (int(i) for i in bad.nonzero()[0])
        raise InvalidArgument(
            f"{what} contain NaN or inf in {count} of {bad.numel()} entries, first at "
            f"position {row}, channel {channel}; find the layer that made them, or mask them out"
        )


def check_non_negative(table: Tensor, algorithm: str) -> None:
    """Refuse negative values for algorithms that need none, naming those that take them."""
    lowest = float(table.detach().min()) if table.numel() else 0.0
    if lowest < 0:
        raise InvalidArgument(
            f"Negative values in data: algorithm={algorithm!r} needs activations >= 0, the lowest "
            f"is {lowest:.4g}; take the output after a ReLU, or algorithm='posneg', 'semi_nmf', "
            "'pca' or 'ica', which take any sign"
        )


def check_not_silent(table: Tensor, what: str = "activations") -> None:
    """Refuse activations, or other goals, that are zero everywhere."""
    if bool(table.detach().any()):
        return
    cause = "is the layer dead on this image, or the image blank?"
    if what != "activations":
        cause = "does the score depend on this layer?"
    raise InvalidArgument(
        f"all {table.shape[0]} x {table.shape[1]} {what} are zero: there is nothing to group; "
        + cause
    )


def check_varied(table: Tensor) -> Tensor:
    """The table about its mean; refuse one whose positions are all alike."""
    centred = table.detach() - table.detach().mean(0)
    if float(centred.abs().max()) <= 1e-6 * float(table.detach().abs().max()):
        raise InvalidArgument(
            f"all positions (n_samples={len(table)}) have the same activations: about their mean "
            "nothing is left to group; take 'nmf', or more images"
        )
    return centred


def check_fitted(reducer: object) -> None:
    """Refuse to work with a reducer before it was fitted."""
    if not hasattr(reducer, "components_"):
        raise NotFitted("this ChannelReducer is not fitted yet; call fit(activations) first")


def check_readable(data: Any) -> None:
    """Refuse what is neither an array nor a table: several tensors at once, nothing, text."""
    if isinstance(data, (list, tuple)) and any(isinstance(part, Tensor) for part in data):
        raise WrongType(
            f"a {type(data).__name__} of {len(data)} items was given where one tensor is needed: "
            "torch.cat several batches, or give them to fit_loader one by one; of a batch with "
            "labels, or of a layer with several outputs, take the activations"
        )
    if data is None or isinstance(data, str):
        raise WrongType(f"activations must be a tensor or an array, not {data!r}")


def check_loader(loader: Any, n_epochs: int) -> None:
    """Refuse what cannot be gone through, or not that often."""
    check_count("n_epochs", n_epochs)
    if not isinstance(loader, Iterable):
        raise WrongType(f"the loader is {loader!r}: give batches of activations, e.g. in a list")
    if n_epochs > 1 and iter(loader) is loader:
        raise InvalidArgument(
            f"n_epochs={n_epochs} needs a loader that can be gone through again; an iterator "
            "cannot: give a list or a DataLoader"
        )


def check_number(what: str, given: object, most: float | None = None) -> None:
    """Refuse what is no finite number of at least 0, and at most ``most``."""
    top = float("inf") if most is None else most
    is_number = isinstance(given, Real) and not isinstance(given, bool)
    if not is_number or not 0 <= float(given) <= top or float(given) == float("inf"):  # type: ignore[arg-type]
        limit = "of at least 0" if most is None else f"from 0 to {most:g}"
        raise InvalidArgument(f"{what}={given!r} is not a number {limit}")


def check_numbers(parameters: Any) -> None:
    """Refuse tolerances, regularization and seeds that no algorithm takes."""
    check_count("max_iter", parameters.max_iter)
    check_number("tol", parameters.tol)
    check_number("alpha_W", parameters.alpha_W)
    check_number("l1_ratio", parameters.l1_ratio, 1.0)
    if isinstance(parameters.alpha_H, str):
        check_name("alpha_H", parameters.alpha_H, ("same",))
    else:
        check_number("alpha_H", parameters.alpha_H)
    try:
        check_random_state(parameters.random_state)
    except ValueError as error:
        raise InvalidArgument(
            f"random_state={parameters.random_state!r} is no seed: give a whole number from 0 to "
            "2**32 - 1, a RandomState or None"
        ) from error


def check_factorizable(table: Any, n_components: int, start: Tensor | None) -> None:
    """Refuse what ``factorize`` cannot work on."""
    if not isinstance(table, Tensor) or table.dtype not in (torch.float32, torch.float64):
        kind = table.dtype if isinstance(table, Tensor) else type(table).__name__
        raise WrongType(f"table must be a tensor of float32 or float64, not {kind}")
    if table.ndim != 2:
        raise InvalidArgument(
            f"table has shape {tuple(table.shape)}, expected (position, channel); ChannelReducer "
            "takes a layer's output as it is"
        )
    check_count("n_components", n_components)
    check_size(table, n_components)
    check_finite(table, "the table's rows")
    check_non_negative(table, "nmf")
    if start is not None and tuple(start.shape) != (n_components, table.shape[1]):
        raise InvalidArgument(
            f"start has shape {tuple(start.shape)}, expected {(n_components, table.shape[1])}"
        )


def check_name(what: str, given: object, known: Collection[str]) -> None:
    """Refuse a name that is not among the known ones, saying which is near."""
    if given not in known:
        raise UnknownName(
            f"{what}={given!r} is none of {', '.join(known)}{did_you_mean(str(given), known)}"
        )


def check_count(what: str, given: object) -> None:
    """Refuse what is not a whole number of at least 1."""
    if not isinstance(given, Integral) or isinstance(given, bool) or given < 1:
        raise InvalidArgument(f"{what}={given!r} is not a whole number of at least 1")


def check_goals(weights: Collection[str], given: Mapping[str, object]) -> None:
    """Refuse goals that were named but not given, or given but not named."""
    for goal, values in given.items():
        if goal in weights and values is None:
            raise InvalidArgument(f"of names {goal!r}: fit needs {goal}s=, shaped like X")
        if goal not in weights and values is not None:
            raise InvalidArgument(
                f"{goal}s were given, but of gives them no weight; of={goal!r} would use them"
            )


def check_same_shape(name: str, found: Rows, expected: Rows) -> None:
    """Refuse gradients or attributions that are not shaped like the activations."""
    if found.table.shape != expected.table.shape or found.form.shape != expected.form.shape:
        raise InvalidArgument(
            f"{name} has {found.table.shape[1]} channels at {found.form.shape} positions, the "
            f"activations have {expected.table.shape[1]} at {expected.form.shape}"
        )
    check_finite(found.table, name)


def check_upper(shape: Sequence[int], expected: Sequence[int]) -> None:
    """Refuse attributions to upper groups that are not ``(image, upper group, ...)``."""
    shape, expected = tuple(shape or ()), tuple(expected)
    if shape[:1] + shape[2:] != expected or len(shape) < 3 or shape[1] < 1:
        wanted = ", ".join(map(str, (expected[0], "upper groups", *expected[1:])))
        raise InvalidArgument(f"upper has shape {shape}, expected ({wanted})")


def check_groups(table: Tensor, n_groups: int) -> None:
    """Refuse scores of another number of groups than the fitted one."""
    if table.shape[1] != n_groups:
        raise InvalidArgument(
            f"scores of {table.shape[1]} groups were given to a reducer of {n_groups}"
        )


def check_size(table: Tensor, n_components: int) -> None:
    """Refuse more groups than there are positions or channels."""
    rows, channels = table.shape
    for limit, word, name in ((rows, "positions", "samples"), (channels, "channels", "features")):
        if n_components > limit:
            raise InvalidArgument(
                f"n_components={n_components} is more than the {limit} {word} "
                f"(n_{name}={limit}); ask for at most {min(rows, channels)}"
            )


def check_rank(table: Tensor, n_components: int) -> None:
    """Refuse more groups than the activations have independent directions."""
    step = max(1, table.shape[0] // RANK_ROWS)
    rank = 0
    for part in (table[::step], table)[: 1 + (step > 1)]:
        rank = int(torch.linalg.matrix_rank(_sketch(part.detach(), n_components)))
        if rank >= n_components:
            return
    raise InvalidArgument(
        f"n_components={n_components} is more than the activations have independent directions "
        f"(rank {rank}); ask for at most {rank}"
    )


def check_distinct(table: Tensor, n_components: int) -> None:
    """Refuse more clusters than there are different positions."""
    different = 0
    for part in (table[:RANK_ROWS], table)[: 1 + (len(table) > RANK_ROWS)]:
        different = len(torch.unique(part.detach(), dim=0))
        if different >= n_components:
            return
    raise InvalidArgument(
        f"n_components={n_components} is more than the {different} positions that differ from each "
        f"other; ask for at most {different}"
    )


def check_width(table: Tensor, n_channels: int) -> None:
    """Refuse a table with another number of channels than the fitted one."""
    if table.shape[1] != n_channels:
        raise InvalidArgument(
            f"X has {table.shape[1]} features, but ChannelReducer is expecting {n_channels} "
            "features as input: the channels of the layer it was fitted on"
        )


def _sketch(table: Tensor, n_components: int) -> Tensor:
    """A few random mixtures of the channels: their rank is min(rank, number of mixtures)."""
    generator = torch.Generator().manual_seed(0)
    width = min(n_components + 4, table.shape[1])
    mixture = torch.randn(table.shape[1], width, generator=generator, dtype=torch.float64)
    return table @ mixture.to(table)
