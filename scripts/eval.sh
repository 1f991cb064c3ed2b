#!/usr/bin/env bash
# Measures recall on the labelled sets in EVAL_DATA=../shared/data, which are no
# part of this project, and prints a report of each evaluation and a table of
# all. Where a set is not there, it is skipped, and said so.
#
# Each evaluation has a server of its own with the settings of "lembra serve", so
# LEMBRA_… variables try others. What was ranked, the reports and plots lie in
# EVAL_OUT=runs/eval; EVAL_BASELINE names the folder of an earlier one to compare
# with.
set -euo pipefail
cd "$(dirname "$0")/.."

data=${EVAL_DATA:-../shared/data}
out=${EVAL_OUT:-runs/eval}
baseline=${EVAL_BASELINE:-}

[ -x bin/lembra ] || { echo 'bin/lembra is missing: run "make build"' >&2; exit 2; }
[ "$baseline" != "$out" ] || { echo "EVAL_BASELINE is EVAL_OUT ($out), which is written: move it" >&2; exit 2; }
mkdir -p "$out"
rows=()

# measure evaluates, prints the report, and adds a row of one measure to the
# table, with the difference from the same evaluation in EVAL_BASELINE, or else
# from the one of this time that $against names. Columns of a report are two
# spaces apart.
measure() { # name measure what arguments…
	local name=$1 measure=$2 what=$3 compared=() label=
	shift 3
	if [ -n "$baseline" ] && [ -f "$baseline/$name.jsonl" ]; then
		compared=(--baseline "$baseline/$name.jsonl") label="$baseline: "
	elif [ -n "${against:-}" ]; then
		compared=(--baseline "$out/$against.jsonl") label="$against: "
	fi
	bin/lembra eval "$@" --measure "$measure" --out "$out/$name.jsonl" --svg "$out/$name.svg" "${compared[@]}" >"$out/$name.txt"
	printf '\n## %s\n\n' "$what"
	cat "$out/$name.txt"
	rows+=("$(awk -F '  +' -v what="$what" -v measure="$measure" -v label="$label" '
		$1 == "MEASURE" {for (i = 1; i <= NF; i++) column[$i] = i}
		$1 == "questions" {questions = $2}
		$1 == measure && !row {
			apart = "ADVERSARIAL" in column ? $column["ADVERSARIAL"] : ""
			difference = "BASELINE" in column ? label $5 " " $6 : ""
			row = sprintf("| %s | %d | %s | %s | %s | %s | %s |", what, questions, measure, $2, $3, apart, difference)
		}
		END {print row}' "$out/$name.txt")")
}

# ablate prints what a measure comes to without each part of the ranking.
ablate() { # name measure what arguments…
	local name=$1 measure=$2 what=$3
	shift 3
	bin/lembra eval "$@" --measure "$measure" --ablate >"$out/$name-without.txt"
	printf '\n## %s, without parts of the ranking\n\n' "$what"
	awk '/^WITHOUT/ {on = 1} /^$/ {on = 0} on' "$out/$name-without.txt"
}

skip() { printf '\n## %s: skipped, %s is not there\n' "$1" "$2"; }

locomo=$data/locomo-dev
if [ -f "$locomo/corpus.jsonl" ]; then
	set=(--corpus "$locomo/corpus.jsonl" --questions "$locomo/questions.jsonl")
	bare='session_id=,speaker=,occurred_at='
	measure conversations-hybrid recall@10 'conversations, hybrid' "${set[@]}"
	measure conversations-lexical recall@10 'conversations, lexical' "${set[@]}" --mode lexical
	ablate conversations-hybrid recall@10 'conversations, hybrid' "${set[@]}"
	ablate conversations-lexical recall@10 'conversations, lexical' "${set[@]}" --mode lexical
	measure conversations-hash recall@10 'conversations, semantic, lembra-hash-1' "${set[@]}" --mode semantic --model lembra-hash-1
	against=conversations-hash measure conversations-semantic recall@10 'conversations, semantic' "${set[@]}" --mode semantic
	measure conversations-one recall@10 'conversations in one agent, hybrid' "${set[@]}" --one-agent
	measure conversations-one-lexical recall@10 'conversations in one agent, lexical' "${set[@]}" --one-agent --mode lexical
	measure conversations-bare recall@10 'conversations without sessions, speakers, dates, hybrid' "${set[@]}" --map "$bare"
	measure conversations-one-bare recall@10 'the same in one agent, hybrid' "${set[@]}" --map "$bare" --one-agent
else
	skip conversations "$locomo"
fi

faquad=$data/faquad-pt/faquad.jsonl
if [ -f "$faquad" ]; then
	set=(--corpus "$faquad" --questions "$faquad")
	for mode in hybrid lexical semantic; do
		measure paragraphs-$mode recall@1 "Portuguese paragraphs, $mode" "${set[@]}" --mode $mode
	done
	ablate paragraphs-hybrid recall@1 'Portuguese paragraphs, hybrid' "${set[@]}"
else
	skip paragraphs "$faquad"
fi

tatoeba=$data/tatoeba-por-eng
if [ -f "$tatoeba/eng.txt" ]; then
	measure translations-pt-en recall@1 'Portuguese sentence, its English translation, hybrid' --corpus "$tatoeba/eng.txt" --questions "$tatoeba/por.txt"
	measure translations-en-pt recall@1 'English sentence, its Portuguese translation, hybrid' --corpus "$tatoeba/por.txt" --questions "$tatoeba/eng.txt"
else
	skip translations "$tatoeba"
fi

[ ${#rows[@]} -gt 0 ] || exit 0
printf '\n## All, in percent\n\n'
echo "| set | questions | measure | value | 95 % | adversarial questions | difference from |"
echo '|---|---|---|---|---|---|---|'
printf '%s\n' "${rows[@]}"
