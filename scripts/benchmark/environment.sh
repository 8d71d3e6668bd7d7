# shellcheck shell=bash
# Sourced by scripts/bench and scripts/soak after scripts/common.sh: an environment of the bench's
# own, so that a peer's libraries never become the product's. It holds what devgate depends on;
# devgate itself is run from this tree, uninstalled. Sets $bench_python and PYTHONPATH.

bench_venv=$root/.venv-bench
bench_python=$bench_venv/bin/python

# What devgate depends on, a line each. Fails if the environment's Python does not work.
dependencies() {
    "$bench_python" - "$root/pyproject.toml" 2>/dev/null <<'PY'
import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    print(*tomllib.load(file)["project"]["dependencies"], sep="\n")
PY
}

# Written last, so that a half-made environment is made anew.
bench_stamp=$bench_venv/installed

if ! dependencies | cmp -s - "$bench_stamp"; then
    python=$(python_for_venv) || exit
    say "making an environment in .venv-bench with $("$python" --version)"
    rm -rf "$bench_venv"
    quietly "$python" -m venv "$bench_venv" || die "making $bench_venv failed; see above."
    echo '*' >"$bench_venv/.gitignore"
    dependencies >"$bench_venv/requirements.txt"
    pip=("$bench_python" -m pip install --quiet --disable-pip-version-check)
    quietly "${pip[@]}" --requirement "$bench_venv/requirements.txt" ||
        die "installing devgate's dependencies into $bench_venv failed; see above."
    quietly "${pip[@]}" uvloop || say "uvloop cannot be installed and is left out; see above."
    cp "$bench_venv/requirements.txt" "$bench_stamp"
fi
export PYTHONPATH=$root/scripts:$root
# Compiled once, as an installed gateway is, also where the environment says not to write bytecode:
# otherwise each start of a gateway would take the compiler's time, too.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$bench_venv/bytecode
