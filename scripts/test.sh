#!/usr/bin/env bash
# Vets everything and runs every test under the race detector, which needs cgo
# and a C compiler. Ends with one line of summary. Arguments go to "go test".
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=1

started=$SECONDS
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# With -race here too, the packages are compiled once for both commands.
go vet -race ./...

status=0
go test -race -timeout 5m "$@" ./... 2>&1 | tee "$log" || status=$?

count() { grep -Ec "$1" "$log" || true; }
printf '%s: %d packages passed, %d failed, %d without tests, in %d s\n' \
	"$([ "$status" = 0 ] && echo PASS || echo FAIL)" \
	"$(count $'^ok  \t')" "$(count $'^FAIL\t')" "$(count 'no test files')" \
	$((SECONDS - started))
exit "$status"
