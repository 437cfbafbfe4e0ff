"""Allocation as its rules say, without any memory of what was looked up before: each place of each buffer is judged from scratch."""

from compiler.placing.placer import EXTERNAL_GRANULE_BYTES, LASTING, LIVING_WEIGHT, RECENT_PLACES, WINDOW_OPERATIONS


def up(value, unit):
    return -(-value // unit) * unit


def addresses(ops, tight):
    """Address of each buffer, by name, in the order of first use; the first without a place has None and ends the list."""
    first, last, layer, readers, writers = {}, {}, {}, {}, {}
    for position, op in enumerate(ops):
        for buffer in (*op.reads, *op.writes):
            first.setdefault(buffer, position)
            layer.setdefault(buffer, op.layer)
            last[buffer] = position
            readers.setdefault(buffer, set()).update({op.engine} if buffer in op.reads else ())
            writers.setdefault(buffer, set()).update({op.engine} if buffer in op.writes else ())
    together = {(one, two) for op in ops for one in op.reads for two in op.reads if one is not two and one.memory.kind == "scratchpad"}
    order = [b for b in first if b.pinned] + [b for b in first if not b.pinned]
    found, place_of, pinned_end = {}, {}, 0
    for buffer in order:
        if buffer.pinned:
            place = up(pinned_end, buffer.align_bytes)
            pinned_end = place + buffer.size_bytes
        else:
            base = pinned_end if buffer.memory.kind == "external" else 0
            before = [b for b in place_of if b.memory.name == buffer.memory.name and not b.pinned]
            place = best_place(buffer, base, before, place_of, (first, last, layer, readers, writers), together, tight.get(buffer.memory.name, ()))
        found[buffer.name] = place
        if place is None:
            break
        place_of[buffer] = place
    return found


def best_place(buffer, base, before, place_of, uses, together, tight):
    first, last, layer, readers, writers = uses
    memory, now, external = buffer.memory, first[buffer], buffer.memory.kind == "external"
    granule, bank_bytes = (EXTERNAL_GRANULE_BYTES, memory.size_bytes) if external else (memory.word_bytes, memory.bank_bytes)
    align = max(buffer.align_bytes, granule)

    def banks(address, size):
        return set(range(address // bank_bytes, (address + size - 1) // bank_bytes + 1))

    def granules(address, size):
        return range(address // granule, up(address + size, granule) // granule)

    until = {}
    for other in before:
        until.update(dict.fromkeys(granules(place_of[other], other.size_bytes), last[other]))
    ends = [place_of[b] + b.size_bytes for b in before[-RECENT_PLACES:] + [b for b in before if last[b] >= now]]
    tried = {up(base, align), *(bank * bank_bytes for bank in range(memory.banks)), *(up(end, align) for end in ends)}
    if buffer.border_bytes:
        tried |= {bank * bank_bytes - buffer.border_bytes for bank in range(1, memory.banks)}
    costs = []
    for address in sorted(tried):
        if address < base or address % align or address + buffer.size_bytes > memory.size_bytes:
            continue
        own = banks(address, buffer.size_bytes)
        if any((buffer, other) in together and own & banks(place_of[other], other.size_bytes) for other in before):
            continue
        freed = max(until.get(g, -1) for g in granules(address, buffer.size_bytes))
        if freed >= now:
            continue
        shared = 0
        for other in before:
            if last[other] + WINDOW_OPERATIONS >= now:
                ports = sum(bool(a[buffer] and a[other]) and len(a[buffer] | a[other]) > 1 for a in (readers, writers))
                shared += len(own & banks(place_of[other], other.size_bytes)) * ports * (LIVING_WEIGHT if last[other] >= now else 1)
        astray = bool(buffer.border_bytes and (address + buffer.border_bytes) % bank_bytes)
        if external or (LASTING if buffer.lasting else layer[buffer]) in tight:
            costs.append((address,))
        else:
            costs.append((astray, shared, freed, address))
    return min(costs)[-1] if costs else None
