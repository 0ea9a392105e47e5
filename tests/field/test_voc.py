"""VOC folders as people have them: read right, read aloud, or refused with the cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.commands import lehr
from tests.field.conftest import MakeCase, paint_of
from tests.field.painted_voc import box_of, kinds, make, message, object_text, whole, xml_text

from lehr.data.load import load_dataset

SMALL = ["--model", "yolov8n", "--width", "0.125", "--imgsz", "64", "--epochs", "1", "--batch", "2", "--workers", "0"]


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
        (b"\x00\x01\x02\xff\xfe binary", "is not text"),
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
    assert "1 box " in message(dataset, "rotated-box")
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
        len(said) == 2 and "'Cat' (1 object) and 'cat' (2 objects)" in said[0] and kinds(dataset) == ["similar-classes"]
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
