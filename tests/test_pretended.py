"""The pretended GPU itself: it has numbers, refuses what a GPU refuses, and sees everything that a GPU waits for."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from grape_bench.network.preserve import preserved
from tests.pretended import CPU, GPU, MixedDevicesError, PretendedGPU


@pytest.fixture
def gpu():
    with PretendedGPU() as bed:
        yield bed


def here():
    return torch.arange(1.0, 5.0).reshape(2, 2)


def there():
    return here().to(GPU)


def test_operations_have_the_numbers_of_the_cpu(gpu):
    a, b = there(), torch.ones(2, 2, device="cuda:0")
    a.add_(b)
    a.T[0].mul_(10)  # writes through a view
    assert {a.device, (a @ b).device, torch.tensor([1], device=GPU).device, a.new_zeros(3).device} == {GPU}
    assert torch.equal(a.cpu(), torch.tensor([[20.0, 3], [40, 5]]))
    assert torch.equal((2 * a.sum(0) + torch.tensor(1.0)).cpu(), torch.tensor([121.0, 17]))


def test_a_model_trains_there_as_on_the_cpu(gpu):
    ends = []
    for device in (CPU, GPU):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
        model, x = model.to(device), torch.randn(5, 1, 4, 4).to(device)
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(2):
            F.cross_entropy(model(x), torch.zeros(5, dtype=torch.long, device=device)).backward()
            optimizer.step()
        ends.append({name: value.cpu() for name, value in model.state_dict().items()})
    torch.testing.assert_close(ends[0], ends[1])


MIXED = {
    "sum": lambda: there() + here(),
    "product": lambda: here() @ there(),
    "in place": lambda: there().mul_(here()),
    "joined": lambda: torch.cat([there(), here()]),
    "numbers joined": lambda: torch.stack([there().sum(), torch.tensor(1.0)]),
    "written number": lambda: torch.tensor(1.0).add_(there().sum()),
    "out": lambda: torch.add(there(), there(), out=here()),
    "indexed": lambda: here()[torch.tensor([0], device=GPU)],
    "values": lambda: there().index_put_((torch.tensor([0]),), here()[:1]),
    "targets": lambda: F.cross_entropy(there(), torch.tensor([0, 1])),
    "weight": lambda: nn.Linear(2, 3)(there()),
    "generator of the CPU": lambda: torch.randn(2, device=GPU, generator=torch.Generator()),
    "generator of the GPU": lambda: torch.randn(2, generator=torch.Generator(GPU)),
    "dropout of the CPU's": lambda: there().bernoulli_(0.5, generator=torch.Generator()),
    "gradient": lambda: stepped_with_a_gradient_of_the_cpu(),
}


def stepped_with_a_gradient_of_the_cpu():
    """PyTorch lets a subclass have a gradient on another device. The optimizer then meets both."""
    weight = nn.Parameter(there())
    (2 * weight).backward(here())
    torch.optim.SGD([weight]).step()


@pytest.mark.parametrize("mistake", MIXED.values(), ids=MIXED)
def test_two_devices_in_one_operation_are_refused(gpu, mistake):
    with pytest.raises(MixedDevicesError):
        mistake()


WAITS = {
    "item": lambda: there().sum().item(),
    "float": lambda: float(there()[0, 0]),
    "int": lambda: int(there()[0, 0]),
    "bool": lambda: bool(there().any()),
    "list": lambda: there().tolist(),
    "equal": lambda: torch.equal(there(), there()),
    "close": lambda: torch.allclose(there(), there()),
    "nonzero": lambda: there().nonzero(),
    "mask": lambda: there()[there() > 2],
    "write by mask": lambda: there().index_put_((there() > 0,), torch.zeros(4, device=GPU)),
    "select": lambda: there().masked_select(there() > 2),
    "unique": lambda: there().unique(),
    "solve": lambda: torch.linalg.solve(there(), there()),
    "to the CPU": lambda: there().cpu(),
    "into a tensor of the CPU": lambda: here().copy_(there()),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_every_kind_of_wait_is_counted_at_its_line(gpu, wait):
    there()
    assert not gpu.waits
    wait()
    assert gpu.waits
    assert all("test_pretended.py: " in line for line in gpu.waits)


NO_WAITS = {
    "where": lambda: torch.where(there().any(), there(), 0.0),
    "fill by mask": lambda: there().masked_fill_(there() > 2, 0.0),
    "index": lambda: there()[torch.tensor([0], device=GPU)],
    "solve_ex": lambda: torch.linalg.solve_ex(there(), there()),
}


@pytest.mark.parametrize("act", NO_WAITS.values(), ids=NO_WAITS)
def test_what_stays_on_the_gpu_is_no_wait(gpu, act):
    act()
    assert not gpu.waits


def test_copies_to_the_gpu_are_counted_apart(gpu):
    there()
    torch.zeros(2, 2, device=GPU).copy_(here())
    there()[torch.tensor([0])]  # a GPU takes indices of the CPU, and copies them
    assert gpu.uploads.total() == 4
    assert not gpu.waits


def test_the_gpu_has_a_global_generator_of_its_own_which_a_forward_on_the_side_puts_back(gpu):
    model, x = nn.Dropout().to(GPU), torch.ones(1000, device=GPU)
    model.register_parameter("w", nn.Parameter(torch.zeros(1, device=GPU)))
    before = torch.get_rng_state()
    with preserved(model):
        first = model(x)
    assert torch.equal(first, model(x))
    assert not torch.equal(first, model(x))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_copied_generator_stays_on_its_device_and_continues_alike(gpu):
    generator = torch.Generator(GPU).manual_seed(3)
    twin = copy.deepcopy(generator)
    a, b = (torch.randn(4, generator=one, device=GPU) for one in (generator, twin))
    assert torch.equal(a, b)


def test_nothing_is_left_behind():
    generator, state = torch.Generator, torch.cuda.get_rng_state
    with PretendedGPU():
        x = there()
    assert (torch.Generator, torch.cuda.get_rng_state) == (generator, state)
    with pytest.raises(RuntimeError, match="outside of PretendedGPU"):
        x + 1


def test_a_file_holds_the_numbers(gpu, tmp_path):
    torch.save({"weight": nn.Parameter(there())}, tmp_path / "file.pt")
    assert gpu.waits.total() == 1
    found = torch.load(tmp_path / "file.pt", map_location="cpu", weights_only=True)
    assert torch.equal(found["weight"], here())
