# What the scripts of the tools share. Through the proxy by PGHOST and PGPORT, past it behind `direct`.

scratch=$(mktemp -d)

direct() { PGHOST=$SERVER_HOST PGPORT=$SERVER_PORT "$@"; }

# tool NAME: what is printed up to the next is of this one.
tool() { echo "tool $1 $("$1" --version | grep -o '[0-9.]*' | head -n 1)"; }

# equal NAME ACTUAL EXPECTED
equal() {
    if [[ $2 != "$3" ]]; then
        printf 'not ok %s:\n%s\nexpected:\n%s\n' "$1" "$2" "$3"
        exit 1
    fi
    echo "ok $1"
}

# same NAME FILE FILE: the bytes are the same, and there are some.
same() {
    [[ -s $2 ]] && cmp "$2" "$3" || { echo "not ok $1"; exit 1; }
    echo "ok $1"
}

# wait_for EXPECTED COMMAND...: until it prints that.
wait_for() {
    local deadline=$((SECONDS + 30))
    until [[ $("${@:2}") == "$1" ]]; do
        ((SECONDS < deadline)) || equal "${*:2}" "$("${@:2}")" "$1"
        sleep 0.05
    done
}
