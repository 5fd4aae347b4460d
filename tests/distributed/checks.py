"""What processes check together; each function runs on all of them at once."""

from __future__ import annotations

import copy
import itertools
import re
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from tests.distributed.models import TASKS, Model, batch, losses_of, numbers, part, twin, whole
from tests.distributed.traffic import Traffic
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import accord
from accord.errors import AccordError, ConfigurationError
from accord.registry import registered

# The second step sees what state the first has left, and the third what momentum made of the second.
STEPS = {"plain": 3, "ddp": 3, "fsdp": 2}


def world() -> dist.ProcessGroup:
    group = dist.group.WORLD
    assert group is not None
    return group


def full(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor.detach()


def assert_same(found: Tensor, wanted: Tensor, what: str, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(
        found.detach(), wanted.detach(), rtol=tolerance, atol=tolerance, msg=lambda m: f"{what}: {m}", equal_nan=True
    )


def agreed(tensor: Tensor) -> bool:
    """Whether all processes hold the same bits."""
    everyone = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(everyone, tensor.detach().contiguous())
    return all(torch.equal(other, tensor) for other in everyone)


class Run:
    """One model in three guises: replica, DistributedDataParallel or fully_shard; and its optimiser."""

    def __init__(self, kind: str, model: Model, balancer: nn.Module) -> None:
        self.kind = kind
        self.balancer = balancer
        if kind == "fsdp":
            for layer in model.trunk:
                if isinstance(layer, nn.Linear):
                    fully_shard(layer)
            fully_shard(model)
        self.shared, self.others = model.shared(), model.others()
        self.model = DistributedDataParallel(model) if kind == "ddp" else model
        self.optimiser = torch.optim.SGD(
            [*self.shared, *self.others, *balancer.parameters()], lr=0.05, momentum=0.9, weight_decay=0.01
        )

    def step(self, losses: dict[str, Tensor | None], **options):
        self.optimiser.zero_grad()
        done = accord.backward(losses, self.shared, self.balancer, task_parameters=self.others, **options)
        self.optimiser.step()
        return done


def compare(kind: str, balancer: nn.Module, *, absent: str | None = None, counted: bool = True, **options) -> None:
    """Train on parts of batches, and on whole ones alone: the same decisions and parameters in every step."""
    rank, size = dist.get_rank(), dist.get_world_size()
    model = Model()
    alone = Run("alone", twin(model), copy.deepcopy(balancer))
    together = Run(kind, model, balancer)
    for step in range(STEPS[kind]):
        x, y, seen = part(step, rank, size, absent)
        losses = losses_of(together.model(x), y, seen)
        counts = numbers(seen) if counted else None
        found = together.step(losses, group=world(), counts=counts, **options)
        x, y, seen = whole(step, size, absent)
        wanted = alone.step(losses_of(alone.model(x), y, seen), group="local", **options)
        assert found.skipped == wanted.skipped
        assert_same(found.losses, wanted.losses, f"losses of step {step}")
        for what in ("weights", "gramian"):
            a, b = getattr(found, what), getattr(wanted, what)
            assert (a is None) == (b is None)
            if b is not None:
                assert_same(a.double(), b.double(), f"{what} of step {step}", 1e-7)
        for a, b in zip([*together.shared, *together.others], [*alone.shared, *alone.others], strict=True):
            assert (a.grad is None) == (b.grad is None)
            if kind != "fsdp":
                assert agreed(a), "replicas have drifted apart"
            assert_same(full(a), b, f"parameters after step {step}", 1e-7)
    for a, b in zip(together.balancer.state_dict().values(), alone.balancer.state_dict().values(), strict=True):
        assert_same(a, b, "state of the balancer", 1e-7)


# Arguments of methods that cannot be made without any.
NEEDS = {"evidence_weighting": ([2, 3],)}


def made(room: str, name: str) -> nn.Module:
    """A method with its defaults, or for so many tasks."""
    cls = registered(room)[name]
    try:
        return cls(*NEEDS.get(name, ()))
    except TypeError:
        return cls(len(TASKS))


CHECKS: dict[str, Callable[[], None]] = {}


def check(function: Callable[[], None]) -> Callable[[], None]:
    CHECKS[function.__name__] = function
    return function


for _kind, _room in itertools.product(("ddp", "fsdp"), ("aggregation", "weighting")):
    for _name in sorted(registered(_room)):
        CHECKS[f"{_kind}_{_room}_{_name}"] = lambda kind=_kind, room=_room, name=_name: compare(kind, made(room, name))


def expect(error: type[Exception], words: str, call: Callable[[], object]) -> None:
    """Assert that ``call`` fails as it should, on this process."""
    try:
        call()
    except error as found:
        assert words in str(found), found
    else:
        raise AssertionError(f"nothing was raised, not {words!r}")


@check
def plain_replicas_need_no_wrapper() -> None:
    compare("plain", accord.aggregation.UPGrad())


@check
def a_process_without_samples_of_a_task() -> None:
    for kind in ("ddp", "fsdp"):
        for balancer in (accord.aggregation.UPGrad(), accord.aggregation.GradDrop(), accord.weighting.Uncertainty(3)):
            compare(kind, balancer, absent="b")


@check
def reused_weights() -> None:
    compare("ddp", accord.engines.Every(accord.aggregation.UPGrad(), 2))


@check
def gradients_are_normalised_by_the_losses_of_the_whole_batch() -> None:
    for kind, normalisation in itertools.product(("ddp", "fsdp"), ("loss", "loss+")):
        compare(kind, accord.aggregation.MGDA(normalisation))


@check
def unused_parameters_of_a_wrapped_model() -> None:
    """DistributedDataParallel goes through the graph to find them; its own reduction stays idle all the same."""
    model = Model()
    wrapped = DistributedDataParallel(model, find_unused_parameters=True)
    for step in range(2):
        x, y, seen = part(step, dist.get_rank(), dist.get_world_size())
        losses = {"a": losses_of(wrapped(x), y, seen)["a"]}
        accord.backward(
            losses, model.shared(), accord.aggregation.UPGrad(), task_parameters=model.others(), group=world()
        )
    assert all(agreed(p.grad) for p in model.shared())
    assert all(p.grad is None for p in model.heads["b"].parameters())


@check
def engines() -> None:
    compare("ddp", accord.aggregation.UPGrad(), engine="batched")
    compare("ddp", accord.aggregation.UPGrad(), engine=accord.engines.Batched(chunk=2))


@check
def one_task_per_sample() -> None:
    """The grouped engine, with domains that do not come evenly."""

    def losses(model: Model, x: Tensor, owner: Tensor) -> dict[str, Tensor]:
        outputs = model.heads["a"](model.trunk(x))[:, 0]
        return {t: (outputs[owner == i] - i).square().mean() for i, t in enumerate(TASKS)}

    rank, size = dist.get_rank(), dist.get_world_size()
    model = Model()
    alone, together = twin(model), DistributedDataParallel(model)
    x, _, _ = whole(0, size)
    mine, _, _ = part(0, rank, size)
    owner = torch.arange(len(x)) % 3
    start = sum(len(part(0, r, size)[0]) for r in range(rank))
    ours = owner[start : start + len(mine)]
    together(mine)
    numbers = {t: int((ours == i).sum()) for i, t in enumerate(TASKS)}
    accord.backward(
        losses(model, mine, ours),
        model.shared(),
        accord.aggregation.UPGrad(),
        task_parameters=model.others(),
        engine="grouped",
        group=world(),
        counts=numbers,
    )
    accord.backward(losses(alone, x, owner), alone.shared(), accord.aggregation.UPGrad(), group="local")
    for a, b in zip(model.shared(), alone.shared(), strict=True):
        assert_same(a.grad, b.grad, "grouped")


@check
def gradients_at_the_last_layer_and_at_the_representation() -> None:
    rank, size = dist.get_rank(), dist.get_world_size()

    def outputs(model: Model, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        h = model.trunk(x)
        return h, {"a": model.heads["a"](h), "b": model.heads["b"](h), "c": model.heads["c"](h.tanh())}

    for where in ("layer", "representation", "engine"):
        for balancer in (accord.aggregation.UPGrad(), accord.weighting.GradNorm()):
            model = Model()
            alone, own = twin(model), copy.deepcopy(balancer)
            found = []
            for who, rows, options in (
                (model, part(1, rank, size), {"group": world(), "counts": numbers(part(1, rank, size)[2])}),
                (alone, whole(1, size), {"group": "local"}),
            ):
                h, predicted = outputs(who, rows[0])
                at = {"layer": list(who.trunk[2].parameters()), "representation": [h], "engine": None}[where]
                found.append(
                    accord.backward(
                        losses_of(predicted, *rows[1:]),
                        who.shared(),
                        balancer if who is model else own,
                        task_parameters=who.others(),
                        at=at,
                        engine="representation" if where == "engine" else "auto",
                        **options,
                    )
                )
            assert_same(found[0].gramian, found[1].gramian, f"gramian at {where}")
            for a, b in zip(model.parameters(), alone.parameters(), strict=True):
                assert (a.grad is None) == (b.grad is None)
                if a.grad is not None:
                    assert_same(a.grad, b.grad, f"gradient with {where}")


@check
def groups_of_parameters() -> None:
    rank, size = dist.get_rank(), dist.get_world_size()
    for kind in ("ddp", "fsdp"):
        for aggregator in (accord.aggregation.GradVac(), accord.aggregation.TrimmedMean()):
            model = Model()
            alone = twin(model)
            layers = {"0": list(alone.trunk[0].parameters()), "2": list(alone.trunk[2].parameters())}
            balancer = accord.engines.PerGroup(aggregator, layers)
            own = copy.deepcopy(balancer)
            run = Run(kind, model, balancer)
            mine = {"0": run.shared[:2], "2": run.shared[2:]}
            for step in range(2):
                x, y, seen = part(step, rank, size)
                losses = losses_of(run.model(x), y, seen)
                found = accord.backward(
                    losses, mine, balancer, task_parameters=run.others, group=world(), counts=numbers(seen)
                )
                x, y, seen = whole(step, size)
                wanted = accord.backward(losses_of(alone(x), y, seen), layers, own, group="local")
                for name in layers:
                    assert_same(found.groups[name].gramian, wanted.groups[name].gramian, f"gramian of {name}")
            for a, b in zip([*run.shared, *run.others], [*alone.shared(), *alone.others()], strict=True):
                assert_same(full(a.grad), b.grad, "gradient by group")


@check
def without_counts_the_processes_that_have_a_task_count_alike() -> None:
    rank, size = dist.get_rank(), dist.get_world_size()
    for absent, mask in ((None, None), ("b", "b")):
        model = Model()
        alone = twin(model)
        x, y, seen = part(0, rank, size, absent)
        losses: dict[str, Tensor | None] = dict(losses_of(model(x), y, seen))
        if mask and rank == 0:
            losses[mask] = None
        found = accord.backward(
            losses, model.shared(), accord.aggregation.MGDA(), task_parameters=model.others(), group=world()
        )
        each = [losses_of(alone(x), y, seen) for x, y, seen in (part(0, r, size, absent) for r in range(size))]
        joint = {t: torch.stack([e[t] for r, e in enumerate(each) if (t, r) != (mask, 0)]).mean() for t in TASKS}
        wanted = accord.backward(joint, alone.shared(), accord.aggregation.MGDA(), group="local")
        assert_same(found.losses, wanted.losses, "losses")
        for a, b in zip(model.parameters(), alone.parameters(), strict=True):
            assert_same(a.grad, b.grad, "gradient without counts")


@check
def a_task_that_no_process_has_leaves_its_head_alone() -> None:
    for balancer in (accord.aggregation.UPGrad(), accord.weighting.Fixed()):
        model = Model()
        losses: dict[str, Tensor | None] = dict(losses_of(model(batch(0)[0]), *batch(0)[1:]))
        losses["a"] = None
        step = accord.backward(losses, model.shared(), balancer, task_parameters=model.others(), group=world())
        assert step.skipped == {"a": "absent"}
        assert all(p.grad is None for p in model.heads["a"].parameters())
        assert all(p.grad is not None for p in model.heads["b"].parameters())


def poisoned(losses: dict[str, Tensor], model: Model, x: Tensor, where: str) -> dict[str, Tensor]:
    """``losses`` of which that of task ``b`` is not finite, or its derivative."""
    if where == "loss":
        return {**losses, "b": losses["b"] * torch.nan}
    inputs = model.trunk(x[:1]) if where == "trunk" else torch.zeros(1, 3, dtype=torch.float64)
    inner = model.heads["b"](inputs) * 0
    return {**losses, "b": losses["b"] * (1 + inner.square().sum().sqrt())}  # the derivative is 0 / 0


@check
def what_is_not_finite_on_one_process_is_left_out_on_all() -> None:
    rank, size = dist.get_rank(), dist.get_world_size()
    makers = (accord.aggregation.UPGrad, accord.aggregation.TrimmedMean, accord.weighting.Fixed)
    for kind, where, maker in itertools.product(("ddp", "fsdp"), ("loss", "trunk", "head"), makers):
        model = Model()
        alone = twin(model)
        run = Run(kind, model, maker())
        x, y, seen = part(0, rank, size)
        losses = losses_of(run.model(x), y, seen)
        if rank == 1:
            # Under fully_shard, heads may only be called by the model's own forward.
            if kind == "fsdp" and where != "loss":
                losses["b"] = losses["b"] + (run.model(x)["b"][:1] * 0).square().sum().sqrt()
            else:
                losses = poisoned(losses, model, x, where)
        elif kind == "fsdp" and where != "loss":
            losses["b"] = losses["b"] + run.model(x)["b"].sum() * 0  # the same forwards on all processes
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", accord.errors.NonFiniteLossWarning)
            found = accord.backward(
                losses, run.shared, run.balancer, task_parameters=run.others, group=world(), counts=numbers(seen)
            )
        assert [w for w in caught if "'b'" in str(w.message)], (kind, where)
        assert found.active.tolist() == [True, False, True]
        assert list(found.skipped) == ["b"]
        if where == "loss":
            assert found.skipped["b"] == "its loss is nan on process 1"
        x, y, seen = whole(0, size)
        healthy: dict[str, Tensor | None] = {**losses_of(alone(x), y, seen), "b": None}
        if found.weights is not None and kind != "fsdp":
            weights = accord.backward(healthy, alone.shared(), maker(), group="local").weights
            if maker is accord.aggregation.UPGrad or where == "loss":
                assert weights is not None
                assert_same(found.weights.double(), weights.double(), "weights")
                for a, b in zip([*run.shared, *run.others], [*alone.shared(), *alone.others()], strict=True):
                    assert (a.grad is None) == (b.grad is None)
                    if a.grad is not None:
                        assert_same(a.grad, b.grad, f"gradient with a bad {where}")
        for p in [*run.shared, *run.others]:
            assert p.grad is None or bool(full(p.grad).isfinite().all()), (kind, where, maker)


def counted(kind: str, balancer: nn.Module, tasks: int = 6) -> tuple[Traffic, int, int, int, int]:
    """One step's traffic, P, the numbers in heads, and how many tensors each of them is."""
    model = Wide(tasks)
    if kind == "fsdp":
        fully_shard(model)
    shared, others = list(model.trunk.parameters()), list(model.heads.parameters())
    outputs = model(torch.randn(4, 8, generator=torch.Generator().manual_seed(dist.get_rank())))
    losses = [outputs[:, t].square().mean() for t in range(tasks)]
    with Traffic() as traffic:
        accord.backward(losses, shared, balancer, task_parameters=others, group=world())
    sizes = [sum(p.numel() for p in parameters) for parameters in (shared, others)]
    return traffic, sizes[0], sizes[1], len(shared), len(others)


class Wide(nn.Module):
    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(8, 33), nn.ReLU(), nn.Linear(33, 8))
        self.heads = nn.Linear(8, tasks)

    def forward(self, x: Tensor) -> Tensor:
        return self.heads(self.trunk(x))


@check
def replicas_exchange_the_jacobian_once_and_the_direction() -> None:
    T, R = 6, dist.get_world_size()
    traffic, P, H, shared, others = counted("plain", accord.aggregation.UPGrad(), T)
    W = -(-P // R)
    introductions = 9 * R + (3 * T + 3) * R
    assert traffic.numbers["reduce_scatter_base"] == T * W
    assert traffic.numbers["allreduce"] == T * T + T + (shared + 1) + H + others
    assert traffic.numbers["allgather_base"] == introductions + R * W
    assert sum(traffic.calls.values()) == 2 + 1 + 1 + 1 + 1 + 1 + 1


@check
def a_weighting_exchanges_losses_and_one_gradient() -> None:
    T, R = 6, dist.get_world_size()
    traffic, P, H, shared, others = counted("plain", accord.weighting.Uncertainty(T), T)
    assert traffic.numbers["allreduce"] == (T + 1) + P + H + shared + others
    assert traffic.numbers["allgather_base"] == 9 * R + (3 * T + 3) * R
    assert traffic.numbers["reduce_scatter_base"] == 0


@check
def shards_exchange_nothing_for_the_direction() -> None:
    T, R = 6, dist.get_world_size()
    traffic, P, H, *_ = counted("fsdp", accord.aggregation.UPGrad(), T)
    assert traffic.numbers["allreduce"] == T * T + T
    scattered = traffic.numbers["reduce_scatter_base"]
    # Each tensor is padded to a multiple of R rows.
    assert T * (P + H) / R <= scattered <= T * ((P + H) / R + 34 * 4)
    gathered = traffic.numbers["allgather_base"] - (9 * R + (3 * T + 3) * R)
    assert gathered <= T * (P + H + 34 * 6)  # the parameters, which each backward frees again


@check
def gathered_parameters_may_be_kept_for_the_step() -> None:
    T, R = 6, dist.get_world_size()
    model = Wide(T)
    fully_shard(model.trunk)
    fully_shard(model)
    shared, others = list(model.trunk.parameters()), list(model.heads.parameters())
    before = [full(p).clone() for p in shared]
    outputs = model(torch.randn(4, 8))
    model.set_reshard_after_backward(False)
    with Traffic() as traffic:
        accord.backward(
            [outputs[:, t].square().mean() for t in range(T)],
            shared,
            accord.aggregation.UPGrad(),
            task_parameters=others,
            group=world(),
        )
    for module in (model.trunk, model):
        module.reshard()
    gathered = traffic.numbers["allgather_base"] - (9 * R + (3 * T + 3) * R)
    assert gathered <= sum(p.numel() for p in shared) + 34 * R
    with torch.no_grad():
        for p in shared:
            p.sub_(p.grad)
    x = torch.ones(1, 8)
    trunk = nn.Sequential(nn.Linear(8, 33), nn.ReLU(), nn.Linear(33, 8))
    with torch.no_grad():
        for p, was, now in zip(trunk.parameters(), before, shared, strict=True):
            p.copy_(full(now))
            assert not torch.equal(full(now), was)
    assert_same(model.trunk(x), trunk(x), "the next forward", 1e-5)


@check
def hybrid_shards() -> None:
    """Copies of shards, which takes four processes."""
    size = dist.get_world_size()
    if size < 4:
        return
    from torch.distributed.device_mesh import init_device_mesh

    mesh = init_device_mesh("cpu", (2, size // 2), mesh_dim_names=("copies", "shards"))
    for balancer in (accord.aggregation.UPGrad(), accord.aggregation.Krum(), accord.weighting.Fixed()):
        model = Model()
        alone, own = twin(model), copy.deepcopy(balancer)
        fully_shard(model, mesh=mesh)
        shared, others = model.shared(), model.others()
        x, y, seen = part(0, dist.get_rank(), size)
        found = accord.backward(
            losses_of(model(x), y, seen),
            shared,
            balancer,
            task_parameters=others,
            group=world(),
            counts=numbers(seen),
        )
        x, y, seen = whole(0, size)
        wanted = accord.backward(losses_of(alone(x), y, seen), alone.shared(), own, group="local")
        if wanted.gramian is not None:
            assert_same(found.gramian, wanted.gramian, "gramian")
        for a, b in zip([*shared, *others], [*alone.shared(), *alone.others()], strict=True):
            assert_same(full(a.grad), b.grad, "gradient of hybrid shards")


@check
def micro_batches_accumulate() -> None:
    rank, size = dist.get_rank(), dist.get_world_size()
    for kind in ("ddp", "fsdp"):
        for balancer in (accord.aggregation.UPGrad(), accord.weighting.Fixed()):
            model = Model()
            alone = twin(model)
            run = Run(kind, model, balancer)
            for step in range(2):
                x, y, seen = part(step, rank, size)
                losses = losses_of(run.model(x), y, seen)
                accord.backward(
                    losses, run.shared, balancer, task_parameters=run.others, group=world(), counts=numbers(seen)
                )
                x, y, seen = whole(step, size)
                accord.backward(losses_of(alone(x), y, seen), alone.shared(), copy.deepcopy(balancer), group="local")
            for a, b in zip([*run.shared, *run.others], [*alone.shared(), *alone.others()], strict=True):
                assert_same(full(a.grad), b.grad, "accumulated")


@check
def an_overflow_on_one_process_skips_the_step_on_all() -> None:
    for kind in ("ddp", "fsdp"):
        for balancer in (accord.aggregation.UPGrad(), accord.weighting.Fixed()):
            model = Model()
            run = Run(kind, model, balancer)
            before = [full(p).clone() for p in run.shared]
            scaler = torch.amp.GradScaler("cpu", init_scale=2.0**100)
            x, y, seen = part(0, dist.get_rank(), dist.get_world_size())
            losses: dict[str, Tensor | None] = dict(losses_of(run.model(x), y, seen))
            huge = 1e300 if dist.get_rank() else 1.0
            losses["b"] = (losses["b"] or 0) * huge
            step = accord.backward(
                losses, run.shared, balancer, task_parameters=run.others, group=world(), scaler=scaler
            )
            assert not bool(step.active.any()), (kind, step)
            assert "overflowed" in step.skipped["b"]
            scaler.step(run.optimiser)
            scaler.update()
            assert scaler.get_scale() == 2.0**99
            for a, b in zip(run.shared, before, strict=True):
                assert torch.equal(full(a), b)


@check
def silence_about_the_group_is_an_error() -> None:
    model = Model()
    losses = losses_of(model(batch(0)[0]), *batch(0)[1:])
    balancer = accord.aggregation.UPGrad()

    def call(**options) -> Callable[[], object]:
        return lambda: accord.backward(losses, model.shared(), balancer, retain_graph=True, **options)

    expect(ConfigurationError, "pass group=torch.distributed.group.WORLD", call())
    expect(ConfigurationError, "'everyone'", call(group="everyone"))
    expect(ConfigurationError, "pass group= too", call(group="local", counts=[1, 1, 1]))
    expect(ConfigurationError, "name such parameters as task_parameters", call(group=world()))
    others = {"task_parameters": model.others()}
    expect(ConfigurationError, "Did you mean 'a'", call(group=world(), counts={"aa": 1}, **others))
    expect(ConfigurationError, "-1.0 samples", call(group=world(), counts=[1, 1, -1], **others))
    expect(ConfigurationError, "2 entries for 3 tasks", call(group=world(), counts=[1, 1], **others))
    for engine in ("gramian", "sketch"):
        expect(ConfigurationError, f'engine="{engine}" drops', call(group=world(), engine=engine, **others))
    mixed = [model.trunk[0].weight, model.trunk[0].weight * 1]
    expect(ConfigurationError, "mixes parameters", call(group=world(), at=mixed, **others))
    assert all(p.grad is None for p in model.parameters())
    flat = accord.steps.FlatRegions()
    expect(ConfigurationError, "FlatRegions takes", lambda: flat.backward(lambda: losses, model, model.shared()))
    assert all(p.grad is None for p in model.parameters())
    call(group="local")()
    assert all(p.grad is not None for p in model.parameters())


@check
def processes_that_were_told_different_things_say_so() -> None:
    rank, model = min(dist.get_rank(), 1), Model()
    losses = losses_of(model(batch(0)[0]), *batch(0)[1:])

    def call(**options) -> Callable[[], object]:
        given = {
            "losses": losses,
            "shared": model.shared(),
            "balancer": accord.aggregation.UPGrad(),
            "task_parameters": model.others(),
            "group": world(),
            "retain_graph": True,
        }
        return lambda: accord.backward(**{**given, **options})

    expect(ConfigurationError, "shared on process 1", call(shared=model.shared()[rank:], task_parameters=[]))
    expect(ConfigurationError, "tasks on process 1", call(losses={t: losses[t] for t in TASKS[rank:]}))
    seeds = accord.aggregation.GradDrop(seed=rank)
    expect(ConfigurationError, "balancer on process 1", call(balancer=seeds))
    expect(ConfigurationError, "balancer on process 1", call(balancer=accord.aggregation.CAGrad(c=0.3 + rank / 10)))
    expect(ConfigurationError, "counts on process 1", call(counts=[1, 1, 1] if rank else None))
    learned = accord.weighting.Uncertainty(3)
    with torch.no_grad():
        next(learned.parameters()).add_(rank)
    expect(ConfigurationError, "the balancer's state on process 1", call(balancer=learned))
    wrong = call(shared=[]) if rank else call()
    expect(AccordError, "shared is empty" if rank else "process 1 could not take part", wrong)
    assert all(p.grad is None for p in model.parameters())
    call()()
    assert all(p.grad is not None for p in model.parameters())


class Rank1Fails(torch.autograd.Function):
    """What goes wrong in the backward of one process, long after it started."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor) -> Tensor:
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        if dist.get_rank() == 1:
            raise RuntimeError("out of memory, say")
        return gradient


@check
def nobody_waits_for_a_process_that_fails_on_the_way() -> None:
    x, y, seen = batch(0)
    one = dist.get_rank() == 1

    def step(balancer: nn.Module, **options) -> Model:
        model = Model()
        if options:  # an engine that refuses one process's part of the batch
            features = model.trunk(x)
            rows = [slice(None if one else i, None, None if one else 3) for i in range(3)]
            losses = {t: model.heads[t](features[some]).square().mean() for t, some in zip(TASKS, rows, strict=True)}
        else:
            losses = losses_of(model(x), y, seen)
            losses["b"] = Rank1Fails.apply(losses["b"])
        others = model.others()
        accord.backward(losses, model.shared(), balancer, task_parameters=others, group=world(), **options)
        return model

    elsewhere = "another process could not go on"
    for make in (accord.aggregation.UPGrad, accord.weighting.FAMO):
        error, words = (RuntimeError, "out of memory") if one else (AccordError, elsewhere)
        expect(error, words, lambda make=make: step(make()))
    words = "belongs to the tasks" if one else elsewhere
    expect(AccordError, words, lambda: step(accord.aggregation.UPGrad(), engine="grouped"))


@check
def what_a_refusal_names_in_its_place_takes_a_group() -> None:
    x, _, _ = batch(0)

    def step(rows: list[slice], engine: str, norm: bool = False) -> None:
        model = Model()
        features = model.trunk(x)
        features = torch.nn.functional.batch_norm(features, None, None, training=True) if norm else features
        losses = {t: model.heads[t](features[some]).square().mean() for t, some in zip(TASKS, rows, strict=True)}
        others = model.others()
        accord.backward(
            losses, model.shared(), accord.aggregation.UPGrad(), task_parameters=others, group=world(), engine=engine
        )

    apart, shared = [slice(i, None, 3) for i in range(3)], [slice(None)] * 3
    for rows, norm in ((apart, True), (shared, False)):
        try:
            step(rows, "grouped", norm)
        except ConfigurationError as refusal:
            named = re.findall(r'engine="(\w+)"', str(refusal).rpartition(": ")[2])
        else:
            raise AssertionError("grouped should have refused this")
        assert named == ["auto", "loop"], named
        for engine in named:
            step(rows, engine, norm)


@check
def what_fully_shard_cannot_do_is_said() -> None:
    model = Model()
    fully_shard(model)
    shared, others = model.shared(), model.others()
    x, y, seen = part(0, dist.get_rank(), dist.get_world_size())
    losses = losses_of(model(x), y, seen)
    balancer = accord.aggregation.UPGrad()

    def call(**options) -> Callable[[], object]:
        given = {"shared": shared, "task_parameters": others, "group": world(), "retain_graph": True}
        return lambda: accord.backward(options.pop("losses", losses), balancer=balancer, **{**given, **options})

    expect(ConfigurationError, "sharded parameters", call(group="local"))
    waiting = shared[0].register_post_accumulate_grad_hook(lambda parameter: None)
    expect(ConfigurationError, "fully_shard runs such hooks in the backward of every task", call())
    waiting.remove()
    expect(ConfigurationError, "sharded parameters", lambda: accord.steps.MTAdamW(shared, {"a": 1.0}))
    expect(
        ConfigurationError,
        "has no loss on process 0",
        call(losses={**losses, "b": None} if not dist.get_rank() else losses),
    )
    expect(ConfigurationError, "cannot drive fully_shard", call(engine="batched"))
    expect(ConfigurationError, "neither in shared nor in task_parameters", call(task_parameters=others[1:]))
    gathered = {"shared": model.shared(), "task_parameters": model.others()}
    assert not any(hasattr(p, "full_tensor") for p in model.shared())
    expect(ConfigurationError, "collect the parameters once", call(**gathered))
    model.set_requires_gradient_sync(False)
    expect(ConfigurationError, "set_requires_gradient_sync", call())
