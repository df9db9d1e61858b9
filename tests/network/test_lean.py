import copy

import pytest
import torch

import grape_bench as gb
from grape_bench import UserError
from grape_bench.network.lean import lean_step
from grape_bench.network.trace import as_batch
from tests.network.problems import PROBLEMS, Problem, loss_of, tanh_mlp


@pytest.mark.parametrize("rule", ["dfa", "grape"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_a_lean_step_is_an_ordinary_step(problem: Problem, rule: str):
    """Same weights and statistics afterwards, with dropout, BatchNorm, tied embeddings and encoder-decoders."""
    model, example = problem.model().train(), problem.batch()
    twin, batch = copy.deepcopy(model), as_batch(example)
    state = torch.get_rng_state()
    gb.attach(model, rule, example, seed=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = loss_of(model(*batch[0], **batch[1]))
    loss.backward()
    optimizer.step()

    torch.set_rng_state(state)
    net = gb.attach(twin, rule, example, seed=1)
    lean = lean_step(net, batch, loss_of, torch.optim.SGD(twin.parameters(), lr=0.1))
    torch.testing.assert_close(lean, loss.detach())
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-4, atol=1e-6, msg=name)


def test_a_rule_that_goes_back_in_a_row_is_refused():
    net = gb.attach(tanh_mlp(), "fa", torch.randn(4, 6))
    with pytest.raises(UserError, match="cannot train block by block"):
        lean_step(net, ((torch.randn(4, 6),), {}), loss_of, torch.optim.SGD(net.model.parameters(), lr=0.1))


def test_the_refresh_of_grape_is_the_first_forward_of_a_lean_step():
    forwards = []
    net = gb.attach(tanh_mlp(), gb.make_rule("grape", refresh=2), torch.randn(4, 6))
    net.model.register_forward_hook(lambda *_: forwards.append(torch.is_grad_enabled()))
    optimizer = torch.optim.SGD(net.model.parameters(), lr=0.1)
    for _ in range(2):
        lean_step(net, ((torch.randn(4, 6),), {}), loss_of, optimizer)
    assert len(forwards) == 2 + 2  # with and without a refresh
