"""The zoos measure what their page says, on tiny generated tasks where they can."""

from __future__ import annotations

import io
import math
import tarfile
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from statistics import fmean

import pytest
import torch
from benchmarks.zoo import lora, page, paired, picture
from benchmarks.zoo.adapters import applied, merge_as_adapters, ways
from benchmarks.zoo.bert import Layer, Top, attend
from benchmarks.zoo.fronts import between_three
from benchmarks.zoo.judge import Judge
from benchmarks.zoo.lines import Line, kinds, read
from benchmarks.zoo.methods import SCALED, SCALES
from benchmarks.zoo.negate import AMOUNTS, LIMIT, enough, forget, negate, without
from benchmarks.zoo.pairs import PAIRS, STEPS, judge_pairs, table
from benchmarks.zoo.sentences import load, probe
from benchmarks.zoo.steer import steer
from benchmarks.zoo.task import Task
from benchmarks.zoo.texts import BROWN, DOMAINS, VADER, first_verb, first_word, texts
from benchmarks.zoo.train import Recipe, Zoo, accuracy, fine_tune, trunk_of
from torch import nn
from torch.func import vmap
from torch.nn import functional

from accord.errors import DataError
from accord.merging import NearSwap, TaskArithmetic, open_adapter

KIND = "tiny"


def tasks() -> list[Task]:
    """Three classes around centres of each task's own."""
    random = torch.Generator().manual_seed(0)
    made = []
    for name in ("left", "right"):
        centres, parts = 2 * torch.randn(3, 6, generator=random), {}
        for part, rows in (("train", 96), ("adapt", 16), ("validation", 40), ("test", 60)):
            labels = torch.randint(3, (rows,), generator=random)
            parts[part] = centres[labels] + torch.randn(rows, 6, generator=random), labels
        made.append(Task(name, 3, parts))
    return made


@pytest.fixture(scope="module")
def judge() -> Judge:
    made = tasks()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = nn.Sequential(OrderedDict(a=nn.Linear(6, 16), b=nn.ReLU(), c=nn.Linear(16, 8)))
        heads = {task.name: probe(trunk, task) for task in made}
    zoo = fine_tune(Zoo.of(trunk, heads), made, Recipe(6, 1e-2, 16), torch.Generator().manual_seed(0))
    return Judge(zoo, made, "trunk.a", steps=2, size=8)


@pytest.mark.parametrize("name", [name for name in SCALED if name != "DOGE"])
def test_every_scale_is_read_off_two_merges(judge: Judge, name: str) -> None:
    method = SCALED[name]
    for scale in (0.1, 2.5):
        line = judge._line(method)(scale)
        direct = method.make(scale=scale, **method.fixed)(judge.base, judge.experts)
        for key, value in direct.items():
            torch.testing.assert_close(line[key], value, atol=1e-4, rtol=1e-4)


def test_a_scale_is_chosen_on_validation_rows_and_judged_on_test_rows(judge: Judge) -> None:
    record = judge._scaled(SCALED["task arithmetic"])
    tried = {}
    for scale in SCALES:
        merged = {k: v + scale * sum(e[k] - v for e in judge.experts) for k, v in judge.base.items()}
        tried[scale] = {part: judge.scores(merged, part) for part in ("validation", "test")}
    best = max(fmean(found["validation"].values()) for found in tried.values())
    chosen = record["chosen"]["scale"]
    if chosen in tried:
        assert fmean(tried[chosen]["validation"].values()) == pytest.approx(best)
        assert record["tuned"] == pytest.approx(tried[chosen]["test"])


def test_fine_tuning_changes_trunks_alone_and_teaches_their_tasks(judge: Judge) -> None:
    for task, own in zip(judge.tasks, judge.experts, strict=True):
        before = accuracy(judge.zoo.base, judge.zoo.heads[task.name], task, "train")
        assert accuracy(judge.zoo.experts[task.name], nn.Identity(), task, "train") > max(before, 60)
        assert not torch.equal(own["trunk.a.weight"], judge.base["trunk.a.weight"])
        assert judge.zoo.experts[task.name].get_submodule("head") is judge.zoo.heads[task.name]


def test_weights_come_back_from_a_file(judge: Judge, tmp_path: Path) -> None:
    judge.zoo.save(tmp_path / "zoo.safetensors")
    trunk = nn.Sequential(OrderedDict(a=nn.Linear(6, 16), b=nn.ReLU(), c=nn.Linear(16, 8)))
    again = Zoo.of(trunk, {task.name: nn.Linear(8, 3) for task in judge.tasks}).load(tmp_path / "zoo.safetensors")
    for task, own in zip(judge.tasks, judge.experts, strict=True):
        torch.testing.assert_close(trunk_of(again.experts[task.name]), own, rtol=0, atol=0)
        torch.testing.assert_close(again.heads[task.name].state_dict(), judge.zoo.heads[task.name].state_dict())


def test_a_negation_of_nothing_is_the_joint_model(judge: Judge) -> None:
    curves = {line["method"]: line["curve"] for line in negate(judge, {"negation of right"})}
    assert list(curves) == ["negation of left"]
    left, right = judge.tasks
    first = curves["negation of left"][0]
    assert first["own"] == accuracy(judge.zoo.joint, judge.zoo.heads["left"], left, "test")
    assert first["others"] == accuracy(judge.zoo.joint, judge.zoo.heads["right"], right, "test")


def test_as_much_is_subtracted_as_takes_what_was_asked_for(judge: Judge) -> None:
    left, _ = judge.tasks
    scale = enough(judge, left, 20)
    found = [judge.scores_of(left, without(judge, left, s), "validation") for s in (0.0, scale, scale - LIMIT / 128)]
    assert 0 < scale < LIMIT
    assert found[1] <= found[0] - 20 < found[2]
    assert enough(judge, left, 101) == LIMIT
    (record,) = forget(judge, {"forgetting right"})
    whole, less = judge.scores(judge.joint), judge.scores(without(judge, left, scale))
    said = dict(zip(AMOUNTS, record["forgotten"], strict=True))[20]
    assert said["own"] == whole["left"] - less["left"]
    assert said["others"] == said["worst"] == whole["right"] - less["right"]


def test_a_table_of_forgetting_says_what_it_costs() -> None:
    def forgotten(task: str, own: float, scale: float) -> Line:
        point = {"amount": 10, "scale": scale, "own": own, "others": 3.0, "worst": 2 * own}
        return {"zoo": KIND, "seed": 0, "method": f"forgetting {task}", "forgotten": [point]}

    _, _, row, *_, last = page.forgetting([forgotten("a", 9.0, 0.5), forgotten("b", 11.0, 1.0)], KIND).splitlines()
    assert row == "| 10 | 0.75 | 10.0 ± 1.4 | 3.0 ± 0.0 | 20.0 ± 2.8 |"
    assert last.endswith("over 2 pairs of task and seed.")


def test_what_is_done_is_not_done_again(judge: Judge) -> None:
    names = list(judge._jobs())
    left = [record["method"] for record in judge.records(set(names) - {"base", "average"})]
    assert left == ["base", "average"]


def test_pairs_are_neighbours_each_task_first_once_and_second_once(judge: Judge) -> None:
    records = {line["method"]: line["pairs"] for line in judge_pairs(judge, {"pairs: SLERP"})}
    assert {*records} == {f"pairs: {name}" for name in PAIRS} - {"pairs: SLERP"}
    assert [list(pair["test"]) for pair in records["pairs: average"]] == [["left", "right"], ["right", "left"]]
    mean = {key: (judge.experts[0][key] + judge.experts[1][key]) / 2 for key in judge.base}
    assert records["pairs: average"][0]["test"] == judge.scores(mean)
    # From right towards left, by as much as suits validation rows.
    found = {t: judge.scores(NearSwap(t)(judge.experts[1], judge.experts[:1]), "validation") for t in STEPS}
    best = max(fmean(own.values()) for own in found.values())
    assert fmean(found[records["pairs: NearSwap"][1]["factor"]].values()) == best


def test_a_front_ends_at_the_fine_tunings(judge: Judge, tmp_path: Path) -> None:
    (record,) = steer(judge, tmp_path, ("right", "left"), {"front of 3"})
    ends = [judge.scores(own) for own in judge.experts]
    for point, own in zip((record["front"][0], record["front"][-1]), ends, strict=True):
        assert list(point["test"]) == ["right", "left"]
        assert point["test"] == pytest.approx(own)
    assert record["front"][0]["preference"] == [0, 1]


def test_a_table_of_pairs_says_both_tasks_and_the_worse() -> None:
    def pairs(method: str, seed: int, *found: tuple[float, float]) -> Line:
        own = [{"test": {"a": first, "b": second}} for first, second in found]
        return {"zoo": KIND, "seed": seed, "method": f"pairs: {method}", "pairs": own}

    lines = [pairs("average", seed, (60.0, 40.0), (50.0, 70.0)) for seed in range(3)]
    lines += [pairs("x", seed, (60.0, 46.0 + 2 * seed), (52.0, 70.0)) for seed in range(3)]
    _, _, x, average, *_, last = table(lines, KIND).splitlines()
    # x is 2, 2.5 and 3 points better: both tasks' means gain a quarter of each number's gain.
    assert x.startswith("| x | 57.5 ± 0.5 | +2.5 [+1.3, +3.7] | 56.0 ± 0.0 | 59.0 ± 1.0 | 50.0 ± 1.0 |")
    assert average == "| average | 55.0 ± 0.0 |  | 55.0 ± 0.0 | 55.0 ± 0.0 | 45.0 ± 0.0 |"
    assert last.endswith("means over 2 pairs, 3 seeds.")


@pytest.fixture(scope="module")
def adapted() -> Judge:
    """A zoo whose fine-tunings are adapters of the first layer."""
    made, random = tasks(), torch.Generator().manual_seed(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = nn.Sequential(OrderedDict(a=nn.Linear(6, 16), b=nn.ReLU(), c=nn.Linear(16, 8)))
        zoo = Zoo.of(trunk, {task.name: probe(trunk, task) for task in made})
    trunks = {name: expert.get_submodule("trunk") for name, expert in zoo.experts.items()}
    for module in (zoo.joint, *trunks.values()):
        lora.adapt(module, ["a"], 2, random)
    fine_tune(zoo, made, Recipe(6, 1e-2, 16), random)
    lora.fold(zoo.joint)
    zoo.factors.update({name: lora.fold(module) for name, module in trunks.items()})
    return Judge(zoo, made, "trunk.a", steps=2, size=8)


def test_an_adapter_is_its_two_factors_and_nothing_else(adapted: Judge, tmp_path: Path) -> None:
    adapted.zoo.save(tmp_path / "zoo.safetensors")
    trunk = nn.Sequential(OrderedDict(a=nn.Linear(6, 16), b=nn.ReLU(), c=nn.Linear(16, 8)))
    again = Zoo.of(trunk, {task.name: nn.Linear(8, 3) for task in adapted.tasks}).load(tmp_path / "zoo.safetensors")
    base = trunk_of(adapted.zoo.base)
    for task in adapted.tasks:
        state = trunk_of(adapted.zoo.experts[task.name])
        a, b = (again.factors[task.name][f"base_model.model.trunk.a.lora_{kind}.weight"] for kind in "AB")
        assert b.abs().max() > 0.01
        torch.testing.assert_close(state["trunk.a.weight"], base["trunk.a.weight"] + 2 * b @ a)
        for name in ("trunk.a.bias", "trunk.c.weight"):
            assert torch.equal(state[name], base[name])


def test_what_no_fine_tuning_has_changed_is_not_merged(judge: Judge, adapted: Judge) -> None:
    assert {*judge.base} == {*trunk_of(judge.zoo.base)}
    assert all({*state} == {"trunk.a.weight"} for state in (adapted.base, adapted.joint, *adapted.experts))
    joint = accuracy(adapted.zoo.joint, adapted.zoo.heads["left"], adapted.tasks[0], "test")
    assert adapted.scores(adapted.joint)["left"] == joint
    assert [line["curve"][0]["own"] for line in negate(adapted, {"negation of right"})] == [joint]


def test_adapters_are_merged_as_products(adapted: Judge, tmp_path: Path) -> None:
    """The exact sum is task arithmetic on multiplied-out weights; averaged factors are something else."""
    base, key = adapted.base, "trunk.a.weight"
    factors = [adapted.zoo.factors[task.name] for task in adapted.tasks]
    opened = [open_adapter(lora.write(own, tmp_path / str(place))) for place, own in enumerate(factors)]
    found = ways(opened, factors)
    exact = applied(base, found["adapters: exact sum"][0], 0.7)[0]
    torch.testing.assert_close(exact, TaskArithmetic(scale=0.7)(base, adapted.experts))
    names = (f"base_model.model.trunk.a.lora_{kind}.weight" for kind in "BA")
    b, a = (torch.stack([own[name] for own in factors]).mean(0) for name in names)
    naive = applied(base, *found["adapters: factors averaged"])[0]
    torch.testing.assert_close(naive[key], base[key] + 2 * b @ a)
    mean = sum(own[key] for own in adapted.experts) / 2
    assert (naive[key] - mean).norm() > 0.3 * (mean - base[key]).norm()


def test_a_merged_adapter_says_its_rank_and_what_that_loses(adapted: Judge, tmp_path: Path) -> None:
    records = {record["method"]: record for record in merge_as_adapters(adapted, tmp_path, {"adapters: KnOTS"})}
    assert "adapters: KnOTS" not in records
    exact, cut = records["adapters: exact sum"], records["adapters: sum at one's rank"]
    assert (exact["rank"], exact["lost"], cut["rank"]) == (4, 0, 2)
    assert 0 < cut["lost"] < 1


def test_a_zoo_without_adapters_has_none_to_merge(judge: Judge, tmp_path: Path) -> None:
    assert list(merge_as_adapters(judge, tmp_path)) == []


def test_first_words_and_verbs_are_told_by_browns_tags() -> None:
    # The dog 's barked .   /   He 'll go .   /   To see is to believe .   /   Running was fun !
    assert (first_word(["at", "nn", "vbd", "."]), first_verb(["at", "nn", "vbd", "."])) == (0, 0)
    assert (first_word(["pps+md", "vb"]), first_verb(["pps+md", "vb"])) == (1, 2)
    assert (first_word(["in-tl", "vbz"]), first_verb(["to", "vb", "bez"])) == (2, None)
    assert (first_word(["``", "nn"]), first_verb(["vbg", "bedz*"]), first_verb(["nns", "."])) == (None, 3, None)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Archives like VADER's and Brown's, in which three texts of four are good, or begin with an article."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        for domain in DOMAINS.values():
            rows = [f"{n}\t{'-' if n % 4 == 0 else ''}2.0\ttext {n}\t[]" for n in range(80)] + ["80\t0.2\tso so\t[]"]
            _add(tar, f"hutto_ICWSM_2014/{domain}_GroundTruth.txt", "\n".join(rows))
    with zipfile.ZipFile(tmp_path / VADER, "w") as archive:
        archive.writestr("vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz", inner.getvalue())
    words = ["The/at", "the/at", "The/at", "He/pps", "In/in", "Dogs/nns"] * 20
    verbs = ["ran/vbd", "runs/vbz", "may/md", "running/vbg"]
    rows = [f"{word} {verbs[n % 4]} {' '.join(['far/rb'] * 8)}" for n, word in enumerate(words)]
    with tarfile.open(tmp_path / BROWN, "w:gz") as tar:
        _add(tar, "package/cats.txt", "ca01 news\n")
        _add(tar, "package/ca01", "\n\n".join([*rows, "Too/ql short/jj"]))
    return tmp_path


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(text)
    tar.addfile(info, io.BytesIO(text.encode()))


def test_rare_labels_are_not_what_is_left_for_the_last_rows(written: Path) -> None:
    """Test rows are the last ones."""
    found = texts(written, 40, 0)
    for name, rows in found.items():
        labels = Counter(label for _, label in rows)
        assert set(labels.values()) == {40 // len(labels)}, name
        assert len({label for _, label in rows[-10:]}) > 1, name
    assert found == texts(written, 40, 0) != texts(written, 40, 1)
    assert "so so" not in {text for text, _ in found["films"]}
    with pytest.raises(DataError, match="20 texts of its rarest label; 25 are needed"):
        texts(written, 50, 0)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_torchs_own(causal: bool) -> None:
    random = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 5, 8, generator=random)
    seen = (
        torch.ones(5, 5).tril() > 0 if causal else torch.tensor([True] * 5 + [True] * 3 + [False] * 2).view(2, 1, 1, 5)
    )
    expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
    torch.testing.assert_close(attend(q, k, v, seen), expected.transpose(1, 2).flatten(2), atol=1e-5, rtol=1e-4)


def test_a_bert_layer_is_torchs_own() -> None:
    torch.manual_seed(0)
    own, width = Layer().eval(), 384
    other = nn.TransformerEncoderLayer(width, 12, 1536, 0.0, "gelu", 1e-12, batch_first=True).eval()
    with torch.no_grad():
        for kind in ("weight", "bias"):
            parts = [getattr(part, kind) for part in (own.query, own.key, own.value)]
            getattr(other.self_attn, f"in_proj_{kind}").copy_(torch.cat(parts))
            getattr(other.self_attn.out_proj, kind).copy_(getattr(own.out, kind))
            getattr(other.linear1, kind).copy_(getattr(own.mlp[0], kind))
            getattr(other.linear2, kind).copy_(getattr(own.mlp[2], kind))
        tokens, words = torch.randn(2, 5, width), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
        expected = other(tokens, src_key_padding_mask=~words)[words]
        torch.testing.assert_close(own(tokens, words[:, None, None])[words], expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_padding_says_nothing() -> None:
    torch.manual_seed(0)
    top, tokens = Top(1).eval(), torch.randn(1, 4, 384)
    longer = torch.cat([tokens, torch.zeros(1, 3, 384)], 1)
    torch.testing.assert_close(top(longer), top(tokens), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_texts_can_be_worked_on_one_by_one_together() -> None:
    """As the Fisher information needs it, whose samples have no lengths that a program could look at."""
    torch.manual_seed(0)
    top, tokens = Top(1).eval(), torch.randn(2, 4, 384)
    tokens[1, 2:] = 0
    torch.testing.assert_close(vmap(top)(tokens[:, None])[:, 0], top(tokens), atol=0.02, rtol=0.02)


def test_missing_data_are_named_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pip (install|download)"):
        load(0, tmp_path)


def line(method: str, seed: int, default: dict[str, float], **more: object) -> Line:
    return {"zoo": KIND, "seed": seed, "method": method, "sees": "nothing", "default": default, **more}


def test_a_table_says_means_spreads_and_shares() -> None:
    lines = [
        line("individual", 0, {"a": 80.0, "b": 50.0}),
        line("individual", 1, {"a": 80.0, "b": 50.0}),
        line("x", 0, {"a": 10.0, "b": 10.0}, tuned={"a": 40.0, "b": 40.0}, chosen={"scale": 0.3}),
        line("x", 1, {"a": 20.0, "b": 20.0}, tuned={"a": 60.0, "b": 60.0}, chosen={"scale": 0.5}),
    ]
    _, _, first, second, *_ = page.table(lines, KIND).splitlines()
    assert first == "| **individual** | nothing | 2 | 65.0 ± 0.0 |  | 100.0 |  |  | 80.0 | 50.0 |"
    # Shares: 40/80, 40/50, 60/80, 60/50, of which the mean is 0.8125; the spread of 40 and 60 is 14.1.
    assert second == "| x | nothing | 2 | 50.0 ± 14.1 |  | 81.2 | 15.0 | scale 0.3 0.5 | 50.0 | 50.0 |"


def test_differences_are_paired_by_seed() -> None:
    lines = [
        *(line("task arithmetic", seed, {"a": value}) for seed, value in enumerate((40.0, 50.0, 60.0))),
        *(line("average", seed, {"a": value}) for seed, value in enumerate((43.0, 54.0, 65.0))),
        *(line("x", seed, {"a": value}) for seed, value in enumerate((80.0, 10.0, 60.0))),
        *(line("y", seed, {"a": value}) for seed, value in enumerate((80.0, 90.0))),
    ]
    found = {
        method: {x["seed"]: x for x in lines if x["method"] == method} for method in ("average", "task arithmetic")
    }
    # Differences 3, 4 and 5: the interval is 4.303 times 1 over the root of 3 wide, on each side.
    assert paired.interval(paired.gaps(found, "average", "task arithmetic")) == "+4.0 [+1.5, +6.5]"
    # Two seeds make no interval, and no verdict.
    assert paired.interval([3.0, 4.0]) == "+3.5"
    assert paired.verdict(lines, KIND).splitlines() == [
        "- Against plain averaging: better: none; no clear difference: x; worse: task arithmetic; "
        "too few seeds to say: y. Corrected for 2 comparisons (Holm), these differences remain: task arithmetic.",
        "- Against tuned task arithmetic: better: average; no clear difference: x; worse: none; "
        "too few seeds to say: y. Corrected for 2 comparisons (Holm), these differences remain: average.",
    ]


def test_many_comparisons_leave_fewer_differences() -> None:
    lines = [line("average", seed, {"a": 50.0}) for seed in range(3)]
    lines += [line("x", seed, {"a": 53.0 + seed}) for seed in range(3)]
    # With two degrees of freedom p is 1 - t / root(2 + t^2), and t the root of 48.
    assert paired.chance([3.0, 4.0, 5.0]) == pytest.approx(1 - math.sqrt(48 / 50))
    assert (paired.chance([2.0] * 3), paired.chance([0.0] * 3)) == (0, 1)
    assert "better: x;" in paired.verdict(lines, KIND) and "remain: x." in paired.verdict(lines, KIND)
    # Twice 0.0202 is below 0.05, three times it is not.
    lines += [line(name, seed, {"a": 50.0}) for seed in range(3) for name in ("y", "z")]
    assert "better: x;" in paired.verdict(lines, KIND) and "remain: none." in paired.verdict(lines, KIND)


def test_a_front_of_three_says_two_shares_and_the_worst_task_of_every_seed() -> None:
    point = {"preference": [0.25, 0.5, 0.25]}
    lines = [
        {"zoo": KIND, "seed": seed, "method": "front of 3", "front": [point | {"test": {"a": a, "b": 60.0, "c": 80.0}}]}
        for seed, a in enumerate((50.0, 70.0))
    ]
    heads, _, row, *_, seeds = between_three(lines, KIND).splitlines()
    assert heads == "| share of a | share of b | a | b | c | worst of all |"
    # The worst is a at 50 in the first seed, and b at 60 in the second.
    assert row == "| 0.25 | 0.5 | 60.0 ± 14.1 | 60.0 ± 0.0 | 80.0 ± 0.0 | 55.0 ± 7.1 |"
    assert seeds.endswith("2 seeds.")


def test_the_page_says_what_was_measured() -> None:
    """Tables in docs/zoo.md are those of the results beside the benchmark, and pictures are there."""
    lines, text = read(), page.PAGE.read_text("utf-8")
    assert lines, "no results"
    for kind in kinds(lines):
        for what, made in page.PARTS.items():
            begin, end = page.marks(kind, what)
            if begin in text:
                assert text.split(begin)[1].split(end)[0].strip() == made(lines, kind)
        assert page.marks(kind, "table")[0] in text
        assert (picture.IMAGES / f"zoo-{kind}.svg").read_text("utf-8") == picture.methods(lines, kind)


def test_every_method_is_judged_on_all_seeds_of_its_zoo() -> None:
    """Means of a table are over the same fine-tunings, or they could not be compared."""
    seeds: dict[str, dict[str, set[int]]] = {}
    for own in read():
        seeds.setdefault(own["zoo"], {}).setdefault(own["method"], set()).add(own["seed"])
    for kind, methods in seeds.items():
        assert {name: found for name, found in methods.items() if found != methods["individual"]} == {}, kind
