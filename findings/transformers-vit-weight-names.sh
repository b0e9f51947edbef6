#!/usr/bin/env bash
# transformers 5.24.0 (torch 2.14.1): a ViT's layers have other names in memory than in the
# file that `save_pretrained` writes. In memory it is `vit.layers.0...`, in the file
# `vit.encoder.layer.0...`; `from_pretrained` translates. Reading the file by hand with
# `load_state_dict(..., strict=False)` leaves every layer as it was drawn.
#
# Input: a ViTForImageClassification of two small layers, saved, and a second one of the same
# configuration to load the file into.
#
# Who is hurt: anyone who reads names from a model file (or from an older model's notes) to
# hook layers, which do not exist; or who loads the file by hand and explains a network
# whose layers are random while embeddings and classifier are the trained ones.
#
# Seen:
#   in the file  vit.encoder.layer.0.attention.attention.key.weight
#   in memory    vit.layers.0.attention.k_proj.weight
#   by hand: 32 of 40 tensors not loaded, same scores: False
#   from_pretrained: same scores: True
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet transformers==5.24.0 torch==2.14.1 safetensors==0.8.0 numpy==2.4.6
HOME="$scratch" "$scratch/env/bin/python" -W ignore - <<'PYTHON'
import pathlib
import tempfile

import torch
from safetensors.torch import load_file
from transformers import ViTConfig, ViTForImageClassification

torch.manual_seed(0)
sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
config = ViTConfig(intermediate_size=64, image_size=32, patch_size=8, num_labels=3, **sizes)
saved, other = (ViTForImageClassification(config).eval() for _ in range(2))
picture = torch.rand(1, 3, 32, 32)
with tempfile.TemporaryDirectory() as folder:
    saved.save_pretrained(folder)
    tensors = load_file(pathlib.Path(folder, "model.safetensors"))
    missed = other.load_state_dict(tensors, strict=False).missing_keys
    loaded = ViTForImageClassification.from_pretrained(folder).eval()
in_memory = saved.state_dict()
print("in the file ", next(name for name in sorted(tensors) if "key.weight" in name))
print("in memory   ", next(name for name in sorted(in_memory) if "k_proj.weight" in name))
with torch.no_grad():
    scores = [net(picture).logits for net in (saved, other, loaded)]
by_hand, by_library = (torch.allclose(scores[0], each, atol=1e-6) for each in scores[1:])
print(f"by hand: {len(missed)} of {len(in_memory)} tensors not loaded, same scores: {by_hand}")
print("from_pretrained: same scores:", by_library)
assert all(name.startswith("vit.layers.") for name in missed)
assert set(missed) == {name for name in in_memory if name.startswith("vit.layers.")}
assert not any(name.startswith("vit.layers.") for name in tensors)
assert not by_hand and by_library
PYTHON
