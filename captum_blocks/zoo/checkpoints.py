"""Weights from a file into a network: tensors only, nothing that could run code is loaded."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

import torch
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from captum_blocks._paths import as_path
from captum_blocks.errors import InvalidArgument, WeightsUnavailable
from captum_blocks.zoo.demo import require

ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".tar", ".safetensors")
# Where training scripts keep the weights among other things, the likeliest first.
NESTED = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
MOST_NESTED = 8
MOST_CLASSES = 2**20
SMALL = 2**20  # bytes: tables of positions are at times one row, over and over
# Files of torch.save are not compressed: one that unpacks to more was made to fill the memory.
MOST_UNPACKED = 1.5
State = dict[str, Tensor]
# The first release without known holes in weights_only=True: before 2.6 (CVE-2025-32434) and before
# 2.10 (CVE-2026-24747) a file made for it could run code all the same.
FIXED_TORCH = TorchVersion("2.10")


def is_file(name: str) -> bool:
    """Whether a name of weights means a file.

    >>> is_file("runs/best.pt"), is_file("IMAGENET1K_V1")
    (True, False)
    """
    return name.lower().endswith(ENDINGS) or "/" in name or "\\" in name


def read_weights(path: str | PathLike[str]) -> State:
    """The tensors of a checkpoint by name, whatever training script wrote it.

    Takes what ``torch.save`` and safetensors write; a state dict among other things is found, and
    a prefix that all names share (``module.`` of ``DataParallel``) is left out. With a torch before
    2.10, whose reader of pickled files has known holes, only safetensors are read.

    Raises:
        WrongType: ``path`` is no path.
        WeightsUnavailable: there is no such file, it is no checkpoint, or this torch cannot read it
            safely.
        InvalidArgument: it holds more than weights, or none.
    """
    file = as_path(path, WeightsUnavailable, "no such file of weights:")
    try:
        file = file.expanduser()
        there = file.is_file()
    except (RuntimeError, OSError) as error:  # no such home
        raise WeightsUnavailable(f"no such file of weights: {path} ({error})") from error
    if not there:
        raise WeightsUnavailable(f"no such file of weights: {file}")
    if file.suffix.lower() == ".safetensors":
        return _stripped(_safetensors(file))
    return _stripped(_weights_in(_loaded(file), file))


def _safetensors(file: Path) -> State:
    require("safetensors", "safetensors")
    from safetensors.torch import load_file

    try:
        return dict(load_file(str(file)))
    except Exception as error:  # of a type that torch does not have, cut short, too long a header
        raise WeightsUnavailable(f"{file} is damaged or no safetensors file: {error}") from error


def _loaded(file: Path) -> object:
    if TorchVersion(torch.__version__) < FIXED_TORCH:
        raise WeightsUnavailable(
            f"{file} is not read with torch {torch.__version__}: before {FIXED_TORCH} a file of "
            "weights could run code in spite of weights_only=True; update torch to "
            f"{FIXED_TORCH} or later, or save the weights as safetensors"
        )
    _check_archive(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "global" not in str(error).lower():
            raise _damaged(file, error) from error
        raise InvalidArgument(
            f"{file} holds more than weights, and loading that could run code: save the weights "
            f"alone with torch.save(model.state_dict(), {file.name!r}), or build the module "
            "yourself and pass Network(module, ...)"
        ) from error
    except Exception as error:  # what a damaged pickle leads to may be anything
        raise _damaged(file, error) from error


def _check_archive(file: Path) -> None:
    """Refuse an archive that unpacks to more than it takes, before anything is unpacked."""
    if not is_zipfile(file):
        return
    try:
        with ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(file, error) from error
    if unpacked > MOST_UNPACKED * file.stat().st_size + 2**20:
        raise WeightsUnavailable(
            f"{file} would unpack to {unpacked / 1e9:.1f} GB; torch.save does not compress"
        )


def _damaged(file: Path, error: Exception) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"{file} is damaged or no file of torch.save ({type(error).__name__})"
    )


def _weights_in(loaded: object, file: Path) -> State:
    """The state dict in what a file holds; a dict may hold itself."""
    seen: set[int] = set()
    while isinstance(loaded, Mapping) and id(loaded) not in seen and len(seen) < MOST_NESTED:
        seen.add(id(loaded))
        tensors = {name: held for name, held in loaded.items() if isinstance(held, Tensor)}
        inner = [loaded[key] for key in NESTED if isinstance(loaded.get(key), Mapping)]
        if tensors and (len(tensors) == len(loaded) or not inner):
            return _checked(tensors, file)
        loaded = inner[0] if inner else loaded
    held = f"a dict with {_some(list(map(_called, loaded)))}" if isinstance(loaded, Mapping) else ""
    raise InvalidArgument(
        f"{file} holds no weights by name but {held or type(loaded).__name__}; "
        "save them with torch.save(model.state_dict(), ...)"
    )


def _checked(tensors: Mapping[object, Tensor], file: Path) -> State:
    """Tensors with names, whose numbers are all in the file.

    A tensor may declare any shape: one without numbers, or the same few over and over, would take
    memory only later, when a network is built for it.
    """
    for name, tensor in tensors.items():
        if not isinstance(name, str):
            raise InvalidArgument(f"{file} names its weights by {_called(name)}, not by text")
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise InvalidArgument(
                f"{file}: {name} is no plain tensor of numbers ({tensor.layout}, {tensor.device})"
            )
        needed, there = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
        if needed > max(there, SMALL):
            raise InvalidArgument(
                f"{file}: {name} is said to be {tuple(tensor.shape)}, which takes {needed} bytes, "
                f"and there are {there}"
            )
    return {str(name): tensor for name, tensor in tensors.items()}


def _called(name: object) -> str:
    """A key of a dict; what is no text may be nested without end."""
    return name if isinstance(name, str) else type(name).__name__


def _stripped(state: State) -> State:
    for prefix in PREFIXES * 2:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def fill(
    build: Callable[[int | None], nn.Module], path: str, name: str
) -> tuple[nn.Module, int | None]:
    """A network with the weights of a file, and how many classes it was built for.

    Args:
        build: number of classes (None: the architecture's own) -> the network.
        path: of the file.
        name: of the network, for the messages.

    Returns:
        The network, and its number of classes where it is not the architecture's own.

    Raises:
        InvalidArgument: names or shapes do not fit; which ones, and how many, is said. A last
            layer of another number of classes is no misfit: the network is built for it.
    """
    state = read_weights(path)
    module = build(None)
    state = _as_named(state, module)
    classes = _number_of_classes(state, module)
    if classes is not None and classes > MOST_CLASSES:
        raise InvalidArgument(f"{path} is for {classes} classes; at most {MOST_CLASSES} are taken")
    if classes is not None:
        module = build(classes)
    if misfit := _misfit(state, module):
        raise InvalidArgument(f"{path} does not fit {name}: {misfit}")
    module.load_state_dict(state, strict=False)
    return module, classes


def _as_named(state: State, module: nn.Module) -> State:
    """Without a prefix that the network's names have and those of the file do not, and back."""
    names = set(module.state_dict())
    for prefix in PREFIXES:
        if any(name.startswith(prefix) for name in names) and not names & set(state):
            return {f"{prefix}{name}": tensor for name, tensor in state.items()}
    return state


def _number_of_classes(state: State, module: nn.Module) -> int | None:
    """How many classes the file is for, where that is all in which it differs.

    All tensors of a layer have to say so: what the file holds is then what the network will take.
    """
    wrong = _reshaped(state, module)
    own = module.state_dict()
    sizes = {state[name].shape[0] for name in wrong if state[name].ndim}
    before = {own[name].shape[0] for name in wrong if own[name].ndim}
    same = all(state[name].shape[1:] == own[name].shape[1:] for name in wrong)
    if len(sizes) != 1 or len(before) != 1 or not same or _missing(state, own):
        return None
    layers = {name.rpartition(".")[0] for name in wrong}
    beside = [name for name in own if name.rpartition(".")[0] in layers and own[name].ndim]
    as_one = all(name in wrong or own[name].shape[0] not in before for name in beside)
    return sizes.pop() if as_one else None


def _missing(state: State, own: Mapping[str, Tensor]) -> list[str]:
    # Counters of batches seen are not in old files, and decide nothing.
    needed = [name for name in own if not name.endswith("num_batches_tracked")]
    return [name for name in needed if name not in state]


def _reshaped(state: State, module: nn.Module) -> list[str]:
    own = module.state_dict()
    return [name for name in own if name in state and state[name].shape != own[name].shape]


def _misfit(state: State, module: nn.Module) -> str:
    """In which names and shapes a file and a network differ; empty where they fit."""
    own = module.state_dict()
    needed = [name for name in own if not name.endswith("num_batches_tracked")]
    missing = _missing(state, own)
    strange = [name for name in state if name not in own]
    shapes = [
        f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
        for name in _reshaped(state, module)
    ]
    parts = [
        f"{len(names)} of {total} {what} ({_some(names)})"
        for names, total, what in (
            (missing, len(needed), "names of the network are not in the file"),
            (strange, len(state), "names of the file are not in the network"),
            (shapes, len(needed), "tensors have another shape"),
        )
        if names
    ]
    return "; ".join(parts)


def _some(names: list[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ..."
