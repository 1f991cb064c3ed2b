package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"pgregory.net/rapid"
)

func load(t *testing.T, yaml string, environment []string, args ...string) (Config, error) {
	t.Helper()
	path := ""
	if yaml != "" {
		path = filepath.Join(t.TempDir(), "lembra.yaml")
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	serveFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadConfig(flags, environment, path)
}

func TestConfigOrder(t *testing.T) {
	c, err := load(t, "", nil)
	if err != nil || c != defaultConfig() {
		t.Errorf("without anything: %+v, %v", c, err)
	}
	c, err = load(t, "ranking: {disable: [pairs, session]}\naddr: '127.0.0.1:1'\ndata: file\nvector_weight: 1\nlog: {level: debug}\nadmission: {work: 5}\ndisk_reserve: 67108864\n",
		[]string{"LEMBRA_DATA=env", "LEMBRA_LOG_LEVEL=warn", "LEMBRA_URL=x", "LEMBRA_API_KEY=k", "LEMBRA_TIMEOUTS_DRAIN=90s", "LEMBRA_VECTOR_WEIGHT=", "HOME=/"},
		"--log-level", "error", "--shelf-memory", "1.5GiB")
	want := defaultConfig()
	want.Addr, want.Data, want.VectorWeight, want.Admission.Work = "127.0.0.1:1", "env", 1, 5
	want.Log.Level, want.Timeouts.Drain, want.ShelfMemory, want.DiskReserve = "error", 90*time.Second, 3<<29, 64<<20
	want.Ranking.Disable = "pairs session"
	if err != nil || c != want {
		t.Errorf("got %+v, %v\nwant %+v", c, err, want)
	}
}

// A setting may be written as the README and the help name it.
func TestDottedNames(t *testing.T) {
	c, err := load(t, "# all of it\n---\nlimits.batch_max: 7\nlimits:\n  page_max: 8\n", nil)
	if err != nil || c.Limits.BatchMax != 7 || c.Limits.PageMax != 8 {
		t.Errorf("%+v, %v", c.Limits, err)
	}
}

// Whatever is wrong is an error that names the setting.
func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		yaml string
		env  string
		want string
	}{
		{"addr: 127.0.0.1:9\n---\nbogus: 1\n", "", "several YAML documents"},
		{"adr: x", "", `unknown setting "adr": did you mean "addr"?`},
		{"limits: {batchmax: 1}", "", `did you mean "limits.batch_max"?`},
		{"log: debug", "", `unknown setting "log"`},
		{"addr:", "", "addr has no value"},
		{"addr: a\naddr: b", "", "already defined"},
		{"addr: [1", "", "lembra.yaml"},
		{"addr: 8080", "", "addr"},
		{"addr: localhost", "", `addr: "localhost" is no address`},
		{"addr: 'localhost:http'", "", "addr: "},
		{"data: ''", "", "data: must name a folder"},
		{"", "LEMBRA_BATCH=1", "unknown environment variable LEMBRA_BATCH"},
		{"", "LEMBRA_LIMITS_BATCH_MAX=many", `"many" is no whole number`},
		{"limits: {batch_max: 1.5}", "", "1.5 is no whole number"},
		{"limits: {batch_max: true}", "", "limits.batch_max"},
		{"limits: {batch_max: 0}", "", "limits.batch_max: must be at least 1"},
		{"limits: {content_bytes_max: 8MiB}", "", "limits.body_bytes_max: must not be less than limits.content_bytes_max (8MiB)"},
		{"limits: {bodies_bytes_max: 1}", "", "limits.bodies_bytes_max: must not be less"},
		{"timeouts: {request: 30}", "", "30 is no duration"},
		{"timeouts: {drain: -1s}", "", "timeouts.drain: must be at least 1ms"},
		{"shelf_memory: lots", "", `"lots" is no number of bytes`},
		{"shelf_memory: 1MiB", "", "shelf_memory: must be at least 16MiB"},
		{"disk_reserve: 1MiB", "", "disk_reserve: must not be less than delete_reserve (64MiB)"},
		{"delete_reserve: 0", "", "delete_reserve: must be at least"},
		{"vector_weight: 2", "", "vector_weight: must be between 0 and 1"},
		{"vector_weight: .nan", "", "vector_weight: must be between 0 and 1"},
		{"ranking: {disable: pears}", "", `ranking.disable: list of rules: "pears" is no rule: use neighbours, session, pairs`},
		{"ranking: {disable: [pairs, 3]}", "", `"3" is no rule`},
		{"", "LEMBRA_RANKING_DISABLE=all,x", `"x" is no rule`},
		{"embedding_model: gpt", "", `embedding_model: "gpt" is unknown: use lembra-static-1 or lembra-hash-1`},
		{"log: {level: loud}", "", `log.level: "loud" is unknown`},
		{"log: {format: xml}", "", `log.format: "xml" is unknown`},
		{"tls_cert: cert.pem", "", "tls_cert: works together with tls_key alone"},
		{"", "LEMBRA_TLS_KEY=key.pem", "tls_cert: works together with tls_key alone"},
		{"limits: {key_requests_burst: -1}", "", "limits.key_requests_burst: must be at least 0"},
		{"connections_max: 0", "", "connections_max: must be at least 1"},
	} {
		_, err := load(t, c.yaml, []string{c.env})
		if _, usage := errors.AsType[*usageError](err); !usage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want %s", c.yaml, c.env, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "decoding failed") {
			t.Errorf("%s: %v", c.yaml, err)
		}
	}
	if _, err := loadConfig(pflag.NewFlagSet("", 0), nil, "nowhere.yaml"); err == nil || !strings.Contains(err.Error(), "nowhere.yaml") {
		t.Errorf("no file: %v", err)
	}
}

func TestSize(t *testing.T) {
	for s, want := range map[string]Size{
		"0": 0, "7": 7, "7B": 7, "1kB": 1000, "1KiB": 1024, "1kib": 1024, "1.5 MiB": 3 << 19, "4GB": 4e9, "2TiB": 2 << 40,
	} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "B", "MiB", "-1", "1.5", "1XB", "NaN", "9999999999TiB", "1 2"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q is %d, want an error", s, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		want := Size(rapid.Int64Range(0, 1<<50).Draw(t, "size"))
		if got, err := parseSize(want.String()); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", want, got, err, want)
		}
	})
}

func TestExpiry(t *testing.T) {
	now := time.Date(2026, 1, 31, 9, 0, 0, 5, time.UTC)
	for s, want := range map[string]time.Time{
		"": {}, "90d": now.Truncate(time.Second).AddDate(0, 0, 90), "12h": now.Truncate(time.Second).Add(12 * time.Hour),
		"2027-01-31T09:00:00Z": time.Date(2027, 1, 31, 9, 0, 0, 0, time.UTC),
	} {
		if got, err := parseExpiry(s, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"0d", "-3d", "d", "1.5d", "99999999d", "soon", "-1h"} {
		if got, err := parseExpiry(s, now); err == nil {
			t.Errorf("%q is %v, want an error", s, got)
		}
	}
}

func TestOutput(t *testing.T) {
	if got := printable(" a\tb\n\x1b[31m\u202ec  \u0000d"); got != "a b [31mc d" {
		t.Errorf("printable: %q", got)
	}
	for s, want := range map[string]string{"abcdef": "abcdef", "abcdefg": "abcde…", "日本語": "日本語", "日本語あ": "日本…", "e\u0301tes-vous": "e\u0301tes-…"} {
		if got := truncate(s, 6); got != want {
			t.Errorf("%s cut to 6 columns: %s, want %s", s, got, want)
		}
	}
}
