"""Class names in every form they are kept in, and classes found by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from torch import nn

import captum_blocks as cb
from captum_blocks.errors import BlocksError, InvalidArgument, WrongType
from captum_blocks.network.labels import read_labels

NAMES = ("cat", "dog", "cow", "ox")


def network(labels: Any, outputs: int = 4, **how: Any) -> cb.Network:
    module = nn.Sequential(nn.Conv2d(3, outputs, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return cb.Network(module.eval(), cb.Preprocess(8), labels=labels, name="net", **how)


@pytest.mark.parametrize(
    "given",
    [
        list(NAMES),
        np.array(NAMES),
        {0: "cat", 1: "dog", 2: "cow", 3: "ox"},
        {3: "ox", 1: "dog", 0: "cat", 2: "cow"},
        {"0": "cat", "1": "dog", "2": "cow", "3": "ox"},
        {"dog": 1, "cat": 0, "ox": 3, "cow": 2},
        {np.int64(k): name for k, name in enumerate(NAMES)},
        {name: torch.tensor(k) for k, name in enumerate(NAMES)},
        {name: str(k) for k, name in enumerate(NAMES)},
        {k: [f"n0{k}", name] for k, name in enumerate(NAMES)},
        pandas.Series(["ox", "cat", "cow", "dog"], index=[3, 0, 2, 1]),
        list(enumerate(NAMES)),
        [name.encode() for name in NAMES],
    ],
)
def test_in_memory(given: Any) -> None:
    net = network(given)
    assert net.labels == NAMES
    best = net.predict(torch.rand(1, 3, 8, 8), top=1)[0]
    assert best.label == NAMES[best.index]


FILES = {
    "lines.txt": "cat\ndog\ncow\nox\n\n",
    "mark.txt": "\ufeffcat\r\ndog\r\ncow\r\nox",
    "list.json": json.dumps(NAMES),
    "index.json": json.dumps(dict(enumerate(NAMES))),
    "names.json": json.dumps({name: k for k, name in enumerate(NAMES)}),
    "config.json": json.dumps({"model_type": "vit", "id2label": dict(enumerate(NAMES))}),
    "keras.json": json.dumps({str(k): [f"n0{k}", name] for k, name in enumerate(NAMES)}),
    "names.csv": "name\ncat\ndog\ncow\nox\n",
    "indexed.csv": "index,name\n1,dog\n0,cat\n3,ox\n2,cow\n",
    "turned.csv": "cat,0\ndog,1\ncow,2\nox,3\n",
    "counted.csv": "name,count,index\ncow,1,2\ncat,3,0\ndog,0,1\nox,2,3\n",
    "class_name.csv": "Class Name\ncat\ndog\ncow\nox\n",
    "python.txt": "{0: 'cat',\n 1: 'dog',\n 2: 'cow',\n 3: 'ox'}\n",
    "numbered.txt": "1 dog\n0 cat\n3 ox\n2 cow\n",
    "lines.yaml": "0: cat\n1: dog\n2: cow\n3: ox\n",
    "bare.csv": '"cat"\n"dog"\n"cow"\n"ox"\n',
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", [str, Path])
def test_in_files(name: str, kind: type, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8", newline="")
    assert network(kind(tmp_path / name)).labels == NAMES


def test_classes_without_a_name() -> None:
    assert read_labels({0: "cat", 3: "ox"}) == ("cat", "class 1", "class 2", "ox")
    assert network(None).label(2) == "class 2"


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("cat", InvalidArgument, "labels='cat': there is no such file; give a list of names"),
        ({"cat", "dog"}, WrongType, "labels are a set, which has no order"),
        (7, WrongType, "labels are a int; give a list of names, a dict or a file"),
        ({"cat": "dog"}, InvalidArgument, "labels hold 'cat': 'dog', neither {index: name} nor"),
        ({"cat": 0, "dog": 0}, InvalidArgument, r"labels name 2 classes by the indices \[0, 0\]"),
        ({-1: "cat"}, InvalidArgument, r"by the indices \[-1\]; give each class one name"),
        ({10**9: "cat"}, InvalidArgument, "one of them has the index 1000000000"),
    ],
)
def test_no_labels(given: Any, error: type[BlocksError], message: str) -> None:
    with pytest.raises(error, match=message):
        network(given)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("bad.json", "{", "cannot be read as names"),
        ("deep.json", '{"id2label": "x"}', "neither {index: name} nor"),
        ("no.json", "3", "holds neither a list of names nor a dict of them"),
        ("empty.csv", "", "the file holds no names"),
        ("two.csv", "a,b,name\n0,1,x\n1,0,y\n", "of 3 columns, 2 could hold the indices"),
        ("table.csv", "a,b\nc,d\n", "needs one that holds the indices"),
    ],
)
def test_files_of_something_else(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidArgument, match=message):
        network(tmp_path / name)


@pytest.mark.parametrize("count", [3, 5])
def test_as_many_as_outputs(count: int) -> None:
    net = network([f"name {k}" for k in range(count)])
    with pytest.raises(InvalidArgument, match=f"{count} labels for the 4 outputs of net: give one"):
        net.logits(torch.rand(1, 3, 8, 8))


def test_counted_from_one() -> None:
    said = "labels name classes 1 to 4, and the 4 outputs of net"
    with pytest.raises(InvalidArgument, match=said):
        network(dict(enumerate(NAMES, 1))).logits(torch.rand(1, 3, 8, 8))


def test_two_names_for_one_output() -> None:
    with pytest.raises(InvalidArgument) as caught:
        network(["healthy", "ill"], outputs=1).logits(torch.rand(1, 3, 8, 8))
    assert str(caught.value) == (
        "2 labels for the single output of net: it has one number, and which of 'healthy' and "
        "'ill' a high one speaks for is not known; name that one, e.g. labels=['ill'], "
        "head='labels'"
    )
    net = network(["ill"], outputs=1, head="labels")
    assert net.predict(torch.rand(1, 3, 8, 8))[0].label == "ill"


def test_a_class_is_found_by_its_name_before_its_number() -> None:
    digits = network(["3", "1", "0", "2"])
    for index, name in enumerate(("3", "1", "0", "2")):
        assert digits.class_index(name, 4) == index
        assert digits.class_index(index, 4) == index
    x = torch.rand(1, 3, 8, 8)
    value = cb.evaluate(cb.Activation(cb.Out("3", "2")), digits, x)
    assert value.coords["class"] == (0, 3)
    assert value.data[0].tolist() == digits.logits(x)[0, [0, 3]].tolist()


def test_case_tells_two_names_apart() -> None:
    net = network(["US", "us", "Them", "None"])
    assert (net.class_index("US", 4), net.class_index("us", 4)) == (0, 1)
    assert net.class_index("them", 4) == 2
    with pytest.raises(InvalidArgument, match=r"class 'Us' is ambiguous: it names \[0, 1\]"):
        net.class_index("Us", 4)
