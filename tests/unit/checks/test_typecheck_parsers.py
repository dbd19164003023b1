"""What type checkers print becomes diagnostics; what anything else prints becomes none."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.checks.escapes import count_escapes
from pytest_dora.checks.strictness import strict_flags
from pytest_dora.checks.tree import Source
from pytest_dora.checks.typecheckers.parsers import (
    parse_astro,
    parse_django,
    parse_mypy,
    parse_php,
    parse_pyright,
    parse_svelte,
    parse_tsc,
    parse_ty,
    parse_vet,
)
from pytest_dora.model.plan import TypecheckTool
from tests.unit.checks.bench import write

PARSERS = [
    parse_astro,
    parse_django,
    parse_mypy,
    parse_php,
    parse_svelte,
    parse_tsc,
    parse_ty,
    parse_vet,
]


def test_tsc_errors_and_listed_files_are_told_apart() -> None:
    printed = parse_tsc(
        "src/a b(c).ts(3,14): error TS2322: Type 'string' is not assignable.\n"
        "  Types of x are incompatible.\n"
        "error TS18003: No inputs were found.\n"
        "/app/node_modules/typescript/lib/lib.d.ts\n/app/src/a.ts\n"
    )
    assert [(one.path, one.line, one.code) for one in printed.errors] == [
        ("src/a b(c).ts", 3, "TS2322"),
        (None, None, "TS18003"),
    ]
    assert printed.paths[-1] == "/app/src/a.ts"


def test_mypy_counts_errors_and_not_notes() -> None:
    printed = parse_mypy(
        "a.py:2:12: error: Incompatible return value type  [return-value]\n"
        "a.py:2:12: note: see the docs\n"
        "b.py:7: error: invalid syntax  [syntax]\n"
        "Found 2 errors in 2 files (checked 5 source files)\n"
    )
    assert [(one.path, one.line, one.code) for one in printed.errors] == [
        ("a.py", 2, "return-value"),
        ("b.py", 7, "syntax"),
    ]
    assert printed.files == 5
    assert parse_mypy("Success: no issues found in 1 source file").files == 1


def test_pyright_counts_errors_and_not_warnings() -> None:
    def entry(severity: str) -> dict[str, object]:
        place = {"start": {"line": 4, "character": 0}}
        return {
            "file": "/app/a.py",
            "severity": severity,
            "message": "no\n  more",
            "range": place,
            "rule": "r",
        }

    report = {
        "generalDiagnostics": [entry("error"), entry("warning")],
        "summary": {"filesAnalyzed": 3},
    }
    printed = parse_pyright("banner\n" + json.dumps(report))
    assert printed is not None
    assert printed.files == 3
    assert [str(one) for one in printed.errors] == ["/app/a.py:5: r no"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "no json",
        "{}",
        '{"generalDiagnostics": {}}',
        '{"a":' * 50_000,
        "npm error {network}",
    ],
)
def test_what_is_no_pyright_report_is_none(text: str) -> None:
    assert parse_pyright(text) is None


@pytest.mark.parametrize("files", ["-1", "true", "1e999", "NaN", '"7"', "99999999999"])
def test_impossible_numbers_of_files_are_unknown(files: str) -> None:
    printed = parse_pyright(
        f'{{"generalDiagnostics": [], "summary": {{"filesAnalyzed": {files}}}}}'
    )
    assert printed is not None
    assert printed.files is None


def test_go_vet_names_file_and_line() -> None:
    printed = parse_vet(
        "# example.com/x\n./main.go:9:2: Printf format %d has arg of wrong type\nvet: ./b.go:3:1: expected declaration\n"
    )
    assert [(one.path, one.line) for one in printed.errors] == [("./main.go", 9), ("./b.go", 3)]


def test_php_counts_good_and_bad_files() -> None:
    printed = parse_php(
        "No syntax errors detected in ./a.php\n"
        "PHP Parse error:  syntax error, unexpected end of file in ./b.php on line 3\n"
        "Errors parsing ./b.php\n"
    )
    assert printed.files == 2
    assert [str(one) for one in printed.errors] == [
        "./b.php:3: Parse syntax error, unexpected end of file"
    ]


def test_django_counts_errors_and_not_warnings() -> None:
    printed = parse_django(
        "ERRORS:\nshop.Cart.user: (fields.E300) Field defines a relation.\nWARNINGS:\n?: (security.W004) no hsts\n"
    )
    assert [one.code for one in printed.errors] == ["fields.E300"]


def test_frameworks_say_how_many_files_they_read() -> None:
    svelte = parse_svelte(
        '1 START "/app"\n1 ERROR "src/A.svelte" 3:5 "no"\n1 COMPLETED 12 FILES 1 ERRORS 0 WARNINGS\n'
    )
    assert (svelte.files, len(svelte.errors)) == (12, 1)
    astro = parse_astro("src/a.astro:3:5 - error ts(2322): no\n\nResult (9 files): \n- 1 error\n")
    assert (astro.files, astro.errors[0].code) == (9, "ts(2322)")
    assert parse_ty("src/a.py:1:2: error[invalid-assignment] no\n").errors[0].line == 1


@given(st.text(max_size=300))
def test_no_text_makes_a_parser_raise(text: str) -> None:
    for parse in PARSERS:
        assert len(parse(text).errors) <= len(text)
    parse_pyright(text)


@pytest.mark.parametrize("parse", PARSERS)
def test_long_lines_do_not_stall_a_parser(parse: Callable[[str], object]) -> None:
    started = time.perf_counter()
    for text in (
        "a" * 2_000_000,
        "error: " * 100_000,
        "a:" * 300_000,
        "/" * 500_000,
        "(1,1" * 200_000,
    ):
        parse(text)
    assert time.perf_counter() - started < 60


def test_escapes_are_counted_in_code_and_not_in_words() -> None:
    counted = count_escapes(
        [
            Source(
                "a.ts",
                "// any\nconst s = 'any';\nlet x: any = y as any;\n// @ts-ignore\nlet z = 1;\n",
            ),
            Source("b.py", "from typing import Any\nx: Any = 1  # type: ignore[x]\n# Any\n"),
        ]
    )
    assert (counted.any_types, counted.ts_ignores, counted.type_ignores) == (3, 1, 1)
    assert counted.as_numbers()["escapes_per_kloc"] == round(1000 * 5 / counted.lines, 2)
    assert count_escapes([]).as_numbers()["escapes_per_kloc"] is None


def test_strict_flags_follow_relative_extends_and_comments(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "base.json": '{"compilerOptions": {"strict": true, "skipLibCheck": true}}',
            "web/tsconfig.json": '{ // own\n "extends": "../base", "compilerOptions": {"strict": false,}, /* x */ }',
            "pyproject.toml": '[tool.mypy]\nstrict = true\n[tool.pyright]\ntypeCheckingMode = "strict"\n',
            "mypy.ini": "[mypy]\ndisallow_untyped_defs = True\n",
            "broken.json": "{" * 10_000,
        },
    )
    flags = strict_flags(tmp_path, "web/tsconfig.json", TypecheckTool.TSC)
    assert (flags["strict"], flags["skipLibCheck"], flags["noImplicitAny"]) == (False, True, None)
    assert strict_flags(tmp_path, "pyproject.toml", TypecheckTool.MYPY)["strict"] is True
    assert strict_flags(tmp_path, "mypy.ini", TypecheckTool.MYPY)["disallow_untyped_defs"] == "True"
    assert set(strict_flags(tmp_path, "broken.json", TypecheckTool.TSC).values()) == {None}
