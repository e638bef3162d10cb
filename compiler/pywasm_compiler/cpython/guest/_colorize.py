"""In the place of the standard library's module of that name: a proxy's log has no colours.

`traceback` asks it for some that are empty. The real one would bring dataclasses and inspect with it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COLORIZE = False


class ANSIColors:
    """All colours, each an empty string."""

    def __getattr__(self, name: str) -> str:
        return ""


class Theme:
    """The colours of all modules."""

    def __getattr__(self, name: str) -> ANSIColors:
        return NoColors


NoColors = ANSIColors()
default_theme = theme_no_color = Theme()


def get_colors(colorize: bool = False, *, file: object = None) -> ANSIColors:
    """No colours."""
    return NoColors


def decolor(text: str) -> str:
    """The text, which has none."""
    return text


def can_colorize(*, file: object = None) -> bool:
    """It cannot be done."""
    return False


def get_theme(*, tty_file: object = None, force_color: bool = False, force_no_color: bool = False) -> Any:
    """No colours."""
    return default_theme


def set_theme(theme: object) -> None:
    """Of no effect."""
