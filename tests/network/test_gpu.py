"""The engine and the rules on a real GPU, against the same steps on the CPU."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import grape_bench as gb
from grape_bench.network.captured import WARM_UP, CapturedStep
from grape_bench.network.parallel import parallel_backward
from grape_bench.network.preserve import preserved
from grape_bench.network.tangents import TangentPass, same_dropout
from grape_bench.rules.grape import GrAPE
from grape_bench.rules.make import make_rule
from grape_bench.rules.names import RULES
from tests.gpu import CUDA, ON_A_GPU
from tests.network.every_rule import OF_OTHER_NETWORKS
from tests.network.problems import BY_NAME, tanh_mlp

pytestmark = ON_A_GPU
STEPS = 3  # more let FA on a ResNet with BatchNorm and four samples grow one rounding error to everything
MODELS = ["mlp", "resnet18", "vit", "bert"]
DRAWS_ON_THE_DEVICE = ["fg", "wm", "brsf", "bp-sampled", "ff", "spsa"]


@pytest.fixture(autouse=True)
def exact_arithmetic():
    """Full fp32 and repeatable algorithms, so that a GPU and a CPU differ by rounding alone."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.allow_tf32
    cudnn.deterministic, cudnn.allow_tf32 = True, False
    yield
    cudnn.deterministic, cudnn.allow_tf32 = before


@pytest.fixture
def directions_from_the_cpu(monkeypatch):
    """GrAPE's directions, which a GPU's generator draws differently, drawn on the CPU for both devices."""
    randn = torch.randn

    def on_the_cpu(*size, generator=None, device=None, **more):
        if generator is None or torch.device(device or "cpu").type == "cpu":
            return randn(*size, generator=generator, device=device, **more)
        twin = _twins.setdefault(generator, torch.Generator().manual_seed(generator.initial_seed()))
        return randn(*size, generator=twin, **more).to(device)

    _twins = {}
    monkeypatch.setattr(torch, "randn", on_the_cpu)


def on(device, batch):
    if isinstance(batch, dict):
        return {name: tensor.to(device) for name, tensor in batch.items()}
    return batch.to(device)


def scores_of(output):
    return output if isinstance(output, torch.Tensor) else output.logits


def logits(model, batch):
    return scores_of(model(**batch) if isinstance(batch, dict) else model(batch))


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "dropout_prob"):
            module.dropout_prob = 0.0
    return model


def trained(device, rule, name, steps=STEPS):
    """Weights at the start and after `steps` steps of SGD, on the CPU."""
    torch.manual_seed(0)
    problem = BY_NAME[name]
    model, batch = without_dropout(problem.model()).train().to(device), on(device, problem.batch())
    if not isinstance(batch, dict):
        batch = batch.double()
    model.double()  # in fp32 a net with BatchNorm and four samples doubles a rounding error at every step
    start = torch.cat([p.detach().flatten().cpu() for p in model.parameters()])
    try:
        net = gb.attach(model, rule, batch)
    except gb.DoesNotApplyError as refusal:
        pytest.skip(str(refusal))
    net.begin_epoch(steps)
    optimizer = torch.optim.SGD(net.parameter_groups(), lr=0.01)
    target = torch.arange(len(batch["input_ids"] if isinstance(batch, dict) else batch), device=device) % 2
    for _ in range(steps):
        optimizer.zero_grad()
        net.step(batch, lambda output: cross_entropy(scores_of(output), target), target)
        optimizer.step()
    return start, torch.cat([p.detach().flatten().cpu() for p in model.parameters()])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "rule", [*(rule for rule in RULES if rule not in OF_OTHER_NETWORKS), "dfa+anchor", "grape+anchor"]
)
def test_steps_end_where_the_cpu_ends(rule, name, directions_from_the_cpu):
    if rule in DRAWS_ON_THE_DEVICE:
        pytest.skip("draws other numbers on each device")
    if (rule, name) == ("grape-quarter", "resnet18"):
        pytest.skip("a quarter of four samples is one: BatchNorm then grows a rounding error to everything")
    # "joint": on a CPU one generator draws the turns of "split" and the directions, on a GPU there are two.
    settings = {"estimator": "joint"} if rule.startswith("grape") else {}
    start, expected = trained(torch.device("cpu"), make_rule(rule, **settings), name)
    _, found = trained(CUDA, make_rule(rule, **settings), name)
    assert (found - expected).norm() / (expected - start).norm() < 1e-6


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rule", DRAWS_ON_THE_DEVICE)
def test_rules_that_draw_on_the_device_train_there(rule, name):
    start, end = trained(CUDA, rule, name)
    assert end.isfinite().all()
    assert (end - start).norm() > 0


class Reader(nn.Module):
    """Two recurrent layers and a head."""

    def __init__(self, layer):
        super().__init__()
        self.layers = nn.ModuleList(layer(5, 5, batch_first=True) for _ in range(2))
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        for layer in self.layers:
            x, _ = layer(x)
        return self.head(x[:, -1])


@pytest.mark.parametrize("rule", [GrAPE(refresh=1, estimator="joint"), "fg"], ids=str)
@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_carry_tangents(layer, rule):
    """The fused kernels of CUDA have no forward derivative."""
    model, x = Reader(layer).to(CUDA).train(), torch.randn(4, 6, 5, device=CUDA)
    gb.attach(model, copy.deepcopy(rule), x)
    model(x).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_tangent_pass_draws_the_masks_of_the_forward_that_follows():
    """With dropout in attention: the fused back-ends would draw other masks than the math one."""
    torch.manual_seed(0)
    problem = BY_NAME["bert"]
    model, batch = problem.model().train().to(CUDA), on(CUDA, problem.batch())
    net = gb.attach(model, "dfa", batch)
    pass_ = TangentPass(lambda block, output: torch.ones_like(output))
    with preserved(model):
        net.run(pass_, ((), batch))
    with same_dropout(CUDA):
        assert torch.allclose(pass_.logits, logits(model, batch), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", "grape", "fg"])
def test_autocast(rule, dtype):
    problem = BY_NAME["vit"]
    model, batch = problem.model().train().to(CUDA), problem.batch().to(CUDA)
    gb.attach(model, rule, batch)
    with torch.autocast("cuda", dtype):
        loss = cross_entropy(model(batch), torch.arange(len(batch), device=CUDA))
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("rule", ["bp", "dfa", "grape", "fa"])
def test_channels_last(rule):
    problem = BY_NAME["resnet18"]
    torch.manual_seed(0)
    model, batch = problem.model().train().to(CUDA), problem.batch().to(CUDA)
    twin = copy.deepcopy(model).to(memory_format=torch.channels_last)
    for one, images in ((model, batch), (twin, batch.to(memory_format=torch.channels_last))):
        gb.attach(one, rule, images)
        cross_entropy(one(images), torch.arange(len(images), device=CUDA)).backward()
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    assert all(torch.allclose(a.grad, b.grad, rtol=1e-2, atol=1e-3) for a, b in pairs if a.grad is not None)


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", "head-only", GrAPE(refresh=1, estimator="joint")], ids=str)
def test_no_step_waits_for_the_gpu(rule):
    problem = BY_NAME["vit"]
    model, batch = problem.model().train().to(CUDA), problem.batch().to(CUDA)
    gb.attach(model, copy.deepcopy(rule), batch)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    targets = torch.arange(len(batch), device=CUDA)
    for mode in ("default", "error"):  # the first step sets up what waits once
        torch.cuda.set_sync_debug_mode(mode)
        try:
            optimizer.zero_grad()
            cross_entropy(model(batch), targets).backward()
            optimizer.step()
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("rule", ["dfa", "grape-lazy"])  # its second step keeps the feedback
def test_streams_give_an_ordinary_steps_gradients(rule):
    model, x = tanh_mlp().to(CUDA).train(), torch.randn(8, 6, device=CUDA)
    net = gb.attach(model, rule, x)
    model(x).square().sum().backward()
    expected = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    parallel_backward(net, ((x,), {}), lambda output: output.square().sum())
    torch.cuda.synchronize()
    pairs = zip(model.parameters(), expected, strict=True)
    assert all(torch.allclose(p.grad, gradient, rtol=1e-4, atol=1e-6) for p, gradient in pairs)


def captured_step(loss_of):
    model, x = tanh_mlp().to(CUDA).train(), torch.randn(8, 6, device=CUDA)
    net = gb.attach(model, "dfa", x)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return CapturedStep(net, loss_of, optimizer), (x, torch.arange(8, device=CUDA) % 4)


def test_a_refused_capture_leaves_the_process_whole():
    """It names its cause, puts the stream back, and a later capture works."""
    refused, batch = captured_step(lambda output, targets: cross_entropy(output, targets) / output.sum().item())
    with pytest.raises(gb.UserError, match="cannot be captured") as error:
        for _ in range(WARM_UP + 1):
            refused(*batch)
    assert "previous error during capture" not in str(error.value)
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    torch.cuda.empty_cache()
    good, batch = captured_step(cross_entropy)
    losses = [good(*batch).item() for _ in range(WARM_UP + 20)]
    assert losses[-1] < losses[0]


def test_a_generator_on_the_gpu_can_be_copied():
    """Diagnostics copy a network with the random streams of its rule."""
    generator = torch.Generator(CUDA).manual_seed(3)
    twin = copy.deepcopy(generator)
    assert torch.equal(torch.randn(4, generator=generator, device=CUDA), torch.randn(4, generator=twin, device=CUDA))
