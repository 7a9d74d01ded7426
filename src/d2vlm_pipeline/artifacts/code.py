"""Which files a module's behaviour rests on, and their digest; read from syntax trees, nothing is imported.

Followed are imports at any depth of a file and dotted paths of the project in its strings (tables of
readers, commands of subprocesses); not followed is what only type checkers read. A name that a package merely
passes on leads to the module that defines it: else every module would rest on all that lies beside it.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeGuard

from d2vlm_pipeline.artifacts.digests import digest_bytes, digest_file, digest_json

PACKAGE = "d2vlm_pipeline"
_INIT = "__init__.py"


def module_files(modules: Iterable[str], package: str = PACKAGE) -> list[Path]:
    """Files of these modules and of all that they import, with the data of their packages.

    Args:
        modules: Dotted names of modules of the package, or of what is defined in them.
        package: Name of an importable package.

    Returns:
        Paths relative to the folder of the package, sorted.

    Raises:
        ValueError: there is no such package or module.
    """
    return [Path(name) for name in CodeTree(package).digests(modules)]


def code_digest(modules: Iterable[str], package: str = PACKAGE) -> str:
    """Digest of what those files say: comments, docstrings and layout of Python files do not count.

    Raises:
        ValueError: as `module_files`.
    """
    return digest_json(CodeTree(package).digests(modules))


@dataclass(frozen=True)
class _Import:
    """`from module import name`; without a name, all of the module."""

    module: str
    name: str | None = None


@dataclass(frozen=True)
class _Source:
    """What one file says."""

    digest: str
    imports: tuple[_Import, ...]
    outside: frozenset[str]
    # Names of an `__init__` that come from elsewhere; also those that only type checkers see there, since a
    # package that loads names on first use has to tell checkers where they are.
    passed_on: dict[str, _Import]
    # Whether importing the file does nothing that another could notice, as most `__init__` do.
    is_plain: bool


class CodeTree:
    """The modules of one package as its files are now; what was read once is not read again."""

    def __init__(self, package: str = PACKAGE) -> None:
        """Find the package.

        Raises:
            ValueError: there is none of that name.
        """
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise ValueError(f"{package}: no such package")
        self.package = package
        self.folder = Path(spec.origin).resolve().parent
        self.source = cache(self._source)
        self.targets = cache(self._targets)
        self._find = cache(self._found)
        self._data = cache(_data_digests)

    def digests(self, modules: Iterable[str]) -> dict[str, str]:
        """Digests of the files that these modules rest on, by path below the package, sorted.

        Raises:
            ValueError: there is no such module.
        """
        digests = {self.path(module): self.source(module).digest for module in self.closure(modules)}
        for folder in sorted({path.parent for path in digests}):
            digests |= self._data(folder)
        return {path.relative_to(self.folder).as_posix(): digests[path] for path in sorted(digests)}

    def outside(self, modules: Iterable[str]) -> list[str]:
        """Names of what those files import from elsewhere, Python's own library apart.

        Raises:
            ValueError: there is no such module.
        """
        found = {name for module in self.closure(modules) for name in self.source(module).outside}
        return sorted(found - sys.stdlib_module_names)

    def closure(self, modules: Iterable[str]) -> set[str]:
        """These modules and all that they rest on."""
        waiting = [target for module in modules for target in self._named(module)]
        found: set[str] = set()
        while waiting:
            module = waiting.pop()
            if module in found:
                continue
            found.add(module)
            waiting += [parent for parent in self._parents(module) if not self.source(parent).is_plain]
            for wanted in self.source(module).imports:
                waiting += self.targets(wanted)
        return found

    def _source(self, module: str) -> _Source:
        path = self.path(module)
        state = path.stat()
        return _read(path, module, self.package, state.st_mtime_ns, state.st_size)

    def path(self, module: str) -> Path:
        """File of a module.

        Raises:
            ValueError: there is no such module.
        """
        path = self._find(module)
        if path is None:
            raise ValueError(f"{module}: no module of {self.package}")
        return path

    def _targets(self, wanted: _Import) -> list[str]:
        """Modules that an import reads from."""
        if wanted.name is None:
            return self._named(wanted.module)
        if self.path(wanted.module).name != _INIT:
            return [wanted.module]
        passed_on = self.source(wanted.module).passed_on
        if wanted.name == "*":
            every = [module for passed in passed_on.values() for module in self._inside(passed)]
            return [wanted.module, *every]
        submodule = f"{wanted.module}.{wanted.name}"
        # A package that says `from itself import submodule` passes nothing on.
        if wanted.name in passed_on and not (
            passed_on[wanted.name].module == wanted.module and self._find(submodule)
        ):
            return self._inside(passed_on[wanted.name]) or [wanted.module]
        return [submodule] if self._find(submodule) else [wanted.module]

    def _named(self, dotted: str) -> list[str]:
        """Modules behind the dotted name of a module, or of something in one."""
        if self._find(dotted):
            return [dotted]
        owner, _, name = dotted.rpartition(".")
        if not _is_inside(owner, self.package):
            raise ValueError(f"{dotted}: no module of {self.package}")
        return self._targets(_Import(owner, name)) if self._find(owner) else self._named(owner)

    def _inside(self, passed: _Import) -> list[str]:
        return self._targets(passed) if _is_inside(passed.module, self.package) else []

    def _parents(self, module: str) -> Iterator[str]:
        while module != self.package:
            module = module.rpartition(".")[0]
            yield module

    def _found(self, module: str) -> Path | None:
        below = module.removeprefix(self.package).replace(".", "/").removeprefix("/")
        place = self.folder / below
        candidates = (place / _INIT, place.with_suffix(".py")) if below else (place / _INIT,)
        is_inside = _is_inside(module, self.package)
        return next((path for path in candidates if is_inside and path.is_file()), None)


@lru_cache(maxsize=4096)
def _read(path: Path, module: str, package: str, _mtime_ns: int, _size: int) -> _Source:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, str(path))
    if "__doc__" not in text:
        _drop_docstrings(tree)
    anchor = module if path.name == _INIT else module.rpartition(".")[0]
    found = [wanted for node in _running(tree) for wanted in _imports(node, anchor, package)]
    inside = [wanted for wanted in found if _is_inside(wanted.module, package)]
    return _Source(
        digest=digest_bytes(ast.dump(tree).encode()),
        imports=tuple(dict.fromkeys(inside)),
        outside=frozenset(wanted.module.partition(".")[0] for wanted in found) - {package.partition(".")[0]},
        passed_on=dict(_passed_on(tree, anchor)) if path.name == _INIT else {},
        is_plain=all(map(_has_no_effect, tree.body)),
    )


def _drop_docstrings(tree: ast.Module) -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below this one but those that only type checkers read."""
    yield node
    children = node.orelse if _is_for_checkers(node) else ast.iter_child_nodes(node)
    for child in children:
        yield from _running(child)


def _is_for_checkers(node: ast.AST) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _imports(node: ast.AST, anchor: str, package: str) -> Iterator[_Import]:
    if isinstance(node, ast.Import):
        yield from (_Import(alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = _absolute(node, anchor)
        yield from (_Import(module, alias.name) for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and package in node.value:
        yield from map(_Import, re.findall(rf"\b{re.escape(package)}(?:\.\w+)+", node.value))


def _passed_on(tree: ast.Module, anchor: str) -> Iterator[tuple[str, _Import]]:
    statements = [inner for node in tree.body for inner in (node.body if _is_for_checkers(node) else [node])]
    for node in statements:
        if isinstance(node, ast.ImportFrom):
            module = _absolute(node, anchor)
            yield from ((alias.asname or alias.name, _Import(module, alias.name)) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.asname, _Import(alias.name)) for alias in node.names if alias.asname)


def _absolute(node: ast.ImportFrom, anchor: str) -> str:
    """Module of a `from` import, seen from the package `anchor`."""
    if not node.level:
        return node.module or ""
    parts = anchor.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def _has_no_effect(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return node.value is None or all(isinstance(part, _LITERAL) for part in ast.walk(node.value))
    is_import = isinstance(node, ast.Import | ast.ImportFrom) or _is_for_checkers(node)
    return is_import or (isinstance(node, ast.FunctionDef) and not node.decorator_list)


_LITERAL = (ast.Constant, ast.Dict, ast.List, ast.Tuple, ast.Set, ast.expr_context)


def _data_digests(folder: Path) -> dict[Path, str]:
    return {path: digest_file(path) for path in _data_below(folder)}


def _data_below(folder: Path) -> Iterator[Path]:
    """Files of a package that are not Python; those of packages inside it are theirs."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        if entry.is_dir():
            if not (entry / _INIT).is_file():
                yield from _data_below(entry)
        elif entry.suffix not in (".py", ".pyc"):
            yield entry


def _is_inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
