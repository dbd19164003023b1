"""Numbers and settings as people may read them: unknowns are named, passwords are not."""

from __future__ import annotations

import re

from pytest_dora.model.settings import Settings

_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")


def seconds_text(seconds: float | None) -> str:
    """``0.42 s``, ``12 s``, ``7 min 5 s``; ``unknown`` for None."""
    if seconds is None:
        return "unknown"
    if seconds < 9.95:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def percent_with_interval(value: float | None, ci95: tuple[float, float] | None) -> str:
    """``80 % (95 % interval 55 to 93 %)``; ``unknown`` for None."""
    if value is None:
        return "unknown"
    text = f"{value:.1f}".removesuffix(".0") + " %"
    return text if ci95 is None else f"{text}, 95 % interval {ci95[0]:.0f} to {ci95[1]:.0f} %"


def counted(number: int, noun: str) -> str:
    """``1 app``, ``2 apps``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def masked(text: str) -> str:
    """Text in which no URL carries a user and password."""
    return _CREDENTIALS.sub("***@", text)


def masked_settings(settings: Settings) -> Settings:
    """Settings as they may be published."""
    urls = {name: getattr(settings, name) for name in ("postgres_url", "store")}
    return settings.model_copy(update={name: masked(url) for name, url in urls.items() if url})
