"""What the scripts share."""
import datetime
import json
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = HERE / "results"


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done


def metadata():
    text = run(["cargo", "metadata", "--format-version", "1", "--locked"], cwd=ROOT).stdout
    return json.loads(text)


def target():
    return Path(json.loads(run(["cargo", "metadata", "--format-version", "1", "--no-deps"], cwd=ROOT).stdout)["target_directory"])


def build_bench():
    done = subprocess.run(["cargo", "build", "--release", "--package", "mcp-ext-bench"], cwd=ROOT)
    if done.returncode != 0:
        sys.exit("the benchmark does not compile")
    return target() / "release" / "mcp-ext-bench"


def table(head, rows, over):
    """Prints a table; gives whether any row is over its budget."""
    rows = [[*map(lambda cell: "" if cell is None else str(cell), row)] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *rows]) for i in range(len(head))]
    for row, bad in zip([list(head), *rows], [False, *over]):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)) + ("  OVER" if bad else ""))
    return any(over)


def save(name, figures):
    """Writes results/NAME.json with what the figures depend on."""
    rustc = run(["rustc", "--version"], cwd=ROOT).stdout.strip()
    figures = dict(
        date=datetime.date.today().isoformat(), rustc=rustc, machine=f"{platform.system()} {platform.machine()}", **figures
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")


def load(name):
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None
