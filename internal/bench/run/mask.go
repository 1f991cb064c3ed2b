package run

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// How much of a key a mask shows, at most: its end, and a prefix that names
// whose it is.
const (
	maskTail     = 4
	maskPrefix   = 8
	maskWholeMax = 12 // a shorter key shows nothing
)

// MaskKeys replaces the middle of every API key in text: of lmb_… only the
// last four characters stay, as in lmb_*****9164. The keys given, of whatever
// kind, are replaced wherever they stand, also as JSON escapes them.
func MaskKeys(text []byte, keys ...string) []byte {
	for _, key := range keys {
		if key == "" {
			continue
		}
		mask := []byte(MaskKey(key))
		text = bytes.ReplaceAll(text, []byte(key), mask)
		if quoted, err := json.Marshal(key); err == nil {
			text = bytes.ReplaceAll(text, quoted[1:len(quoted)-1], mask)
		}
	}
	key := regexp.MustCompile(`(lmb_)[A-Za-z0-9_-]*([A-Za-z0-9_-]{4})`)
	return key.ReplaceAll(text, []byte("${1}*****${2}"))
}

// MaskKey is what stands for a key: its prefix up to the first underscore, where
// it has a short one, and its last four characters; nothing of a short key.
func MaskKey(key string) string {
	if len(key) < maskWholeMax {
		return "*****"
	}
	prefix, _, found := strings.Cut(key, "_")
	if !found || len(prefix) >= maskPrefix {
		prefix = ""
	} else {
		prefix += "_"
	}
	return prefix + "*****" + key[len(key)-maskTail:]
}
