"""A small HTTP proxy: CONNECT, and requests with an absolute target. Names lead where the test
says, so that an origin on loopback can have any name."""

import select
import socket
import threading


class ConnectProxy:
    """`routes`: {host: (address, port)}; what is not in there is refused with 502."""

    def __init__(self, routes, authorization=None):
        self.routes, self.authorization = routes, authorization
        self.requests = []  # heads, as they came
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    @property
    def targets(self):
        return [head.split(" ")[1] for head in self.requests]

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            with sock:
                self._relay(sock)
        except OSError:
            pass

    def _relay(self, sock):
        head = b""
        while b"\r\n\r\n" not in head:
            data = sock.recv(65536)
            if not data:
                return
            head += data
        text = head.decode("latin-1")
        self.requests.append(text)
        method, target, _ = text.split("\r\n")[0].split(" ")
        if self.authorization and f"Proxy-Authorization: {self.authorization}\r\n" not in text:
            sock.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
            return
        authority = target if method == "CONNECT" else target.split("/")[2]
        there = self.routes.get(authority.rsplit(":", 1)[0])
        if not there:
            sock.sendall(b"HTTP/1.1 502 Never heard of it\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(there) as far:
            if method == "CONNECT":
                sock.sendall(b"HTTP/1.1 200 Go on\r\n\r\n")
            else:
                path = "/" + target.split("/", 3)[3]
                far.sendall(head.replace(target.encode("latin-1"), path.encode("latin-1"), 1))
            self._join(sock, far)

    @staticmethod
    def _join(one, other):
        peers = {one: other, other: one}
        while True:
            for sock in select.select(list(peers), [], [])[0]:
                data = sock.recv(65536)
                if not data:
                    return
                peers[sock].sendall(data)
