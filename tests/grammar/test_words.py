from __future__ import annotations

import json
import time

import numpy as np
import pytest
from captum.attr import LayerIntegratedGradients
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import captum_blocks as cb
from captum_blocks.errors import BlocksError, InvalidArgument, UnknownName, WrongType
from captum_blocks.grammar import Selection, from_json, to_json

NET = nn.Sequential(nn.ReLU())
CONFIGURED = LayerIntegratedGradients(NET, NET[0])
HERE = cb.hover("spatial")
LAYER = cb.Hidden("layer3")

substrates = st.sampled_from(
    [
        LAYER.neurons,
        LAYER.spatial,
        LAYER.channels,
        LAYER.channels[:4],
        LAYER.groups(3, seed=2, of="gradient"),
        LAYER.groups(3, align_with=cb.Hidden("layer4").groups(2)),
        LAYER.groups(cb.Given("mine")),
        LAYER.whole,
        LAYER.tokens,
        cb.Input().spatial,
    ]
)
targets = st.sampled_from([cb.Out(207, "tiger cat"), cb.Out(top=2), cb.Out()])
methods = st.sampled_from(
    [cb.Method("LayerConductance", n_steps=3, baselines=cb.Given("b")), cb.Given("ig")]
)
contents = st.one_of(
    st.builds(cb.Activation, substrates), st.builds(cb.Attribution, substrates, targets, methods)
)
filters = st.one_of(
    contents,
    st.builds(lambda content, n: content.filter(at=HERE, top=n), contents, st.integers(1, 9)),
    st.builds(lambda content: content.filter(above=0.5).filter(strongest=3), contents),
    st.builds(lambda a, b: a.difference(b).aggregate("image", "max"), contents, contents),
    st.builds(lambda content: content.project(LAYER.groups(2)).normalise("sum"), contents),
)
elements = st.one_of(
    st.builds(cb.InfoVis, filters, st.sampled_from(["overlay", "bars"]), sets=st.just(HERE)),
    st.builds(cb.FeatureVis, filters, title=st.text()),
)
interfaces = st.builds(
    lambda parts, title: (parts[0] | parts[1] & parts[2]).titled(title, "how"),
    st.tuples(elements, elements, elements),
    st.text(),
)


@given(interfaces)
def test_an_interface_survives_json(interface: cb.Interface) -> None:
    again = cb.Interface.from_json(interface.to_json())
    assert again == interface
    assert hash(again) == hash(interface)
    assert repr(again) == repr(interface)


def test_presets_are_words() -> None:
    interface = cb.report("layer3", "layer4", classes=cb.Out(1, 2), method="LayerConductance")
    assert cb.Interface.from_json(interface.to_json()) == interface


def test_below_binds_tighter_than_beside() -> None:
    a, b, c = (cb.FeatureVis(LAYER.channels[:n]) for n in (1, 2, 3))
    assert (a | b & c).parts == (a, b & c)
    assert (a | b | c).parts == (a, b, c)
    assert ((a & b) & c).arrangement == "below"


def test_a_bare_layer_means_its_neurons() -> None:
    assert cb.Activation(LAYER) == cb.Activation(LAYER.neurons)
    assert cb.FeatureVis(LAYER.channels[:2]).content == cb.Activation(LAYER.channels[[0, 1]])


def test_classes_are_stored_by_name() -> None:
    content = cb.Attribution(LAYER.groups(2), cb.Out(1), method=LayerIntegratedGradients, n_steps=4)
    assert content.method == cb.Method("LayerIntegratedGradients", n_steps=4)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LAYER.groups(0), InvalidArgument, "0 groups: at least one is needed"),
        (lambda: LAYER.groups(2, of="noise"), InvalidArgument, "of='noise' is none of activation"),
        (lambda: LAYER.groups(2, align_with=LAYER.channels), WrongType, "align_with takes groups"),
        (
            lambda: LAYER.groups(2.5),
            WrongType,
            r"groups\(\) takes a number, a slider or a Given reducer",
        ),
        (lambda: cb.Hidden(3), WrongType, "a layer is named, as in 'layer3.1', not int"),
        (lambda: cb.Out(1, top=2), InvalidArgument, "Out takes classes, or top=, not both"),
        (lambda: cb.Out(1, 1), InvalidArgument, "a class is named twice"),
        (lambda: cb.Out(1.0), WrongType, "a class is an index or a name, not 1.0"),
        (lambda: cb.Activation("layer3"), WrongType, "'layer3' is no substrate; take e.g."),
        (
            lambda: cb.Attribution(LAYER, 281),
            WrongType,
            r"281 is no target by itself: classes takes Out\(281\)$",
        ),
        (
            lambda: cb.Ablation(LAYER.channels, "tabby"),
            WrongType,
            r"classes takes Out\('tabby'\), and a layer is Hidden\('tabby'\)$",
        ),
        (lambda: cb.Attribution(LAYER, True), WrongType, "True is no substrate; take e.g."),
        (
            lambda: cb.choose([281, "tabby"]),
            WrongType,
            r"choose takes classes, as in Out\(281, 'tabby'\), 'image', or groups to align with",
        ),
        (lambda: cb.hover("pixel"), InvalidArgument, "a selection is one of spatial, channel"),
        (lambda: cb.InfoVis(LAYER), WrongType, "InfoVis draws a content"),
        (
            lambda: cb.InfoVis(cb.Activation(LAYER), "rainbow"),
            UnknownName,
            "no mark 'rainbow' among overlay, heatmap, multiples, bars",
        ),
        (
            lambda: cb.Attribution(cb.Out(1), cb.Out(1)),
            InvalidArgument,
            "the output is a target of attribution, not a source",
        ),
        (
            lambda: cb.Attribution(LAYER, LAYER),
            InvalidArgument,
            "are of one layer; attribution goes from an earlier layer to a later one",
        ),
        (
            lambda: cb.Attribution(LAYER, cb.Input().spatial),
            InvalidArgument,
            "the input is a source of attribution, not a target",
        ),
        (
            lambda: cb.Activation(LAYER).project(LAYER.channels),
            WrongType,
            r"a projection needs groups, e.g. layer.groups\(6\)",
        ),
        (
            lambda: cb.Activation(LAYER).aggregate("image", "median"),
            InvalidArgument,
            "how='median' is none of mean, sum, max",
        ),
        (
            lambda: cb.Activation(LAYER).normalise("l2"),
            InvalidArgument,
            "by='l2' is neither max nor sum",
        ),
        (
            lambda: cb.Activation(LAYER).difference(LAYER),
            WrongType,
            "a difference needs two contents",
        ),
        (
            lambda: cb.Attribution(LAYER, cb.Out(1), method=CONFIGURED),
            WrongType,
            "a spec holds names: give the method as a class or by name",
        ),
        (
            lambda: cb.Activation(LAYER).filter(),
            InvalidArgument,
            "a filter needs one of at, to, image, within, top",
        ),
        (lambda: cb.Activation(LAYER).filter(top=0), InvalidArgument, "top=0: at least one atom"),
        (lambda: LAYER.spatial[3], InvalidArgument, "spatial atoms are not picked by number"),
        (lambda: LAYER.channels[3:], InvalidArgument, "a slice of atoms needs an end"),
        (lambda: cb.Activation(LAYER).filter(top=2.5), WrongType, "top= counts atoms: a whole"),
        (lambda: cb.Activation(LAYER).filter(top="3"), WrongType, "top= counts atoms: a whole"),
        (
            lambda: cb.InfoVis(cb.Activation(LAYER), sets="spatial"),
            WrongType,
            r"linked by selections such as hover\('channel'\), not 'spatial'",
        ),
        (
            lambda: cb.InfoVis(cb.Activation(LAYER), sets=[[cb.hover("channel")]]),
            WrongType,
            r"linked by selections such as hover\('channel'\), not \[hover",
        ),
        (
            lambda: cb.InfoVis(cb.Activation(LAYER), sets=(None, cb.hover("channel"))),
            WrongType,
            "linked by selections such as .*, not None",
        ),
        (
            lambda: cb.FeatureVis(LAYER.spatial, colour_by="magnitude"),
            WrongType,
            "colour_by takes a content such as Attribution",
        ),
        (lambda: cb.Interface(()), InvalidArgument, "an interface needs at least one element"),
        (lambda: cb.Interface(5), WrongType, "an interface is made of InfoVis and FeatureVis"),
        (
            lambda: cb.Interface((cb.FeatureVis(LAYER.channels),), "diagonal"),
            InvalidArgument,
            "arrangement='diagonal' is none of one, beside, below",
        ),
        (
            lambda: cb.FeatureVis(LAYER.channels) | 3,
            WrongType,
            "only interfaces and elements stand together, not 3",
        ),
    ],
)
def test_wrong_words_are_refused(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_objects_do_not_stand_in_a_spec() -> None:
    content = cb.Attribution(LAYER, cb.Out(1), method="LayerConductance", baselines=object())
    with pytest.raises(
        InvalidArgument, match=r"a object cannot stand in a spec; name it with Given"
    ):
        to_json(content)


def spec(text: str) -> str:
    return f'{{"captum_blocks": 1, "spec": {text}}}'


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{", InvalidArgument, "this is not JSON"),
        ("[]", InvalidArgument, "this JSON holds no captum_blocks spec"),
        ('{"captum_blocks": 99}', InvalidArgument, "this spec is of version 99"),
        (
            '{"captum_blocks": 1, "spec": {"word": "os.system"}}',
            UnknownName,
            "no word 'os.system' in the grammar",
        ),
        (
            '{"captum_blocks": 1, "spec": {"word": "Hidden", "layr": "x"}}',
            InvalidArgument,
            "Hidden has no field 'layr'; did you mean 'layer'?",
        ),
        (
            '{"captum_blocks": 1, "spec": {"word": "Hidden"}}',
            InvalidArgument,
            "Hidden needs the field 'layer'",
        ),
        (
            '{"captum_blocks": 1, "spec": {"word": "Out", "classes": [1], "top": 2}}',
            InvalidArgument,
            "not both",
        ),
        (spec('{"word": "Interface", "parts": 5}'), WrongType, "an interface is made of"),
        (spec('{"word": "Substrate", "layer": "1", "atom": "whole"}'), WrongType, "not of '1'"),
        (
            spec('{"word": "Selection", "gesture": "slider", "atom": "number", "start": "0"}'),
            InvalidArgument,
            "Selection in this JSON holds what it cannot hold",
        ),
        (spec('{"word": "Given", "name": {"word": "Given"}}'), InvalidArgument, "needs the field"),
        (spec('{"word": "Filter", "content": ' * 5000), InvalidArgument, "JSON that can be read"),
        (spec("[" * 900 + "1" + "]" * 900), InvalidArgument, "nested too deeply"),
    ],
)
def test_wrong_json_is_refused(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        from_json(text)


def test_lists_and_numpy_numbers_are_taken_as_meant() -> None:
    icons = cb.FeatureVis(LAYER.channels)
    assert cb.Interface([icons, icons]) == cb.Interface((icons, icons))
    assert cb.Interface(icons) == cb.Interface((icons,))
    assert LAYER.channels[np.int64(3)] == LAYER.channels[3]
    region = cb.Activation(LAYER).filter(within=[0, 0, 0.5, 1])
    assert from_json(to_json(region)) == region


def test_options_may_be_dicts() -> None:
    smooth = cb.Method("LayerConductance", noise={"stdevs": 0.1, "nt_samples": 8})
    assert smooth == cb.Method("LayerConductance", noise={"nt_samples": 8, "stdevs": 0.1})
    assert from_json(to_json(smooth)) == smooth
    assert eval(repr(smooth), {"Method": cb.Method}) == smooth


def test_an_interface_reads_as_its_calls() -> None:
    names = {name: getattr(cb, name) for name in cb.__all__}
    interface = cb.report("layer3", "layer4")
    assert eval(repr(interface), names) == interface
    words = repr(cb.FeatureVis(LAYER.channels))
    assert words == "FeatureVis(Activation(Hidden('layer3').channels))"


def test_json_is_plain_data() -> None:
    data = json.loads(to_json(cb.Out(top=2)))
    assert data == {"captum_blocks": 1, "spec": {"word": "Out", "top": 2}}
    with pytest.raises(WrongType, match="this JSON holds a Out, not an Interface"):
        cb.Interface.from_json(to_json(cb.Out(top=2)))


HIDDEN = '{"word": "Hidden", "layer": "x"}'
CHANNELS = '{"word": "Substrate", "layer": ' + HIDDEN + ', "atom": "channel"}'
ACTIVATION = '{"word": "Activation", "source": ' + CHANNELS + "}"


def slides(options: object, start: object = 0) -> str:
    word = {"word": "Selection", "gesture": "slider", "atom": "number"}
    return spec(json.dumps({**word, "options": options, "start": start}))


def test_a_name_that_is_twice_among_many_is_found_in_one_look() -> None:
    names = [f'"{number}": 0' for number in range(200_000)]
    start = time.process_time()
    with pytest.raises(InvalidArgument, match="names '199999' twice in one place"):
        from_json(spec("{" + ", ".join([*names, names[-1]]) + "}"))
    assert time.process_time() - start < 10  # comparing each with each takes minutes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"captum_blocks": true, "spec": ' + HIDDEN + "}", "this spec is of version True"),
        ('{"captum_blocks": "1", "spec": ' + HIDDEN + "}", "this spec is of version '1'"),
        ('{"captum_blocks": 1.0, "spec": ' + HIDDEN + "}", "this spec is of version 1.0"),
        (
            '{"captum_blocks": 1, "captum_blocks": 1, "spec": ' + HIDDEN + "}",
            "this JSON names 'captum_blocks' twice in one place",
        ),
        (
            spec('{"word": "Hidden", "layer": "x", "layer": "y"}'),
            "this JSON names 'layer' twice in one place",
        ),
        (
            '{"captum_blocks": 1, "spec": ' + HIDDEN + ', "run": 1}',
            "beside a spec there is no 'run'",
        ),
        ('{"captum_blocks": 1}', "this JSON holds no word of the grammar but None"),
        (spec("[" + HIDDEN + "]"), "this JSON holds no word of the grammar but (Hidden('x'),)"),
        (
            spec('{"word": "Filter", "content": ' + ACTIVATION + ', "above": NaN}'),
            "this JSON holds NaN, which is no number",
        ),
        (
            spec('{"word": "Filter", "content": ' + ACTIVATION + ', "above": 1e999}'),
            "this JSON holds '1e999', which is no number",
        ),
        (
            spec('{"word": "Filter", "content": ' + ACTIVATION + ', "top": 1' + "0" * 30 + "}"),
            "this JSON holds a number of 31 digits",
        ),
        (
            spec('{"word": "Filter", "content": ' + ACTIVATION + ', "above": "3"}'),
            "Filter in this JSON holds what it cannot hold: above='3' (at spec.above)",
        ),
        (
            spec('{"word": "Filter", "content": ' + ACTIVATION + ', "above": true}'),
            "Filter in this JSON holds what it cannot hold: above=True (at spec.above)",
        ),
        (
            spec('{"word": "InfoVis", "content": ' + ACTIVATION.replace('"x"', "7") + "}"),
            "a layer is named, as in 'layer3.1', not int (at spec.content.source.layer)",
        ),
        (
            spec('{"word": "Interface", "parts": [{"word": "FeatureVis", "contents": 1}]}'),
            "'contents'; did you mean 'content' or 'sets'? (at spec.parts[0])",
        ),
        (
            spec('{"word": "InfoVis", "content": ' + ACTIVATION + ', "title": 5}'),
            "InfoVis in this JSON holds what it cannot hold: title=5 (at spec.title)",
        ),
        (
            spec(CHANNELS[:-1] + ', "only": [1, 2.5]}'),
            "Substrate in this JSON holds what it cannot hold: only=(1, 2.5) (at spec.only)",
        ),
        (spec(CHANNELS[:-1] + ', "only": [-1]}'), "atom -1: atoms are counted from 0 (at spec)"),
        (spec(CHANNELS.replace("channel", "class")), "Hidden('x') has no atom 'class' (at spec)"),
        (slides(list(range(1, 2000))), "slider(1, 1999) has 1999 states, each computed beforehand"),
        (slides([]), "a slider slides over numbers: slider(2, 12) (at spec)"),
        (slides([3, 2]), "a slider goes upwards from 1, in equal steps, not (3, 2) (at spec)"),
        (slides([0, 1]), "a slider goes upwards from 1, in equal steps, not (0, 1) (at spec)"),
        (slides([2, 3, 5]), "a slider goes upwards from 1, in equal steps"),
        (slides([2, "3"]), "a slider counts in whole numbers, not (2, '3') (at spec)"),
        (slides([2, 3], start=2), "start=2: there are 2 options (at spec)"),
        (
            spec('{"word": "Method", "name": "X", "options": [["n", 1], ["n", 2]]}'),
            "an option is named twice in ['n', 'n'] (at spec)",
        ),
        (
            spec('{"word": "Method", "name": "X", "options": [["no name", 1]]}'),
            "an option is a keyword argument; 'no name' cannot be one (at spec)",
        ),
    ],
)
def test_what_is_wrong_in_a_spec_is_said_with_its_place(text: str, message: str) -> None:
    with pytest.raises(BlocksError) as caught:
        from_json(text)
    assert message in str(caught.value)


def test_only_text_is_a_spec() -> None:
    with pytest.raises(WrongType, match="a spec is JSON text, not NoneType"):
        from_json(None)
    with pytest.raises(InvalidArgument, match="characters are no spec; 16777216 at most"):
        from_json(" " * (2**24 + 1))
    with pytest.raises(InvalidArgument, match="this is not JSON that can be read"):
        from_json(b"\xff\xfe")


def test_python_words_have_the_same_limits() -> None:
    with pytest.raises(InvalidArgument, match="seed=-1: a seed is a number from 0"):
        LAYER.groups(3, seed=-1)
    with pytest.raises(InvalidArgument, match="atom -1: atoms are counted from 0"):
        LAYER.channels[[-1]]
    with pytest.raises(InvalidArgument, match="hover picks from what is shown"):
        Selection("hover", "class", options=cb.Out(1))
    with pytest.raises(InvalidArgument, match="a list of image has no options"):
        Selection("choose", "image", options=(1, 2))


def test_rivals_are_of_versus_alone() -> None:
    effect = cb.Attribution(cb.Hidden("layer3").groups(2), cb.Out())
    shown = cb.FeatureVis(effect, arrangement="versus", rivals=cb.Out(1, 2))
    assert cb.Interface.from_json(cb.Interface((shown,)).to_json()).parts == (shown,)
    with pytest.raises(InvalidArgument, match="and of no other"):
        cb.FeatureVis(effect, rivals=cb.Out(1, 2))
