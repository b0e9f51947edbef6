"""A fitted reducer as one npz file: plain arrays and a JSON text, nothing that runs code."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np
import torch
from torch import Tensor

from captum_blocks._gradients import without_gradients
from captum_blocks._paths import as_path
from captum_blocks.errors import BlocksError, InvalidArgument
from captum_blocks.layouts import Layout
from captum_blocks.reduce.algorithms import Factors
from captum_blocks.reduce.online import Online
from captum_blocks.reduce.ordering import Summary
from captum_blocks.reduce.rows import Form

if TYPE_CHECKING:
    from captum_blocks.reduce.reducer import ChannelReducer

VERSION = 1


# What an array may be made of, and a reducer have been fitted on.
NUMBERS = ("float16", "float32", "float64")
DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and -MOST <= value <= MOST  # type: ignore[operator]


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_shares(value: object) -> bool:
    return isinstance(value, dict) and all(type(one) in (int, float) for one in value.values())


# What each plain value beside the arrays has to be; what a dict holds is looked at on its own.
MOST = np.finfo(np.float64).max
PLAIN: dict[str, Callable[[object], bool]] = {
    "n_iter": _is_count,
    "power": lambda value: _is_number(value) and value >= 0,  # type: ignore[operator]
    "online_rows": lambda value: value is None or _is_count(value),
    "per_group": _is_texts,
    "goal_share": _is_shares,
    "parameters": lambda value: isinstance(value, dict),
    "form": lambda value: isinstance(value, dict),
}
FORM: dict[str, Callable[[object], bool]] = {
    "layout": lambda value: value is None or isinstance(value, dict),
    "shape": lambda value: isinstance(value, list) and all(map(_is_count, value)),
    "is_tensor": lambda value: isinstance(value, bool),
    "dtype": lambda value: isinstance(value, str) and value in DTYPES,
}


class NoFolder(InvalidArgument, FileNotFoundError):
    """A file that is to be written into a folder that does not exist."""


class NoFile(InvalidArgument, FileNotFoundError):
    """A file that is to be read and is not there."""


def write(reducer: ChannelReducer, path: str | os.PathLike[str]) -> None:
    """Write to a temporary file, then rename it into place.

    Raises:
        WrongType: ``path`` is no path.
        InvalidArgument: the reducer wraps a foreign estimator, a parameter is no plain value, or
            the file cannot be written.
        NoFolder: the folder of ``path`` does not exist.
    """
    target = as_path(path, said="cannot write")
    if not target.parent.is_dir():
        raise NoFolder(
            f"{os.fspath(path)!r} cannot be written: there is no folder "
            f"{os.fspath(target.parent)!r}; make it first"
        )
    factors, summary = reducer._factors, reducer._summary
    if factors.model is not None:
        raise InvalidArgument(
            f"a reducer around {type(factors.model).__name__} cannot be saved as plain arrays; "
            "pickle it, or use skops"
        )
    arrays = {"components": factors.components, "share": summary.share}
    arrays |= {"magnitude": summary.magnitude}
    arrays |= {f"state {name}": value for name, value in factors.state.items()}
    online: Online | None = getattr(reducer, "_online", None)
    if online is not None:
        arrays |= {"online gram": online.gram, "online cross": online.cross}
    if factors.offset is not None:
        arrays["offset"] = factors.offset
    plain = {name: _array(value) for name, value in arrays.items()}
    plain["about"] = np.array(_about(reducer))
    try:
        _replaced(target, plain)
    except OSError as error:
        raise InvalidArgument(
            f"{os.fspath(path)!r} cannot be written ({error.strerror or error})"
        ) from error


def _replaced(target: Path, arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def read(kind: type[ChannelReducer], path: str | os.PathLike[str]) -> ChannelReducer:
    """Read what ``write`` wrote.

    Raises:
        WrongType: ``path`` is no path.
        InvalidArgument: the file is damaged, no reducer, or of a newer version.
        NoFile: it is not there.
    """
    file = as_path(path, NoFile)
    if not file.exists():
        raise NoFile(f"{os.fspath(path)!r} cannot be read: there is no such file")
    try:
        arrays = arrays_in(file)
        return _restored(kind, path, arrays, json.loads(str(arrays.pop("about")[()])))
    except BlocksError:
        raise
    except Exception as error:  # what is damaged or foreign may be so in any way
        raise _unreadable(path) from error


def _unreadable(path: str | os.PathLike[str], why: str = "") -> InvalidArgument:
    reason = f" ({why})" if why else ""
    return InvalidArgument(
        f"{os.fspath(path)!r} is not a saved ChannelReducer, or it is damaged{reason}"
    )


def arrays_in(file: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of an npz file, each as large as the file says and the file has bytes for.

    Raises:
        ValueError: an array of objects, one that declares more numbers than there are, or a file
            that unpacks to more than it takes.
    """
    if not file.is_file():
        raise ValueError(f"{file} is no file")
    with ZipFile(file) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > 2 * file.stat().st_size + 2**16:
            raise ValueError("it would unpack to much more than it takes")
        for member in members:
            with archive.open(member) as stream:
                _check_header(stream, member.file_size)
    with np.load(file, allow_pickle=False) as loaded:
        return {name: loaded[name] for name in loaded.files}


def _check_header(stream: Any, size: int) -> None:
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, _, dtype = readers[version](stream)
    if dtype.name not in NUMBERS and dtype.kind != "U":
        raise ValueError(f"an array of {dtype}")
    if min(shape, default=1) < 0 or prod(shape) * dtype.itemsize != size - stream.tell():
        raise ValueError(f"{shape} numbers of {dtype} in {size} bytes")


def _restored(
    kind: type[ChannelReducer],
    path: str | os.PathLike[str],
    arrays: dict[str, np.ndarray[Any, Any]],
    about: dict[str, Any],
) -> ChannelReducer:
    if type(about["version"]) is int and about["version"] > VERSION:
        raise InvalidArgument(
            f"{os.fspath(path)!r} was saved by a newer version of captum_blocks; update to read it"
        )
    if why := _odd_value(about) or _odd(arrays, about):
        raise _unreadable(path, why)
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    state = {name[6:]: value for name, value in tensors.items() if name.startswith("state ")}
    reducer = kind(**_with_layout(about["parameters"], "layout"))
    reducer._algorithm, reducer._settings = reducer._choose()
    if not isinstance(reducer.algorithm, str):
        raise _unreadable(path, "its algorithm has no name")
    reducer.n_features_in_ = tensors["components"].shape[1]
    factors = Factors(
        tensors["components"],
        tensors["components"].new_zeros(0, len(tensors["components"])),
        tensors.get("offset"),
        state,
        tuple(about["per_group"]),
        about["n_iter"],
        about["goal_share"],
    )
    _check_encodes(reducer, factors)
    shares = Summary(tensors["magnitude"], tensors["share"], float(about["power"]))
    reducer._publish(factors, _form(about["form"]), shares)
    reducer._online = _sums(tensors, about.get("online_rows"), about["power"])
    return reducer


def _odd_value(about: dict[str, Any]) -> str:
    """Which of the plain values is none that could have been saved; empty where all are."""
    if not (type(about["version"]) is int and about["version"] >= 1):
        return "it has no version"
    for name, fits in PLAIN.items():
        if not fits(about.get(name)):
            return f"its {name} is {str(about.get(name))[:40]!r}"
    for name, fits in FORM.items():
        if not fits(about["form"].get(name)):
            return f"its form's {name} is {str(about['form'].get(name))[:40]!r}"
    return ""


def _odd(arrays: dict[str, np.ndarray[Any, Any]], about: dict[str, Any]) -> str:
    """In what the parts of a file do not fit together; empty where they do."""
    groups, channels = arrays["components"].shape
    shapes = {
        "components": (groups, channels),
        "share": (groups,),
        "magnitude": (groups,),
        "offset": (channels,),
        "online gram": (groups, groups),
        "online cross": (groups, channels),
    }
    for name, array in arrays.items():
        if array.dtype.name not in NUMBERS:
            return f"{name} is made of {array.dtype}"
        if name in shapes and array.shape != shapes[name]:
            return f"{name} is {array.shape}, not {shapes[name]}"
        if name not in shapes and not name.startswith("state "):
            return f"there is no array {name!r}"
        if name not in ("share", "magnitude") and not np.isfinite(array).all():
            return f"{name} holds what is no number"
    rows = about.get("online_rows")
    sums = {"online gram", "online cross"} & arrays.keys()
    if len(sums) != (0 if rows is None else 2):
        return "its sums are not whole"
    named = [f"state {name}" for name in about["per_group"]]
    if any(arrays[name].shape[:1] != (groups,) for name in named):
        return "its state is of other groups"
    return ""


def _check_encodes(reducer: ChannelReducer, factors: Factors) -> None:
    """One position through what was read: each algorithm knows best what state it needs."""
    groups, channels = factors.components.shape
    row = factors.components.new_ones(1, channels)
    with without_gradients():
        found = reducer._algorithm.encode(row, factors, reducer._settings)
    if found.shape != (1, groups) or not found.isfinite().all():
        raise ValueError(f"one position gives scores {tuple(found.shape)}")


def _sums(tensors: dict[str, Tensor], n_rows: int | None, power: float) -> Online | None:
    """What ``partial_fit`` continues from; ``None`` after ``fit``, which keeps no sums."""
    if n_rows is None:
        return None
    gram, cross = tensors["online gram"], tensors["online cross"]
    return Online(tensors["components"], gram, cross, power, n_rows)


def _about(reducer: ChannelReducer) -> str:
    """Everything that is no array, as JSON."""
    form, factors, summary = reducer._form, reducer._factors, reducer._summary
    online: Online | None = getattr(reducer, "_online", None)
    about = {
        "version": VERSION,
        "parameters": reducer.get_params(deep=False),
        "form": {
            "layout": form.layout,
            "shape": form.shape,
            "is_tensor": form.is_tensor,
            "dtype": str(form.dtype).removeprefix("torch."),
        },
        "per_group": factors.per_group,
        "n_iter": int(factors.n_iter),
        "power": summary.power,
        "goal_share": factors.goal_share,
        "online_rows": None if online is None else online.n_rows,
    }
    try:
        return json.dumps(about, default=_plain)
    except TypeError as error:
        raise InvalidArgument(f"a parameter cannot be saved: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Layout):
        return asdict(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is no plain value")


def _with_layout(values: dict[str, Any], name: str) -> dict[str, Any]:
    layout = values[name]
    if isinstance(layout, dict):
        lists = {key: tuple(held) for key, held in layout.items() if isinstance(held, list)}
        layout = Layout(**{**layout, **lists})
    return {**values, name: layout}


def _form(values: dict[str, Any]) -> Form:
    layout = _with_layout(values, "layout")["layout"]
    dtype = DTYPES[values["dtype"]]
    shape = tuple(values["shape"])
    if len(shape) not in (1, 3):
        raise ValueError(f"fitted on {shape}")
    return Form(layout, shape, bool(values["is_tensor"]), dtype, torch.device("cpu"))


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().cpu().numpy()
