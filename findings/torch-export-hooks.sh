#!/usr/bin/env bash
# torch 2.14.1: what `torch.export.export(...).module()` returns still has some of the
# submodules of the network under their old names, and a forward hook on them is taken. It
# is never called, and what it returns is never used: the submodules only hold the weights.
# `torch.export.unflatten` of the same program gives modules whose hooks do work.
#
# Input: Conv2d, ReLU, Flatten, Linear, and a hook on the convolution that sets its answer to
# zero. Modules without weights (here 1 and 2) are gone from `.module()`.
#
# Who is hurt: anyone who ablates or reads a layer of an exported network by hooks: the
# ablation does nothing, which reads as "this layer does not matter".
#
# Seen:
#   network   ['0', '1', '2', '3'] hook called 1 scores changed True
#   .module() ['0', '3', '_guards_fn'] hook called 0 scores changed False
#   unflatten ['0', '1', '2', '3'] hook called 1 scores changed True
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet torch==2.14.1 numpy==2.4.6
HOME="$scratch" "$scratch/env/bin/python" -W ignore - <<'PYTHON'
import torch
from torch import nn


def ablate(net):
    before, calls = net(x), []

    def silence(module, given, answer):
        calls.append(1)
        return answer * 0

    hook = net.get_submodule("0").register_forward_hook(silence)
    after = net(x)
    hook.remove()
    return [name for name, _ in net.named_children()], len(calls), not torch.equal(before, after)


torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
x = torch.rand(1, 3, 8, 8)
program = torch.export.export(net, (x,))
unflattened = torch.export.unflatten(program)
nets = {"network  ": net, ".module()": program.module(), "unflatten": unflattened}
results = {title: ablate(each) for title, each in nets.items()}
for title, (names, calls, changed) in results.items():
    print(title, names, "hook called", calls, "scores changed", changed)
assert results["network  "][1:] == results["unflatten"][1:] == (1, True)
assert "0" in results[".module()"][0] and "1" not in results[".module()"][0]
assert results[".module()"][1:] == (0, False)
PYTHON
