#!/bin/sh
# A whole search on this machine's CPU: create a study, let two workers search, retrain the best
# configuration and the one that it began with over 5 seeds, report. Run it through `make demo`; its one argument names the study.
set -eu

study=$1

step() {
    echo
    echo "# $1"
}

show() {
    echo "\$ $*"
    "$@"
}

two_workers() {
    echo "\$ histsearch worker --device cpu --drain --study $1    (two of them)"
    histsearch worker --device cpu --drain --study "$1" & first=$!
    histsearch worker --device cpu --drain --study "$1" & second=$!
    trap 'kill -INT "$first" "$second"; wait; exit 130' INT TERM
    wait "$first"
    wait "$second"
    trap - INT TERM
}

step "create a study: some seconds"
show histsearch study create demo --name "$study"
step "search: about two minutes on two CPU cores"
two_workers "$study"
step "queue the winner and the first configuration for retraining over 5 seeds: some seconds"
show histsearch retrain "$study" --baseline first
step "retrain both on all training classes, then test: about three minutes"
two_workers "$study-retrain"
step "report: some seconds"
show histsearch report "$study" --out demo-report

echo
echo "the report: demo-report/report.html"
echo "open the dashboard: .venv/bin/histsearch dashboard, then the address that it prints"
