"""The module that componentize-py's runtime gives to the guest, as far as it is used."""

from typing import Any

def call_import(number: int, arguments: list[Any], /) -> Any: ...
