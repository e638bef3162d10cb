"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pywasm_compiler.errors import CompileError
from pywasm_compiler.wasm.reader import is_core_module

from benchmarks.comparison import compare, details, overview, panels
from benchmarks.envoys import WrongAnswerError
from benchmarks.growth import grow, growth_table
from benchmarks.jobs import all_jobs, headers_job
from benchmarks.load import LoadError, require_wrk
from benchmarks.loop import loop_growth_tables, loop_table, run_loop
from benchmarks.machine import busy, provenance
from benchmarks.peers import all_peers
from benchmarks.peers.ours import Ours, source
from benchmarks.report import PLOTS, DocumentError, write_part
from benchmarks.rounds import Pace
from benchmarks.steps import compare_modules, steps_table
from pywasm_filter.testing.envoy import EnvoyError

_DESCRIPTION = """Measure, and write tables and plots into docs/benchmarks.md.

Without a part: peers, growth and loop, one after the other. A selection of peers or jobs is printed alone.
"""


def main(arguments: Sequence[str]) -> int:
    """Measure what the command line says. 2 for a mistake in it, 1 when something could not be measured."""
    options = _parser().parse_args(arguments)
    if not options.print and importlib.util.find_spec("matplotlib") is None:
        print("benchmarks: there is no matplotlib for the plots; pip install -e '.[benchmarks]'", file=sys.stderr)
        return 2
    try:
        if options.part != "loop":
            require_wrk()
        match options.part:
            case "peers":
                return _peers(options)
            case "steps":
                return _steps(options)
            case "growth":
                return _growth(options)
            case "loop":
                return _loop(options)
    except (CompileError, DocumentError, EnvoyError, LoadError, WrongAnswerError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return _all(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _common_options(parser, default=False)
    # Of a part they stand behind it, and must not undo what stands before.
    common = argparse.ArgumentParser(add_help=False)
    _common_options(common, default=argparse.SUPPRESS)
    parts = parser.add_subparsers(dest="part", metavar="PART")
    peers = parts.add_parser("peers", help="this and other ways to write a filter, in Envoy", parents=[common])
    peers.add_argument("--job", action="append", choices=[job.name for job in all_jobs()])
    peers.add_argument("--peer", action="append", choices=[peer.name for peer in all_peers()])
    steps = parts.add_parser("steps", help="modules of examples/add_header side by side", parents=[common])
    steps.add_argument("--module", action="append", required=True, type=_module, metavar="LABEL=PATH")
    parts.add_parser("growth", help="headers, bodies, filters in a chain, workers", parents=[common])
    loop = parts.add_parser("loop", help="builds, test exchanges, test runs after an edit", parents=[common])
    loop.add_argument("--filter", type=Path, default=source(headers_job()), help="one that needs no configuration")
    loop.add_argument("--no-envoy", action="store_true", help="leave out what needs a real Envoy")
    return parser


def _common_options(parser: argparse.ArgumentParser, default: object) -> None:
    quick = "fewer and shorter rounds: for a look, not for the record"
    parser.add_argument("--quick", action="store_true", default=default, help=quick)
    parser.add_argument("--print", action="store_true", default=default, help="leave the document as it is")


def _module(text: str) -> tuple[str, Path]:
    label, equals, path = text.partition("=")
    if not (label and equals and Path(path).is_file()):
        raise argparse.ArgumentTypeError(f"{text!r} is not LABEL=PATH of a module that is there")
    if not is_core_module(Path(path).read_bytes()):
        raise argparse.ArgumentTypeError(f"{path} is no core WebAssembly module")
    return label, Path(path)


def _pace(options: argparse.Namespace, *, rounds: int, seconds: int, starts: int) -> Pace:
    return Pace(2, 1, 1) if options.quick else Pace(rounds, seconds, starts)


def _command(options: argparse.Namespace, part: str, *further: str) -> str:
    return " ".join(["python -m benchmarks", part, *(["--quick"] if options.quick else []), *further])


def _publish(options: argparse.Namespace, name: str, content: str, *, whole: bool = True) -> None:
    print(content)
    if whole and not options.print:
        write_part(name, content)


def _peers(options: argparse.Namespace) -> int:
    before = busy()
    peers = [peer for peer in all_peers() if options.peer is None or peer.name in options.peer]
    jobs = [job for job in all_jobs() if options.job is None or job.name in options.job]
    whole = options.peer is None and options.job is None
    results = compare(jobs, peers, _pace(options, rounds=8, seconds=1, starts=3), _tell)
    measured = [peer for peer in peers if any(peer.name in result.figures for result in results)]
    versions = {name: number for peer in measured for name, number in peer.versions().items()}
    parts = [
        provenance(_command(options, "peers"), before, versions),
        overview(results, peers),
        f"![microseconds of processors for a request, start, memory]({PLOTS.name}/peers.svg)" if whole else "",
        *(details(result, peers) for result in results),
    ]
    _publish(options, "peers", "\n\n".join(filter(None, parts)), whole=whole)
    if whole and not options.print:
        from benchmarks import plots

        plots.bars(PLOTS / "peers.svg", panels(results, peers), Ours.title)
    return int(any(result.failed for result in results))


def _steps(options: argparse.Namespace) -> int:
    before = busy()
    modules = dict(options.module)
    measured = compare_modules(modules, _pace(options, rounds=15, seconds=1, starts=3), _tell)
    command = _command(options, "steps", *(f"--module '{label}=…'" for label in modules))
    _publish(options, "steps", f"{provenance(command, before, {})}\n\n{steps_table(measured)}")
    return int(any(series.failure for series in measured))


def _growth(options: argparse.Namespace) -> int:
    before = busy()
    found = grow(_pace(options, rounds=3, seconds=1, starts=1), _tell)
    parts = [
        provenance(_command(options, "growth"), before, {}),
        f"![growth]({PLOTS.name}/growth.svg)",
        *map(growth_table, found),
    ]
    _publish(options, "growth", "\n\n".join(parts))
    if not options.print:
        from benchmarks import plots

        drawn = {growth.title: (growth.dimension, growth.values, growth.plotted()) for growth in found}
        plots.lines(PLOTS / "growth.svg", drawn, "processor µs/request")
    return 0


def _loop(options: argparse.Namespace) -> int:
    before = busy()
    hosts = ("inprocess", "wasmtime") if options.no_envoy else ("inprocess", "wasmtime", "envoy")
    loop = run_loop(options.filter, 5 if options.quick else 20, hosts, _tell)
    parts = [provenance(_command(options, "loop"), before, {}), loop_table(loop), loop_growth_tables(loop, hosts)]
    whole = not options.no_envoy and options.filter == source(headers_job())
    _publish(options, "loop", "\n\n".join(parts), whole=whole)
    return 0


def _all(options: argparse.Namespace) -> int:
    """Each part in a process of its own: the first build is to be the first of a process."""
    further = [*(["--quick"] if options.quick else []), *(["--print"] if options.print else [])]
    parts = ("peers", "growth", "loop")
    return max([subprocess.call([sys.executable, "-m", "benchmarks", part, *further]) for part in parts])


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
