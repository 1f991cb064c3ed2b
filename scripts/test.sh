#!/usr/bin/env bash
# Runs every test under the race detector, which needs cgo and a C compiler. Ends
# with one line of summary. Arguments go to "go test".
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=1
# The race detector lets each process sleep for a second before it exits; the
# scripts of cmd/lembra start some hundred and fifty.
export GORACE="atexit_sleep_ms=0 ${GORACE:-}"

started=$SECONDS
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# What "go vet" checks is for "make lint". The tag has Pebble compress as it does
# without cgo, by Go code: what is tested is what ships, and no C is compiled.
status=0
go test -race -vet off -tags pebblegozstd -timeout 5m "$@" ./... 2>&1 | tee "$log" || status=$?

count() { grep -Ec "$1" "$log" || true; }
printf '%s: %d packages passed, %d failed, %d without tests, in %d s\n' \
	"$([ "$status" = 0 ] && echo PASS || echo FAIL)" \
	"$(count $'^ok  \t')" "$(count $'^FAIL\t')" "$(count 'no test files')" \
	$((SECONDS - started))
exit "$status"
