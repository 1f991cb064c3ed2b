package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadLog(t *testing.T) {
	at := func(clock string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, "2025-05-29T"+clock+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	text := `time=2025-05-29T16:00:00Z level=INFO msg="serving, no ERROR" addr=127.0.0.1:8080
time=2025-05-29T16:00:01.5Z level=ERROR msg="request \"a\" failed" id=17 after=3ms
time=2025-05-29T13:00:02-03:00 level=ERROR msg="request \"a\" failed" id=9 after=12ms
{"time":"2025-05-29T16:00:03Z","level":"WARN","msg":"slow","err":"disk"}
{"time":"2025-05-29T16:00:03Z","level":"DEBUG","msg":"error"}
2025-05-29 16:00:04,250 - server - ERROR - accept: too many open files
  at an interesting place
OSError: [Errno 24] Too many open files
pymongo.errors.AutoReconnect: host:10260: [Errno 24] Too many open files
{ cut
panic: runtime error: index out of range [3] with length 3
level=WARN msg=bare`
	got, err := readLog(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := Log{Lines: 12, Groups: []LogGroup{
		{Level: "ERROR", Message: `request \"a\" failed id=17 after=3ms`, Count: 2, First: at("16:00:01.5"), Last: at("16:00:02")},
		{Level: "WARN", Message: "slow: disk", Count: 1, First: at("16:00:03"), Last: at("16:00:03")},
		{Level: "ERROR", Message: "- server - ERROR - accept: too many open files", Count: 1, First: at("16:00:04.25"), Last: at("16:00:04.25")},
		{Level: "ERROR", Message: "OSError: [Errno 24] Too many open files", Count: 1, First: at("16:00:04.25"), Last: at("16:00:04.25")},
		{Level: "ERROR", Message: "pymongo.errors.AutoReconnect: host:10260: [Errno 24] Too many open files", Count: 1, First: at("16:00:04.25"), Last: at("16:00:04.25")},
		{Level: "ERROR", Message: "panic: runtime error: index out of range [3] with length 3", Count: 1, First: at("16:00:04.25"), Last: at("16:00:04.25")},
		{Level: "WARN", Message: "bare", Count: 1, First: at("16:00:04.25"), Last: at("16:00:04.25")},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := got.sum(aboutDescriptors); got.Count != 3 || got.Message != want.Groups[2].Message {
		t.Errorf("about descriptors: %+v, want 3 lines, the earliest first", got)
	}
}

// A log has no bound; what is kept of it has.
func TestReadLogIsBounded(t *testing.T) {
	var b strings.Builder
	for i := range maxLogGroups + 50 {
		fmt.Fprintf(&b, "level=ERROR msg=%s%s\n", strings.Repeat("x", i+1), strings.Repeat("é", maxLogLine))
	}
	got, err := readLog(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Groups) != maxLogGroups || got.Other != 50 || got.Lines != maxLogGroups+50 {
		t.Errorf("%d groups and %d other of %d lines, want %d, 50 and %d", len(got.Groups), got.Other, got.Lines, maxLogGroups, maxLogGroups+50)
	}
	if n := len(got.Groups[0].Message); n > maxMessage+len("…") {
		t.Errorf("a message of %d bytes was kept", n)
	}
}

func TestReadLogMasksKeys(t *testing.T) {
	got, err := readLog(strings.NewReader("level=ERROR msg=denied key=lmb_0123456789abcdefABCD9164\n"))
	if err != nil || len(got.Groups) != 1 || got.Groups[0].Message != "denied key=lmb_*****9164" {
		t.Errorf("readLog = %+v, %v", got, err)
	}
}

func FuzzReadLog(f *testing.F) {
	f.Add("time=2025-05-29T16:00:00Z level=ERROR msg=\"a \\\" b\" c=d\n")
	f.Add("{\"time\":\"2025-05-29T16:00:03Z\",\"level\":\"WARN\",\"msg\":\"slow\"}\r\n")
	f.Add("2025-05-29 16:00:04,250 ERROR \xff\xfe\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := readLog(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if bad := l.Errors() + l.Warnings() + l.Other; bad > l.Lines {
			t.Errorf("%d bad lines of %d", bad, l.Lines)
		}
	})
}
