"""The rules in examples/rules, by the names under which `attach` and suites take them."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "examples" / "rules"
FILES = {
    "noisy-dfa": "noisy_dfa.py:NoisyDFA",
    "pepita": "pepita.py:PEPITA",
    "target-propagation": "target_propagation.py:TargetPropagation",
    "predictive-coding": "predictive_coding.py:PredictiveCoding",
}
EXAMPLES = {name: f"{FOLDER}/{file}" for name, file in FILES.items()}
