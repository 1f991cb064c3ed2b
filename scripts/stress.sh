#!/usr/bin/env bash
# The stress test: a server of its own on a fresh data folder, with its default
# store and every write synced, under the seed's ramp to STRESS_VUS=25000 users
# of one agent; then the report of it, in both languages. The exit code is that
# of "lembra bench".
#
# STRESS_OUT (the run folder), STRESS_PORT and STRESS_VUS can be set; so can
#   STRESS_DESCRIPTORS  the server's limit of open files, such as 1024
#   STRESS_ARGS         more arguments for "lembra bench", such as --no-probe
#   STRESS_REPORT       where the reports go: STRESS_REPORT.pt-BR.md and .en.md
set -euo pipefail
cd "$(dirname "$0")/.."

port=${STRESS_PORT:-18080}
out=${STRESS_OUT:-runs/stress-$(date +%Y%m%d-%H%M%S)}
report=${STRESS_REPORT:-$out/report}

for tool in lembra k6; do
	[ -x bin/$tool ] || { echo "bin/$tool is missing: run \"make build k6\"" >&2; exit 2; }
done

mkdir -p tmp # on the checkout's disk; /tmp may be memory
work=$(mktemp -d tmp/stress.XXXXXX)
server=
stop() {
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap stop EXIT
# A Ctrl-C is for "lembra bench", which ends its run in order.
trap : INT

limit=()
[ -z "${STRESS_DESCRIPTORS:-}" ] || limit=(prlimit --nofile="$STRESS_DESCRIPTORS:$STRESS_DESCRIPTORS")
setsid "${limit[@]}" bin/lembra serve --addr "127.0.0.1:$port" --data "$work/data" >"$work/log" 2>&1 &
server=$!
url=http://127.0.0.1:$port
for _ in $(seq 100); do
	bin/lembra health --url "$url" >/dev/null 2>&1 && break
	kill -0 "$server" 2>/dev/null || break
	sleep 0.1
done
bin/lembra health --url "$url" || { cat "$work/log" >&2; exit 2; }

code=0
# shellcheck disable=SC2086 # several arguments
LEMBRA_DATA=$work/data bin/lembra bench stress-memorize --url "$url" --vus "${STRESS_VUS:-25000}" \
	--out "$out" --server-log "$work/log" ${STRESS_ARGS:-} || code=$?

if [ -f "$out/run.json" ]; then
	mkdir -p "$(dirname "$report")"
	for language in pt-BR en; do
		bin/lembra report "$out" --lang "$language" --out "$report.$language.md" || true # its exit code is bench's
		echo "$report.$language.md"
	done
fi
exit "$code"
