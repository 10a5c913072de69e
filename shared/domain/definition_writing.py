"""Writes definition files as YAML that both YAML versions read back as the same values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from shared.domain.definition_file import resolve

if TYPE_CHECKING:
    from shared.domain.pipeline import PipelineDefinition


class _Dumper(yaml.SafeDumper):
    """Quotes whatever either YAML version would not read back as text, and never writes aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    try:
        plain = isinstance(resolve(value), str)
    except ValueError:
        plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain and value.isascii() else '"')


_Dumper.add_representer(str, _text)


def yaml_text(document: dict[str, Any]) -> str:
    """The document in block style, keys in the order given."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False)


def write_pipeline(pipeline: PipelineDefinition) -> str:
    """A pipeline file with what differs from the defaults; it parses back equal."""
    return yaml_text(pipeline.model_dump(mode="json", exclude_defaults=True))
