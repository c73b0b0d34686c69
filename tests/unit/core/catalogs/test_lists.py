"""Class lists of other programs: read with their ids and colours, written so that they read back, refused with the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab_core.catalogs import BUILTIN_NAMES, builtin_catalogs, get_catalog, save_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo, is_void
from deeplab_core.catalogs.lists import LIST_FORMATS, list_text, named_catalog
from deeplab_core.errors import CatalogError


def read(tmp_path: Path, name: str, text: str) -> ClassCatalog:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return get_catalog(path)


@pytest.mark.parametrize(
    ("name", "text", "ids", "names"),
    [
        ("labels.txt", "__ignore__\n_background_\ncrack\n", [0, 1], ("_background_", "crack")),
        ("labels.txt", "\ufeffcrack\r\n\r\nno crack\r\n", [0, 1], ("crack", "no crack")),
        ("labels.txt", "C#\n#1\n", [0, 1], ("C#", "#1")),
        ("names.yaml", "names: [a, b]\n", [0, 1], ("a", "b")),
        ("data.yaml", "train: ../images\nnc: 2\nnames:\n  0: a\n  3: b\n", [0, 3], ("a", "b")),
        ("isat.yaml", "contour_mode: max\nlabel:\n- {color: '#000000', name: __background__}\n- {color: '#ff0000', name: dog}\n",
         [0, 1], ("__background__", "dog")),
        ("labelmerc.yaml", "labels: [dog, cat]\nflags: null\n", [0, 1], ("dog", "cat")),
        ("_classes.csv", "Pixel Value, Class\n0, background\n7, leaf\n", [0, 7], ("background", "leaf")),
        ("annotations.json", json.dumps({"images": [], "categories": [{"id": 1, "name": "person"}, {"id": 90, "name": "brush"}]}),
         [1, 90], ("person", "brush")),
        ("meta.json", json.dumps({"classes": [{"title": "car", "color": "#0A0B0C", "shape": "bitmap"}]}), [0], ("car",)),
        ("names.json", '["a", "b"]', [0, 1], ("a", "b")),
    ],
)  # fmt: skip
def test_ids_and_names_are_those_of_the_list(
    tmp_path: Path, name: str, text: str, ids: list[int], names: tuple[str, ...]
) -> None:
    catalog = read(tmp_path, name, text)
    assert catalog.ids.tolist() == ids
    assert catalog.names == names
    assert [info.key for info in catalog.classes] == [str(place) for place in range(1, len(names) + 1)]


def test_colors_of_a_list_stay_and_missing_ones_differ_from_them(tmp_path: Path) -> None:
    text = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndog:192,128,0:head,tail:walk\ncat:::\n"
    catalog = read(tmp_path, "labelmap.txt", text)
    assert [info.color for info in catalog.classes[:2]] == [(0, 0, 0), (192, 128, 0)]
    assert len({info.color for info in catalog.classes}) == 3
    assert read(tmp_path, "label_colors.txt", "64 128 64\tAnimal\n192 0 128\tArch way\n").by_id(1) == ClassInfo(
        1, "Arch way", (192, 0, 128), "2"
    )


@pytest.mark.parametrize("name", ["background", "_background_", "BG", "Background"])
def test_the_background_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, "labels.txt", f"crack\n{name}\n").background == 1
    assert read(tmp_path, "labels.txt", "crack\nbackground wall\n").background is None


def test_ids_above_254_make_wide_masks(tmp_path: Path) -> None:
    assert not read(tmp_path, "labels.txt", "\n".join(f"class {k}" for k in range(254))).wide
    wide = read(tmp_path, "labels.txt", "\n".join(f"class {k}" for k in range(255)))
    assert wide.wide
    assert wide.file_ignore == wide.ignore


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("labels.txt", "", "no classes"),
        ("labels.txt", "__ignore__\n", "no classes"),
        ("labels.txt", "a\nb\na\n", "has the class 'a' twice"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\ndog 1,2,3\n", "Line 2"),
        ("labelmap.txt", "dog:300,2,3::\n", "300,2,3 is not a colour"),
        ("_classes.csv", "Class, Pixel Value\ndog, 1\n", "first line"),
        ("_classes.csv", "Pixel Value, Class\none, dog\n", "Row 2"),
        ("names.yaml", "names: {a: dog}\n", "not a whole number"),
        ("names.yaml", "names: [[1]]\n", "A class name reads"),
        ("c.json", '{"categories": [{"id": "1", "name": "dog"}]}', "id of category 'dog'"),
        ("c.json", '{"categories": [{"id": 1, "name": "dog"}, {"id": 1, "name": "cat"}]}', "the id 1 twice"),
        ("c.json", '{"categories": [{"id": -1, "name": "dog"}]}', "out of range"),
        ("c.json", '{"classes": [{"title": "car", "color": "red"}]}', "not a colour"),
        ("c.json", '{"nothing": 1}', "no list 'classes'"),
    ],
)
def test_what_is_no_list_is_refused_with_its_place(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(CatalogError) as raised:
        read(tmp_path, name, text)
    assert said in str(raised.value)
    assert raised.value.path == tmp_path / name
    assert raised.value.remedy


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8).filter(
    lambda name: ":" not in name and not name.startswith("#") and not is_void(name)
)


@given(
    names=st.lists(NAMES, min_size=1, max_size=20, unique=True),
    colors=st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=20, max_size=20),
    gaps=st.lists(st.integers(0, 3), min_size=20, max_size=20),
    key=st.sampled_from(sorted(LIST_FORMATS)),
)
def test_a_written_list_reads_back(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    colors: list[tuple[int, int, int]],
    gaps: list[int],
    key: str,
) -> None:
    form = LIST_FORMATS[key]
    ids = [place + sum(gaps[: place + 1]) if "ids" in form.keeps else place for place in range(len(names))]
    rows = zip(ids, names, colors, strict=False)
    catalog = ClassCatalog("own", "Own", tuple(ClassInfo(number, name, color) for number, name, color in rows))
    path = tmp_path_factory.mktemp("lists") / f"list{form.suffixes[0]}"
    if key == "labelme" and all(len(name.split()) == 4 for name in names):
        return
    save_catalog(catalog, path, key)
    again = get_catalog(path)
    assert again.names == catalog.names
    assert again.ids.tolist() == ids
    if "colours" in form.keeps:
        assert [info.color for info in again.classes] == [info.color for info in catalog.classes]


@pytest.mark.parametrize("key", sorted(LIST_FORMATS))
@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_builtin_catalogs_read_back_from_every_form(tmp_path: Path, name: str, key: str) -> None:
    catalog, form = builtin_catalogs()[name], LIST_FORMATS[key]
    path = tmp_path / f"list{form.suffixes[0]}"
    if "ids" not in form.keeps and catalog.ids.tolist() != list(range(len(catalog))):
        with pytest.raises(CatalogError, match="gaps"):
            save_catalog(catalog, path, key)
        assert not path.exists()
        return
    save_catalog(catalog, path, key)
    assert get_catalog(path).names == catalog.names


def test_a_form_that_cannot_hold_a_name_is_an_error(tmp_path: Path) -> None:
    catalog = ClassCatalog("own", "Own", (ClassInfo(0, "a:b", (0, 0, 0)),))
    assert "a:b" in list_text(catalog, "labelme")
    with pytest.raises(CatalogError, match="separates entries"):
        list_text(catalog, "cvat")
    with pytest.raises(CatalogError, match="not a name for"):
        save_catalog(catalog, tmp_path / "list.json", "labelme")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labelmap.txt", "# label:color_rgb:parts:actions\nvoid:1,2,3::\nroad:4,5,6::\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\n# ids:255,1\nVoid:1,2,3::\nroad:4,5,6::\n"),
        ("label_colors.txt", "1 2 3\tVoid\n4 5 6\troad\n"),
    ],
)
def test_void_in_a_table_of_colours_is_no_class(tmp_path: Path, name: str, text: str) -> None:
    catalog = read(tmp_path, name, text)
    assert [(info.id, info.name) for info in catalog.classes] == [(1, "road")]
    assert catalog.ignore_color == (1, 2, 3)
    assert catalog.file_ignore == 255


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "road\nvoid\nbackground\n"),
        ("names.yaml", "names: [road, VOID, background]\n"),
        ("names.yaml", "names: {0: road, 1: __ignore__, 2: background}\n"),
        ("names.json", '["road", "void", "background"]'),
        ("own.json", '{"classes": ["road", "void", "background"], "background": 2}'),
        ("own.yaml", "classes: [{name: road}, {name: void}, {name: background}]\nbackground: 2\nfile_ignore: 1\n"),
        ("_classes.csv", "Pixel Value,Class\n0,road\n1,void\n2,background\n"),
        ("c.json", '{"categories": [{"id": 2, "name": "background"}, {"id": 1, "name": "void"}, {"id": 0, "name": "road"}]}'),
        ("meta.json", '{"classes": [{"title": "road"}, {"title": "void"}, {"title": "background"}]}'),
        ("labels.xml", "<View><Label value='road'/><Label value='void'/><Label value='background'/></View>"),
    ],
)
def test_void_is_a_value_and_no_class_in_every_list(tmp_path: Path, name: str, text: str) -> None:
    catalog = read(tmp_path, name, text)
    assert {info.name: info.id for info in catalog.classes} == {"road": 0, "background": 2}
    assert (catalog.file_ignore, catalog.background) == (1, 2)


def test_a_value_of_void_that_no_file_can_hold_is_that_of_other_lists(tmp_path: Path) -> None:
    catalog = read(tmp_path, "c.json", '{"categories": [{"id": 1, "name": "road"}, {"id": 4000, "name": "void"}]}')
    assert (catalog.wide, catalog.file_ignore) == (False, 255)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "void\nroad\nVoid\n"),
        ("own.json", '{"classes": ["road", "void"], "file_ignore": 255}'),
    ],
)
def test_void_named_twice_is_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(CatalogError, match="twice what void is"):
        read(tmp_path, name, text)


def test_typed_names_leave_void_out() -> None:
    catalog = named_catalog(["crack", "void", "no crack"], "typed")
    assert [(info.id, info.name) for info in catalog.classes] == [(0, "crack"), (1, "no crack")]
    assert catalog.file_ignore == 255
    assert catalog.title == "crack, no crack"
    assert named_catalog("abcde", "typed").title == "a, b, c and 2 more"
    with pytest.raises(CatalogError, match="not a class list"):
        named_catalog(["void"], "typed")


@pytest.mark.parametrize("key", sorted(LIST_FORMATS))
def test_a_class_called_void_is_not_written_where_it_would_mean_void(key: str) -> None:
    catalog = ClassCatalog("own", "Own", (ClassInfo(0, "Void", (0, 0, 0)),))
    with pytest.raises(CatalogError, match="Void"):
        list_text(catalog, key)


@pytest.mark.parametrize("ids", ["0", "a,b", "0,1,2", "1,1"])
def test_ids_of_a_labelmap_that_do_not_fit_are_refused(tmp_path: Path, ids: str) -> None:
    with pytest.raises(CatalogError):
        read(tmp_path, "labelmap.txt", f"# label:color_rgb:parts:actions\n# ids:{ids}\nroad:4,5,6::\ncar:7,8,9::\n")


STUDIO = """<View>
  <Image name="image" value="$image"/>
  <!-- a remark -->
  <BrushLabels name="tag" toName="image">
    <Label value="Airplane" background="rgba(255, 0, 0, 0.7)" hotkey="a"/>
    <Label value="Car" background="#0f0"/>
    <Label value="background"/>
  </BrushLabels>
  <PolygonLabels name="poly" toName="image"><Label value="Car" background="blue"/><Label value="Sky" background="unknown"/>
  </PolygonLabels>
  <Choices name="c" toName="image"><Choice value="good"/></Choices>
</View>
"""


def test_a_configuration_of_label_studio_is_a_class_list(tmp_path: Path) -> None:
    catalog = read(tmp_path, "config.xml", STUDIO)
    assert catalog.names == ("Airplane", "Car", "background", "Sky")
    assert [info.color for info in catalog.classes[:3]] == [(255, 0, 0), (0, 255, 0), (0, 0, 0)]
    assert len({info.color for info in catalog.classes}) == 4
    assert catalog.classes[0].key == "a"
    assert catalog.background == 2


def test_the_labels_of_cvat_are_a_class_list(tmp_path: Path) -> None:
    text = (
        "<annotations><version>1.1</version><meta><task><labels><label><name>road</name><color>#0a0b0c</color><attributes/></label>"
        "<label><name>car</name></label></labels></task></meta><image id='0' name='a.jpg'/></annotations>"
    )
    catalog = read(tmp_path, "annotations.xml", text)
    assert catalog.names == ("road", "car")
    assert catalog.by_id(0).color == (10, 11, 12)


@pytest.mark.parametrize(
    "text",
    ["", "<View/>", "<View><Label/></View>", "<View><Label value=''/></View>", "no xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><View/>"],
)
def test_xml_without_labels_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(CatalogError) as raised:
        read(tmp_path, "config.xml", text)
    assert raised.value.path == tmp_path / "config.xml"


@pytest.mark.parametrize(
    "text",
    ["background:0,0,0\ndog:1,2,3\n", "background: 0, 0, 0 ::\r\ndog:1,2,3:head:run\r\n", "background:0,0,0::\ndog:::\n"],
)
def test_a_table_of_colours_is_known_by_its_lines(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, "classes.txt", text).names == ("background", "dog")
