"""``covenant explore``: which machine for these networks."""

from pathlib import Path

from covenant.errors import BROKEN, EXACT, UserError
from covenant.files import require_writable, write_json
from covenant.terminal.progress import Counted
from covenant.terminal.show import table

__all__ = ["explore"]


def explore(options) -> int:
    """Search a space of machines; write its points, its front and a page, and run the best on the RTL where asked."""
    from covenant.explore.area import fit
    from covenant.explore.energy import read_technology
    from covenant.explore.explore import digest_of, network_files
    from covenant.explore.explore import explore as explored
    from covenant.explore.journal import Journal
    from covenant.explore.quantities import AREA, network_of
    from covenant.explore.rtl import check_on_rtl
    from covenant.explore.space import read_space
    from covenant.explore.written import front_table, write_results
    from covenant.synth.bounded import Bounds
    from covenant.terminal.progress import Progress
    from covenant.workers import workers

    space = read_space(options.file)
    folder = Path(options.output or Path("build") / "explore" / space.name)
    require_writable(folder / "explore.json")
    files = network_files(space)
    try:
        contents = {name: path.read_bytes() for name, path in files.items()}
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); expected a quantised ONNX network") from None
    digests = {name: digest_of(data) for name, data in contents.items()}
    technology = read_technology(space.energy) if space.energy else None
    named = {network_of(name)[0] for name in (*space.objectives, *(limit.quantity for limit in space.limits))}
    note = Progress("explore", quiet=options.quiet)
    area = fit(space, Bounds(int(options.memory * 2**30), 60 * options.minutes), note.note) if named & set(AREA) else None
    journal = Journal(folder / "journal.jsonl")
    try:
        with workers(options.jobs, cluster=options.cluster, things={digests[name]: data for name, data in contents.items()}) as pool, \
                Counted("explore", quiet=options.quiet) as progress:
            found = explored(space, pool, journal, digests, area=area, technology=technology, progress=progress)
    finally:
        journal.close()
    data = write_results(found, folder)
    checked = check_on_rtl(found, files, most=options.verify, quiet=options.quiet) if options.verify else []
    if options.json:
        write_json(options.json, {key: data[key] for key in ("space", "tried", "refused", "front")} | {
            "from_journal": found.known, "points": [point for point in data["points"] if point["front"]], "verified": checked, "output": str(folder)})
    if options.json != "-":
        head, rows = front_table(data)
        print(table(head, rows, right=frozenset(range(1, len(head)))))
        print(f"\n{len(rows)} machines on the front of {len(found.found):,} points ({found.known:,} known from {journal.path}, {data['refused']:,} refused; "
              f"{space.size:,} possible); page, tables and machines in {folder}")
        for row in checked:
            print(f"{row['machine']} {row['network']}: predicted {row['predicted']:,}, measured {row['measured']:,}, {'exact' if row['exact'] else 'BROKEN'}")
            for line in row["divergence"]:
                print(f"    {line}")
    return EXACT if all(row["exact"] for row in checked) else BROKEN
