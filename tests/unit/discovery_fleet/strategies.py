"""Apps and fleets with the nastiest names that a file system or a person may come up with."""

from __future__ import annotations

import unicodedata
from datetime import UTC
from pathlib import Path

from hypothesis import strategies as st

from pytest_dora.model.app import App, Generation, Origin, ServiceNames, Waiver
from pytest_dora.model.fleet import Fleet

_NASTY = (
    " ", "a b", "'", '"', '"""', "\\", "-rf", "--dora", "a::b", "[x]", "x]", "a\nb", "a\tb", "é",
    "e\u0301", "日本", "\U0001f600", "\u202eevil", "\x7f", "#", "=", "%41", "..x", "con", "{}",
    "<script>alert(1)</script>", "a|b", "@you", "www.example.org", "::error::x", "`", "&amp;",
)  # fmt: skip
names = st.one_of(
    st.sampled_from(_NASTY),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0/"), min_size=1),
).filter(lambda name: name not in (".", ".."))
texts = st.text(st.characters(exclude_categories=("Cs",)))
_money = st.floats(0, 1e9, allow_nan=False)
_moments = st.datetimes(timezones=st.just(UTC))

generations = st.builds(
    Generation,
    prompt=st.none() | texts,
    success=st.none() | st.booleans(),
    error=st.none() | texts,
    backend=st.none() | texts,
    started_at=st.none() | _moments,
    finished_at=st.none() | _moments,
    seconds=st.none() | _money,
    cost_usd=st.none() | _money,
    input_tokens=st.none() | st.integers(0, 10**12),
    output_tokens=st.none() | st.integers(0, 10**12),
    turns=st.none() | st.integers(0, 1000),
    validation_runs=st.none() | st.integers(0, 1000),
    attempts=st.none() | st.integers(1, 9),
    attempts_cost_usd=st.none() | _money,
    claimed=st.booleans(),
    source=st.none() | texts,
)
waivers = st.builds(
    Waiver, check=texts, reason=texts, expires=st.dates().filter(lambda day: day.year >= 1000)
)
paths = st.lists(names, min_size=1, max_size=3).map(lambda parts: Path("/", *parts))
ids = st.lists(names, min_size=1, max_size=2).map(
    lambda parts: unicodedata.normalize("NFC", "/".join(parts))
)
apps = st.builds(
    App,
    app_id=ids,
    path=st.none() | paths,
    origin=st.sampled_from(Origin),
    generator=st.none() | texts,
    model=st.none() | texts,
    prompt_id=st.none() | texts,
    attempt=st.none() | st.integers(-1, 99),
    expects=st.lists(texts, max_size=2).map(tuple),
    previous_version=st.none() | texts,
    services=st.builds(
        ServiceNames, github=st.none() | texts, fly=st.none() | texts, databricks=st.none() | texts
    ),
    waivers=st.lists(waivers, max_size=2).map(tuple),
    generation=st.none() | generations,
)
fleets = st.builds(
    Fleet,
    apps=st.lists(apps, max_size=4, unique_by=lambda app: app.app_id).map(
        lambda found: tuple(sorted(found, key=lambda app: app.app_id))
    ),
    source=st.none() | paths,
    roots=st.lists(paths, max_size=2).map(tuple),
    notes=st.lists(texts, max_size=2).map(tuple),
)
