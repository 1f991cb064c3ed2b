package observe

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestLogger(t *testing.T) {
	for _, c := range []struct{ level, format, wants string }{
		{"info", "text", "msg=hello"},
		{"WARN", "JSON", ""},
		{"debug", "json", `"msg":"hello"`},
	} {
		var b bytes.Buffer
		l, err := NewLogger(&b, c.level, c.format)
		if err != nil {
			t.Fatal(err)
		}
		l.Info("hello")
		if got := b.String(); !strings.Contains(got, c.wants) || c.wants == "" && got != "" {
			t.Errorf("%s %s: %q, want %q", c.level, c.format, got, c.wants)
		}
	}
	for _, c := range []struct{ level, format string }{{"loud", "text"}, {"info", "xml"}, {"", "text"}} {
		if _, err := NewLogger(&bytes.Buffer{}, c.level, c.format); err == nil || !strings.Contains(err.Error(), "use ") {
			t.Errorf("%v: got %v, want an error that names the choices", c, err)
		}
	}
}

func TestRegistry(t *testing.T) {
	r, err := NewRegistry("1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	for _, want := range []string{"lembra_info", "process_open_fds", "process_max_fds", "go_goroutines"} {
		if !names[want] {
			t.Errorf("no metric %s", want)
		}
	}
}

func TestDescriptors(t *testing.T) {
	before, err := ReadDescriptors()
	if err != nil {
		t.Fatal(err)
	}
	for range 7 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
	}
	for range 3 { // counting leaves none open
		after, err := ReadDescriptors()
		if err != nil {
			t.Fatal(err)
		}
		if after.Open != before.Open+7 {
			t.Errorf("%d open, want %d", after.Open, before.Open+7)
		}
	}
	limit, err := RaiseDescriptorLimit()
	if err != nil || limit < before.Limit || before.Limit == 0 {
		t.Errorf("limit %d, before %d, %v", limit, before.Limit, err)
	}
}

func TestMemory(t *testing.T) {
	const meminfo = "MemTotal:        8000000 kB\nMemFree: 1 kB\n"
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for name, c := range map[string]struct {
		root fstest.MapFS
		want uint64
	}{
		"machine":           {fstest.MapFS{}, 8_192_000_000},
		"version 2, none":   {fstest.MapFS{"sys/fs/cgroup/memory.max": file("max\n")}, 8_192_000_000},
		"version 2, root":   {fstest.MapFS{"sys/fs/cgroup/memory.max": file("1000000\n")}, 1_000_000},
		"version 1, none":   {fstest.MapFS{"sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n")}, 8_192_000_000},
		"version 1":         {fstest.MapFS{"sys/fs/cgroup/memory/memory.limit_in_bytes": file("500\n")}, 500},
		"version 2, parent": {fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/memory.max": file("70\n"), "sys/fs/cgroup/a/b/memory.max": file("90\n")}, 70},
		"version 1, group":  {fstest.MapFS{"proc/self/cgroup": file("4:memory:/a\n3:cpu:/x\n"), "sys/fs/cgroup/memory/a/memory.limit_in_bytes": file("70\n")}, 70},
	} {
		t.Run(name, func(t *testing.T) {
			c.root["proc/meminfo"] = file(meminfo)
			got, err := memoryOf(c.root)
			if err != nil || got != c.want {
				t.Errorf("got %d, %v; want %d", got, err, c.want)
			}
		})
	}
	for _, bad := range []string{"", "MemTotal: many kB\n", "MemTotal: 99999999999999999999 kB\n"} {
		if _, err := memoryOf(fstest.MapFS{"proc/meminfo": file(bad)}); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
	if n, err := Memory(); err != nil || n < 64<<20 {
		t.Errorf("this machine has %d bytes, %v", n, err)
	}
}
