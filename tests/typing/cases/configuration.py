"""A parsed configuration has the type that was asked for."""

from dataclasses import dataclass, field
from datetime import timedelta

from pywasm_filter.sdk.configuration import ConfigurationParser, parse_configuration


@dataclass
class Rule:
    prefix: str
    timeout: timedelta = timedelta(seconds=1)


@dataclass
class Config:
    rules: list[Rule] = field(default_factory=list[Rule])
    limit: int | None = None


config = parse_configuration(b"{}", Config)
seconds: float = config.rules[0].timeout.total_seconds()
rules: list[Rule] = parse_configuration(b"[]", list[Rule])
text: str = parse_configuration(b"", str)
again: Config = ConfigurationParser(Config).parse(b"{}")

print(config.rule)  # mypy: attr-defined pyright: reportAttributeAccessIssue
wrong: str = config.rules[0].timeout  # mypy: assignment pyright: reportAssignmentType
more = config.limit + 1  # mypy: operator pyright: reportOptionalOperand
number: int = parse_configuration(b"", str)  # mypy: assignment pyright: reportAssignmentType
parse_configuration("{}", Config)  # mypy: arg-type pyright: reportArgumentType
