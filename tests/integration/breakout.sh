# SPDX-License-Identifier: Apache-2.0
# limit: 900
# Images that try to get out: no command that takes one writes anything but the store, the
# mountpoint, the bundle and its own files in /run, nor reads what is outside into an image.
. "$LAYERFS_TESTS/lib.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # leaks cannot be looked for under ptrace
need jq strace python3
mkdir -p canary/dir bad work
echo 'root:x:4242:4242:secret of the host:/:/bin/sh' >canary/secret
echo file >canary/dir/file
chmod 600 canary/secret
touch -d 2001-01-01 canary/secret canary/dir/file canary/dir canary
"$GEN/escape" bad "$T/canary"

# What lies around: names, types, modes, owners, times, contents.
outside() {
    {
        find canary bad -printf '%p %y %m %U:%G %s %T@ %n %l\n'
        find / -maxdepth 1 -printf '%p %y %m\n'
        find . -maxdepth 1 -type d ! -name store -printf '%p %y %m\n'
        sha256sum canary/secret canary/dir/file /etc/passwd
    } | LC_ALL=C sort
}

# What a trace shows being opened for writing, made, removed or renamed outside of it.
cat >traced.py <<'END'
import os, re, sys
top = sys.argv[1]
allowed = tuple(top + d for d in ('/store', '/work')) + ('/run/layerfs', '/dev/null', '/dev/fuse',
    '/dev/pts/', '/sys/module/fuse/parameters/', '/sys/devices/virtual/bdi/', '/sys/class/bdi/',
    '/memfd:', 'pipe:', 'anon_inode:', '/proc/self/')
at = {'openat', 'openat2', 'open', 'creat', 'mkdir', 'mkdirat', 'unlink', 'unlinkat', 'rmdir', 'rename', 'renameat',
      'renameat2', 'link', 'linkat', 'symlink', 'symlinkat', 'mknod', 'mknodat', 'truncate', 'chmod',
      'fchmodat', 'chown', 'lchown', 'fchownat', 'utimensat', 'setxattr', 'lsetxattr', 'mount', 'umount2'}
bad = set()
for line in open(sys.argv[2], errors='replace'):
    m = re.match(r'\d+ +(\w+)\((.*)\) += (\d+)(?:<(.*)>)?', line)
    if not m or m[1] not in at:
        continue
    if m[1].startswith(('open', 'creat')):
        if m[1] == 'creat' or re.search(r'O_(WRONLY|RDWR|CREAT|TMPFILE)', m[2]):
            path = (m[4] or '').replace(' (deleted)', '')
            if not path.startswith(allowed):
                bad.add(line.strip())
        continue
    for fd, path in re.findall(r'(?:(AT_FDCWD<[^>]*>|\d+<[^>]*>), )?"((?:[^"\\]|\\.)*)"', m[2]):
        if m[1] in ('mount', 'symlink', 'symlinkat') and not fd and not path.startswith('/'):
            continue  # what a link says, a type, options
        if m[1] in ('symlink', 'symlinkat') and m[2].startswith('"' + path):
            continue
        full = path if path.startswith('/') else os.path.join(re.sub(r'.*<(.*)>', r'\1', fd) if fd else top, path)
        if not os.path.normpath(full).startswith(allowed):
            bad.add(line.strip())
print('\n'.join(sorted(bad)[:10]))
END

# attempt NAME COMMAND…: however it ends, within a minute and not by a signal.
n=0
attempt() {
    local name=$1 rc=0 traced
    shift
    n=$((n + 1))
    timeout 120 strace -D -f -y -qq -e trace=file,mount,umount2 -s 4096 -o "trace.$n" \
        "$@" >out 2>err </dev/null || rc=$?
    wait_until 20 sh -c "test -s trace.$n" || true
    if [ $rc -ge 124 ]; then not_ok "$name ends" "exit status $rc: $*"$'\n'"$(head -c 500 err)"; fi
    traced=$(python3 traced.py "$T" "trace.$n")
    if [ -n "$traced" ]; then not_ok "$name stays inside" "$traced"; else ok "$name ($rc)"; fi
    rm -f "trace.$n"
    return 0
}

# Walks what is mounted as a container would, below the mountpoint only.
visit() {
    find "$1" -xdev >names 2>&1
    find "$1" -xdev -type f -size -100k -exec cat {} + >contents 2>/dev/null || true
    if grep -q 'secret of the host' contents; then not_ok "$2: nothing of the host is in it"; fi
}

mkdir work/m
python3 -c 'import sys; open(sys.argv[1], "w")' work/x
strace -f -y -qq -e trace=file,mount,umount2 -o trace.0 sh -c \
    'echo >work/new; : >canary/new; mkdir canary/d; ln -s x canary/l; rm -r canary/new canary/d canary/l' || true
is 'a trace shows what is done outside' \
    "$(python3 traced.py "$T" trace.0 | grep -oE '[a-z]+(at)?\(' | sort -u | tr -d '\n')" 'mkdir(openat(symlinkat(unlinkat('
touch -d 2001-01-01 canary
before=$(outside)
for dir in bad/*/; do
    case=$(basename "$dir")
    attempt "$case: pull" layerfs pull --quiet --tag "$case" "oci:$T/bad/$case:x"
    attempt "$case: mount" layerfs mount "$case" work/m
    if mounted work/m; then
        visit work/m "$case"
        layerfs umount work/m
    fi
    i=0
    tars=()
    while [ -e "bad/$case.$i.tar" ]; do tars+=(--tar "bad/$case.$i.tar"); i=$((i + 1)); done
    if [ ${#tars[@]} -gt 0 ]; then
        attempt "$case: create" layerfs create --quiet --tag "made-$case" "${tars[@]}"
    fi
    attempt "$case: bundle" layerfs bundle "$case" work/b
    if [ -e work/b/config.json ] && grep -q 4242 work/b/config.json; then
        not_ok "$case: the bundle takes no user of the host"
    fi
    if mounted work/b/rootfs; then layerfs umount work/b/rootfs; fi
    rm -rf work/b
done
for f in bad/archive-*.tar; do
    case=$(basename "$f" .tar)
    kind=docker-archive
    if [[ $case == archive-oci* ]]; then kind=oci-archive; fi
    attempt "$case: pull" layerfs pull --quiet --tag "$case" "$kind:$T/$f"
    if grep -q 'secret of the host' out err; then not_ok "$case: the host's file is not shown"; fi
done
is 'nothing outside changed' "$(diff <(echo "$before") <(outside) | head -n 20)" ''

# Names given by the user are no paths either.
layerfs pull --quiet --tag good "oci:$T/bad/setuid:x" >/dev/null
for name in ../../canary/x "$T/canary/x" .. 'a/../../b'; do
    attempt "tag good $name" layerfs tag good "$name"
done
is 'a setuid program in the store is not one' \
    "$(find "$LAYERFS_STORE" -perm /6000 | wc -l) $(find "$LAYERFS_STORE" ! -type f ! -type d | wc -l)" '0 0'
is 'and the mount has it only for who asked' \
    "$(layerfs mount good work/m 2>&1; findmnt -no OPTIONS work/m | grep -ow nosuid; layerfs umount work/m 2>&1)" nosuid
is 'no mount is left' "$(fuse_mounts) $(daemons)" '0 '
is 'still nothing changed' "$(diff <(echo "$before") <(outside) | head -n 20)" ''
