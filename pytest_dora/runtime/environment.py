"""The environment of an app, made from nothing: what it declares, what we provide, no more."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from pytest_dora.model.plan import EnvVar, Package, Plan
from pytest_dora.runtime.sandbox.box import HOME

PROXY_PORT = 3128
_SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
_CA_VARIABLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
)
_INDEX_VARIABLES = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "NPM_CONFIG_REGISTRY",
    "npm_config_registry",
    "YARN_NPM_REGISTRY_SERVER",
    "GOPROXY",
    "GOSUMDB",
)
_PORT_VARIABLES = (
    "PORT",
    "DATABRICKS_APP_PORT",
    "FLASK_RUN_PORT",
    "STREAMLIT_SERVER_PORT",
    "GRADIO_SERVER_PORT",
    "UVICORN_PORT",
    "NITRO_PORT",
)
_SOURCE_FILE = re.compile(r"\.(py|[cm]?[jt]sx?|go|php|vue|svelte|rb|prisma)(:|$)")


def base() -> dict[str, str]:
    """What every program gets."""
    return {
        "PATH": ":".join(_SYSTEM_PATH),
        "HOME": HOME,
        "USER": "app",
        "LOGNAME": "app",
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        # compiled once for every stage, and never into the tree
        "PYTHONPYCACHEPREFIX": f"{HOME}/.cache/pycache",
        "NEXT_TELEMETRY_DISABLED": "1",
        "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
        "STREAMLIT_SERVER_HEADLESS": "true",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "UV_NO_SYNC": "1",
        "UV_FROZEN": "1",
        "UV_OFFLINE": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "GOFLAGS": "-buildvcs=false",
        "GOMODCACHE": "/dora-cache/go",
        "GOTOOLCHAIN": "local",
        "GOTELEMETRY": "off",
    }


def search_path(
    plan: Plan,
    workdir: str,
    path: str,
    cwd: str,
    tool_folders: Iterable[Path],
    *,
    trusted: bool = False,
) -> dict[str, str]:
    """PATH and VIRTUAL_ENV for a command of the package at ``path`` run in ``cwd``.

    A ``trusted`` command finds no program of the app, not even one called ``npm`` or ``uv``.
    """
    near = [package for package in plan.packages if package.path == path]
    ordered = [*near, *(package for package in plan.packages if package not in near)]
    folders: list[str] = []
    env: dict[str, str] = {}
    for package in ordered:
        here = PurePosixPath(workdir, package.path)
        if package.ecosystem.value == "python":
            folders.append(f"{here}/.venv/bin")
            env.setdefault("VIRTUAL_ENV", f"{here}/.venv")
        elif package.ecosystem.value == "node":
            folders += [f"{workdir}/{cwd}/node_modules/.bin", f"{here}/node_modules/.bin"]
        elif package.ecosystem.value == "php":
            folders.append(f"{here}/vendor/bin")
    if trusted:
        folders.clear()
    folders += [str(folder) for folder in tool_folders]
    env["PATH"] = ":".join(dict.fromkeys([*folders, *_SYSTEM_PATH]))
    return env


def ports(port: int) -> dict[str, str]:
    """The variables by which frameworks learn their port."""
    text = str(port)
    return {
        **dict.fromkeys(_PORT_VARIABLES, text),
        "STREAMLIT_SERVER_ADDRESS": "127.0.0.1",
        "GRADIO_SERVER_NAME": "127.0.0.1",
    }


def is_declared(variable: EnvVar) -> bool:
    """Whether operators are told of a variable (an example file, compose, app.yaml), or only
    the source code reads it."""
    return _SOURCE_FILE.search(variable.source) is None


def declared(plan: Plan) -> dict[str, str]:
    """Values for the variables that the app declares: its own, else synthetic ones.

    What is only read in the sources stays unset: an operator would not know of it either.
    """
    values: dict[str, str] = {}
    for variable in plan.env:
        if is_declared(variable) and variable.name not in _PORT_VARIABLES:
            if variable.value is not None:
                values.setdefault(variable.name, variable.value)
            elif variable.required or variable.secret:
                values.setdefault(variable.name, synthetic(variable.name))
    return values


def synthetic(name: str) -> str:
    """A harmless value of the shape that a name suggests."""
    if re.search(r"(URL|URI|ENDPOINT|ORIGIN)S?$", name):
        return "http://localhost:9"
    if name.endswith("HOST"):
        return "localhost"
    if name.endswith("PORT"):
        return "9"
    if re.search(r"(COUNT|LIMIT|SIZE|TTL|SECONDS|MINUTES|DAYS|TIMEOUT)$", name):
        return "10"
    return f"synthetic-{name.lower().replace('_', '-')}"


def install(cache_owner: bool) -> dict[str, str]:
    """What package managers need to reach their registries: proxy, certificates, indexes.

    Credentials in index addresses never reach the sandbox.
    """
    proxy = f"http://127.0.0.1:{PROXY_PORT}"
    env = {
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy),
        "NO_PROXY": "localhost,127.0.0.1",
        "npm_config_proxy": proxy,
        "npm_config_https_proxy": proxy,
        "npm_config_update_notifier": "false",
        "npm_config_fund": "false",
        "npm_config_audit": "false",
        "UV_LINK_MODE": "copy",
        "UV_NO_PROGRESS": "1",
        # a busy machine is no reason for a verdict
        "UV_HTTP_CONNECT_TIMEOUT": "60",
        "UV_HTTP_TIMEOUT": "120",
        "UV_HTTP_RETRIES": "5",
        "npm_config_fetch_retries": "5",
        "UV_OFFLINE": "0",
        "UV_NO_SYNC": "0",
        "UV_FROZEN": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "COMPOSER_HOME": f"{HOME}/.composer",
        "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1",
        "PUPPETEER_SKIP_DOWNLOAD": "1",
        "CYPRESS_INSTALL_BINARY": "0",
        "HUSKY": "0",
    }
    if cache_owner:
        env |= {
            "UV_CACHE_DIR": "/dora-cache/uv",
            # settings of the app must not choose a program that runs while the cache is writable
            "YARN_IGNORE_PATH": "1",
            "npm_config_git": "git",
            "GIT_ALLOW_PROTOCOL": "https",
        }
    for name in (*_CA_VARIABLES, *_INDEX_VARIABLES):
        if name in os.environ:
            env[name] = _without_credentials(os.environ[name])
    env.setdefault("npm_config_registry", npm_registry())
    return env


def certificate_files() -> tuple[Path, ...]:
    """Certificate files and folders that the caller's settings name, outside of /etc and /usr.

    A link is named twice: where it stands and where it leads.
    """
    named = {Path(os.environ[name]).absolute() for name in _CA_VARIABLES if os.environ.get(name)}
    places = {place for path in named for place in (path, path.resolve())}
    return tuple(
        place
        for place in sorted(places)
        if place.exists()
        and not place.is_relative_to("/usr")
        and not place.is_relative_to("/etc/ssl")
    )


def registry_hosts() -> tuple[str, ...]:
    """The indexes that the caller configured, as ``host:port``: nothing else on these hosts."""
    words = [word for name in _INDEX_VARIABLES for word in os.environ.get(name, "").split()]
    urls = [url for word in words for url in re.findall(r"https?://[^\s,|]+", word)]
    return tuple(sorted({place for url in (*urls, npm_registry()) if (place := _place(url))}))


def _place(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    if not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{port}"


def npm_registry() -> str:
    """The registry that the caller's npm is set to, without credentials; asked once."""
    with _asking_npm:
        return _ask_npm()


_asking_npm = threading.Lock()


@cache
def _ask_npm() -> str:
    try:
        done = subprocess.run(
            ["npm", "config", "get", "registry"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "https://registry.npmjs.org/"
    value = done.stdout.strip()
    return (
        _without_credentials(value) if value.startswith("http") else "https://registry.npmjs.org/"
    )


def _without_credentials(value: str) -> str:
    """The addresses in a setting without the names and passwords in them.

    One setting may hold several, after a name (``corp=https://…``) or between commas and bars.
    """
    return re.sub(r"://[^\s/?#]*@", "://", value)


def passed_on(names: Iterable[str]) -> Mapping[str, str]:
    """The caller's own values, only for the names typed with ``--dora-env``."""
    return {name: os.environ[name] for name in names if name in os.environ}


def python_package(plan: Plan) -> Package | None:
    return next((one for one in plan.packages if one.ecosystem.value == "python"), None)
