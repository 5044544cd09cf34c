#!/bin/sh
# Installs the Debian packages that it is given, if it may: as root, or with a sudo that asks for
# no password. If not, it says what to type, and fails. `pgabsorb demo` carries this file with it;
# tests/run calls it too.
set -eu
if [ "$(id -u)" -eq 0 ]; then
    as_root=
else
    as_root='sudo -n'
fi
if ! command -v apt-get >/dev/null 2>&1 || ! $as_root true 2>/dev/null; then
    {
        echo "Programs are missing here that may not be installed by themselves."
        echo "On Debian or Ubuntu: sudo apt-get install $*"
        echo "Elsewhere: install what your system calls these packages. If neither pg_config, PATH"
        echo "nor /usr/lib/postgresql leads to initdb and postgres, name their directory in"
        echo "PGABSORB_POSTGRES_BIN."
    } >&2
    exit 1
fi
echo "Installing what is missing: apt-get install $*" >&2
$as_root apt-get update -q >&2
$as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "$@" >&2
