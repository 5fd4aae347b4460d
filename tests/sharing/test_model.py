import pytest
import torch
from torch import nn

from accord.sharing import PLE, Heads, MMoE, MultiTaskModel


def build(cls=MMoE, **options):
    generator = torch.Generator().manual_seed(0)
    stem = nn.Linear(6, 5)
    sharing = cls(5, 2, hidden=4, generator=generator, **options)
    return MultiTaskModel(stem, sharing, Heads(4, [1, 3], act="tanh", generator=generator))


@pytest.mark.parametrize("cls", [MMoE, PLE])
def test_parameters_are_split_between_what_both_and_what_one_objective_reaches(cls):
    model = build(cls)
    names = {id(p): n for n, p in model.named_parameters()}
    parts = [model.shared_parameters(), model.task_parameters(0), model.task_parameters(1)]
    assert sorted(names[id(p)] for part in parts for p in part) == sorted(names.values())
    outputs = model(torch.randn(32, 6, generator=torch.Generator().manual_seed(2)))
    grads = [
        torch.autograd.grad(output.square().sum(), list(model.parameters()), retain_graph=True, allow_unused=True)
        for output in outputs
    ]
    reach = {
        id(p): {t for t in range(2) if (g := grads[t][k]) is not None and g.abs().max() > 0}
        for k, p in enumerate(model.parameters())
    }
    shared = [p for p in parts[0] if "experts" not in names[id(p)]]  # a dead unit is not a missing path
    assert all(reach[id(p)] == {0, 1} for p in shared)
    assert all(reach[id(p)] <= {t} for t in range(2) for p in parts[1 + t])
    assert model.tasks == 2 and model.last_shared_parameters()


def test_frozen_parameters_belong_to_nobody():
    model = build()
    model.stem.requires_grad_(False)
    model.heads.requires_grad_(False)
    assert not {id(p) for p in model.stem.parameters()} & {id(p) for p in model.shared_parameters()}
    assert model.task_parameters(0) == model.sharing.task_parameters(0)


def test_any_modules_can_be_put_together():
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 1)

        def forward(self, hidden):
            return self.layer(hidden).squeeze(1)

    trunk = nn.Sequential(nn.Linear(5, 4), nn.Tanh())
    model = MultiTaskModel(nn.Linear(6, 5), trunk, {"income": Head(), "class": nn.Linear(4, 3)})
    outputs = model(torch.randn(7, 6))
    assert [tuple(output.shape) for output in outputs] == [(7, 1), (7, 3)]
    assert len(model.shared_parameters()) == 4 and len(model.task_parameters(1)) == 2


def test_one_task_has_the_same_parts():
    generator = torch.Generator().manual_seed(0)
    model = MultiTaskModel(nn.Linear(6, 5), MMoE(5, 1, hidden=4, generator=generator), Heads(4, [1]))
    assert len(model(torch.randn(3, 6))) == 1
    assert len(model.shared_parameters()) == 4 and len(model.task_parameters(0)) == 5


def test_state_dict_round_trip_through_safetensors(tmp_path):
    from safetensors.torch import load_file, save_file

    first, second = build(PLE), build(PLE)
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.add_(1.0)
    save_file(first.state_dict(), tmp_path / "model.safetensors")
    second.load_state_dict(load_file(tmp_path / "model.safetensors"))
    x = torch.randn(4, 6)
    assert all(torch.equal(a, b) for a, b in zip(first(x), second(x), strict=True))
