#!/bin/sh
# A whole search on this machine's CPU: create a study, let two workers search, retrain the best
# configuration over 3 seeds, report. Run it through `make demo`; its one argument names the study.
set -eu

study=$1

show() {
    echo
    echo "\$ $*"
    "$@"
}

two_workers() {
    echo
    echo "\$ histsearch worker --device cpu --drain --study $1    (two of them)"
    histsearch worker --device cpu --drain --study "$1" & first=$!
    histsearch worker --device cpu --drain --study "$1" & second=$!
    trap 'kill -INT "$first" "$second"; wait; exit 130' INT TERM
    wait "$first"
    wait "$second"
    trap - INT TERM
}

show histsearch study create demo --name "$study"
two_workers "$study"
show histsearch retrain "$study" --seeds 3
two_workers "$study-retrain"
show histsearch report "$study" --out demo-report

echo
echo "open the dashboard: .venv/bin/histsearch dashboard, then the address that it prints"
