"""Data YAMLs as people and their tools write them are read right, or refused with file, line, cause and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.commands import lehr
from tests.field.conftest import MakeCase, paint_of
from tests.field.painted_sets import paint_splits

from lehr.data.load import load_dataset, require_split
from lehr.errors import InputError
from lehr.sample import Severity

PLACES = "train: images/train\nval: images/val\n"
CASES = [
    ("Y02-roboflow-no-test", 0, ["data.yaml:3: warning", "'test'", "does not exist"], 6),
    ("Y03-names-yes-no", 0, ["names keep their text", "'null'"], 6),
    ("Y05a-gap", 2, ["data.yaml:3", "no class 1"], None),
    ("Y05b-quoted-keys", 0, [], 6),
    ("Y05d-string", 2, ["data.yaml:3", "not a list or a map", "names: [cat, dog]"], None),
    ("Y05g-nospace", 2, ["data.yaml:3", "a blank is missing after the colon"], None),
    ("Y05i-empty-item", 0, ["data.yaml:3", "YAML's word for nothing"], 6),
    ("Y06a-str", 0, [], 6),
    ("Y07a-channels", 0, ["data.yaml:4", "'channels'", "not used"], 6),
    ("Y07b-channels10", 0, ["data.yaml:4", "10 channels"], 6),
    ("Y07d-colors", 0, ["data.yaml:4", "'colors'"], 6),
    ("Y07e-minival", 0, ["data.yaml:4", "'minival'"], 6),
    ("Y07g-roboflow-list", 0, ["data.yaml:4", "'augmentations'"], 6),
    ("Y07h-train-labels", 0, ["data.yaml:4", "'train_labels'"], 6),
    ("Y07j-augment", 0, ["data.yaml:4", "'augment'"], 6),
    ("Y07k-kpt-names", 0, ["data.yaml:4", "'kpt_names'"], 6),
    ("Y08b-windows-abs", 0, ["data.yaml:1", "a path of Windows", "is taken"], 6),
    ("Y08c-windows-quoted", 2, ["data.yaml:1", "in double quotes a backslash begins an escape"], None),
    ("Y16-gbk-yaml", 2, ["not in UTF-8", "GBK", "猫, 狗"], None),
    ("Y21-points-at-labels", 0, ["data.yaml:1", "holds label files", "images/train"], 6),
    ("L08f-pose-yaml", 0, ["pose data set", "its boxes are used"], 6),
]


@pytest.mark.parametrize(("name", "code", "words", "aligned"), CASES, ids=[each[0] for each in CASES])
def test_cases(
    name: str, code: int, words: list[str], aligned: int | None, case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = case(name)
    done = lehr("data", "check", "data.yaml", cwd=folder, code=code)
    for word in words:
        assert word in done.stdout + done.stderr
    if aligned is not None:
        monkeypatch.chdir(folder)
        painted = paint_of("data.yaml")
        assert painted.count == aligned and not painted.misaligned


def test_a_split_that_is_not_there_stops_those_who_ask_for_it(case: MakeCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case("Y02-roboflow-no-test"))
    dataset = load_dataset("data.yaml")
    assert len(require_split(dataset, "train")) == 4 and len(require_split(dataset, "val")) == 2
    with pytest.raises(InputError, match=r"data\.yaml:3: 'test'.*does not exist"):
        require_split(dataset, "test")
    with pytest.raises(InputError, match=r"data\.yaml:3"):
        load_dataset("data.yaml", needed=("test",))


def test_without_val_the_remedy_is_to_split(case: MakeCase) -> None:
    folder = case("Y15-no-val")
    done = lehr("train", "--data", "data.yaml", "--model", "yolov8n", "--epochs", "1", cwd=folder, code=2)
    assert "no split 'val'" in done.stderr and "lehr data split data.yaml --out" in done.stderr


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return paint_splits(tmp_path / "set")


def check(root: Path, text: str, encoding: str = "utf-8") -> tuple[tuple[str, ...], list[str]]:
    """Write a data YAML, read it; all its boxes must be right. Its names and what is said of it."""
    (root / "data.yaml").write_text(text, encoding=encoding)
    painted = paint_of(root / "data.yaml")
    assert painted.count == 6 and not painted.misaligned
    said = [str(fault) for fault in painted.dataset.faults]
    assert not painted.dataset.errors
    return painted.dataset.names, said


@pytest.mark.parametrize(
    ("names", "read", "severity"),
    [
        ("[no, yes]", ("no", "yes"), Severity.NOTE),
        ("[0x1F, 1e3]", ("0x1F", "1e3"), Severity.NOTE),
        ("[010, 12:30:00]", ("010", "12:30:00"), Severity.NOTE),
        ("[2020-01-01, 1.0]", ("2020-01-01", "1.0"), None),
        ("[2020-1-1, 1.50]", ("2020-1-1", "1.50"), Severity.NOTE),
        ("[.inf, 1_000]", (".inf", "1_000"), Severity.NOTE),
        ("[~, NULL]", ("~", "NULL"), Severity.WARNING),
        ("['no', \"null\"]", ("no", "null"), None),
        ("[0, 1]", ("0", "1"), None),
        ("{'1': dog, '0': cat}", ("cat", "dog"), None),
        ("{00: cat, 01: dog}", ("cat", "dog"), None),
        ("{cat: 0, dog: 1}", ("cat", "dog"), Severity.WARNING),
        ("[{0: cat}, {1: dog}]", ("cat", "dog"), Severity.WARNING),
        ("[{id: 0, name: cat}, {id: 1, name: dog}]", ("cat", "dog"), Severity.WARNING),
        ("\n- !!str 007\n- 'a: b'", ("007", "a: b"), Severity.NOTE),
        ("&n [cat, dog]\nminival: *n", ("cat", "dog"), Severity.NOTE),
    ],
)
def test_names_keep_the_text_that_they_are_written_as(
    root: Path, names: str, read: tuple[str, ...], severity: Severity | None
) -> None:
    found, said = check(root, f"{PLACES}names: {names}\n")
    assert found == read
    assert (len(said), severity is not None and f": {severity}:" in said[0]) == ((1, True) if severity else (0, False))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: {1: cat, 2: dog}", [":3:", "no class 0", "count the names from 0"]),
        ("names: {0: cat, 5: dog}", [":3:", "no class 1, 2, 3, 4"]),
        ("names: {0: cat, 0: dog}", [":3:", "class 0 is named on line 3 already"]),
        ("names: {0.5: cat}", [":3:", "'0.5'", "not a whole number"]),
        ("names:\n- cat\n-\n- dog", [":5:", "class 1", "empty"]),
        ("names:\n- cat\n- ''", [":5:", "class 1", "empty"]),
        ("names:\n- cat\n- [dog]", [":5:", "class 1", "a list"]),
        ("names: [[cat, dog]]", [":3:", "class 0", "a list", "Remove the brackets"]),
        ("names:\n- cat\n- dog: big", [":5:", "class 1", "in quotes"]),
        ("names:\n- cat\n- dog\n- cat", [":6:", "'cat' is named twice, as 0 and 2"]),
        ("names:\n  0:cat\n  1:dog", ["blank is missing after the colon"]),
        ("names: cat", ["names: [cat]"]),
        ("names: \"['cat', 'dog']\"", ["list in quotes"]),
        ("names: classes.txt", ["'classes.txt', which does not exist"]),
        ("names:", ["'names' is empty"]),
        ("names: []", ["'names' is empty"]),
        ("name: [cat, dog]", [":3:", "Did you mean 'names' by 'name'"]),
        ("classes: [cat, dog]", [":3:", "Did you mean 'names' by 'classes'"]),
        ("names: [cat, dog]\nnc: two", [":4:", "'nc' is 'two'", "nc: 2"]),
        ("names: [cat, dog]\nnc: '3'", [":4:", "'nc' is 3 but 'names' has 2"]),
        ("names: [cat, dog]\nnames: [a, b]", [":4:", "line 3"]),
        ('names: [cat, dog]\npath: "C:\\new"', [":4:", "control character", "backslash"]),
        ("names: [cat, dog", [":3:", "not valid YAML"]),
        ("names:\n\t- cat", [":4:", "tab"]),
        ("names: [cat, @dog]", [":3:", "quotes"]),
        ("names: *all", [":3:", "not valid YAML", "'*'"]),
        ("names: [cat, dog]\n---\nnames: [a]", ["second document"]),
        ("names: [cat, dog]\npath: a: b", [":4:", "in quotes"]),
        ("names: [cat, dog]\nx: !!python/object/apply:os.system [ls]", [":4:", "object of Python"]),
        ("names: " + "[" * 3000, ["nested too deeply"]),
    ],
)
def test_what_cannot_be_names_is_refused_with_line_and_cause(root: Path, text: str, words: list[str]) -> None:
    (root / "data.yaml").write_text(f"{PLACES}{text}\n")
    done = lehr("data", "check", "data.yaml", cwd=root, code=2)
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trian: images/train\nval: images/val\nnames: [cat, dog]", ["data.yaml:1", "'trian'", "train?"]),
        ("train:images/train\nval: images/val\nnames: [cat, dog]", ["line 1", "blank is missing"]),
        ("train: images/train\nvla: images/val\nnames: [cat, dog]", ["data.yaml:2", "'vla'", "val?"]),
        ("backbone: []\nhead: []\nnc: 2", ["describes a model"]),
        ("lr0: 0.01\nmomentum: 0.9\nnames: [a]", ["options of training"]),
        ("train: {a: b}\nval: images/val\nnames: [cat, dog]", ["data.yaml:1", "must be a folder"]),
        ("train: images/train\nval: images/gone\nnames: [cat, dog]", ["data.yaml:2", "'val'", "does not exist"]),
        ("train: https://example.org/a.zip\nval: images/val\nnames: [cat, dog]", ["data.yaml:1", "web address"]),
        ("- train: a\n- val: b", ["must hold 'name: value' lines"]),
        ("", ["empty"]),
    ],
)
def test_what_is_no_data_yaml_is_refused(root: Path, text: str, words: list[str]) -> None:
    (root / "data.yaml").write_text(text + "\n")
    done = lehr("data", "check", "data.yaml", cwd=root, code=2)
    for word in words:
        assert word in done.stderr


def test_a_bomb_of_aliases_ends_at_once(root: Path) -> None:
    lines = ["a0: &a0 [images/train, images/train]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 14)]
    (root / "data.yaml").write_text("\n".join([*lines, "train: *a13", "val: images/val", "names: [cat, dog]"]))
    with pytest.raises(InputError, match="'train' must be a folder"):
        load_dataset(str(root / "data.yaml"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_other_encodings_of_unicode_are_read(root: Path, encoding: str) -> None:
    names, said = check(root, f"{PLACES}names: [猫, 狗]\n", encoding)
    assert names == ("猫", "狗")
    assert len(said) == (encoding != "utf-8-sig") and all("UTF-16" in each for each in said)


def test_an_older_encoding_in_comments_alone_is_read_aloud(root: Path) -> None:
    names, said = check(root, f"# données d'été\n{PLACES}names: [cat, dog]\n", "latin-1")
    assert names == ("cat", "dog") and "Windows-1252" in said[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train: images/train\nvalid: images/val", ["'valid' is read as 'val'"]),
        ("train: images/train\nvalidation: images/val", ["'validation' is read as 'val'"]),
        ("Train: images/train\nVAL: images/val", ["'Train' is read as 'train'", "'VAL' is read as 'val'"]),
        ("path: ''\ntrain: images/train\nval: images/val\ntest:", []),
        ("train: [images/train]\nval: [[images/val], []]", []),
        ("train: images/train/*.png\nval: images/val/val?.png", []),
        ("train: images/train\nval: [images/val/val0.png, images/val/val1.png]", []),
        ("train: ./images/train/\nval: images/../images/val", []),
        ("train: 'images/train '\nval: images/val", ["is read as images/train"]),
        ("train: Images/Train\nval: images/val", ["'Images/Train'", "images/train"]),
        ("train: images\\train\nval: images\\val", ["images/train"]),
        (
            "train: /home/me/set/images/train\nval: /home/me/set/images/val",
            ["'/home/me/set/images/train'", "by the end"],
        ),
        ("train: D:\\set\\images\\train\nval: D:\\set\\images\\val", ["by the end"]),
        ("path: /content/drive/set\ntrain: images/train\nval: images/val", ["'/content/drive/set'", "is taken"]),
        ("path: ../datasets/set\ntrain: images/train\nval: images/val", ["'../datasets/set'", "is taken"]),
        ("train: ../images/train\nval: ../images/val", ["Roboflow"]),
        ("train: $SET/images/train\nval: ${SET}/images/val", []),
        ("<<: {val: images/val}\ntrain: images/train", []),
        ("train: images/train\nval: images/val\ntest: images/test", ["'test'", "does not exist"]),
        ("train: images/train\nval: images/val\nroboflow: {version: 1}\ndownload: http://x", []),
        ("train: images/train\nval: images/val\nroboflow: [a]\nflip_idx: [0]\nfoo: 1\nsplits: 2", ["'foo', 'splits'"]),
    ],
)
def test_places_as_people_write_them_are_found_and_what_is_not_certain_is_said(
    root: Path, text: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SET", str(root))
    _, said = check(root, text + "\nnames: [cat, dog]\n")
    for word in words:
        assert any(word in each for each in said), said
    assert bool(said) == bool(words)


def test_an_environment_variable_that_is_not_set_is_named(root: Path) -> None:
    (root / "data.yaml").write_text("path: $NO_SUCH_PLACE/set\n" + PLACES + "names: [cat, dog]\n")
    with pytest.raises(InputError, match=r"data\.yaml:1.*NO_SUCH_PLACE is not set"):
        load_dataset(str(root / "data.yaml"))


def test_a_home_folder_is_put_in(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    assert check(root, f"path: ~/set\n{PLACES}names: [cat, dog]\n")[1] == []


def test_two_places_that_both_fit_are_refused_by_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yaml = root / "configs" / "data.yaml"
    yaml.parent.mkdir()
    yaml.write_text(f"path: some\n{PLACES}names: [cat, dog]\n")
    paint_splits(root / "some")
    monkeypatch.chdir(root)
    assert "in the working folder" in str(load_dataset(str(yaml)).faults[0])
    paint_splits(root / "configs" / "some")
    with pytest.raises(InputError, match=r"data\.yaml:1: 'path' could be .*configs/some or .*set/some"):
        load_dataset(str(yaml))
    monkeypatch.chdir(root.parent)
    assert not load_dataset(str(yaml)).faults


def test_roboflow_s_dots_that_could_be_two_folders_are_refused(root: Path) -> None:
    (root / "export").mkdir()
    paint_splits(root / "export", "{}/images", "{}/labels")
    yaml = root / "export" / "data.yaml"
    yaml.write_text("train: ../train/images\nval: ../val/images\nnames: [cat, dog]\n")
    assert len(load_dataset(str(yaml)).splits["train"]) == 4
    paint_splits(root, "{}/images", "{}/labels")
    with pytest.raises(InputError, match=r"data\.yaml:1: '\.\./train/images' could be .* or, as Roboflow"):
        load_dataset(str(yaml))


def test_a_missing_test_folder_is_never_another_one_s_images(root: Path) -> None:
    """All images below `images` must not become the test split for the last part of its path."""
    for test in ("../test/images", "/home/me/set/test/images"):
        prefix = test.removesuffix("test/images")
        text = f"train: {prefix}images/train\nval: {prefix}images/val\ntest: {test}\nnames: [cat, dog]\n"
        (root / "data.yaml").write_text(text)
        dataset = load_dataset(str(root / "data.yaml"))
        assert set(dataset.splits) == {"train", "val"} and "test" in dataset.absent


def test_names_in_a_file_are_read_from_it(root: Path) -> None:
    (root / "classes.txt").write_text("cat\ndog\n\n")
    names, said = check(root, f"{PLACES}names: classes.txt\n")
    assert names == ("cat", "dog") and "classes.txt" in said[0]
    (root / "classes.txt").write_text("cat\n\ndog\n")
    with pytest.raises(InputError, match=r"classes\.txt:2: there is an empty line"):
        load_dataset(str(root / "data.yaml"))


def test_folders_that_differ_only_in_case_are_refused(root: Path) -> None:
    paint_splits(root, "IMAGES/{}")
    if (root / "IMAGES").samefile(root / "images"):
        pytest.skip("this file system has no case")
    (root / "data.yaml").write_text("train: Images/train\nval: images/val\nnames: [cat, dog]\n")
    with pytest.raises(InputError, match=r"data\.yaml:1: 'Images/train' could be .*IMAGES/train or .*images/train"):
        load_dataset(str(root / "data.yaml"))


def test_only_yaml_files_of_data_count_in_a_folder(root: Path) -> None:
    (root / "set.yaml").write_text(f"{PLACES}names: [cat, dog]\n")
    (root / "hyp.yaml").write_text("lr0: 0.01\nlrf: 0.1\nmomentum: 0.9\n")
    (root / "._set.yaml").write_bytes(b"\0\5\26\7")
    assert load_dataset(str(root)).names == ("cat", "dog")


def test_paths_that_no_system_has_are_refused_at_once(root: Path) -> None:
    for name in ("y" * 300, "y/" * 3000, "*/" * 1500, "~nobody-of-that-name/x", "/" + "y/" * 900):
        (root / "data.yaml").write_text(f"path: {name!r}\n{PLACES}names: [cat, dog]\n")
        assert "is taken" in str(load_dataset(str(root / "data.yaml")).faults[0])
        (root / "data.yaml").write_text(f"train: {name!r}\nval: images/val\nnames: [cat, dog]\n")
        with pytest.raises(InputError, match=r"data\.yaml:1: 'train'"):
            load_dataset(str(root / "data.yaml"))
        (root / "train.txt").write_text(f"{name}\nimages/train/train0.png\n")
        (root / "data.yaml").write_text("train: train.txt\nval: images/val\nnames: [cat, dog]\n")
        assert len(load_dataset(str(root / "data.yaml")).splits["train"]) == 1
        with pytest.raises(InputError, match="--data"):
            load_dataset(name)


def test_an_evaluation_needs_only_its_own_split(root: Path) -> None:
    (root / "data.yaml").write_text("train: images/gone\nval: images/val\nnames: [cat, dog]\n")
    dataset = load_dataset(str(root / "data.yaml"), needed=("val",))
    assert len(require_split(dataset, "val")) == 2
    with pytest.raises(InputError, match=r"data\.yaml:1: 'train'"):
        load_dataset(str(root / "data.yaml"))
