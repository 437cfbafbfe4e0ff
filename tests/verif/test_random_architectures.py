"""Random architectures: always valid, always the same, and as different from each other as the schema allows."""

from acg.fingerprint import fingerprint
from acg.kinds.vector import ESTIMATES
from verif.random.architectures import random_architecture, random_architecture_text

SEEDS = range(200)


def test_equal_seeds_give_equal_texts_and_others_differ():
    texts = [random_architecture_text(seed) for seed in SEEDS]
    assert texts[:60] == [random_architecture_text(seed) for seed in SEEDS[:60]]
    assert len({text.partition("\n")[2] for text in texts}) == len(texts)


def test_the_prefix_changes_names_only():
    for seed in range(20):
        plain, other = random_architecture(seed), random_architecture(seed, prefix="zz_")
        assert fingerprint(plain) == fingerprint(other)
        assert [f"zz_{name}" for name in plain.engines] == list(other.engines)
        assert [f"zz_{name}" for name in plain.memories] == list(other.memories)


def test_every_seed_is_accepted_and_every_choice_is_made():
    """The checks raise for a graph they refuse; what is counted here must all occur, else the generator covers less than it says."""
    seen = {
        "one row": 0, "one column": 0, "rows above columns": 0, "columns above rows": 0, "large": 0, "lanes unlike columns": 0, "systolic": 0, "dot": 0,
        "two loads": 0, "two stores": 0, "memory of two loads": 0, "odd depth": 0, "slow memory": 0, "i32 results": 0, "i32 operand b": 0, "an operation less": 0, "table alone": 0, "second byte memory": 0,
        "weights as operand b": 0, "one outstanding burst": 0, "reciprocal alone": 0, "root alone": 0, "both estimates": 0,
        "one memory for all": 0, "activations and weights in one memory": 0, "sums and parameters in one memory": 0, "activations and sums in one memory": 0,
        "no matrix unit": 0, "an engine of another kind": 0, "vector unit that broadcasts": 0, "floats without estimates": 0, "floats read back twice": 0, "two matrix units": 0, "two vector units": 0,
        "a pruned vector unit": 0, "a vector unit without tables": 0, "a vector unit of one operand": 0, "a vector unit without float32": 0,
        **{f"bus of {bits}": 0 for bits in (32, 64, 128, 256, 512)},
    }
    for seed in SEEDS:
        graph = random_architecture(seed)
        matrices, vectors = list(graph.engines_of("matrix")), list(graph.engines_of("vector"))
        seen["no matrix unit"] += not matrices
        seen["an engine of another kind"] += any(engine.kind not in ("load", "store", "matrix", "vector") for engine in graph.engines.values())
        seen["vector unit that broadcasts"] += any(unit.can("BROADCAST_MAC") for unit in vectors)
        if not matrices:
            continue
        matrix, vector = matrices[0], max(vectors, key=lambda unit: len(unit.operations))
        loads, stores = list(graph.engines_of("load")), list(graph.engines_of("store"))
        pads = [memory for memory in graph.memories.values() if memory.kind == "scratchpad"]
        loaded = [link.memory for engine in loads for link in graph.links_of(engine.name, "destination")]
        weight = graph.link_of(matrix.name, "weight").memory
        y = [link.element.bits for link in graph.links_of(vector.name, "y")]
        found = {
            "one row": matrix.number("rows") == 1, "one column": matrix.number("columns") == 1, "rows above columns": matrix.number("rows") > matrix.number("columns"),
            "columns above rows": matrix.number("columns") > matrix.number("rows"), "large": max(matrix.number("rows"), matrix.number("columns")) > 8,
            "lanes unlike columns": vector.number("lanes") != matrix.number("columns"), matrix.word("organisation"): True, "two loads": len(loads) == 2, "two stores": len(stores) == 2,
            "memory of two loads": len(loaded) > len(set(loaded)), "odd depth": any(memory.depth_words & (memory.depth_words - 1) for memory in pads),
            "slow memory": any(memory.read_latency_cycles > 2 for memory in pads), "i32 results": 32 in y, "second byte memory": y.count(8) == 2,
            "a pruned vector unit": any(len(unit.operations) < 5 for unit in vectors), "a vector unit without tables": any(not unit.can("TABLE") for unit in vectors),
            "a vector unit of one operand": any(all(port.name != "b" for port in unit.ports) for unit in vectors),
            "a vector unit without float32": any(all(port.name != "parameter" for port in unit.ports) for unit in vectors),
            "one memory for all": len(pads) == 1, "activations and weights in one memory": weight == graph.link_of(matrix.name, "activation").memory,
            "sums and parameters in one memory": graph.link_of(matrix.name, "result").memory == graph.link_of(vector.name, "parameter").memory,
            "activations and sums in one memory": graph.link_of(matrix.name, "result").memory == graph.link_of(matrix.name, "activation").memory,
            "two matrix units": len(matrices) == 2, "two vector units": len(vectors) == 2,
            "weights as operand b": weight in [link.memory for link in graph.links_of(vector.name, "b")],
            "i32 operand b": any(link.element.bits == 32 for link in graph.links_of(vector.name, "b")),
            "an operation less": any(not vector.can(name) for name in ("MAC", "SUM", "MAXIMUM", "ADD", "MUL", "MIN", "MAX", "REQUANTIZE", "TABLE")),
            "reciprocal alone": vector.can("RECIPROCAL_ESTIMATE") and not vector.can("RSQRT_ESTIMATE"),
            "root alone": vector.can("RSQRT_ESTIMATE") and not vector.can("RECIPROCAL_ESTIMATE"), "both estimates": all(map(vector.can, ESTIMATES)),
            "floats without estimates": 32 in y and not any(map(vector.can, ESTIMATES)),
            "floats read back twice": 32 in y and 32 in [link.element.bits for link in graph.links_of(vector.name, "b")],
            "table alone": any(all(graph.memories[link.memory].kind == "table" for link in graph.links_of(engine.name, "destination")) for engine in loads),
            "one outstanding burst": any(engine.number("outstanding_bursts") == 1 for engine in (*loads, *stores)), f"bus of {graph.external.bus_bits}": True,
        }
        for name, present in found.items():
            seen[name] += present
    assert [name for name, times in seen.items() if times < 3] == []
