"""Says where TCP connections come from."""

from pywasm_filter import Action, LogLevel, StreamContext, log


class WhoIsIt(StreamContext):
    """One connection."""

    def on_new_connection(self) -> Action:
        connection = self.properties.connection
        source = self.properties.source.address
        log(LogLevel.INFO, f"{source} {connection.requested_server_name} {connection.tls_version}")
        return Action.CONTINUE
