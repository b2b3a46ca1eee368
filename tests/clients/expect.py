"""What every client does, and what has to come of it: one list of steps, one list of checks."""

import json
from dataclasses import dataclass

ID = "io.github.mcp-ext/healthcare-fhir"
OFFERED = {"fhirVersions": ["4.0.1"], "revision": "2026-11-01"}
# Fewer than there are heart rates: that the limit holds shows that the client's settings arrived and count.
LIMIT = 5
DECLARED = {"revision": "2026-11-01", "maxResults": LIMIT}
HEART_RATES = {
    "type": "Observation",
    "params": [{"name": "code", "values": ["http://loinc.org|8867-4"]}],
    "sort": ["-date"],
}
HOW_MANY = 16
BAD = {"type": 7, "params": [{"name": "code", "values": "x", "colour": 1}], "count": 101}
FAULTS = {"/type", "/params/0/values", "/params/0/colour", "/count"}
UNKNOWN_PARAMETER = {"type": "Observation", "params": [{"name": "colour", "values": ["x"]}]}
UNKNOWN_PARAMETER_CODE = 42002
SEARCH = f"{ID}/search"
TOOLS = {"fhir_capabilities", "fhir_search", "fhir_read"}
MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"


def step(name, kind, target="", params=None):
    return {"step": name, "kind": kind, "name": target, "params": params or {}}


# Three connections: one declares the extension, one never heard of it, one has a server that breaks its own schema.
SESSIONS = [
    (
        "declaring",
        {ID: DECLARED},
        [
            step("offered", "extensions"),
            step("method", "request", SEARCH, HEART_RATES),
            step("badParams", "request", SEARCH, BAD),
            step("ownError", "request", SEARCH, UNKNOWN_PARAMETER),
            step("unknownMethod", "request", f"{ID}/nothing", {"type": "Observation"}),
            step("toolDeclared", "callTool", "fhir_search", HEART_RATES),
        ],
    ),
    (
        "plain",
        None,
        [
            step("offeredToAll", "extensions"),
            step("refused", "request", SEARCH, HEART_RATES),
            step("tools", "listTools"),
            step("tool", "callTool", "fhir_search", HEART_RATES),
            step("toolFaults", "callTool", "fhir_search", BAD),
            step("toolError", "callTool", "fhir_search", UNKNOWN_PARAMETER),
            step("honest", "callTool", "fhir_capabilities", {"type": "Patient"}),
            step("unknownTool", "callTool", "fhir_nothing"),
        ],
    ),
    (
        "lied to",
        None,
        [
            step("lieTools", "listTools"),
            step("lie", "callTool", "fhir_capabilities", {"type": "Patient"}),
        ],
    ),
]
STEPS = {s["step"]: (session, s) for session, _, steps in SESSIONS for s in steps}


class Unmet(Exception):
    """What was expected and not seen."""


def want(condition, expected, seen):
    if not condition:
        raise Unmet(f"expected {expected}, seen {json.dumps(seen)[:600]}")


@dataclass
class Cell:
    """What one client showed and what was on the wire, over one transport in one era."""

    era: str
    transport: str
    validates: bool
    seen: dict
    frames: dict  # by session

    def shown(self, name):
        """The result of a step, where it has to have one."""
        observed = self.seen.get(name, {})
        want("result" in observed, f"a result of the step {name}", observed)
        return observed["result"]

    def error(self, name):
        observed = self.seen.get(name, {})
        want("error" in observed, f"an error from the server in the step {name}", observed)
        return observed["error"]

    def exchange(self, name):
        """Request and answer of a step, as they were on the wire."""
        session, wanted = STEPS[name]
        frames = self.frames[session]
        for request in frames:
            body = request["body"]
            if request["from"] != "client" or not isinstance(body, dict):
                continue
            params = {k: v for k, v in (body.get("params") or {}).items() if k != "_meta"}
            if wanted["kind"] == "request":
                same = body.get("method") == wanted["name"] and params == wanted["params"]
            else:
                arguments = params.get("arguments") or {}
                same = (
                    body.get("method") == "tools/call"
                    and params.get("name") == wanted["name"]
                    and arguments == wanted["params"]
                )
            if same:
                for answer in frames:
                    if (
                        answer["from"] == "server"
                        and isinstance(answer["body"], dict)
                        and answer["body"].get("id") == body["id"]
                    ):
                        return request, answer
        raise Unmet(f"no request and answer on the wire for the step {name}")

    def requests(self, session):
        return [
            f["body"]
            for f in self.frames[session]
            if f["from"] == "client" and "id" in f["body"] and "method" in f["body"]
        ]


def without_envelope(result):
    return {k: v for k, v in result.items() if k not in ("_meta", "resultType")}


def matches(result, count):
    want(isinstance(result, dict) and len(result.get("matches", ())) == count, f"{count} matches", result)
    total = {"value": HOW_MANY, "accuracy": "exact"}
    want(result.get("total") == total and result.get("synthetic") is True, f"total {total}, synthetic", result)


def era(cell):
    for session, _, _ in SESSIONS:
        for request in cell.requests(session):
            version = ((request.get("params") or {}).get("_meta") or {}).get(META + "protocolVersion")
            want(version == (MODERN if cell.era == "modern" else None), f"{cell.era} requests only", request)
            want(cell.era == "legacy" or request["method"] != "initialize", "no initialize", request)


def offered(cell):
    want((cell.shown("offered") or {}).get(ID) == OFFERED, f"{ID} with {OFFERED}", cell.shown("offered"))


def offered_to_all(cell):
    want(
        cell.shown("offeredToAll") == cell.shown("offered"),
        "what a declaring client is told",
        cell.shown("offeredToAll"),
    )


def declared(cell, name, in_meta):
    if in_meta:
        request, _ = cell.exchange(name)
        capabilities = (request["body"]["params"].get("_meta") or {}).get(META + "clientCapabilities", {})
    else:
        hello = [r for r in cell.requests("declaring") if r["method"] == "initialize"]
        want(len(hello) == 1, "one initialize", hello)
        capabilities = hello[0]["params"]["capabilities"]
    want(capabilities.get("extensions", {}).get(ID) == DECLARED, f"the declaration {DECLARED}", capabilities)


def method(cell):
    matches(cell.shown("method"), LIMIT)


def method_whole(cell):
    _, answer = cell.exchange("method")
    sent = answer["body"]["result"]
    shown = cell.shown("method")
    want(without_envelope(shown) == without_envelope(sent), "every member the server sent", [shown, sent])


def method_stamped(cell):
    _, answer = cell.exchange("method")
    result = answer["body"]["result"]
    if cell.era == "modern":
        name = result.get("_meta", {}).get(META + "serverInfo", {}).get("name")
        want(result.get("resultType") == "complete" and name == "mcp-ext", "resultType and serverInfo", result)
    else:
        want("resultType" not in result, "no resultType towards a legacy client", result)


def bad_params(cell):
    error = cell.error("badParams")
    want(error["code"] == -32602, "-32602", error)
    data = error["data"]
    want(data["extension"] == ID and data["kind"] == "invalid_params", "invalid_params of the extension", data)
    want({f["pointer"] for f in data["faults"]} == FAULTS, f"faults at {sorted(FAULTS)}", data)
    want(all(f["expected"] and f["seen"] and f["message"] for f in data["faults"]), "every fault explained", data)


def own_error(cell):
    error = cell.error("ownError")
    want(error["code"] == UNKNOWN_PARAMETER_CODE, f"code {UNKNOWN_PARAMETER_CODE}", error)
    want(
        error["data"]["extension"] == ID and error["data"]["kind"] == "unknown_parameter",
        "kind unknown_parameter",
        error,
    )


def refused(cell):
    error = cell.error("refused")
    if cell.era == "modern":
        want(error["code"] == -32021, "-32021", error)
        want(error["data"] == {"requiredCapabilities": {"extensions": {ID: {}}}}, "requiredCapabilities", error)
    else:
        want(error["code"] == -32601, "-32601", error)
        want(error["data"] == {"extension": ID, "kind": "not_declared"}, "kind not_declared", error)


def refused_status(cell):
    _, answer = cell.exchange("refused")
    status = 400 if cell.era == "modern" else 200
    want(answer["status"] == status, f"HTTP {status}", answer["status"])


def unknown_method(cell):
    want(cell.error("unknownMethod")["code"] == -32601, "-32601", cell.error("unknownMethod"))


def unknown_method_on_the_wire(cell):
    _, answer = cell.exchange("unknownMethod")
    want(answer["body"]["error"]["code"] == -32601, "-32601", answer)
    if cell.transport == "http":
        want(answer["status"] == (404 if cell.era == "modern" else 200), "its HTTP status", answer)


def tool_declared(cell):
    matches(cell.shown("toolDeclared").get("structuredContent"), LIMIT)


def tools(cell):
    listed = {tool["name"]: tool for tool in cell.shown("tools")}
    want(set(listed) == TOOLS, f"the tools {sorted(TOOLS)}", sorted(listed))
    for tool in listed.values():
        want(tool.get("outputSchema", {}).get("type") == "object", "an outputSchema", tool)


def tool(cell):
    result = cell.shown("tool")
    matches(result.get("structuredContent"), HOW_MANY)
    want(result["content"][0]["type"] == "text", "text for the model", result)
    want(json.loads(result["content"][0]["text"]) == result["structuredContent"], "the same in the text", result)


def failed_with(cell, name, words):
    result = cell.shown(name)
    want(result.get("isError") is True, "isError", result)
    text = result["content"][0]["text"]
    want(all(word in text for word in words), f"the words {words}", text)


def tool_faults(cell):
    failed_with(cell, "toolFaults", ["type", "params[0].values", "params[0].colour", "count"])
    error = cell.shown("toolFaults")["structuredContent"]["error"]
    want({f["pointer"] for f in error["faults"]} == FAULTS, f"faults at {sorted(FAULTS)}", error)


def tool_error(cell):
    failed_with(cell, "toolError", ["colour", "fhir_capabilities"])
    error = cell.shown("toolError")["structuredContent"]["error"]
    want(error["extension"] == ID and error["kind"] == "unknown_parameter", "kind unknown_parameter", error)


def unknown_tool(cell):
    want(cell.error("unknownTool")["code"] == -32602, "-32602", cell.error("unknownTool"))


def honest(cell):
    want(
        cell.shown("honest")["structuredContent"]["fhirVersion"] == "4.0.1",
        "an answer that fits its schema",
        cell.seen["honest"],
    )


def lie(cell):
    _, answer = cell.exchange("lie")
    want(answer["body"]["result"]["structuredContent"]["fhirVersion"] == 4, "the lie on the wire", answer)
    rejected = "result" not in cell.seen.get("lie", {"result": None})
    want(rejected == cell.validates, "a rejection" if cell.validates else "no rejection", cell.seen.get("lie"))


@dataclass(frozen=True)
class Check:
    name: str
    holds: object
    needs: tuple  # the steps without which it is impossible
    http_only: bool = False


def checks(in_meta, declaring_step):
    """`in_meta`: whether the declaration is on the request itself; `declaring_step`: which step to look for it in."""
    return [
        Check("the era on the wire is the one asked for", era, ()),
        Check("the client sees the extension with its settings", offered, ("offered",)),
        Check("a client that declares nothing is told the same", offered_to_all, ("offered", "offeredToAll")),
        Check("the declaration is on the wire", lambda c: declared(c, declaring_step, in_meta), (declaring_step,)),
        Check("the method answers, under the negotiated settings", method, ("method",)),
        Check("the client loses nothing of the result", method_whole, ("method",)),
        Check("the result is stamped as its era wants", method_stamped, ("method",)),
        Check("bad params: -32602 with every fault", bad_params, ("badParams",)),
        Check("the extension's own error arrives whole", own_error, ("ownError",)),
        Check("an unknown method of the extension is refused", unknown_method_on_the_wire, ("unknownMethod",)),
        Check("the client sees that refusal as -32601", unknown_method, ("unknownMethod",)),
        Check("the tool works under the negotiated settings", tool_declared, ("toolDeclared",)),
        Check("the undeclared call is refused", refused, ("refused",)),
        Check("the refusal has its HTTP status", refused_status, ("refused",), http_only=True),
        Check("the tools are listed with their schemas", tools, ("tools",)),
        Check("the tool works for a client that never declared", tool, ("tool",)),
        Check("bad arguments: model and program read every fault", tool_faults, ("toolFaults",)),
        Check("model and program read the extension's own error", tool_error, ("toolError",)),
        Check("an unknown tool is -32602", unknown_tool, ("unknownTool",)),
        Check("an answer that fits its schema is taken", honest, ("honest",)),
        Check("an answer that breaks its schema is rejected, where the client validates", lie, ("lie",)),
    ]
