"""A repository on a GitHub of ours: its history, deployments and workflow runs, in memory.

Answers hold every field that GitHub's own description requires, for it validates them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
_SITE = "https://github.com"
_API = "https://api.github.com"


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def sha_of(number: int) -> str:
    return f"{number:040x}"


@dataclass
class World:
    name: str = "shop/web"
    commits: list[dict[str, Any]] = field(default_factory=list)
    """One line of history, the oldest first."""
    pulls: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    deployments: dict[int, dict[str, Any]] = field(default_factory=dict)
    statuses: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    attempts: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """Runs, each with its attempts."""
    jobs: dict[tuple[int, int], list[dict[str, Any]]] = field(default_factory=dict)
    _number: int = 100

    # --- history ----------------------------------------------------------------------------

    def commit(self, when: datetime, message: str = "Change something") -> str:
        sha = sha_of(len(self.commits) + 1)
        parents = [self.commits[-1]["sha"]] if self.commits else []
        url = f"{_API}/repos/{self.name}/commits/{sha}"
        person = {"name": "Ada", "email": "ada@example.com", "date": stamp(when)}
        self.commits.append(
            {
                "url": url,
                "sha": sha,
                "node_id": f"C_{sha[-6:]}",
                "html_url": f"{_SITE}/{self.name}/commit/{sha}",
                "comments_url": f"{url}/comments",
                "commit": {
                    "url": url,
                    "author": person,
                    "committer": person,
                    "message": message,
                    "comment_count": 0,
                    "tree": {"sha": sha, "url": f"{_API}/repos/{self.name}/trees/{sha}"},
                },
                "author": user("ada"),
                "committer": user("ada"),
                "parents": [
                    {"sha": one, "url": f"{_API}/repos/{self.name}/commits/{one}"}
                    for one in parents
                ],
            }
        )
        return sha

    def pull(
        self, *shas: str, opened: datetime, merged: datetime | None, ref: str = "feature"
    ) -> int:
        number = self._next()
        url = f"{_API}/repos/{self.name}/pulls/{number}"
        page = f"{_SITE}/{self.name}/pull/{number}"
        issue = f"{_API}/repos/{self.name}/issues/{number}"
        side = {"repo": repository(self.name), "user": user("ada")}
        pull = {
            "url": url,
            "id": 7000 + number,
            "node_id": f"PR_{number}",
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "issue_url": issue,
            "commits_url": f"{url}/commits",
            "review_comments_url": f"{url}/comments",
            "review_comment_url": f"{url}/comments{{/number}}",
            "comments_url": f"{issue}/comments",
            "statuses_url": f"{_API}/repos/{self.name}/statuses/{shas[-1]}",
            "number": number,
            "state": "open" if merged is None else "closed",
            "locked": False,
            "title": "A feature",
            "user": user("ada"),
            "body": None,
            "labels": [],
            "milestone": None,
            "created_at": stamp(opened),
            "updated_at": stamp(merged or opened),
            "closed_at": stamp(merged) if merged else None,
            "merged_at": stamp(merged) if merged else None,
            "merge_commit_sha": shas[-1],
            "assignee": None,
            "head": {"label": f"ada:{ref}", "ref": ref, "sha": shas[-1], **side},
            "base": {"label": "ada:main", "ref": "main", "sha": shas[0], **side},
            "_links": {
                name: {"href": url}
                for name in (
                    "comments", "commits", "statuses", "html", "issue", "review_comments",
                    "review_comment", "self",
                )
            },
            "author_association": "MEMBER",
            "auto_merge": None,
            "draft": False,
        }  # fmt: skip
        for sha in shas:
            self.pulls.setdefault(sha, []).append(pull)
        return number

    # --- deployments ------------------------------------------------------------------------

    def deploy(
        self,
        sha: str,
        when: datetime,
        *states: tuple[str, datetime],
        environment: str = "production",
        bot: bool = True,
        ref: str = "main",
    ) -> int:
        """A deployment; one that succeeds makes the one before it inactive, as GitHub does."""
        number = self._next()
        url = f"{_API}/repos/{self.name}/deployments/{number}"
        self.deployments[number] = {
            "url": url,
            "id": number,
            "node_id": f"DE_{number}",
            "sha": sha,
            "ref": ref,
            "task": "deploy",
            "payload": {},
            "original_environment": environment,
            "environment": environment,
            "description": None,
            "creator": user("github-actions[bot]", "Bot") if bot else user("ada"),
            "created_at": stamp(when),
            "updated_at": stamp(when),
            "statuses_url": f"{url}/statuses",
            "repository_url": f"{_API}/repos/{self.name}",
            "transient_environment": False,
            "production_environment": environment == "production",
        }
        self.statuses[number] = []
        for state, moment in states:
            self.status(number, state, moment)
        return number

    def status(
        self, number: int, state: str, when: datetime, environment: str | None = None
    ) -> int:
        deployment = self.deployments[number]
        url = f"{deployment['url']}/statuses"
        if environment is not None:
            deployment["environment"] = environment
        status = self._next()
        self.statuses[number].insert(
            0,
            {
                "url": f"{url}/{status}",
                "id": status,
                "node_id": f"DES_{status}",
                "state": state,
                "creator": user("github-actions[bot]", "Bot"),
                "description": "",
                "environment": deployment["environment"],
                "target_url": f"{_SITE}/{self.name}/actions",
                "log_url": f"{_SITE}/{self.name}/actions",
                "created_at": stamp(when),
                "updated_at": stamp(when),
                "deployment_url": deployment["url"],
                "repository_url": deployment["repository_url"],
            },
        )
        deployment["updated_at"] = stamp(when)
        if state == "success":
            for other, statuses in self.statuses.items():
                same = self.deployments[other]["environment"] == deployment["environment"]
                if other != number and same and statuses and statuses[0]["state"] == "success":
                    self.status(other, "inactive", when)
        return status

    # --- workflow runs ----------------------------------------------------------------------

    def run(
        self,
        sha: str,
        when: datetime,
        ended: datetime | None,
        conclusion: str | None = "success",
        *,
        workflow: str = "CI",
        event: str = "push",
        jobs: tuple[str, ...] = ("build",),
        actor: dict[str, Any] | None = None,
    ) -> int:
        number = self._next()
        self.attempts[number] = []
        self._attempt(number, sha, when, when, ended, conclusion, workflow, event, jobs, actor)
        return number

    def rerun(
        self, number: int, when: datetime, ended: datetime | None, conclusion: str | None
    ) -> None:
        first = self.attempts[number][0]
        names = tuple(job["name"] for job in self.jobs[number, 1])
        created = datetime.strptime(first["created_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        self._attempt(
            number, first["head_sha"], created, when, ended, conclusion, first["name"],
            first["event"], names, first["actor"],
        )  # fmt: skip

    def touch(self, number: int, when: datetime) -> None:
        """GitHub changes old runs for reasons of its own."""
        for attempt in self.attempts[number]:
            attempt["updated_at"] = stamp(when)

    def _attempt(
        self,
        number: int,
        sha: str,
        created: datetime,
        started: datetime,
        ended: datetime | None,
        conclusion: str | None,
        workflow: str,
        event: str,
        jobs: tuple[str, ...],
        actor: dict[str, Any] | None,
    ) -> None:
        attempt = len(self.attempts[number]) + 1
        url = f"{_API}/repos/{self.name}/actions/runs/{number}"
        status = "completed" if ended else "in_progress"
        self.attempts[number].append(
            {
                "id": number,
                "name": workflow,
                "node_id": f"WFR_{number}",
                "head_branch": "main",
                "head_sha": sha,
                "path": ".github/workflows/ci.yml",
                "run_number": number,
                "run_attempt": attempt,
                "event": event,
                "status": status,
                "conclusion": conclusion if ended else None,
                "workflow_id": 1,
                "url": url,
                "html_url": f"{_SITE}/{self.name}/actions/runs/{number}",
                "display_title": "Change something",
                "created_at": stamp(created),
                "updated_at": stamp((ended or started) + timedelta(seconds=2)),
                "run_started_at": stamp(started),
                "actor": actor or user("ada"),
                "triggering_actor": actor or user("ada"),
                "head_commit": {
                    "id": sha,
                    "tree_id": sha,
                    "message": "Change something",
                    "timestamp": stamp(created),
                    "author": {"name": "Ada", "email": "ada@example.com"},
                    "committer": {"name": "Ada", "email": "ada@example.com"},
                },
                "repository": minimal_repository(self.name),
                "head_repository": minimal_repository(self.name),
                "jobs_url": f"{url}/jobs",
                "logs_url": f"{url}/logs",
                "check_suite_url": f"{_API}/repos/{self.name}/check-suites/1",
                "cancel_url": f"{url}/cancel",
                "rerun_url": f"{url}/rerun",
                "artifacts_url": f"{url}/artifacts",
                "workflow_url": f"{_API}/repos/{self.name}/actions/workflows/1",
                "pull_requests": [],
            }
        )
        self.jobs[number, attempt] = [
            {
                "id": number * 100 + index,
                "node_id": f"J_{number}_{index}",
                "run_id": number,
                "run_url": url,
                "run_attempt": attempt,
                "head_sha": sha,
                "workflow_name": workflow,
                "head_branch": "main",
                "name": name,
                "url": f"{_API}/repos/{self.name}/actions/jobs/{number}",
                "html_url": None,
                "status": status,
                "conclusion": conclusion if ended else None,
                "created_at": stamp(started),
                "started_at": stamp(started),
                "completed_at": stamp(ended) if ended else None,
                "check_run_url": f"{_API}/repos/{self.name}/check-runs/{number}",
                "labels": [],
                "runner_id": None,
                "runner_name": None,
                "runner_group_id": None,
                "runner_group_name": None,
            }
            for index, name in enumerate(jobs)
        ]

    def _next(self) -> int:
        self._number += 1
        return self._number


def user(login: str, kind: str = "User") -> dict[str, Any]:
    url = f"{_API}/users/{login.replace('[', '%5B').replace(']', '%5D')}"
    return {
        "login": login,
        "id": 1,
        "node_id": "U_1",
        "avatar_url": "https://avatars.githubusercontent.com/u/1",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{_SITE}/ada",
        "followers_url": f"{url}/followers",
        "following_url": f"{url}/following{{/other_user}}",
        "gists_url": f"{url}/gists{{/gist_id}}",
        "starred_url": f"{url}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{url}/subscriptions",
        "organizations_url": f"{url}/orgs",
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events{{/privacy}}",
        "received_events_url": f"{url}/received_events",
        "type": kind,
        "site_admin": False,
    }


_REPOSITORY_URLS = """
    archive assignees blobs branches collaborators comments commits compare contents contributors
    deployments downloads events forks git_commits git_refs git_tags hooks issue_comment
    issue_events issues keys labels languages merges milestones notifications pulls releases
    stargazers statuses subscribers subscription tags teams trees
""".split()


def minimal_repository(name: str) -> dict[str, Any]:
    url = f"{_API}/repos/{name}"
    return {
        "id": 1,
        "node_id": "R_1",
        "name": name.split("/")[1],
        "full_name": name,
        "owner": user(name.split("/", maxsplit=1)[0]),
        "private": False,
        "html_url": f"{_SITE}/{name}",
        "description": None,
        "fork": False,
        "url": url,
        **{f"{one}_url": f"{url}/{one}" for one in _REPOSITORY_URLS},
    }


def repository(name: str) -> dict[str, Any]:
    return {
        **minimal_repository(name),
        "clone_url": f"{_SITE}/{name}.git",
        "default_branch": "main",
        "git_url": f"git://github.com/{name}.git",
        "ssh_url": f"git@github.com:{name}.git",
        "svn_url": f"{_SITE}/{name}",
        "mirror_url": None,
        "homepage": None,
        "language": None,
        "license": None,
        "pushed_at": stamp(START),
        "created_at": stamp(START),
        "updated_at": stamp(START),
        **dict.fromkeys(("archived", "disabled"), False),
        **dict.fromkeys(
            ("has_downloads", "has_issues", "has_projects", "has_wiki", "has_pages"), False
        ),
        **dict.fromkeys(("forks", "forks_count", "open_issues", "open_issues_count", "size"), 0),
        **dict.fromkeys(("stargazers_count", "watchers", "watchers_count"), 0),
    }
