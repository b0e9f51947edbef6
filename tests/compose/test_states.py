"""What the reader changes: every state is the content with a constant in the selection's place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import captum_blocks as cb
from captum_blocks.compose import Quality
from captum_blocks.errors import InvalidArgument, UnknownName, WrongType
from captum_blocks.scene import Bars, Histogram, Matrix, Multiples, Overlay
from tests.conftest import FEW_STEPS

EARLY, LATE = cb.Hidden("early"), cb.Hidden("late")
EVERY = cb.Out(0, 1, 2)


@pytest.fixture
def explain(small, noise_picture, store):
    def run(interface, picture=noise_picture, **options):
        kept = {"quality": FEW_STEPS, "progress": False, "store": store, **options}
        return cb.explain(interface, small, picture, **kept)

    return run


@pytest.fixture
def numbers(small, noise_picture):
    return lambda content: cb.evaluate(content, small, small.read(noise_picture)).data[0]


def shown(panel, frame: int) -> list[float]:
    """The first column of a frame's atoms."""
    return [mark.values[0] for mark in panel.frames[frame] if mark.role == "atom"]


def test_a_slider_makes_groups_of_every_number(explain, numbers) -> None:
    content = cb.Attribution(LATE.groups(cb.slider(2, 4, value=3)), cb.Out(1))
    ex = explain(cb.InfoVis(content))
    (panel,), (selection,) = ex.scene.panels(), ex.scene.selections
    assert (selection.gesture, selection.keys, selection.default) == ("slider", ("2", "3", "4"), 1)
    assert selection.title == "number of groups"
    for frame, k in enumerate((2, 3, 4)):
        expected = numbers(cb.Attribution(LATE.groups(k), cb.Out(1)))[0]
        assert shown(panel, frame) == pytest.approx(expected.tolist(), abs=1e-5)
    keys = [mark.key for frame in panel.frames for mark in frame]
    assert len(set(keys)) == 2 + 3 + 4 + 3 * 2
    assert next(iter(ex.values)) == cb.Attribution(LATE.groups(3), cb.Out(1))
    assert len(ex.values) == 3


def test_a_slider_decides_how_many_are_shown(explain) -> None:
    content = cb.Activation(LATE.channels).filter(top=cb.slider(1, 3))
    (panel,) = explain(cb.InfoVis(content)).scene.panels()
    assert [len(frame) for frame in panel.frames] == [1, 2, 3]


def test_a_list_picks_a_class(explain, numbers) -> None:
    answer = cb.choose(cb.Out(2, 0), "answer", start=1)
    content = cb.Attribution(LATE.channels, EVERY).filter(to=answer)
    ex = explain(cb.InfoVis(content))
    (panel,), (selection,) = ex.scene.panels(), ex.scene.selections
    assert selection.labels == ("pig", "cat")
    assert (selection.default, selection.title) == (1, "answer")
    every = numbers(cb.Attribution(LATE.channels, EVERY))
    assert shown(panel, 0) == pytest.approx(every[2].tolist(), abs=1e-5)
    assert shown(panel, 1) == pytest.approx(every[0].tolist(), abs=1e-5)
    assert panel.columns == ("",)


def test_a_list_picks_a_class_while_a_slider_counts_groups(explain, numbers) -> None:
    answer, many = cb.choose(EVERY, "answer", start=1), cb.slider(2, 3)
    content = cb.Attribution(LATE.groups(many), EVERY)
    ex = explain(cb.InfoVis(content.filter(to=answer)))
    (panel,) = ex.scene.panels()
    picked, counted = panel.follows
    assert ex.scene.selection(picked).labels == ("cat", "dog", "pig")
    assert ex.scene.selection(counted).keys == ("2", "3")
    for place, index in enumerate((0, 1, 2)):
        for k in (2, 3):
            expected = numbers(cb.Attribution(LATE.groups(k), EVERY))[index].tolist()
            assert shown(panel, 2 * place + k - 2) == pytest.approx(expected, abs=1e-5)
    assert set(ex.values) == {cb.Attribution(LATE.groups(k), EVERY) for k in (2, 3)}
    with pytest.raises(InvalidArgument, match=r"cannot pick from .*, whose atoms depend on slider"):
        explain(cb.InfoVis(content.filter(at=cb.hover("group"))))


def test_two_lists_make_a_frame_for_every_pair(explain, numbers) -> None:
    ex = explain(cb.compare_classes("late", top=2))
    net, first, second = ex.scene.panels()
    assert len(net.frames) == len(first.frames) == 9
    by_name = {selection.title: selection for selection in ex.scene.selections}
    assert [by_name[name].default for name in ("first", "second")] == [0, 1]
    opened = [(panel, ex.scene.default_frame(panel)) for panel in (net, first, second)]
    net_shown, first_shown, second_shown = (shown(panel, frame) for panel, frame in opened)
    minus = np.subtract(first_shown, second_shown)
    assert net_shown == pytest.approx(minus.tolist(), abs=1e-5)
    labels = [[mark.label for mark in panel.frames[frame][:4]] for panel, frame in opened]
    assert labels[0] == labels[1] == labels[2]


def test_what_follows_a_click_has_the_states_that_are_shown(explain, numbers) -> None:
    chosen = cb.click("channel")
    top = cb.Attribution(LATE.channels, cb.Out(1)).filter(strongest=3)
    made_of = cb.Attribution(EARLY.channels, LATE.channels).filter(to=chosen)
    ex = explain(cb.InfoVis(top, sets=chosen) | cb.InfoVis(made_of))
    upper, lower = ex.scene.panels()
    (selection,) = ex.scene.selections
    assert selection.keys == tuple(mark.key for mark in upper.frames[0][:3])
    assert len(lower.frames) == 3
    every = numbers(cb.Attribution(EARLY.channels, LATE.channels))
    for frame, key in enumerate(selection.keys):
        expected = every[int(key.rsplit("/", 1)[1])]
        assert shown(lower, frame) == pytest.approx(expected.tolist(), abs=1e-4)


def test_drilling_down_two_layers_and_up_again(explain, numbers) -> None:
    ex = explain(cb.channel_attribution("early", "late", strongest=4, classes=cb.Out(1)))
    upper, answers, lower, low_answers, uses = ex.scene.panels()
    assert upper.sets[0] == upper.highlights == lower.follows[0]
    assert upper.sets[1] == answers.follows[0]
    assert lower.sets[1] == low_answers.follows[0]
    assert len({*upper.sets, *lower.sets}) == 4
    gestures = [ex.scene.selection(name).gesture for name in (*upper.sets, *lower.sets)]
    assert gestures == ["click", "hover"] * 2
    assert len(answers.frames) == len(lower.frames) == 4
    assert all(len([m for m in frame if m.role == "atom"]) == 2 for frame in lower.frames)
    assert uses.follows == (lower.sets[0],)
    every = numbers(cb.Attribution(EARLY.channels, LATE.channels))
    for key, frame in zip(ex.scene.selection(lower.sets[0]).keys, uses.frames, strict=True):
        given = every[:, int(key.rsplit("/", 1)[1])]
        strongest = given.abs().argsort(descending=True)[:2]
        assert [mark.key for mark in frame] == [f"late/channel/{i}" for i in strongest]
        assert [mark.values[0] for mark in frame] == pytest.approx(given[strongest].tolist())
    assert uses.left_out.startswith("showing 2 of 10 channels")


def test_what_a_channel_did_to_the_answers_is_told_on_pointing(explain, numbers) -> None:
    ex = explain(cb.channel_attribution("early", "late", strongest=4, classes=cb.Out(1)))
    every = numbers(cb.Attribution(LATE.channels, EVERY))
    _, answers, *_ = ex.scene.panels()
    for key, frame in zip(ex.scene.selection(answers.follows[0]).keys, answers.frames, strict=True):
        given = every[:, int(key.rsplit("/", 1)[1])]
        assert {mark.label: mark.values[0] for mark in frame} == pytest.approx(
            dict(zip(("cat", "dog", "pig"), given.tolist(), strict=True)), abs=1e-5
        )


@pytest.mark.parametrize("layers", [("early", "late"), ("late",)])
def test_what_is_beside_a_ranked_list_opens_on_its_first_row(explain, layers) -> None:
    ex = explain(cb.channel_attribution(*layers, strongest=4, classes=cb.Out(0, 1, 2)))
    listed, answers, *below = ex.scene.panels()
    first = listed.frames[0][0]
    sizes = [sum(abs(mark.values[0]) for mark in frame) for frame in answers.frames]
    every = [mark.key for mark in listed.frames[0][:4]]
    pointed = ex.scene.selection(answers.follows[0])
    strongest = every.index(pointed.keys[sizes.index(max(sizes))])
    assert strongest > 0, "the first row must not be the strongest, or this shows nothing"
    opened = [ex.scene.selection(name) for name in listed.sets]
    assert [each.keys[each.default] for each in opened] == [first.key] * 2
    assert pointed.labels[pointed.default] == f"{first.label.removesuffix(' •')} at late"
    for made_of, low_answers in [(below[0], below[2])] if below else []:
        shown = made_of.frames[ex.scene.default_frame(made_of)]
        low = ex.scene.selection(low_answers.follows[0])
        assert low.keys[low.default] == shown[0].key


def test_what_one_panel_sets_starts_where_the_first_of_them_does(explain, numbers) -> None:
    near, kept = cb.hover("channel"), cb.click("channel")
    to_answers = cb.Attribution(LATE.channels, EVERY)
    from_below = cb.Attribution(EARLY.channels, LATE.channels)
    shown = cb.InfoVis(to_answers.filter(at=near)), cb.InfoVis(from_below.filter(to=kept))
    largest = {
        near: int(numbers(to_answers).abs().sum(0).argmax()),
        kept: int(numbers(from_below).abs().sum(1).argmax()),
    }
    assert largest[near] != largest[kept]
    for sets in ((near, kept), (kept, near)):
        every = cb.InfoVis(cb.Activation(LATE.channels), sets=sets)
        ex = explain(every | shown[0] | shown[1])
        first, second = (ex.scene.selection(name) for name in next(ex.scene.panels()).sets)
        opened = {selection.keys[selection.default] for selection in (first, second)}
        assert opened == {f"late/channel/{largest[sets[0]]}"}


def test_the_reader_aligns_groups(explain, numbers) -> None:
    upper = LATE.groups(cb.slider(2, 3))
    aligned = EARLY.groups(2, align_with=cb.choose(upper, name="early groups are"))
    content = cb.Attribution(aligned, upper)
    ex = explain(cb.InfoVis(content, "sankey"))
    (panel,) = ex.scene.panels()
    how, many = (ex.scene.selection(name) for name in panel.follows)
    assert (how.title, how.default) == ("early groups are", 0)
    assert how.labels == ("made alone", "aligned with late")
    frame = 0
    for align in (False, True):
        for k in map(int, many.keys):
            later = LATE.groups(k)
            earlier = EARLY.groups(2, align_with=later if align else None)
            expected = numbers(cb.Attribution(earlier, later)).flatten().tolist()
            flows = [flow.value for flow in panel.frames[frame].flows]
            assert flows[: 2 * k] == pytest.approx(expected, abs=1e-5)
            frame += 1


def test_several_photographs_have_an_axis_and_a_list(explain, small) -> None:
    draw = np.random.default_rng(1)
    pictures = {name: draw.integers(0, 256, (20, 30, 3), np.uint8) for name in ("a", "b", "c")}
    content = cb.Attribution(LATE.channels, EVERY)
    ex = explain(cb.InfoVis(content), pictures)
    (panel,) = ex.scene.panels()
    assert ex.scene.pictured == panel.follows[0]
    assert ex.scene.selection(panel.follows[0]).labels == ("a", "b", "c")
    assert [photo.name for photo in ex.scene.photos] == ["a", "b", "c"]
    assert ex.values[content].data.shape[0] == 3
    for frame, picture in enumerate(pictures.values()):
        alone = cb.evaluate(content, small, small.read(picture)).data[0, 0]
        assert shown(panel, frame) == pytest.approx(alone.tolist(), abs=1e-4)
    fields = {mark.field for frame in panel.frames for mark in frame if mark.field}
    assert len(fields) == 30
    assert ex.scene.title == "What SmallNet saw in three photographs"


def test_each_photograph_keeps_its_own_answer() -> None:
    """The classes shown are the most probable ones of every photograph, not of the first alone."""
    scores = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Identity()).eval()
    x = torch.tensor([[5.0, 4, 3, 2], [1, 2, 9, 8], [7, 0, 1, 3]])[:, :, None, None]
    for k, expected in ((1, (0, 2)), (2, (0, 2)), (3, (0, 2, 1)), (4, (0, 2, 1, 3))):
        value = cb.evaluate(cb.Activation(cb.Out(top=k)), cb.Network(scores), x)
        assert value.coords["class"] == expected


def test_one_of_several_photographs(explain, small) -> None:
    draw = np.random.default_rng(1)
    pictures = {name: draw.integers(0, 256, (20, 30, 3), np.uint8) for name in ("a", "b")}
    content = cb.Activation(LATE.channels)
    second = content.filter(image="b")
    ex = explain(cb.InfoVis(second.difference(content.filter(image=0))), pictures)
    (panel,) = ex.scene.panels()
    a, b = (cb.evaluate(content, small, small.read(each)).data[0] for each in pictures.values())
    assert shown(panel, 0) == pytest.approx((b - a).tolist(), abs=1e-5)
    assert panel.caption.startswith("b − a; late, 10 channels")
    assert ex.scene.pictured is None
    with pytest.raises(UnknownName, match="no photograph 'd'; there are a, b"):
        explain(cb.InfoVis(content.filter(image="d")), pictures)
    with pytest.raises(InvalidArgument, match="photographs are counted from 0 to 1"):
        explain(cb.InfoVis(content.filter(image=2)), pictures)


def test_a_map_lies_on_its_own_photograph_or_nowhere(explain) -> None:
    draw = np.random.default_rng(1)
    pictures = {name: draw.integers(0, 256, (20, 30, 3), np.uint8) for name in ("a", "b")}
    places, effect = cb.Activation(LATE.spatial), cb.Attribution(LATE.groups(2), cb.Out(1))
    (free,) = explain(cb.InfoVis(places, "overlay"), pictures).scene.panels()
    assert len(free.frames) == 2
    with pytest.raises(InvalidArgument, match="lies on the photograph that the reader has chosen"):
        explain(cb.InfoVis(places.filter(image="b"), "overlay"), pictures)
    (bars,) = explain(cb.FeatureVis(effect.filter(image="b")), pictures).scene.panels()
    assert all(mark.field is None for mark in bars.frames[0])
    explain(cb.InfoVis(places.filter(image="b"), "heatmap"), pictures)


def test_mean_over_photographs_is_of_none_of_them(explain) -> None:
    pictures = [np.full((20, 30, 3), shade, np.uint8) for shade in (50, 200)]
    content = cb.Activation(LATE.channels).aggregate("image", "mean")
    (panel,) = explain(cb.InfoVis(content), pictures).scene.panels()
    assert len(panel.frames) == 1
    assert all(mark.field is None for mark in panel.frames[0])


def test_pictures_that_cannot_stand_together(explain) -> None:
    with pytest.raises(InvalidArgument, match="there is no picture to explain"):
        explain(cb.predictions(), [])
    with pytest.raises(InvalidArgument, match="the pictures differ in size"):
        explain(cb.predictions(), [torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 24, 24)])


def test_a_region_and_the_rest_are_the_whole(small, small_x) -> None:
    content = cb.Attribution(LATE.channels, EVERY)
    whole = cb.evaluate(content, small, small_x)
    upper = cb.evaluate(content.filter(within=(0, 0, 0.5, 1)), small, small_x)
    assert whole.maps is not None
    assert torch.allclose(upper.data, whole.maps[..., :2, :].sum((-2, -1)), atol=1e-6)
    assert torch.allclose(upper.total, whole.total, atol=1e-5)
    mean = cb.evaluate(cb.Activation(LATE.channels).filter(within=(0, 0, 0.5, 1)), small, small_x)
    maps = cb.evaluate(cb.Activation(LATE.neurons), small, small_x).data
    assert torch.allclose(mean.data, maps[:, :, :2].mean((-2, -1)), atol=1e-6)
    places = cb.evaluate(
        cb.Activation(LATE.spatial).filter(within=(0, 0, 0.1, 0.1)), small, small_x
    )
    assert places.data.shape == (1, 1, 1)
    with pytest.raises(InvalidArgument, match="within= needs positions"):
        cb.evaluate(cb.Activation(LATE.whole).filter(within=(0, 0, 0.5, 1)), small, small_x)


def test_other_numbers_decide_which_atoms_are_kept(small, small_x) -> None:
    activation, effect = cb.Activation(LATE.channels), cb.Attribution(LATE.channels, cb.Out(1))
    kept = cb.evaluate(effect.filter(top=3, by=activation), small, small_x)
    ranked = cb.evaluate(activation, small, small_x).data[0].topk(3).indices
    assert kept.coords["channel"] == tuple(ranked.tolist())
    with pytest.raises(InvalidArgument, match="by= needs numbers of the same atoms"):
        cb.evaluate(effect.filter(top=3, by=cb.Activation(EARLY.channels)), small, small_x)


def test_the_strongest_neurons(small, small_x, explain) -> None:
    content = cb.Attribution(LATE.neurons, cb.Out(1))
    every = cb.evaluate(content, small, small_x).data[0, 0]
    kept = cb.evaluate(content.filter(strongest=4), small, small_x)
    order = every.flatten().abs().argsort(descending=True, stable=True)[:4]
    assert kept.coords["neuron"] == tuple(order.tolist())
    assert torch.allclose(kept.data[0, 0], every.flatten()[order])
    assert torch.allclose(kept.total[0, 0], every.sum(), atol=1e-5)
    (panel,) = explain(cb.FeatureVis(content.filter(strongest=4))).scene.panels()
    mark = panel.frames[0][0]
    assert mark.label.startswith("channel ")
    assert " at row " in mark.label
    assert mark.sprite is not None
    assert mark.field is not None


def test_a_place_is_the_icon_of_its_activation_vector(explain, small, noise_picture) -> None:
    from captum_blocks.optim import Direction

    place = cb.Activation(LATE.spatial).filter(at=(1, 2))
    ex = explain(cb.FeatureVis(place))
    (panel,) = ex.scene.panels()
    (mark,) = panel.frames[0]
    assert (mark.key, mark.label) == ("late/spatial/1,2", "row 2, column 3")
    vector = cb.evaluate(cb.Activation(LATE.neurons), small, small.read(noise_picture)).data[0]
    vector = vector[:, 1, 2]
    assert mark.values[0] == pytest.approx(float(vector.norm()))
    told = dict(ex.scene.sprites[mark.sprite].details)["objective"]
    assert told == Direction(tuple((vector / vector.abs().max()).tolist())).label


def test_classes_have_icons(explain) -> None:
    ex = explain(cb.FeatureVis(cb.Out("dog", 0)))
    (panel,) = ex.scene.panels()
    sprites = [ex.scene.sprites[mark.sprite] for mark in panel.frames[0]]
    assert [sprite.label for sprite in sprites] == ["dog", "cat"]
    assert [dict(sprite.details)["objective"] for sprite in sprites] == ["class 1", "class 0"]


def test_factors_are_means_over_their_classes(small, small_x, explain) -> None:
    every = cb.evaluate(cb.Attribution(LATE.spatial, cb.Out()), small, small_x)
    found = cb.evaluate(cb.Attribution(LATE.spatial, cb.Out().groups(2)), small, small_x)
    assert found.axes == ("image", "to_group", "y", "x")
    rows = every.data[0].flatten(1).T
    reducer = cb.ChannelReducer(2, random_state=0).fit(rows.clamp_min(0).numpy())
    weights = torch.as_tensor(reducer.components_).float()
    weights /= weights.sum(1, keepdim=True)
    expected = torch.stack([(rows * each).sum(1).reshape(4, 4) for each in weights])
    assert torch.allclose(found.data[0], expected, atol=1e-4)
    assert found.unit == "mean logit"
    # A mean over classes is no more than there is of one of them.
    assert found.total.max() <= every.total.max()
    (panel,) = explain(
        cb.InfoVis(cb.Attribution(LATE.spatial, cb.Out().groups(2)), "multiples")
    ).scene.panels()
    assert isinstance(panel, Multiples)
    assert len(panel.frames[0]) == 2
    with pytest.raises(InvalidArgument, match="factors of the output are a target"):
        cb.evaluate(cb.Activation(cb.Out().groups(2)), small, small_x)


def test_factors_lie_over_one_another_on_the_photograph(explain, numbers) -> None:
    content = cb.Attribution(LATE.spatial, cb.Out().groups(2))
    ex = explain(cb.InfoVis(content, "overlay"))
    (panel,) = ex.scene.panels()
    fields = [ex.scene.fields[name] for name in panel.frames[0]]
    expected = numbers(content)
    assert np.allclose([field.values for field in fields], expected.numpy(), atol=1e-5)
    assert [field.hue for field in fields] == [0, 1]
    for field in fields:
        assert field.domain == (0.0, pytest.approx(float(expected.max())))


def test_a_map_of_where_one_place_went(explain, numbers) -> None:
    here = cb.hover("spatial")
    content = cb.Attribution(EARLY.spatial, LATE.spatial)
    ex = explain(cb.InfoVis(content.filter(at=here), "overlay", highlights=here))
    (panel,) = ex.scene.panels()
    every = numbers(content)
    assert len(panel.frames) == 64
    for frame in (0, 19, 63):
        (name,) = panel.frames[frame]
        expected = every[:, :, frame // 8, frame % 8]
        assert np.allclose(ex.scene.fields[name].values, expected.numpy(), atol=1e-5)


def test_pictures_of_places_are_coloured(explain, numbers) -> None:
    effect = cb.Attribution(LATE.spatial, cb.Out(1))
    saw = cb.FeatureVis(LATE.spatial, recipe="shared", colour_by=effect)
    ex = explain(saw)
    (panel,) = ex.scene.panels()
    ((name,),) = panel.tints
    assert np.allclose(ex.scene.fields[name].values, numbers(effect)[0].numpy(), atol=1e-5)
    assert ex.values[effect].unit == "logit"
    assert "attribution" in dict(ex.scene.chapters[0].method)


def test_colours_follow_what_their_pictures_follow(explain, small) -> None:
    answer = cb.choose(EVERY)
    effect = cb.Attribution(LATE.spatial, EVERY).filter(to=answer)
    with pytest.raises(InvalidArgument, match=r"its colours follow \[choose.*pictures nothing"):
        explain(cb.FeatureVis(LATE.spatial, recipe="shared", colour_by=effect))
    with pytest.raises(InvalidArgument, match="Hidden\\('late'\\).channels has none; take Feat"):
        explain(cb.FeatureVis(LATE.channels, colour_by=cb.Attribution(LATE.spatial, cb.Out(1))))
    colours = cb.Attribution(LATE.spatial, EVERY)
    with pytest.raises(InvalidArgument, match="one place of .*, not 3: add"):
        explain(cb.FeatureVis(LATE.spatial, recipe="shared", colour_by=colours))


def test_colours_are_of_the_photograph_that_the_pictures_are_of(small, noise_picture, store):
    effect, saw = cb.Attribution(LATE.spatial, cb.Out(1)), cb.Activation(LATE.spatial)
    pictures = [noise_picture, noise_picture[::-1].copy()]
    for content, colours in (
        (saw, effect.filter(image=0)),
        (saw, effect.aggregate("image", "mean")),
        (saw.filter(image=0), effect.filter(image=1)),
    ):
        element = cb.FeatureVis(content, colour_by=colours)
        with pytest.raises(InvalidArgument, match="not of the photograph that its pictures are of"):
            cb.explain(element, small, pictures, quality=FEW_STEPS, progress=False, store=store)


def test_a_factor_keeps_its_colour_and_its_name(explain, numbers) -> None:
    kinds = cb.Attribution(LATE.spatial, cb.Out().groups(2))
    both = explain(cb.InfoVis(kinds, "overlay"))
    (panel,) = both.scene.panels()
    every = [both.scene.fields[name] for name in panel.frames[0]]
    for i, field in enumerate(every):
        ex = explain(cb.InfoVis(kinds.filter(to=i), "overlay"))
        (alone,) = ex.scene.panels()
        one = ex.scene.fields[alone.frames[0][0]]
        assert (one.hue, one.label) == (i, field.label)
        assert np.array_equal(one.values, field.values)
    hovered = cb.InfoVis(kinds.filter(to=cb.hover("group")), "overlay")
    (panel,) = explain(hovered).scene.panels()
    assert len(panel.frames) == 2


def test_channels_to_a_factor_are_for_or_against_it(explain) -> None:
    to_one = cb.Attribution(LATE.channels, cb.Out().groups(2)).filter(to=1)
    ex = explain(cb.InfoVis(to_one, "multiples"))
    (panel,) = ex.scene.panels()
    for mark in panel.frames[0]:
        field = ex.scene.fields[mark.field]
        assert field.hue is None
        assert field.domain[0] == -field.domain[1] < 0


def test_the_scale_of_groups_holds_what_is_below_zero(explain) -> None:
    ex = explain(cb.InfoVis(cb.Activation(LATE.groups(3, algorithm="pca")), "overlay"))
    fields = list(ex.scene.fields.values())
    low = min(field.values.min() for field in fields)
    assert low < 0
    for field in fields:
        assert field.domain[0] == pytest.approx(low)
        assert field.values.max() <= field.domain[1] + 1e-6


def test_a_list_opens_where_its_own_start_says(explain) -> None:
    answer = cb.choose(EVERY, "answer", start=1)
    effect = cb.InfoVis(cb.Attribution(LATE.channels, EVERY).filter(to=answer))
    told = cb.InfoVis(cb.Attribution(EARLY.channels, EVERY).filter(to=cb.hover("class")))
    source = cb.InfoVis(cb.Activation(EVERY), sets=(cb.hover("class"), answer))
    ex = explain(source | effect | told)
    opened = {each.gesture: each.default for each in ex.scene.selections}
    assert opened["choose"] == 1


def test_places_of_unequal_grids_open_each_for_itself(explain) -> None:
    here, kept = cb.hover("spatial"), cb.click("spatial")
    came = cb.Attribution(EARLY.spatial, LATE.spatial).filter(to=here)
    effect = cb.Attribution(EARLY.spatial, cb.Out(1))
    both = cb.InfoVis(came, "overlay", sets=(here, kept))
    alone = explain(cb.InfoVis(effect, "overlay", sets=kept) | cb.InfoVis(effect.filter(at=kept)))
    ex = explain(both | cb.InfoVis(effect.filter(at=kept)))
    (first,) = (each for each in ex.scene.selections if each.gesture == "click")
    (second,) = alone.scene.selections
    assert first.grid == second.grid == (8, 8)
    assert first.default == second.default


def test_what_one_atom_went_into_is_told_of_the_layer_it_went_to(explain) -> None:
    went = cb.Attribution(EARLY.channels, LATE.spatial).filter(at=3)
    (panel,) = explain(cb.InfoVis(went, "multiples")).scene.panels()
    assert panel.caption == "late, 10 channels on a 4 × 4 grid"
    assert [mark.key for mark in panel.frames[0]] == ["early/channel/3"]


def test_figures_open_on_marks_that_are_shown(small, store) -> None:
    ui = cb.channel_attribution("early", "late", strongest=4)
    for seed in range(8):
        picture = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        ex = cb.explain(ui, small, picture, quality=FEW_STEPS, progress=False, store=store)
        _, _, lower, uses, answers = ex.scene.panels()
        shown = {mark.key for mark in lower.frames[ex.scene.default_frame(lower)]}
        for panel in (uses, answers):
            selection = ex.scene.selection(panel.follows[0])
            assert selection.keys[selection.default] in shown, seed


def test_every_photograph_has_its_own_colours(small, noise_picture, store) -> None:
    effect = cb.Attribution(LATE.spatial, cb.Out(1))
    saw = cb.FeatureVis(LATE.spatial, recipe="shared", colour_by=effect)
    pictures = {"one": noise_picture, "two": noise_picture[::-1].copy()}
    ex = cb.explain(saw, small, pictures, quality=FEW_STEPS, progress=False, store=store)
    (panel,) = ex.scene.panels()
    tints = [ex.scene.fields[name].values for (name,) in panel.tints]
    assert len(tints) == len(panel.frames) == 2
    for tint, picture in zip(tints, pictures.values(), strict=True):
        expected = cb.evaluate(effect, small, picture).data[0, 0]
        assert np.allclose(tint, expected.numpy(), atol=1e-5)


def test_many_classes_at_once_are_the_same_numbers(small, small_x, monkeypatch) -> None:
    content = cb.Attribution(LATE.groups(3), EVERY)
    one_by_one = cb.evaluate(content, small, small_x)
    monkeypatch.setattr("captum_blocks.compose.evaluation.contents.MANY", 1)
    at_once = cb.evaluate(content, small, small_x)
    assert torch.allclose(one_by_one.data, at_once.data, atol=1e-5)
    for name, held in one_by_one.remainder.items():
        assert torch.allclose(held, at_once.remainder[name], atol=1e-5)


def test_every_mark_shows_the_numbers(explain, numbers) -> None:
    effect = cb.Attribution(LATE.channels, EVERY)
    expected = numbers(effect)
    for name in ("table", "matrix"):
        (panel,) = explain(cb.InfoVis(effect, name)).scene.panels()
        assert isinstance(panel, Matrix)
        assert panel.columns == ("cat", "dog", "pig")
        drawn = [mark.values for mark in panel.frames[0] if mark.role == "atom"]
        assert np.allclose(drawn, expected.T.numpy(), atol=1e-5)
    assert panel.style == "colours"
    (panel,) = explain(cb.InfoVis(cb.Activation(LATE.neurons), "histogram")).scene.panels()
    assert isinstance(panel, Histogram)
    neurons = numbers(cb.Activation(LATE.neurons))
    counts = np.histogram(neurons.numpy(), panel.edges)[0]
    assert panel.frames == ((tuple(counts.tolist()),),)
    assert (sum(counts), panel.counted) == (160, "neurons")
    (panel,) = explain(cb.InfoVis(cb.Activation(LATE.spatial), "heatmap")).scene.panels()
    assert isinstance(panel, Overlay)
    assert panel.bare
    assert not panel.stage
    (panel,) = explain(cb.InfoVis(cb.Activation(LATE.groups(2)), "multiples")).scene.panels()
    assert [mark.hue for mark in panel.frames[0]] == [0, 1]


def test_a_map_that_a_list_changes_lies_on_the_large_photograph(explain) -> None:
    content = cb.Attribution(LATE.spatial, EVERY).filter(to=cb.choose(EVERY))
    (panel,) = explain(cb.InfoVis(content, "overlay")).scene.panels()
    assert panel.stage
    assert len(panel.frames) == 3


def test_a_shared_grid_is_drawn_once_and_kept_whole(explain, store, monkeypatch) -> None:
    grid = cb.activation_grid("late")
    first = explain(grid)
    (panel,) = first.scene.panels()
    sprites = [cell.mark.sprite for cell in panel.frames[0]]
    assert len(set(sprites)) == 16
    assert set(sprites) <= set(first.scene.sprites)
    assert store.info().entries == 1
    monkeypatch.setattr("captum_blocks.optim.Mosaic.visualize", None)
    again = explain(grid)
    for name in sprites:
        old, new = (ex.scene.sprites[name].pixels for ex in (first, again))
        assert np.array_equal(old, new)
    for path in store.folder.glob("*.json"):
        path.write_text("{}")
    monkeypatch.undo()
    mended = explain(grid)
    assert np.array_equal(
        mended.scene.sprites[sprites[0]].pixels, first.scene.sprites[sprites[0]].pixels
    )


def test_an_objective_of_ones_own_is_added_to_every_icon(explain) -> None:
    dark = cb.objective(lambda pixels: -pixels.mean((1, 2, 3)) * 1e3, name="dark", layer="input")
    bare = cb.FeatureVis(LATE.channels[:2])
    own = cb.FeatureVis(LATE.channels[:2], objective=cb.Given("dark"))
    ex = explain(bare | own, given={"dark": dark}, quality=Quality(48, n_steps=12, budget=4))
    plain, darker = ex.scene.panels()
    assert isinstance(plain, Bars)
    for one, other in zip(plain.frames[0], darker.frames[0], strict=True):
        pixels = [ex.scene.sprites[mark.sprite].pixels.mean() for mark in (one, other)]
        assert pixels[1] < pixels[0] - 5


def test_atoms_without_a_picture_say_what_has_one(explain) -> None:
    for source in (LATE.whole, cb.Input().channels):
        with pytest.raises(InvalidArgument, match=r"has no picture of its own: FeatureVis draws"):
            explain(cb.FeatureVis(source))
    part = cb.Activation(LATE.spatial).filter(within=(0, 0, 0.5, 1))
    with pytest.raises(InvalidArgument, match=r"recipe='shared' draws all positions"):
        explain(cb.FeatureVis(part, recipe="shared"))


def test_given_groups_are_a_fitted_reducer(explain) -> None:
    groups = cb.InfoVis(cb.Activation(LATE.groups(cb.Given("mine"))))
    with pytest.raises(InvalidArgument, match="'mine' is not fitted: call its fit first"):
        explain(groups, given={"mine": cb.ChannelReducer(2)})
    with pytest.raises(WrongType, match="it is a fitted ChannelReducer, not a int"):
        explain(groups, given={"mine": 3})


def test_panels_set_what_they_show(explain) -> None:
    with pytest.raises(InvalidArgument, match="it shows no group atoms"):
        explain(cb.InfoVis(cb.Activation(LATE.channels), sets=cb.hover("group")))
    nothing = cb.Activation(LATE.channels).filter(above=1e9)
    with pytest.raises(InvalidArgument, match="has nothing to select"):
        explain(cb.InfoVis(nothing, sets=cb.hover("channel")))


@pytest.mark.parametrize(
    ("element", "message"),
    [
        (
            cb.InfoVis(
                cb.Attribution(LATE.groups(cb.slider(2, 4)), EVERY).filter(at=cb.hover("group"))
            ),
            "whose atoms depend on slider",
        ),
        (
            cb.InfoVis(cb.Attribution(LATE.channels, cb.Out(0)).filter(to=cb.choose(EVERY))),
            "'dog' is not among the classes of",
        ),
        (
            cb.InfoVis(cb.Activation(LATE.channels), sets=cb.slider(1, 3)),
            "is changed by its own control, not by a panel",
        ),
        (
            cb.InfoVis(cb.Activation(LATE.whole), "histogram"),
            "a histogram of 1 numbers says nothing",
        ),
        (
            cb.InfoVis(
                cb.Attribution(EARLY.channels, LATE.spatial)
                .filter(to=cb.hover("spatial"), top=cb.slider(1, 8))
                .difference(
                    cb.Attribution(EARLY.channels, LATE.spatial).filter(
                        to=cb.hover("spatial", "other"), top=cb.slider(1, 8, name="x")
                    )
                )
            ),
            "16384 states",
        ),
    ],
)
def test_states_that_cannot_be_are_refused(explain, element, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        explain(element)
