package main_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	command "lembra/cmd/lembra"
)

// chaos runs the scenarios whole, each for up to two minutes, and holds them to
// their times; without it they are small and short, and only nothing may be lost
// or left behind.
var chaos = flag.Bool("chaos", false, "run the scenarios of TestChaos whole")

// full returns what a whole scenario uses, or the small one's.
func full[T any](whole, small T) T {
	if *chaos {
		return whole
	}
	return small
}

// A load is a process that sends requests.
type load struct {
	command *exec.Cmd
	input   io.Closer
	output  bytes.Buffer
	plan    command.ChaosLoad
	result  command.ChaosResult
	started time.Time
	ended   bool
}

// startLoad starts the users of a plan against a server. nice is the priority of
// their process: those who only make noise are to leave the processor to those
// who are measured.
func startLoad(t *testing.T, s *server, nice int, plan command.ChaosLoad) *load {
	t.Helper()
	plan.Addr = strings.TrimPrefix(s.url, "http://")
	if plan.Key == "" {
		plan.Key = s.key
	}
	if plan.Timeout == 0 {
		plan.Timeout = time.Minute
	}
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	l := &load{plan: plan, started: time.Now(), command: exec.Command("nice", "-n", strconv.Itoa(nice), "lembra-load", string(text))}
	l.command.Stdout, l.command.Stderr = &l.output, os.Stderr
	if l.input, err = l.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := l.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.end() })
	return l
}

// end ends the load and reads what its users met.
func (l *load) end() error {
	if l.ended {
		return nil
	}
	l.ended = true
	if err := l.input.Close(); err != nil {
		return err
	}
	if err := l.command.Wait(); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return json.Unmarshal(l.output.Bytes(), &l.result)
}

func (l *load) stop(t *testing.T) command.ChaosResult {
	t.Helper()
	if err := l.end(); err != nil {
		t.Fatal(err)
	}
	return l.result
}

// vitals are what a server has at hand, as its metrics tell. Tables of the store
// stay open, more of them the more it holds: so the descriptors of other files are
// counted apart.
type vitals struct{ goroutines, descriptors, unstored int }

func (v vitals) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors (%d not of the store)", v.goroutines, v.descriptors, v.unstored)
}

func (s *server) vitals() (v vitals, err error) {
	figures, err := s.figures()
	if err != nil {
		return v, err
	}
	v.goroutines, v.descriptors = int(figures["go_goroutines"]), int(figures["process_open_fds"])
	folder := fmt.Sprintf("/proc/%d/fd", s.command.Process.Pid)
	links, err := os.ReadDir(folder)
	if err != nil {
		return v, err
	}
	for _, link := range links {
		target, err := os.Readlink(filepath.Join(folder, link.Name()))
		if err == nil && !strings.HasPrefix(target, s.dir) {
			v.unstored++
		}
	}
	return v, nil
}

// A scene is a server under loads.
type scene struct {
	*server
	loads  []*load
	before vitals
}

// startScene starts a server and has it do a little, so that what it has at hand
// is what it has at rest.
func startScene(t *testing.T, s *server) *scene {
	t.Helper()
	s.awaitReady(t)
	c := &scene{server: s}
	warm := c.start(t, 0, command.ChaosLoad{Does: command.ChaosMemorize, Agent: "warm", Users: 8})
	time.Sleep(500 * time.Millisecond)
	if r := warm.stop(t); r.OK.N == 0 {
		t.Fatalf("nothing is stored: %v %v", r.Statuses, r.Failures)
	}
	time.Sleep(200 * time.Millisecond)
	var err error
	if c.before, err = s.vitals(); err != nil {
		t.Fatal(err)
	}
	return c
}

// serveScene starts the command "lembra serve" for a scene, with more flags.
func serveScene(t *testing.T, flags ...string) *scene {
	t.Helper()
	addr, dir := freeAddr(t), filepath.Join(t.TempDir(), "data")
	return startScene(t, startServerBy(t, exec.Command("lembra", append([]string{"serve", "--addr", addr, "--data", dir}, flags...)...), addr, dir))
}

// start starts a load that is checked in the end.
func (c *scene) start(t *testing.T, nice int, plan command.ChaosLoad) *load {
	t.Helper()
	if plan.Does == command.ChaosMemorize {
		plan.Acknowledged = filepath.Join(t.TempDir(), fmt.Sprintf("acknowledged-%d", len(c.loads)))
	}
	l := startLoad(t, c.server, nice, plan)
	c.loads = append(c.loads, l)
	return l
}

// sources are addresses for the users of one process, among others: 12,500
// connections from one address would have the kernel look for ports.
func sources(process int) []string {
	var addrs []string
	for i := range 4 {
		addrs = append(addrs, fmt.Sprintf("127.0.0.%d", 2+process*4+i))
	}
	return addrs
}

// check wants every acknowledged memory to be there, and the server to have no
// more at hand than before, within 30 seconds. It returns a line about both.
func (c *scene) check(t *testing.T) string {
	t.Helper()
	after := c.awaitRest(t)
	var acknowledged, unknown, lost int
	found := map[string]map[string]bool{}
	for _, l := range c.loads {
		if l.plan.Acknowledged == "" {
			continue
		}
		unknown += l.result.Unknown
		as := *c.server
		as.key = l.plan.Key
		line := l.plan.Key + " " + l.plan.Agent
		if found[line] == nil {
			found[line] = map[string]bool{}
			memories, err := as.list(l.plan.Agent)
			if err != nil {
				t.Fatal(err)
			}
			for i := range memories {
				found[line][memories[i].MemoryID] = true
			}
		}
		text, err := os.ReadFile(l.plan.Acknowledged)
		if err != nil {
			t.Fatal(err)
		}
		for id := range bytes.Lines(text) {
			acknowledged++
			if !found[line][string(bytes.TrimSuffix(id, []byte("\n")))] {
				lost++
			}
		}
		if acknowledged < l.result.OK.N {
			t.Errorf("%d ids of %d acknowledged memories are known", acknowledged, l.result.OK.N)
		}
	}
	stored := 0
	for _, ids := range found {
		stored += len(ids)
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged memories are lost", lost, acknowledged)
	}
	if stored > acknowledged+unknown {
		t.Errorf("%d memories are stored, more than %d acknowledged and %d unanswered ones", stored, acknowledged, unknown)
	}
	if text := c.output.String(); strings.Contains(text, "too many open files") || strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic") {
		t.Errorf("the server said:\n%s", c.output.tail())
	}
	return fmt.Sprintf("acknowledged %d, lost %d, unanswered but stored %d; before: %s; after: %s", acknowledged, lost, stored-acknowledged+lost, c.before, after)
}

// awaitRest waits until the server has no more at hand than before.
func (c *scene) awaitRest(t *testing.T) vitals {
	t.Helper()
	// The store compacts with some goroutines, and writes with some descriptors.
	const slack = 8
	c.http.CloseIdleConnections()
	for start := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		v, err := c.vitals()
		if err != nil {
			t.Fatal(err)
		}
		if v.goroutines <= c.before.goroutines+slack && v.unstored <= c.before.unstored+slack {
			return v
		}
		if time.Since(start) > 30*time.Second {
			t.Errorf("after 30 seconds: %s; before: %s", v, c.before)
			return v
		}
	}
}

// quietly wants users to be answered with 200, all of them.
func quietly(t *testing.T, who string, r command.ChaosResult) {
	t.Helper()
	if r.OK.N == 0 || !only(r, http.StatusOK) || len(r.Failures) > 0 {
		t.Errorf("%s: answers by status %v, as %v; failures %v", who, r.Statuses, r.Examples, r.Failures)
	}
}

// only tells whether all answers had one of the statuses.
func only(r command.ChaosResult, statuses ...int) bool {
	for status := range r.Statuses {
		if !slices.Contains(statuses, status) {
			return false
		}
	}
	return true
}

// sum adds up numbers.
func sum(numbers []int) (n int) {
	for _, x := range numbers {
		n += x
	}
	return n
}
