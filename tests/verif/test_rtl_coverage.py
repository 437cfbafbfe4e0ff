"""Records of Verilator's counters: read, summed over instances and runs, and refused when they are something else."""

import pytest

from verif.rtl_coverage import by_module, read_folder, read_records


def _record(module, line, count, *, instance="tb.dut", branch="if"):
    keys = {"f": "design.v", "l": line, "n": 5, "t": "branch", "page": f"v_branch/{module}", "o": branch, "S": line, "h": instance}
    return "C '" + "".join(f"\x01{name}\x02{value}" for name, value in keys.items()) + f"' {count}\n"


def test_instances_of_a_module_are_one_and_suffixes_are_dropped():
    text = "# SystemC::Coverage-3\n" + _record("\\top.queue ", 7, 0) + _record("\\top.queue ", 7, 4, instance="tb.dut.b") + _record("top.control$503", 9, 0)
    assert read_records(text) == {("top.queue", 7, 5, "if"): 4, ("top.control", 9, 5, "if"): 0}


def test_runs_of_a_folder_add_up_and_the_bench_is_left_out(tmp_path):
    (tmp_path / "1.dat").write_text(_record("q", 1, 2) + _record("q", 2, 0) + _record("covenant_monitor__E5_EB8", 1, 1))
    (tmp_path / "2.dat").write_text(_record("q", 1, 3) + _record("q", 3, 0) + _record("q", 1, 0, branch="else"))
    points = read_folder(tmp_path)
    assert points["q", 1, 5, "if"] == 5
    assert by_module(points) == {"q": (1, 4)}
    assert by_module(points, without=()) == {"covenant_monitor": (1, 1), "q": (1, 4)}


@pytest.mark.parametrize("line", ["D '\x01l\x021' 3", "C '\x01l\x021' x", "nonsense"])
def test_other_lines_are_refused(line):
    with pytest.raises(ValueError, match=r"^coverage record: found .*; expected C, the keys between quotes, and a count$"):
        read_records(line)
