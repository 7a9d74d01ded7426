"""Persisted datasets: whole or absent, streamed, with errors that name the mend."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kedro.io import AbstractDataset, DatasetError

from d2vlm_pipeline.artifacts import (
    MANIFEST_NAME,
    Resumable,
    UserError,
    is_complete,
    marker_path,
    open_journal,
)
from d2vlm_pipeline.orchestration import (
    AtomicDataset,
    BytesDataset,
    DatasetUserError,
    DirectoryDataset,
    JsonLinesDataset,
    LeaveAsIs,
    PersistedDataset,
)
from orchestration.things import Point

THINGS = "orchestration.things"
MADE = {"made_by": "sft"}


def json_dataset(folder: Path, **options: Any) -> AtomicDataset:
    return AtomicDataset(
        filepath=str(folder / "a" / "m.json"), dataset={"type": "json.JSONDataset"}, **options
    )


def lines_dataset(folder: Path, **options: Any) -> JsonLinesDataset:
    return JsonLinesDataset(filepath=str(folder / "p.jsonl"), records=f"{THINGS}.Point", **options)


def folder_dataset(folder: Path, **options: Any) -> DirectoryDataset:
    functions = {"save": f"{THINGS}.save_lines", "load": f"{THINGS}.load_lines", **options}
    return DirectoryDataset(filepath=str(folder / "model"), **functions)


def bytes_dataset(folder: Path, **options: Any) -> BytesDataset:
    return BytesDataset(filepath=str(folder / "p.png"), **options)


class Counted(Resumable[Point]):
    """Points, and how often each was computed; stopped by a kill after so many."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.computed = stop, list[int]()

    def resumed(self, journal: Path) -> Iterator[Point]:
        with open_journal(journal) as kept:
            for x in range(4):
                if str(x) not in kept:
                    if x == self.stop:
                        raise KeyboardInterrupt
                    self.computed.append(x)
                    kept.append(str(x), [Point(x=x)])
                yield from (Point.model_validate_json(text) for text in kept.read(str(x)))


CASES = [
    pytest.param(json_dataset, {"f1": 1.5}, id="wrapped"),
    pytest.param(lines_dataset, [Point(x=1), Point(x=2)], id="json-lines"),
    pytest.param(folder_dataset, ["a", "b"], id="directory"),
    pytest.param(bytes_dataset, b"\x89PNG", id="bytes"),
]


@pytest.mark.parametrize(("make", "data"), CASES)
def test_what_was_saved_is_loaded_and_exists_only_then(tmp_path: Path, make: Any, data: Any) -> None:
    dataset = make(tmp_path)
    assert not dataset.exists()
    dataset.save(data)
    assert dataset.exists() and is_complete(dataset.path)
    dataset.release()
    assert dataset.load() == data


@pytest.mark.parametrize(("make", "data"), CASES)
def test_a_second_save_replaces_the_first(tmp_path: Path, make: Any, data: Any) -> None:
    dataset = make(tmp_path)
    dataset.save(data)
    dataset.save(data)
    assert dataset.load() == data
    assert not [path for path in dataset.path.parent.iterdir() if path.name.startswith(".tmp")]


@pytest.mark.parametrize(("make", "data"), CASES)
def test_missing_is_one_line_with_path_and_pipeline(
    tmp_path: Path, make: Any, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = make(tmp_path, metadata=MADE)
    with pytest.raises(DatasetUserError) as error:
        dataset.load()
    name = dataset.path.relative_to(tmp_path).as_posix()
    assert str(error.value) == f"{name} is missing: run `kedro run --pipelines sft` first"


def test_missing_input_of_nobody_is_for_the_user_to_provide(tmp_path: Path) -> None:
    with pytest.raises(DatasetUserError, match=r"p\.jsonl is missing: provide it$"):
        lines_dataset(tmp_path).load()


@pytest.mark.parametrize("make", [json_dataset, lines_dataset, bytes_dataset])
def test_a_file_without_its_marker_is_not_loaded(tmp_path: Path, make: Any) -> None:
    dataset = make(tmp_path, metadata=MADE)
    dataset.path.parent.mkdir(exist_ok=True)
    dataset.path.write_text('{"x": 1}\n')
    assert not dataset.exists()
    with pytest.raises(DatasetUserError, match=r"incomplete.*`kedro run --pipelines sft`") as error:
        dataset.load()
    assert "\n" not in str(error.value)


def test_a_changed_file_is_not_loaded(tmp_path: Path) -> None:
    dataset = json_dataset(tmp_path, metadata=MADE)
    dataset.save({"f1": 1})
    dataset.path.write_text('{"f1": 99}')
    with pytest.raises(DatasetUserError, match="does not match its digest"):
        dataset.load()


@pytest.mark.parametrize("damage", ["manifest", "file", "content"])
def test_a_damaged_directory_is_not_loaded(tmp_path: Path, damage: str) -> None:
    dataset = folder_dataset(tmp_path, metadata=MADE)
    dataset.save(["a", "b"])
    match damage:
        case "manifest":
            (dataset.path / MANIFEST_NAME).unlink()
        case "file":
            (dataset.path / "1.txt").unlink()
        case "content":
            (dataset.path / "1.txt").write_text("X\n")
    assert dataset.exists() == (damage == "content")  # exists() is cheap: it reads no content
    with pytest.raises(DatasetUserError, match=r"`kedro run --pipelines sft`"):
        dataset.load()


@pytest.mark.parametrize("old", [None, [Point(x=7)]])
def test_an_interrupted_save_leaves_the_old_content_or_none(tmp_path: Path, old: list[Point] | None) -> None:
    def broken() -> Iterator[Point]:
        yield Point(x=1)
        raise KeyboardInterrupt

    dataset = lines_dataset(tmp_path)
    if old:
        dataset.save(old)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(broken())
    assert dataset.exists() == bool(old)
    if old:
        assert dataset.load() == old


def test_records_are_written_as_they_come(tmp_path: Path) -> None:
    def records() -> Iterator[Point]:
        for x in range(3000):
            if x == 2999:  # long before the end, some of it is in the temporary file
                assert [path.stat().st_size for path in tmp_path.glob(".tmp-*")] > [0]
            yield Point(x=x)

    dataset = lines_dataset(tmp_path)
    dataset.save(records())
    assert len(dataset.load()) == 3000


def test_a_record_of_another_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"expected orchestration\.things\.Point, got dict"):
        lines_dataset(tmp_path).save([{"x": 1}])


def test_directory_functions_get_their_arguments_and_lazy_data(tmp_path: Path) -> None:
    dataset = folder_dataset(tmp_path, save_args={"end": "!"})
    dataset.save(word for word in ["a"])
    assert dataset.load() == ["a!"]


def test_a_directory_may_have_a_cache_that_outlives_saves(tmp_path: Path) -> None:
    dataset = folder_dataset(tmp_path, save=f"{THINGS}.save_remembering", cache="kept")
    dataset.save(["a"])
    assert dataset.load() == ["a"]
    dataset.save(["b"])
    assert dataset.load() == ["b", "a", "kept"]
    assert (tmp_path / "kept").is_dir()


def test_user_errors_while_saving_pass_kedro_unwrapped(tmp_path: Path) -> None:
    dataset = folder_dataset(tmp_path, save=f"{THINGS}.save_nothing")
    with pytest.raises(DatasetUserError) as error:
        dataset.save(1)
    assert str(error.value) == "points.csv:3: no such point; drop the row"
    assert isinstance(pickle.loads(pickle.dumps(error.value)), UserError)  # workers send it to the parent


def test_raw_files_are_given_as_paths_whatever_is_in_them(tmp_path: Path) -> None:
    dataset = lines_dataset(tmp_path, raw=True)
    dataset.save([Point(x=1)])
    dataset.path.write_text("no JSON at all")
    assert dataset.exists()
    assert dataset.load() == dataset.path


def test_raw_directories_need_no_manifest(tmp_path: Path) -> None:
    dataset = folder_dataset(tmp_path, raw=True)
    assert not dataset.exists()
    dataset.path.mkdir()
    (dataset.path / "0.txt").write_text("mine")
    assert dataset.exists()
    assert dataset.load() == ["mine"]


@pytest.mark.parametrize(("make", "data"), [(lines_dataset, [Point(x=1)]), (folder_dataset, ["rendered"])])
def test_raw_data_people_brought_is_never_written_over(tmp_path: Path, make: Any, data: Any) -> None:
    dataset = make(tmp_path, raw=True)
    dataset.save(data)
    dataset.save(data)  # its own
    own = dataset.path / "0.txt" if dataset.path.is_dir() else dataset.path
    own.write_text("mine")
    with pytest.raises(DatasetUserError, match=r"is not written over: move it away"):
        dataset.save(data)
    assert own.read_text() == "mine"


def test_any_kedro_dataset_can_be_wrapped(tmp_path: Path) -> None:
    frame = pd.DataFrame({"video": ["a", "b"], "duration_s": [1.0, 2.5]})
    dataset = AtomicDataset(filepath=str(tmp_path / "t.parquet"), dataset={"type": "pandas.ParquetDataset"})
    dataset.save(frame)
    pd.testing.assert_frame_equal(dataset.load(), frame)
    assert marker_path(dataset.path).is_file()


@pytest.mark.parametrize("own", [{"filepath": "x.json"}, {"versioned": True}])
def test_the_wrapper_alone_places_the_file(tmp_path: Path, own: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="must not set"):
        AtomicDataset(filepath=str(tmp_path / "x.json"), dataset={"type": "json.JSONDataset", **own})


@pytest.mark.parametrize(
    "config",
    [
        {"type": "AtomicDataset", "dataset": {"type": "json.JSONDataSett"}},
        {"type": "JsonLinesDataset", "records": "d2vlm_pipeline.nowhere.Sample"},
        {"type": "JsonLinesDataset", "records": "Sample"},
        {"type": "DirectoryDataset", "save": "no.such.save", "load": f"{THINGS}.load_lines"},
    ],
)
def test_misspelt_names_fail_when_the_catalog_is_read(tmp_path: Path, config: dict[str, Any]) -> None:
    config = {**config, "type": f"d2vlm_pipeline.orchestration.{config['type']}"}
    with pytest.raises(DatasetError):
        AbstractDataset.from_config("x", {**config, "filepath": str(tmp_path / "x")})


@pytest.mark.parametrize(("make", "data"), CASES)
def test_datasets_cross_process_borders_and_describe_themselves(tmp_path: Path, make: Any, data: Any) -> None:
    dataset: PersistedDataset = pickle.loads(pickle.dumps(make(tmp_path, metadata=MADE)))
    dataset.save(data)
    assert dataset.load() == data
    assert dataset.path.name in repr(dataset) and "made_by='sft'" in repr(dataset)


@pytest.mark.parametrize(("make", "data"), CASES)
def test_what_a_node_leaves_as_it_is_stays(tmp_path: Path, make: Any, data: Any) -> None:
    dataset = make(tmp_path)
    dataset.save(LeaveAsIs())
    assert not dataset.exists()
    dataset.save(data)
    dataset.save(LeaveAsIs())
    assert dataset.exists()


@pytest.mark.parametrize("make", [json_dataset, lines_dataset, folder_dataset])
def test_an_optional_dataset_may_be_absent_but_not_half_there(tmp_path: Path, make: Any) -> None:
    assert make(tmp_path, optional=True).load() is None
    with pytest.raises(DatasetUserError, match="is missing"):
        make(tmp_path).load()
    path = make(tmp_path).path
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    with pytest.raises(DatasetUserError, match=r"incomplete|MANIFEST"):
        make(tmp_path, optional=True).load()


def test_an_interrupted_save_is_taken_up_where_it_was(tmp_path: Path) -> None:
    dataset, first, second = lines_dataset(tmp_path, journal="journal"), Counted(stop=2), Counted()
    with pytest.raises(KeyboardInterrupt):
        dataset.save(first)
    assert not dataset.exists()
    dataset.save(second)
    assert (first.computed, second.computed) == ([0, 1], [2, 3])
    assert dataset.load() == [Point(x=x) for x in range(4)]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["journal"]


def test_paths_in_records_move_with_the_data(tmp_path: Path) -> None:
    """A clone that has pulled the data has its own videos, not the other's."""
    from d2vlm_pipeline.video import VideoRow

    def dataset(root: Path) -> JsonLinesDataset:
        place = str(root / "data/02_intermediate/videos.jsonl")
        return JsonLinesDataset(filepath=place, records="d2vlm_pipeline.video.VideoRow", place="path")

    def row(path: Path) -> VideoRow:
        return VideoRow(video=path.name, path=path.as_posix(), status="ok")

    here, there = tmp_path / "here", tmp_path / "there"
    own, elsewhere = here / "data/01_raw/world/a.mp4", tmp_path / "kitchen/b.mp4"
    dataset(here).save([row(own), row(elsewhere)])
    assert dataset(here).load() == [row(own), row(elsewhere)]
    here.rename(there)
    assert dataset(there).load() == [row(there / "data/01_raw/world/a.mp4"), row(elsewhere)]
    assert '"path":"01_raw/world/a.mp4"' in dataset(there).path.read_text().splitlines()[0]
