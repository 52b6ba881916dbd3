#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""fault_proxy DIR UPSTREAM: a plain proxy in front of the registry at UPSTREAM (host:port), which
makes faults in answers to GETs of layer blobs (larger than 4 KiB).

Listens on two free ports of 127.0.0.1, written to DIR/port and DIR/other; the second one is
where it redirects to, another host as far as clients can tell. The fault is what DIR/fault says when
a request arrives: "NAME [N [ARG]]", N times (default: for ever), each time counted in DIR/count.
DIR/log gets a line for each request: "PORT METHOD PATH STATUS RANGE AUTH BYTES", RANGE the
first byte or "-", AUTH "auth" or "-", BYTES of the body that were sent.

    none         passes on
    status       ARG as status (503), with Retry-After: 1 for 429
    reset        resets the connection at each 64 KiB of the blob's offsets
    truncate     closes after half of the body, which Content-Length announced
    short        a shorter body, honestly announced
    stall        half of the body and then silence
    silent       no answer at all
    loris        the body at a few bytes a second
    loris-head   the header at a few bytes a second
    ignore-range answers 200 with all whatever Range says, cut after ARG bytes (64 KiB) the first
                 N times
    bad-range    a 206 for a Range is off by one in Content-Range
    no-range     a 206 for a Range has no Content-Range
    corrupt      one wrong byte
    redirect     307 to the other port, where it is served, with $OTHER_AUTH (USER:PASSWORD) added
    loop         307 to itself
    forget       answers as if the request had brought no credentials
"""
import base64
import http.client
import http.server
import os
import socket
import struct
import sys
import threading
import time

directory, upstream = sys.argv[1:3]
lock = threading.Lock()
SMALL = 4096


def take_fault():
    """The fault for this request, counted."""
    with lock:
        try:
            with open(f'{directory}/fault') as f:
                words = f.read().split()
        except FileNotFoundError:
            return 'none', ''
        words += [''] * (3 - len(words))
        name, times, arg = words[:3]
        count = 0
        if os.path.exists(f'{directory}/count'):
            with open(f'{directory}/count') as f:
                count = int(f.read() or 0)
        if times and count >= int(times):
            return 'none', arg
        with open(f'{directory}/count', 'w') as f:
            f.write(str(count + 1))
        return name, arg


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def fetch(self, with_range=True):
        connection = http.client.HTTPConnection(upstream)
        headers = {k: v for k, v in self.headers.items()
                   if k.lower() not in ('host', 'connection') and (with_range or k != 'Range')}
        if self.server.server_address[1] == other_port and os.environ.get('OTHER_AUTH'):
            headers['Authorization'] = 'Basic ' + base64.b64encode(
                os.environ['OTHER_AUTH'].encode()).decode()
        connection.request(self.command, self.path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        return answer, body

    def log(self, status, sent):
        first = self.headers.get('Range', '-').replace('bytes=', '').rstrip('-') or '-'
        auth = 'auth' if self.headers.get('Authorization') else '-'
        with lock, open(f'{directory}/log', 'a') as f:
            f.write(f'{self.server.server_address[1]} {self.command} {self.path} {status} {first} '
                    f'{auth} {sent}\n')

    def head(self, status, answer=None, length=None, changed=None):
        changed = changed or {}
        self.send_response(status)
        for k, v in (answer.getheaders() if answer else []):
            if k.lower() not in ('content-length', 'connection', 'transfer-encoding', 'date',
                                 'server') and k not in changed:
                self.send_header(k, v)
        for k, v in changed.items():
            if v is not None:
                self.send_header(k, v)
        if length is not None:
            self.send_header('Content-Length', str(length))
        self.end_headers()

    def reset(self):
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.connection.close()
        self.close_connection = True

    def send(self, status, answer, body, limit=None, length=None, changed=None):
        """Announces length bytes and sends the first limit."""
        data = body if limit is None else body[:limit]
        self.head(status, answer, len(body) if length is None else length, changed)
        try:
            if self.command != 'HEAD':
                self.wfile.write(data)
        except OSError:
            pass
        self.log(status, len(data))
        if len(data) < (len(body) if length is None else length):
            self.close_connection = True

    def do_GET(self):
        other = self.server.server_address[1] == other_port
        is_blob = '/blobs/' in self.path and self.command == 'GET'
        if not is_blob:
            answer, body = self.fetch()
            self.send(answer.status, answer, body)
            return
        answer, body = self.fetch()
        if len(body) < SMALL and answer.status == 200:
            self.send(answer.status, answer, body)
            return
        if other:
            self.send(answer.status, answer, body)
            return
        name, arg = take_fault()
        getattr(self, 'do_fault_' + name.replace('-', '_'))(answer, body, arg)

    do_HEAD = do_GET

    def do_fault_none(self, answer, body, arg):
        self.send(answer.status, answer, body)

    def do_fault_status(self, answer, body, arg):
        status = int(arg or 503)
        self.send(status, None, b'{"errors":[{"code":"X","message":"made by the test"}]}',
                  changed={'Retry-After': '1'} if status == 429 else None)

    def do_fault_reset(self, answer, body, arg):
        first = int((self.headers.get('Range') or 'bytes=0-')[6:].rstrip('-'))
        room = 65536 - first % 65536
        if room >= len(body):
            self.send(answer.status, answer, body)
            return
        self.head(answer.status, answer, len(body))
        self.wfile.write(body[:room])
        self.wfile.flush()
        time.sleep(0.005)  # a reset drops what the other side has not read yet
        self.log(answer.status, room)
        self.reset()

    def do_fault_truncate(self, answer, body, arg):
        self.send(answer.status, answer, body, limit=len(body) // 2)

    def do_fault_short(self, answer, body, arg):
        self.send(answer.status, answer, body[:-7])

    def do_fault_stall(self, answer, body, arg):
        self.head(answer.status, answer, len(body))
        self.wfile.write(body[:len(body) // 2])
        self.wfile.flush()
        self.log(answer.status, len(body) // 2)
        self.wait_for_close()

    def do_fault_silent(self, answer, body, arg):
        self.log(0, 0)
        self.wait_for_close()

    def wait_for_close(self):
        try:
            while self.connection.recv(4096):
                pass
        except OSError:
            pass
        self.close_connection = True

    def drip(self, data):
        try:
            for i in range(0, len(data), 4):
                self.wfile.write(data[i:i + 4])
                self.wfile.flush()
                time.sleep(0.2)
        except OSError:
            self.close_connection = True

    def do_fault_loris(self, answer, body, arg):
        self.head(answer.status, answer, len(body))
        self.log(answer.status, 0)
        self.drip(body)

    def do_fault_loris_head(self, answer, body, arg):
        self.log(answer.status, 0)
        self.drip(b'HTTP/1.1 200 OK\r\nX-Long: ' + b'x' * 10000)
        self.close_connection = True

    def do_fault_ignore_range(self, answer, body, arg):
        answer, body = self.fetch(with_range=False)
        self.send(200, answer, body, limit=int(arg or 65536))

    def do_fault_bad_range(self, answer, body, arg):
        value = answer.getheader('Content-Range')
        if value:
            first, rest = value[6:].split('-')
            value = f'bytes {int(first) + 1}-{rest}'
            self.send(answer.status, answer, body, changed={'Content-Range': value})
        else:
            self.send(answer.status, answer, body, limit=len(body) // 2)

    def do_fault_no_range(self, answer, body, arg):
        if answer.status == 206:
            self.send(206, answer, body, changed={'Content-Range': None})
        else:
            self.send(answer.status, answer, body, limit=len(body) // 2)

    def do_fault_corrupt(self, answer, body, arg):
        at = len(body) // 2
        self.send(answer.status, answer, body[:at] + bytes([body[at] ^ 1]) + body[at + 1:])

    def do_fault_redirect(self, answer, body, arg):
        self.send(307, None, b'', changed={'Location': f'http://127.0.0.1:{other_port}{self.path}'})

    def do_fault_loop(self, answer, body, arg):
        self.send(307, None, b'', changed={'Location': self.path})

    def do_fault_forget(self, answer, body, arg):
        connection = http.client.HTTPConnection(upstream)
        connection.request(self.command, self.path)
        answer = connection.getresponse()
        self.send(answer.status, answer, answer.read())

    def log_message(self, *args):
        pass

    def handle(self):
        try:
            super().handle()
        except OSError:
            pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass


first, second = Server(('127.0.0.1', 0), Handler), Server(('127.0.0.1', 0), Handler)
other_port = second.server_address[1]
for name, server in (('other', second), ('port', first)):
    with open(f'{directory}/{name}.new', 'w') as out:
        out.write(str(server.server_address[1]))
    os.rename(f'{directory}/{name}.new', f'{directory}/{name}')
threading.Thread(target=second.serve_forever, daemon=True).start()
first.serve_forever()
