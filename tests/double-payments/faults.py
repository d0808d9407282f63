"""A server on loopback that reads a whole request, counts it if it is a POST, and damages the reply."""

import pathlib
import socket
import ssl
import struct
import threading

ERROR = b'{"error":{"message":"That went wrong.","type":"error","code":null,"param":null}}'
PAGE = b"<html><h1>That went wrong.</h1></html>"
ACCEPTED = b'{"id":"task_1","request_id":"task_1","code":200,"data":{"taskId":"task_1"}}'
TLS = pathlib.Path(__file__).parent.parent / "tls"


def reply(status, body=ERROR, kind=b"application/json"):
    head = b"HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    return head % (status, kind, len(body)) + body


# The bytes that are sent before the connection is closed.
FAULTS = {
    "drop": b"",
    "reset": b"",
    "cut head": b"HTTP/1.1 200 OK\r\ncontent-len",
    "hang": b"",
    "500": reply(b"500 Internal Server Error"),
    "503": reply(b"503 Service Unavailable"),
    "504": reply(b"504 Gateway Timeout"),
    "520": reply(b"520 Unknown", PAGE, b"text/html"),
    "524": reply(b"524 Unknown", PAGE, b"text/html"),
    "429": reply(b"429 Too Many Requests"),
    # The name of the server has two addresses. The first that is tried drops the request, and the other accepts it.
    "two addresses": b"",
    # The connection uses TLS, and ends without a TLS close message.
    "TLS cut": b"",
}


class Server:
    """A server with one fault, which runs until `stop`."""

    def __init__(self, fault):
        self.fault = fault
        # The number of POSTs, and whether each had a key by which a provider could recognise a repetition.
        self.posts = 0
        self.keys = True
        self.dropping = None
        self.stopped = threading.Event()
        self.listeners = [socket.create_server(("127.0.0.1", 0))]
        port = self.listeners[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        if fault == "two addresses":
            self.listeners.append(socket.create_server(("127.0.0.2", port)))
            self.url = f"http://localhost:{port}"
        if fault == "TLS cut":
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(TLS / "server.pem", TLS / "server.key")
            self.url = f"https://api.kie.ai:{port}"
        for listener in self.listeners:
            threading.Thread(target=self.accept, args=[listener], daemon=True).start()

    def stop(self):
        self.stopped.set()
        for listener in self.listeners:
            listener.close()

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        try:
            if self.fault == "TLS cut":
                connection = self.tls.wrap_socket(connection, server_side=True)
            request = read(connection)
            if request is not None:
                self.answer(connection, request)
        except OSError:
            pass  # The client has closed the connection.
        finally:
            connection.close()

    def answer(self, connection, request):
        if not request.startswith(b"POST "):
            connection.sendall(reply(b"404 Not Found"))
            return
        self.posts += 1
        self.keys = self.keys and b"\r\nidempotency-key: " in request.lower()
        address = connection.getsockname()[0]
        self.dropping = self.dropping or address
        if self.fault == "two addresses" and address != self.dropping:
            connection.sendall(reply(b"200 OK", ACCEPTED))
            return
        if self.fault == "hang":
            self.stopped.wait()
        if self.fault == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(FAULTS[self.fault])


def read(connection):
    """Returns a whole request, or nothing if the client closes the connection before its end."""
    request = b""
    while not is_whole(request):
        part = connection.recv(65536)
        if not part:
            return None
        request += part
    return request


def is_whole(request):
    head, end, body = request.partition(b"\r\n\r\n")
    if not end:
        return False
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if headers.get(b"transfer-encoding") == b"chunked":
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(headers.get(b"content-length", 0))
