"""PyPI fastmcp: its client, both eras."""

from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from mcp.client import advertise
from session import AnyRequest, AnyResult, main


def connect(target, era, extensions):
    command = target.get("command")
    return Client(
        target.get("url") or StdioTransport(command[0], command[1:], keep_alive=False),
        mode="auto" if era == "modern" else "legacy",
        extensions=[advertise(id, settings) for id, settings in (extensions or {}).items()],
    )


async def extensions(client, _):
    return client.session.server_capabilities.extensions


async def list_tools(client, _):
    return await client.list_tools()


async def call_tool(client, step):
    return await client.call_tool_mcp(step["name"], step["params"])


async def request(client, step):
    return await client.session.send_request(AnyRequest(method=step["name"], params=step["params"]), AnyResult)


main(connect, {"extensions": extensions, "listTools": list_tools, "callTool": call_tool, "request": request})
