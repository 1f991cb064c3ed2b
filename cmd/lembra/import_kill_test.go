package main_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lembra"
)

// An import goes on where it was when its server is killed and comes back, and
// stores every line once: those with an id, and those without.
func TestImportSurvivesKill(t *testing.T) {
	const lines = 20_000
	dir := t.TempDir()
	file := filepath.Join(dir, "memories.jsonl")
	var text bytes.Buffer
	for i := range lines {
		id := ""
		if i%4 != 0 {
			id = fmt.Sprintf(`"memory_id":"m%d",`, i)
		}
		fmt.Fprintf(&text, `{"agent_id":"agent-%d",%s"content":"line %d of the log of the harbour"}`+"\n", i%7, id, i)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	addr, data := freeAddr(t), filepath.Join(dir, "data")
	s := startServerAt(t, addr, data)
	s.awaitReady(t)
	args := []string{"import", file, "--url", s.url, "--key", s.key, "--batch", "50"}
	command := exec.Command("lembra", args...)
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	awaitStored(t, s, lines/10)
	s.kill()
	time.Sleep(300 * time.Millisecond) // the import meets no server at all
	s = startServerAt(t, addr, data)
	s.awaitReady(t)
	if n := stored(t, s); n >= lines {
		t.Errorf("%d were stored before the kill: nothing was interrupted", n)
	}
	if err := command.Wait(); err != nil {
		t.Fatalf("import: %v\n%s", err, said.String())
	}
	if want := fmt.Sprintf("%d memories imported: ", lines); !strings.HasPrefix(said.String(), want) {
		t.Errorf("import said %s, want %s", said.String(), want)
	}
	if n := stored(t, s); n != lines {
		t.Errorf("%d memories are stored, want %d", n, lines)
	}
	args[len(args)-1] = "333"
	again, err := exec.Command("lembra", args...).CombinedOutput()
	want := regexp.MustCompile(fmt.Sprintf("^%d memories imported: 0 new, %d already there; 0 lines failed", lines, lines))
	if err != nil || !want.Match(again) {
		t.Errorf("imported again: %v, %s", err, again)
	}
	if n := stored(t, s); n != lines {
		t.Errorf("%d memories are stored after the second import, want %d", n, lines)
	}
	if err := s.terminate(); err != nil {
		t.Error(err)
	}
}

func stored(t *testing.T, s *server) uint64 {
	t.Helper()
	var stats lembra.Stats
	if err := s.send(http.MethodGet, "/tenants/default/stats", nil, nil, &stats); err != nil {
		t.Fatal(err)
	}
	return stats.TotalMemories
}

func awaitStored(t *testing.T, s *server, n uint64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); stored(t, s) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d memories are not stored after a minute", n)
		}
	}
}
