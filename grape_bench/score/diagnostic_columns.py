"""The columns of diagnostics.csv that `show` prints."""

from __future__ import annotations

from grape_bench.score.quantity import Quantity

DIAGNOSTICS: tuple[Quantity, ...] = (
    Quantity(
        name="signal_cos",
        heading="signal_cos",
        meaning="cosine between the signal at the output and the true dL/dh, over training (0 to 1) and at its end",
        format=".2f",
        axis="cosine to the true gradient",
    ),
    Quantity(name="null_cos", heading="null", meaning="the same cosine for random direct feedback", format=".2f"),
    Quantity(
        name="feedback_cos",
        heading="B·J",
        meaning="cosine between the feedback B and the Jacobian J",
        format=".2f",
    ),
    Quantity(
        name="weight_cos",
        heading="B·W",
        meaning="cosine between the feedback B and the weights W",
        format=".2f",
    ),
    Quantity(
        name="gradient_cos",
        heading="gradient",
        meaning="cosine between the parameters' gradients and the true ones",
        format=".2f",
    ),
    Quantity(name="growth", heading="growth", meaning="size of the output ÷ the previous block's", format=".3g"),
    Quantity(name="gain", heading="gain", meaning="norm of dL/dh ÷ norm of the error", format=".2g"),
    Quantity(
        name="probe_accuracy",
        heading="probe",
        meaning="accuracy (%) of a linear classifier on the output",
        format=".0f",
    ),
    Quantity(name="probe_r2", heading="probe R²", meaning="R² of a linear regression on the output", format=".2f"),
)
"""The columns of diagnostics.csv that `show` prints for each block."""
