# shellcheck shell=bash
# For scripts/serve and scripts/test: the repository's own Python environment, made on demand.
# Sourced after `set -euo pipefail`. Speaks on stderr only.

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$@"
    exit 1
}

# For a script that reads its own arguments, which are all but the first one: --help prints the
# comment at its top, any other option is refused, and so are more than $1 arguments.
plain_arguments() {
    local most=$1 argument
    shift
    for argument in "$@"; do
        case $argument in
        -h | --help)
            print_help
            exit
            ;;
        -*) die "there is no option $argument; see --help." ;;
        esac
    done
    [ $# -le "$most" ] || die "at most $most arguments are expected; see --help."
}

print_help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }

# Run a step whose words matter only when it fails.
quietly() {
    local words
    if ! words=$("$@" 2>&1); then
        printf '%s\n' "$words" >&2
        return 1
    fi
}

# Is $1 a Python that devgate runs on? With ARG "venv": and can it make environments?
suits() {
    "$1" - "${2:-}" >/dev/null 2>&1 <<'PY'
import sys

if sys.version_info < (3, 11):
    sys.exit(1)
if "venv" in sys.argv:
    import ensurepip, venv  # Debian keeps ensurepip in a package of its own
PY
}

# The first suitable interpreter that passes `suits ... $1`. $PYTHON, if set, is the only choice.
find_python() {
    local name
    for name in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3; do
        if suits "$name" "${1:-}"; then
            printf '%s\n' "$name"
            return
        fi
        [ -z "${PYTHON:-}" ] || return 1
    done
    return 1
}

# How this user may install Debian packages: "apt-get", "sudo -n apt-get", or fails if not at all.
apt() {
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" = 0 ]; then
        DEBIAN_FRONTEND=noninteractive apt-get "$@"
    elif sudo -n true 2>/dev/null; then
        sudo -n env DEBIAN_FRONTEND=noninteractive apt-get "$@"
    else
        return 1
    fi
}

may_install() { apt --version >/dev/null 2>&1; }

# Install Debian packages; the lists are fetched only if the names are not known yet.
apt_install() {
    apt install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 || {
        quietly apt update -qq && quietly apt install -qq -y --no-install-recommends "$@"
    }
}

# Prints an interpreter that can make environments, after installing what that takes.
python_for_venv() {
    local python package
    if find_python venv; then
        return
    fi
    python=$(find_python) || die "${PYTHON:-this machine} has no Python 3.11 or later; install one" \
        "(on Debian: apt-get install python3 python3-venv), or name one with PYTHON=/path/to/python3."
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if may_install; then
        say "installing $package"
        apt_install "$package" || true
    fi
    find_python venv || die "$python cannot make virtual environments; install them" \
        "(on Debian: apt-get install $package, or python3-venv) and run this again."
}

# Does .venv hold the Python it was made with, at the place it was made for?
venv_works() {
    [ -x "$venv/bin/python" ] && "$venv/bin/python" - "$venv" "${PYTHON:-}" >/dev/null 2>&1 <<'PY'
import os, subprocess, sys
import pip

place, wanted = sys.argv[1:]
here = "%d.%d" % sys.version_info[:2]
with open(os.path.join(place, "pyvenv.cfg")) as file:
    made = dict(line.split(" = ", 1) for line in file.read().splitlines() if " = " in line)
assert sys.version_info >= (3, 11)
assert made["version"].startswith(here + "."), "the system's Python was upgraded"
assert os.path.samefile(sys.prefix, place)
with open(os.path.join(place, "bin", "pip"), "rb") as file:
    assert os.fsencode(place) in file.read(4096), "the repository was moved"
if wanted:
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    found = subprocess.run([wanted, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == here, "another Python was asked for"
PY
}

# What an environment with the extras $1 was installed from.
stamp_of() { printf '%s ' "$root" && cat "$root/pyproject.toml" "$root"/requirements/*.txt | cksum; }

installed() {
    local extra
    for extra in "$@"; do
        [ "$(cat "$venv/.installed$extra" 2>/dev/null)" = "$(stamp_of)" ] && return
    done
    return 1
}

# One at a time. The lock is on the repository's folder and belongs to descriptor 9 of this
# shell, so it ends with the shell however that ends, and leaves no file behind.
lock() {
    exec 9<"$root"
    "$1" - <<'PY' || exit
import fcntl, signal, sys

signal.signal(signal.SIGINT, signal.SIG_DFL)
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("waiting for another one that is making .venv", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
PY
}

# Make sure that .venv has devgate installed with the extra $1: "dev", or "" for none.
environment() {
    local extra=$1 python
    # What the tests need holds what serving needs.
    local enough=("${extra:+-$extra}" -dev)
    if installed "${enough[@]}" && venv_works; then
        return
    fi
    python=$(python_for_venv) || exit
    lock "$python"
    if ! venv_works; then
        say "making an environment in .venv with $("$python" --version)"
        rm -rf "$venv"
        quietly "$python" -m venv "$venv" || die "making $venv failed; see above."
    fi
    if ! installed "${enough[@]}"; then
        say "installing devgate${extra:+ with what its tests need} into .venv"
        rm -f "$venv"/.installed*
        # Exactly the files whose hashes are in the lock, the build's own tools among them.
        local pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
        (cd "$root" &&
            quietly "${pip[@]}" --require-hashes -r "requirements/${extra:-serve}.txt" &&
            quietly "${pip[@]}" --no-deps --no-build-isolation --editable .) ||
            die "installing into $venv failed; see above."
        stamp_of >"$venv/.installed${extra:+-$extra}"
    fi
    exec 9<&-
}
