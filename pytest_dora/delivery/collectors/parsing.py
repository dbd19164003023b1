"""What a service answered, as typed values: refused with a clear word where it is of another form."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from pytest_dora.delivery.collectors.base import CollectError

_Parsed = TypeVar("_Parsed", bound=BaseModel)


def moment_of(value: object) -> datetime:
    """A time in ISO 8601 with a zone, in UTC; raises ValueError for any other."""
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        moment = datetime.fromisoformat(value)
    else:
        raise ValueError("not a time in ISO 8601")  # noqa: TRY004 - pydantic expects ValueError
    if moment.tzinfo is None:
        raise ValueError("a time without a zone, and none is guessed")
    return moment.astimezone(UTC)


Moment = Annotated[datetime, BeforeValidator(moment_of)]


class Answered(BaseModel):
    """Base of what services answer: what is not asked for is not looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def parsed(kind: type[_Parsed], value: object, what: str) -> _Parsed:
    """The value as a model. Raises CollectError that names ``what`` and each wrong field.

    The values themselves are left out of the message: they may be anything.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(str(part) for part in one['loc']) or 'it'}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        ]
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CollectError(f"{what}: {'; '.join(wrong[:3])}{more}") from None


def secret_from(variable: str, *, name: str) -> str:
    """The secret in an environment variable. Raises CollectError when there is none."""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise CollectError(f"{name}: {variable} is not set; put a token there that may read this")
    return value


def shown(text: str, *variables: str) -> str:
    """What may be shown of what a service said: without the secrets of these variables."""
    for variable in variables:
        value = os.environ.get(variable, "").strip()
        for part in (value, *re.split(r"[\s,]+", value)):
            if len(part) > 3:
                text = text.replace(part, "***")
    return "".join(one for one in " ".join(text.split()) if one.isprintable())[:300]
