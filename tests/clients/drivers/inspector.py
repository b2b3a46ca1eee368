"""npm @modelcontextprotocol/inspector, its command line: one process a step, so one connection a step."""

import json
import os
import subprocess
import sys

DECLARE = "io.modelcontextprotocol/clientCapabilities"


def arguments(step):
    match step["kind"]:
        case "extensions":
            return ["--method", "initialize"]
        case "listTools":
            return ["--method", "tools/list"]
        case "callTool":
            return [
                "--method",
                "tools/call",
                "--tool-name",
                step["name"],
                "--tool-args-json",
                json.dumps(step["params"]),
            ]
        case kind:
            raise ValueError(f"the inspector has no way to do {kind}")


def seen(step, output):
    try:
        result = json.loads(output.stdout)["result"]
    except (ValueError, KeyError):
        try:
            return {"rejected": json.loads(output.stderr)["error"]["message"]}
        except (ValueError, KeyError):
            return {"rejected": (output.stdout + output.stderr)[:2000]}
    match step["kind"]:
        case "extensions":
            return {"result": result["capabilities"].get("extensions")}
        case "listTools":
            return {"result": result["tools"]}
        case _:
            return {"result": result}


def main():
    plan = json.loads(sys.argv[1])
    inspector = [os.environ["INSPECTOR_NODE"], os.environ["INSPECTOR"], "--cli", "--quiet", "--format", "json"]
    inspector += ["--protocol-era", plan["era"]]
    observations = {}
    for session in plan["sessions"]:
        target = session["target"]
        # A list of pairs swallows what follows, so it stands first; the server stands last.
        declare = []
        if session["extensions"]:
            declare = ["--metadata", f"{DECLARE}={json.dumps({'extensions': session['extensions']})}"]
        server = ["--server-url", target["url"], "--transport", "http"] if "url" in target else target["command"]
        for step in session["steps"]:
            command = [*inspector[:3], *declare, *inspector[3:], *arguments(step), *server]
            output = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
            observations[step["step"]] = seen(step, output)
    print(json.dumps(observations))


main()
