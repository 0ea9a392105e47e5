"""VOC folders as people have them: read right, read aloud, or refused with the cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.commands import lehr
from tests.field.conftest import MakeCase, Painted, paint_of
from tests.field.painted_coco import paint
from tests.field.painted_voc import box_of, make, object_text, write_lists, write_pair, xml_text

from lehr.data.load import load_dataset
from lehr.sample import Dataset, Severity

SMALL = ["--model", "yolov8n", "--width", "0.125", "--imgsz", "64", "--epochs", "1", "--batch", "2", "--workers", "0"]


def kinds(dataset: Dataset) -> list[str]:
    return sorted({fault.kind for fault in dataset.faults})


def message(dataset: Dataset, kind: str) -> str:
    (fault,) = [fault for fault in dataset.faults if fault.kind == kind]
    return str(fault)


def whole(source: Path, count: int = 6, expected: tuple[str, ...] = ()) -> Dataset:
    """A data set all of whose boxes lie on their rectangles, with these kinds of faults and no others."""
    read: Painted = paint_of(source)
    assert not read.misaligned and read.count == count, read.misaligned or read.dataset.faults
    assert kinds(read.dataset) == sorted(expected), read.dataset.faults
    return read.dataset


# The cases.


def test_difficult_objects_are_said_and_ignored_in_evaluation(case: MakeCase) -> None:
    folder = case("V06-difficult")
    shown = lehr("data", "check", "ds", cwd=folder).stdout
    assert "6 of 12 objects are marked as difficult" in shown and "--difficult ignore" in shown
    dataset = load_dataset(str(folder / "ds"))
    for samples in dataset.splits.values():
        assert all(sample.difficult is not None and sample.difficult.tolist() == [False, True] for sample in samples)
    assert "difficult, not evaluated" in lehr("data", "stats", "ds", cwd=folder).stdout


def test_a_declared_encoding_is_read(case: MakeCase) -> None:
    folder = case("V07b-gb2312")
    assert "0 errors" in lehr("data", "check", "ds", cwd=folder).stdout
    dataset = load_dataset(str(folder / "ds"))
    assert dataset.names == ("狗", "猫") and not dataset.faults


def test_an_older_encoding_that_nothing_declares_is_refused_by_name(case: MakeCase) -> None:
    folder = case("V07c-gbk-undeclared")
    shown = lehr("data", "check", "ds", cwd=folder, code=1).stdout
    assert "GBK" in shown and "UTF-8" in shown and "6 label files" in shown
    dataset = load_dataset(str(folder / "ds"))
    assert not dataset.names and {fault.message for fault in dataset.broken if "猫" in fault.message}


def test_names_with_blanks_in_lists_are_found_and_trained_on(case: MakeCase) -> None:
    folder = case("V08a-spaces-in-lists")
    assert "6 usable images, 0 errors, 0 warnings" in lehr("data", "check", "ds", cwd=folder).stdout
    whole(folder / "ds")
    assert "4 images to train, 2 to validate" in lehr("train", "--data", "ds", *SMALL, cwd=folder).stdout


def test_trainval_is_divided_aloud(case: MakeCase) -> None:
    folder = case("V08b-trainval-test")
    assert "only trainval: of 4 images 2 validate" in lehr("data", "check", "ds", cwd=folder).stdout
    dataset = whole(folder / "ds", expected=("split-made",))
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 2, "val": 2, "test": 2}
    assert sorted(sample.path.stem for sample in dataset.splits["test"]) == ["im4", "im5"]


def test_one_stem_in_two_folders_is_two_images(case: MakeCase) -> None:
    folder = case("V10-same-stem")
    assert "8 usable images, 0 errors" in lehr("data", "check", "ds", cwd=folder).stdout
    whole(folder / "ds", 8, ("split-made",))


def test_of_one_stem_with_two_suffixes_the_one_is_used_that_the_xml_names(case: MakeCase) -> None:
    folder = case("V10b-same-stem-ext")
    shown = lehr("data", "check", "ds", cwd=folder).stdout
    assert "im0.png: warning: shares its name with" in shown and "is not used" in shown
    whole(folder / "ds", 4, ("same-name", "split-made"))


# XML that is written otherwise.


@pytest.mark.parametrize(
    ("change", "encoding"),
    [
        (lambda text: text.replace("<annotation>", '<annotation xmlns="http://example.org/voc">'), "utf-8"),
        (
            lambda text: (
                text.replace("<annotation>", '<v:annotation xmlns:v="urn:voc">')
                .replace("</annotation>", "</v:annotation>")
                .replace("object>", "v:object>")
                .replace("</v:object", "</v:object")
            ),
            "utf-8",
        ),
        (lambda text: '<?xml version="1.0"?>\n<!DOCTYPE annotation SYSTEM "voc.dtd">\n' + text, "utf-8"),
        (lambda text: "<!DOCTYPE annotation>\n" + text, "utf-8"),
        (lambda text: "\n\n <?xml version='1.0' encoding='UTF-8'?>\n" + text, "utf-8"),
        (lambda text: "\ufeff<?xml version='1.0' encoding='utf-8'?>\n" + text, "utf-8"),
        (lambda text: "<?xml version='1.0' encoding='utf-16'?>\n" + text, "utf-16"),
        (lambda text: "\ufeff<?xml version='1.0' encoding='UTF-16'?>\n" + text, "utf-16-be"),
        (lambda text: text, "utf-16-le"),
        (lambda text: "<?xml version='1.0' encoding='UTF-16'?>\n" + text, "utf-8"),
        (lambda text: text.replace("\n", "\r\n"), "utf-8"),
        (lambda text: text.replace("\n", ""), "utf-8"),
        (
            lambda text: text.replace("object>", "Object>").replace("<name>", "<Name>").replace("</name>", "</Name>"),
            "utf-8",
        ),
        (lambda text: text.replace("<size>", "<!-- <object> --><size>"), "utf-8"),
        (lambda text: text.replace("<folder>", "<segmented/><owner><name>A</name></owner><folder>"), "utf-8"),
    ],
    ids=[
        "namespace",
        "prefix",
        "doctype",
        "bare-doctype",
        "blank-before-declaration",
        "bom",
        "utf-16",
        "utf-16-be",
        "utf-16-without-mark",
        "declares-utf-16",
        "crlf",
        "one-line",
        "capitals",
        "comment",
        "owner",
    ],
)
def test_xml_in_other_dress_is_read(tmp_path: Path, change: Any, encoding: str) -> None:
    whole(make(tmp_path / "ds", change, encoding=encoding))


@pytest.mark.parametrize(
    ("declared", "codec", "name"),
    [
        ("gb2312", "gbk", "猫"),
        ("GBK", "gbk", "猫"),
        ("gb18030", "gb18030", "猫"),
        ("Shift_JIS", "cp932", "ネコ"),
        ("big5", "big5", "貓"),
        ("euc-kr", "euc-kr", "고양이"),
        ("windows-1252", "cp1252", "Gerät"),
        ("ISO-8859-1", "latin-1", "Gerät"),
        ("windows-1251", "cp1251", "кошка"),
        ("utf-8", "utf-8", "猫"),
    ],
)
def test_declared_encodings_are_read(tmp_path: Path, declared: str, codec: str, name: str) -> None:
    def change(text: str) -> str:
        return f'<?xml version="1.0" encoding="{declared}"?>\n' + text.replace("cat", name)

    dataset = load_dataset(str(make(tmp_path / "ds", change, encoding=codec)))
    assert set(dataset.names) == {name, "dog"} and not dataset.faults


@pytest.mark.parametrize("declared", ["gb2312", "windows-1252", "unknown-8bit"])
def test_utf_8_that_declares_another_encoding_is_read_aloud(tmp_path: Path, declared: str) -> None:
    folder = make(
        tmp_path / "ds", lambda text: f"<?xml version='1.0' encoding='{declared}'?>" + text.replace("cat", "猫")
    )
    dataset = load_dataset(str(folder))
    assert set(dataset.names) == {"猫", "dog"} and kinds(dataset) == ["label-encoding"]
    assert f"declares {declared}, but is UTF-8" in message(dataset, "label-encoding")


def test_a_guessed_encoding_is_said_where_no_name_depends_on_it(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds", lambda text: text.replace("<folder>x", "<folder>我的图片"), encoding="gbk")
    dataset = whole(folder, expected=("label-encoding",))
    assert "GBK" in message(dataset, "label-encoding")


def test_a_name_in_an_undeclared_encoding_stops_training_with_the_remedy(tmp_path: Path) -> None:
    make(tmp_path / "ds", lambda text: text.replace("dog", "Gerät"), encoding="cp1252")
    refused = lehr("train", "--data", "ds", *SMALL, cwd=tmp_path, code=2).stderr
    assert "Windows-1252 (Gerät)" in refused and "Save it as UTF-8" in refused


def test_entities_are_refused_and_an_ampersand_is_read_aloud(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE annotation [<!ENTITY a "xx"><!ENTITY b "&a;&a;">]>\n'
    folder = make(tmp_path / "ds")
    broken = folder / "Annotations" / "im0.xml"
    broken.write_text(bomb + broken.read_text().replace("cat", "&b;"))
    outside = folder / "Annotations" / "im1.xml"
    outside.write_text('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + outside.read_text())
    dataset = load_dataset(str(folder))
    assert [fault.path.name for fault in dataset.broken] == ["im0.xml", "im1.xml"]
    assert all("entities" in fault.message for fault in dataset.broken)
    folder = make(tmp_path / "bare", lambda text: text.replace("<folder>x", "<folder>cats & dogs"))
    dataset = whole(folder, expected=("label-encoding",))
    assert "bare &" in message(dataset, "label-encoding") and "5 files" in message(dataset, "label-encoding")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"<annotation><object><name>cat</name>", "cut off"),
        (b"<annotation></annotation><annotation></annotation>", "more behind its end"),
        (b"<annotation><object></annotation>", "not valid XML"),
        (b"\x00\x01\x02\xff\xfe binary", "no text"),
        (b"<doc><path>x</path></doc>", "root is <doc>"),
        (b"<annotations><image/></annotations>", "CVAT"),
        (b"{}", "not valid XML"),
    ],
)
def test_files_that_are_no_annotation_are_refused_with_the_cause(tmp_path: Path, content: bytes, words: str) -> None:
    folder = make(tmp_path / "ds")
    (folder / "Annotations" / "im2.xml").write_bytes(content)
    read = paint_of(folder)
    assert read.count == 5 and not read.misaligned
    (fault,) = read.dataset.broken
    assert fault.path.name == "im2.xml" and words in fault.message


# Objects that are written otherwise.


def test_numbers_in_other_writing_are_read_and_doubtful_ones_are_not(tmp_path: Path) -> None:
    def change(text: str) -> str:
        text = text.replace("<xmin>9</xmin>", "<xmin>9.0</xmin>").replace("<ymin>11</ymin>", "<ymin> 1.1e1\n</ymin>")
        return text.replace("<xmin>19</xmin>", "<xmin>19,0</xmin>").replace("<xmax>65</xmax>", "<xmax>+65</xmax>")

    dataset = whole(make(tmp_path / "ds", change), expected=("label-writing",))
    assert "decimal commas" in message(dataset, "label-writing") and "1 file do" in message(dataset, "label-writing")
    for bad in ("1,234", "nan", "1_0", "ten", ""):
        folder = make(tmp_path / f"bad{bad}", lambda text, bad=bad: text.replace(">9<", f">{bad}<"))  # type: ignore[misc]
        dataset = load_dataset(str(folder))
        assert [fault.kind for fault in dataset.errors] == ["malformed-line"]
        assert "'cat'" in dataset.errors[0].message and dataset.errors[0].line == 4


def test_corners_in_the_wrong_order_are_exchanged_aloud(tmp_path: Path) -> None:
    def change(text: str) -> str:
        for a, b in (("xmin", "xmax"), ("ymin", "ymax")):
            text = text.replace(f"{a}>", "?>").replace(f"{b}>", f"{a}>").replace("?>", f"{b}>")
        return text

    dataset = whole(make(tmp_path / "ds", change), expected=("swapped-corners",))
    assert "6 files do (6 boxes)" in message(dataset, "swapped-corners")


def test_boxes_that_begin_outside_are_cut(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds", lambda text: text.replace("<xmin>9<", "<xmin>-40<"))
    (sample, *_) = load_dataset(str(folder)).splits["train"]
    assert sample.boxes.tolist() == [[0, 6, 50, 54]]


def test_parts_are_no_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>"
    dataset = whole(make(tmp_path / "ds", lambda text: text.replace("<name>", f"{part}<name>")))
    assert dataset.names == ("cat", "dog")


def test_polygons_and_turned_boxes_become_upright_ones_aloud(tmp_path: Path) -> None:
    def outline(i: int, form: str) -> str:
        x1, y1, x2, y2 = box_of(i)
        corners = [((x1 + x2) / 2, y1), (x2, (y1 + y2) / 2), ((x1 + x2) / 2, y2), (x1, (y1 + y2) / 2)]
        if form == "points":
            inner = "".join(f"<x{k}>{x}</x{k}><y{k}>{y}</y{k}>" for k, (x, y) in enumerate(corners, 1))
        else:
            inner = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in corners)
        return f"<object><name>cat</name><polygon>{inner}</polygon></object>"

    folder = make(tmp_path / "ds")
    for i, form in enumerate(("points", "pt")):
        (folder / "Annotations" / f"im{2 * i}.xml").write_text(xml_text(outline(2 * i, form)))
    (x1, y1, x2, y2), turn = box_of(4), "1.5707963"
    tags = {"cx": (x1 + x2) / 2, "cy": (y1 + y2) / 2, "w": y2 - y1, "h": x2 - x1, "angle": turn}
    turned = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags.items())
    turned = f"<object><type>robndbox</type><name>cat</name><robndbox>{turned}</robndbox></object>"
    (folder / "Annotations" / "im4.xml").write_text(xml_text(turned))
    dataset = whole(folder, expected=("polygon", "rotated-box"))
    assert "2 files do" in message(dataset, "polygon") and "radians" in message(dataset, "rotated-box")
    turned = turned.replace(turn, "90")
    (folder / "Annotations" / "im4.xml").write_text(xml_text(turned))
    assert "degrees" in message(whole(folder, expected=("polygon", "rotated-box")), "rotated-box")


def test_rectangles_that_cvat_turned_are_surrounded(tmp_path: Path) -> None:
    """CVAT writes <bndbox> as it was before the turn, and the turn among the attributes."""
    folder = make(tmp_path / "ds")
    x1, y1, x2, y2 = box_of(4)
    x, y, w, h = (x1 + x2) / 2, (y1 + y2) / 2, y2 - y1, x2 - x1
    before = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    attributes = "<attributes><attribute><name>rotation</name><value>{}</value></attribute></attributes>"
    (folder / "Annotations" / "im4.xml").write_text(xml_text(object_text(before, "cat", attributes.format("90.0"))))
    (folder / "Annotations" / "im0.xml").write_text(xml_text(object_text(box_of(0), "cat", attributes.format("0.0"))))
    dataset = whole(folder, expected=("rotated-box",))
    assert "1 boxes" in message(dataset, "rotated-box")
    sample = dataset.splits["val"][0]
    assert sample.boxes.tolist() == [pytest.approx(box_of(4), abs=0.01)]


@pytest.mark.parametrize(
    ("text", "difficult"),
    [
        ("1", True),
        ("0", False),
        ("true", True),
        ("True", True),
        ("False", False),
        (" 1 ", True),
        ("1.0", True),
        ("", False),
        ("Unspecified", False),
        ("no", False),
        ("yes", True),
    ],
)
def test_flags_in_other_words(tmp_path: Path, text: str, difficult: bool) -> None:
    more = f"<pose>Left</pose><truncated>Unspecified</truncated><occluded>yes</occluded><difficult>{text}</difficult>"
    folder = make(tmp_path / "ds", lambda xml: xml.replace("</name>", f"</name>{more}"))
    sample = load_dataset(str(folder)).splits["train"][0]
    assert (sample.difficult is not None) is difficult and len(sample.boxes) == 1


def test_a_flag_that_means_nothing_is_said(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds", lambda xml: xml.replace("</name>", "</name><difficult>perhaps</difficult>"))
    assert "neither 0 nor 1" in message(whole(folder, expected=("label-writing",)), "label-writing")


def test_objects_without_a_name_or_box_are_skipped_with_their_line(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    objects = object_text(box_of(0), "cat") + object_text((1, 1, 9, 9), " ") + "<object><name>dog</name></object>"
    (folder / "Annotations" / "im0.xml").write_text(xml_text(objects))
    read = paint_of(folder)
    assert read.count == 6 and [fault.line for fault in read.dataset.errors] == [8, 12]


def test_names_are_stripped_and_near_ones_are_said(tmp_path: Path) -> None:
    folder = make(
        tmp_path / "ds", lambda text: text.replace(">cat<", ">\n cat <").replace(">dog<", "> traffic  light<")
    )
    assert whole(folder).names == ("cat", "traffic light")
    xml = folder / "Annotations" / "im0.xml"
    xml.write_text(xml.read_text().replace(" cat ", " Cat "))
    xml = folder / "Annotations" / "im1.xml"
    xml.write_text(xml.read_text().replace(" traffic  light", "traffic_light"))
    dataset = load_dataset(str(folder))
    assert dataset.names == ("Cat", "cat", "traffic light", "traffic_light")
    said = [fault.message for fault in dataset.faults]
    assert (
        len(said) == 2
        and "'Cat' (1 objects) and 'cat' (2 objects)" in said[0]
        and kinds(dataset) == ["similar-classes"]
    )


def test_objects_of_other_tools_are_read_where_they_are_plain(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    inner = object_text(box_of(0), "cat").replace("object>", "item>")
    (folder / "Annotations" / "im0.xml").write_text(f"<doc><outputs><object>{inner}</object></outputs></doc>")
    deleted = object_text((1, 1, 9, 9), "dog", "<deleted>1</deleted>")
    (folder / "Annotations" / "im2.xml").write_text(xml_text(object_text(box_of(2), "cat") + deleted))
    whole(folder, expected=("label-writing", "deleted-object"))


# Sizes.


@pytest.mark.parametrize(
    "size",
    [
        "",
        "<size/>",
        "<size><width>0</width><height>0</height></size>",
        "<size><width></width><height>x</height></size>",
        "<size><width>128.0</width><height>96.0</height></size>",
    ],
)
def test_a_size_that_is_missing_costs_nothing(tmp_path: Path, size: str) -> None:
    whole(make(tmp_path / "ds", lambda text: text[: text.index("<size>")] + size + text[text.index("</size>") + 7 :]))


def turned(path: Path, i: int, orientation: int = 6) -> None:
    """Save an image so that it is shown as it was only with its EXIF orientation."""
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    image = Image.open(path).transpose(back[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)


def test_images_that_exif_turns_with_labels_for_the_image_as_displayed(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    for i, orientation in enumerate((6, 8)):
        turned(folder / "JPEGImages" / f"im{i}.png", i, orientation)
    whole(folder)


@pytest.mark.parametrize("orientation", [6, 8])
def test_labels_for_the_stored_pixels_are_turned_with_the_image(tmp_path: Path, orientation: int) -> None:
    folder = make(tmp_path / "ds")
    for i in range(6):
        path = folder / "JPEGImages" / f"im{i}.png"
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.open(path).save(path, exif=exif)  # the labels stay those of the stored pixels
    dataset = whole(folder, expected=("turned-image",))
    assert (dataset.splits["train"][0].width, dataset.splits["train"][0].height) == (96, 128)


def test_images_turned_since_they_were_labelled_are_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    for i in range(2):
        path = folder / "JPEGImages" / f"im{i}.png"
        Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path)
    read = paint_of(folder)
    assert not read.misaligned and read.count == 4
    assert [fault.kind for fault in read.dataset.broken] == ["other-size", "other-size"]
    assert "states a size of 128x96, but the image is 96x128" in read.dataset.broken[0].message
    assert "--skip-broken" in lehr("train", "--data", "ds", *SMALL, cwd=tmp_path, code=2).stderr


def test_copies_of_another_size_have_their_boxes_scaled_aloud(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    for path in (folder / "JPEGImages").iterdir():
        Image.open(path).resize((64, 48)).save(path)
    dataset = whole(folder, expected=("size-disagrees",))
    assert "scaled" in message(dataset, "size-disagrees") and "6 images" in message(dataset, "size-disagrees")


# Lists.


@pytest.mark.parametrize(
    "line",
    [
        "{}.png",
        "JPEGImages/{}.png",
        "JPEGImages/{}",
        "./JPEGImages/{}.png",
        "VOC2007/JPEGImages/{}.png",
        "{}.xml",
        "JPEGImages\\{}.png",
        "D:\\data\\VOC\\JPEGImages\\{}.png",
        "/home/me/VOC/JPEGImages/{}.png",
        "{}.jpg",
        "'{}.png'",
        "{}  ",
        "{} 1",
        "{} -1",
        "JPEGImages/{}.png Annotations/{}.xml",
        "IM{}",
        "{}.png\r",
    ],
)
@pytest.mark.parametrize("stem", ["im{}", "my photo ({}) 1", "a.b-{}"])
def test_lines_of_lists_in_other_writing(tmp_path: Path, line: str, stem: str) -> None:
    stems = [stem.format(i) for i in range(3)]
    lines = [line.replace("{}", name) if line != "IM{}" else name.upper() for name in stems]
    folder = make(tmp_path / "ds", lists={"train": lines[:2], "val": lines[2:]}, stem=stem, count=3)
    dataset = whole(folder, 3)
    assert [sample.path.stem for sample in dataset.splits["train"]] == stems[:2]


def test_lists_with_marks_comments_and_repetitions(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    main = folder / "ImageSets" / "Main"
    main.joinpath("train.txt").write_bytes("im0\r\nim1\r\n\r\nim2\r\nim3\r\n".encode("utf-8-sig"))
    main.joinpath("val.txt").write_bytes("im4\nim5\n".encode("utf-16"))
    whole(folder)
    main.joinpath("train.txt").write_text("# mine\nim0\nim1\nim2\nim3\nim0\n")
    dataset = whole(folder, expected=("duplicate-image",))
    assert "train.txt:6" in message(dataset, "duplicate-image") and "line 2" in message(dataset, "duplicate-image")


def test_lines_that_name_no_image_are_said_with_their_line(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds", lists={"train": ["im0", "im1", "gone", "im2"], "val": ["im3"]})
    dataset = paint_of(folder).dataset
    (fault,) = dataset.errors
    assert fault.line == 3 and fault.path.name == "train.txt" and "'gone'" in fault.message
    assert "2 of its 6 images are in no list" in message(dataset, "unused-image")


def test_train_and_trainval_give_val(tmp_path: Path) -> None:
    lists = {"train": ["im0", "im1"], "trainval": ["im0", "im1", "im2", "im3"], "test": ["im4", "im5"]}
    dataset = whole(make(tmp_path / "ds", lists=lists), expected=("split-made",))
    assert [sample.path.stem for sample in dataset.splits["val"]] == ["im2", "im3"]
    lists = {"train": ["im0", "im1"], "val": ["im2"], "trainval": ["im0", "im1", "im2"], "test": ["im3", "im4", "im5"]}
    dataset = whole(make(tmp_path / "all", lists=lists))
    assert [len(samples) for samples in dataset.splits.values()] == [2, 1, 3]


def test_lists_of_single_classes_are_used_where_no_other_is(tmp_path: Path) -> None:
    lists = {
        "cat_train": ["im0  1", "im1 -1", "im2  1", "im3 -1"],
        "dog_train": ["im0 -1", "im1  0", "im2 -1", "im3  1"],
        "cat_val": ["im4  1", "im5 -1"],
    }
    dataset = whole(make(tmp_path / "ds", lists=lists), expected=("list-form",))
    assert [len(dataset.splits[split]) for split in ("train", "val")] == [4, 2]
    write_lists(tmp_path / "ds", {"train": ["im0", "im1"], "val": ["im2"]})
    assert len(load_dataset(str(tmp_path / "ds")).splits["train"]) == 2


@pytest.mark.parametrize("place", ["ImageSets", "ImageSets/Segmentation", "ImageSets/Layout", ".", "ImageSets/DET"])
def test_lists_in_other_places(tmp_path: Path, place: str) -> None:
    folder = make(tmp_path / "ds", lists={})
    (folder / "ImageSets" / "Main").rmdir()
    write_lists(folder, {"train": ["im0 1", "im1 1", "im2 0", "im3"], "valid": ["im4", "im5"]}, place)
    dataset = whole(folder, expected=("list-form",))
    assert [len(dataset.splits[split]) for split in ("train", "val")] == [4, 2]


def test_a_list_without_a_split_is_divided(tmp_path: Path) -> None:
    """CVAT writes default.txt."""
    folder = make(tmp_path / "ds", lists={"default": [f"im{i}" for i in range(6)]})
    dataset = whole(folder, expected=("split-made",))
    assert len(dataset.splits["train"]) + len(dataset.splits["val"]) == 6


def test_two_lists_of_a_split_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "ds", lists={"train": ["im0"], "val": ["im1"], "valid": ["im2"]})
    refused = lehr("data", "check", "ds", cwd=tmp_path, code=2).stderr
    assert "val.txt" in refused and "valid.txt" in refused


# Folders.


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("{split}/{stem}.png", "{split}/{stem}.xml"),
        ("images/{split}/{stem}.png", "annotations/{split}/{stem}.xml"),
        ("{split}/images/{stem}.png", "{split}/annotations/{stem}.xml"),
        ("{split}/JPEGImages/a/{stem}.png", "{split}/Annotations/a/{stem}.XML"),
        ("Data/DET/{split}/{stem}.png", "Annotations/DET/{split}/{stem}.xml"),
        ("images/{split}/{stem}.png", "images/{split}/{stem}.xml"),
    ],
)
def test_folders_as_splits(tmp_path: Path, image: str, label: str) -> None:
    counts = {"train": 3, "valid": 2, "test": 1}
    for split, count in counts.items():
        for i in range(count):
            names = {"split": split, "stem": f"{i:04}"}  # the same names in each split
            write_pair(
                tmp_path / "ds" / image.format(**names), tmp_path / "ds" / label.format(**names), i + len(split) % 3
            )
    dataset = whole(tmp_path / "ds")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 3, "val": 2, "test": 1}


@pytest.mark.parametrize("label", ["{}.png.xml", "Annotations/{}.xml", "xml/{}.XML", "labels/deep/{}.xml"])
def test_xml_beside_the_images_or_elsewhere(tmp_path: Path, label: str) -> None:
    for i in range(4):
        write_pair(tmp_path / "ds" / f"im{i}.png", tmp_path / "ds" / label.format(f"im{i}"), i)
    whole(tmp_path / "ds", 4, ("split-made",))


def test_mirrored_folders_keep_each_image_with_its_own_xml(tmp_path: Path) -> None:
    for k, camera in enumerate(("camA", "camB")):
        for i in range(3):
            image = tmp_path / "ds" / "JPEGImages" / camera / f"{i}.png"
            write_pair(image, tmp_path / "ds" / "Annotations" / camera / f"{i}.xml", i + k)
    whole(tmp_path / "ds", 6, ("split-made",))
    write_lists(tmp_path / "ds", {"train": ["camA/0", "camA/1", "camA/2"], "val": ["camB/0.png", "camB\\2"]})
    dataset = whole(tmp_path / "ds", 5, ("unused-image",))
    assert [sample.path.parent.name for sample in dataset.splits["val"]] == ["camB", "camB"]
    write_lists(tmp_path / "ds", {"train": ["camA/0"], "val": ["1"]})
    assert "could be" in message(load_dataset(str(tmp_path / "ds")), "ambiguous-image")


def test_one_xml_for_two_images_is_refused_where_nothing_says_whose_it_is(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds", lists={}, count=4)
    for camera in ("camA", "camB"):
        paint(folder / "JPEGImages" / camera / "im9.png", box_of(1), 0)
    (folder / "Annotations" / "im9.xml").write_text(xml_text(object_text(box_of(1), "cat"), "im9.png"))
    read = paint_of(folder)
    assert read.count == 4 and not read.misaligned
    assert [fault.kind for fault in read.dataset.broken] == ["ambiguous-image"] * 2
    xml = xml_text(object_text(box_of(1), "cat"), "im9.png").replace("<folder>x", "<folder>camB")
    (folder / "Annotations" / "im9.xml").write_text(xml)
    whole(folder, 5, ("same-name", "split-made"))


def test_two_xml_for_one_image_are_refused_unless_they_are_the_same(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    beside = folder / "JPEGImages" / "im0.xml"
    beside.write_text((folder / "Annotations" / "im0.xml").read_text())
    assert paint_of(folder).count == 6
    beside.write_text(xml_text(object_text((1, 1, 30, 30), "dog")))
    read = paint_of(folder)
    assert read.count == 5 and not read.misaligned
    assert "several XML files that differ" in read.dataset.broken[0].message


def test_years_side_by_side(tmp_path: Path) -> None:
    make(
        tmp_path / "VOCdevkit" / "VOC2007",
        lists={"train": ["im0", "im1"], "val": ["im2", "im3"], "test": ["im4", "im5"]},
    )
    make(tmp_path / "VOCdevkit" / "VOC2012")
    dataset = whole(tmp_path / "VOCdevkit", 12)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 6, "val": 4, "test": 2}
    assert {sample.path.parts[-3] for sample in dataset.splits["train"]} == {"VOC2007", "VOC2012"}


def test_masks_hidden_files_and_other_xml_are_passed_over(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    paint(folder / "SegmentationClass" / "im0.png", box_of(0), 0)
    for name in ("Annotations/._im0.xml", ".idea/workspace.xml", "__MACOSX/Annotations/im0.xml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0\5\26\7")
    whole(folder)
    (folder / "scene.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
    whole(folder, expected=("other-xml",))


def test_images_and_xml_without_each_other_are_counted(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds", lists={})
    for name in ("im0.png", "im1.png"):
        (folder / "JPEGImages" / name).unlink()
    (folder / "Annotations" / "im5.xml").unlink()
    dataset = paint_of(folder).dataset
    assert [fault.path.name for fault in dataset.faults if fault.kind == "label-without-image"] == [
        "im0.xml",
        "im1.xml",
    ]
    assert [fault.path.name for fault in dataset.errors] == ["im5.png"] and dataset.errors[0].kind == "missing-label"


def test_an_xml_of_another_name_goes_by_the_image_that_it_names(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    for i in range(6):
        path = folder / "Annotations" / f"im{i}.xml"
        path.rename(path.with_name(f"label_{i}.xml"))
    whole(folder)


def test_an_xml_that_names_another_image_belongs_to_that_of_its_own_name_aloud(tmp_path: Path) -> None:
    def change(text: str) -> str:
        return text.replace("im0.png", "im1.png").replace("im2.png", "C:\\work\\old name.jpg")

    dataset = whole(make(tmp_path / "ds", change), expected=("names-other-image",))
    assert "2 files name other images" in message(dataset, "names-other-image")
    whole(make(tmp_path / "same", lambda text: text.replace("im0.png", "IM0.jpg").replace("im1.png", "im1")))


def test_names_in_other_case_belong_together(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds", lists={})
    (folder / "Annotations" / "im0.xml").rename(folder / "Annotations" / "IM0.XML")
    whole(folder, expected=("split-made",))


# Classes.


def test_a_labelmap_gives_classes_and_their_order(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    head = "# label:color_rgb:parts:actions\n"
    (folder / "labelmap.txt").write_text(head + "background:0,0,0::\ndog:128,0,0::\ncat:0,128,0::\nbird:0,0,1::\n")
    dataset = load_dataset(str(folder))
    assert dataset.names == ("dog", "cat", "bird") and dataset.splits["train"][0].classes.tolist() == [1]
    assert "dog, cat, bird" in message(dataset, "class-list")
    (folder / "labelmap.txt").write_text(head + "dog:128,0,0::\n")
    dataset = load_dataset(str(folder))
    assert dataset.names == ("cat", "dog") and "lacks cat" in message(dataset, "class-list")
    (folder / "labelmap.txt").rename(folder / "label_list.txt")
    (folder / "label_list.txt").write_text("dog\ncat\n")
    assert load_dataset(str(folder)).names == ("dog", "cat")


def test_classes_of_val_alone_are_classes(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    xml = folder / "Annotations" / "im5.xml"
    xml.write_text(xml.read_text().replace("dog", "bird"))
    dataset = load_dataset(str(folder))
    assert dataset.names == ("bird", "cat", "dog") and dataset.splits["val"][1].classes.tolist() == [0]


def test_notes_and_warnings_do_not_fail_the_check(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds", lists={})
    assert {fault.severity for fault in load_dataset(str(folder)).faults} == {Severity.NOTE}
    lehr("data", "check", "ds", cwd=tmp_path)


def test_parts_of_objects_under_another_name_are_no_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></part>"
    change = lambda text: text.replace("</object>", f"{part}</object>").replace("object>", "item>")  # noqa: E731
    read = paint_of(make(tmp_path / "ds", change))
    assert read.count == 6 and not read.misaligned and read.dataset.names == ("cat", "dog")
