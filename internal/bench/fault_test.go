package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lembra"
	"lembra/client"
	"lembra/internal/bench/run"
)

// A faulty server has the routes that the conductor needs itself, and faults on
// demand. It is its own transport, so that it also works in a bubble.
type faulty struct {
	mu       sync.Mutex
	memories map[string]string // id -> content
	count    int               // told in statistics beside the memories
	lose     func(id string) bool
	forget   bool // recalls find nothing
	refuse   int  // of so many writes one is refused
	writes   int
	down     bool
}

func newFaulty() *faulty { return &faulty{memories: map[string]string{}} }

func (f *faulty) RoundTrip(q *http.Request) (*http.Response, error) {
	f.mu.Lock()
	down := f.down
	f.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, q)
	return w.Result(), nil
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var body struct {
		Content, Query string
	}
	_ = json.NewDecoder(q.Body).Decode(&body)
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	switch {
	case q.URL.Path == "/memorize":
		if f.writes++; f.refuse > 0 && f.writes%f.refuse == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			answer(map[string]string{"code": "overloaded", "detail": "try again"})
			return
		}
		id := fmt.Sprintf("m%d", len(f.memories)+1)
		f.memories[id] = body.Content
		answer(lembra.Memorized{MemoryID: id, AgentID: "a"})
	case q.URL.Path == "/recall":
		var found []lembra.Result
		for id, content := range f.memories {
			word := body.Query[strings.LastIndex(body.Query, " ")+1:]
			if !f.forget && strings.Contains(content, word) {
				found = append(found, lembra.Result{Memory: lembra.Memory{MemoryID: id}})
			}
		}
		answer(lembra.RecallResponse{Results: found})
	case strings.HasPrefix(q.URL.Path, "/memories/"):
		id := strings.TrimPrefix(q.URL.Path, "/memories/")
		content, ok := f.memories[id]
		if !ok || f.lose != nil && f.lose(id) {
			w.WriteHeader(http.StatusNotFound)
			answer(map[string]string{"code": "not_found"})
			return
		}
		answer(lembra.Memory{MemoryID: id, AgentID: "a", Content: content})
	case strings.HasSuffix(q.URL.Path, "/stats"):
		answer(map[string]int{"total_memories": len(f.memories) + f.count})
	case q.URL.Path == "/health":
		answer(map[string]string{"status": "healthy"})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (f *faulty) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New("http://server", "key", client.WithTransport(f), client.WithAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The probe finds what was stored a second before; it notices a server that
// forgets, and one that is gone.
func TestProbe(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*faulty)
		want  run.ProbeSummary
	}{
		"well":    {func(*faulty) {}, run.ProbeSummary{Asked: 10, Found: 10}},
		"forgets": {func(f *faulty) { f.forget = true }, run.ProbeSummary{Asked: 10, Missed: 10}},
		"down":    {func(f *faulty) { f.down = true }, run.ProbeSummary{Asked: 10, Failed: 10, Unstored: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFaulty()
				c.fault(f)
				start := time.Now()
				p := newProber(f.client(t), "a", "s", time.Second, start)
				ctx, cancel := context.WithTimeout(t.Context(), 11100*time.Millisecond)
				defer cancel()
				if err := p.run(ctx); err != nil {
					t.Error(err)
				}
				got := *p.summary()
				if name == "down" {
					c.want.Asked, c.want.Failed, c.want.Unstored = 11, 11, 11 // it does not wait for the next second
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				if probe, ok := p.at(5); !ok || probe.Found != (name == "well") {
					t.Errorf("second 5: %+v, %t", probe, ok)
				}
			})
		})
	}
}

// What was acknowledged and is gone is named; a count that is wrong is not
// exact, unless answers are outstanding.
func TestVerify(t *testing.T) {
	for name, c := range map[string]struct {
		fault      func(*faulty)
		unanswered int64
		exact      bool
		missing    []string
	}{
		"well":             {fault: func(*faulty) {}, exact: true},
		"lost":             {fault: func(f *faulty) { f.lose = func(id string) bool { return id == "m7" } }, missing: []string{"m7"}},
		"too few":          {fault: func(f *faulty) { f.count-- }},
		"too many":         {fault: func(f *faulty) { f.count++ }},
		"answers missing":  {fault: func(f *faulty) { f.count++ }, unanswered: 2, exact: true},
		"gone after count": {fault: func(f *faulty) { f.lose = func(string) bool { f.down = true; return false } }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFaulty()
			r := newReports(nil)
			for i := range 300 {
				id := fmt.Sprintf("m%d", i+1)
				f.memories[id] = "x"
				r.line("A " + id)
			}
			c.fault(f)
			con := &conductor{Config: Config{VerifyAll: true, Script: "memorize", AgentID: "a"}, reports: r, client: f.client(t)}
			con.result.Server.StatsBefore = json.RawMessage(`{"total_memories":0}`)
			con.result.Server.StatsAfter = fmt.Appendf(nil, `{"total_memories":%d}`, 300+f.count)
			total := snapshot{counters: map[series]float64{{metric: metricRequests, name: routeMemorize, expected: "true"}: 300}}
			v := con.verify(t.Context(), &total, c.unanswered)
			if v.Exact() != c.exact {
				t.Errorf("exact %t, want %t: %+v", v.Exact(), c.exact, v)
			}
			if diff := cmp.Diff(c.missing, v.MissingIDs); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
			if name == "gone after count" && !strings.Contains(v.Error, "could not be read back") {
				t.Errorf("error %q", v.Error)
			}
		})
	}
}

// fakeK6 is a shell script that passes for k6's version, and does something
// else for the rest.
func fakeK6(t *testing.T, rest string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "k6")
	script := "#!/bin/sh\nif [ \"$1\" = version ]; then echo 'k6 v1.8.0 (go1.26)'; exit; fi\n" + rest + "\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func config(t *testing.T, url, k6 string) Config {
	t.Helper()
	return Config{
		Script: "memorize", TestType: "smoke", URL: url, Key: "qube_0123456789abcdef", TenantID: "t", AgentID: "a",
		Session: "s", Out: filepath.Join(t.TempDir(), "run"), K6: k6,
	}
}

// k6 that dies, and a Ctrl-C while it makes its users, leave a complete folder
// that says so, and no process.
func TestFakeK6(t *testing.T) {
	server := httptest.NewServer(newFaulty())
	defer server.Close()
	for name, c := range map[string]struct {
		k6, missing string
		interrupt   bool
	}{
		"dead":      {k6: `echo "SyntaxError with key $API_KEY"; exit 107`, missing: "k6 process 1 of 1 sent no metrics: exit status 107: SyntaxError with key qube_*****cdef"},
		"interrupt": {k6: `trap 'exit 105' INT; while :; do sleep 0.05; done`, missing: "interrupted after 0 of 10 s", interrupt: true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.interrupt {
				time.AfterFunc(300*time.Millisecond, cancel)
			}
			conf := config(t, server.URL, fakeK6(t, c.k6))
			if _, err := Run(ctx, conf); err != nil {
				t.Fatal(err)
			}
			got, err := run.Read(conf.Out)
			if err != nil {
				t.Fatal(err)
			}
			if got.Complete() || !strings.Contains(fmt.Sprint(got.Info.Missing), c.missing) {
				t.Errorf("missing %v, want %q", got.Info.Missing, c.missing)
			}
			if got.Server.StatsBefore == nil || got.Server.StatsAfter == nil || got.Server.HealthBefore == nil || got.Server.HealthAfter == nil {
				t.Error("the server's answers are not there")
			}
			log, err := os.ReadFile(filepath.Join(conf.Out, run.K6Log(1)))
			if err != nil || strings.Contains(string(log), conf.Key) {
				t.Errorf("k6's log: %v, %q", err, log)
			}
		})
	}
}

func realK6(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/k6")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("there is no bin/k6: make k6 builds it")
	}
	return path
}

// A server that refuses every third write, and leaves fields out of the others'
// answers, fails just those checks; two processes count them exactly.
func TestChecksAreHonest(t *testing.T) {
	k6 := realK6(t)
	f := newFaulty()
	f.refuse = 3
	server := httptest.NewServer(f)
	defer server.Close()
	conf := config(t, server.URL, k6)
	conf.Stages = []run.Stage{{EndS: 1, StartTarget: 4, Target: 4}}
	conf.NoProbe, conf.VerifyAll = true, true
	conf.Processes = 2
	got, err := Run(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	stored, refused := int64(len(f.memories)), int64(f.writes-len(f.memories))
	if stored == 0 || refused == 0 || len(got.Results.Processes) != 2 {
		t.Fatalf("%d stored, %d refused, %d processes", stored, refused, len(got.Results.Processes))
	}
	checks := []run.Check{
		{Name: "Status is 200", Passes: stored, Fails: refused},
		{Name: "memory_id exists", Passes: stored},
		{Name: "embedding_model exists", Fails: stored},
		{Name: "tenant_id is correct", Fails: stored},
		{Name: "agent_id is correct", Passes: stored},
	}
	if diff := cmp.Diff(checks, got.Results.Checks); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	if len(got.Results.Failures) != 1 || got.Results.Failures[0].Kind != "overloaded" || got.Results.Failures[0].Count != refused {
		t.Errorf("failures %+v, want %d overloaded", got.Results.Failures, refused)
	}
	if v := got.Results.Verification; !v.Exact() || v.Acknowledged != stored || v.Asked != stored {
		t.Errorf("verification %+v, want %d", v, stored)
	}
	var requests, failures, passed int64
	for _, s := range got.Samples {
		requests, failures, passed = requests+s.Requests, failures+s.Failures, passed+s.ChecksPassed
	}
	if requests != stored+refused || failures != refused || passed != 3*stored {
		t.Errorf("the samples add up to %d requests, %d failures, %d checks", requests, failures, passed)
	}
	if !got.Complete() || got.Passed() {
		t.Errorf("complete %t, passed %t, missing %v", got.Complete(), got.Passed(), got.Info.Missing)
	}
}

// k6 that is killed in the middle leaves what it had streamed, and no claim of
// exactness.
func TestKilledK6(t *testing.T) {
	k6 := realK6(t)
	server := httptest.NewServer(newFaulty())
	defer server.Close()
	conf := config(t, server.URL, fakeK6(t, k6+` "$@" & p=$!; sleep 4; kill -9 $p; wait $p; exit 137`))
	conf.Stages = []run.Stage{{EndS: 60, StartTarget: 2, Target: 2}}
	conf.NoProbe = true
	got, err := Run(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	missing := fmt.Sprint(got.Info.Missing)
	if !strings.Contains(missing, "k6 process 1 of 1 ended early: exit status 137") ||
		!strings.Contains(missing, "k6 process 1 of 1 ended without telling its exact counts") {
		t.Errorf("missing %s", missing)
	}
	if len(got.Results.Checks) != 5 || got.Results.Checks[0].Passes == 0 || got.Results.Verification.Exact() {
		t.Errorf("checks %v, verification %+v", got.Results.Checks, got.Results.Verification)
	}
}

func TestRunRefuses(t *testing.T) {
	f := newFaulty()
	server := httptest.NewServer(f)
	defer server.Close()
	good := fakeK6(t, "exit 1")
	for want, change := range map[string]func(*Config){
		`no script "dream"`:             func(c *Config) { c.Script = "dream" },
		`no profile "siege"`:            func(c *Config) { c.TestType = "siege" },
		"between 1 and 1000000":         func(c *Config) { c.MaxVUs = -1 },
		"processes must be at most":     func(c *Config) { c.Processes = 999 },
		"must be named":                 func(c *Config) { c.AgentID = "" },
		"must not be negative":          func(c *Config) { c.Sleep = -1 },
		"not both":                      func(c *Config) { c.ServerLog, c.ServerLogCommand = "x", "y" },
		"does not run":                  func(c *Config) { c.K6 = "/nowhere/k6" },
		"is not k6":                     func(c *Config) { c.K6 = "/bin/echo" },
		"statistics of tenant":          func(c *Config) { c.URL = "http://127.0.0.1:1" },
		"is not empty: name another":    func(c *Config) { c.Out = filepath.Dir(good) },
		"a run must last between a mom": func(c *Config) { c.Stages = []run.Stage{{EndS: 1e9}} },
	} {
		c := config(t, server.URL, good)
		change(&c)
		if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	old := filepath.Join(t.TempDir(), "k6")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho 'k6 v0.57.0 (go1.23)'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), config(t, server.URL, old)); err == nil || !strings.Contains(err.Error(), "1.8 or a later 1.x") {
		t.Errorf("an old k6: %v", err)
	}
}

// A server's log is kept from the run's beginning on, masked.
func TestServerLog(t *testing.T) {
	folder := t.TempDir()
	source := filepath.Join(folder, "server.txt")
	if err := os.WriteFile(source, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, command, want string }{
		"file":    {file: source, want: "during lmb_*****9164\n"},
		"command": {command: "echo printed; sleep 60", want: "printed\n"},
	} {
		out := filepath.Join(folder, name)
		if err := run.Create(out); err != nil {
			t.Fatal(err)
		}
		con := &conductor{Config: Config{Out: out, ServerLog: c.file, ServerLogCommand: c.command}}
		l, err := con.openServerLog()
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(source, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("during lmb_0123456789abcdef9164\n"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(5 * time.Second); c.command != "" && l.kept.last() == "" && time.Now().Before(deadline); {
			time.Sleep(5 * time.Millisecond)
		}
		if err := l.close(); err != nil {
			t.Error(err)
		}
		got, err := os.ReadFile(filepath.Join(out, run.ServerLogFile))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
	con := &conductor{Config: Config{Out: folder, ServerLog: filepath.Join(folder, "absent")}}
	if _, err := con.openServerLog(); err == nil {
		t.Error("a log that is not there was opened")
	}
}

// The 95th percentile of a second is that of what came in it.
func TestMetricsBetweenSamples(t *testing.T) {
	w := newWatcher("http://server", "", "t")
	body := func(fast, all int) []byte {
		return fmt.Appendf(nil, `# TYPE lembra_admission_wait_seconds histogram
lembra_admission_wait_seconds_bucket{le="0.1"} %d
lembra_admission_wait_seconds_bucket{le="0.5"} %d
lembra_admission_wait_seconds_bucket{le="+Inf"} %d
lembra_admission_wait_seconds_sum 1
lembra_admission_wait_seconds_count %d
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 1.5e+06
`, fast, all, all, all)
	}
	var first, second, third gauges
	w.readMetrics(body(1000, 1000), &first)
	w.readMetrics(body(1000, 1100), &second)
	w.readMetrics(body(1000, 1100), &third)
	if first.waitP95 != nil || third.waitP95 != nil {
		t.Errorf("a percentile of nothing: %v, %v", first.waitP95, third.waitP95)
	}
	if second.waitP95 == nil || *second.waitP95 != 480 || second.rss == nil || *second.rss != 1.5e6 {
		t.Errorf("waits %v, memory %v, want 480 and 1.5e6", second.waitP95, second.rss)
	}
}
