"""A filter for a protocol of lines: the first one is a password, the others pass in upper case, answers get a mark."""

from __future__ import annotations

import logging

from pywasm_filter import Action, PeerType, RootContext, StreamContext

log = logging.getLogger(__name__)


class Gate(StreamContext["GateRoot"]):
    def on_context_create(self) -> None:
        self.admitted = False

    def on_new_connection(self) -> Action:
        log.info("new connection")
        return Action.CONTINUE

    def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        data = bytes(self.downstream_data)
        whole, newline, rest = data.rpartition(b"\n")
        if end_of_stream:
            log.info("end of the client, %d bytes of no whole line", len(rest))
            return Action.CONTINUE
        if not newline:
            return Action.PAUSE
        lines = whole.split(b"\n")
        if not self.admitted:
            if lines.pop(0) != self.root.password:
                log.warning("wrong password")
                self.close_downstream()
                return Action.PAUSE
            self.admitted = True
        # What is not a whole line yet goes with the others: the host can hold back all or nothing.
        passing = b"".join(line.upper() + b"\n" for line in lines) + rest
        self.downstream_data.replace(passing)
        return Action.CONTINUE

    def on_upstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        if data_size:
            self.upstream_data.prepend(b"> ")
        return Action.CONTINUE

    def on_upstream_close(self, peer_type: PeerType) -> None:
        log.info("upstream closed: %s", peer_type.name)

    def on_downstream_close(self, peer_type: PeerType) -> None:
        log.info("downstream closed: %s", peer_type.name)

    def on_log(self) -> None:
        log.info("over")


class GateRoot(RootContext):
    stream_context = Gate
    password = b""

    def on_configure(self, configuration: bytes) -> bool:
        self.password = configuration
        return True
