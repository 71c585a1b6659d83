"""Settings that are wrong, explained in one line."""

from __future__ import annotations

from collections.abc import Collection
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError

from sr4.config.model import ModelConfig
from sr4.config.networks import NETWORKS
from sr4.errors import SR4Error, nearest, shorten


def explain(error: ValidationError, settings: type[BaseModel]) -> str:
    """The first failure of a validation of these settings as one line, with the nearest valid key
    where one is unknown.
    """
    first = error.errors()[0]
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    parts = [shorten(str(part)) for part in first["loc"]]
    kinds: Collection[str] = NETWORKS
    if "network" in parts[:-1]:  # pydantic puts the network's kind behind its key
        kinds = [parts.pop(parts.index("network") + 1)]
    key = ".".join(parts)
    if first["type"] == "extra_forbidden":
        known = keys_of(settings, kinds)
        return f"unknown setting {key!r}: {nearest(key, known, _beside(key, known))}{more}"
    if first["type"] == "union_tag_invalid":
        tag = shorten(str(first["ctx"]["tag"]))
        return f"unknown {key}.kind {tag!r}: {nearest(tag, NETWORKS)}{more}"
    place = f"setting {key!r}: " if key else ""
    if first["type"] == "missing":
        return f"{place}is missing; expected a value{more}"
    if first["type"] == "value_error":  # one of ours: says all there is to say
        return f"{place}{first['ctx']['error']}{more}"
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{place}got {str(first['input'])[:80]!r}; {message}{more}"


def _beside(key: str, known: Collection[str]) -> set[str]:
    """The settings of the same group, or the names of all groups."""
    group = key.rpartition(".")[0]
    return {name for name in known if group and name.startswith(f"{group}.")} or {
        name.split(".")[0] for name in known
    }


def keys_of(settings: type[BaseModel], networks: Collection[str]) -> set[str]:
    """Dotted names of all settings inside a settings model, with those of the given networks."""
    keys = set()
    for name, field in settings.model_fields.items():
        models = [field.annotation]
        if get_origin(field.annotation) is not tuple:  # whose members have no name
            models += get_args(field.annotation)  # of `Settings | None` both
        if name == "network":
            models = [NETWORKS[kind] for kind in networks]
        for model in models:
            if isinstance(model, type) and issubclass(model, BaseModel):
                keys |= {f"{name}.{key}" for key in keys_of(model, networks)}
        if not any(key.startswith(f"{name}.") for key in keys):
            keys.add(name)
    return keys


def parse_model_config(text: str, where: str, failure: type[SR4Error]) -> ModelConfig:
    """A `config.json`; a failure names the file."""
    try:
        return ModelConfig.model_validate_json(text)
    except ValidationError as error:
        raise failure(f"{where}: {explain(error, ModelConfig)}") from error
