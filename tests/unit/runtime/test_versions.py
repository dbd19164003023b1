"""npm ranges are compared with npm's own implementation, which comes with Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.runtime.versions import (
    Version,
    is_exact,
    parse,
    python_requirement,
    satisfies_npm,
)

RANGES = (
    "18", "18.x", "18.17", ">=18", ">= 18.17.0", ">18", ">18.17", "<20", "<=20", "<=20.9", "^18",
    "^18.17.1", "^0.2.3", "^0.0.3", "^0", "~18.17", "~18", "~>18.1", "18.17.0", "=18.17.0", "*", "x",
    "", ">=18 <21", ">=18.0.0 <19.0.0 || >=20.0.0", "18 || 20 || >=22", "16.0.0 - 18", "18 - 20.1",
    "v20.1.0", ">=v18", "20.x.x", "^18.0.0 || ^20.0.0 || >=22.0.0", ">=0.10.3 <0.12", "^18.x",
    "<18 || >21", ">*", "<1.2.x", ">=1.2.x", "~1.x",
)  # fmt: skip
VERSIONS: tuple[Version, ...] = (
    (0, 0, 0), (0, 0, 3), (0, 0, 4), (0, 2, 3), (0, 3, 0), (0, 11, 5), (1, 1, 9), (1, 2, 0),
    (1, 3, 0), (16, 0, 0), (16, 20, 2), (18, 0, 0), (18, 17, 0), (18, 17, 1), (18, 18, 0),
    (19, 0, 0), (20, 0, 0), (20, 1, 0), (20, 9, 0), (20, 9, 1), (20, 10, 0), (21, 7, 1),
    (22, 0, 0), (24, 11, 3),
)  # fmt: skip
_JUDGE = """
const semver = require(process.argv[1]);
const [ranges, versions] = JSON.parse(process.argv[2]);
console.log(JSON.stringify(ranges.map(r => versions.map(v => semver.satisfies(v, r)))));
"""


def test_npm_ranges_mean_what_npm_says_they_mean() -> None:
    npm = shutil.which("npm")
    assert npm is not None
    semver = Path(npm).resolve().parents[1] / "node_modules" / "semver"
    texts = [".".join(map(str, version)) for version in VERSIONS]
    done = subprocess.run(
        ["node", "-e", _JUDGE, str(semver), json.dumps([RANGES, texts])],
        capture_output=True,
        text=True,
        check=True,
    )
    ours = [[satisfies_npm(version, text) for version in VERSIONS] for text in RANGES]
    theirs = json.loads(done.stdout)
    for text, mine, reference in zip(RANGES, ours, theirs, strict=True):
        assert dict(zip(texts, mine, strict=True)) == dict(zip(texts, reference, strict=True)), text


@pytest.mark.parametrize("text", ["lts/*", "latest", "node", ">=18 and <20", "^", "1.2.3.4", "«»"])
def test_what_is_no_range_is_said_to_be_unreadable(text: str) -> None:
    assert satisfies_npm((20, 0, 0), text) is None


def test_one_readable_alternative_is_enough() -> None:
    assert satisfies_npm((20, 0, 0), "lts/* || 20") is True


@given(st.text(max_size=60), st.tuples(*[st.integers(0, 99)] * 3))
def test_no_text_of_an_app_makes_the_reader_fail(text: str, version: Version) -> None:
    assert satisfies_npm(version, text) in (True, False, None)
    parse(text)
    python_requirement(text)


@pytest.mark.parametrize(
    ("text", "allowed", "refused"),
    [
        (">=3.11", "3.11.0", "3.10.9"),
        ("3.12", "3.12.7", "3.13.0"),
        ("3.12.3", "3.12.9", "3.11.3"),
        ("3.12-slim-bookworm", "3.12.1", "3.11.1"),
        ("python-3.11.4", "3.11.9", "3.12.0"),
        ("^3.10", "3.13.0", "4.0.0"),
        ("~3.10", "3.10.5", "3.11.0"),
        (">=3.9,<3.12", "3.11.2", "3.12.0"),
        ("==3.11.*", "3.11.2", "3.12.0"),
        (">=3.9, !=3.9.7", "3.9.8", "3.9.7"),
    ],
)
def test_python_requirements_are_read_in_every_spelling(
    text: str, allowed: str, refused: str
) -> None:
    specifiers = python_requirement(text)
    assert specifiers is not None
    assert specifiers.contains(allowed)
    assert not specifiers.contains(refused)


@pytest.mark.parametrize("text", [None, "", "*", "pypy3.9", "three", ">=3.x"])
def test_a_python_requirement_that_says_nothing_is_none(text: str | None) -> None:
    assert python_requirement(text) is None


@pytest.mark.parametrize(
    "text",
    ["", "9", "9.15", "9.15.0+sha", "9.15.0 ", "../9.15.0", "9.15.0/..", "-9.1.0", "9.15.0\n", "٩.1.0"],
)  # fmt: skip
def test_only_plain_versions_may_become_part_of_a_path(text: str) -> None:
    assert not is_exact(text)


def test_exact_versions_may_be_prereleases() -> None:
    assert is_exact("4.0.0-rc.53")
    assert is_exact("9.15.0")
