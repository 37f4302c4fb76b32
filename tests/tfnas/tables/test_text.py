"""CSV files as people have them, units, and damaged foreign files."""

import pandas as pd
import pytest

from tests.tfnas.tables.cases import make, one_line
from tfnas import tables
from tfnas.errors import InputError

FORMS = {
    "semicolons": ("arch;top1;params\n|a|;93,5%;10\n|b|;9,25%;20\n", "semicolons, decimal commas in top1"),
    "tabs": ("arch\ttop1\tparams\n|a|\t93.5%\t10\n|b|\t9.25%\t20\n", "tabs, decimal points"),
    "quoted": ('Arch_Str,top1,params\n|a|,"93,5%",10\n|b|,"9,25%",20\n', "column Arch_Str"),
    "plain": ("arch,top1,params\n|a|,93.5%,10\n|b|,9.25%,20\n", "percent signs taken off top1"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", FORMS)
def test_forms_of_one_table(tmp_path, form, encoding):
    path = tmp_path / "table.csv"
    text, told = FORMS[form]
    path.write_text(text, encoding=encoding)
    frame = tables.load(path)
    assert frame.to_dict("list") == {"arch": ["|a|", "|b|"], "top1": [93.5, 9.25], "params": [10, 20]}
    assert told in tables.describe(path)
    assert tables.columns(path)[1:] == ["top1", "params"]
    table = tables.as_table(path, provenance="test")
    assert table.units == {"top1": "percent"}
    with pytest.raises(InputError, match="percent signs"):
        tables.as_table(path, provenance="test", units={"top1": "fraction"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arch,x\na,95%\nb,0.95\n", "1 cells like '95%', 1 like '0.95'"),
        ("arch;x\na;9,5\nb;9.5\n", "decimal commas and points"),
        ("arch;x;y\na;9,5;1.234\n", "'1.234'"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        tables.load(tmp_path / "t.csv")
    assert str(tmp_path) in one_line(error)


@pytest.mark.parametrize("text", ["arch,x\na,1,\nb,2,\n", "arch,x\na,1,2,3\nb,1\n", "arch;x\na;1;\n"])
def test_cells_that_the_header_does_not_name(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=r"more cells than the header has names.*under 2 names") as error:
        tables.load(tmp_path / "t.csv")
    assert str(tmp_path) in one_line(error)


def test_names_of_rows_without_a_name(tmp_path):
    (tmp_path / "t.csv").write_text('"arch" "x"\n"1" "a" 1\n"2" "b" 2\n'.replace(" ", ","))
    assert tables.load(tmp_path / "t.csv").to_dict("list") == {"arch": ["a", "b"], "x": [1, 2]}


def test_a_close_name_is_proposed(tmp_path):
    with pytest.raises(InputError, match="Did you mean 'accuracy'"):
        tables.take(make(), {"acuracy": "x"}, "here")
    with pytest.raises(InputError, match=r"'percnt'\. Did you mean 'percent'"):
        tables.write(make(units={"accuracy": "percnt"}), tmp_path / "t.parquet")
    tables.write(make(units={"accuracy": "other:nats"}), tmp_path / "t.parquet")
    assert tables.read(tmp_path / "t.parquet").units["accuracy"] == "other:nats"


def test_the_common_form_names_its_checksum(tmp_path):
    digest = tables.write(make(), tmp_path / "t.parquet")
    assert digest in tables.describe(tmp_path / "t.parquet")


def test_a_flipped_bit_in_a_page_with_a_checksum_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame({"arch": [f"|conv_{i}|" for i in range(25)], "x": [i / 7 for i in range(25)]})
    frame.to_parquet(path, compression="none", write_page_checksum=True, use_dictionary=False)
    whole = path.read_bytes()
    for text in (b"|conv_7|", b"|conv_13|"):  # headers of pages have the first and the last, too
        place = whole.index(text) + 2
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(InputError, match="Cannot read"):
            tables.load(path)
    path.write_bytes(whole)
    assert len(tables.load(path)) == 25
