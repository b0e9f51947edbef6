#!/usr/bin/env bash
# timm 1.0.31 (torch 2.14.1): `num_prefix_tokens` says how many tokens stand before the
# patches, and timm's own code says `x[:, num_prefix_tokens:]` to get at the patches of a
# ViT. For CaiT and XCiT it is 1, but inside `blocks` there is no class token: it joins only
# after them. Token 0 of a block is the patch at the top left, and slicing one token off
# drops it. In ConViT the first ten blocks are without and the last two with a class token.
#
# Input: three untrained models and one picture of 14 x 14 patches.
#
# Who is hurt: anyone who hooks a block and takes token 0 for the class: no error, but what
# is shown is a corner of the picture.
#
# Seen (num_prefix_tokens, tokens after each block):
#   cait_xxs24_224 1 [196]
#   xcit_nano_12_p16_224 1 [196]
#   convit_tiny 1 [196, 197]
#   deit_tiny_patch16_224 1 [197]
#   token 0 of CaiT's first block is given the top left patch: True
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet timm==1.0.31 torch==2.14.1 torchvision==0.29.1 numpy==2.4.6
HOME="$scratch" "$scratch/env/bin/python" -W ignore - <<'PYTHON'
import timm
import torch

torch.manual_seed(0)
picture = torch.rand(1, 3, 224, 224)


def tokens_of(name):
    net, seen = timm.create_model(name).eval(), []
    for block in net.blocks:
        block.register_forward_hook(lambda module, given, answer: seen.append(answer.shape[1]))
    with torch.no_grad():
        net(picture)
    print(name, net.num_prefix_tokens, sorted(set(seen)))
    return net.num_prefix_tokens, seen


cait, xcit = tokens_of("cait_xxs24_224"), tokens_of("xcit_nano_12_p16_224")
convit, deit = tokens_of("convit_tiny"), tokens_of("deit_tiny_patch16_224")
net, given = timm.create_model("cait_xxs24_224").eval(), []
net.blocks[0].register_forward_hook(lambda module, inputs, answer: given.append(inputs[0]))
with torch.no_grad():
    net(picture)
    corner = net.patch_embed(picture)[:, 0] + net.pos_embed[:, 0]
is_corner = torch.allclose(given[0][:, 0], corner, atol=1e-5)
print("token 0 of CaiT's first block is given the top left patch:", is_corner)
assert cait == (1, [196] * 24) and xcit == (1, [196] * 12)
assert convit == (1, [196] * 10 + [197] * 2)
assert deit == (1, [197] * 12)
assert is_corner
PYTHON
