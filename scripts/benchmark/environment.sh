# shellcheck shell=bash
# Sourced by scripts/bench and scripts/soak after scripts/common.sh: an environment of the bench's
# own, so that a peer's libraries never become the product's. It holds what devgate depends on;
# devgate itself is run from this tree, uninstalled. Sets $bench_python and PYTHONPATH.

bench_venv=$root/.venv-bench
bench_python=$bench_venv/bin/python

# It was finished, for these dependencies, and its Python still works.
bench_venv_suits() {
    cmp -s "$root/pyproject.toml" "$bench_venv/pyproject.toml" && "$bench_python" -c '' 2>/dev/null
}

if ! bench_venv_suits; then
    python=$(python_for_venv) || exit
    say "making an environment in .venv-bench with $("$python" --version)"
    rm -rf "$bench_venv"
    quietly "$python" -m venv "$bench_venv" || die "making $bench_venv failed; see above."
    echo '*' >"$bench_venv/.gitignore"
    "$bench_python" - "$root/pyproject.toml" >"$bench_venv/requirements.txt" <<'PY'
import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    print(*tomllib.load(file)["project"]["dependencies"], sep="\n")
PY
    pip=("$bench_python" -m pip install --quiet --disable-pip-version-check)
    quietly "${pip[@]}" --requirement "$bench_venv/requirements.txt" ||
        die "installing devgate's dependencies into $bench_venv failed; see above."
    quietly "${pip[@]}" uvloop || say "uvloop cannot be installed and is left out; see above."
    cp "$root/pyproject.toml" "$bench_venv/pyproject.toml"
fi
export PYTHONPATH=$root/scripts:$root
