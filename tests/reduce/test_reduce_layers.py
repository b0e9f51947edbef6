"""Groups of several layers, and one dictionary over several images."""

import pytest
import torch

from captum_blocks.errors import InvalidArgument, UnknownName
from captum_blocks.reduce import ChannelReducer, fit_layers, image_magnitudes


def layers():
    generator = torch.Generator().manual_seed(0)
    return {
        "low": torch.rand(2, 8, 6, 6, generator=generator),
        "high": torch.rand(2, 12, 3, 3, generator=generator),
    }


def test_every_layer_gets_its_own_reducer():
    acts = layers()
    reducers = fit_layers(acts, {"low": 3, "high": 2}, tol=1e-3)
    assert list(reducers) == ["low", "high"]
    for name, count in (("low", 3), ("high", 2)):
        alone = ChannelReducer(count, tol=1e-3).fit(acts[name])
        assert torch.equal(reducers[name].components_, alone.components_)
    assert {len(r.components_) for r in fit_layers(acts, 4).values()} == {4}


def test_layers_and_numbers_must_match():
    with pytest.raises(UnknownName, match=r"no activations of 'hihg'; did you mean 'high'\?"):
        fit_layers(layers(), {"low": 3, "hihg": 2})
    with pytest.raises(InvalidArgument, match="no number of groups for 'high'"):
        fit_layers(layers(), {"low": 3})
    with pytest.raises(InvalidArgument, match=r"there are no layers: give \{name: activations\}"):
        fit_layers({})
    with pytest.raises(InvalidArgument, match="n_components=2.5 is not a whole number"):
        fit_layers(layers(), 2.5)


def test_all_layers_are_checked_before_the_first_is_fitted(monkeypatch):
    acts = layers()
    fitted = []
    fit = ChannelReducer.fit
    monkeypatch.setattr(ChannelReducer, "fit", lambda self, X: fitted.append(X) or fit(self, X))
    fit_layers(acts, 2)
    assert len(fitted) == 2
    acts["high"][0, 0, 0, 0] = -1.0
    with pytest.raises(InvalidArgument, match="^layer 'high': Negative values in data"):
        fit_layers(acts, 2)
    with pytest.raises(InvalidArgument, match="^layer 'low': n_components=9 is more than the 8"):
        fit_layers(layers(), {"high": 2, "low": 9})
    with pytest.raises(UnknownName, match="layer 'low': algorithm='nfm' is none of"):
        fit_layers(layers(), 2, algorithm="nfm")
    assert len(fitted) == 2


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_one_dictionary_has_a_magnitude_in_every_image(layout):
    acts = layers()["low"]
    acts = acts if layout == "NCHW" else acts.permute(0, 2, 3, 1)
    reducer = ChannelReducer(3, layout=layout).fit(acts)
    found = image_magnitudes(reducer, acts)
    for image in range(2):
        scores = reducer.transform(acts[image : image + 1])
        maps = scores if layout == "NCHW" else scores.permute(0, 3, 1, 2)
        for group in range(3):
            expected = maps[0, group].norm() * reducer.components_[group].norm()
            assert float(found[image, group]) == pytest.approx(float(expected), rel=1e-5)
