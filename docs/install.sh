#!/bin/sh
# Install the project with its pinned dependencies into a virtual environment, saying how far it is.
# Run it through `make demo` or `make test`; its arguments are a Python, the environment's folder,
# and the seconds from one line of progress to the next where there is no terminal.
set -eu

python=$1
venv=$2
every=${3:-30}

install() {
    "$venv/bin/pip" install --disable-pip-version-check -c constraints.txt -e '.[dev]' "$@"
}

# Prints a line now and then until it is killed.
tell() {
    passed=0
    while sleep "$every" > /dev/null 2>&1; do
        passed=$((passed + every))
        echo "still installing after $passed s: $(du -sh "$venv" 2> /dev/null | cut -f 1)B in $venv"
    done
}

echo "installing the project and its pinned dependencies into $venv: some 5.4 GB to download,"
echo "most of them torch and CUDA, which become 6.5 GB there; this is done once"
"$python" -m venv "$venv"
if [ -t 1 ]; then
    install
else
    tell & teller=$!
    trap 'kill "$teller"' EXIT
    trap 'exit 130' INT TERM
    install --quiet
fi
echo "installed into $venv"
