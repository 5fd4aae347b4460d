"""What every way of sharing must satisfy."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sharing import reference

from accord.errors import ConfigurationError
from accord.registry import find, registered
from accord.sharing import PLE, HardSharing, MMoE, OMoE

CASES = [
    (HardSharing, {"width": 6}),
    (HardSharing, {"width": 6, "depth": 0}),
    (OMoE, {"experts": 3, "hidden": 4}),
    (MMoE, {"experts": 3, "hidden": 4}),
    (MMoE, {"experts": 3, "hidden": (5, 4)}),
    (PLE, {"levels": 1, "own": 1, "shared": 2, "hidden": 4}),
    (PLE, {"levels": 2, "own": 2, "shared": 1, "hidden": (5, 4)}),
    (PLE, {"levels": 3, "own": 1, "shared": 1, "hidden": 4}),
    (PLE, {"levels": 4, "own": 2, "shared": 3, "hidden": 4}),
]
case = pytest.mark.parametrize(("cls", "options"), CASES, ids=lambda x: getattr(x, "__name__", None))


def make(cls, options, tasks=3, seed=0, **more):
    return cls(5, tasks, generator=torch.Generator().manual_seed(seed), **options, **more)


def inputs(rows, seed=1):
    return torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed))


@case
@pytest.mark.parametrize("rows", [0, 1, 7])
@pytest.mark.parametrize("tasks", [1, 3])
def test_shapes(cls, options, rows, tasks):
    module = make(cls, options, tasks)
    outputs = module(inputs(rows))
    assert outputs.shape == (rows, tasks, module.out_features) and module.tasks == tasks


@case
def test_every_parameter_is_accounted_for_once(cls, options):
    module = make(cls, options)
    named = [*module.shared_parameters(), *(p for t in range(3) for p in module.task_parameters(t))]
    assert sorted(map(id, named)) == sorted(map(id, module.parameters()))
    shared = set(map(id, module.shared_parameters()))
    assert module.last_shared_parameters() and {id(p) for p in module.last_shared_parameters()} <= shared


@case
def test_gradients_reach_exactly_the_stated_parameters(cls, options):
    module = make(cls, options)
    # Smooth, so that no expert is dead by chance.
    if cls is not HardSharing:
        module.options.activation = torch.tanh
    x = inputs(16)
    reached: dict[int, set[int]] = {id(p): set() for p in module.parameters()}
    for task in range(3):
        module.zero_grad(set_to_none=True)
        module(x)[:, task].square().sum().backward()
        for parameter in module.parameters():
            if parameter.grad is not None and parameter.grad.abs().max() > 0:
                reached[id(parameter)].add(task)
    for parameter in module.shared_parameters():
        assert reached[id(parameter)] == {0, 1, 2}
    for task in range(3):
        for parameter in module.task_parameters(task):
            assert reached[id(parameter)] == {task}


@case
def test_a_row_does_not_see_the_others(cls, options):
    module = make(cls, options).eval()
    x = inputs(6)
    torch.testing.assert_close(module(x)[2:3], module(x[2:3]), rtol=1e-5, atol=1e-6)


@case
@pytest.mark.parametrize("size", [0.0, 1e-20, 1e10])
def test_extreme_inputs_stay_finite(cls, options, size):
    module = make(cls, options)
    x = (inputs(4) * size).requires_grad_()
    outputs = module(x)
    outputs.mean().backward()
    assert torch.isfinite(outputs).all()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


@case
def test_state_dict_round_trip(cls, options):
    first, second = make(cls, options, seed=0).eval(), make(cls, options, seed=1).eval()
    assert not torch.equal(first(inputs(3)), second(inputs(3)))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(inputs(3)), second(inputs(3)))


@case
def test_the_start_depends_on_the_generator_alone(cls, options):
    before = torch.random.get_rng_state()
    first = make(cls, options, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng():
        torch.manual_seed(99)
        second = make(cls, options, seed=5)
    for name, parameter in first.state_dict().items():
        assert torch.equal(parameter, second.state_dict()[name])


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
def test_mmoe_is_its_equation(seed, tasks, experts, width, layers):
    module = make(MMoE, {"experts": experts, "hidden": (width,) * layers}, tasks, seed).double()
    x = inputs(3, seed).double()
    expected = torch.stack([reference.mmoe(module, row) for row in x])
    torch.testing.assert_close(module(x), expected)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_ple_is_its_equations(seed, tasks, levels, own, shared):
    options = {"levels": levels, "own": own, "shared": shared, "hidden": (3, 4)}
    module = make(PLE, options, tasks, seed).double()
    x = inputs(3, seed).double()
    expected = torch.stack([reference.ple(module, row) for row in x])
    torch.testing.assert_close(module(x), expected)


def test_mmoe_by_hand():
    module = MMoE(1, 2, experts=2, hidden=1)
    with torch.no_grad():
        module.experts.weights[0].copy_(torch.tensor([[[1.0]], [[-1.0]]]))
        module.experts.biases[0].copy_(torch.tensor([[0.0], [10.0]]))
        module.gates[0].zero_()
        module.gates[1].copy_(torch.tensor([[0.0], [0.5]]) * torch.tensor(3.0).log())
    # For x = 2 the experts say 2 and 8; the gates weigh (1/2, 1/2) and (1/4, 3/4).
    torch.testing.assert_close(module(torch.tensor([[2.0]])), torch.tensor([[[5.0], [6.5]]]))
    torch.testing.assert_close(module.gate_weights(torch.tensor([[2.0]])), torch.tensor([[[0.5, 0.5], [0.25, 0.75]]]))


def test_one_gate_is_mmoe_with_equal_gates():
    one = make(OMoE, {"experts": 3, "hidden": 4})
    many = make(MMoE, {"experts": 3, "hidden": 4})
    many.experts.load_state_dict(one.experts.state_dict())
    with torch.no_grad():
        for gate in many.gates:
            gate.copy_(one.gate)
    torch.testing.assert_close(one(inputs(6)), many(inputs(6)))


def test_experts_may_be_renumbered():
    first, second = (make(MMoE, {"experts": 4, "hidden": (5, 3)}) for _ in range(2))
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        for parameter in (*second.experts.parameters(), *second.gates):
            parameter.copy_(parameter[order])
    torch.testing.assert_close(first(inputs(6)), second(inputs(6)))


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0, 0.95), st.sampled_from([1e-20, 1.0, 1e6]))
def test_gates_are_on_the_simplex_with_and_without_dropout(seed, dropout, scale):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = make(MMoE, {"experts": 4, "hidden": 2}, seed=seed, gate_dropout=dropout)
        weights = module.gate_weights(inputs(50, seed) * scale)
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(2), torch.ones(50, 3))
        module.eval()
        assert (module.gate_weights(inputs(50, seed)) > 0).all()  # nothing is dropped when it counts


def test_gate_dropout_drops_at_its_rate():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = make(MMoE, {"experts": 8, "hidden": 2}, gate_dropout=0.1)
        weights = module.gate_weights(inputs(4000))
    assert float((weights == 0).float().mean()) == pytest.approx(0.1, abs=0.005)


def test_dropout_is_off_in_evaluation():
    for cls, options in ((MMoE, {"hidden": (4, 4)}), (PLE, {"hidden": 4}), (HardSharing, {"width": 4})):
        module = make(cls, options, dropout=0.5)
        assert not torch.equal(module(inputs(8)), module(inputs(8)))
        module.eval()
        assert torch.equal(module(inputs(8)), module(inputs(8)))


def test_any_module_as_trunk():
    trunk = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.BatchNorm1d(7), torch.nn.ReLU())
    module = HardSharing(5, 2, trunk=trunk)
    assert module.out_features == 7 and trunk.training
    assert torch.equal(trunk[1].running_mean, torch.zeros(7))  # the probe left no trace
    assert module(inputs(4)).shape == (4, 2, 7)
    assert module.last_shared_parameters() == [trunk[0].weight]
    with pytest.raises(ConfigurationError, match="must map"):
        HardSharing(5, 2, trunk=torch.nn.Flatten(0))


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (MMoE, {"experts": 0}, "experts is 0"),
        (MMoE, {"hidden": ()}, "at least one layer"),
        (MMoE, {"hidden": (4, 0)}, "hidden is 0"),
        (MMoE, {"dropout": 1.0}, "below 1"),
        (MMoE, {"gate_dropout": -0.1}, "gate_dropout is -0.1"),
        (MMoE, {"act": "rellu"}, "Did you mean 'relu'"),
        (PLE, {"levels": 0}, "levels is 0"),
        (PLE, {"shared": 0}, "shared is 0"),
        (HardSharing, {"width": 0}, "width is 0"),
    ],
)
def test_wrong_options(cls, options, message):
    with pytest.raises(ConfigurationError, match=message):
        make(cls, options)


def test_registry():
    found = registered("sharing")
    assert set(found) == {"hard_sharing", "mmoe", "omoe", "ple"} and find("MMoE", "sharing") is MMoE
    assert (found["ple"].method.year, found["mmoe"].method.year) == (2020, 2018)
