"""A fitted reducer as one npz file: plain arrays and a JSON text, nothing that runs code."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from captum_blocks.errors import BlocksError, InvalidArgument
from captum_blocks.layouts import Layout
from captum_blocks.reduce.algorithms import Factors
from captum_blocks.reduce.online import Online
from captum_blocks.reduce.ordering import Summary
from captum_blocks.reduce.rows import Form

if TYPE_CHECKING:
    from captum_blocks.reduce.reducer import ChannelReducer

VERSION = 1


class NoFolder(InvalidArgument, FileNotFoundError):
    """A file that is to be written into a folder that does not exist."""


def write(reducer: ChannelReducer, path: str | os.PathLike[str]) -> None:
    """Write to a temporary file, then rename it into place.

    Raises:
        InvalidArgument: the reducer wraps a foreign estimator, or a parameter is no plain value.
        NoFolder: the folder of ``path`` does not exist.
    """
    target = Path(path)
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
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **plain)  # type: ignore[arg-type]
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def read(kind: type[ChannelReducer], path: str | os.PathLike[str]) -> ChannelReducer:
    """Read what ``write`` wrote.

    Raises:
        InvalidArgument: the file is damaged, no reducer, or of a newer version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return _restored(kind, path, arrays, json.loads(str(arrays.pop("about")[()])))
    except BlocksError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, EOFError, BadZipFile) as error:
        raise InvalidArgument(
            f"{os.fspath(path)!r} is not a saved ChannelReducer, or it is damaged"
        ) from error


def _restored(
    kind: type[ChannelReducer],
    path: str | os.PathLike[str],
    arrays: dict[str, np.ndarray[Any, Any]],
    about: dict[str, Any],
) -> ChannelReducer:
    if about["version"] > VERSION:
        raise InvalidArgument(
            f"{os.fspath(path)!r} was saved by a newer version of captum_blocks; update to read it"
        )
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    state = {name[6:]: value for name, value in tensors.items() if name.startswith("state ")}
    reducer = kind(**_with_layout(about["parameters"], "layout"))
    reducer._algorithm, reducer._settings = reducer._choose()
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
    shares = Summary(tensors["magnitude"], tensors["share"], about["power"])
    reducer._publish(factors, _form(about["form"]), shares)
    reducer._online = _sums(tensors, about.get("online_rows"), about["power"])
    return reducer


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
    dtype = getattr(torch, values["dtype"])
    shape = tuple(values["shape"])
    return Form(layout, shape, values["is_tensor"], dtype, torch.device("cpu"))


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().cpu().numpy()
