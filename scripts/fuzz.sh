#!/usr/bin/env bash
# Runs each fuzz target for FUZZTIME, one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."

go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | while read -r package; do
	dir=$(go list -f '{{.Dir}}' "$package")
	{ grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go || true; } | while read -r _ target; do
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" "$package" </dev/null
	done
done
