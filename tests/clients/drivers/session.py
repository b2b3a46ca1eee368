"""What the two Python clients share: run the plan, print what the client showed."""

import asyncio
import json
import sys
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import Request, Result
from pydantic import ConfigDict


class AnyRequest(Request[dict[str, Any], str]):
    """A request of any method."""


class AnyResult(Result):
    """A result with whatever members it has."""

    model_config = ConfigDict(extra="allow")


def plain(value):
    if hasattr(value, "model_dump"):
        # What was set: members the server did not send are not filled in.
        return value.model_dump(by_alias=True, mode="json", exclude_unset=True)
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


async def run(connect, kinds):
    """`connect(target, era, extensions)` is an async context manager of a client; `kinds` are its calls by step kind."""
    plan = json.loads(sys.argv[1])
    seen = {}
    for session in plan["sessions"]:
        async with connect(session["target"], plan["era"], session["extensions"]) as client:
            for step in session["steps"]:
                try:
                    seen[step["step"]] = {"result": plain(await kinds[step["kind"]](client, step))}
                except MCPError as e:
                    seen[step["step"]] = {"error": {"code": e.code, "message": e.message, "data": e.data}}
                except Exception as e:
                    seen[step["step"]] = {"rejected": f"{type(e).__name__}: {e}"}
    print(json.dumps(seen))


def main(connect, kinds):
    asyncio.run(run(connect, kinds))
