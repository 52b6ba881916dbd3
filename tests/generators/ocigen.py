# SPDX-License-Identifier: Apache-2.0
"""Tars and OCI layouts to the byte, for tests: what GNU tar cannot be made to write is written too.

A Tar is a list of entries that are turned into headers by hand: PAX, GNU or plain ustar, with any
bytes for names and xattrs, times in nanoseconds, sparse files, broken checksums and so on.
A Layout is a directory with images; nothing in it is checked, so broken ones are as easy to make.
"""
import hashlib
import json
import os
import subprocess
import zlib

REG, LINK, SYMLINK, CHR, BLK, DIR, FIFO = b'0', b'1', b'2', b'3', b'4', b'5', b'6'


def number(value, size):
    """A number in a header field: octal, or GNU's base-256 where it does not fit."""
    if 0 <= value < 8 ** (size - 1):
        return b'%0*o\0' % (size - 1, value)
    raw = (value & (1 << 8 * size) - 1).to_bytes(size, 'big')
    return bytes([raw[0] | 0x80]) + raw[1:] if value >= 0 else b'\xff' + raw[1:]


def field(value, size):
    return value[:size].ljust(size, b'\0')


def pad(data):
    return data + b'\0' * (-len(data) % 512)


def header(name, kind, mode=0o644, uid=0, gid=0, size=0, mtime=0, link=b'', dev=(0, 0),
           magic=b'ustar\x0000', checksum=None, prefix=b''):
    h = bytearray(b''.join([
        field(name, 100), number(mode, 8), number(uid, 8), number(gid, 8), number(size, 12),
        number(mtime, 12), b' ' * 8, kind, field(link, 100), magic, b'\0' * 64, number(dev[0], 8),
        number(dev[1], 8), field(prefix, 155), b'\0' * 12]))
    total = sum(h) if checksum is None else checksum
    h[148:156] = b'%06o\0 ' % total
    return bytes(h)


def pax_record(key, value):
    key = key.encode() if isinstance(key, str) else key
    length = len(key) + len(value) + 3
    total = length + len(str(length))
    if len(str(total)) > len(str(length)):
        total = length + len(str(total))
    return b'%d %s=%s\n' % (total, key, value)


def decimal_time(ns):
    sign, ns = ('-', -ns) if ns < 0 else ('', ns)
    text = '%s%d.%09d' % (sign, ns // 10**9, ns % 10**9)
    return text.rstrip('0').rstrip('.').encode()


class Tar:
    """Entries come out in the order of the calls. form: 'pax' (only where needed) or 'gnu'."""

    def __init__(self, form='pax'):
        self.parts = []
        self.form = form

    def raw(self, data):
        self.parts.append(data)
        return self

    def add(self, name, kind=REG, mode=None, uid=0, gid=0, mtime=10**18, data=b'', link=b'',
            xattrs=None, dev=(0, 0), pax=None):
        name = name.encode() if isinstance(name, str) else name
        link = link.encode() if isinstance(link, str) else link
        if mode is None:
            mode = 0o755 if kind == DIR else 0o777 if kind == SYMLINK else 0o644
        if self.form == 'gnu' and not xattrs and not pax:
            self._gnu(name, kind, mode, uid, gid, mtime, data, link, dev)
        else:
            self._pax(name, kind, mode, uid, gid, mtime, data, link, xattrs or {}, dev, pax or {})
        return self

    def _gnu(self, name, kind, mode, uid, gid, mtime, data, link, dev):
        magic = b'ustar  \0'
        for text, flag in ((link, b'K'), (name, b'L')):
            if len(text) > 100:
                self.raw(header(b'././@LongLink', flag, size=len(text) + 1, magic=magic))
                self.raw(pad(text + b'\0'))
        self.raw(header(name, kind, mode, uid, gid, len(data), mtime // 10**9, link, dev, magic))
        self.raw(pad(data))

    def _pax(self, name, kind, mode, uid, gid, mtime, data, link, xattrs, dev, pax):
        records = b''
        if len(name) > 100 or any(c > 126 for c in name):
            records += pax_record('path', name)
        if len(link) > 100 or any(c > 126 for c in link):
            records += pax_record('linkpath', link)
        if mtime % 10**9 or mtime < 0 or mtime // 10**9 >= 8**11:
            records += pax_record('mtime', decimal_time(mtime))
        for key, value in (('uid', uid), ('gid', gid)):
            if value >= 8**7:
                records += pax_record(key, b'%d' % value)
        for key, value in xattrs.items():
            key = key.encode() if isinstance(key, str) else key
            records += pax_record(b'SCHILY.xattr.' + key, value)
        records += b''.join(pax_record(key, value) for key, value in pax.items())
        if records:
            self.raw(header(b'PaxHeaders/entry', b'x', size=len(records)) + pad(records))
        self.raw(header(name, kind, mode, min(uid, 8**7 - 1), min(gid, 8**7 - 1), len(data),
                        max(0, min(mtime // 10**9, 8**11 - 1)), link, dev))
        self.raw(pad(data))

    def sparse(self, name, size, pieces, mode=0o644, mtime=10**18):
        """pieces: [(offset, bytes)…] of a file of this size, by the PAX 1.0 sparse format."""
        name = name.encode() if isinstance(name, str) else name
        table = b'%d\n' % len(pieces) + b''.join(b'%d\n%d\n' % (o, len(d)) for o, d in pieces)
        data = pad(table) + b''.join(d for _, d in pieces)
        return self.add('GNUSparseFile.0/x', REG, mode, mtime=mtime, data=data, pax={
            'GNU.sparse.major': b'1', 'GNU.sparse.minor': b'0', 'GNU.sparse.name': name,
            'GNU.sparse.realsize': b'%d' % size})

    # Short forms.
    def dir(self, name, **kw):
        return self.add(name, DIR, **kw)

    def file(self, name, data=b'', **kw):
        return self.add(name, REG, data=data.encode() if isinstance(data, str) else data, **kw)

    def symlink(self, name, target, **kw):
        return self.add(name, SYMLINK, link=target, **kw)

    def link(self, name, target, **kw):
        return self.add(name, LINK, link=target, **kw)

    def whiteout(self, name):
        name = name.encode() if isinstance(name, str) else name
        head, _, tail = name.rpartition(b'/')
        return self.add((head + b'/' if head else b'') + b'.wh.' + tail)

    def opaque(self, name):
        name = name.encode() if isinstance(name, str) else name
        return self.add((name + b'/' if name else b'') + b'.wh..wh..opq')

    def bytes(self):
        return b''.join(self.parts) + b'\0' * 1024


def sha256(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()


def compress(data, how):
    if how == 'gzip':
        c = zlib.compressobj(1, wbits=31)
        return c.compress(data) + c.flush()
    if how == 'zstd':
        return subprocess.run(['zstd', '-q', '-1', '-c'], input=data, stdout=subprocess.PIPE,
                              check=True).stdout
    return data


TYPE = 'application/vnd.oci.image.'
LAYER_TYPES = {'none': TYPE + 'layer.v1.tar', 'gzip': TYPE + 'layer.v1.tar+gzip',
               'zstd': TYPE + 'layer.v1.tar+zstd'}


def dumps(value):
    return json.dumps(value, separators=(',', ':')).encode()


class Layout:
    def __init__(self, path):
        self.path = path
        self.entries = []
        os.makedirs(path + '/blobs/sha256', exist_ok=True)
        with open(path + '/oci-layout', 'w', encoding='ascii') as f:
            f.write('{"imageLayoutVersion":"1.0.0"}')
        if os.path.exists(path + '/index.json'):
            with open(path + '/index.json', encoding='utf-8') as f:
                self.entries = json.load(f)['manifests']

    def blob_path(self, digest):
        return '%s/blobs/%s' % (self.path, digest.replace(':', '/'))

    def blob(self, data, media_type):
        digest = sha256(data)
        with open(self.blob_path(digest), 'wb') as f:
            f.write(data)
        return {'mediaType': media_type, 'digest': digest, 'size': len(data)}

    def layer(self, tar, how='gzip'):
        """Writes a layer; (descriptor, diffID)."""
        data = tar.bytes() if isinstance(tar, Tar) else tar
        return self.blob(compress(data, how), LAYER_TYPES[how]), sha256(data)

    def config(self, diff_ids, **more):
        return {'architecture': 'amd64', 'os': 'linux',
                'config': {'Env': ['PATH=/bin'], 'Cmd': ['/bin/sh']},
                'rootfs': {'type': 'layers', 'diff_ids': diff_ids}, **more}

    def manifest(self, config, layers, **more):
        return {'schemaVersion': 2, 'mediaType': TYPE + 'manifest.v1+json', 'config': config,
                'layers': layers, **more}

    def tag(self, descriptor, name):
        entry = dict(descriptor)
        if name is not None:
            self.entries = [e for e in self.entries if e.get('annotations', {}).get(
                'org.opencontainers.image.ref.name') != name]
            entry['annotations'] = {'org.opencontainers.image.ref.name': name}
        self.entries.append(entry)
        self.write_index()

    def write_index(self):
        with open(self.path + '/index.json', 'wb') as f:
            f.write(dumps({'schemaVersion': 2, 'manifests': self.entries}))

    def image(self, name, layers, how='gzip'):
        """An image of tars, lowest first; its manifest's descriptor."""
        made = [self.layer(t, how) for t in layers]
        config = self.blob(dumps(self.config([d for _, d in made])), TYPE + 'config.v1+json')
        manifest = self.manifest(config, [d for d, _ in made])
        descriptor = self.blob(dumps(manifest), manifest['mediaType'])
        self.tag(descriptor, name)
        return descriptor
