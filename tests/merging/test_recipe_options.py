"""Parameters of mergekit's that few recipes set, worked out here once more in float64."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from tests.merging import recipe_zoo as zoo
from tests.merging.dense import slerp
from tests.merging.test_ram import oracle as enlarged
from tests.merging.test_recipes import LAYER, along, elect, merged, trim
from tests.merging.test_strips import stock, strips

from accord.errors import ConfigurationError
from accord.merging import begin_job
from accord.merging.recipe.templates import TEMPLATES
from accord.merging.selection import top


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return zoo.with_recipes(tmp_path_factory.mktemp("options"))


def deltas(name, s, *models):
    return [s[model][name] - s["base"][name] for model in models]


def nuslerp_rows(name, s):
    return s["base"][name] + strips(lambda a, b: slerp(a, b, 0.25), deltas(name, s, "alpha", "beta"), -1)


def nuslerp_columns(name, s):
    found = LAYER.search(name)
    late = int(found[1]) > 1 if found else "embed" not in name
    t = -0.5 if late else 0.35
    pair = [s["alpha"][name], s["beta"][name]]
    if "mlp" in name:  # flattened
        return slerp(pair[0].ravel(), pair[1].ravel(), t).reshape(pair[0].shape)
    return strips(lambda a, b: slerp(a, b, t), pair, 0)


def model_stock_rows(name, s):
    return s["base"][name] + strips(stock, deltas(name, s, "alpha", "beta", "gamma"), -1)


def multislerp(name, s):
    weights = [along([0.5, 1.5], name), 2.0, 0.25]
    moved = deltas(name, s, "alpha", "beta", "gamma")
    lengths = [np.linalg.norm(delta) for delta in moved]
    total = sum(w * d / n for w, d, n in zip(weights, moved, lengths, strict=True))
    return s["base"][name] + total / np.linalg.norm(total) * np.dot(weights, lengths)


def ram(name, s):
    return enlarged(s["base"][name], [s[m][name] for m in ("alpha", "beta", "gamma")], 0.1, 0.0, 1.0)


def ramplus_tl(name, s):
    models = [s[m][name] for m in ("alpha", "beta", "gamma")]
    return enlarged(s["base"][name], models, 0.05, 0.5 if "mlp" in name else 0.25, along([0.2, 4.0], name))


def rescaled(name, s):
    kept = []
    densities = (along([0, 0.5, 1], name), 0.4)
    for weight, density, delta in zip((1.0, 0.5), densities, deltas(name, s, "alpha", "beta"), strict=True):
        left = trim(delta, density) if density > 0 else 0.0 * delta
        kept.append(weight * left * np.abs(delta).sum() / max(np.abs(left).sum(), 1e-9))
    return s["base"][name] + elect(kept, (1.0, 0.5), True, 0.8)


EXPECTED = (nuslerp_rows, nuslerp_columns, model_stock_rows, multislerp, ram, ramplus_tl, rescaled)


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda f: f.__name__)
def test_what_the_parameters_mean(root, expected):
    folder, states = root
    result = merged(folder, f"{expected.__name__}.yaml", expected.__name__)
    assert set(result) == set(states["base"])
    for tensor, values in result.items():
        np.testing.assert_allclose(values, expected(tensor, states), rtol=2.0**-22, atol=2e-7)


def test_what_decides_nothing_is_said(root, monkeypatch):
    folder, _ = root
    monkeypatch.chdir(folder)
    job = begin_job("nuslerp_columns.yaml", "never")
    notes = "\n".join(job.plan(job.recipes[0]).notes)
    assert "nuslerp_flatten at a model decides nothing" in notes and "residual_weight decides nothing" in notes
    job = begin_job("nuslerp_rows.yaml", "never")
    notes = "\n".join(job.plan(job.recipes[0]).notes)
    assert "normalize decides nothing: nuslerp has no such parameter" in notes and "int8_mask" in notes


DENSITY = (
    "models: [{{model: alpha, parameters: {{weight: 1, density: {}}}}}, {{model: beta, parameters: {{weight: 1}}}}]"
)


@pytest.mark.parametrize("method", ["ties", "dare_ties", "dare_linear", "della", "della_linear", "breadcrumbs"])
def test_a_density_of_0_leaves_a_model_out(root, monkeypatch, method):
    folder, states = root
    monkeypatch.chdir(folder)
    text = f"{DENSITY.format(0)}\nmerge_method: {method}\nbase_model: base\n"
    result = merged(folder, yaml.safe_load(text), f"none-{method}")
    for name, values in result.items():
        np.testing.assert_allclose(values, states["beta"][name], rtol=2.0**-22, atol=2e-7)
    for wrong in (-0.5, 1.5):
        with pytest.raises(ConfigurationError, match=f"density .*{wrong}|density={wrong}"):
            job = begin_job(f"{DENSITY.format(wrong)}\nmerge_method: {method}\nbase_model: base\n", "never")
            job.plan(job.recipes[0])


def test_a_density_between_those_of_a_gradient_is_not_one_entry_short():
    assert top((1 - 2 / 3) * 0 + 2 / 3 * 0.5, 384) == 128
    assert top(0.29, 100) == 29 and top(0.33333333, 300_000_000) == 99_999_999


def test_divisors_still_count_a_model_of_which_nothing_is_kept(root, monkeypatch):
    folder, states = root
    monkeypatch.chdir(folder)
    text = f"{DENSITY.format(0)}\nmerge_method: dare_linear\nbase_model: base\nparameters: {{normalize: true}}\n"
    for name, values in merged(folder, yaml.safe_load(text), "halved").items():
        base = states["base"][name]
        np.testing.assert_allclose(values, base + 0.5 * (states["beta"][name] - base), rtol=2.0**-22, atol=2e-7)


def test_the_template_of_exaone():
    jinja2 = pytest.importorskip("jinja2")
    told = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]
    template = jinja2.Template(TEMPLATES["exaone"])
    text = template.render(messages=told, add_generation_prompt=True)
    assert text == "[|system|][|endofturn|]\n[|user|]Hi\n[|assistant|]Yes[|endofturn|]\n[|assistant|]"
