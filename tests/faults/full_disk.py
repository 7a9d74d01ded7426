"""Runs on a disk that is full, then larger, then large enough; in a mount namespace, which nothing outlives.

    unshare --map-root-user --mount python -m faults.full_disk ROOT FOLDER WHERE [ARGUMENT …] -- [SIZE_KB …]

The folder WHERE of the project ROOT comes to lie on a disk in memory. Logs go to FOLDER; what became of each
run is a line of JSON.
"""

import json
import subprocess
import sys
from pathlib import Path

from faults.runs import Runs
from faults.sameness import content, leftovers


def main(root: Path, folder: Path, where: str, arguments: tuple[str, ...], sizes_kb: list[int]) -> None:
    place = root / where
    place.mkdir(parents=True, exist_ok=True)
    with Runs(folder) as runs:
        for turn, size_kb in enumerate(sizes_kb):
            again = ["-o", f"remount,size={size_kb}k"] if turn else ["-t", "tmpfs", "-o", f"size={size_kb}k"]
            subprocess.run(["mount", *again, "tmpfs", str(place)], check=True)
            ended = runs.run(root, arguments=arguments)
            outcome = {
                "size_kb": size_kb,
                "status": ended.status,
                "last": ended.said.rstrip().splitlines()[-1],
                "has_trace": "Traceback" in ended.said,
                "said": ended.said[-3000:],
                "leftovers": leftovers(root),
                "content": content(root / "data/faults"),
            }
            print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    split = sys.argv.index("--")
    root, folder, where, *arguments = sys.argv[1:split]
    main(Path(root), Path(folder), where, tuple(arguments), [int(size) for size in sys.argv[split + 1 :]])
