"""An HTTP/2 client on Python's h2, for what curl and nghttp do not let one do."""

import h2.config
import h2.connection
import h2.events

from harness.client import HOST


class H2Answer:
    """One stream's answer; `ended` once all of it is there, `reset` holds the code of a reset."""

    def __init__(self):
        self.headers, self.body, self.ended, self.reset = {}, b"", False, None

    @property
    def status(self):
        return int(self.headers.get(":status", 0))


class H2Client:
    """A connection: requests in parallel, flow control windows opened as bodies come."""

    def __init__(self, sock):
        self.sock = sock
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.answers, self.went_away = {}, None
        # The library takes GOAWAY for the end, though streams that have begun go on.
        machine, states = self.h2.state_machine, h2.connection.ConnectionState
        goaway = (states.CLIENT_OPEN, h2.connection.ConnectionInputs.RECV_GOAWAY)
        # pylint: disable=protected-access
        machine._transitions = {**machine._transitions, goaway: (None, states.CLIENT_OPEN)}
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def request(self, path, *headers, method="GET", host=HOST, body=None):
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":path", path), (":scheme", "https"), (":authority", host)]
        self.h2.send_headers(stream, [*fields, *headers], end_stream=body is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=True)
        self.answers[stream] = H2Answer()
        self.flush()
        return stream

    def _take(self, event):
        answer = self.answers.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.ResponseReceived):
            answer.headers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.went_away = event.error_code

    def pump(self):
        """One receive; False at the end of the connection."""
        data = self.sock.recv(65536)
        for event in self.h2.receive_data(data) if data else ():
            self._take(event)
        self.flush()
        return bool(data)

    def wait(self, stream):
        answer = self.answers[stream]
        while not answer.ended and answer.reset is None:
            assert self.pump(), f"the connection ended before stream {stream} did"
        return answer

    def fetch(self, path, *headers, **options):
        return self.wait(self.request(path, *headers, **options))

    def read_to_end(self):
        while self.pump():
            pass
