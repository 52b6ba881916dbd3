#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""token_server DIR USER PASSWORD [LIFETIME]: a token server for docker-registry.

Makes DIR/key.pem and DIR/cert.pem (the registry's rootcertbundle), listens on a free port of
127.0.0.1, writes it to DIR/port, and a line for each request to DIR/log: "METHOD PATH STATUS
AUTH", AUTH being none, ok or bad. Anonymous users and wrong passwords get 401. Tokens live LIFETIME
seconds (default 300). A POST with refresh_token=refresh-PASSWORD is answered too.
"""
import base64
import http.server
import json
import os
import subprocess
import sys
import time
import urllib.parse

directory, user, password = sys.argv[1:4]
lifetime = int(sys.argv[4]) if len(sys.argv) > 4 else 300
key, cert = f'{directory}/key.pem', f'{directory}/cert.pem'
subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out',
                cert, '-days', '2', '-subj', '/CN=token'], check=True, stderr=subprocess.DEVNULL)
der = subprocess.run(['openssl', 'x509', '-in', cert, '-outform', 'DER'], check=True,
                     stdout=subprocess.PIPE).stdout


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=')


def token(scopes, account):
    access = []
    for scope in scopes:
        kind, name, actions = scope.split(':')
        access.append({'type': kind, 'name': name, 'actions': actions.split(',')})
    now = int(time.time())
    head = {'typ': 'JWT', 'alg': 'RS256', 'x5c': [base64.b64encode(der).decode()]}
    claims = {'iss': 'test', 'sub': account, 'aud': 'test', 'exp': now + lifetime,
              'nbf': now - 10, 'iat': now, 'jti': os.urandom(8).hex(), 'access': access}
    text = b64(json.dumps(head).encode()) + b'.' + b64(json.dumps(claims).encode())
    signature = subprocess.run(['openssl', 'dgst', '-sha256', '-sign', key], input=text, check=True,
                               stdout=subprocess.PIPE).stdout
    return (text + b'.' + b64(signature)).decode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self, status, body, auth):
        data = json.dumps(body).encode()
        with open(f'{directory}/log', 'a') as log:
            log.write(f'{self.command} {self.path} {status} {auth}\n')
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def give(self, query):
        scopes = [s for value in query.get('scope', []) for s in value.split(' ')]
        self.answer(200, {'token': token(scopes, user), 'expires_in': lifetime}, 'ok')

    def do_GET(self):
        want = 'Basic ' + base64.b64encode(f'{user}:{password}'.encode()).decode()
        got = self.headers.get('Authorization')
        if got != want:
            self.answer(401, {'details': 'no'}, 'bad' if got else 'none')
            return
        self.give(urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query))

    def do_POST(self):
        query = urllib.parse.parse_qs(self.rfile.read(int(self.headers['Content-Length'])).decode())
        if query.get('refresh_token') != [f'refresh-{password}']:
            self.answer(401, {'details': 'no'}, 'bad')
            return
        self.give(query)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
with open(f'{directory}/port.new', 'w') as f:
    f.write(str(server.server_address[1]))
os.rename(f'{directory}/port.new', f'{directory}/port')
server.serve_forever()
