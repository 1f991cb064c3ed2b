package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"lembra/internal/bench/run"
)

const (
	// descriptorsOfK6 is what a k6 process needs beside its users' connections.
	descriptorsOfK6 = 500
	// ipsEach are the source addresses of a process on loopback: with more than
	// about 10,000 sockets from one address to one port the kernel spends its
	// time looking for free ports.
	ipsEach      = 8
	processesMax = 250 // 127.0.1.x to 127.0.250.x

	// memoryShare is the part of the machine's free memory that k6 may take: the
	// rest is for the server, and the files it writes.
	memoryShare = 0.77

	yields    = 4                // k6's nice value
	stopGrace = 45 * time.Second // k6's own grace is 30 s
	logMax    = 8 << 20          // of what one k6 process prints
)

// A plan is how the users are split over k6 processes.
type plan struct {
	segments []string // as in 0:1/2; one empty one for a single process
	sequence string
	localIPs []string // empty: the machine's own choice
}

// planProcesses splits users so that each process has descriptors for its own.
// There are no more processes than that takes: on a machine that is busy, users
// of one process cost less than those of several.
func planProcesses(users, atLeast int, descriptors uint64, loopback bool) (plan, error) {
	each := int(min(descriptors, 1<<30)) - descriptorsOfK6
	if each < 1 {
		return plan{}, fmt.Errorf("the limit of %d open files leaves none for users: raise it (ulimit -n)", descriptors)
	}
	n := max(1, atLeast, (users+each-1)/each)
	if n > processesMax {
		return plan{}, fmt.Errorf("%d users need %d k6 processes under a limit of %d open files, more than %d: raise the limit (ulimit -n)", users, n, descriptors, processesMax)
	}
	p := plan{segments: make([]string, n), localIPs: make([]string, n)}
	bounds := make([]string, n+1)
	for i := range bounds {
		bounds[i] = strconv.Itoa(i) + "/" + strconv.Itoa(n)
	}
	bounds[0], bounds[n] = "0", "1"
	for i := range n {
		if n > 1 {
			p.segments[i] = bounds[i] + ":" + bounds[i+1]
			p.sequence = strings.Join(bounds, ",")
		}
		// Elsewhere than on Linux loopback has one address.
		if loopback && runtime.GOOS == "linux" {
			p.localIPs[i] = fmt.Sprintf("127.0.%d.1-127.0.%d.%d", i+1, i+1, ipsEach)
		}
	}
	return p, nil
}

// isLoopback tells whether a server's URL names an IPv4 loopback address.
func isLoopback(ctx context.Context, serverURL string) bool {
	u, err := url.Parse(serverURL)
	if err != nil {
		return false
	}
	var resolver net.Resolver
	ips, err := resolver.LookupIP(ctx, "ip4", u.Hostname())
	return err == nil && len(ips) > 0 && ips[0].IsLoopback()
}

// descriptorLimit is the hard limit of open files: k6, as every Go program,
// raises its soft limit to it.
func descriptorLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	return uint64(limit.Max), nil //nolint:unconvert // it is signed on some systems
}

// A process is one k6 process.
type process struct {
	run.Process

	api     string // the address of its REST API
	command *exec.Cmd
	console *os.File // where its users' lines come from
	output  *lineWriter
	done    chan struct{} // closed when it has ended, and its lines are read

	mu          sync.Mutex
	interrupted int64
	ended       bool
}

// processes are all k6 processes of a run.
type processes struct {
	list  []*process
	group errgroup.Group
}

// startProcesses starts the k6 processes; their users wait to be resumed.
func (c *conductor) startProcesses(ctx context.Context, scriptFolder string) (*processes, error) {
	ps := &processes{}
	for i := range c.plan.segments {
		p, err := c.newProcess(ctx, i, scriptFolder)
		if err != nil {
			return ps, err
		}
		ps.list = append(ps.list, p)
		ps.group.Go(func() error { return p.wait(func(text string) { c.line(i, text) }) })
	}
	return ps, nil
}

func (c *conductor) newProcess(ctx context.Context, i int, scriptFolder string) (*process, error) {
	p := &process{done: make(chan struct{})}
	var err error
	if p.api, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	p.Number, p.Segment, p.LocalIPs = i+1, c.plan.segments[i], c.plan.localIPs[i]
	logFile, err := os.OpenFile(filepath.Join(c.Out, run.K6Log(p.Number)), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep what k6 prints: %w", err)
	}
	p.output = &lineWriter{to: logFile, left: logMax, keys: []string{c.Key}, keep: p.keepLine}
	console, consoleEnd, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start k6: %w", err), logFile.Close())
	}
	p.console = console
	args := []string{
		"run", "--no-usage-report", "--no-color", "--paused", "--address", p.api, "--log-format", "raw",
		"--out", "experimental-prometheus-rw", "--console-output", "/dev/fd/3",
	}
	if p.Segment != "" {
		args = append(args, "--execution-segment", p.Segment, "--execution-segment-sequence", c.plan.sequence)
	}
	if p.LocalIPs != "" {
		args = append(args, "--local-ips", p.LocalIPs)
	}
	// The run's context does not kill k6: it is asked to stop, and tells the rest.
	p.command = exec.Command(c.K6, append(args, c.Script+".js")...) //nolint:noctx // see above
	p.command.Dir = scriptFolder
	p.command.Env = c.environment(i)
	p.command.Stdout, p.command.Stderr = p.output, p.output
	p.command.ExtraFiles = []*os.File{consoleEnd}
	// A terminal's Ctrl-C is for the conductor alone, which passes it on. And the
	// scheduler may share the CPU out by session.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := p.command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start k6: %w", err), console.Close(), consoleEnd.Close(), logFile.Close())
	}
	if p.LocalIPs != "" {
		yield(p.command.Process.Pid)
	}
	return p, consoleEnd.Close()
}

// yield lets a k6 process, which leads a session, give way to a server on the same
// machine: that is under test, not its share of the CPU. Where it fails, k6 does
// without.
func yield(pid int) {
	_ = syscall.Setpriority(syscall.PRIO_PGRP, pid, yields)
	// With autogroups (sched(7)) the nice value only counts within a session, and
	// sessions have one of their own.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), []byte(strconv.Itoa(yields)), 0)
}

// environment is all that k6 sees of this process's: its users' scripts can
// read every variable.
func (c *conductor) environment(i int) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	if _, ok := os.LookupEnv("GOGC"); !ok {
		env = append(env, c.memory()...)
	}
	for _, v := range c.variables() {
		env = append(env, v.Name+"="+v.Value)
	}
	return append(env,
		"REPORT_EVERY="+strconv.Itoa(c.reportEvery()),
		"K6_STAGES="+k6Stages(c.Stages), "K6_VUS="+strconv.Itoa(c.Stages[0].StartTarget),
		"K6_PROMETHEUS_RW_SERVER_URL=http://"+c.receiver.addr()+c.receiver.path(i),
		"K6_PROMETHEUS_RW_PUSH_INTERVAL="+pushInterval.String(), "K6_PROMETHEUS_RW_TREND_AS_NATIVE_HISTOGRAM=true",
	)
}

// memory lets k6 collect its garbage rarely, as far as the machine has room:
// with thousands of users each time takes seconds of the load's time.
func (c *conductor) memory() []string {
	available, err := availableMemory()
	if err != nil {
		return nil // k6 does without
	}
	limit := uint64(memoryShare*float64(available)) / uint64(len(c.plan.segments))
	return []string{"GOGC=400", "GOMEMLIMIT=" + strconv.FormatUint(limit, 10)}
}

// availableMemory is what the machine has left, in bytes.
func availableMemory() (uint64, error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("read available memory: %w", err)
	}
	m := regexp.MustCompile(`(?m)^MemAvailable:\s+(\d+) kB$`).FindSubmatch(data)
	if m == nil {
		return 0, errors.New("read available memory: /proc/meminfo does not say")
	}
	kilobytes, err := strconv.ParseUint(string(m[1]), 10, 50)
	if err != nil {
		return 0, fmt.Errorf("read available memory: %w", err)
	}
	return kilobytes << 10, nil
}

// wait reads what a process says until it ends.
func (p *process) wait(line func(string)) error {
	defer close(p.done)
	lines := bufio.NewReaderSize(p.console, 1<<16)
	for {
		text, err := lines.ReadString('\n')
		if text != "" {
			line(strings.TrimSuffix(text, "\n"))
		}
		if err != nil {
			break // k6 closed its end
		}
	}
	err := p.command.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.EndedAt = time.Now().UTC()
	state := p.command.ProcessState
	p.ExitCode, p.CPUS = state.ExitCode(), round((state.UserTime() + state.SystemTime()).Seconds())
	if err != nil {
		p.Error = err.Error()
		if last := p.output.last(); last != "" && p.ExitCode > 0 {
			p.Error += ": " + last
		}
	}
	return errors.Join(p.console.Close(), p.output.close())
}

// keepLine looks at a line k6 prints, and tells whether its log keeps it.
func (p *process) keepLine(text string) bool {
	// running (4m00.5s), 00000/25000 VUs, 126576 complete and 8313 interrupted iterations
	if rest, ok := strings.CutPrefix(text, "running ("); ok {
		if m := regexp.MustCompile(` complete and (\d+) interrupted iterations`).FindStringSubmatch(rest); m != nil {
			n, err := strconv.ParseInt(m[1], 10, 64)
			if err == nil {
				p.mu.Lock()
				p.interrupted = n
				p.mu.Unlock()
			}
		}
		return false
	}
	// The progress of a scenario, and what the failures say better.
	return text != "" && !strings.HasPrefix(text, "default ") && text != "Request Failed"
}

// all is closed when every process has ended.
func (ps *processes) all() <-chan struct{} {
	done := make(chan struct{})
	ps.group.Go(func() error {
		for _, p := range ps.list {
			<-p.done
		}
		close(done)
		return nil
	})
	return done
}

// stop asks the processes to stop, and ends those that do not.
func (ps *processes) stop(done <-chan struct{}) {
	ps.signal(syscall.SIGINT)
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		ps.signal(syscall.SIGKILL)
		<-done
	}
}

func (ps *processes) signal(s syscall.Signal) {
	for _, p := range ps.list {
		// It may have ended by itself: then there is nothing to do.
		_ = p.command.Process.Signal(s)
	}
}

// interrupted counts the iterations that were cut off.
func (ps *processes) interrupted() int64 {
	sum := int64(0)
	for _, p := range ps.list {
		p.mu.Lock()
		sum += p.interrupted
		p.mu.Unlock()
	}
	return sum
}

// A lineWriter writes whole lines, masked and up to a limit, to a file.
type lineWriter struct {
	to   io.WriteCloser
	left int64
	keys []string
	keep func(string) bool // nil: all

	mu      sync.Mutex
	partial []byte
	final   string // the last line that says something
	err     error
}

// Write takes text in; it never fails, so that whoever prints it goes on.
func (w *lineWriter) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.partial = append(w.partial, text...)
	for {
		i := bytes.IndexByte(w.partial, '\n')
		if i < 0 && len(w.partial) < 1<<16 {
			return len(text), nil
		}
		if i < 0 {
			i = len(w.partial) - 1
		}
		w.line(w.partial[:i+1])
		w.partial = append(w.partial[:0], w.partial[i+1:]...)
	}
}

func (w *lineWriter) line(text []byte) {
	plain := strings.TrimSpace(string(text))
	if w.keep != nil && !w.keep(plain) {
		return
	}
	masked := run.MaskKeys(text, w.keys...)
	if plain != "" {
		w.final = strings.TrimSpace(string(masked))
	}
	switch {
	case w.err != nil || w.left <= 0:
		return
	case int64(len(masked)) > w.left:
		masked = []byte("(the rest is cut)\n")
		w.left = 0
	}
	w.left -= int64(len(masked))
	_, w.err = w.to.Write(masked)
}

func (w *lineWriter) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.final
}

func (w *lineWriter) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.partial) > 0 {
		w.line(append(w.partial, '\n'))
		w.partial = nil
	}
	return errors.Join(w.err, w.to.Close())
}
