#!/usr/bin/env bash
# Checks that the committed code of every .proto file is what protoc makes of it
# now. Needs protoc; protoc-gen-go comes from bin/, see "make tools". The
# version of protoc itself, which the code mentions, may differ.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
body() { grep -Ev '^// *(-|[[:space:]])*protoc +v' "$1"; }

git ls-files '*.proto' | while read -r proto; do
	dir=$(dirname "$proto")
	protoc --plugin=bin/protoc-gen-go -I "$dir" --go_out="$out" --go_opt=paths=source_relative "$proto"
	name=$(basename "${proto%.proto}").pb.go
	if ! diff -u --label "$dir/$name" --label "made now" <(body "$dir/$name") <(body "$out/$name"); then
		echo "$dir/$name is out of date: run \"make generate\"" >&2
		exit 1
	fi
done
