"""What is known about each shipped rule: its family, source and needs, who checked it, and what to tune.

Does not import torch. docs/rules.md and `grape-bench list rules` show it as a table.
"""

from __future__ import annotations

from collections.abc import Mapping

from grape_bench.record.rule_name import FROZEN, RuleName
from grape_bench.rules.entry import Entry
from grape_bench.rules.names import LADDER

CONTROL = "the definition (a test), 2026-11"
UNCHECKED = "unchecked"
LOG = "log"
RATE = {LOG: [1e-3, 1.0]}
_GRAPE = {"feedback_lr": RATE}

CATALOG: Mapping[str, Entry] = {
    "bp": Entry(
        "backpropagation",
        r"$J_l^\top e$, by autograd through all blocks in a row",
        "Rumelhart, Hinton, Williams 1986",
        "block above",
        "all weights, transposed",
    ),
    "bp-sampled": Entry(
        "approximate backward",
        r"as `bp`, with $m_k e_k / q_k$ for $e_k$: a few outputs, drawn with probability $q_k$",
        "Adelman et al. 2021",
        "block above",
        "all weights, transposed",
        space={"samples": {"choice": [2, 4, 8]}},
    ),
    "bp-lowrank": Entry(
        "approximate backward",
        r"as `bp`, with $\frac{C}{r} Q Q^\top g$ for the signal $g$ that arrives, $Q$ ($C \times r$) random",
        "Oktay et al. 2021",
        "block above",
        "all weights, transposed",
        space={"share": {"linear": [0.1, 1.0]}},
    ),
    "bp-window": Entry(
        "approximate backward",
        "as `bp`, and attention sends no gradient to keys far from their query",
        "after Beltagy et al. 2020",
        "block above",
        "all weights, transposed; attention",
        space={"window": {"choice": [1, 4, 16]}},
    ),
    "fa": Entry(
        "feedback alignment",
        "as `bp`, with a fixed random $B$ for $W$ in the input gradient of every linear map",
        "Lillicrap et al. 2016",
        "block above",
    ),
    "usf": Entry(
        "feedback alignment",
        r"as `fa`, with $s \operatorname{sign}(W)$ for $B$",
        "Moskovitz et al. 2018",
        "block above",
        "the signs of the weights",
    ),
    "brsf": Entry(
        "feedback alignment",
        r"as `fa`, with $\lvert M \rvert \circ \operatorname{sign}(W)$, $M$ drawn in each step",
        "Moskovitz et al. 2018",
        "block above",
        "the signs of the weights",
    ),
    "frsf": Entry(
        "feedback alignment",
        "the same, with $M$ drawn once",
        "Moskovitz et al. 2018",
        "block above",
        "the signs of the weights",
    ),
    "kp": Entry(
        "feedback alignment",
        "as `fa`, and $B$ gets the updates of $W$",
        "Kolen and Pollack 1994; Akrout et al. 2019",
        "block above",
        "the updates of the weights",
        space={"decay": {LOG: [1e-5, 1e-2]}},
    ),
    "wm": Entry(
        "feedback alignment",
        "as `fa`, and $B$ learns $W$ from noise",
        "Akrout et al. 2019",
        "block above",
        "a phase with noise",
        space={"rate": {LOG: [1e-2, 1.0]}},
    ),
    "pfa": Entry(
        "feedback alignment",
        r"as `fa`, with $B R$ for $B$, where $B$ is fixed and $R$ gets the update $B^\top \Delta W$",
        "Li and Benna 2024",
        "block above",
        "the updates of the weights",
        space={"expansion": {"choice": [1, 10]}, "decay": {LOG: [1e-5, 1e-2]}},
    ),
    "dfa": Entry("direct feedback", r"$B_l^\top e$, $B_l$ fixed and random", "Nøkland 2016; Launay et al. 2020"),
    "drtp": Entry(
        "direct feedback",
        r"$-s\, B_l^\top y^*$: the target instead of the error",
        "Frenkel et al. 2021",
        "nothing",
        "classes",
    ),
    "ebd": Entry(
        "learned direct feedback",
        r"$R_l e$, $R_l$ a running mean of $h_l e^\top$",
        "Erdogan, Pehlevan and Erdogan 2025",
        space={"memory": {"choice": [0.99, 0.999, 0.9999, 0.99999]}, "rate": {LOG: [0.1, 10.0]}},
    ),
    "dkp": Entry(
        "learned direct feedback",
        "as `dfa`, and $B_l$ gets the update of a weight from the block to the output",
        "Webster et al. 2021",
        space={"feedback_lr": {LOG: [1e-4, 1e-1]}, "feedback_decay": {LOG: [1e-4, 1e-1]}},
    ),
    "fdfa": Entry(
        "learned direct feedback",
        "as `dfa`, and $B_l$ averages forward-mode estimates of the Jacobian",
        "Bacho and Chu 2024",
        needs="a pass on dual numbers",
        space={"feedback_lr": {LOG: [1e-5, 1e-2]}},
    ),
    "grape": Entry(
        "learned direct feedback",
        r"$B_l^\top e$, $B_l$ kept close to the true Jacobian",
        "Caillon et al., ICLR 2026",
        needs="a pass on dual numbers",
        space=_GRAPE,
    ),
    "grape-quarter": Entry(
        "learned direct feedback",
        "as `grape`, with derivatives on a quarter of each mini-batch",
        "ours",
        needs="a pass on dual numbers, on a quarter of the batch; samples that do not depend on each other",
        space=_GRAPE,
    ),
    "grape-lazy": Entry(
        "learned direct feedback",
        "as `grape`, with $B_l$ refreshed on every eighth mini-batch only",
        "ours",
        needs="a pass on dual numbers, at times",
        space=_GRAPE,
    ),
    "grape+refit": Entry(
        "learned direct feedback",
        "as `grape`, and once an epoch $B_l$ is fitted to exact gradients",
        "ours",
        needs="a pass on dual numbers; backpropagation on one batch per epoch",
        space=_GRAPE,
    ),
    "grape-lazy+refit": Entry(
        "learned direct feedback",
        "as `grape-lazy`, and once an epoch $B_l$ is fitted to exact gradients",
        "ours",
        needs="a pass on dual numbers, at times; backpropagation on one batch per epoch",
        space=_GRAPE,
    ),
    "dni": Entry(
        "learned direct feedback",
        "$M_l(h_l)$, which a model of the block predicts",
        "Jaderberg et al. 2017",
        "nothing",
        "models of gradients; a second forward",
        space={"hidden": {"choice": [32, 128]}, "layers": {"choice": [0, 1]}},
    ),
    "local": Entry(
        "local losses",
        "the gradient of the block's own loss, with a fixed random classifier",
        "Mostafa et al. 2018",
        "nothing",
        "classes",
    ),
    "predsim": Entry(
        "local losses",
        "the same, with a trained classifier and a similarity loss",
        "Nøkland and Eidnes 2019",
        "nothing",
        "classes; a classifier and a map per block",
        space={"beta": {"linear": [0.0, 1.0]}},
    ),
    "dgl": Entry(
        "local losses",
        "the same, with a trained auxiliary network",
        "Belilovsky et al. 2020",
        "nothing",
        "classes; a network per block",
        space={"layers": {"choice": [1, 2, 3]}},
    ),
    "mono-forward": Entry(
        "local losses",
        "the same, with a trained projection onto the classes",
        "Gong, Li and Abdulla 2025 (arXiv v1)",
        "nothing",
        "classes; a matrix per block",
    ),
    "fg-local": Entry(
        "local losses",
        r"$(\mathrm{d}L_l \cdot p)\, p$, the forward gradient of the block's own loss",
        "Ren et al. 2023",
        "nothing",
        "classes; a classifier per block",
        space={"perturbations": {"choice": [1, 2, 4]}},
    ),
    "ff": Entry(
        "forward only",
        "the gradient of the block's own loss, which tells right from wrong labels in the input",
        "Hinton 2022",
        "nothing",
        "classes; two forwards with labels in the input",
        space={"threshold": {LOG: [0.1, 10.0]}},
    ),
    "fg": Entry(
        "forward only",
        r"$(e^\top d)\, p_l$, $d$ the derivative of $\hat y$ along random $p_1 \dots p_L$",
        "Ren et al. 2023",
        needs="a pass on dual numbers",
        space={"perturbations": {"choice": [1, 2, 4]}},
    ),
    "fg-weights": Entry(
        "forward only",
        r"nothing: $(\mathrm{d}L \cdot v)\, v$ for all weights at once",
        "Baydin et al. 2022",
        "second forward",
        "a pass on dual numbers",
        space={"perturbations": {"choice": [1, 2, 4]}},
    ),
    "pepita": Entry(
        "forward only",
        r"$h_l - h_l'$, the difference to a second forward on $x + F e$",
        "Dellaferrera and Kreiman 2022",
        "second forward",
        "a second forward",
        space={"scale": {LOG: [0.01, 1.0]}},
    ),
    "spsa": Entry(
        "forward only",
        "nothing: two forwards with shifted weights give a slope",
        "Spall 1992; Malladi et al. 2023",
        "second forward",
        "two forwards",
        space={"radius": {LOG: [1e-4, 1e-1]}},
    ),
    "dtp": Entry(
        "targets and energy",
        r"$h_l - \hat h_l$ with $\hat h_l = h_l + g_l(\hat h_{l+1}) - g_l(h_{l+1})$, $g_l$ a learned inverse",
        "Lee et al. 2015",
        needs="a model of each block's inverse; forwards with noise; the head's weights, transposed",
        space={"step": {LOG: [0.1, 10.0]}, "noise": {LOG: [0.01, 1.0]}, "inverse": {"choice": ["tanh", "linear"]}},
    ),
    "pc": Entry(
        "targets and energy",
        "the gradient of an energy at activations that have relaxed",
        "Whittington and Bogacz 2017",
        needs="weights, transposed, in each step of the relaxation",
        space={"steps": {"choice": [4, 8, 16]}, "rate": {LOG: [0.01, 0.5]}},
    ),
    "ep": Entry(
        "targets and energy",
        r"nothing: $\frac{1}{\beta}$ times the change of the energy's gradient between a free and a nudged phase",
        "Scellier and Bengio 2017",
        "second forward",
        "a layered energy model",
        space={"beta": {LOG: [0.1, 1.0]}},
    ),
    "dfa-time": Entry(
        "in time and on graphs",
        r"$B_l^\top e$ at every step, with no gradient between steps",
        "Nøkland 2016; Han et al. 2020",
        needs="a recurrent or spiking network",
    ),
    "eprop": Entry(
        "in time and on graphs",
        r"$B_l^\top e_t$, through each unit's own state in time, and no recurrent weight",
        "Bellec et al. 2020",
        needs="spiking neurons or LSTMs",
    ),
    "rflo": Entry(
        "in time and on graphs",
        r"$B_l^\top e_t$, through each unit's leak in time, and no recurrent weight",
        "Murray 2019",
        needs="leaky rate units",
    ),
    "dfa-gnn": Entry(
        "in time and on graphs",
        r"$S^{L-l} E B_l$, $S$ the normalized adjacency, $E$ with pseudo-errors of unlabeled nodes",
        "Zhao et al. 2024",
        needs="a graph network",
        space={"alpha": {"linear": [0.0, 1.0]}},
    ),
    "head-only": Entry(
        "control",
        "nothing: the blocks stay at their initial weights, and the head is trained",
        "control",
        "nothing",
        checked=CONTROL,
    ),
    FROZEN: Entry(
        "control",
        "nothing: the blocks stay as in `head-only`, and the head is fitted to convergence",
        "control",
        "nothing",
        checked=CONTROL,
    ),
    "norms-only": Entry(
        "control",
        "as `bp`, but only the embedding, the norms and the head are trained",
        "control",
        "block above",
        "all weights, transposed",
        CONTROL,
    ),
    **{
        f"last-{count}": Entry(
            "control",
            f"as `bp` in the last {f'{count} blocks' if count > 1 else 'block'}, and nothing below",
            "control",
            "block above",
            "the last weights, transposed",
            CONTROL,
        )
        for count in LADDER
    },
}
"""The shipped rules by name, in the order of the docs. A test checks that no shipped rule is missing."""


def entry_of(rule: str) -> Entry | None:
    """The entry of a rule as written in a suite, such as `grape:p4+anchor`. None for a user's own rule."""
    return CATALOG.get(RuleName.parse(rule).reference)


def checked(rule: str) -> str:
    """Who checked the code of a rule, against what and when."""
    entry = entry_of(rule)
    return entry.checked if entry else UNCHECKED
