#!/usr/bin/env bash
# timm 1.0.31 (torch 2.14.1): the blocks of a Hiera transformer answer (picture, token,
# channel) with as many tokens as places, but the tokens are not in reading order. They
# stand in the order of Hiera's mask units, and the order changes from stage to stage.
# Reshaping them to the grid, as is right for a ViT, scrambles the map without an error.
#
# Input: hiera_tiny_224 (weights drawn from a seed) and one picture. What a hook sees at the
# end of each stage, reshaped plainly, against `forward_intermediates`, which puts the
# tokens back in order: only a handful of places agree, but all do in the last stage, so
# that a check there shows nothing.
#
# Who is hurt: anyone who hooks a block to draw activations, attributions or similarities
# on the picture.
#
# Seen (places that agree, of all):
#   [(4, 3136), (2, 784), (4, 196), (49, 49)]
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet timm==1.0.31 torch==2.14.1 torchvision==0.29.1 numpy==2.4.6
HOME="$scratch" "$scratch/env/bin/python" -W ignore - <<'PYTHON'
import timm
import torch

torch.manual_seed(0)
net = timm.create_model("hiera_tiny_224").eval()
hooked = []
for end in net.stage_ends:
    net.blocks[end].register_forward_hook(lambda module, given, answer: hooked.append(answer))
with torch.no_grad():
    _, ordered = net.forward_intermediates(torch.rand(1, 3, 224, 224))
agreeing = []
for tokens, grid in zip(hooked, ordered):
    reshaped = tokens.transpose(1, 2).reshape(grid.shape)
    same = (reshaped - grid).abs().amax(dim=1) < 1e-4
    agreeing.append((int(same.sum()), same.numel()))
print(agreeing)
assert [of for _, of in agreeing] == [3136, 784, 196, 49]
assert all(count < of / 10 for count, of in agreeing[:3])
assert agreeing[3] == (49, 49)
PYTHON
