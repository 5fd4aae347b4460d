"""Random small graphs: engines against ``torch.func``, which shares none of their machinery."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines import balancers

import accord
from accord.engines import Batched

OPERATIONS = ("linear", "add", "mul", "tanh", "reuse", "sum")


@st.composite
def programs(draw):
    """A list of operations on earlier values, which values the losses read, and which parameters are shared."""
    steps = []
    for position in range(draw(st.integers(1, 7))):
        operation = draw(st.sampled_from(OPERATIONS))
        earlier = st.integers(0, position)
        steps.append((operation, draw(earlier), draw(earlier), draw(st.integers(0, 3))))
    outputs = draw(st.lists(st.tuples(st.integers(1, len(steps)), st.integers(0, 3)), min_size=1, max_size=4))
    shared = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True))
    return steps, outputs, shared


def run(program, weights, x):
    """Evaluate ``program`` with ``weights`` (four ``[3, 3]``) on ``x`` ``[2, 3]``."""
    steps, outputs, _ = program
    values = [x]
    for operation, a, b, w in steps:
        left, right = values[a], values[b]
        values.append(
            {
                "linear": lambda left=left, w=w: left @ weights[w],
                "add": lambda left=left, right=right: left + right,
                "mul": lambda left=left, right=right: left * right * 0.5,
                "tanh": lambda left=left: left.tanh(),
                "reuse": lambda left=left, w=w: (left @ weights[w]) @ weights[w].T,
                "sum": lambda left=left, w=w: left.sum(0, keepdim=True) + weights[w][0] * left,
            }[operation]()
        )
    return torch.stack([(values[v] * weights[w][0]).sum() if w < 2 else values[v].pow(2).mean() for v, w in outputs])


@given(programs(), st.integers(0, 2**16), st.sampled_from(["loop", "batched", Batched(chunk=1)]))
@settings(max_examples=120)
def test_jacobian_is_that_of_torch_func(program, seed, engine):
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(3, 3, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(4)]
    x = torch.randn(2, 3, dtype=torch.float64, generator=generator)
    shared = [weights[i] for i in program[2]]
    wanted = torch.func.jacrev(lambda *w: run(program, w, x), argnums=tuple(range(4)))(*(w.detach() for w in weights))
    rows = torch.cat([wanted[i].flatten(1) for i in program[2]], 1)
    losses = run(program, weights, x)
    if not losses.requires_grad:
        return
    torch.testing.assert_close(accord.jacobian(losses, shared, engine=engine), rows)
    torch.testing.assert_close(accord.gramian(losses, shared, engine=engine), rows @ rows.T)
    step = accord.backward(losses, shared, balancers.Unit(), engine=engine)
    mean = [block.sum(0) / step.active.sum() for block in wanted]  # a loss without a graph takes no part
    for i, weight in enumerate(weights):
        if weight.grad is not None:
            expected = torch.einsum("t,tij->ij", step.weights, wanted[i]) if i in program[2] else mean[i]
            torch.testing.assert_close(weight.grad, expected)
        else:
            assert not wanted[i].any()
