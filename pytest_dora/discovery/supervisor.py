"""The programs of a supervisord configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pytest_dora.discovery.files import Tree
from pytest_dora.discovery.shell import Command, commands

_ENVIRONMENT = re.compile(r"""([A-Za-z_]\w*)=(?:"([^"]*)"|'([^']*)'|([^,\s]*))""")


def programs(
    tree: Tree,
    path: str,
    variables: Mapping[str, str],
    relative: Callable[[str, str], str | None],
) -> tuple[tuple[str, Command], ...]:
    """Name and command of every program that starts by itself, in order of priority."""
    found: list[tuple[int, str, Command]] = []
    for section, values in tree.ini(path).items():
        kind, _, name = section.partition(":")
        text = re.sub(r"%\(ENV_(\w+)\)s", r"${\1}", values.get("command", ""))
        if kind != "program" or not text or values.get("autostart", "true").lower() == "false":
            continue
        folder = values.get("directory")
        cwd = (relative(".", folder) if folder else None) or "."
        parsed = commands(text, variables, cwd=cwd)
        env = {
            match[1]: match[2] or match[3] or match[4] or ""
            for match in _ENVIRONMENT.finditer(values.get("environment", ""))
        }
        priority = values.get("priority", "")
        rank = int(priority) if re.fullmatch(r"\d{1,6}", priority) else 999
        if len(parsed) == 1:
            one = parsed[0]
            command = Command(one.argv, one.cwd, {**env, **one.env})
        else:
            command = Command(("sh", "-c", text), cwd, env)
        found.append((rank, name.strip() or "program", command))
    found.sort(key=lambda entry: entry[0])
    return tuple((name, command) for _, name, command in found[:20])
