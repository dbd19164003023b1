"""Ecosystems that are seen and cannot be judged yet, so that nobody has to wonder why."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_dora.discovery.files import Tree
from pytest_dora.model.plan import Package

_MANIFESTS = {
    "Gemfile": "Ruby",
    "pom.xml": "Java",
    "build.gradle": "Java",
    "build.gradle.kts": "Kotlin",
    "Cargo.toml": "Rust",
    "mix.exs": "Elixir",
    "deno.json": "Deno",
    "deno.jsonc": "Deno",
    "pubspec.yaml": "Dart",
    "Package.swift": "Swift",
}


def note(tree: Tree, packages: Sequence[Package]) -> None:
    """Note manifests of the app's root that no module here reads."""
    for name, language in _MANIFESTS.items():
        if tree.has(name):
            tree.note(f"{name}: {language} is not supported, this part of the app is not judged")
    for path in tree.files:
        if path.endswith((".csproj", ".sln", ".fsproj")) and path.count("/") <= 1:
            tree.note(f"{path}: .NET is not supported, this part of the app is not judged")
            break
    loose = [path for path in tree.files if path.endswith(".go") and "/" not in path]
    if loose and not any(package.ecosystem.value == "go" for package in packages):
        tree.note(f"{loose[0]}: Go sources without a go.mod cannot be built")
