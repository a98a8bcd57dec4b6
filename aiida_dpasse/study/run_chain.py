"""Run one chain of a study that is a script of several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import engine, orm
from aiida.manage.caching import enable_caching
from aiida.plugins import WorkflowFactory

from aiida_dpasse import quoting
from aiida_dpasse.interrupt import end_on_interrupt
from aiida_dpasse.reports.report import report_text, write_report


def run_chain(
    chain: str, codes: Mapping[str, Any], directory: Path, group: orm.Group, protocol: str, **inputs: Any
) -> orm.WorkChainNode:
    """Run a chain by its protocol, add it to a group, and print and write its report.

    Finished steps are taken from the cache, so that a script that was interrupted can be started again.

    :param chain: name of the chain, `dpasse.` omitted.
    :param codes: codes by name; the chain gets those that it knows.
    :param directory: folder of the report.
    :param group: group of the chains of the script.
    :param protocol: name of the protocol.
    :param inputs: further arguments of `get_builder_from_protocol`.
    :returns: the terminated process, whatever its exit status.
    """
    end_on_interrupt()
    process = WorkflowFactory(f'dpasse.{chain}')
    known = {name: codes[name] for name in process.known_codes(codes)}
    builder = process.get_builder_from_protocol(known, protocol=protocol, **inputs)
    with enable_caching():
        node = engine.run_get_node(builder).node
    group.add_nodes(node)
    print(quoting.lines(report_text(node)), flush=True)
    write_report(node, directory)
    return node
