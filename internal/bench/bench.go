// Package bench conducts virtual users against a server with Lembra's API, and
// keeps what came of it in a run folder.
//
// A run is a script (what a user does), a profile (how many users there are
// when) and a server. The users live in k6 processes, as many as the limit of
// open files asks for, each with its share of the users. Every second each
// process sends what it has counted to a loopback port of the conductor, and each
// of its users prints the ids of memories that were acknowledged and the failures
// it met.
//
// From that come one merged result, counts exactly and percentiles within the
// error that each metric states, and one sample a second. Beside the load the
// conductor samples the server's health and metrics, and once a second recalls
// a memory that was acknowledged a second before (the probe). Afterwards it
// reads acknowledged memories back and counts the tenant's: see
// run.Verification for what that proves. It takes for granted that nobody else
// writes to the tenant meanwhile.
//
// What is streamed is k6's Prometheus output. It sends of rates only the ratio
// and may leave the last moment out: so at its end each process prints its exact
// counts as well. (k6's OpenTelemetry output counts exactly, but costs 11 % of
// k6's time rather than 2 %, and loses the times of samples: with thousands of
// users k6 sends many seconds late.)
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lembra/client"
	"lembra/internal/bench/run"
)

// The defaults of a run, and its bounds.
const (
	DefaultVUs     = 100
	DefaultTimeout = 15 * time.Second
	DefaultSleep   = 50 * time.Millisecond

	vusMax   = 1_000_000
	lastsMax = 7 * 24 * time.Hour

	// sampledEvery: of so many acknowledged memories one is read back, unless
	// all are to be.
	sampledEvery = 20

	routeMemorize = "/memorize"

	tick      = time.Second
	saveEvery = 10 // seconds; what a conductor that was killed leaves behind
	// afterwards bounds what is done at the end of a run that was interrupted.
	afterwards = time.Minute
)

// Config is what a run needs to know.
type Config struct {
	Script, TestType string
	MaxVUs           int
	// Stages replace the profile's, which are that of TestType, where not nil.
	Stages []run.Stage

	URL, Key, TenantID, AgentID string
	// ServerType and Session are names for the report and the memories.
	ServerType, Session string
	Timeout, Sleep      time.Duration

	Out        string // the run folder
	K6         string // k6's path
	Thresholds []Threshold
	VerifyAll  bool // read back every acknowledged memory, not one in 20
	NoProbe    bool
	// ServerLog is a file the server writes its log to, ServerLogCommand a shell
	// command that prints it as it comes (journalctl -f …). At most one is set.
	ServerLog, ServerLogCommand string

	// Progress is where the progress goes, a line a second; on a terminal each
	// is written over the one before.
	Progress io.Writer
	Terminal bool

	// Processes is how many k6 processes there are at least: fewer of them cost
	// less, more of them let no user wait long for its turn on a busy machine.
	Processes int
}

// A conductor is a run under way.
type conductor struct {
	Config

	plan     plan
	version  string // of k6
	start    time.Time
	receiver *receiver
	reports  *reports
	recorder *recorder
	watcher  *watcher
	probe    *prober // nil: none
	client   *client.Client
	missing  []run.MissingPart
	silenced string // why the counts are not those of all k6 processes, or ""
	result   run.Run
}

// Run conducts a run until its end, or until ctx ends, and returns what it
// wrote to the run folder. An error means that there was no run.
func Run(ctx context.Context, config Config) (result run.Run, err error) {
	c := &conductor{Config: config}
	if err := c.prepare(ctx); err != nil {
		return run.Run{}, err
	}
	defer c.client.Close()
	if c.receiver, err = openReceiver(ctx, len(c.plan.segments)); err != nil {
		return run.Run{}, err
	}
	defer func() { err = errors.Join(err, c.receiver.Close()) }() //nolint:contextcheck // it also closes after an interruption
	folder, err := os.MkdirTemp("", "lembra-bench-")
	if err != nil {
		return run.Run{}, fmt.Errorf("unpack k6's scripts: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := unpack(folder); err != nil {
		return run.Run{}, err
	}
	if err := c.conduct(ctx, folder); err != nil {
		return run.Run{}, err
	}
	c.finish(ctx)
	return c.result, c.save()
}

// prepare checks that there can be a run, and makes its folder.
func (c *conductor) prepare(ctx context.Context) error {
	if err := c.complete(); err != nil {
		return err
	}
	descriptors, err := descriptorLimit()
	if err != nil {
		return err
	}
	if c.plan, err = planProcesses(c.maxUsers(), c.Processes, descriptors, isLoopback(ctx, c.URL)); err != nil {
		return err
	}
	if c.version, err = k6Version(ctx, c.K6); err != nil {
		return err
	}
	if c.client, err = client.New(c.URL, c.Key, client.WithAttempts(1), client.WithConnections(verifyLanes)); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	c.watcher = newWatcher(c.URL, c.Key, c.TenantID)
	if c.Script != "memorize" {
		if err := c.seed(ctx); err != nil {
			return err
		}
	}
	if c.result.Server.StatsBefore, err = c.watcher.stats(ctx); err != nil {
		return fmt.Errorf("statistics of tenant %s before the run: %w", c.TenantID, err)
	}
	if c.result.Server.HealthBefore, err = c.watcher.health(ctx); err != nil {
		c.miss("health-before.json", err)
	}
	return run.Create(c.Out)
}

// complete fills in what is not set, and validates the rest.
func (c *conductor) complete() error {
	if c.MaxVUs == 0 {
		c.MaxVUs = DefaultVUs
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	profileStages, err := Stages(c.TestType, c.MaxVUs)
	switch {
	case !slices.Contains(Scripts(), c.Script):
		return fmt.Errorf("there is no script %q: choose one of %s", c.Script, strings.Join(Scripts(), ", "))
	case err != nil:
		return err
	case c.MaxVUs < 1 || c.MaxVUs > vusMax:
		return fmt.Errorf("the number of users must be between 1 and %d", vusMax)
	case c.Processes < 0 || c.Processes > processesMax:
		return fmt.Errorf("the number of k6 processes must be at most %d", processesMax)
	case c.Timeout < 0 || c.Sleep < 0:
		return errors.New("the timeout and the sleep between requests must not be negative")
	case c.TenantID == "" || c.AgentID == "" || c.Session == "":
		return errors.New("tenant, agent and session must be named")
	case c.ServerLog != "" && c.ServerLogCommand != "":
		return errors.New("the server's log is a file or a command's output, not both")
	}
	if c.Stages == nil {
		c.Stages = profileStages
	}
	c.MaxVUs = c.maxUsers()
	if last := c.Stages[len(c.Stages)-1].EndS; last <= 0 || last > lastsMax.Seconds() {
		return fmt.Errorf("a run must last between a moment and %s", lastsMax)
	}
	if c.Thresholds == nil {
		for _, text := range DefaultThresholds() {
			t, err := ParseThreshold(text)
			if err != nil {
				return err
			}
			c.Thresholds = append(c.Thresholds, t)
		}
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	return nil
}

func (c *conductor) maxUsers() int {
	most := 1
	for _, s := range c.Stages {
		most = max(most, s.StartTarget, s.Target)
	}
	return most
}

func (c *conductor) planned() time.Duration {
	return time.Duration(c.Stages[len(c.Stages)-1].EndS * float64(time.Second))
}

func (c *conductor) reportEvery() int {
	if c.VerifyAll {
		return 1
	}
	return sampledEvery
}

// variables are those that a run is described by, in the report's order.
func (c *conductor) variables() []run.Variable {
	return []run.Variable{
		{Name: "SCRIPT_NAME", Value: c.name()},
		{Name: "MAX_VUS", Value: strconv.Itoa(c.MaxVUs)},
		{Name: "TEST_TYPE", Value: c.TestType},
		{Name: "API_KEY", Value: c.Key},
		{Name: "BENCH_SESSION", Value: c.Session},
		{Name: "API_BASE_URL", Value: strings.TrimSuffix(c.URL, "/")},
		{Name: "TENANT_ID", Value: c.TenantID},
		{Name: "AGENT_ID", Value: c.AgentID},
		{Name: "SERVER_TYPE", Value: c.ServerType},
		{Name: "SLEEP_BETWEEN_REQUESTS", Value: strconv.FormatFloat(c.Sleep.Seconds(), 'f', -1, 64)},
		{Name: "REQUEST_TIMEOUT", Value: c.Timeout.String()},
	}
}

func (c *conductor) name() string { return c.TestType + "-" + c.Script }

// line takes in what a user of process i printed, or the process itself at its
// end: see lembra.js.
func (c *conductor) line(i int, text string) {
	if told, ok := strings.CutPrefix(text, "M "); ok {
		c.receiver.settle(i, told)
		return
	}
	c.reports.line(text)
}

// miss notes a part of the run folder that could not be had.
func (c *conductor) miss(part string, reason error) {
	c.missing = append(c.missing, run.MissingPart{Part: part, Reason: reason.Error()})
}

// k6Version asks k6 for its version.
func k6Version(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return "", fmt.Errorf("k6 (%s) does not run: %w; \"make k6\" builds it", path, err)
	}
	m := regexp.MustCompile(`^k6(?:\.exe)? v(\d+)\.(\d+)\.\S+`).FindStringSubmatch(string(out))
	if m == nil {
		return "", fmt.Errorf("%s is not k6: it says %.100q", path, out)
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	if major != 1 || minor < 8 {
		return "", fmt.Errorf("k6 (%s) is %s: version 1.8 or a later 1.x is needed; \"make k6\" builds it", path, strings.TrimSpace(m[0]))
	}
	return strings.TrimPrefix(m[0], "k6 "), nil
}

// conduct starts k6 and all that goes on beside it, and waits for k6's end.
func (c *conductor) conduct(ctx context.Context, folder string) error {
	c.start = time.Now().UTC()
	c.reports = newReports(c.Stages)
	c.result.Info = c.info()
	if err := c.save(); err != nil {
		return err
	}
	serverLog, err := c.openServerLog()
	if err != nil {
		c.miss(run.ServerLogFile, err)
	}
	ps, err := c.startProcesses(ctx, folder)
	done := ps.all()
	if err == nil {
		err = ps.resume(ctx, func() {
			c.start = time.Now().UTC()
			c.result.Info.StartedAt = c.start
			c.reports.begin(c.start)
		})
	}
	c.recorder = newRecorder(c.start, c.receiver)
	interrupted := ctx.Err() != nil
	if err != nil {
		ps.stop(done)
	} else {
		interrupted, err = c.load(ctx, ps, done)
	}
	c.closeRun(ps, interrupted, errors.Join(err, ps.group.Wait(), serverLog.close()))
	return nil
}

// load watches and probes the server until the load ends, and tells whether ctx
// ended before.
func (c *conductor) load(ctx context.Context, ps *processes, done <-chan struct{}) (interrupted bool, err error) {
	// The last probe and sample are those before the load's end.
	beside, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	group.Go(func() error { return c.watcher.watch(beside, c.start) })
	for i, p := range ps.list {
		group.Go(func() error {
			return p.countUsers(beside, func(users int) { c.receiver.count(i, users) })
		})
	}
	if !c.NoProbe {
		c.probe = newProber(c.client, c.AgentID, c.Session, c.Timeout, c.start)
		group.Go(func() error { return c.probe.run(beside) })
	}
	interrupted = c.follow(ctx, ps, done)
	cancel()
	return interrupted, group.Wait()
}

// follow shows and saves the progress until k6 has ended, and tells whether ctx
// ended before.
func (c *conductor) follow(ctx context.Context, ps *processes, done <-chan struct{}) (interrupted bool) {
	show := &progress{to: c.Progress, terminal: c.Terminal, planned: c.planned()}
	defer show.end()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for n := 1; ; n++ {
		select {
		case <-done:
			return false
		case <-ctx.Done():
			show.note("interrupted: stopping k6")
			ps.stop(done)
			return true
		case now := <-ticker.C:
			c.recorder.advance(now)
			show.line(now.Sub(c.start), c.receiver.at(now).users, c.receiver.merged(), c.watcher.last(), c.probe)
			if n%saveEvery == 0 {
				c.result.Samples = c.samples()
				if err := c.save(); err != nil {
					show.note(err.Error())
				}
			}
		}
	}
}

// closeRun notes how the load ended.
func (c *conductor) closeRun(ps *processes, interrupted bool, err error) {
	info := &c.result.Info
	info.EndedAt = time.Now().UTC()
	info.RealS = round(info.EndedAt.Sub(c.start).Seconds())
	switch {
	case interrupted:
		c.miss("run", fmt.Errorf("interrupted after %.0f of %.0f s", info.RealS, info.PlannedS))
	case err != nil:
		c.miss("run", err)
	}
	for i, p := range ps.list {
		c.result.Results.Processes = append(c.result.Results.Processes, p.Process)
		if !c.receiver.settled(i) && c.silenced == "" {
			c.silenced = fmt.Sprintf("k6 process %d of %d ended without telling its exact counts", p.Number, len(ps.list))
		}
		switch {
		case !c.receiver.heard(i):
			c.miss("results.json", fmt.Errorf("k6 process %d of %d sent no metrics: %s", p.Number, len(ps.list), cmp.Or(p.Error, "see "+run.K6Log(p.Number))))
		case p.Error != "" && !interrupted:
			c.miss("run", fmt.Errorf("k6 process %d of %d ended early: %s", p.Number, len(ps.list), p.Error))
		}
	}
	c.result.Results.Interrupted = ps.interrupted()
	if err := c.receiver.err(); err != nil {
		c.miss("results.json", err)
	}
}

func round(seconds float64) float64 { return math.Round(seconds*1000) / 1000 }
