"""The environment of an app is made from nothing, and of what the caller has only what it needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.model.plan import Ecosystem, EnvVar, Manager, Package, Plan
from pytest_dora.runtime import environment

SECRETS = ("PASSWORD", "s3cr3t", "tok-en")


def package(path: str, ecosystem: Ecosystem) -> Package:
    managers = {Ecosystem.NODE: Manager.NPM, Ecosystem.PYTHON: Manager.UV}
    manager = managers.get(ecosystem, Manager.COMPOSER)
    return Package(path=path, ecosystem=ecosystem, manager=manager, source="x")


def variable(name: str, source: str = ".env.example:1", **more: object) -> EnvVar:
    return EnvVar.model_validate({"name": name, "source": source, **more})


@pytest.fixture(autouse=True)
def _registry_of_npm(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests."""
    for name in (*environment._INDEX_VARIABLES, *environment._CA_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(environment, "npm_registry", lambda: "https://registry.npmjs.org/")


# --- nothing of the caller's ----------------------------------------------------------------


def test_nothing_of_the_callers_environment_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "NPM_TOKEN",
        "PATH",
        "HOME",
        "LD_PRELOAD",
    ):
        monkeypatch.setenv(name, "s3cr3t")
    for values in (environment.base(), environment.install(False), environment.install(True)):
        assert "s3cr3t" not in " ".join(values.values())


def test_values_are_passed_on_by_name_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANTED", "value")
    monkeypatch.setenv("OTHER", "s3cr3t")
    monkeypatch.delenv("ABSENT", raising=False)
    assert environment.passed_on(["WANTED", "ABSENT"]) == {"WANTED": "value"}
    assert environment.passed_on([]) == {}


@pytest.mark.parametrize(
    ("name", "value", "given_on"),
    [
        ("PIP_INDEX_URL", "https://me:s3cr3t@pypi.corp/simple", "https://pypi.corp/simple"),
        (
            "PIP_INDEX_URL",
            "https://tok-en@pypi.corp:8443/simple/",
            "https://pypi.corp:8443/simple/",
        ),
        ("PIP_INDEX_URL", "https://me:s3@cr3t@pypi.corp/", "https://pypi.corp/"),
        ("PIP_INDEX_URL", "https://me:s3cr3t,PASSWORD@pypi.corp/", "https://pypi.corp/"),
        ("PIP_EXTRA_INDEX_URL", "https://a/ https://me:s3cr3t@b/", "https://a/ https://b/"),
        ("PIP_EXTRA_INDEX_URL", "https://a/\n  https://me:s3cr3t@b/", "https://a/\n  https://b/"),
        ("UV_INDEX", "corp=https://me:s3cr3t@pypi.corp/simple", "corp=https://pypi.corp/simple"),
        ("GOPROXY", "https://me:s3cr3t@a,https://me:tok-en@b|direct", "https://a,https://b|direct"),
        ("GOPROXY", "off", "off"),
        ("npm_config_registry", "https://me:s3cr3t@npm.corp/@scope/x", "https://npm.corp/@scope/x"),
        ("PIP_INDEX_URL", "https://pypi.corp/@v/simple?a=b@c", "https://pypi.corp/@v/simple?a=b@c"),
    ],
)
def test_indexes_are_passed_on_without_credentials(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, given_on: str
) -> None:
    monkeypatch.setenv(name, value)
    for values in (environment.install(False), environment.install(True)):
        assert values[name] == given_on
        assert not any(secret in one for one in values.values() for secret in SECRETS)


_word = st.text("abcXYZ019-._~!$&'()*+,;=%", min_size=1, max_size=8)


@given(st.lists(st.tuples(_word, _word, st.sampled_from(["a.example", "b:8080"])), min_size=1))
def test_no_list_of_indexes_keeps_a_password(indexes: list[tuple[str, str, str]]) -> None:
    value = " ".join(f"https://{user}:{word}@{host}/x" for user, word, host in indexes)
    hosts = " ".join(f"https://{host}/x" for _, _, host in indexes)
    assert environment._without_credentials(value) == hosts


# --- the way to registries ------------------------------------------------------------------


def test_configured_registries_are_named_with_their_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:s3cr3t@pypi.corp:8081/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://extra.corp/?x=y file:///opt/wheels")
    monkeypatch.setenv("UV_INDEX", "corp=https://uv.corp/simple")
    monkeypatch.setenv("GOPROXY", "https://go.corp|http://[::1]:3000,direct,off")
    monkeypatch.setenv("npm_config_registry", "https://host:port/")
    assert environment.registry_hosts() == (
        "[::1]:3000",
        "extra.corp:443",
        "go.corp:443",
        "pypi.corp:8081",
        "registry.npmjs.org:443",
        "uv.corp:443",
    )


def test_only_fetch_steps_know_the_cache() -> None:
    fetch, scripts = environment.install(True), environment.install(False)
    assert fetch["UV_CACHE_DIR"].startswith("/dora-cache")
    assert not any("/dora-cache" in value for value in scripts.values())


def test_a_fetch_step_lets_no_setting_of_the_app_choose_a_program() -> None:
    fetch = environment.install(True)
    assert fetch["YARN_IGNORE_PATH"] == "1"
    assert fetch["npm_config_git"] == "git"
    assert fetch["GIT_ALLOW_PROTOCOL"] == "https"


def test_certificates_are_named_where_they_stand_and_where_they_lead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "real.pem").write_text("certificate")
    (tmp_path / "link.pem").symlink_to("real.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "link.pem"))
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", "/usr/share/ca.pem")
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "missing.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", "/etc/ssl/certs")
    assert environment.certificate_files() == (tmp_path / "link.pem", tmp_path / "real.pem")
    assert environment.install(False)["SSL_CERT_FILE"] == str(tmp_path / "link.pem")


# --- PATH -----------------------------------------------------------------------------------


def test_programs_of_the_package_come_before_those_of_others_and_of_the_host() -> None:
    plan = Plan(
        packages=(
            package("client", Ecosystem.NODE),
            package("server", Ecosystem.PYTHON),
            package("site", Ecosystem.PHP),
        )
    )
    found = environment.search_path(plan, "/app", "server", "server", [Path("/opt/uv/bin")])
    assert found["VIRTUAL_ENV"] == "/app/server/.venv"
    folders = found["PATH"].split(":")
    assert folders[0] == "/app/server/.venv/bin"
    assert folders[1:5] == [
        "/app/server/node_modules/.bin",
        "/app/client/node_modules/.bin",
        "/app/site/vendor/bin",
        "/opt/uv/bin",
    ]
    assert len(folders) == len(set(folders))


def test_a_trusted_command_finds_no_program_of_the_app() -> None:
    plan = Plan(
        packages=tuple(package(str(one), one) for one in (Ecosystem.NODE, Ecosystem.PYTHON))
    )
    tools = [Path("/opt/node/bin")]
    found = environment.search_path(plan, "/app", "node", "node", tools, trusted=True)
    assert found["PATH"].startswith("/opt/node/bin:/usr/local/bin:")
    assert "/app" not in found["PATH"]


# --- what the app declares ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (".env.example:3", True),
        ("docker-compose.yml:9", True),
        ("app.yaml:2", True),
        ("Dockerfile:4", True),
        ("dora.toml", True),
        ("README.md:10", True),
        ("src/config.ts:3", False),
        ("server.js", False),
        ("app/settings.py:12", False),
        ("main.go:7", False),
        ("prisma/schema.prisma:2", False),
        ("vite.config.mts:2", False),
    ],
)
def test_operators_are_told_of_what_stands_outside_of_the_sources(source: str, told: bool) -> None:
    assert environment.is_declared(variable("X", source)) is told


def test_declared_variables_have_their_own_value_or_a_harmless_one() -> None:
    plan = Plan(
        env=(
            variable("GREETING", value="hello"),
            variable("GREETING", value="later ones do not count"),
            variable("EMPTY", value="", required=True),
            variable("API_KEY", secret=True),
            variable("NEEDED", required=True),
            variable("OPTIONAL"),
            variable("PORT", value="3000"),
            variable("STREAMLIT_SERVER_PORT", value="8501"),
            variable("READ_ONLY_IN_CODE", "src/config.ts:3", required=True),
            variable("DEFAULT_IN_CODE", "src/config.ts:4", value="x"),
        )
    )
    assert environment.declared(plan) == {
        "GREETING": "hello",
        "EMPTY": "",
        "API_KEY": "synthetic-api-key",
        "NEEDED": "synthetic-needed",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_BASE_URL", "http://localhost:9"),
        ("CORS_ORIGINS", "http://localhost:9"),
        ("OTEL_EXPORTER_ENDPOINT", "http://localhost:9"),
        ("SMTP_HOST", "localhost"),
        ("SMTP_PORT", "9"),
        ("MAX_PAGE_SIZE", "10"),
        ("SESSION_TTL", "10"),
        ("STRIPE_SECRET_KEY", "synthetic-stripe-secret-key"),
    ],
)
def test_a_synthetic_value_has_the_shape_of_its_name(name: str, value: str) -> None:
    assert environment.synthetic(name) == value


def test_every_framework_learns_its_port() -> None:
    found = environment.ports(4321)
    assert {found[name] for name in environment._PORT_VARIABLES} == {"4321"}
    assert found["GRADIO_SERVER_NAME"] == found["STREAMLIT_SERVER_ADDRESS"] == "127.0.0.1"
