"""Which chat template the result gets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accord.errors import ConfigurationError
from accord.merging.recipe.templates import TEMPLATES

CONFIG, FILE = "tokenizer_config.json", "chat_template.jinja"


def chosen_template(wanted: str | None, folders: Sequence[Path | None]) -> str | None:
    """Return the template, ``None`` to leave it as it is.

    Args:
        wanted: ``auto`` for the one that most models have (the first of those as frequent), a name, or Jinja itself.
        folders: of the models.

    Raises:
        ConfigurationError: it is none of these.
    """
    if not wanted:
        return None
    if wanted == "auto":
        found = [template.strip() for folder in folders if (template := _template(folder))]
        return Counter(found).most_common(1)[0][0] if found else None
    if isinstance(wanted, str) and wanted in TEMPLATES:
        return TEMPLATES[wanted]
    if not isinstance(wanted, str) or "{" not in wanted or len(wanted) < 20:
        raise ConfigurationError(
            f"chat_template is auto, one of {', '.join(TEMPLATES)}, or a Jinja template; got {wanted!r}"
        )
    return wanted


def template_files(
    template: str | None, folder: Path | None, made: Mapping[str, bytes | None]
) -> dict[str, bytes | None]:
    """Return the files that hold ``template`` where the tokenizer is looked for; none for no template."""
    if template is None:
        return {}
    given = made.get(CONFIG)
    config = json.loads(given) if given is not None else _config(folder)
    told = {**config, "chat_template": template}
    return {CONFIG: (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode(), FILE: template.encode()}


def _template(folder: Path | None) -> str | None:
    if folder is None:
        return None
    if (folder / FILE).is_file():
        return (folder / FILE).read_text("utf-8")
    found = _config(folder).get("chat_template")
    if isinstance(found, list):  # several, by name
        found = next((entry.get("template") for entry in found if entry.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _config(folder: Path | None) -> dict[str, Any]:
    try:
        content = json.loads((folder / CONFIG).read_text("utf-8")) if folder else {}
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
