package static

import (
	"os"
	"testing"
)

// tableOf reads the table.
func tableOf(t testing.TB) []byte {
	t.Helper()
	file, err := os.ReadFile("table.bin")
	if err != nil {
		t.Skip("there is no table: ", err)
	}
	return file
}
