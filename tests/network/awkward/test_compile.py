"""torch.compile, before or after attaching, of the model or of its blocks."""

import pytest
import torch
from torch._dynamo.utils import counters

from grape_bench.attachment import attached
from grape_bench.network.tangents import TangentPass
from tests.network.awkward import comparison
from tests.network.awkward.comparison import X, assert_same, attach, gradients
from tests.network.problems import BY_NAME, VIT, loss_of, timm_model

# Compiling takes seconds, and GrAPE cuts as DFA does. Its cuts and tangents are in the default tests.
RULES = ["grape", pytest.param("fa", marks=pytest.mark.slow)]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")


def vit():
    torch.manual_seed(0)
    return timm_model("vit_tiny_patch16_224", **VIT | {"depth": 2})().train()


def expected_of(rule):
    return comparison.expected_of(rule, vit)


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("rule", ["fa", pytest.param("dfa", marks=pytest.mark.slow), "grape"])
@pytest.mark.parametrize("backend", ["eager", pytest.param("aot_eager", marks=pytest.mark.slow)])
def test_after_attaching(rule, backend):
    model = vit()
    net = attach(model, rule)
    assert_same(gradients(model, call=torch.compile(model, backend=backend)), expected_of(rule))
    assert net.counts.backward == 1


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["fa", "grape"])
def test_with_inductor(rule):
    model = vit()
    attach(model, rule)
    assert_same(gradients(model, call=torch.compile(model)), expected_of(rule), tolerance=1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_a_model_that_has_run_compiled_before_it_was_attached(rule):
    """What was compiled for the model without hooks is not used any more."""
    model = vit()
    compiled = torch.compile(model, backend="eager")
    compiled(X)
    attach(model, rule)
    assert_same(gradients(model, call=compiled), expected_of(rule))


@pytest.mark.parametrize("rule", RULES)
def test_attaching_to_what_torch_compile_returns(rule):
    model = vit()
    compiled = torch.compile(model, backend="eager")
    net = attach(compiled, rule)
    assert attached(compiled) is attached(model) is net
    assert_same(gradients(model, call=compiled), expected_of(rule))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("first", [False, True], ids=["attached-first", "compiled-first"])
def test_a_model_compiled_in_place(rule, first):
    model = vit()
    if first:
        model.compile(backend="aot_eager")
    attach(model, rule)
    if not first:
        model.compile(backend="aot_eager")
    assert_same(gradients(model), expected_of(rule))


@pytest.mark.parametrize("backend", ["eager", pytest.param("aot_eager", marks=pytest.mark.slow)])
def test_tangents_go_through_compiled_blocks(backend):
    """Compiled, they would be lost or, with the eager backend, be others."""
    model = vit()
    net = attach(model, "grape")
    tangents = []
    for compiled in (False, True):
        if compiled:
            for block in model.blocks:
                block.compile(backend=backend)
        pass_ = TangentPass(lambda block, output: torch.linspace(-1, 1, output.numel()).reshape(output.shape))
        net.run(pass_, ((X,), {}))
        tangents.append(pass_.tangent)
    assert tangents[0].any()
    torch.testing.assert_close(tangents[1], tangents[0])


@pytest.mark.parametrize("rule", ["grape", "fa"])
def test_steps_after_the_first_compile_nothing_again(rule):
    model = vit()
    attach(model, rule)
    compiled = torch.compile(model, backend="eager")
    for _ in range(2):
        gradients(model, X + 1, call=compiled)
    with torch.compiler.set_stance("fail_on_recompile"):
        gradients(model, X.clone(), call=compiled)


@pytest.mark.parametrize("rule", [pytest.param("dfa", marks=pytest.mark.slow), "fa"])
def test_all_blocks_share_the_compiled_code(rule):
    """Otherwise a deep model meets the compiler's limit, and the rest of it runs uncompiled."""

    def graphs_of(depth):
        torch.compiler.reset()
        counters.clear()
        model = timm_model("vit_tiny_patch16_224", **VIT | {"depth": depth})()
        attach(model, rule)
        gradients(model, call=torch.compile(model, backend="eager"))
        return counters["stats"]["unique_graphs"]

    assert graphs_of(2) == graphs_of(4)


@pytest.mark.parametrize(
    "problem", ["mlp", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gpt2", "resnet18"))]
)
@pytest.mark.parametrize("amp", [False, True])
def test_the_family_of_fa_gives_the_gradients_of_an_uncompiled_step(problem, amp):
    """Linear layers and convolutions are part of the graph. GPT-2's own linear map ends it."""
    found = []
    for compiles in (False, True):
        torch.manual_seed(0)
        model = BY_NAME[problem].model().train()
        batch = BY_NAME[problem].batch()
        attach(model, "brsf", batch)
        call = torch.compile(model, backend="aot_eager") if compiles else model
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            output = call(**batch) if isinstance(batch, dict) else call(batch)
        loss_of(output).backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert_same(found[1], found[0], tolerance=1e-6)


def test_a_weight_carries_its_matrix_during_a_forward_only():
    model = vit()
    attach(model, "fa")
    gradients(model)
    assert not any(vars(parameter) for parameter in model.parameters())


@pytest.mark.parametrize("rule", ["grape", "fg"])
@pytest.mark.parametrize("ways", ["block", pytest.param("attention", marks=pytest.mark.slow)])
def test_tangents_avoid_flash_attention_whatever_part_is_compiled(rule, ways):
    """Flash attention has no forward derivative, and compiled code calls it directly."""
    expected = expected_of(rule)
    model = vit()
    for block in model.blocks:
        (block if ways == "block" else block.attn).compile(backend="aot_eager")
    gradients(model)
    attach(model, rule)
    assert_same(gradients(model), expected)


def test_a_compiled_model_has_checkpoints():
    model = vit()
    net = attach(model, "dfa")
    model.compile(backend="eager")
    net.load_state_dict(net.state_dict())
    assert_same(gradients(model), expected_of("dfa"))


@pytest.mark.parametrize("rule", RULES)
def test_detached_a_compiled_model_is_backpropagated_again(rule):
    model = vit()
    compiled = torch.compile(model, backend="eager")
    net = attach(model, rule)
    gradients(model, call=compiled)
    net.detach()
    assert_same(gradients(model, call=compiled), expected_of("bp"))
