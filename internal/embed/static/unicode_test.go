package static

import (
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Every character's decomposition is that of package norm.
func TestDecompose(t *testing.T) {
	var sc scanner
	for r := range rune(utf8.MaxRune) {
		if !utf8.ValidRune(r) {
			continue
		}
		if got, want := string(sc.decompose(r)), norm.NFD.String(string(r)); got != want {
			t.Errorf("decomposition of %U is %+q, want %+q", r, got, want)
		}
	}
}
