"""Architecture descriptions: what is read, what is refused and with which words."""

import re

import pytest

from acg.errors import ArchitectureError
from acg.fingerprint import canonical, fingerprint
from acg.graph import ARCHITECTURES, architecture_names, load_graph, parse_graph
from acg.isa import Instruction, instruction_set
from acg.rules import absent, codes
from tests.support.architectures import joined

TINY = (ARCHITECTURES / "tiny.yaml").read_text()


def _refusal(text):
    with pytest.raises(ArchitectureError) as caught:
        parse_graph(text, name="a.yaml")
    return caught.value.problems


def _line_of(text, fragment):
    return next(number for number, line in enumerate(text.splitlines(), 1) if fragment in line)


def renamed(text):
    """The same description with every node called otherwise."""
    names = re.findall(r"^  ([a-z_]+):", text, re.M)
    for position, name in enumerate(sorted({n for n in names if n not in ("discipline", "queue_depth", "fetch")}, key=len, reverse=True)):
        text = re.sub(rf"(^  |from: |to: |memory: ){name}\b", rf"\g<1>node{position}", text, flags=re.M)
    return text


def test_the_architectures_are_there():
    assert {"dot16", "duo", "edge16", "mobile16", "pool", "tiny", "unified", "vec", "wide"} <= set(architecture_names())
    assert len({fingerprint(load_graph(name)) for name in architecture_names()}) == len(architecture_names())


def test_sizes_of_edge16():
    graph = load_graph("edge16")
    assert graph.memories["act"].size_bytes == 256 * 1024
    assert [engine.index for engine in graph.engines.values()] == [0, 1, 2, 3]
    assert [link.memory for link in graph.links_of("vector", "a")] == ["acc", "act"]
    assert graph.link_of("matrix", "activation").port_bytes == 16
    assert graph.link_of("vector", "parameter").port_bytes == 128
    assert graph.chunk_bytes("load") == 16
    assert set(graph.digraph.successors("matrix")) == {"acc"}


def test_names_do_not_enter_the_fingerprint():
    other = parse_graph(renamed(TINY))
    assert not set(other.memories) & set(parse_graph(TINY).memories)
    assert fingerprint(other) == fingerprint(parse_graph(TINY))


@pytest.mark.parametrize(("old", "new"), [
    ("queue_depth: 4", "queue_depth: 5"), ("rows: 4", "rows: 2"), ("banks: 4, depth_words: 1024", "banks: 5, depth_words: 1024"),
    ("read_latency_cycles: 9", "read_latency_cycles: 10"), ("bus_bits: 64", "bus_bits: 128"), ("depth_words: 512", "depth_words: 511"),
    ("organisation: systolic", "organisation: dot"),
])
def test_every_number_enters_the_fingerprint(old, new):
    text = TINY.replace(old, new, 1).replace("((i9,4),(i9,4,4))", "((i9,2),(i9,2,4))" if new == "rows: 2" else "((i9,4),(i9,4,4))")
    assert text != TINY
    assert fingerprint(parse_graph(text)) != fingerprint(parse_graph(TINY))


@pytest.mark.parametrize(("old", "new", "fragment", "message"), [
    ("queue_depth: 4", "queue_depth: 4\n  queue_depth: 4", "  queue_depth: 4\n", "key 'queue_depth' appears twice; expected each key once, remove one of the two"),
    ("queue_depth: 4", "queue_depht: 4", None, None),
    ("queue_depth: 4", "queue_depth: 010", "queue_depth: 010", "control.queue_depth: found '010'; input should be a valid integer"),
    ("queue_depth: 4", "queue_depth: 1", "queue_depth: 1", "control.queue_depth: found 1; input should be greater than or equal to 2"),
    ("lanes: 4, banks: 4, depth_words: 1024", "lanes: 6, banks: 4, depth_words: 1024", "lanes: 6",
     "memories.act.lanes: found 6; expected a power of two, words are addressed by aligned sub-words"),
    ("{from: act, to: matrix, port: activation}", "{from: act, to: matrix, port: activations}", "port: activations",
     "links.5: port 'activations' is not one of a matrix engine; expected one of activation, weight, accumulator, result"),
    ("{from: act, to: matrix, port: activation}", "{from: akt, to: matrix, port: activation}", "akt",
     "links.5: 'akt' is no node; expected names of a memory and an engine of this file"),
    ("{from: matrix, to: acc, port: result}", "{from: acc, to: matrix, port: result}", "acc, to: matrix, port: result",
     "links.8: port 'result' of a matrix engine has the engine at the wrong end; expected the engine under 'from'"),
])
def test_refusals_say_file_line_path_and_cure(old, new, fragment, message):
    text = TINY.replace(old, new, 1)
    problems = _refusal(text)
    if message is None:
        line = _line_of(text, "queue_depht")
        assert problems[0].startswith("a.yaml:") and "control.queue_depth: missing; expected a value, add the key" in problems[0]
        assert problems[1] == f"a.yaml:{line}: control.queue_depht: unknown key; expected only the keys of docs/reference/description.md, remove it or mend its spelling"
        return
    if "twice" in message:
        line = _line_of(text, "queue_depth") + 1
        assert problems == (f"a.yaml:{line}: {message}",)
        return
    assert problems[0] == f"a.yaml:{_line_of(text, fragment)}: {message}"


def test_sizes_that_do_not_fit_are_refused_together():
    text = TINY.replace("rows: 4", "rows: 8").replace("element: i32, lanes: 8", "element: i32, lanes: 4")
    problems = _refusal(text)
    assert problems[0].endswith("engines.matrix.capabilities: found (i32,4)=MATMUL((i9,4),(i9,4,4)); expected (i32,4)=MATMUL((i9,8),(i9,8,4)), as the engine's size says")
    assert problems[1].endswith("engines.matrix.rows: found 8 on port 'activation' of 'act', whose words have 4 lanes; expected a divisor of 4")
    assert problems[2].endswith("memories.par.lanes: found 4; expected a multiple of 8, a bias and a scale for each of 4 vector lanes")
    assert len(problems) == 3


def test_registers_of_the_pipeline():
    """What is usual is no difference; what is deeper is another machine; other names, numbers and parts that are not there are refused."""
    text = (ARCHITECTURES / "tiny.yaml").read_text()

    def deeper(numbers, text=text):
        return parse_graph(text.replace("    lanes: 4\n", f"    lanes: 4\n    pipeline: {numbers}\n"))

    usual = parse_graph(text)
    assert fingerprint(deeper("{address: 0, convert: 2}")) == fingerprint(usual)
    deep = deeper("{address: 1, binary: 6}")
    assert deep.engines["vector"].registers == {**usual.engines["vector"].registers, "address": 1, "binary": 6}
    assert len({fingerprint(usual), fingerprint(deep), fingerprint(deeper("{binary: 5}"))}) == 3
    refused = {
        "{binary: 2}": "input should be greater than or equal to 3", "{binary: 7}": "input should be less than or equal to 6",
        "{binary: 4.0}": "input should be a valid integer", "{binary: null}": "input should be a valid integer", "3": "input should be a valid dictionary",
    }
    for numbers, expected in refused.items():
        with pytest.raises(ArchitectureError) as caught:
            deeper(numbers)
        assert str(caught.value).endswith(f"; {expected}"), numbers
    with pytest.raises(ArchitectureError) as caught:
        deeper("{decode: 1}")
    assert str(caught.value) == ("architecture:29: engines.vector.pipeline.decode: unknown key; expected only the keys of docs/reference/description.md, "
                                 "remove it or mend its spelling")
    with pytest.raises(ArchitectureError) as caught:
        deeper("{rescale: 4}", text.replace("      - (i8,4)=REQUANTIZE((f32,4),(f32,4))\n", ""))
    assert str(caught.value) == ("architecture:29: engines.vector.pipeline.rescale: found 4 registers of a part that is not there; expected one of REQUANTIZE "
                                 "among the capabilities, or no such line")


def test_one_bank_cannot_serve_two_operands():
    (problem,) = _refusal(TINY.replace("banks: 4, depth_words: 1024", "banks: 1, depth_words: 1024"))
    assert problem.endswith("memories.act.banks: found 1; expected at least 2, one instruction reads operands a and b at the same time and a bank has one read port")


#: tiny with one memory on chip for all that stands on it: 12 banks of 79 words of 32 bytes.
JOINED = joined(TINY, "act", "wgt", "acc", "par")


def in_bytes(text):
    """The same description with widths of memories in bytes and types at the links."""
    text = re.sub(r"element: (i8|i32), lanes: (\d+), banks", lambda m: f"width_bytes: {int(m[2]) * (1 if m[1] == 'i8' else 4)}, banks", text)
    return re.sub(r"(from: w?acc, to: vector\d?, port: [ab]|to: acc, port: y)\}", r"\1, element: i32}", text)


@pytest.mark.parametrize("name", architecture_names())
def test_a_width_in_bytes_says_what_an_element_and_lanes_say(name):
    text = (ARCHITECTURES / f"{name}.yaml").read_text()
    other = parse_graph(in_bytes(text))
    assert "width_bytes" in other.description and "lanes: 32," not in other.description
    graph = load_graph(name)
    assert (other.memories, other.links, canonical(other)) == (graph.memories, graph.links, canonical(graph))


def test_one_memory_of_several_types():
    graph = parse_graph(JOINED)
    assert [(link.element.name, link.port_bytes) for link in graph.links_of("vector", "a")] == [("i32", 16), ("i8", 4)]
    assert [(link.element.name, link.port_bytes) for link in graph.links_of("vector", "b")] == [("i8", 4), ("i32", 16)]
    assert graph.link_of("vector", "parameter").port_bytes == 32
    assert graph.chunk_bytes("load") == graph.chunk_bytes("store") == 8
    assert [graph.link_of("matrix", port).element.name for port in ("activation", "weight", "accumulator", "result")] == ["i8", "i8", "i32", "i32"]
    assert len(graph.links_of("load", "destination")) == 2
    (chosen,) = (code for code in codes(graph)["vector"] if code.field == "a_select")
    assert dict(chosen.meanings) == {0: "act as i32", 1: "act as i8"}
    swapped = JOINED.replace("port: a}", "port: a, element: ?}").replace("port: a, element: i32}", "port: a}").replace("?", "i32")
    assert fingerprint(parse_graph(swapped)) != fingerprint(graph)


@pytest.mark.parametrize(("old", "new", "message"), [
    ("width_bytes: 32", "width_bytes: 24", "memories.act.width_bytes: found 24; expected a power of two, words are addressed by aligned sub-words"),
    ("width_bytes: 32", "width_bytes: 16", "memories.act.width_bytes: found 16; expected a multiple of 32, a bias and a scale for each of 4 vector lanes"),
    ("width_bytes: 32, ", "", "memories.act: width_bytes is missing; expected bytes of a word, add the key"),
    ("width_bytes: 32", "width_bytes: 32, lanes: 8", "memories.act.lanes: found 8 beside width_bytes; expected one of the two, remove the other"),
    ("width_bytes: 32", "lanes: 8", "memories.act.element: missing; expected a value, add the key"),
    ("width_bytes: 32", "element: i8", "memories.act.lanes: missing; expected a value, add the key"),
    ("width_bytes: 32", "element: i32, lanes: 8", "links.3: port 'activation' is on 'act', a scratchpad memory of i32; expected a scratchpad memory of i8"),
    ("to: act, port: destination}", "to: act, port: destination, element: i32}",
     "links.1: element i32 on port 'destination', which moves bytes; expected none, remove the key"),
    ("port: y, element: i32}", "port: y}", "links.14: the same link stands twice; expected it once, remove one of the two"),
    ("banks: 12", "banks: 2", "memories.act.banks: found 2; expected at least 3, one instruction reads operands activation, weight and accumulator at the same "
     "time and a bank has one read port"),
])
def test_refusals_of_a_joined_memory(old, new, message):
    assert old in JOINED
    problems = _refusal(JOINED.replace(old, new, 1))
    assert problems[0].partition(": ")[2] == message


@pytest.mark.parametrize(("text", "message"), [
    ("", "a.yaml:1: the file is empty; expected an architecture description"),
    ("a: [", "a.yaml:1: not YAML: expected the node content, but found '<stream end>'; expected an architecture description"),
    ("- 1", "a.yaml:1: (top level): found [1]; input should be a valid dictionary or instance of ArchitectureModel"),
    ("1: 2", "a.yaml:1: key '1' is not a plain name; expected a name, quote it if it looks like a number"),
])
def test_what_is_no_description_is_refused(text, message):
    problems = _refusal(text)
    assert problems[0].rstrip() == message


def test_missing_files_and_names():
    names = ", ".join(architecture_names())
    with pytest.raises(ArchitectureError, match=rf"^architecture 'edge17' does not exist; expected a \.yaml file or one of {names}$"):
        load_graph("edge17")
    with pytest.raises(ArchitectureError, match=r"^nowhere\.yaml: cannot be read \(No such file or directory\); expected an architecture description in YAML$"):
        load_graph("nowhere.yaml")


def test_two_load_engines_on_one_table_are_refused():
    """Found by random architecture 4 of the first generator: accepted, and the RTL generator stopped with a ValueError."""
    text = TINY.replace("engines:\n", 'engines:\n  second: {kind: load, outstanding_bursts: 1, capabilities: ["(i8,8)=COPY((i8,8))"]}\n')
    text = text.replace("links:\n", "links:\n  - {from: dram, to: second, port: source}\n  - {from: second, to: lut, port: destination}\n")
    assert list(_refusal(text)) == [
        f"a.yaml:{_line_of(text, '  lut: ')}: memories.lut: 'load', 'second' write it; expected one load engine, a table has one write port, "
        "remove the other links or give each its own table memory"]


def test_activations_and_weights_in_one_memory_need_a_bank_each():
    text = TINY.replace("{from: wgt, to: matrix, port: weight}", "{from: act, to: matrix, port: weight}")
    assert parse_graph(text).link_of("matrix", "weight").memory == "act"
    one = text.replace("banks: 4, depth_words: 1024", "banks: 1, depth_words: 1024")
    assert _refusal(one)[0] == (
        f"a.yaml:{_line_of(one, '  act:')}: memories.act.banks: found 1; expected at least 2, one instruction reads operands activation and weight at the "
        "same time and a bank has one read port")


def test_estimates_without_a_float_memory_are_refused():
    text = TINY.replace("  - {from: vector, to: acc, port: y}\n", "")
    assert text != TINY
    line = _line_of(text, "(i32,4)=MAC") - 1
    assert list(_refusal(text)) == [
        f"a.yaml:{line}: engines.vector.capabilities: found RECIPROCAL_ESTIMATE, but port 'y' reaches bytes only; expected a link of it to a memory of i32, "
        "which holds float32 results, add one or remove the operation"]


def without(text, *operations, links=()):
    """A description whose vector unit offers less, and that lacks the lines of some links."""
    lines = [line for line in text.splitlines(keepends=True) if not any(f"={operation}(" in line for operation in operations) and line.strip() not in links]
    return "".join(lines)


_FLOATS = ("ADD", "MUL", "MIN", "MAX", "FAKE_QUANTIZE", "REQUANTIZE", "RECIPROCAL_ESTIMATE", "RSQRT_ESTIMATE")
_TABLE, _PARAMETER = "- {from: lut, to: vector, port: table}", "- {from: par, to: vector, port: parameter}"
_B = tuple(f"- {{from: {memory}, to: vector, port: b}}" for memory in ("act", "wgt", "acc"))


@pytest.mark.parametrize(("operations", "links", "lacking"), [
    (("TABLE",), (_TABLE,), "table_enable table_select"),
    (("RECIPROCAL_ESTIMATE", "RSQRT_ESTIMATE"), (), "estimate"),
    (("REQUANTIZE",), (), "scale_y scale_y_low"),
    (("MAC",), (), "int_op"),
    (("ADD", "MUL", "MIN", "MAX"), (), "b_float binary scale_b"),
    (("MAC", "ADD", "MUL", "MIN", "MAX"), _B,
     "b_enable b_select b_base b_stride_0 b_stride_1 b_stride_2 b_stride_3 b_stride_4 b_stride_5 b_signed b_zero int_op b_float binary scale_b"),
    (("MAC", "SUM", *_FLOATS), (*_B, _PARAMETER),
     "b_enable b_select b_base b_stride_0 b_stride_1 b_stride_2 b_stride_3 b_stride_4 b_stride_5 b_signed b_zero p_enable p_base p_stride_0 p_stride_1 "
     "int_op numeric a_float b_float binary estimate scale_a quantize q_low q_high q_scale scale_b scale_y scale_y_low"),
    (("MAC", "SUM", "MAXIMUM", *_FLOATS), (*_B, _PARAMETER),
     "b_enable b_select b_base b_stride_0 b_stride_1 b_stride_2 b_stride_3 b_stride_4 b_stride_5 b_signed b_zero p_enable p_base p_stride_0 p_stride_1 "
     "int_op reduce numeric a_float b_float binary estimate scale_a quantize q_low q_high q_scale scale_b scale_y scale_y_low"),
])
def test_what_is_not_offered_has_no_fields_and_no_ports(operations, links, lacking):
    graph, whole = parse_graph(without(TINY, *operations, links=links)), parse_graph(TINY)
    fields = [item.name for item in instruction_set(graph).formats["vector"].fields]
    every = [item.name for item in instruction_set(whole).formats["vector"].fields]
    assert [name for name in every if name not in fields] == lacking.split() and set(fields) < set(every)
    kept = {link.port for link in graph.links if link.engine == "vector"}
    assert [port.name for port in graph.engines["vector"].ports] == [port.name for port in whole.engines["vector"].ports if port.name in kept]


@pytest.mark.parametrize(("operations", "links", "message"), [
    ((), (_TABLE,), "engines.vector: port 'table' has no link; expected 1, add a link with a table memory, or remove TABLE, which needs it"),
    (("MAC",), _B, "engines.vector: port 'b' has no link; expected 1, add a link with a scratchpad memory, or remove ADD, MUL, MIN, MAX, which need it"),
])
def test_operations_without_their_links_are_refused(operations, links, message):
    text = without(TINY, *operations, links=links)
    assert list(_refusal(text)) == [f"a.yaml:{_line_of(text, '  vector:')}: {message}"]


def test_links_of_what_is_not_offered_are_not_built():
    graph = parse_graph(without(TINY, "TABLE", *_FLOATS))
    assert graph.idle_links == (("vector", "parameter", "par"), ("vector", "table", "lut"))
    assert not {link.port for link in graph.links if link.engine == "vector"} & {"parameter", "table"}
    assert fingerprint(graph) == fingerprint(parse_graph(without(TINY, "TABLE", *_FLOATS, links=(_TABLE, _PARAMETER))))


def test_codes_of_operations_that_are_not_offered_do_not_exist():
    graph = parse_graph(without(TINY, "MAC", "SUM", "MUL", "MAX"))
    found = {code.field: code.meanings for code in codes(graph)["vector"]}
    assert (found["reduce"], found["binary"]) == ({0: "none", 2: "maximum"}, {0: "none", 1: "add", 3: "minimum"})
    assert absent(graph, Instruction("vector", {"reduce": 1}))[1] == 1


def test_a_table_that_nothing_fills_is_refused():
    text = TINY.replace("  - {from: load, to: lut, port: destination}\n", "")
    assert text != TINY
    assert list(_refusal(text)) == [
        f"a.yaml:{_line_of(text, '  lut: ')}: memories.lut: nothing writes it; expected one load engine, add a link from its port 'destination'"]


_NAMED = {
    "matrix": ("(i32,4)=MATMUL((i9,4),(i9,4,4))", "(i32,columns)=MATMUL((i9,rows),(i9,rows,columns))"),
    "copy": ("(i8,4)=COPY((i8,4))", "(i8,chunk)=COPY((i8,chunk))"),
}


def test_sizes_by_name_are_those_of_the_engine():
    """A machine of another width is one edit, and the fingerprint is that of the numbers."""
    text = TINY
    for old, new in _NAMED.values():
        text = text.replace(old, new)
    lines = [re.sub(r",4\)", ",lanes)", line) if re.match(r" +- \([if]", line) else line for line in text.splitlines(keepends=True)]
    text = "".join(lines)
    assert "(i32,lanes)=MAC((i9,lanes),(i9,lanes))" in text and "(i9,rows,columns)" in text and not re.search(r"\([if][0-9]+,[0-9]", text)
    assert fingerprint(parse_graph(text)) == fingerprint(parse_graph(TINY))
    assert [str(c) for e in parse_graph(text).engines.values() for c in e.capabilities] == [str(c) for e in parse_graph(TINY).engines.values() for c in e.capabilities]
    narrow = text.replace("rows: 4", "rows: 2")
    assert str(parse_graph(narrow).engines["matrix"].capabilities[0]) == "(i32,4)=MATMUL((i9,2),(i9,2,4))"


@pytest.mark.parametrize(("old", "new", "message"), [
    ("(i32,4)=MATMUL((i9,4),(i9,4,4))", "(i32,colums)=MATMUL((i9,rows),(i9,rows,columns))",
     "operand '(i32,colums)' has the size 'colums'; expected a number, or one of the engine's sizes rows, columns"),
    ("(i32,4)=MATMUL((i9,4),(i9,4,4))", "(i32,columns)=MATMUL((i9,columns),(i9,organisation,columns))",
     "operand '(i9,organisation,columns)' has the size 'organisation'; expected a number, or one of the engine's sizes rows, columns"),
    ("(i32,4)=MATMUL((i9,4),(i9,4,4))", "(i32,4)=MATMUL((i9,4),(i8,4,4))",
     "found (i32,4)=MATMUL((i9,4),(i8,4,4)); expected (i32,4)=MATMUL((i9,4),(i9,4,4)), the types and shapes that the operation has"),
    ("(i8,4)=COPY((i8,4))", "(i32,4)=COPY((i32,4))", "found (i32,4)=COPY((i32,4)); expected (i8,4)=COPY((i8,4)), the types and shapes that the operation has"),
    ("(i8,4)=COPY((i8,4))", "(i8,4)=COPY((i8,8))", "found (i8,4)=COPY((i8,8)); expected (i8,4)=COPY((i8,4)), the types and shapes that the operation has"),
    ("(i8,4)=COPY((i8,4))", "(i8)=COPY((i8))", "found (i8)=COPY((i8)); expected a signature such as (i8,16)=COPY((i8,16)), the types and shapes that the operation has"),
    ("(i8,4)=COPY((i8,4))", "(i8,lanes)=COPY((i8,4))", "operand '(i8,lanes)' has the size 'lanes'; expected a number, or one of the engine's sizes chunk"),
    ("[\"(i8,4)=COPY((i8,4))\"]", "[\"(i8,4)=COPY((i8,4))\", \"(i8,4)=COPY((i8,4))\"]", "(i8,4)=COPY((i8,4)) stands twice; expected it once, remove one of the two"),
])
def test_every_part_of_a_capability_is_checked(old, new, message):
    text = TINY.replace(old, new, 1)
    assert text != TINY
    engine = "matrix" if "MATMUL" in old else "load"
    assert list(_refusal(text)) == [f"a.yaml:{_line_of(text, new.strip('[]'))}: engines.{engine}.capabilities: {message}"]
