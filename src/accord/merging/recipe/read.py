"""Read recipes: YAML as mergekit writes it, one document or several, every unknown key refused with the nearest one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accord.documents import read_documents, read_text
from accord.errors import ConfigurationError, suggest
from accord.merging.layer_pruning import LayerPruning
from accord.merging.recipe.dialect import KNOWN
from accord.merging.recipe.reference import parse_reference
from accord.merging.recipe.schema import DTYPES, Recipe, Slice, Source, Tokenizer
from accord.merging.recipe.tokens import KEYS as TOKENIZER_KEYS
from accord.merging.recipe.tokens import parse_tokenizer

TOP = (
    "models",
    "slices",
    "modules",
    "merge_method",
    "base_model",
    "parameters",
    "name",
    "dtype",
    "out_dtype",
    "tokenizer_source",
    "tokenizer",
    "chat_template",
    "seed",
    "missing",
    "extra",
    "layers",
    "rank",
    "layer_pruning",
)
FORMS = ("models", "slices", "modules")


def read_recipes(source: str | Path | Mapping[str, Any]) -> list[Recipe]:
    """Return the recipes of a file, of YAML text, or of a mapping; the last is the one whose result is wanted.

    Raises:
        ConfigurationError: it is no YAML, or says something no recipe can say.
    """
    if isinstance(source, Mapping):
        return _ordered([_recipe(source)])
    given = isinstance(source, str) and "\n" in source
    called, text = ("the recipe", str(source)) if given else (str(source), read_text(source, "recipe"))
    documents = [document for document in read_documents(text, called) if document is not None]
    if not documents:
        raise ConfigurationError(f"{called} is empty")
    return _ordered([_recipe(document) for document in documents])


def _ordered(recipes: list[Recipe]) -> list[Recipe]:
    """Return recipes so that each comes after those it uses; the one without a name is last."""
    named = {recipe.name: recipe for recipe in recipes if recipe.name is not None}
    final = [recipe for recipe in recipes if recipe.name is None] or recipes[-1:]
    if len(named) + len([r for r in recipes if r.name is None]) < len(recipes):
        raise ConfigurationError("two recipes of the file have the same name")
    if len(final) > 1:
        raise ConfigurationError("of several recipes in a file all but one need a name, by which it uses the others")
    order: list[Recipe] = []

    def visit(recipe: Recipe, above: tuple[str | None, ...]) -> None:
        if recipe.name in above:
            raise ConfigurationError(f"the recipes {', '.join(map(str, above))} use each other in a circle")
        for reference in recipe.references():
            if (used := named.get(reference.path)) is not None and used not in order:
                visit(used, (*above, recipe.name))
        order.append(recipe)

    visit(final[0], ())
    if unused := [recipe.name for recipe in recipes if recipe not in order]:
        raise ConfigurationError(f"the recipe {unused[0]!r} is not used by any other")
    return order


def _recipe(document: Any) -> Recipe:
    if isinstance(document, Mapping) and "experts" in document:
        raise ConfigurationError(
            "this is a recipe for a mixture of experts (mergekit-moe), which is no merge of weights"
        )
    content = _mapping(document, "a recipe", TOP)
    if content.get("merge_method") is None:
        raise ConfigurationError("the recipe has no merge_method, such as linear, slerp or ties")
    content, parameters = _one_form(content)
    base = content.get("base_model")
    missing, extra = content.get("missing", "refuse"), content.get("extra", "refuse")
    _choice("missing", missing, ("refuse", "base"))
    _choice("extra", extra, ("refuse", "drop"))
    recipe = Recipe(
        method=str(content["merge_method"]),
        slices=_models(content["models"]) if "models" in content else _slices(content["slices"]),
        base=None if base is None else parse_reference(base, "base_model"),
        parameters=parameters,
        name=_name(content.get("name")),
        dtype=_dtypes(content)[-1],
        tokenizer=_tokenizer(content),
        chat_template=content.get("chat_template"),
        seed=_whole("seed", content.get("seed", 0), 0) or 0,
        missing=missing,
        extra=extra,
        layers=_stack(content.get("layers")),
        rank=_whole("rank", content.get("rank"), 1),
        pruning=_pruning(content["layer_pruning"]) if "layer_pruning" in content else None,
        raw=document,
    )
    if recipe.pruning is not None and recipe.sliced:
        raise ConfigurationError(
            "layer_pruning ranks the layers of whole models, and this recipe cuts slices: merge `models` under a name "
            "first, and cut slices of the result in a second recipe of the file"
        )
    return recipe


def _pruning(value: Any) -> LayerPruning:
    options = _mapping(value, "layer_pruning", ("keep", "score", "layers"))
    shares = options.get("keep", 1.0)
    for share in shares if isinstance(shares, list) and shares else [shares]:
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise ConfigurationError(f"layer_pruning: keep is one number, or a list of one for each; got {shares!r}")
    return LayerPruning(**options)


def _dtypes(content: Mapping[str, Any]) -> list[str | None]:
    """Return the short names of ``dtype`` and ``out_dtype``, the one that the result has last."""
    given = [(key, content[key]) for key in ("dtype", "out_dtype") if content.get(key) is not None]
    short = [str(value).removeprefix("torch.") for _, value in given]
    for (key, value), name in zip(given, short, strict=True):
        if name not in DTYPES:
            raise ConfigurationError(f"{key} is one of {', '.join(DTYPES)}; got {value!r}")
    return [None, *short]


def _stack(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"layers is the name of a stack of layers, such as model.layers; got {value!r}")
    return value


def _name(value: Any) -> str | None:
    """Return the name of a result, which is that of a folder, too."""
    if value is None:
        return None
    path = Path(str(value))
    if path.is_absolute() or not path.parts or ".." in path.parts:
        raise ConfigurationError(
            f"name is what other recipes call the result, and no path out of its folder; got {value!r}"
        )
    return str(path)


def _one_form(content: dict[str, Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return the content with its one module, if it has that, in place, and the parameters of the recipe."""
    given = [form for form in FORMS if content.get(form)]
    if len(given) != 1:
        raise ConfigurationError(f"a recipe has one of models, slices and modules; this has {given or 'none'}")
    parameters = _parameters(content, "the recipe")
    if given == ["modules"]:
        modules = _mapping(content["modules"], "modules", None)
        if len(modules) != 1:
            raise ConfigurationError(
                f"modules: {', '.join(modules)}: merge them by `models`, which takes all of a model's stacks of "
                "layers, or cut one of them by `slices` and `layers: NAME`"
            )
        (module,) = modules.values()
        inner = _mapping(module, "a module", ("models", "slices", "parameters"))
        parameters = {**parameters, **_parameters(inner, "the module")}
        content = {**content, **{form: inner[form] for form in ("models", "slices") if form in inner}}
        if len([form for form in ("models", "slices") if content.get(form)]) != 1:
            raise ConfigurationError("a module has either models or slices")
    return {key: value for key, value in content.items() if value is not None}, parameters


def _models(value: Any) -> tuple[Slice, ...]:
    sources = []
    for place, item in enumerate(_list(value, "models")):
        where = f"models[{place}]"
        entry = _mapping({"model": item} if isinstance(item, str) else item, where, ("model", "parameters"))
        sources.append(Source(parse_reference(entry.get("model"), where), None, _parameters(entry, where)))
    return (Slice(tuple(sources)),)


def _slices(value: Any) -> tuple[Slice, ...]:
    slices = []
    for place, item in enumerate(_list(value, "slices")):
        where = f"slices[{place}]"
        entry = _mapping(item, where, ("sources", "base_model", "parameters", "residual_weight"))
        base = entry.get("base_model")
        slices.append(
            Slice(
                tuple(
                    _source(source, f"{where}.sources[{n}]")
                    for n, source in enumerate(_list(entry.get("sources"), f"{where}.sources"))
                ),
                None if base is None else parse_reference(base, where),
                _parameters(entry, where),
                entry.get("residual_weight"),
            )
        )
    return tuple(slices)


def _source(item: Any, where: str) -> Source:
    entry = _mapping(item, where, ("model", "layer_range", "parameters"))
    layers = entry.get("layer_range")
    pair = layers if isinstance(layers, Sequence) and len(layers) == 2 else (None, None)
    first, end = pair
    if type(first) is not int or type(end) is not int or not 0 <= first < end:
        raise ConfigurationError(f"{where}: layer_range is [first, last], the last not included; got {layers!r}")
    return Source(parse_reference(entry.get("model"), where), (first, end), _parameters(entry, where))


def _tokenizer(content: Mapping[str, Any]) -> Tokenizer | None:
    source, tokenizer = content.get("tokenizer_source"), content.get("tokenizer")
    if source is not None and tokenizer is not None:
        raise ConfigurationError("a recipe has either tokenizer_source or tokenizer, which has a source of its own")
    if source is not None:
        return parse_tokenizer({"source": source})
    return None if tokenizer is None else parse_tokenizer(tokenizer)


def _parameters(entry: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    parameters = _mapping(entry.get("parameters") or {}, f"parameters of {where}", None)
    for name, value in parameters.items():
        _finite(value, f"{name}, a parameter of {where},")
    return parameters


def _finite(value: Any, where: str) -> None:
    for entry in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        _finite(entry, where)
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"{where} is a finite number; got {value}")


def _mapping(value: Any, where: str, keys: Sequence[str] | None) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where} is a mapping of keys and values; got {value!r}")
    for key in value:
        if keys is not None and key not in keys:
            raise ConfigurationError(f"{where} has no key {key!r}. {_astray(key) or suggest(str(key), keys)}")
    return {str(key): entry for key, entry in value.items()}


def _astray(key: Any) -> str:
    """Return a sentence about a key that stands in the wrong place, where mergekit reads past it."""
    if key in KNOWN:
        return "It is a parameter and has no effect in mergekit either, unless it stands under `parameters`"
    return "It stands under `tokenizer`" if key in TOKENIZER_KEYS else ""


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ConfigurationError(f"{where} is a list of one entry or more; got {value!r}")
    return value


def _choice(key: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{key} is one of {', '.join(choices)}; got {value!r}")


def _whole(key: str, value: Any, least: int) -> int | None:
    if value is not None and (type(value) is not int or value < least):
        raise ConfigurationError(f"{key} is a whole number of {least} or more; got {value!r}")
    return value
