"""What is said of a layer that part of the answer goes around, with which other pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import captum_blocks as cb
from captum_blocks.attr import LayerAblation
from captum_blocks.compose.assembly.around import Exchange, Moves, sentences
from captum_blocks.compose.evaluation.elements import Limits, evaluate_elements
from captum_blocks.compose.evaluation.others import beside, made_up, read_others
from captum_blocks.compose.evaluation.question import asked
from captum_blocks.compose.pictures.progress import Progress
from captum_blocks.errors import BlocksError, InvalidArgument, UnusableLayer, WrongType
from captum_blocks.scene import LARGEST_PAGE
from tests.reference.removals import answered, kept

SIDE = cb.Hidden("side")


class Branch(nn.Module):
    """A stem that carries all, and a side branch that does not."""

    def __init__(self, classes: int = 3, gain: float = 30.0) -> None:
        super().__init__()
        self.stem, self.side = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 1, 1)
        self.head, self.gain = nn.Linear(6, classes), gain

    def forward(self, x: Tensor) -> Tensor:
        stem = torch.relu(self.stem(x))
        return self.head(self.gain * (stem + 2 * self.side(stem)).mean((2, 3)))


def branch(classes: int = 3, seed: int = 1, **how: Any) -> cb.Network:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return cb.Network(Branch(classes).eval(), cb.Preprocess(16), **how)


def pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    """Noise that is brighter, or of another colour, from picture to picture."""
    drawn = np.random.default_rng(seed)
    most = drawn.integers(40, 256, (count, 3))
    return [(drawn.random((16, 16, 3)) * each).astype(np.uint8) for each in most]


def shown(layer: cb.Hidden = SIDE) -> cb.Interface:
    return cb.Interface((cb.InfoVis(cb.Attribution(layer.channels, cb.Out(0))),))


def explained(net: cb.Network, image: Any, others: Any = None, ui: Any = None) -> cb.Explanation:
    return cb.explain(ui or shown(), net, image, others=others, progress=False)


def plain(net: cb.Network, x: Tensor, others: Tensor) -> dict[str, list[Any]]:
    """One photograph's exchanges by plain hooks, one pass each."""
    module, layer, head = net.module, net.module.side, net.head_of(3)
    with torch.no_grad():
        own = module(x)[0]
    top, mine = int(own.argmax()), kept(module, layer, x)

    def score(logits: Tensor) -> float:
        if head != "classes":
            return float(logits[top])
        return float(logits[top] - logits[[i for i in range(3) if i != top]].logsumexp(0))

    found: dict[str, list[Any]] = {name: [] for name in ("t", "te", "tt", "p", "pe", "pt", "b")}
    for other in others.split(1):
        with torch.no_grad():
            theirs = module(other)[0]
        out = kept(module, layer, other)
        taken = answered(module, layer, x, lambda _, out=out: out)[0]
        put = answered(module, layer, other, lambda _: mine)[0]
        for name, after, before in (("t", taken, own), ("p", put, theirs)):
            found[name].append(score(after) - score(before))
            found[f"{name}e"].append(float((after - before).abs().mean()))
            found[f"{name}t"].append(int(after.argmax()) == top)
        found["b"].append(int(theirs.argmax()) == top)
    return found


@pytest.mark.parametrize("head", ["classes", "labels", "values"])
def test_numbers_are_those_of_plain_hooks(head: Any) -> None:
    net, (photo, *others) = branch(head=head), pictures(11)
    ex = explained(net, photo, others)
    found = ex.exchanged[SIDE]
    expected = plain(net, net.read(photo), torch.cat([net.read(each) for each in others]))
    close = {"rtol": 1e-4, "atol": 1e-4}
    for name, held in (("t", found.taken), ("p", found.put)):
        torch.testing.assert_close(held.score, torch.tensor([expected[name]]), **close)
        torch.testing.assert_close(held.every, torch.tensor([expected[f"{name}e"]]), **close)
        if head == "values":
            assert held.top is None
        else:
            assert held.top.tolist() == [expected[f"{name}t"]]
            assert found.before.tolist() == [expected["b"]]
    said, mean = ex.scene.chapters[0].said, sum(expected["t"]) / 10
    unit = {"classes": "log-odds of", "labels": "log-odds of", "values": "value of"}[head]
    changed = f"the {unit} “{found.labels[0]}” change"
    assert f"{mean:+.2f} on average".replace("-", "−") in said
    assert "With its output taken from 10 other photographs, " + changed in said
    assert ("in 10 of 10" in said or "of 10, and" in said) == (head != "values")
    assert not {"share", "passes"} & set(said.split())


def test_a_single_value_has_no_top_class() -> None:
    net, (photo, *others) = branch(1), pictures(9)
    ex = explained(net, photo, others)
    said = ex.scene.chapters[0].said
    assert ex.exchanged[SIDE].taken.every is None
    assert "the value of “class 0” changes by" in said
    assert " of 8" not in said


def test_others_are_a_list_a_folder_a_dict_or_a_tensor(tmp_path: Path) -> None:
    net, (photo, *others) = branch(), pictures(13)
    for place, each in enumerate(others):
        Image.fromarray(each).save(tmp_path / f"{place:02}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._00.png").write_bytes(b"no picture")
    ready = torch.cat([net.read(each) for each in others])
    expected = explained(net, photo, others).exchanged[SIDE]
    given = [
        tmp_path,
        str(tmp_path),
        sorted(tmp_path.glob("[01]*.png")),
        ready,
        list(ready[:, None]),
    ]
    given += [dict(enumerate(others)), [Image.fromarray(each) for each in others]]
    for each in given:
        found = explained(net, photo, each).exchanged[SIDE]
        assert found.others == 12
        assert not found.made_up
        torch.testing.assert_close(found.taken.score, expected.taken.score)


def test_no_more_than_the_first_32_are_taken() -> None:
    net, (photo, *others) = branch(), pictures(41)
    found = read_others(net, others, net.read(photo))
    torch.testing.assert_close(found, torch.cat([net.read(each) for each in others[:32]]))


def test_photographs_explained_together_serve_where_there_are_nine() -> None:
    net, photos = branch(), pictures(10)
    x = torch.cat([net.read(each) for each in photos])
    found = explained(net, photos).exchanged[SIDE]
    assert not found.made_up
    for image in (0, 4, 9):
        following = [(image + step) % 10 for step in range(1, 9)]
        expected = plain(net, x[image : image + 1], x[following])
        torch.testing.assert_close(
            found.taken.score[image], torch.tensor(expected["t"]), rtol=1e-4, atol=1e-4
        )
    said = explained(net, photos).scene.chapters[0].said
    assert "taken from 8 other photographs for each of 10 photographs, the log-odds of" in said
    assert "the answer stays what it was in" in said
    assert "of 80" in said
    assert explained(net, photos[:8]).exchanged[SIDE].made_up


def test_given_ones_serve_all_that_are_explained_together() -> None:
    net, photos = branch(), pictures(12)
    found = explained(net, photos[:3], photos[3:]).exchanged[SIDE]
    x, others = (torch.cat([net.read(each) for each in some]) for some in (photos[:3], photos[3:]))
    for image in range(3):
        expected = plain(net, x[image : image + 1], others)
        torch.testing.assert_close(
            found.put.score[image], torch.tensor(expected["p"]), rtol=1e-4, atol=1e-4
        )


def test_without_photographs_test_pictures_serve_and_it_is_said() -> None:
    net, (photo,) = branch(), pictures(1)
    ex = explained(net, photo)
    assert ex.exchanged[SIDE].made_up
    words = "taken from 8 made-up test pictures (give others= for photographs), the log-odds"
    assert words in ex.scene.chapters[0].said
    x = net.read(photo)
    expected = plain(net, x, made_up(x))
    torch.testing.assert_close(
        ex.exchanged[SIDE].taken.score, torch.tensor([expected["t"]]), rtol=1e-4, atol=1e-4
    )


def test_test_pictures_have_the_colours_of_a_picture_and_nothing_else_of_it() -> None:
    x = torch.rand(1, 3, 64, 48) * torch.tensor([1.0, 0.5, 0.2])[:, None, None] + 3
    made = made_up(x)
    assert made.shape == (8, 3, 64, 48)
    torch.testing.assert_close(made, made_up(x), rtol=0, atol=0)
    torch.testing.assert_close(made.mean((0, 2, 3)), x.mean((0, 2, 3)), rtol=0.05, atol=0.05)
    assert bool((made.amax((0, 2, 3)) <= x.amax((0, 2, 3))).all())
    flipped = made_up(x.flip(-1))
    torch.testing.assert_close(made, flipped)
    neighbours = (made[..., 1:] - made[..., :-1]).abs().mean()
    assert neighbours < 0.7 * (made - made.flip(-1)).abs().mean()
    flat = made_up(torch.zeros(1, 3, 8, 8))
    assert flat.isfinite().all()
    assert flat.std() > 0.5
    assert made_up(torch.zeros(1, 1, 1, 1)).isfinite().all()


def test_a_layer_that_carries_all_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unused(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(LayerAblation, "swapped", unused)
    ex = explained(branch(), pictures(1)[0], pictures(9, seed=1), shown(cb.Hidden("stem")))
    assert ex.exchanged == {}
    assert ex.scene.chapters[0].said == ""


def test_numbers_stand_in_the_first_chapter_only() -> None:
    one = shown().titled("First?", "Read it.")
    other = cb.Interface((cb.InfoVis(cb.Attribution(SIDE.channels, cb.Out(1))),)).titled(
        "Then?", ""
    )
    ex = explained(branch(), pictures(1)[0], pictures(9, seed=1), one & other)
    first, then = ex.scene.chapters
    assert first.reading == "Read it."
    assert first.said.startswith("Part of the answer goes around side. With its output")
    assert then.said.startswith("Part of the answer goes around side: with its output")


def test_what_cannot_be_exchanged_keeps_the_short_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def unusable(*_: Any) -> None:
        raise UnusableLayer("layer 'side' runs 2 times")

    monkeypatch.setattr(LayerAblation, "swapped", unusable)
    ex = explained(branch(), pictures(1)[0])
    assert ex.exchanged == {}
    assert ex.scene.chapters[0].said.startswith("Part of the answer goes around side: with its")


def test_each_network_has_its_own_others() -> None:
    nets = {"one": branch(), "two": branch(seed=2, head="labels")}
    (photo, *photos) = pictures(9)
    places = {name: cb.Hidden("side", network=name) for name in nets}
    elements = [
        cb.InfoVis(cb.Attribution(place.channels, cb.Out(0, network=name)))
        for name, place in places.items()
    ]
    others = {name: read_others(net, photos, net.read(photo)) for name, net in nets.items()}
    question = replace(asked(nets, photo), others=others)
    limits, stage = Limits((0, 0, 1, 1), LARGEST_PAGE), Progress(False).stage
    facts = evaluate_elements(elements, question, limits, stage).facts
    for name, net in nets.items():
        expected = plain(net, net.read(photo), others[name])
        torch.testing.assert_close(
            facts.exchanged[places[name]].put.score,
            torch.tensor([expected["p"]]),
            rtol=1e-4,
            atol=1e-4,
        )


def few(folder: Path, count: int) -> Path:
    for place, each in enumerate(pictures(count)):
        Image.fromarray(each).save(folder / f"{place}.png")
    return folder


@pytest.mark.parametrize(
    ("others", "kind", "message"),
    [
        (lambda at: pictures(7, 1), InvalidArgument,
         "others= holds 7 photographs, and at least 8 are needed: give more, or leave it out"),
        (lambda at: [], InvalidArgument, "holds 0 photographs"),
        (lambda at: few(at, 3), InvalidArgument, "holds 3 photographs in .*, and at least 8"),
        (lambda at: at, InvalidArgument, "there is no picture in that folder"),
        (lambda at: at / "none", InvalidArgument, "none' is not there: give a folder"),
        (lambda at: few(at, 8) / "0.png", InvalidArgument, "0.png' is a file: give a folder"),
        (lambda at: pictures(9, 1)[:1] * 9, InvalidArgument,
         "holds 1 photographs different from one another and from those explained"),
        (lambda at: 8, WrongType, "a folder of photographs or a list of at least 8, not int"),
        (lambda at: [*pictures(8, 1), "none.png"], BlocksError, "no such picture: none.png"),
        (lambda at: torch.zeros(9, 3, 20, 20), InvalidArgument,
         r"other photograph 1 is \(1, 3, 20, 20\) for Branch, and the one explained \(1, 3, 16"),
        (lambda at: torch.full((9, 3, 16, 16), torch.nan), InvalidArgument, "NaN or infinite"),
    ],
)  # fmt: skip
def test_what_cannot_serve_is_refused_before_any_work(
    others: Any, kind: type[BlocksError], message: str, tmp_path: Path
) -> None:
    net = branch()
    net.module.register_forward_hook(lambda *_: pytest.fail("the network ran"))
    with pytest.raises(kind, match=message):
        explained(net, pictures(1)[0], others(tmp_path))


def test_no_photograph_given_is_written_over(tmp_path: Path) -> None:
    folder = few(tmp_path, 9)
    ex = explained(branch(), pictures(1, 1)[0], folder)
    with pytest.raises(InvalidArgument, match="that is a picture which it is made from"):
        ex.save(folder / "3.png")


def test_those_explained_do_not_count() -> None:
    net, photos = branch(), pictures(8)
    with pytest.raises(InvalidArgument, match="holds 7 photographs different from one another"):
        explained(net, photos[0], photos)


def test_which_pictures_is_decided_in_one_place() -> None:
    x, given = torch.rand(9, 3, 4, 4), torch.rand(8, 3, 4, 4)
    ((places, found),) = beside(x, given)
    assert (places, found.pictures is given, found.made_up) == (slice(0, 9), True, False)
    alike = torch.cat([x[:2], x[:2]] * 3)
    assert all(each.made_up for _, each in beside(alike, None))


def test_what_was_the_class_before_cannot_become_it() -> None:
    taken, put = Moves(0.5, 0.1, 1, 0.2, 8, 8), Moves(-1, -2, 0, 0.3, 2, 5)
    said = sentences(Exchange("a", "{cat}", 1, 8, False, "log-odds", "logit", taken, put))
    assert "2 of the 5 that were something else before become “{cat}”" in said
    gone = replace(put, top=0, of=0)
    said = sentences(Exchange("a", "cat", 1, 8, False, "log-odds", "logit", taken, gone))
    assert "become" not in said
