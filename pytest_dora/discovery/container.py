"""An image without an engine: what its Dockerfile would run, seen from the app's folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from posixpath import dirname

from pytest_dora.discovery import launch, shell
from pytest_dora.discovery.context import Context, ecosystem_of
from pytest_dora.discovery.dockerfile import Run, Stage, stages
from pytest_dora.discovery.files import Tree, join
from pytest_dora.discovery.go import OUTPUT
from pytest_dora.discovery.launch import Place
from pytest_dora.discovery.shell import Command
from pytest_dora.model.plan import Ecosystem, StartPlan, Step

NAMES = ("Dockerfile", "Containerfile", "dockerfile", "Dockerfile.prod", "Dockerfile.production")
DEFAULT_WORKDIR = "/app"
_BUILDS = re.compile(
    r"\b(?:run |run-script )?build(?::\S+)?\b|^tsc\b|^npm (?:prune|cache)|^(?:pnpm|yarn) (?:prune|cache)"
    r"|^go (?:build|mod|install)|^nx |^turbo "
)
_PIP = re.compile(r"^(?:python3? -m )?(?:uv )?pip3? install\b(.*)$", re.DOTALL)
_TOOLS = frozenset(
    {"uv", "poetry", "pip", "setuptools", "wheel", "pipenv", "poetry-core", "virtualenv"}
)
_ECOSYSTEM_OF_BASE = re.compile(r"(?:^|/)(python|node)(?::v?(\d+(?:\.\d+){0,2}))?(?:[-@].*)?$")


@dataclass(frozen=True)
class Image:
    """The final stage of a Dockerfile with the folder that it was built from."""

    path: str
    context: str
    stage: Stage
    mount: str | None
    """Where the app's root lies in the image; None when only parts of it were copied."""
    env: Mapping[str, str]

    def relative(self, cwd: str, path: str) -> str | None:
        """A path of the image, or one relative to an app folder, relative to the app's root."""
        if not path.startswith("/"):
            return join(cwd, path)
        known = self.stage.relative(path.rstrip("/") or "/")
        if known is not None:
            return known
        if self.mount is not None and (path == self.mount or path.startswith(f"{self.mount}/")):
            return join(".", path[len(self.mount) :].lstrip("/"))
        return None

    def rewrite(self, word: str) -> str:
        """A word of a command, with a path of the image that is elsewhere in the app."""
        if re.fullmatch(r"\./[\w.-]+", word):
            word = (
                f"{self.stage.workdir.rstrip('/')}/{word[2:]}" if self._is_product(word) else word
            )
        match = re.match(r"(--?[\w-]+=)?(/[\w./-]+)$", word)
        if not match:
            return word
        known = self.stage.relative(match[2])
        if self.mount and match[2].startswith(f"{self.mount}/"):
            same = known is None or match[2] == f"{self.mount}/{known}"
            if same or not (known or "").startswith(f"{OUTPUT}/"):
                return word
        return f"{match[1] or ''}{{workdir}}/{known}" if known else word

    def _is_product(self, word: str) -> bool:
        """Whether ``./name`` is a program that our own build leaves elsewhere."""
        path = f"{self.stage.workdir.rstrip('/')}/{word[2:]}"
        return any(image == path and f"{OUTPUT}/" in f"{app}/" for image, app in self.stage.copies)

    @property
    def cwd(self) -> str:
        """The folder of the app in which the image's command runs."""
        found = self.relative(".", self.stage.workdir)
        return found if found is not None else self.context

    def place(self, env: Mapping[str, str] | None = None) -> Place:
        """Where the image's commands are read from."""
        merged = {**self.env, **(env or {})}
        return Place(
            variables={**self.stage.variables, **merged},
            env=merged,
            cwd=self.cwd,
            relative=self.relative,
            rewrite=self.rewrite,
            configs=tuple(
                app for image, app in self.stage.copies if image.startswith("/etc/nginx")
            ),
        )

    @property
    def port(self) -> int | None:
        """The first port that the image exposes."""
        return self.stage.ports[0] if self.stage.ports else None


def find_dockerfiles(tree: Tree, folders: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Dockerfiles and their contexts: the root's first, then those of the packages."""
    found: list[tuple[str, str]] = []
    for folder in dict.fromkeys((".", *folders)):
        path = tree.first(folder, *NAMES)
        if path is None and folder == ".":
            nested = tree.first(".", "docker/Dockerfile", ".docker/Dockerfile", "deploy/Dockerfile")
            if nested:
                found.append((nested, "."))
        elif path is not None:
            found.append((path, folder))
    return tuple(found)


def read_image(tree: Tree, path: str, context: str, target: str | None = None) -> Image | None:
    """The image of a Dockerfile; None when it has no stage."""
    found = stages(tree, path, context)
    if not found:
        return None
    stage = found.get(target or "") or list(found.values())[-1]
    return Image(path, context, stage, _mount(stage), dict(stage.env))


def image_commands(
    image: Image,
    entrypoint: Sequence[str] | str | None = None,
    command: Sequence[str] | str | None = None,
    working_dir: str | None = None,
) -> tuple[tuple[Command, ...], str]:
    """The commands an image runs, and their source; arguments replace the image's own."""
    stage = image.stage
    cwd = image.cwd
    if working_dir:
        cwd = image.relative(".", working_dir) or cwd
    entry = entrypoint if entrypoint is not None else (stage.entrypoint or (None, 0))[0]
    last = command
    if last is None and entrypoint is None:
        last = (stage.command or (None, 0))[0]
    line = (stage.command or stage.entrypoint or ("", 1))[1]
    keyword = "CMD" if stage.command else "ENTRYPOINT"
    source = f"{image.path}:{line} {keyword}"
    place = image.place()
    if isinstance(entry, str):
        return shell.commands(entry, place.variables, cwd=cwd, locate=image.relative), source
    if entry:
        words = list(entry)
        if isinstance(last, str):
            words += ["sh", "-c", last]
        elif last:
            words += list(last)
        return (_at(shell.argument_list(words, place.variables), cwd),), source
    if isinstance(last, str):
        return shell.commands(last, place.variables, cwd=cwd, locate=image.relative), source
    if last:
        if shell.shell_script(last) is not None:
            return (Command(tuple(last), cwd),), source
        return (_at(shell.argument_list(last, place.variables), cwd),), source
    return (), source


def start_of(context: Context, image: Image) -> StartPlan | None:
    """The way to start that an image declares."""
    found, source = image_commands(image)
    if not found and image.stage.base.rpartition("/")[2].startswith(("nginx", "caddy")):
        program = "nginx" if "nginx" in image.stage.base else "caddy"
        found = (Command((program,), image.cwd),)
        source = f"{image.path}:FROM {image.stage.base}"
    if not found:
        return None
    prepare = (*carried(image, context), *extra_steps(context, image))
    name = "web"
    return launch.start_plan(
        context,
        found,
        source,
        name=name,
        place=image.place(),
        port=image.port,
        prepare=prepare,
    )


def extra_steps(context: Context, image: Image) -> tuple[Step, ...]:
    """``RUN`` lines that neither install nor build, and so have to be run before the start."""
    steps: list[Step] = []
    for run in image.stage.runs:
        place = image.place()
        cwd = image.relative(".", run.workdir) or image.cwd
        source = f"{image.path}:{run.line} RUN"
        for command in shell.commands(run.text, place.variables, cwd=cwd, locate=image.relative):
            if launch.is_noise(command) or _BUILDS.search(command.text):
                continue
            ecosystem = ecosystem_of(command.argv[0])
            if ecosystem in (None, Ecosystem.GO) or command.program in ("pip", "pip3", "composer"):
                continue
            if re.match(
                r"(?:python3? -m )?(?:pip|venv|ensurepip)\b|python3? -c\b|(?:npm|yarn|pnpm) (?:config|set|install|add|i)\b|uv (?:venv|lock|tool|python|pip|cache)\b|poetry (?:config|self|lock|export)\b|(?:npm|bun) -g",
                command.text,
            ):
                continue
            steps.append(launch.step(context, command, source, place))
    return tuple(steps)


def extra_requirements(image: Image, runs: Sequence[Run]) -> tuple[str, ...]:
    """Python requirements that ``RUN pip install`` names one by one."""
    found: list[str] = []
    for run in runs:
        for command in shell.commands(run.text, image.stage.variables):
            match = _PIP.match(command.text)
            if not match or command.argv[0] in ("sh", "bash"):
                continue
            words = match[1].split()
            skip = False
            for word in words:
                takes_value = word in (
                    "-r",
                    "-c",
                    "-e",
                    "--index-url",
                    "-i",
                    "--extra-index-url",
                    "-t",
                    "--target",
                    "--requirement",
                    "--prefix",
                    "-f",
                    "--find-links",
                    "--trusted-host",
                    "--timeout",
                    "--root-user-action",
                    "--python",
                )
                if skip or takes_value:
                    skip = takes_value
                    continue
                name = re.match(r"[A-Za-z0-9][\w.\-]*", word)
                if name and "/" not in word and name[0].lower() not in _TOOLS and word not in found:
                    found.append(word)
    return tuple(found[:50])


def base_version(image: Image) -> tuple[Ecosystem, str] | None:
    """The interpreter and version of the image's base (``python:3.12-slim``)."""
    match = _ECOSYSTEM_OF_BASE.search(image.stage.base)
    return (Ecosystem(match[1]), match[2]) if match and match[2] else None


def carried(image: Image, context: Context) -> tuple[Step, ...]:
    """Products that the image has elsewhere than the build leaves them, as copying steps."""
    steps: list[Step] = []
    for place, app in image.stage.copies:
        if context.tree.has(app) or app in context.tree.folders:
            continue
        others = Stage("", "", copies=[pair for pair in image.stage.copies if pair != (place, app)])
        target = others.relative(place)
        if target is None and image.mount and place.startswith(f"{image.mount}/"):
            target = join(".", place[len(image.mount) :].lstrip("/"))
        if target is None or target in (app, ".") or not _is_product(app):
            continue
        parent = dirname(target) or "."
        text = f"mkdir -p '{parent}' && rm -rf '{target}' && cp -R '{app}' '{target}'"
        if re.search(r"[^\w./ @&'\-]", text):
            continue
        steps.append(
            Step(
                name=f"copy {app} to {target}",
                argv=("sh", "-c", text),
                package=context.package_of(("sh",), "."),
                source=f"{image.path}:COPY {place}",
            )
        )
    return tuple(steps)


def _is_product(app: str) -> bool:
    parts = app.split("/")
    return any(part in ("dist", "build", "out", ".next", ".output", "public") for part in parts)


def _mount(stage: Stage) -> str | None:
    """Where most copies say that the app's root lies."""
    votes: Counter[str] = Counter()
    for image, app in stage.copies:
        if app == ".":
            votes[image] += 1_000
        elif image.endswith(f"/{app}"):
            votes[image[: -len(app) - 1] or "/"] += 1
    if not votes:
        return None
    place, _ = max(votes.items(), key=lambda vote: vote[1])
    return place if place != "/" else None


def _at(command: Command, cwd: str) -> Command:
    return Command(command.argv, cwd, command.env, command.background)
