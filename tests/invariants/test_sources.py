"""The same again, as far as it can be read off the sources: see `source_scan` for what is looked for."""

from pathlib import Path

import pytest

from invariants.source_scan import findings, scan

SOURCES = Path(__file__).parents[2] / "src" / "d2vlm_pipeline"

ALLOWED = {
    ("artifacts/atomic.py", "secrets.token_hex is never the same again"): "temporary names, gone with a run",
    ("artifacts/seeds.py", "random.seed draws from the generator of the process"): "seeds it",
    ("artifacts/seeds.py", "numpy.random.seed draws from the generator of the process"): "seeds it",
    ("artifacts/torch_seeds.py", "torch.manual_seed seeds the generator of the process"): "seeds it, by name",
    ("model/build.py", "torch.manual_seed seeds the generator of the process"): "inside fork_rng",
    ("model/qformer.py", "torch.randn draws from the generator of the process"): "in build_model's fork_rng",
    ("orchestration/checks.py", "iterdir lists in any order: sort it"): "`in_order` sorts",
    ("orchestration/ray_session.py", "secrets.token_hex is never the same again"): "names a session",
    ("training/tuning.py", "torch.manual_seed seeds the generator of the process"): "inside fork_rng",
}
"""What is found and may stay, with the reason."""


def test_nothing_is_drawn_listed_or_written_as_the_surroundings_have_it() -> None:
    found = {
        (file, finding.what): finding.line for file, listed in scan(SOURCES).items() for finding in listed
    }
    new = {place: line for place, line in found.items() if place not in ALLOWED}
    assert new == {}, "draw from a named stream, sort, or say encoding and time zone"
    assert set(ALLOWED) - set(found) == set(), "nothing of the kind is there any more: take it off the list"


WRONG = [
    "import random\nrandom.shuffle(x)",
    "from random import choice\nchoice(x)",
    "import random\nrandom.Random()",
    "import numpy as np\nnp.random.rand(3)",
    "import numpy as np\nnp.random.default_rng()",
    "import torch\ntorch.randperm(4)",
    "import torch\ntorch.manual_seed(0)",
    "from torch import nn\nnn.init.normal_(weight)",
    "weight.normal_(0, 1)",
    "import uuid\nuuid.uuid4()",
    "hash('a')",
    "import os\nfor name in os.listdir(folder): pass",
    "[path for path in folder.glob('*')]",
    "for name in {1, 2}: pass",
    "[name for name in set(x) | y]",
    "list({x for x in y})",
    "','.join(set(x))",
    "import time\ntime.localtime()",
    "from datetime import datetime\ndatetime.now()",
    "import datetime\ndatetime.datetime.fromtimestamp(0)",
    "import locale\nlocale.setlocale(0, '')",
    "path.read_text()",
    "path.write_text(text)",
    "open(path)",
    "path.open('w')",
    "import subprocess\nsubprocess.run(x, text=True)",
]
RIGHT = [
    "from random import Random\nRandom(seed).shuffle(x)",
    "import random\nrandom.Random(seed)",
    "import numpy as np\nnp.random.default_rng(seed).normal()",
    "import torch\ntorch.randn(3, generator=generator)",
    "import torch\ntorch.Generator().manual_seed(seed)",
    "weight.normal_(0, 1, generator=generator)",
    "sorted(folder.glob('*'))",
    "sorted(path.name for path in folder.iterdir())",
    "any(path.is_file() for path in folder.rglob('*'))",
    "{path.name for path in folder.iterdir()}",
    "sorted(name for name in set(x))",
    "for name in sorted({1, 2}): pass",
    "import datetime\ndatetime.datetime.now(datetime.UTC)",
    "path.read_text(encoding='utf-8')",
    "path.open('rb')",
    "path.read_bytes()",
]


@pytest.mark.parametrize("source", WRONG)
def test_what_is_wrong_is_found(source: str) -> None:
    assert len(list(findings(source))) == 1, source


@pytest.mark.parametrize("source", RIGHT)
def test_what_is_right_is_left_alone(source: str) -> None:
    assert list(findings(source)) == [], source
