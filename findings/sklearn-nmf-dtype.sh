#!/usr/bin/env bash
# scikit-learn 1.9.1 (numpy 2.4.6): an NMF fitted on float32 refuses float64 in `transform`
# and the other way round, while PCA, FastICA, TruncatedSVD, DictionaryLearning, FactorAnalysis
# and even MiniBatchNMF take either. The message is about "H", which the caller never gave.
#
# Input: 60 x 8 non-negative numbers.
#
# Who is hurt: anyone who fits on a network's activations, which are float32, and later
# transforms an average or a NumPy result, which is float64; swapping PCA for NMF is enough.
#
# Seen:
#   NMF                  TypeError: H should have the same dtype as X. Got H.dtype = float32.
#   NMF, float64 first   TypeError: H should have the same dtype as X. Got H.dtype = float64.
#   accept: MiniBatchNMF PCA FastICA TruncatedSVD DictionaryLearning FactorAnalysis
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet scikit-learn==1.9.1 numpy==2.4.6
HOME="$scratch" "$scratch/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from sklearn import decomposition

single = np.random.default_rng(0).random((60, 8)).astype(np.float32)
double = single.astype(np.float64)


def outcome(name, fitted_on, asked):
    model = getattr(decomposition, name)(n_components=2, random_state=0).fit(fitted_on)
    try:
        model.transform(asked)
    except TypeError as error:
        return f"TypeError: {error}"
    return "accepts"


refused, reverse = outcome("NMF", single, double), outcome("NMF", double, single)
print("NMF                 ", refused)
print("NMF, float64 first  ", reverse)
others = ["MiniBatchNMF", "PCA", "FastICA", "TruncatedSVD", "DictionaryLearning", "FactorAnalysis"]
accepting = [name for name in others if outcome(name, single, double) == "accepts"]
print("accept:", *accepting)
assert "H should have the same dtype as X" in refused
assert "H should have the same dtype as X" in reverse
assert accepting == others
PYTHON
