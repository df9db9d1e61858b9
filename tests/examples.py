"""The rules in examples/rules, by the names under which `attach` and suites take them."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "examples" / "rules"
FILES = {
    "sparse-fa": "sparse_fa.py:SparseFA",
    "noisy-dfa": "noisy_dfa.py:NoisyDFA",
    "sign-forward-gradient": "sign_forward_gradient.py:SignForwardGradient",
    "class-codes": "class_codes.py:ClassCodes",
    "smoothed-dfa": "smoothed_dfa.py:SmoothedDFA",
    "gained-dfa": "gained_dfa.py:GainedDFA",
    "hebbian-dfa": "hebbian_dfa.py:HebbianDFA",
    "bp-then-dfa": "bp_then_dfa.py:BPThenDFA",
}
EXAMPLES = {name: f"{FOLDER}/{file}" for name, file in FILES.items()}
