"""PyPI mcp: the Python SDK's client, both eras."""

from mcp import Client, StdioServerParameters
from mcp.client import advertise
from session import AnyRequest, AnyResult, main


def connect(target, era, extensions):
    server = target.get("url") or StdioServerParameters(command=target["command"][0], args=target["command"][1:])
    return Client(
        server,
        mode="auto" if era == "modern" else "legacy",
        extensions=[advertise(id, settings) for id, settings in (extensions or {}).items()],
    )


async def extensions(client, _):
    return client.server_capabilities.extensions


async def list_tools(client, _):
    return (await client.list_tools()).tools


async def call_tool(client, step):
    return await client.call_tool(step["name"], step["params"])


async def request(client, step):
    return await client.session.send_request(AnyRequest(method=step["name"], params=step["params"]), AnyResult)


main(connect, {"extensions": extensions, "listTools": list_tools, "callTool": call_tool, "request": request})
