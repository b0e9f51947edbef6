"""What stands for a network: works as the network does, or says what to give instead."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from captum.attr import LayerGradientXActivation
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import captum_blocks as cb
from captum_blocks.attr import (
    GroupAttribution,
    LayerGroupAttribution,
    LayerMethod,
    LayerToLayerAttribution,
)
from captum_blocks.errors import InvalidArgument, LayerNotFound, UnusableLayer, WrongType
from captum_blocks.hooks import find_layer
from captum_blocks.optim import Channel, FeatureVisualizer

X = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    ).eval()


class Wrapped(nn.Module):
    """A network inside a network."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class CompiledMethod(nn.Module):
    """A part of the forward pass is compiled, and no module is."""

    def __init__(self) -> None:
        super().__init__()
        self.body = network()
        self.run = torch.compile(self.through, backend="eager")

    def through(self, x: Tensor) -> Tensor:
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


def compiled_in_place() -> nn.Module:
    module = network()
    module.compile(backend="eager")
    return module


COMPILED = {
    "whole": (lambda: torch.compile(network(), backend="eager"), "1"),
    "a child": (lambda: Wrapped(torch.compile(network(), backend="eager")), "body.1"),
    "in place": (compiled_in_place, "1"),
    "a method": (CompiledMethod, "body.1"),
}


def gradient_times_activation(target: int) -> Tensor:
    """Of layer "1", by plain autograd."""
    net = network()
    activation = net[:2](X).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(net[2:](activation)[0, target], activation)
    return (gradient * activation).detach()


@pytest.mark.parametrize("kind", COMPILED)
@pytest.mark.parametrize("before", ["never", "with gradient", "without"])
class TestCompiled:
    def made(self, kind: str, before: str) -> tuple[nn.Module, str]:
        torch._dynamo.reset()
        make, layer = COMPILED[kind]
        module = make().eval()
        if before != "never":
            with torch.set_grad_enabled(before == "with gradient"):
                module(X)
        return module, layer

    @pytest.mark.parametrize("method", ["LayerGradientXActivation", "LayerIntegratedGradients"])
    def test_attribution(self, kind: str, before: str, method: str) -> None:
        module, layer = self.made(kind, before)
        found = LayerMethod(module, layer, method).attribute(X, [2]).maps[:, 0]
        plain = LayerMethod(network(), "1", method).attribute(X, [2]).maps[:, 0]
        torch.testing.assert_close(found, plain)
        if method == "LayerGradientXActivation":
            torch.testing.assert_close(found, gradient_times_activation(2))

    def test_layers_and_layer_to_layer(self, kind: str, before: str) -> None:
        module, layer = self.made(kind, before)
        net = cb.Network(module)
        torch.testing.assert_close(net.logits(X), network()(X).detach())
        assert layer in {info.name.replace("_orig_mod.", "") for info in net.layers(X)}
        into = layer.replace("1", "0")
        found = LayerToLayerAttribution(module, into, layer).attribute(X, "channel", "channel")
        expected = LayerToLayerAttribution(network(), "0", "1").attribute(X, "channel", "channel")
        torch.testing.assert_close(found, expected)

    def test_pictures(self, kind: str, before: str) -> None:
        module, layer = self.made(kind, before)
        found = FeatureVisualizer(module, layer).visualize(Channel(3), size=16, n_steps=2)
        plain = FeatureVisualizer(network(), "1").visualize(Channel(3), size=16, n_steps=2)
        torch.testing.assert_close(found.images, plain.images)
        assert module(X).shape == (1, 4)

    def test_it_is_left_as_it_was(self, kind: str, before: str) -> None:
        module, layer = self.made(kind, before)
        parts, answer = list(module.modules()), module(X)
        LayerMethod(module, layer).attribute(X, [0])
        assert all(a is b for a, b in zip(module.modules(), parts, strict=True))
        assert not any(part._forward_hooks for part in parts)
        assert torch.equal(module(X), answer)
        assert torch.compiler.is_compiling() is False


SCRIPTS = {
    "scripted": lambda: torch.jit.script(network()),
    "traced": lambda: torch.jit.trace(network(), X),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("kind", SCRIPTS)
class TestScripted:
    def test_answers_are_known_and_layers_are_refused(self, kind: str) -> None:
        net = cb.Network(SCRIPTS[kind]())
        torch.testing.assert_close(net.logits(X), network()(X).detach())
        for ask in (
            lambda: net.layers(X),
            lambda: net.name_of("1"),
            lambda: FeatureVisualizer(net.module, "output"),
            lambda: layer_groups(net.module, dict(net.module.named_modules())["1"]),
        ):
            with pytest.raises(UnusableLayer, match="is a ScriptModule .* that it was made from"):
                ask()

    def test_as_a_part_of_a_network(self, kind: str) -> None:
        module = Wrapped(SCRIPTS[kind]()).eval()
        with pytest.raises(UnusableLayer, match="layer 'body.1': .* is a ScriptModule"):
            LayerMethod(module, "body.1")
        found = FeatureVisualizer(module, "output").visualize(Channel(0), size=16, n_steps=1)
        assert found.images.shape == (1, 3, 16, 16)
        assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.filterwarnings("ignore:.*torch.jit")
class TestFrozen:
    """A frozen script has no mode to be put into, and no layers."""

    def test_answers_are_known_and_layers_are_refused(self) -> None:
        net = cb.Network(torch.jit.freeze(torch.jit.script(network().eval())), cb.Preprocess(16))
        expected = network().eval()(X).detach()
        torch.testing.assert_close(net.logits(X), expected)
        best = net.predict(X)[0]
        assert best.index == int(expected.argmax())
        assert best.probability == pytest.approx(float(expected.softmax(1).max()), rel=1e-4)
        with pytest.raises(UnusableLayer, match="is a ScriptModule .* that it was made from"):
            net.recommended()

    def test_as_a_part_of_a_network(self) -> None:
        module = nn.Sequential(torch.jit.freeze(torch.jit.script(network().eval())), nn.Tanh())
        found = FeatureVisualizer(module.eval(), "1").visualize(Channel(0), size=16, n_steps=1)
        expected = module(found.images)[:, 0]
        torch.testing.assert_close(found.scores, expected.detach())


class TestExported:
    def test_its_places_for_weights_are_no_layers(self) -> None:
        module = torch.export.export(network(), (X,)).module()
        torch.testing.assert_close(cb.Network(module).logits(X), network()(X).detach())
        with pytest.raises(UnusableLayer, match="is an exported program, .*unflatten"):
            cb.Network(module).layers(X)
        with pytest.raises(UnusableLayer, match="layer '0' never runs: GraphModule is an exported"):
            LayerMethod(module, "0")
        with pytest.raises(UnusableLayer, match="layer '0' never runs: GraphModule is an exported"):
            layer_groups(module, module.get_submodule("0"))
        with pytest.raises(LayerNotFound, match="no layer '1' in GraphModule; .* exported program"):
            LayerMethod(module, "1")

    def test_unflattened_for_a_batch_of_one(self) -> None:
        module = torch.export.unflatten(torch.export.export(network(), (X,)))
        shapes = {info.name: info.shape for info in cb.Network(module).layers(X)}
        assert shapes["1"] == (8, 14, 14)
        found = LayerMethod(module, "1").attribute(X, [2]).maps[:, 0]
        torch.testing.assert_close(found, gradient_times_activation(2))
        # Two pictures go through one by one.
        wanted = [Channel(2), Channel(3)]
        pictures = FeatureVisualizer(module, "1").visualize(wanted, size=16, n_steps=2)
        activation = network()[:2](pictures.images).mean((2, 3)).detach()
        torch.testing.assert_close(pictures.scores, activation[[0, 1], [2, 3]])
        assert not torch.equal(*pictures.images)

    def test_a_traced_graph_works_as_before(self) -> None:
        module = torch.fx.symbolic_trace(Wrapped(network()))
        found = LayerMethod(module, "body.1").attribute(X, [2]).maps[:, 0]
        torch.testing.assert_close(found, gradient_times_activation(2))
        with pytest.raises(UnusableLayer, match="'body' is no more than a name .* e.g. 'body.4'"):
            LayerMethod(module, "body")


@pytest.mark.filterwarnings("ignore")
class TestQuantized:
    def made(self, dynamic: bool) -> nn.Module:
        engines = torch.backends.quantized.supported_engines
        torch.backends.quantized.engine = next(e for e in reversed(engines) if e != "none")
        if dynamic:
            return torch.ao.quantization.quantize_dynamic(network(), {nn.Linear})
        wrapped = torch.ao.quantization.QuantWrapper(network())
        wrapped.qconfig = torch.ao.quantization.get_default_qconfig(torch.backends.quantized.engine)
        torch.ao.quantization.prepare(wrapped, inplace=True)
        wrapped(X)
        return torch.ao.quantization.convert(wrapped)

    def test_layers_of_whole_numbers(self) -> None:
        module = self.made(dynamic=False)
        net = cb.Network(module)
        assert net.logits(X).shape == (1, 4)
        said = "is quantized .* give the float network that it was converted from"
        for ask in (
            lambda: net.recommended(X),
            lambda: LayerMethod(module, "module.1").attribute(X, [0]),
            lambda: cb.evaluate(cb.Activation(cb.Hidden("module.1").channels), module, X),
            lambda: FeatureVisualizer(module, "module.1").visualize(Channel(0), size=16),
        ):
            with pytest.raises(UnusableLayer, match=said):
                ask()

    def test_a_quantized_head(self) -> None:
        module = self.made(dynamic=True)
        value = cb.evaluate(cb.Activation(cb.Hidden("1").channels), module, X)
        torch.testing.assert_close(value.data[0], network()[:2](X).mean((2, 3))[0].detach())
        with pytest.raises(UnusableLayer, match="is quantized"):
            FeatureVisualizer(module, "output").visualize(Channel(0), size=16)

    @pytest.mark.parametrize("atoms", ["spatial", "channel"])
    def test_from_layer_to_layer(self, atoms: str) -> None:
        """As many passes as there are classes go back, or as there are channels or places."""
        module, said = self.made(dynamic=True), r"no gradient leads .*quantized ones have none"
        for target in (None, "4"):
            l2l = cb.LayerToLayerAttribution(module, "0", target)
            kind = "class" if target is None else "channel"
            with pytest.raises(UnusableLayer, match=said):
                l2l.attribute(X, kind, atoms)
            with pytest.raises(UnusableLayer, match=said):
                l2l.attribute(X, kind, "whole")
        before = cb.LayerToLayerAttribution(module, "0", "1").attribute(X, "channel", atoms)
        plain = cb.LayerToLayerAttribution(network(), "0", "1").attribute(X, "channel", atoms)
        torch.testing.assert_close(before, plain)


ENTRANCES = (
    cb.Network,
    lambda module: LayerMethod(module, "0"),
    lambda module: FeatureVisualizer(module, "0"),
    lambda module: layer_groups(module, module[0]),
)


def exported() -> object:
    return torch.export.export(network(), (X,))


class TestNoModule:
    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (exported, r"not ExportedProgram; give .*torch.export.unflatten\("),
            (
                lambda: torch.compile(torch.compile(network(), backend="eager"), backend="eager"),
                "not function: .* a module that is compiled already; give the module as it was",
            ),
            (lambda: nn.Sequential, r"not type: this is the class; .* Sequential\(...\)"),
            (lambda: None, "a network is an nn.Module, not NoneType$"),
        ],
    )
    def test_what_to_give_instead(self, make, said: str) -> None:  # type: ignore[no-untyped-def]
        torch._dynamo.reset()
        given = make()
        for enter in (
            *ENTRANCES[:3],
            lambda module: LayerToLayerAttribution(module, "0", "1"),
            lambda module: GroupAttribution(module, "0", FittedOnes()),
        ):
            with pytest.raises(WrongType, match=said):
                enter(given)


class TestNotFilled:
    def test_lazy(self) -> None:
        lazy = nn.Sequential(nn.LazyConv2d(8, 3), nn.Flatten(), nn.LazyLinear(3)).eval()
        for enter in ENTRANCES:
            with pytest.raises(InvalidArgument, match="layer '0' is lazy and has never run"):
                enter(lazy)
        lazy(X)
        assert LayerMethod(lazy, "0").attribute(X, [0]).maps.shape == (1, 1, 8, 14, 14)

    def test_meta(self) -> None:
        for enter in ENTRANCES:
            with pytest.raises(InvalidArgument, match="'0' is on the meta device, .* fill it"):
                enter(network().to("meta"))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.b = network()

    def forward(self, x: Tensor, age: Tensor) -> Tensor:
        return self.b(x) * age


class ByName(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.b = network()

    def forward(self, *, pixel_values: Tensor, scale: float = 1.0) -> Tensor:
        return self.b(pixel_values) * scale


class Trained(Two):
    def forward(self, x: Tensor, *, train: bool) -> Tensor:  # type: ignore[override]
        return self.b(x) * (2.0 if train else 1.0)


class Texts(Two):
    def forward(  # type: ignore[override]
        self, input_ids: Tensor | None = None, pixel_values: Tensor | None = None
    ) -> Tensor:
        return self.b(pixel_values)


class Words(Two):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(4, 2)

    def forward(self, words: Tensor, image: Tensor | None = None) -> Tensor:  # type: ignore[override]
        return self.words(words)


class OfDict(Two):
    def forward(self, batch: dict[str, Tensor]) -> Tensor:  # type: ignore[override]
        return self.b({**batch}["image"])


class OfList(Two):
    def forward(self, images: list[Tensor]) -> Tensor:  # type: ignore[override]
        return self.b(torch.stack(images.copy()))  # type: ignore[attr-defined]


class OfSecond(Two):
    def forward(self, *xs: Tensor) -> Tensor:  # type: ignore[override]
        return self.b(xs[1])


OF_ANOTHER_KIND = {
    "texts": (Texts, TypeError, "pixel_values=x)"),
    "words": (Words, RuntimeError, "image=x)"),
    "dict": (OfDict, TypeError, "x)  # as it wants it"),
    "list": (OfList, AttributeError, "x)  # as it wants it"),
    "second": (OfSecond, IndexError, "x)  # as it wants it"),
}


def layer_groups(module: nn.Module, layer: nn.Module, **given: float) -> Tensor:
    """All channels in one group, of a layer method that a user configured."""
    method = LayerGradientXActivation(module, layer)
    made = LayerGroupAttribution(method, FittedOnes())
    attr, residual = made.attribute(X, target=2, return_residual=True, **given)
    return attr + residual


class TestInputs:
    @pytest.mark.parametrize(
        "enter",
        [
            cb.Network,
            lambda m: LayerMethod(m, "b.1"),
            lambda m: LayerToLayerAttribution(m, "b.0", "b.1"),
            lambda m: FeatureVisualizer(m, "b.1"),
            lambda m: GroupAttribution(m, "b.1", FittedOnes()),
            lambda m: layer_groups(m, m.b[1]),
        ],
    )
    @pytest.mark.parametrize(
        ("module", "others", "said"),
        [
            (Two, {"age": 2.0}, "needs x, age"),
            (ByName, {}, "needs pixel_values"),
            (Trained, {"train": False}, "needs x, train"),
        ],
    )
    def test_the_wrapper_to_write(self, enter, module, others, said) -> None:  # type: ignore[no-untyped-def]
        """It is pasted here, and works."""
        inner = module().eval()
        with pytest.raises(InvalidArgument, match=said) as refused:
            enter(inner)
        names: dict[str, type[nn.Module]] = {"torch": torch}  # type: ignore[dict-item]
        exec(str(refused.value).partition("\n\n")[2], names)
        wrapped = names["Wrapped"](inner, **others).eval()
        found = cb.Network(wrapped).logits(X)
        torch.testing.assert_close(found, inner.b(X).detach() * others.get("age", 1.0))
        assert wrapped.train().training
        assert not wrapped.eval().training

    @pytest.mark.parametrize(
        "run",
        [
            lambda m: cb.Network(m).logits(X),
            lambda m: cb.Network(m).layers(X),
            lambda m: cb.evaluate(cb.Activation(cb.Hidden("b.1").channels), m, X),
            lambda m: LayerMethod(m, "b.1").attribute(X, [1]),
            lambda m: LayerToLayerAttribution(m, "b.0", "b.1").attribute(X),
            lambda m: FeatureVisualizer(m, "b.1").visualize(Channel(1), size=16, n_steps=1),
            lambda m: GroupAttribution(m, "b.1", FittedOnes()).attribute(X, [1]),
            lambda m: layer_groups(m, m.b[1]),
        ],
    )
    @pytest.mark.parametrize("module", ["texts", "words", "dict", "list", "second"])
    def test_what_only_a_run_can_tell(self, run, module: str) -> None:  # type: ignore[no-untyped-def]
        make, cause, call = OF_ANOTHER_KIND[module]
        with pytest.raises(InvalidArgument, match="first place .*wrap it:") as refused:
            run(make().eval())
        assert isinstance(refused.value.__cause__, cause)
        assert f"return self.network({call}" in str(refused.value)

    def test_the_wrapper_for_pictures_by_another_name(self) -> None:
        inner = Texts().eval()
        with pytest.raises(InvalidArgument) as refused:
            cb.Network(inner).logits(X)
        names: dict[str, type[nn.Module]] = {"torch": torch}  # type: ignore[dict-item]
        exec(str(refused.value).partition("\n\n")[2], names)
        found = cb.Network(names["Wrapped"](inner).eval()).logits(X)
        torch.testing.assert_close(found, inner.b(X).detach())

    def test_a_picture_of_another_size_is_no_other_kind(self) -> None:
        """What is raised for a size stays what it was: a wrapper would not help."""

        def sized(x: Tensor) -> Tensor:
            raise ValueError(f"size {x.shape[-1]} is not 224")

        module = network()
        module.forward = sized  # type: ignore[method-assign]
        with pytest.raises(ValueError, match="^size 16 is not 224$"):
            cb.Network(module).logits(X)

    def test_layer_groups_count_what_else_is_given(self) -> None:
        module = Two().eval()
        found = layer_groups(module, module.b[1], additional_forward_args=2.0)
        expected = 2 * gradient_times_activation(2).sum(1, keepdim=True)
        torch.testing.assert_close(found, expected)

    def test_a_closure_for_captum_may_take_the_rest(self) -> None:
        module = Two().eval()
        given = LayerGradientXActivation(lambda x: module(x, 2.0), module.b[1])
        found = LayerMethod(module, "b.1", given).attribute(X, [2]).maps[:, 0]
        torch.testing.assert_close(found, 2 * gradient_times_activation(2))

    def test_several_inputs_given_as_a_tuple(self) -> None:
        with pytest.raises(WrongType, match="one ready tensor .*, not tuple; .* is wrapped"):
            cb.Network(network()).layers((X, X))  # type: ignore[arg-type]


class FittedOnes:
    components_ = torch.ones(1, 8)

    def transform(self, acts: Tensor) -> Tensor:
        return acts.mean(1, keepdim=True)


class TestNames:
    def test_a_module_of_two_names(self) -> None:
        net = network()
        net.alias = net[1]  # type: ignore[assignment]
        net.forward = lambda x: net[4](net[3](net[2](net.alias(net[0](x)))))  # type: ignore[method-assign, operator]
        assert find_layer(net, "alias") == ("1", net[1])
        assert find_layer(net, "1") == ("1", net[1])
        found = LayerMethod(net, "alias").attribute(X, [2]).maps[:, 0]
        torch.testing.assert_close(found, gradient_times_activation(2))

    def test_names_inside_compiled_parts(self) -> None:
        whole = torch.compile(network(), backend="eager")
        assert LayerMethod(whole, "_orig_mod.1").layer_name == "1"
        part = Wrapped(torch.compile(network(), backend="eager"))
        assert find_layer(part, "body.1")[1] is part.body._orig_mod[1]
        with pytest.raises(LayerNotFound, match="no layer 'body.9' in Wrapped"):
            find_layer(part, "body.9")


@pytest.mark.parametrize("wrap", ["spectral_norm", "weight_norm", "orthogonal"])
def test_parametrized_convolutions_before_a_batch_norm(wrap: str) -> None:
    """The score of a finished picture is what the network itself answers to it."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8)
    norm.running_mean.normal_()  # type: ignore[union-attr]
    norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    net = nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.ReLU())
    getattr(parametrizations, wrap)(net[0])
    net.eval()
    before = deepcopy(net.state_dict())
    shown = FeatureVisualizer(net, "2").visualize(Channel(3), size=16, n_steps=3)
    expected = net(shown.images)[:, 3].mean((1, 2))
    torch.testing.assert_close(shown.scores, expected.detach())
    assert all(torch.equal(net.state_dict()[name], before[name]) for name in before)
