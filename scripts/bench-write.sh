#!/usr/bin/env bash
# Measures durable POST /memorize against the bare server, which commits as many
# bytes for each request and does nothing else. Both in turn, ROUNDS times,
# because machines are noisy; the table has the medians. At the end of each run
# the tenant must hold as many memories as there were 200s, plus at most one for
# each connection (under way when wrk stopped).
#
# ROUNDS, SECONDS_EACH, WARMUP, CONNECTIONS, THREADS and PORT can be set; so can
# RECORD_BYTES, by default what Lembra was seen to commit for a memory.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${ROUNDS:-4}
seconds=${SECONDS_EACH:-15}
warmup=${WARMUP:-3}
connections=${CONNECTIONS:-1000}
threads=${THREADS:-2}
port=${PORT:-18080}
url=http://127.0.0.1:$port
record_bytes=${RECORD_BYTES:-}

for tool in wrk curl; do
	command -v $tool >/dev/null && continue
	[ "$(id -u)" = 0 ] || { echo "$tool is missing: apt-get install $tool" >&2; exit 1; }
	apt-get update -q >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $tool >&2
done
[ -x bin/lembra ] || { echo 'bin/lembra is missing: run "make build"' >&2; exit 1; }

mkdir -p tmp # on the checkout's disk; /tmp may be memory
work=$(mktemp -d tmp/bench-write.XXXXXX)
server=
stop() {
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
		server=
	fi
	rm -rf "$work/data"
}
trap 'stop; rm -rf "$work"' EXIT

start() { # command…
	bin/lembra "$@" >"$work/log" 2>&1 &
	server=$!
	for _ in $(seq 200); do
		curl -fs -o /dev/null "$url/livez" && return
		kill -0 "$server" 2>/dev/null || break
		sleep 0.05
	done
	echo "lembra $1 does not answer on $url:" >&2
	cat "$work/log" >&2
	exit 1
}

# ticks is the processor time that the server has taken.
ticks() { awk '{print $14 + $15}' "/proc/$server/stat"; }

# load runs wrk and sets requests (those answered with 2xx), rate, and cpu: the
# server's microseconds a request.
load() { # path duration arguments…
	local path=$1 duration=$2 refused before
	shift 2
	before=$(ticks)
	wrk -c "$connections" -t "$threads" -d "$duration" --timeout 10s "$@" >"$work/wrk" 2>&1 || { cat "$work/wrk" >&2; exit 1; }
	refused=$(awk '/Non-2xx/ {print $NF}' "$work/wrk")
	requests=$(awk '/requests in/ {print $1}' "$work/wrk")
	rate=$(awk -v bad="${refused:-0}" -v all="$requests" '/Requests\/sec/ {printf "%.0f", $2 * (all - bad) / all}' "$work/wrk")
	requests=$((requests - ${refused:-0}))
	cpu=$(awk -v t=$(($(ticks) - before)) -v hz="$(getconf CLK_TCK)" -v n="$requests" 'BEGIN {printf "%.0f", t / hz * 1e6 / (n ? n : 1)}')
	if [ -n "$refused" ] || grep -q 'Socket errors' "$work/wrk"; then
		echo "  $path: $(grep -E 'Non-2xx|Socket errors' "$work/wrk" | tr -s ' ' | tr '\n' ';')" >&2
	fi
}

memorize() { load /memorize "$1" -s scripts/memorize.lua "$url" -- "$2" "$3" "$4"; }

metric() { curl -fs "$url/metrics" | awk -v name="$1" '$1 == name {printf "%.0f\n", $2}'; }
total() { curl -fs -H "X-API-Key: $key" "$url/tenants/default/stats" | grep -o '"total_memories":[0-9]*' | grep -o '[0-9]*$'; }

# note keeps a rate and the processor time under a name, and says them.
note() { # name rate cpu remark
	echo "$2" >>"$work/$1"
	echo "$3" >>"$work/$1.cpu"
	printf '%-12s %8s/s  %4s us of CPU  %s\n' "$1" "$2" "$3" "${4:-}" >&2
}

bare() { # name bytes seed
	start bench-bare --addr "127.0.0.1:$port" --data "$work/data" --bytes "$2"
	memorize "$warmup" "$3" 1 none
	memorize "$seconds" "$(($3 + 1))" 1 none
	stop
	note "$1" "$rate" "$cpu" "$2 bytes a commit"
}

lembra() { # name agents seed
	local before after commits records extra acknowledged
	start serve --addr "127.0.0.1:$port" --data "$work/data"
	key=$(cat "$work/data/default.key")
	memorize "$warmup" "$3" "$2" "$key"
	sleep 0.3 # what the warm-up left under way is stored
	before=$(total)
	commits=$(metric lembra_store_commit_bytes_sum) records=$(metric lembra_store_records_total)
	memorize "$seconds" "$(($3 + 1))" "$2" "$key"
	after=$(total)
	commits=$(($(metric lembra_store_commit_bytes_sum) - commits))
	records=$(($(metric lembra_store_records_total) - records))
	acknowledged=$requests extra=$((after - before - requests))
	if [ "$2" = 1 ]; then
		local answered=$rate spent=$cpu
		load /livez "$seconds" "$url/livez"
		note livez "$rate" "$cpu"
		rate=$answered cpu=$spent
	fi
	stop
	committed=$((commits / records))
	echo "$committed" >>"$work/$1.bytes"
	note "$1" "$rate" "$cpu" "$committed bytes a memory; $acknowledged times 200, $((after - before)) memories more: $extra were under way"
	if [ "$extra" -lt 0 ] || [ "$extra" -gt "$connections" ]; then
		echo "the count is wrong: $acknowledged acknowledged, $((after - before)) there" >&2
		exit 1
	fi
}

median() { sort -n "$work/$1" | awk '{v[NR] = $1} END {printf "%.0f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2}'; }
row() { printf '| %s | %s | %s | %s | %s |\n' "$1" "$(median "$2")" "$(paste -sd/ "$work/$2")" "$(median "$2.cpu")" "$3"; }
ratio() { printf '| %s | %s | | | |\n' "$1" "$(awk -v a="$(median "$2")" -v b="$(median "$3")" 'BEGIN {printf "%.2f", a / b}')"; }

for round in $(seq "$rounds"); do
	seed=$((round * 100))
	bare bare-300 300 $((seed + 10))
	lembra lembra-1 1 $((seed + 20))
	record_bytes=${record_bytes:-$committed}
	bare bare-record "$record_bytes" $((seed + 30))
	lembra lembra-1000 1000 $((seed + 40))
done

echo
echo "Durable POST /memorize, $connections connections, memories of 300 bytes, $(nproc) cores shared with wrk:"
echo
echo '| | requests/s | each run | server CPU a request, µs | bytes committed a request |'
echo '|---|---|---|---|---|'
row 'bare server, 300-byte commits' bare-300 300
row "bare server, commits of Lembra's size" bare-record "$record_bytes"
row 'lembra, 1 agent' lembra-1 "$(median lembra-1.bytes)"
row 'lembra, 1,000 agents' lembra-1000 "$(median lembra-1000.bytes)"
row 'lembra, GET /livez' livez –
ratio "1 agent / bare server, Lembra's size" lembra-1 bare-record
ratio "1,000 agents / bare server, Lembra's size" lembra-1000 bare-record
ratio '1 agent / bare server, 300 bytes' lembra-1 bare-300
ratio '1,000 agents / bare server, 300 bytes' lembra-1000 bare-300
