"""What people would quote from the output of real tools, and which variable they would name."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.runtime.diagnosis import first_error, missing_variable, network_trouble

NPM_PEER = """\
$ npm install   (in .)
npm warn deprecated inflight@1.0.6: This module is not supported
npm error code ERESOLVE
npm error ERESOLVE unable to resolve dependency tree
npm error
npm error While resolving: shop@0.0.1
npm error A complete log of this run can be found in: /home/app/.npm/_logs/debug-0.log
"""
NPM_OLD = """\
npm ERR! code ELIFECYCLE
npm ERR! errno 1
npm ERR! shop@0.0.1 build: `webpack`
npm ERR! A complete log of this run can be found in:
"""
NPM_404 = """\
npm error code E404
npm error 404 Not Found - GET https://registry.npmjs.org/lefft-pad - Not found
npm error 404  'lefft-pad@*' is not in this registry.
"""
NPM_SCRIPT = """\
npm error Missing script: "build"
npm error
npm error To see a list of scripts, run:
npm error   npm run
"""
BUN_MODULE = """\
$ bun run src/index.ts
1 | import { thing } from "./thing-error: no";
                          ^
error: Cannot find module "./thing" from "/app/src/index.ts"

Bun v1.2.0 (Linux x64)
"""
BUN_SCRIPT = """\
$ vite build
src/main.tsx(3,10): error TS2305: Module '"./api"' has no exported member 'load'.
error: script "build" exited with code 2
"""
BUN_THROW = """\
10 | const url = process.env.DATABASE_URL;
11 | if (!url) throw new Error("DATABASE_URL is not set");
                         ^
error: DATABASE_URL is not set
      at /app/server/src/db.ts:11:21
"""
TSC = """\
src/App.tsx(12,5): error TS2322: Type 'string' is not assignable to type 'number'.
src/App.tsx(14,5): error TS2304: Cannot find name 'foo'.

Found 2 errors in the same file, starting at: src/App.tsx:12
"""
TSC_PRETTY = "src/App.tsx:12:5 - error TS2322: Type 'string' is not assignable to type 'number'.\n"
VITE = """\
vite v6.0.1 building for production...
transforming...
✓ 3 modules transformed.
✗ Build failed in 50ms
error during build:
[vite]: Rollup failed to resolve import "left-pad" from "/app/src/main.ts".
This is most likely unintended because it can break your application at runtime.
"""
ESBUILD = """\
✘ [ERROR] Could not resolve "./missing"

    src/main.ts:1:7:
      1 │ import "./missing"
"""
NODE_THROW = """\
/app/server.js:3
throw new Error("the licence has expired");
^

Error: the licence has expired
    at Object.<anonymous> (/app/server.js:3:7)
    at Module._compile (node:internal/modules/cjs/loader:1554:14)

Node.js v22.12.0
"""
NODE_MODULE = """\
node:internal/modules/esm/resolve:275
    throw new ERR_MODULE_NOT_FOUND(
          ^

Error [ERR_MODULE_NOT_FOUND]: Cannot find module '/app/dist/index.js' imported from /app/
    at finalizeResolution (node:internal/modules/esm/resolve:275:11) {
  code: 'ERR_MODULE_NOT_FOUND',
  url: 'file:///app/dist/index.js'
}

Node.js v22.12.0
"""
NODE_REQUIRE = """\
node:internal/modules/cjs/loader:1228
  throw err;
  ^

Error: Cannot find module 'express'
Require stack:
- /app/server.js
    at Module._resolveFilename (node:internal/modules/cjs/loader:1225:15) {
  code: 'MODULE_NOT_FOUND',
  requireStack: [ '/app/server.js' ]
}
"""
NODE_REFUSED = """\
Error: connect ECONNREFUSED 127.0.0.1:5432
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16) {
  errno: -111,
  code: 'ECONNREFUSED',
  syscall: 'connect',
  address: '127.0.0.1',
  port: 5432
}
"""
PYTHON = """\
INFO:     Started server process [7]
Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
    import flask_error: no
    ^^^^^^^^^^^^
ModuleNotFoundError: No module named 'flask'
"""
PYTHON_CHAIN = """\
Traceback (most recent call last):
  File "/app/settings.py", line 8, in <module>
    port = int(text)
           ^^^^^^^^^
ValueError: invalid literal for int() with base 10: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/manage.py", line 22, in <module>
    main()
django.core.exceptions.ImproperlyConfigured: the port is no number
"""
PYTHON_TWICE = """\
Traceback (most recent call last):
  File "/app/main.py", line 3, in work
    first()
RuntimeError: the first
INFO going on
Traceback (most recent call last):
  File "/app/main.py", line 9, in work
    second()
RuntimeError: the second
"""
PYDANTIC = """\
Traceback (most recent call last):
  File "/app/config.py", line 12, in <module>
    settings = Settings()
               ^^^^^^^^^^
pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings
database_url
  Field required [type=missing, input_value={}, input_type=dict]
    For further information visit https://errors.pydantic.dev/2.11/v/missing
secret_key
  Field required [type=missing, input_value={}, input_type=dict]
"""
GUNICORN = """\
[2025-01-01 10:00:00 +0000] [7] [INFO] Starting gunicorn 23.0.0
[2025-01-01 10:00:00 +0000] [8] [ERROR] Exception in worker process
Traceback (most recent call last):
  File "/app/.venv/lib/python3.12/site-packages/gunicorn/arbiter.py", line 608, in spawn_worker
    worker.init_process()
  File "/app/wsgi.py", line 1, in <module>
    from shop import create_app
ImportError: cannot import name 'create_app' from 'shop' (/app/shop/__init__.py)
[2025-01-01 10:00:00 +0000] [8] [INFO] Worker exiting (pid: 8)
[2025-01-01 10:00:00 +0000] [7] [ERROR] Worker (pid:8) exited with code 3.
[2025-01-01 10:00:00 +0000] [7] [ERROR] Reason: Worker failed to boot.
"""
GUNICORN_NAME = """\
[2025-01-01 10:00:00 +0000] [7] [INFO] Booting worker with pid: 8
Failed to find attribute 'app' in 'main'.
[2025-01-01 10:00:00 +0000] [8] [INFO] Worker exiting (pid: 8)
"""
UV = """\
Using CPython 3.12.3
  × No solution found when resolving dependencies:
  ╰─▶ Because only flask<=3.1.0 is available and you require flask==99, we can
      conclude that your requirements are unsatisfiable.
"""
PIP = """\
Collecting flask==99
ERROR: Could not find a version that satisfies the requirement flask==99 (from versions: 1.0)
ERROR: No matching distribution found for flask==99
"""
GO = """\
go: downloading github.com/gin-gonic/gin v1.9.1
# example.com/shop
./main.go:12:2: undefined: serve
./main.go:14:9: declared and not used: x
"""
GO_MODULE = "main.go:4:2: no required module provides package github.com/x/y; to add it:\n\tgo get github.com/x/y\n"
GO_PANIC = """\
2025/01/01 10:00:00 starting
panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x48f1f0]

goroutine 1 [running]:
main.main()
"""


@pytest.mark.parametrize(
    ("output", "quoted"),
    [
        (NPM_PEER, "npm error ERESOLVE unable to resolve dependency tree"),
        (NPM_OLD, "npm ERR! shop@0.0.1 build: `webpack`"),
        (NPM_404, "npm error 404 Not Found - GET https://registry.npmjs.org/lefft-pad - Not found"),
        (NPM_SCRIPT, 'npm error Missing script: "build"'),
        (BUN_MODULE, 'error: Cannot find module "./thing" from "/app/src/index.ts"'),
        (BUN_SCRIPT, "src/main.tsx(3,10): error TS2305: Module '\"./api\"' has no exported member 'load'."),
        (BUN_THROW, "error: DATABASE_URL is not set"),
        (TSC, "src/App.tsx(12,5): error TS2322: Type 'string' is not assignable to type 'number'."),
        (TSC_PRETTY, TSC_PRETTY.strip()),
        (VITE, '[vite]: Rollup failed to resolve import "left-pad" from "/app/src/main.ts".'),
        (ESBUILD, '✘ [ERROR] Could not resolve "./missing"'),
        (NODE_THROW, "Error: the licence has expired"),
        (NODE_MODULE, "Error [ERR_MODULE_NOT_FOUND]: Cannot find module '/app/dist/index.js' imported from /app/"),
        (NODE_REQUIRE, "Error: Cannot find module 'express'"),
        (NODE_REFUSED, "Error: connect ECONNREFUSED 127.0.0.1:5432"),
        (PYTHON, "ModuleNotFoundError: No module named 'flask'"),
        (PYTHON_CHAIN, "django.core.exceptions.ImproperlyConfigured: the port is no number"),
        (PYTHON_TWICE, "RuntimeError: the first"),
        (PYDANTIC, ("pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings: "
                   "database_url Field required [type=missing, input_value={}, input_type=dict]")),
        (GUNICORN, "ImportError: cannot import name 'create_app' from 'shop' (/app/shop/__init__.py)"),
        (GUNICORN_NAME, "Failed to find attribute 'app' in 'main'."),
        (UV, "conclude that your requirements are unsatisfiable."),
        (PIP, "ERROR: Could not find a version that satisfies the requirement flask==99 (from versions: 1.0)"),
        (GO, "./main.go:12:2: undefined: serve"),
        (GO_MODULE, "main.go:4:2: no required module provides package github.com/x/y; to add it:"),
        (GO_PANIC, "panic: runtime error: invalid memory address or nil pointer dereference"),
        ("$ run\n  one\n  the last words  \n", "the last words"),
        ("\n$ run\n\n", "no output"),
        ("", "no output"),
        ("Traceback (most recent call last):\n  File", "File"),
        ("Found 0 errors. Watching for file changes.\nKilled\n", "Killed"),
    ],
)  # fmt: skip
def test_the_line_is_quoted_that_a_person_would_quote(output: str, quoted: str) -> None:
    assert first_error(output) == quoted


def test_a_quote_is_short() -> None:
    assert len(first_error("Error: " + "x" * 10_000)) == 300
    assert first_error("Error: " + "x" * 100, limit=10) == "Error: xxx"


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("KeyError: 'DATABASE_URL'\n", "DATABASE_URL"),
        ("KeyError: \"Config 'SECRET' is missing, and has no default.\"\n", "SECRET"),
        (PYDANTIC, "DATABASE_URL"),
        (BUN_THROW, "DATABASE_URL"),
        (
            "decouple.UndefinedValueError: SECRET_KEY not found. Declare it as envvar or define a default value.\n",
            "SECRET_KEY",
        ),
        ("django...ImproperlyConfigured: Set the SECRET_KEY environment variable\n", "SECRET_KEY"),
        ("ImproperlyConfigured: The SECRET_KEY setting must not be empty.\n", "SECRET_KEY"),
        ('EnvError: Environment variable "STRIPE_KEY" not set\n', "STRIPE_KEY"),
        ("Error: DATABASE_URL environment variable is required\n", "DATABASE_URL"),
        (
            "Error: DATABASE_URL must be set. Did you forget to provision a database?\n",
            "DATABASE_URL",
        ),
        ("Error: Missing required environment variable: JWT_SECRET\n", "JWT_SECRET"),
        ("Missing required env vars: JWT_SECRET, DATABASE_URL\n", "JWT_SECRET"),
        (
            "Error: Missing environment variables:\n    API_TOKEN: the token of the API\n",
            "API_TOKEN",
        ),
        ("error: Environment variable not found: DATABASE_URL.\n", "DATABASE_URL"),
        (
            "❌ Invalid environment variables: { OPENAI_API_KEY: [ 'Required' ] }\n",
            "OPENAI_API_KEY",
        ),
        ('"path": [\n "DATABASE_URL"\n ],\n "message": "Required"\n', "DATABASE_URL"),
        (
            "OpenAIError: The OPENAI_API_KEY environment variable is missing or empty\n",
            "OPENAI_API_KEY",
        ),
        ("panic: required key DATABASE_URL missing value\n", "DATABASE_URL"),
        ('env: required environment variable "SESSION_KEY" is not set\n', "SESSION_KEY"),
        ("/app/start.sh: line 2: DATABASE_URL: unbound variable\n", "DATABASE_URL"),
        ("sh: 1: TOKEN: parameter not set\n", "TOKEN"),
        ("Error: `SESSION_SECRET` is not defined\n", "SESSION_SECRET"),
        ("2025/01/01 10:00:00 PG_HOST is not set\nexit status 1\n", "PG_HOST"),
    ],
)
def test_the_variable_is_named_that_the_program_lacks(output: str, name: str) -> None:
    assert missing_variable(output) == name


@pytest.mark.parametrize(
    "output",
    [
        NPM_PEER, NPM_OLD, NPM_404, NPM_SCRIPT, BUN_MODULE, BUN_SCRIPT, TSC, VITE, ESBUILD, NODE_THROW,
        NODE_MODULE, NODE_REQUIRE, NODE_REFUSED, PYTHON, PYTHON_CHAIN, PYTHON_TWICE, GUNICORN,
        GUNICORN_NAME, UV, PIP, GO, GO_MODULE, GO_PANIC, "",
        "NODE_ENV=production node server.js\nTypeError: x is undefined\n",
        "WARNING: NODE_ENV value of 'staging' did not match any deployment config file names.\n",
        "NODE_ENV is not set\nError: boom\n",
        "HTTP_PROXY is not set, connecting directly\nError: connect ECONNREFUSED\n",
        "Error: HTTPS_PROXY must be set\n",
        "npm error code ENOENT\nnpm error syscall open\nENOENT is not defined here\n",
        'TypeError [ERR_INVALID_ARG_TYPE]: The "url" argument must be of type string. Received undefined\n',
        "Error: ERR_MODULE_NOT_FOUND is not set\n",
        "WARN: SECRET_KEY is not set, using a random one\nSyntaxError: invalid syntax\n",
        "SENTRY_DSN is not set: error tracking disabled\nError: boom\n",
        "REDIS_URL not set, falling back to memory\nError: boom\n",
        "ReferenceError: API_BASE_URL is not defined\n",
        "NameError: name 'MAX_ITEMS' is not defined\n",
        "src/a.ts(1,1): error TS2304: Cannot find name 'DATABASE_URL'.\n",
        'error: null value in column "id" violates NOT NULL constraint\n',
        "JWT is required\nURL is missing\nAPI is not defined\n",
        "connected with DATABASE_URL from the environment\nError: boom\n",
        "ValidationError: 1 validation error for Item\nname\n  Field required [type=missing]\n",
        "SIGTERM is not set\nSELF_SIGNED_CERT_IN_CHAIN is required\n",
        "EADDRINUSE: address already in use :::3000, port is required\n",
    ],
)  # fmt: skip
def test_no_variable_is_named_that_nobody_misses(output: str) -> None:
    assert missing_variable(output) is None


def test_a_variable_that_the_app_reads_is_believed_in_a_line_of_complaint() -> None:
    output = "starting with DATABASE_URL\nTypeError: Invalid URL: undefined (databaseUrl)\n"
    assert missing_variable(output, ["DATABASE_URL"]) is None
    complaint = "config needs a value for PGHOST\n"
    assert missing_variable(complaint) is None
    assert missing_variable(complaint, ["OTHER", "PGHOST"]) == "PGHOST"
    assert missing_variable("PGHOST is not set, using localhost\n", ["PGHOST"]) is None


@pytest.mark.parametrize(
    "output",
    [
        "npm error code ENOTFOUND\nnpm error network request to https://registry.npmjs.org/x failed\n",
        "npm error tunneling socket could not be established, statusCode=502\n",
        "npm error connect ECONNREFUSED 127.0.0.1:3128\n",
        "error: ConnectionRefused downloading package manifest left-pad\n",
        "  Caused by: error sending request for url (https://pypi.org/simple/flask/)\n",
        "  Caused by: dns error: failed to lookup address information\n",
        "dial tcp: lookup proxy.golang.org: Temporary failure in name resolution\n",
    ],
)
def test_a_registry_out_of_reach_is_trouble_of_the_network(output: str) -> None:
    assert network_trouble(output)


@pytest.mark.parametrize(
    "output", [NPM_PEER, NPM_404, UV, PIP, GO_MODULE, NODE_REFUSED.partition("{")[0],
               "Error: connect ECONNREFUSED ::1:6379\n", "ConnectionRefusedError: [Errno 111]\n"]
)  # fmt: skip
def test_what_an_app_does_wrong_is_not(output: str) -> None:
    assert not network_trouble(output)


@given(st.text(max_size=400))
def test_any_output_can_be_read(output: str) -> None:
    assert first_error(output)
    missing_variable(output, ["A_B"])
    network_trouble(output)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "line",
    ["A", "A_B ", "set ", "missing ", "environment variable ", "Error: x\n at", "\n", " ", "a.", "'",
     "Traceback (most recent call last):\n", "validation error for Settings\n", "x:1:2 ", "= [ ",
     '"path": [ ', "During handling of the above exception", "Error", "  at ", "A" * 70 + " "],
)  # fmt: skip
def test_hostile_output_is_read_in_time(line: str) -> None:
    output = (line * 70_000)[: 64 * 1024]
    clock = time.process_time()
    first_error(output)
    missing_variable(output, ["A_B"])
    network_trouble(output)
    assert time.process_time() - clock < 3
