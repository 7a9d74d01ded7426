import ast
import importlib
from pathlib import Path

import pytest

from d2vlm_pipeline.artifacts.code import CodeTree, _Import, code_digest, module_files

FILES = {
    "__init__.py": '"""Plain."""\n__version__ = "1"\n',
    "nodes.py": "from shop.tools import cut\nimport torch\n\n\ndef work():\n    return cut\n",
    "tools/__init__.py": "from shop.tools.knife import cut\nfrom .glue import join\n__all__ = ['cut']\n",
    "tools/knife.py": '"""Cuts."""\n\n\ndef cut():\n    from shop import late\n\n    return late\n',
    "tools/glue.py": "join = 1\n",
    "tools/assets/table.json": "{}",
    "late.py": "import numpy.linalg\nimport json\n",
    "lazy/__init__.py": (
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n"
        "    from shop.lazy.one import One as One\n    from shop.lazy.two import Two as Two\n\n\n"
        "def __getattr__(name):\n    raise AttributeError(name)\n"
    ),
    "lazy/one.py": "One = 1\n",
    "lazy/two.py": "Two = 2\n",
    "busy/__init__.py": "from shop.busy.register import REGISTER\n\nREGISTER.append(1)\n",
    "busy/register.py": "REGISTER = []\n",
    "busy/leaf.py": "LEAF = 1\n",
    "names.py": "TABLE = {'a': 'shop.tools.glue:join'}\n",
    "typed.py": (
        "from typing import TYPE_CHECKING\n\n"
        "if TYPE_CHECKING:\n    from shop import names\nelse:\n    names = 1\n"
    ),
    "near.py": "from .tools import join\nfrom . import late\n",
    "lazily.py": "from shop.lazy import Two\n",
    "leafy.py": "import shop.busy.leaf\n",
    "versioned.py": "from shop import __version__\n",
    "starred.py": "from shop.tools import *\n",
    "selfish/__init__.py": "from shop.selfish import part\n",
    "selfish/part.py": "",
    "partial.py": "from shop.selfish import part\n",
    "broken.py": "from shop.absent import nothing\n",
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package that imports in every way."""
    for name, text in FILES.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "shop"


def _files(*modules: str) -> list[str]:
    return [path.as_posix() for path in module_files([f"shop.{module}" for module in modules], "shop")]


@pytest.mark.parametrize(
    ("module", "files"),
    [
        # A name passed on by a package leads to its home and not to the package's other modules; an import
        # inside a function counts; data lies beside the modules of its package.
        ("nodes", ["late.py", "nodes.py", "tools/assets/table.json", "tools/knife.py"]),
        ("tools.cut", ["late.py", "tools/assets/table.json", "tools/knife.py"]),
        ("lazily", ["lazily.py", "lazy/two.py"]),
        ("leafy", ["busy/__init__.py", "busy/leaf.py", "busy/register.py", "leafy.py"]),
        ("names", ["names.py", "tools/assets/table.json", "tools/glue.py"]),
        ("typed", ["typed.py"]),
        ("near", ["late.py", "near.py", "tools/assets/table.json", "tools/glue.py"]),
        ("versioned", ["__init__.py", "versioned.py"]),
        ("partial", ["partial.py", "selfish/part.py"]),
    ],
)
def test_the_files_are_those_that_the_module_rests_on(shop: Path, module: str, files: list[str]) -> None:
    assert _files(module) == files


def test_a_star_takes_all_that_a_package_passes_on(shop: Path) -> None:
    assert {"tools/__init__.py", "tools/knife.py", "tools/glue.py"} <= set(_files("starred"))


def test_what_is_not_there_is_an_error(shop: Path) -> None:
    with pytest.raises(ValueError, match=r"shop\.absent: no module of shop"):
        _files("broken")
    with pytest.raises(ValueError, match=r"elsewhere\.thing: no module of shop"):
        module_files(["elsewhere.thing"], "shop")


def test_packages_from_elsewhere_are_named_wherever_they_are_imported(shop: Path) -> None:
    assert CodeTree("shop").outside(["shop.nodes"]) == ["numpy", "torch"]


def _digest() -> str:
    return code_digest(["shop.nodes"], "shop")


def test_words_and_layout_do_not_change_the_digest(shop: Path) -> None:
    before = _digest()
    (shop / "tools/knife.py").write_text(
        '"""Cuts with care."""\n# Why not.\ndef cut():\n    """Now."""\n'
        "    from shop import late\n    return (late)\n"
    )
    assert _digest() == before


@pytest.mark.parametrize("name", ["nodes.py", "late.py"])
def test_a_statement_changes_the_digest_of_all_that_rests_on_it(shop: Path, name: str) -> None:
    before = _digest()
    with (shop / name).open("a") as file:
        file.write("\nPACE = 2\n")
    assert _digest() != before


def test_data_changes_the_digest_and_a_neighbour_does_not(shop: Path) -> None:
    before = _digest()
    (shop / "tools/glue.py").write_text("join = 2\n")
    assert _digest() == before
    (shop / "tools/assets/table.json").write_text("{ }")
    assert _digest() != before


def test_docstrings_count_where_the_code_reads_them(shop: Path) -> None:
    (shop / "late.py").write_text('"""One."""\nTEXT = __doc__\n')
    before = _digest()
    (shop / "late.py").write_text('"""Two."""\nTEXT = __doc__\n')
    assert _digest() != before


def test_names_that_the_packages_pass_on_are_found_where_they_are() -> None:
    """What the digest leaves out is right only as long as this holds, of every import from a package."""
    tree, asked = CodeTree(), set()
    for path in tree.folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("d2vlm_pipeline"):
                asked |= {_Import(node.module or "", alias.name) for alias in node.names}
    from_packages = [wanted for wanted in asked if tree.path(wanted.module).name == "__init__.py"]
    assert len(from_packages) > 100
    for wanted in from_packages:
        homes = [importlib.import_module(target) for target in tree.targets(wanted)]
        value = getattr(importlib.import_module(wanted.module), str(wanted.name))
        assert any(value is home or value in vars(home).values() for home in homes), wanted
