"""A stand-in for METEOR's program: the same lines in and out, and every way to fail, without Java."""

import sys
import time
from pathlib import Path

trouble, folder = sys.argv[1], Path(sys.argv[2])
runs = len(list(folder.glob("run-*"))) + 1
(folder / f"run-{runs}").touch()
for answered, line in enumerate(sys.stdin, start=1):
    kind, *parts = line.rstrip("\n").split(" ||| ")
    if trouble == "dies once" and runs == 1 and answered == 4:
        sys.exit(3)
    if trouble == "always dies" and answered == 2:
        sys.exit("Could not reserve enough space for object heap")
    if trouble == "babbles" and answered == 2:
        print("OpenJDK warning: something", flush=True)
    if trouble == "hangs" and answered == 2:
        time.sleep(600)
    if kind == "SCORE":
        *references, said = parts
        print(*([float(len(said.split())), float(len(references))] + [0.0] * 21), flush=True)
    else:
        print(*[parts[0].split()[0]] * 2, sep="\n", flush=True)
