"""An explanation while its pictures are drawn, in threads and without a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from threading import Thread

import numpy as np
import pytest
import torch
from torch import nn

import captum_blocks as cb
from captum_blocks.compose.pictures import icons
from captum_blocks.errors import UnknownName
from captum_blocks.store import Store
from tests.conftest import FEW_STEPS

FEW = replace(FEW_STEPS, budget=4)
LATE = cb.Hidden("late")
CHANNELS = cb.FeatureVis(LATE.channels[:4])
Streams = Callable[..., cb.Stream]


@pytest.fixture
def streamed(
    small: cb.Network, small_x: torch.Tensor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> Streams:
    """One icon at a time, so that each is a stage."""
    monkeypatch.setattr(icons, "BATCH", 1)
    how = {"quality": FEW, "progress": False, "store": store}

    def made(interface: object = CHANNELS, net: object = small) -> cb.Stream:
        return cb.explain(interface, net, small_x, stream=True, **how)  # type: ignore[call-overload,no-any-return]

    return made


def drawn(stage: cb.Explanation) -> list[str]:
    return sorted(name for name, sprite in stage.scene.sprites.items() if sprite.drawn)


def test_numbers_are_there_before_any_icon(
    streamed: Streams, small: cb.Network, small_x: torch.Tensor
) -> None:
    ui = cb.neuron_groups("late", n=2)
    first, *others = streamed(ui)
    assert drawn(first) == []
    assert len(first.scene.undrawn) == 2
    whole = cb.explain(ui, small, small_x, quality=FEW, progress=False)
    assert first.values.keys() == whole.values.keys()
    for content, value in whole.values.items():
        assert torch.equal(first.values[content].data, value.data)
    assert (first.scene.title, first.scene.answer) == (whole.scene.title, whole.scene.answer)
    assert first.scene.chapters == others[-1].scene.chapters


def test_every_stage_has_more_and_the_last_has_all(
    streamed: Streams, small: cb.Network, small_x: torch.Tensor, tmp_path: object
) -> None:
    stages = list(streamed())
    counts = [len(drawn(stage)) for stage in stages]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 4)
    assert {1, 2, 3} <= set(counts)
    whole = cb.explain(CHANNELS, small, small_x, quality=FEW, progress=False, store=Store(tmp_path))
    assert list(whole.scene.sprites) == list(stages[-1].scene.sprites)
    for name, sprite in whole.scene.sprites.items():
        told = stages[-1].scene.sprites[name]
        assert np.array_equal(told.pixels, sprite.pixels)
        assert (told.label, told.details) == (sprite.label, sprite.details)


def test_what_the_store_has_comes_first_and_at_once(streamed: Streams, store: Store) -> None:
    two = cb.FeatureVis(LATE.channels[[1, 3]])
    streamed(two).result()
    stream = streamed()
    assert stream.step()
    assert drawn(stream.now) == ["late/channel/1", "late/channel/3"]


def test_what_the_reader_points_at_is_drawn_next(streamed: Streams) -> None:
    stream = streamed()
    stream.step()  # what the store has: nothing
    stream.points_at("late/channel/3", "nothing of this name")
    stream.step()
    assert drawn(stream.now) == ["late/channel/3"]
    stream.points_at("late/channel/3", "late/channel/1", "late/channel/2")
    stream.step()
    assert drawn(stream.now) == ["late/channel/2", "late/channel/3"]
    stream.step()
    assert drawn(stream.now) == ["late/channel/1", "late/channel/2", "late/channel/3"]


def test_what_is_pointed_at_in_another_kind_of_picture_is_drawn_next(streamed: Streams) -> None:
    grid = cb.FeatureVis(cb.Activation(LATE.spatial), recipe="shared")
    stream = streamed(CHANNELS & grid)
    stream.step()
    stream.points_at(next(name for name in stream.now.scene.undrawn if "spatial" in name))
    stream.step()
    assert len(drawn(stream.now)) == 16
    assert all("spatial" in name for name in drawn(stream.now))


def test_between_stages_the_network_is_its_owners(streamed: Streams, small: cb.Network) -> None:
    hooks = [
        (module._forward_hooks, module._forward_pre_hooks) for module in small.module.modules()
    ]
    for _ in streamed():
        assert torch.is_grad_enabled()
        assert not any(any(each) for each in hooks)
        score = small.module(torch.ones(1, 3, 16, 16)).sum()
        assert score.requires_grad


def test_closed_while_it_draws_it_keeps_what_is_finished(streamed: Streams, store: Store) -> None:
    stream = streamed()
    stream.step()
    stream.step()
    original, steps = stream._reader.check, []

    def leaves_in_the_middle() -> None:
        steps.append(1)
        if len(steps) == 2:
            stream.close()
        original()

    stream._reader.check = leaves_in_the_middle  # type: ignore[method-assign]
    assert not stream.step()
    assert len(steps) == 2
    assert stream.ended
    assert stream.error is None
    assert len(drawn(stream.now)) == 1
    assert store.info().entries == 1
    assert stream.now.scene.ended == "drawing was stopped"
    assert stream.result() is stream.now


def test_closed_before_it_draws(streamed: Streams) -> None:
    stream = streamed()
    stream.close()
    assert [len(drawn(stage)) for stage in stream] == [0]
    assert ("not drawn", "4 of 4 pictures: drawing was stopped") in stream.now.scene.footer


class Breaking(nn.Module):
    """Cannot go on from some pass on."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside, self.left = inside, None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise RuntimeError("the disk with the weights is gone")
        return self.inside(x)  # type: ignore[no-any-return]


def test_a_network_that_fails_in_the_middle(
    streamed: Streams, small: cb.Network, small_module: nn.Module, tmp_path: object
) -> None:
    module = Breaking(small_module).eval()
    net = cb.Network(module, small.preprocess, small.labels)
    stream = streamed(cb.FeatureVis(cb.Hidden("inside.late").channels[:4]), net)
    stream.step()
    stream.step()
    module.left = 2
    with pytest.raises(RuntimeError, match="the disk with the weights is gone"):
        list(stream)
    assert len(drawn(stream.now)) >= 1
    assert stream.now.scene.undrawn
    assert "RuntimeError: the disk with the weights is gone" in stream.now.scene.ended
    with pytest.raises(RuntimeError, match="is gone"):
        stream.result()
    page = stream.now.html()
    assert re.search(r"\d of 4 pictures are drawn: drawing ended with RuntimeError", page)


def test_a_reader_waits_while_another_thread_draws(streamed: Streams) -> None:
    stream = streamed()
    seen, counts = stream.now, []

    def read() -> None:
        nonlocal seen
        while not (stream.ended and seen is stream.now):
            seen = stream.after(seen)
            counts.append(len(drawn(seen)))

    reader = Thread(target=read)
    reader.start()
    stream.in_background().join()
    reader.join(60)
    assert not reader.is_alive()
    assert counts == sorted(counts)
    assert counts[-1] == 4
    assert stream.result().scene.undrawn == ()


def test_two_threads_draw_each_picture_once(streamed: Streams, store: Store) -> None:
    stream = streamed()
    threads = [stream.in_background(), stream.in_background()]
    for thread in threads:
        thread.join()
    assert len(drawn(stream.now)) == store.info().entries == 4
    assert stream.error is None


def test_a_page_saved_midway_says_what_is_missing(streamed: Streams, tmp_path) -> None:
    stream = streamed()
    stream.step()
    stream.step()
    page = stream.now.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "1 of 4 pictures are drawn" in page
    assert "pictures are drawn" not in stream.result().html().replace("<", "\n")
    for ending in ("png", "pdf"):
        assert stream.now.save(tmp_path / f"page.{ending}").stat().st_size


def test_bad_input_is_refused_before_there_is_a_stream(
    small: cb.Network, small_x: torch.Tensor
) -> None:
    with pytest.raises(UnknownName, match="nothing is given for 'no'"):
        cb.explain(cb.FeatureVis(LATE.channels, by=cb.Dataset("no")), small, small_x, stream=True)


def test_how_far_it_is_can_be_read(streamed: Streams) -> None:
    stream = streamed()
    assert repr(stream).endswith("; 0 of 4 pictures are drawn)")


def test_iterating_ends_in_the_whole_whoever_draws(streamed: Streams) -> None:
    for _ in range(5):
        stream = streamed()
        thread = stream.in_background()
        *_, last = stream
        thread.join()
        assert last is stream.now
        assert last.scene.undrawn == ()


def test_closing_the_last_widget_ends_the_work(streamed: Streams) -> None:
    stream = streamed()
    first, second = stream._blank_widget(), stream._blank_widget()
    first._handle_custom_msg({"closed": True}, [])
    first._handle_custom_msg({"closed": True}, [])
    assert not stream.ended
    assert stream.step()
    second._handle_custom_msg({"closed": True}, [])
    assert stream.ended


def test_who_has_left_waits_for_no_further_source(
    streamed: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = streamed(CHANNELS & cb.FeatureVis(cb.Activation(LATE.spatial), recipe="shared"))
    while any("channel" in name for name in stream.now.scene.undrawn):
        stream.step()
    stream._reader.leaves()
    assert not stream.step()
    assert len(stream.now.scene.undrawn) == 16
