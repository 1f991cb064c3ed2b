package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lembra/internal/access"
	"lembra/internal/bench"
	benchrun "lembra/internal/bench/run"
)

// benchOptions are the flags of a load run as they are given.
type benchOptions struct {
	connection

	tenant, agent, session, serverType string
	vus, processes                     int
	timeout                            time.Duration
	sleep, verify                      string
	stages, thresholds                 []string
	out, k6                            string
	noProbe                            bool
	serverLog, serverLogCommand        string
}

func (c *cli) benchCommand() *cobra.Command {
	var o benchOptions
	command := &cobra.Command{
		Use:   "bench [PROFILE-SCRIPT]",
		Short: "Put a server under the load of virtual users, and verify what it stored",
		Long: `Put a server under the load of virtual users, and verify what it stored.

The users live in k6 (1.8 or later; "make k6" builds it). A script says what a user
does: memorize, recall or mixed. A profile says how many users there are when:
smoke, load, stress, spike, soak or breakpoint, to --vus at most.

What came of the run lies in a folder, which "lembra report" makes a report of: the
figures of all k6 processes, one sample a second, the server's health, statistics
and log, and what was verified: acknowledged memories are read back (one in 20, or
--verify all), and the tenant's count must have grown by those acknowledged. Once a
second a memory that was acknowledged a second before is recalled, too.

The settings may come from the environment, as a report lists them: SCRIPT_NAME,
TEST_TYPE, API_BASE_URL, TENANT_ID, AGENT_ID, API_KEY, SERVER_TYPE, BENCH_SESSION,
MAX_VUS, REQUEST_TIMEOUT, SLEEP_BETWEEN_REQUESTS.

The exit code is 0, 1 where a threshold was missed, a memory is gone or a recall
missed its memory, and 2 where the run is incomplete.`,
		Example: `  lembra bench smoke-memorize
  lembra bench stress-memorize --vus 25000 --out runs/stress
  lembra bench load-mixed --stage 10s:50 --stage 1m:50 --threshold 'http_req_duration:p(95)<300'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			config, err := c.benchConfig(&o, args)
			if err != nil {
				return err
			}
			result, err := bench.Run(command.Context(), config)
			if err != nil {
				return fmt.Errorf("load run: %w", err)
			}
			return c.benchOutcome(config.Out, result)
		},
	}
	o.declare(command)
	return command
}

func (o *benchOptions) declare(command *cobra.Command) {
	o.flags(command, tenantKeyHelp+"; or API_KEY")
	flags := command.Flags()
	flags.IntVar(&o.vus, "vus", 0, "the most virtual users (MAX_VUS; default "+strconv.Itoa(bench.DefaultVUs)+")")
	flags.StringVar(&o.out, "out", "", "folder for the run, which must not exist or be empty (default runs/NAME-TIME)")
	flags.StringVar(&o.tenant, "tenant", "", "the key's tenant (TENANT_ID; default "+access.DefaultTenant+")")
	flags.StringVar(&o.agent, "agent", "", "the agent that the users write to (AGENT_ID; default bench)")
	flags.StringVar(&o.session, "session", "", "name of the run in the memories it stores (BENCH_SESSION; default the time)")
	flags.StringVar(&o.serverType, "server-type", "", "name of the server in the report (SERVER_TYPE; default local)")
	flags.DurationVar(&o.timeout, "timeout", 0, "time for a request (REQUEST_TIMEOUT; default "+bench.DefaultTimeout.String()+")")
	flags.StringVar(&o.sleep, "sleep", "", "pause of a user between requests (SLEEP_BETWEEN_REQUESTS, in seconds; default "+bench.DefaultSleep.String()+")")
	flags.StringArrayVar(&o.stages, "stage", nil, "DURATION:USERS, a leg of the ramp; given once or more, they replace the profile's, from 0 users")
	flags.StringArrayVar(&o.thresholds, "threshold", nil, "METRIC:EXPRESSION, a bound to keep; given once or more, they replace "+strings.Join(bench.DefaultThresholds(), ", "))
	flags.StringVar(&o.verify, "verify", verifySample, "which acknowledged memories to read back: "+verifySample+" or "+verifyAll)
	flags.IntVar(&o.processes, "processes", 0, "k6 processes at least (default as few as the limit of open files allows)")
	flags.BoolVar(&o.noProbe, "no-probe", false, "do not recall, each second, what was acknowledged the second before")
	flags.StringVar(&o.serverLog, "server-log", "", "file that the server writes its log to")
	flags.StringVar(&o.serverLogCommand, "server-log-command", "", "shell command that prints the server's log as it comes")
	flags.StringVar(&o.k6, "k6", "", "k6's path (default: k6 beside this program, else on PATH)")
	command.MarkFlagsMutuallyExclusive("server-log", "server-log-command")
}

const (
	verifySample = "sample"
	verifyAll    = "all"
)

// benchConfig fills what the flags do not say from the environment, and that
// from the defaults.
func (c *cli) benchConfig(o *benchOptions, args []string) (bench.Config, error) {
	or := func(value, variable, fallback string) string {
		if value != "" {
			return value
		}
		if v := c.getenv(variable); v != "" {
			return v
		}
		return fallback
	}
	now := time.Now()
	config := bench.Config{
		TenantID: or(o.tenant, "TENANT_ID", access.DefaultTenant), AgentID: or(o.agent, "AGENT_ID", "bench"),
		Session:    or(o.session, "BENCH_SESSION", "bench-"+now.Format("20060102-150405")),
		ServerType: or(o.serverType, "SERVER_TYPE", "local"),
		Processes:  o.processes, NoProbe: o.noProbe, ServerLog: o.serverLog, ServerLogCommand: o.serverLogCommand,
		Progress: c.stderr, Terminal: isTerminal(c.stderr),
	}
	var err error
	if config.TestType, config.Script, err = c.benchName(args); err != nil {
		return bench.Config{}, err
	}
	if o.key = or(o.key, "API_KEY", ""); o.url == "" {
		o.url = c.getenv("API_BASE_URL")
	}
	config.URL = c.serverURL(&o.connection)
	if config.Key, err = c.tenantKey(&o.connection); err != nil {
		return bench.Config{}, err
	}
	if err := c.benchNumbers(o, &config); err != nil {
		return bench.Config{}, err
	}
	config.Out = or(o.out, "", filepath.Join("runs", config.TestType+"-"+config.Script+"-"+now.Format("20060102-150405")))
	config.K6, err = findK6(o.k6)
	return config, err
}

// benchName reads a name such as stress-memorize, or what SCRIPT_NAME and
// TEST_TYPE say.
func (c *cli) benchName(args []string) (testType, script string, err error) {
	name := c.getenv("SCRIPT_NAME")
	if len(args) > 0 {
		name = args[0]
	}
	if t := c.getenv("TEST_TYPE"); t != "" && len(args) == 0 {
		// SCRIPT_NAME is the script alone, or the whole name.
		name = t + "-" + strings.TrimPrefix(name, t+"-")
	}
	profiles, err := bench.Profiles()
	if err != nil {
		return "", "", err
	}
	for _, p := range profiles {
		for _, s := range bench.Scripts() {
			if name == p+"-"+s {
				return p, s, nil
			}
		}
	}
	return "", "", usagef("name a run such as stress-memorize: one of %s, and one of %s", strings.Join(profiles, ", "), strings.Join(bench.Scripts(), ", "))
}

// benchNumbers reads what is not text.
func (c *cli) benchNumbers(o *benchOptions, config *bench.Config) error {
	var err error
	config.MaxVUs, config.Timeout, config.Sleep = o.vus, o.timeout, bench.DefaultSleep
	if v := c.getenv("MAX_VUS"); o.vus == 0 && v != "" {
		if config.MaxVUs, err = strconv.Atoi(v); err != nil {
			return usagef("MAX_VUS is %q: must be a number of users", v)
		}
	}
	if v := c.getenv("REQUEST_TIMEOUT"); o.timeout == 0 && v != "" {
		if config.Timeout, err = time.ParseDuration(v); err != nil {
			return usagef("REQUEST_TIMEOUT is %q: must be a duration such as 15s", v)
		}
	}
	if o.sleep != "" {
		if config.Sleep, err = time.ParseDuration(o.sleep); err != nil {
			return usagef("--sleep is %q: must be a duration such as 50ms", o.sleep)
		}
	} else if v := c.getenv("SLEEP_BETWEEN_REQUESTS"); v != "" {
		seconds, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return usagef("SLEEP_BETWEEN_REQUESTS is %q: must be a number of seconds such as 0.05", v)
		}
		config.Sleep = time.Duration(seconds * float64(time.Second))
	}
	switch o.verify {
	case verifySample, verifyAll:
		config.VerifyAll = o.verify == verifyAll
	default:
		return usagef("--verify is %q: want %s or %s", o.verify, verifySample, verifyAll)
	}
	for _, text := range o.thresholds {
		t, err := bench.ParseThreshold(text)
		if err != nil {
			return &usageError{err}
		}
		config.Thresholds = append(config.Thresholds, t)
	}
	config.Stages, err = benchStages(o.stages)
	return err
}

func benchStages(texts []string) ([]benchrun.Stage, error) {
	var stages []benchrun.Stage
	var last benchrun.Stage
	for _, text := range texts {
		long, many, _ := strings.Cut(text, ":")
		d, err1 := time.ParseDuration(long)
		users, err2 := strconv.Atoi(many)
		if errors.Join(err1, err2) != nil || d <= 0 || users < 0 {
			return nil, usagef("--stage is %q: must be like 30s:200", text)
		}
		last = benchrun.Stage{StartS: last.EndS, EndS: last.EndS + d.Seconds(), StartTarget: last.Target, Target: users}
		stages = append(stages, last)
	}
	return stages, nil
}

// findK6 returns k6's path.
func findK6(path string) (string, error) {
	if path != "" {
		return filepath.Abs(path) // k6 runs in another folder
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "k6")
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	path, err := exec.LookPath("k6")
	if err != nil {
		return "", errors.New("there is no k6 beside this program or on PATH: \"make k6\" builds it, --k6 says where it is")
	}
	return filepath.Abs(path)
}

// benchOutcome prints what a run came to, and returns its exit code.
func (c *cli) benchOutcome(folder string, r benchrun.Run) error {
	value := func(metric, name string) float64 {
		m, _ := r.Results.Metric(metric)
		v, _ := m.Value(name)
		return v
	}
	err := c.printf("%s: %.0f requests in %.0f s (%.0f/s), %.0f failed, p95 %.0f ms\n", r.Info.Name,
		value("http_reqs", "count"), r.Info.RealS, value("http_reqs", "rate"),
		value("http_req_failed", "passes"), value("http_req_duration", "p(95)"))
	for _, m := range r.Results.Metrics {
		for _, t := range m.Thresholds {
			if !t.Met {
				err = errors.Join(err, c.printf("missed: %s %s\n", m.Name, t.Expression))
			}
		}
	}
	if v := r.Results.Verification; v != nil && v.Error == "" {
		err = errors.Join(err, c.printf("verified: %d memories acknowledged, %d of %d read back; the tenant grew by %d, of %d to %d expected\n",
			v.Acknowledged, v.Found, v.Asked, v.RealGrowth, v.ExpectedGrowth, v.ExpectedGrowth+v.Unanswered))
	}
	if p := r.Results.Probe; p != nil {
		err = errors.Join(err, c.printf("probe: %d of %d recalls found what was acknowledged the second before, p95 %.0f ms, at most %.0f ms\n",
			p.Found, p.Asked-p.Unstored, p.P95MS, p.MaxMS))
		if p.Unstored > 0 {
			err = errors.Join(err, c.printf("probe: %d memories could not be stored\n", p.Unstored))
		}
	}
	for _, m := range r.Info.Missing {
		err = errors.Join(err, c.printf("missing: %s: %s\n", m.Part, m.Reason))
	}
	err = errors.Join(err, c.printf("the run is in %s\n", folder))
	switch {
	case err != nil:
		return err
	case !r.Complete():
		return &exitError{code: exitIncomplete}
	case !r.Passed():
		return &exitError{code: exitMissed}
	}
	return nil
}
