"""`d2vlm score` as typed: what it prints and writes, and one line for whatever is wrong."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d2vlm_pipeline.cli import main
from d2vlm_pipeline.evaluation.benchmarks import REGISTRY, find_benchmark

# What stands in a file instead of predictions. Benchmarks that are registered later are tried on all of it.
NOT_PREDICTIONS = {
    "empty": "",
    "blank": "\n \n",
    "truncated": '[{"idx": 0, "pred": "(A)"',
    "truncated line": '{"qid": 1, "pred_relevant_windows": [[0, 1',
    "no JSON": "name,start,end\n",
    "null": "null",
    "number": "3",
    "huge number": "[" + "9" * 5000 + "]",
    "text": '"predictions"',
    "no entries": "[]",
    "no names": "{}",
    "list of numbers": "[1, 2]",
    "list of nothing": "[null]",
    "list of lists": "[[]]",
    "list of other entries": '[{"name": "x"}]',
    "object of numbers": '{"x": 1}',
    "object of lists": '{"x": [1]}',
    "object of other entries": '{"x": {"name": 1}}',
    "object of an unknown version": '{"version": 1, "results": 3}',
    "no Unicode": b"\xff\xfe\x00[",
    "deep": "[" * 100_000,
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["score", *map(str, arguments)])


def assert_one_line_about(result: Result, what: object) -> None:
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1 and str(what) in result.stderr


def score_file(name: str, path: Path) -> Result:
    """Score a file against itself: what is wrong is seen wherever it is read first."""
    truth = [] if find_benchmark(name).truth == "carried" else ["--ground-truth", path]
    return run("--benchmark", name, "--predictions", path, *truth)


@pytest.mark.parametrize("name", sorted(REGISTRY))
@pytest.mark.parametrize("content", NOT_PREDICTIONS.values(), ids=NOT_PREDICTIONS.keys())
@pytest.mark.parametrize("suffix", ["json", "jsonl", "txt"])
def test_a_file_that_holds_no_predictions_is_one_line(
    name: str, content: str | bytes, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"p.{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert_one_line_about(score_file(name, path), path)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_a_file_that_is_not_there_or_an_empty_folder_is_one_line(name: str, tmp_path: Path) -> None:
    assert_one_line_about(score_file(name, tmp_path / "none.json"), tmp_path / "none.json")
    (tmp_path / "folder").mkdir()
    assert_one_line_about(score_file(name, tmp_path / "folder"), tmp_path / "folder")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["id", "idx", "pred", "gt", "answer", "qid", "video", "timestamps", "results", "x"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("name", sorted(REGISTRY))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=json_values)
def test_no_json_makes_it_raise(name: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    result = score_file(name, path)
    if result.exit_code:
        assert_one_line_about(result, path)


def test_the_list_names_every_benchmark_with_its_protocols() -> None:
    result = run("--list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    for name in REGISTRY:
        assert any(line.startswith(f"{name}: ") for line in lines)
    assert lines.count("") == 0 and sum(line.startswith("    strict: ") for line in lines) == len(REGISTRY)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_benchmark_is_scored_strictly_unless_asked(name: str) -> None:
    benchmark = find_benchmark(name)
    assert benchmark.name == name
    assert next(iter(benchmark.protocols)) == "strict"
    for trap in benchmark.traps:
        assert trap.protocol in benchmark.protocols
        assert not trap.why.endswith("."), trap.why


ANSWERS = [
    {"idx": 0, "pred": "(A)", "gt": "(A) a box"},
    {"idx": 1, "pred": "", "gt": "(B) a bag"},
    {"idx": 2, "pred": "(C) a can", "gt": "(C) a can"},
]


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "action_count.json"
    path.write_text(json.dumps(ANSWERS))
    return path


def test_figures_counts_and_other_rules_are_printed(answers: Path) -> None:
    result = run("--benchmark", "mvbench", "--predictions", answers)
    assert result.exit_code == 0
    assert "mvbench, protocol strict" in result.stdout
    assert "66.67" in result.stdout and "0.00 to 100.00" in result.stdout
    assert "queries 3, parsed 2, unparsed 1, missing 0, duplicates 0, unknown 0" in result.stdout
    assert "official would differ by +33.33 Total, because a blank answer" in result.stdout
    assert "\x1b" not in result.stdout and all(line == line.rstrip() for line in result.stdout.splitlines())


def test_the_report_is_written_whole_and_the_same_each_time(answers: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report.json"
    texts = []
    for _ in range(2):
        assert run("--benchmark", "mvbench", "--predictions", answers, "--json", out).exit_code == 0
        texts.append(out.read_bytes())
    assert texts[0] == texts[1]
    assert [query["id"] for query in json.loads(texts[0])["unparsed"]] == ["action_count/1"]
    two_thirds = pytest.approx(200 / 3)
    assert json.loads(texts[0])["metrics"] == {"Total": two_thirds, "action_count": two_thirds}


def test_a_comparison_is_printed_with_the_queries_that_changed(answers: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "action_count.json").write_text(json.dumps([{**entry, "pred": "(D)"} for entry in ANSWERS]))
    result = run("--benchmark", "mvbench", "--predictions", answers, "--compare", other)
    assert "2 queries score otherwise" in result.stdout
    assert "better: action_count/0 (action_count/0) 0.0 to 100.0: '(D)' then '(A)'" in result.stdout


def test_a_mistake_in_the_other_predictions_names_them(answers: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('[{"idx": 0}]')
    result = run("--benchmark", "mvbench", "--predictions", answers, "--compare", other)
    assert_one_line_about(result, f"{other}: entry 1")
    missing = tmp_path / "none.json"
    assert_one_line_about(
        run("--benchmark", "mvbench", "--predictions", answers, "--compare", missing), missing
    )


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "--list"),
        (["--benchmark", "mvbench"], "--predictions"),
        (["--benchmark", "nothing", "--predictions", "p"], "one of"),
        (["--benchmark", "charades-sta", "--predictions", "p"], "--ground-truth"),
        (["--benchmark", "mvbench", "--predictions", "p", "--references", "a"], "one set of references"),
        (["--benchmark", "mvbench", "--predictions", "p", "--protocol", "loose"], "p: no such file"),
    ],
)
def test_arguments_that_do_not_go_together_are_one_line(arguments: list[str], what: str) -> None:
    assert_one_line_about(run(*arguments), what)


def test_a_report_that_cannot_be_written_is_one_line(answers: Path, tmp_path: Path) -> None:
    for out in (tmp_path, answers / "report.json"):
        result = run("--benchmark", "mvbench", "--predictions", answers, "--json", out)
        assert_one_line_about(result, f"{out}: cannot be written")


def test_a_file_that_may_not_be_read_is_one_line(answers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_text(self: Path, *args: object, **options: object) -> str:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_text", read_text)
    assert_one_line_about(run("--benchmark", "mvbench", "--predictions", answers), f"{answers}: no right to")


def test_an_unknown_protocol_is_answered_with_the_known_ones(answers: Path) -> None:
    result = run("--benchmark", "mvbench", "--predictions", answers, "--protocol", "loose")
    assert_one_line_about(result, "mvbench has no protocol 'loose'; one of lenient, official, strict")
