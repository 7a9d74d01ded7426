"""Reads the project's syntax trees for what makes two runs differ: nothing is imported or run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Finding(NamedTuple):
    """A place in a file, and what is wrong there."""

    line: int
    what: str


# `random.X`, `numpy.random.X` and `torch.X` that draw from a generator which the whole process shares.
_RANDOM_FINE = {"Random", "getstate", "setstate"}
_NUMPY_FINE = {"default_rng", "Generator", "SeedSequence", "get_state", "set_state"}
_TORCH_DRAWS = {
    *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"),
    *("rand_like", "randn_like", "randint_like"),
}
_IN_PLACE_DRAWS = {
    *("normal_", "uniform_", "random_", "bernoulli_", "exponential_", "cauchy_", "log_normal_", "geometric_"),
    *("trunc_normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"),
}
_UNSEEDED = {"secrets.", "uuid.uuid1", "uuid.uuid4", "os.urandom", "os.getrandom"}
_SEEDS = {"random.seed", "numpy.random.seed", "torch.manual_seed", "torch.seed", "torch.cuda.manual_seed"}
# Folders list their names in any order.
_LISTINGS = {"os.listdir", "os.scandir", "glob.glob", "glob.iglob"}
_LISTING_METHODS = {"iterdir", "glob", "rglob"}
_ANY_ORDER = {"sorted", "set", "frozenset", "any", "all", "sum", "len", "max", "min", "dict.fromkeys"}
# What a clock or a person's settings say.
_LOCAL_TIMES = {"time.localtime", "time.ctime", "time.asctime", "time.strftime"}
_READS_OR_WRITES = {"read_text", "write_text"}


def findings(source: str) -> Iterator[Finding]:
    """Everything in a module that a seed, a name or an order ought to decide and does not."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    names = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (Finding(node.lineno, what) for what in _wrong_call(node, names, parents))
        elif isinstance(node, ast.For | ast.comprehension) and _is_set(node.iter):
            where = node.iter.lineno
            if not _is_ordered(node, parents):
                yield Finding(where, "goes through a set: in any order")


def scan(folder: Path) -> dict[str, list[Finding]]:
    """Findings by file, relative to the folder."""
    found = {
        path.relative_to(folder).as_posix(): list(findings(path.read_text(encoding="utf-8")))
        for path in sorted(folder.rglob("*.py"))
    }
    return {path: listed for path, listed in found.items() if listed}


def _imported(tree: ast.Module) -> dict[str, str]:
    """Local name to the dotted name that it stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (alias.asname and alias.name) or (
                    alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """`numpy.random.rand` for `np.random.rand`; empty where it is no plain name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([names.get(node.id, node.id), *reversed(parts)])


def _wrong_call(
    call: ast.Call, names: dict[str, str], parents: dict[ast.AST, ast.AST]
) -> Iterator[str]:
    name = _dotted(call.func, names)
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    given = {keyword.arg for keyword in call.keywords}
    yield from _draws(call, name, method, given)
    if name == "hash":
        yield "hash() of texts is another one in every process"
    if (name in _LISTINGS or method in _LISTING_METHODS) and not _is_ordered(call, parents):
        yield f"{method or name} lists in any order: sort it"
    if name in {"list", "tuple", "enumerate", "next", "iter"} and call.args and _is_set(call.args[0]):
        yield "a set in any order: sort it"
    if method == "join" and call.args and _is_set(call.args[0]):
        yield "a set in any order: sort it"
    yield from _surroundings(call, name, method, given)


def _draws(call: ast.Call, name: str, method: str, given: set[str | None]) -> Iterator[str]:
    module, _, last = name.rpartition(".")
    if module == "random" and last not in _RANDOM_FINE:
        yield f"{name} draws from the generator of the process"
    if module == "numpy.random" and last not in _NUMPY_FINE:
        yield f"{name} draws from the generator of the process"
    if name in {"random.Random", "numpy.random.default_rng"} and not (call.args or given):
        yield f"{name}() without a seed"
    if module == "torch" and last in _TORCH_DRAWS and "generator" not in given:
        yield f"{name} draws from the generator of the process"
    if method in _IN_PLACE_DRAWS and "generator" not in given:
        yield f"{method} draws from the generator of the process"
    if name in _SEEDS and name not in {"random.seed", "numpy.random.seed"}:
        yield f"{name} seeds the generator of the process"
    if name.startswith(tuple(_UNSEEDED)):
        yield f"{name} is never the same again"


def _surroundings(call: ast.Call, name: str, method: str, given: set[str | None]) -> Iterator[str]:
    if name.startswith("locale.") or name in _LOCAL_TIMES:
        yield f"{name} follows the machine's settings"
    if name in {"datetime.datetime.now", "datetime.now"} and not (call.args or given):
        yield f"{name} without a time zone"
    if name.endswith("datetime.fromtimestamp") and len(call.args) + len(given) < 2:
        yield f"{name} without a time zone"
    if method == "astimezone" and not call.args:
        yield "astimezone() without a time zone"
    if method in _READS_OR_WRITES and "encoding" not in given:
        yield f"{method} without encoding"
    if _opens_text(call, name, method) and "encoding" not in given:
        yield "open without encoding"
    if name.startswith("subprocess.") and "text" in given and "encoding" not in given:
        yield f"{name}: text without encoding"


def _opens_text(call: ast.Call, name: str, method: str) -> bool:
    """Whether a file is opened as text: by `open`, or as a method of a path."""
    modes = [*call.args[name == "open" :], *(each.value for each in call.keywords if each.arg == "mode")]
    said = [each.value for each in modes if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    is_path = method == "open" and name != "av.open"
    is_path &= not call.args or any(set(mode) <= set("rwxabt+") for mode in said)
    return (name == "open" or is_path) and not any("b" in mode for mode in said)


def _is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return _is_set(node.left) or _is_set(node.right)
    made = node.func if isinstance(node, ast.Call) else None
    return isinstance(made, ast.Name) and made.id in {"set", "frozenset"}


def _is_ordered(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether what comes of the node goes into something that sorts it, or for which order is nothing."""
    while (above := parents.get(node)) is not None:
        if isinstance(above, ast.Call) and node in above.args:
            return _dotted(above.func, {}) in _ANY_ORDER
        if isinstance(above, ast.SetComp):
            return True
        if isinstance(above, ast.stmt):
            return False
        node = above
    return False
