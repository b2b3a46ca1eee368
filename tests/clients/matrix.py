"""Runs every client over every transport in every era, and prints what held. Started by `run`, which installs them."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field

import expect
import tap

HERE = pathlib.Path(__file__).resolve().parent
SERVE = ["serve", "--enable", "healthcare", "--data", "bundled"]
# Of one client in one cell; a busy machine with two cores needs a tenth of it.
TIMEOUT = 180
TRANSPORTS = ["stdio", "http"]
ERAS = ["modern", "legacy"]


@dataclass
class Client:
    name: str
    version: str
    command: list
    validates: bool  # checks structuredContent against outputSchema; each cell measures it
    no_era: dict = field(default_factory=dict)  # era -> why it is impossible
    no_step: dict = field(default_factory=dict)  # step -> why it is impossible
    lost: dict = field(default_factory=dict)  # (check, transport, era) -> why it cannot hold; a failure once it does
    always_in_meta: bool = False  # declares on the request in the legacy era too
    unavailable: str = ""  # why it cannot run on this machine


def clients(args):
    npm = json.loads((HERE / "package.json").read_text())["dependencies"]
    pypi = dict(line.split("==") for line in (HERE / "requirements.txt").read_text().split() if "==" in line)
    lock = (HERE / "../../Cargo.lock").read_text()
    rmcp = re.search(r'name = "rmcp"\nversion = "(.*)"', lock).group(1)
    python, node = str(args.cache / "venv/bin/python"), ["node", "--no-warnings"]
    scripts = args.cache / "npm/drivers"
    # Measured: `--cli --method X` takes a closed list of methods and answers `Unsupported method` to any other.
    no_method = "its command line has no way to call a method outside its list"
    return [
        Client(
            "npm @modelcontextprotocol/client",
            npm["@modelcontextprotocol/client"],
            [*node, scripts / "client.mjs"],
            True,
            # Measured: `Error POSTing to endpoint: {"jsonrpc":"2.0","id":3,"error":{"code":-32601,..}}`, an SdkHttpError.
            lost={
                (
                    "the client sees that refusal as -32601",
                    "http",
                    "modern",
                ): "it reads the body of HTTP 400 as an error of the "
                "protocol, that of 404 only as text; the specification wants 404"
            },
        ),
        Client(
            "npm @modelcontextprotocol/sdk",
            npm["@modelcontextprotocol/sdk"],
            [*node, scripts / "sdk.mjs"],
            True,
            # Its newest LATEST_PROTOCOL_VERSION is 2025-11-25 and it has no server/discover.
            no_era={"modern": "this SDK ends at 2025-11-25"},
        ),
        Client("PyPI mcp", pypi["mcp"], [python, HERE / "drivers/mcp_client.py"], True),
        Client("PyPI fastmcp", pypi["fastmcp"], [python, HERE / "drivers/fastmcp_client.py"], True),
        Client(
            "npm @modelcontextprotocol/inspector --cli",
            npm["@modelcontextprotocol/inspector"],
            [sys.executable, HERE / "drivers/inspector.py"],
            True,
            no_step={
                "method": no_method,
                "badParams": no_method,
                "ownError": no_method,
                "refused": no_method,
                "unknownMethod": no_method,
                # Measured: `Tool 'fhir_nothing' not found on server.`, and no tools/call on the wire.
                "unknownTool": "it looks names up in tools/list and never sends an unknown one",
            },
            always_in_meta=True,
            unavailable=""
            if args.inspector_node
            else "it needs node 22.19 or newer, and there is none for this machine",
        ),
        Client("Rust rmcp", rmcp, [args.rmcp_client], False),
    ]


def serve_http(binary):
    """Starts the server; gives the process and its URL."""
    server = subprocess.Popen(
        [binary, *SERVE, "--http", "127.0.0.1:0"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    giving_up = threading.Timer(30, server.kill)
    giving_up.start()
    for line in server.stderr:
        if found := re.search(r"http://\S+", line):
            giving_up.cancel()
            # Its later messages must not fill the pipe.
            threading.Thread(target=lambda: [None for _ in server.stderr], daemon=True).start()
            return server, found.group()
    sys.exit("the server did not say within 30 seconds where it listens")


def run_driver(client, plan, args):
    """The client's observations by step, or what went wrong."""
    env = os.environ | {
        "INSPECTOR_NODE": args.inspector_node or "",
        "INSPECTOR": str(
            args.cache / "npm/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
        ),
        # Neither reads nor writes what the user of this machine has configured.
        "HOME": str(args.cache / "home"),
        "FASTMCP_CHECK_FOR_UPDATES": "off",
        "NO_COLOR": "1",
    }
    command = [*map(str, client.command), json.dumps(plan)]
    driver = subprocess.Popen(
        command,
        env=env,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = driver.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.communicate()
        return {}, f"the client took longer than {TIMEOUT} seconds"
    try:
        return json.loads(out.strip().splitlines()[-1]), None
    except (ValueError, IndexError):
        return {}, f"the client ended with code {driver.returncode} and said nothing to judge: {err[-1500:]}"


def play(client, transport, era, url, args):
    """One cell: what held, what did not, what is impossible."""
    cell = {"client": client.name, "version": client.version, "transport": transport, "era": era}
    cell |= {"checks": [], "impossible": [], "seconds": 0.0}
    if why := client.unavailable or client.no_era.get(era):
        cell["impossible"].append({"check": None, "why": why})
        return cell
    started = time.monotonic()
    frames_of = {}
    with tempfile.TemporaryDirectory() as folder:
        sessions, taps = [], []
        for number, (name, extensions, steps) in enumerate(expect.SESSIONS):
            path = pathlib.Path(folder) / f"{number}.frames"
            frames_of[name] = path
            lie = name == "lied to"
            if transport == "http":
                proxy, target = tap.http_tap(tap.Frames(path, lie), url)
                taps.append(proxy)
                target = {"url": target}
            else:
                mode = "lie" if lie else "honest"
                target = {"command": [sys.executable, str(HERE / "tap.py"), str(path), mode, args.binary, *SERVE]}
            steps = [s for s in steps if s["step"] not in client.no_step]
            sessions.append({"target": target, "extensions": extensions, "steps": steps})
        seen, broken = run_driver(client, {"era": era, "sessions": sessions}, args)
        for proxy in taps:
            proxy.shutdown()
        frames = {}
        for name, path in frames_of.items():
            frames[name] = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    cell["seconds"] = round(time.monotonic() - started, 1)
    judge(client, cell, expect.Cell(era, transport, client.validates, seen, frames), broken)
    if any(check["why"] for check in cell["checks"]):
        cell["seen"], cell["frames"] = seen, frames
    return cell


def judge(client, cell, evidence, broken):
    declaring_step = "toolDeclared" if "method" in client.no_step else "method"
    in_meta = evidence.era == "modern" or client.always_in_meta
    for check in expect.checks(in_meta, declaring_step):
        if check.http_only and evidence.transport != "http":
            continue
        impossible = next((client.no_step[s] for s in check.needs if s in client.no_step), None)
        why = broken
        if not impossible and not broken:
            why = failure(check, evidence)
            if lost := client.lost.get((check.name, evidence.transport, evidence.era)):
                impossible, why = (lost, None) if why else (None, "it holds now: take it off what this client loses")
        if impossible:
            cell["impossible"].append({"check": check.name, "why": impossible})
        else:
            cell["checks"].append({"check": check.name, "why": why})


def failure(check, evidence):
    """Why a check does not hold; `None` if it does."""
    try:
        check.holds(evidence)
    except expect.Unmet as e:
        return str(e)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as e:
        return f"what was seen has another shape: {type(e).__name__}: {e}"
    return None


def table(cells):
    columns = [(t, e) for t in TRANSPORTS for e in ERAS]
    lines = [["client", *(f"{t} {e}" for t, e in columns)]]
    rows = {}
    for cell in cells:
        held = sum(check["why"] is None for check in cell["checks"])
        shown = f"{held}/{len(cell['checks'])}" if cell["checks"] else "impossible"
        rows.setdefault(f"{cell['client']} {cell['version']}", {})[cell["transport"], cell["era"]] = shown
    lines += [[name, *(row.get(column, "-") for column in columns)] for name, row in rows.items()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines)


def report(cells, seconds):
    print(table(cells))
    reasons = {}
    for cell in cells:
        for impossible in cell["impossible"]:
            why = reasons.setdefault((cell["client"], impossible["why"]), {})
            why.setdefault(impossible["check"] or "everything", []).append(f"{cell['transport']} {cell['era']}")
    if reasons:
        print("\nimpossible, and not counted:")
    for (client, why), what in reasons.items():
        print(f"  {client}: {why}")
        for check, where in what.items():
            print(f"    {check} ({', '.join(where)})")
    failed = [(cell, check) for cell in cells for check in cell["checks"] if check["why"]]
    if failed:
        print("\nfailed:")
    for cell, check in failed:
        print(f"  {cell['client']} {cell['transport']} {cell['era']}: {check['check']}\n    {check['why']}")
    held = sum(len(cell["checks"]) for cell in cells) - len(failed)
    print(
        f"\n{held} checks held, {len(failed)} failed, in {seconds:.0f} s"
        + ("; --json has the frames" if failed else "")
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rmcp-client", required=True)
    parser.add_argument("--inspector-node", default="")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="")
    args = parser.parse_args()

    started = time.monotonic()
    (args.cache / "home").mkdir(exist_ok=True)
    # All HTTP cells share one server, so that clients of both eras talk to it at once.
    server, url = serve_http(args.binary)
    try:
        wanted = [
            (client, transport, era)
            for client in clients(args)
            for transport in TRANSPORTS
            for era in ERAS
            if args.only in f"{client.name} {transport} {era}"
        ]
        if not wanted:
            sys.exit(f"no cell has `{args.only}` in its name")
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            cells = list(pool.map(lambda one: play(*one, url, args), wanted))
    finally:
        server.terminate()
        server.wait()
    failed = sum(check["why"] is not None for cell in cells for check in cell["checks"])
    held = sum(len(cell["checks"]) for cell in cells) - failed
    if args.json:
        print(json.dumps({"held": held, "failed": failed, "cells": cells}, indent=2))
    else:
        report(cells, time.monotonic() - started)
    return 1 if failed or not held else 0


if __name__ == "__main__":
    sys.exit(main())
