"""Interfaces become scenes: the right panels, marks, icons and words."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import captum_blocks as cb
from captum_blocks import hooks
from captum_blocks.compose import Quality
from captum_blocks.errors import InvalidArgument, UnknownName
from captum_blocks.scene import Bars, Overlay, marks_of
from tests.conftest import FEW_STEPS

LATE = cb.Hidden("late")


@pytest.fixture
def explain(small, noise_picture, store):
    def run(interface, quality=FEW_STEPS, image=noise_picture, **options):
        return cb.explain(
            interface, small, image, quality=quality, progress=False, store=store, **options
        )

    return run


def test_dictionary_has_a_frame_for_every_place(explain, small, noise_picture) -> None:
    ex = explain(cb.semantic_dictionary("late", top=2))
    photo, words = ex.scene.panels()
    assert isinstance(photo, Overlay)
    assert photo.stage
    assert photo.sets[0] == words.follows[0]
    assert len(words.frames) == 16
    acts = cb.evaluate(cb.Activation(LATE.neurons), small, small.read(noise_picture)).data[0]
    for place, marks in enumerate(words.frames):
        column = acts[:, place // 4, place % 4]
        assert [mark.values[0] for mark in marks] == pytest.approx(
            column.topk(2).values.tolist(), abs=1e-5
        )


def test_groups_residual_and_total_are_marks(explain) -> None:
    shown = cb.FeatureVis(cb.Attribution(cb.Hidden("late").groups(2), cb.Out(0, 2)))
    ex = explain(shown & cb.predictions())
    effect, _ = ex.scene.panels()
    assert isinstance(effect, Bars)
    assert effect.columns == ("cat", "pig")
    (marks,) = effect.frames
    assert [mark.role for mark in marks] == ["atom", "atom", "remainder", "total"]
    for column in range(2):
        *parts, total = (mark.values[column] for mark in marks)
        assert sum(parts) == pytest.approx(total, abs=1e-5)
    assert [mark.hue for mark in marks] == [0, 1, None, None]
    assert all(mark.sprite in ex.scene.sprites for mark in marks[:2])


def test_the_budget_goes_to_what_is_seen_first(explain, small) -> None:
    quality = Quality(size=32, n_steps=1, budget=3, cell=16, cell_steps=1)
    ex = explain(cb.semantic_dictionary("late", top=3), quality)
    words = list(ex.scene.panels())[1]
    assert len(ex.scene.sprites) == 3
    opened = words.frames[ex.scene.default_frame(words)]
    assert {mark.sprite for mark in opened if mark.values[0] > 0} <= set(ex.scene.sprites)
    assert "icons were drawn for those that carry" in words.left_out


def test_what_is_left_out_is_said(explain) -> None:
    ex = explain(cb.channel_attribution("late", strongest=3, classes=cb.Out(1)))
    panel, _ = ex.scene.panels()
    value = next(iter(ex.values.values()))
    assert panel.left_out.startswith("showing 3 of 10 channels, ")
    assert [mark.label for mark in panel.frames[0][3:]] == ["7 other channels", "the whole layer"]
    assert value.counts == {"channel": 10}


def test_a_report_is_chapters_with_questions(explain) -> None:
    ex = explain(cb.report("early", "late", groups=2))
    assert [chapter.heading for chapter in ex.scene.chapters] == [
        "Which parts of the picture made it say so?",
        "What did it see there?",
        "Which places mattered?",
        "What did it see everywhere?",
        "Which single channels mattered most?",
        "How did it put the answer together?",
        "What tells the two answers apart?",
        "The same decision, seen closer and closer",
    ]
    assert ex.scene.title.startswith("Why “")
    assert ex.scene.answer.startswith("SmallNet is ")
    assert dict(ex.scene.footer)["layers"] == "early, late"
    names = [selection.name for selection in ex.scene.selections]
    assert len(names) == len(set(names))


def test_a_raw_captum_workflow(small_module, small_x, store) -> None:
    """Any nn.Module and a ready tensor: no Network, no file, no labels."""
    ex = cb.explain(
        cb.report("early", "late", groups=2),
        small_module,
        small_x,
        quality=FEW_STEPS,
        progress=False,
        store=store,
    )
    top = int(small_module(small_x).argmax())
    assert ex.scene.title == f"Why “class {top}”? What SmallNet saw in the picture given"
    assert dict(ex.scene.footer)["photograph"].endswith("rescaled for display")
    assert ex.predictions[0].index == top


@pytest.mark.parametrize("fails", [False, True])
def test_the_module_comes_back_as_it_was(small_module, small_x, store, fails) -> None:
    small_module.train()
    small_module.early.eval()
    before = {name: tensor.clone() for name, tensor in small_module.state_dict().items()}
    flags = [module.training for module in small_module.modules()]
    torch.manual_seed(0)
    expected_draw = torch.rand(1)
    torch.manual_seed(0)
    interface = cb.report("early", "late", groups=2)
    run = {"quality": FEW_STEPS, "progress": False, "store": store}
    if fails:
        bad = cb.neuron_groups("late", method="LayerGradCam")
        with pytest.raises(cb.BlocksError):
            cb.explain(bad, small_module, small_x, **run)
    else:
        cb.explain(interface, small_module, small_x, **run)
    assert torch.equal(torch.rand(1), expected_draw)
    assert [module.training for module in small_module.modules()] == flags
    assert sum(len(module._forward_hooks) for module in small_module.modules()) == 0
    assert all(parameter.requires_grad for parameter in small_module.parameters())
    assert all(parameter.grad is None for parameter in small_module.parameters())
    for name, tensor in small_module.state_dict().items():
        assert torch.equal(tensor, before[name])
    small_module.eval()


def test_one_forward_pass_for_all_layers(small, explain, monkeypatch) -> None:
    captured = []
    original = hooks.capture

    def counted(layers, **options):
        captured.append(sorted(layers))
        return original(layers, **options)

    monkeypatch.setattr("captum_blocks.compose.evaluation.looking.capture", counted)
    explain(cb.report("early", "late", groups=2))
    assert captured == [["early", "late"]]


def test_icons_come_from_the_store_the_second_time(explain, store, monkeypatch) -> None:
    interface = cb.neuron_groups("late", n=2)
    first = explain(interface)
    assert store.info().entries == 2

    def never(*args, **options):
        raise AssertionError("an icon was rendered again")

    monkeypatch.setattr("captum_blocks.optim.FeatureVisualizer.visualize", never)
    second = explain(interface)
    for name, sprite in first.scene.sprites.items():
        assert np.array_equal(sprite.pixels, second.scene.sprites[name].pixels)


def test_a_damaged_icon_is_made_again(explain, store) -> None:
    interface = cb.neuron_groups("late", n=2)
    first = explain(interface)
    for path in store.folder.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:40])
    second = explain(interface)
    for name, sprite in first.scene.sprites.items():
        assert np.array_equal(sprite.pixels, second.scene.sprites[name].pixels)


@pytest.mark.parametrize("interface", [cb.neuron_groups("late", n=2), cb.activation_grid("late")])
def test_a_whole_icon_of_another_size_is_made_again(explain, store, interface) -> None:
    first = explain(interface)
    kept = {path: path.read_bytes() for path in store.folder.glob("*.png")}
    for path in kept:
        width, height = Image.open(path).size
        Image.new("RGB", (width * 2, height // 2)).save(path)
    second = explain(interface)
    assert {path: path.read_bytes() for path in store.folder.glob("*.png")} == kept
    for name, sprite in first.scene.sprites.items():
        assert np.array_equal(sprite.pixels, second.scene.sprites[name].pixels)


def test_what_lies_beside_an_icon_says_whose_and_how(explain, store, small) -> None:
    explain(cb.neuron_groups("late", n=2))
    told = [json.loads(path.read_text()) for path in sorted(store.folder.glob("*.json"))]
    assert [about["label"] for about in told] == ["late / group 1", "late / group 2"]
    for about in told:
        assert about["network"] == small.name
        assert about["weights"] == small.source
        assert len(about["fingerprint"]) >= 32
        assert about["layer"] == "late"
        assert about["objective"].startswith("direction")
        assert about["parameterization"]["type"] == "Fourier"
        assert [one["type"] for one in about["transforms"]] == [
            "Jitter",
            "Scale",
            "Rotate",
            "Jitter",
        ]
        assert about["captum_blocks"] == cb.__version__
        assert about["size"] == [FEW_STEPS.size] * 2
        assert isinstance(about["score"], float)


def test_what_lies_beside_a_mosaic_says_the_same_but_for_tables(explain, store, small) -> None:
    explain(cb.activation_grid("late"))
    (about,) = (json.loads(path.read_text()) for path in store.folder.glob("*.json"))
    assert about["network"] == small.name
    assert about["parameterization"]["type"] == "Shared"
    assert "mix" not in about["parameterization"]
    assert about["size"] == FEW_STEPS.cell
    assert len(about["scores"]) == 16


def test_ctrl_c_keeps_finished_icons(explain, store, monkeypatch) -> None:
    from captum_blocks.compose.pictures import icons

    monkeypatch.setattr(icons, "BATCH", 1)
    original = cb.FeatureVisualizer.visualize
    calls = []

    def interrupted(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(cb.FeatureVisualizer, "visualize", interrupted)
    with pytest.raises(KeyboardInterrupt):
        explain(cb.neuron_groups("late", n=2))
    assert store.info().entries == 1


@pytest.mark.parametrize(
    ("interface", "message"),
    [
        (cb.InfoVis(cb.Activation(LATE.neurons), "overlay"), "has no map to lay over a photograph"),
        (cb.InfoVis(cb.Activation(LATE.channels), "sankey"), "a sankey shows flows from the"),
        (cb.InfoVis(cb.Activation(LATE.neurons)), "bars and icons need one"),
        (
            cb.InfoVis(cb.Attribution(LATE.spatial, cb.Out(0, 1)), "overlay"),
            r"to one place of Out\(0, 1\), not 2: add .filter\(to=0\)",
        ),
        (
            cb.FeatureVis(cb.Activation(LATE.channels).filter(at=cb.hover("spatial"))),
            "a selection of spatial atoms cannot pick from",
        ),
    ],
)
def test_what_cannot_be_drawn_says_why(explain, interface, message) -> None:
    with pytest.raises(InvalidArgument, match=message):
        explain(interface)


def test_a_grid_has_a_picture_for_every_place_that_fires(explain, small, noise_picture) -> None:
    quality = Quality(size=32, n_steps=1, budget=40, cell=16, cell_steps=1)
    ex = explain(cb.activation_grid("late"), quality)
    (panel,) = ex.scene.panels()
    norms = cb.evaluate(cb.Activation(LATE.spatial), small, small.read(noise_picture)).data[0]
    assert panel.grid == (4, 4)
    sizes = [cell.size for cell in panel.frames[0]]
    assert sizes == pytest.approx((norms / norms.max()).flatten().tolist(), abs=1e-5)
    shown = [cell.mark.sprite is not None for cell in panel.frames[0]]
    assert shown == [norm > 0 for norm in norms.flatten().tolist()]
    assert panel.sets[0] == panel.highlights
    opened = ex.scene.selection(panel.sets[0]).default
    assert opened == int(norms.argmax())
    whole = explain(cb.activation_grid("late", scale_by=None), quality).scene
    assert {cell.size for cell in next(whole.panels()).frames[0]} == {1.0}


def test_flows_between_groups_add_up_with_their_remainder(explain, small, noise_picture) -> None:
    ex = explain(cb.group_attribution("early", "late", groups=(2, 3), classes=cb.Out(0, 1)))
    first, second = ex.scene.panels()
    assert (first.titles, second.titles) == (("early", "late"), ("late", "answer"))
    (given, *_), received = first.frames, second.frames[0]
    assert [mark.role for mark in given.left] == ["atom", "atom", "remainder"]
    content = cb.Attribution(cb.Hidden("early").groups(2), LATE.groups(3))
    value = cb.evaluate(content, small, small.read(noise_picture))
    for target in range(3):
        came = sum(flow.value for flow in given.flows if flow.target == target)
        assert came == pytest.approx(float(value.total[0, target]), abs=1e-4)
    assert [mark.key for mark in given.right] == [mark.key for mark in received.left[:3]]
    # One answer at a time, which the reader chooses.
    assert [[mark.label for mark in each.right] for each in second.frames] == [["cat"], ["dog"]]
    (chosen,) = (ex.scene.selection(name) for name in second.follows)
    assert (chosen.gesture, chosen.labels, chosen.default) == ("choose", ("cat", "dog"), 0)
    totals, scores = zip(*(mark.values for mark in given.right), strict=True)
    assert totals == pytest.approx(value.total[0].tolist(), abs=1e-4)
    # What the groups are in all: what flows into them and the constants of the layers between.
    acts = cb.evaluate(cb.Activation(LATE.neurons), small, small.read(noise_picture)).data[0]
    found = cb.ChannelReducer(3).fit(acts[None])
    directions = torch.as_tensor(found.components_)
    projected = (directions / directions.norm(dim=1, keepdim=True)) @ acts.sum((1, 2))
    assert scores == pytest.approx(projected.tolist(), rel=1e-3)


def test_groups_of_two_layers_share_no_name_and_no_colour(explain) -> None:
    ex = explain(cb.neuron_groups("late", 3) & cb.group_attribution("early", "late", groups=(2, 3)))
    *_, first, _ = ex.scene.panels()
    left, right = first.frames[0].left[:2], first.frames[0].right
    assert [mark.label for mark in left] == ["early group 1", "early group 2"]
    assert [mark.label for mark in right] == [f"late group {k}" for k in (1, 2, 3)]
    hues = [mark.hue for mark in (*left, *right)]
    assert len(set(hues)) == 5
    # One colour for a group, wherever it is.
    every = {mark.key: mark.hue for panel in ex.scene.panels() for mark in marks_of(panel)}
    for panel in ex.scene.panels():
        for mark in marks_of(panel):
            assert mark.hue == every[mark.key]
            if mark.hue is not None and mark.field is not None:
                assert ex.scene.fields[mark.field].hue == mark.hue


def test_spatial_attribution_follows_a_class(explain) -> None:
    """An interface that no preset has: point at a class, see what spoke for it."""
    chosen = cb.hover("class")
    every = cb.Attribution(LATE.spatial, cb.Out())
    ui = cb.InfoVis(cb.Activation(cb.Out()), sets=chosen) | cb.InfoVis(
        every.filter(to=chosen), "overlay", title="What spoke for it"
    )
    ex = explain(ui)
    bars, came = ex.scene.panels()
    assert not came.stage
    assert len(came.frames) == 3
    assert bars.sets[0] == came.follows[0]


@pytest.mark.parametrize(
    "interface",
    [
        cb.FeatureVis(LATE.channels)
        | cb.InfoVis(cb.Attribution(LATE.spatial, cb.Out(0, 1)), "overlay"),
        cb.FeatureVis(LATE.channels) | cb.InfoVis(cb.Activation(LATE.neurons)),
    ],
)
def test_nothing_is_drawn_before_all_is_known_to_be_possible(explain, store, interface) -> None:
    with pytest.raises(InvalidArgument):
        explain(interface)
    assert store.info().entries == 0


def test_values_are_those_of_contents_without_selections(explain) -> None:
    interface = cb.semantic_dictionary("late", top=2)
    values = explain(interface).values
    assert set(values) == {cb.Activation(LATE.spatial), cb.Activation(LATE.neurons)}
    assert values[cb.Activation(LATE.neurons)].data.shape == (1, 10, 4, 4)


def test_titles_inside_a_chapter_are_sections(explain) -> None:
    one, two = (cb.InfoVis(cb.Activation(cb.Out())), cb.InfoVis(cb.Activation(LATE.channels)))
    first = cb.Interface(one).titled("What did it say?", "Read it so.")
    second = cb.Interface(two).titled("What fired?")
    ex = explain((first | second).titled("Both"))
    (chapter,) = ex.scene.chapters
    assert chapter.heading == "Both"
    assert [part.heading for part in chapter.body.parts] == ["What did it say?", "What fired?"]
    assert len(list(ex.scene.panels())) == 2
    for text in ("What did it say?", "Read it so.", "What fired?"):
        assert text in ex.html()
        assert any(text in shown.get_text() for shown in ex.figure().axes[0].texts)


def test_a_title_over_chapters_is_the_page_s(explain) -> None:
    chapters = cb.predictions() & cb.neuron_groups("late", 2)
    ex = explain(chapters.titled("My report", "For the reader in a hurry."))
    assert ex.scene.title == "My report"
    assert ex.scene.answer.startswith("For the reader in a hurry. ")
    assert [chapter.heading for chapter in ex.scene.chapters] == [
        part.title for part in chapters.parts
    ]


def test_every_method_and_what_it_goes_to_is_said(explain) -> None:
    ex = explain(cb.channel_attribution("early", "late", method="LayerIntegratedGradients"))
    said = dict(ex.scene.chapters[0].method)["attribution"]
    assert (
        "Captum's LayerIntegratedGradients to the class's score, before any softmax, summed over"
        in said
    )
    assert "Captum's LayerGradientXActivation to each channel's sum over positions at late" in said
    footer = dict(ex.scene.footer)
    assert footer["attribution"] == "LayerGradientXActivation, LayerIntegratedGradients"
    assert footer["approximations"] == "none: gradients are the network's own"


def test_a_method_given_from_outside_is_named(explain, small) -> None:
    from captum.attr import LayerDeepLift

    mine = cb.Attribution(LATE.channels, cb.Out(1), method=cb.Given("mine"))
    held = LayerDeepLift(small.module, small.module.late)
    ex = cb.explain(
        cb.InfoVis(mine), small, torch.ones(1, 3, 16, 16), given={"mine": held}, progress=False
    )
    assert dict(ex.scene.footer)["attribution"] == "LayerDeepLift given as 'mine'"


def test_a_method_reaches_every_chapter(explain) -> None:
    """One layer and one answer have one total, whichever chapter tells it."""
    method = cb.Method("LayerConductance", n_steps=4)
    ex = explain(cb.report("early", "late", groups=2, method=method))
    totals = {
        round(float(value.total[0, 0]), 5)
        for content, value in ex.values.items()
        if value.source.layer == LATE and value.target_axes == ("class",)
        if value.remainder.keys() <= {"residual", "not shown"} and value.unit == "logit"
        if value.target.atom == "class" and value.additive
    }
    assert len(totals) == 1


def test_relaxed_pooling_is_said_at_the_foot_of_the_page(store) -> None:
    from torch import nn

    from captum_blocks.attr import relaxed_pooling

    parts = nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2)
    module = nn.Sequential(*parts).eval()
    effect = cb.InfoVis(cb.Attribution(cb.Hidden("0").channels, cb.Out(1)))
    with relaxed_pooling(module):
        ex = cb.explain(effect, module, torch.randn(1, 3, 8, 8), progress=False, store=store)
    said = dict(ex.scene.footer)["approximations"]
    assert said == "gradients went through relaxed max-pooling"


def test_a_mosaic_says_how_it_was_drawn(explain) -> None:
    footer = dict(explain(cb.activation_grid("late")).scene.footer)
    assert footer["pictures of positions"] == "16, drawn together at 16 pixels in 1 steps, seed 0"


def test_numbers_that_are_not_there_say_which_are(explain) -> None:
    ui = cb.semantic_dictionary("late", 2)
    ex = explain(ui)
    with pytest.raises(UnknownName, match=r"no numbers of .*filter\(.*\n  Activation\(Hidden"):
        ex.values[ui.parts[1].content]


def test_file_names_that_are_no_text_do_nothing(small, store, tmp_path) -> None:
    from PIL import Image

    path = tmp_path / "caf\udce9.jpg"
    Image.new("RGB", (20, 20)).save(path, "JPEG")
    ex = cb.explain(cb.predictions(), small, path, progress=False, store=store)
    assert "caf?.jpg" in ex.scene.title
    assert ex.save(tmp_path / "page.html").stat().st_size > 0


def test_the_question_is_about_the_classes_asked_for(explain, small) -> None:
    ui = cb.neuron_groups("late", 2, classes=cb.Out("cat"))
    top = small.predict(small.read(np.zeros((20, 30, 3), np.uint8)), 1)[0].label
    ex = explain(ui, image=np.zeros((20, 30, 3), np.uint8))
    assert top != "cat"
    assert ex.scene.title.startswith("What speaks for “cat”? What SmallNet saw in")


def test_a_class_asked_about_has_its_probability(small_module, noise_picture, store) -> None:
    preprocess = cb.Preprocess(size=16, mean=(0.5,) * 3, std=(0.5,) * 3)
    net = cb.Network(small_module, preprocess)
    _, _, last = net.predict(net.read(noise_picture), top=3)
    shown = cb.channel_attribution("late", classes=cb.Out(last.index))
    ex = cb.explain(shown, net, noise_picture, quality=FEW_STEPS, progress=False, store=store)
    share = f"{last.probability:.1%}"
    told = dict(ex.scene.footer)["probabilities"].split("; ")
    assert f"class {last.index} {share}" in told
    panel = next(ex.scene.panels())
    assert f" ({share})" in panel.left_out


def test_a_panel_without_a_title_is_called_by_its_atoms(explain) -> None:
    titles = [
        next(explain(cb.InfoVis(cb.Activation(source))).scene.panels()).title
        for source in (LATE.channels, LATE.whole, cb.Out(1))
    ]
    assert titles == ["Channels of late", "The whole layer of late", "Classes"]
