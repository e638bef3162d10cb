"""The type that a class gives to a generic base is found wherever it stands."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import pytest

from pywasm_filter.sdk.type_arguments import type_argument

ConfigT = TypeVar("ConfigT")
OtherT = TypeVar("OtherT")


class Config:
    pass


class Base(Generic[ConfigT]):
    pass


class Direct(Base[Config]):
    pass


class Named(Base["Config"]):
    pass


class NamedUnion(Base["Config | None"]):
    pass


class Inheriting(Direct):
    pass


class Intermediate(Base[OtherT], Generic[OtherT]):
    pass


class Swapped(Intermediate[ConfigT], Generic[OtherT, ConfigT]):
    pass


class Mixin:
    pass


class ThroughMixin(Mixin, Base[bytes]):
    pass


class OtherGeneric(Generic[OtherT]):
    pass


class Both(OtherGeneric[int], Intermediate[str]):
    pass


class Plain(Base):  # type: ignore[type-arg]
    pass


class Unknown(Base["Nowhere"]):  # type: ignore[name-defined]
    pass


@pytest.mark.parametrize(
    ("cls", "argument"),
    [
        (Base, None),
        (Plain, None),
        (Intermediate, None),
        (Mixin, None),
        (Direct, Config),
        (Named, Config),
        (NamedUnion, Config | None),
        (Inheriting, Config),
        (ThroughMixin, bytes),
        (Both, str),
    ],
)
def test_the_argument_is_found(cls: type[Any], argument: Any) -> None:
    assert type_argument(cls, Base) == argument


def test_a_variable_is_followed_to_the_class_that_binds_it() -> None:
    class Leaf(Swapped[int, Config]):
        pass

    class Below(Leaf):
        pass

    assert type_argument(Leaf, Base) is Config
    assert type_argument(Below, Base) is Config


def test_a_class_made_at_run_time_has_the_argument_of_its_base() -> None:
    assert type_argument(type("Made", (Direct,), {}), Base) is Config


def test_a_name_that_names_nothing_is_told() -> None:
    with pytest.raises(NameError, match="Nowhere"):
        type_argument(Unknown, Base)
