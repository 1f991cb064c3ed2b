package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"lembra/internal/observe"
)

// What the users of a ChaosLoad do, each on a connection of its own.
const (
	// ChaosMemorize stores one memory after another.
	ChaosMemorize = "memorize"
	// ChaosLive asks /livez again and again.
	ChaosLive = "live"
	// ChaosDrip sends a request that never ends, a byte now and then, and starts
	// anew when it is cut.
	ChaosDrip = "drip"
	// ChaosDeaf asks for pages of an agent's memories and reads none of the answers.
	ChaosDeaf = "deaf"
)

// A ChaosLoad tells the command "lembra-load", a process of its own with
// descriptors of its own, what to do until its standard input ends. It then prints
// a ChaosResult.
type ChaosLoad struct {
	Does       string
	Addr       string
	Sources    []string // addresses to connect from, in turn
	Key, Agent string
	Users      int
	Ramp       time.Duration // until the last user has begun
	Pause      time.Duration // after each answer, on average
	Timeout    time.Duration // for each answer
	// Acknowledged is a file for the ids of the memories that were acknowledged.
	Acknowledged string
}

// A ChaosResult is what the users of a ChaosLoad met.
type ChaosResult struct {
	OK       ChaosTimes     // answers with 200
	Refused  ChaosTimes     // answers with another status
	Statuses map[int]int    // answers by their status
	Failures map[string]int // requests without an answer, by the reason
	Unknown  int            // memories that were sent and not answered
	Examples map[int]string // an answer of each other status
	Begun    int            // users who have connected
	Seconds  []int          // answers with 200 in each second
	Since    time.Time      // when the first second began
	Until    time.Time      // when the load ended
}

// ChaosTimes are percentiles of the time from a request's begin, its connection's
// included where it has none, to the end of its answer. Those of the ramp are left
// out: it is all connecting.
type ChaosTimes struct {
	N                       int
	P50, P95, P99, Max, Min time.Duration
}

// String is the times for people.
func (t ChaosTimes) String() string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }
	return fmt.Sprintf("p50 %s p95 %s p99 %s max %s ms of %d", ms(t.P50), ms(t.P95), ms(t.P99), ms(t.Max), t.N)
}

func chaosTimes(took []time.Duration) ChaosTimes {
	if len(took) == 0 {
		return ChaosTimes{}
	}
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[min(len(took)*percent/100, len(took)-1)] }
	return ChaosTimes{N: len(took), P50: at(50), P95: at(95), P99: at(99), Max: took[len(took)-1], Min: took[0]}
}

// chaosLoadMain is the command "lembra-load".
func chaosLoadMain() {
	if err := runChaosLoad(); err != nil {
		fmt.Fprintln(os.Stderr, "lembra-load:", err)
		os.Exit(1)
	}
}

func runChaosLoad() (err error) {
	if _, err := observe.RaiseDescriptorLimit(); err != nil {
		return err
	}
	l := &chaosLoad{result: ChaosResult{
		Statuses: map[int]int{}, Failures: map[string]int{}, Examples: map[int]string{}, Since: time.Now(),
	}}
	if err := json.Unmarshal([]byte(os.Args[1]), &l.ChaosLoad); err != nil {
		return err
	}
	if l.Acknowledged != "" {
		file, err := os.Create(l.Acknowledged)
		if err != nil {
			return err
		}
		l.acknowledged = bufio.NewWriterSize(file, 1<<16)
		defer func() { err = errors.Join(err, l.acknowledged.Flush(), file.Close()) }()
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var group sync.WaitGroup
	for i := range l.Users {
		u, err := l.user(i)
		if err != nil {
			return err
		}
		group.Go(func() { u.run(ctx) })
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	cancel()
	l.result.Until = time.Now()
	group.Wait()
	l.result.OK, l.result.Refused = chaosTimes(l.ok), chaosTimes(l.refused)
	l.result.Begun = int(l.begun.Load())
	return json.NewEncoder(os.Stdout).Encode(l.result)
}

type chaosLoad struct {
	ChaosLoad
	begun atomic.Int64

	mu           sync.Mutex
	result       ChaosResult
	ok, refused  []time.Duration
	acknowledged *bufio.Writer
}

// A chaosUser has one connection at a time.
type chaosUser struct {
	load   *chaosLoad
	number int
	dialer net.Dialer
	conn   net.Conn
	reader *bufio.Reader
	sent   int
	text   []byte
}

func (l *chaosLoad) user(number int) (*chaosUser, error) {
	u := &chaosUser{load: l, number: number, dialer: net.Dialer{Timeout: l.Timeout, KeepAlive: -1}}
	if len(l.Sources) > 0 {
		ip, err := netip.ParseAddr(l.Sources[number%len(l.Sources)])
		if err != nil {
			return nil, err
		}
		u.dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))
	}
	if l.Does == ChaosDeaf {
		u.dialer.Control = takeLittle
	}
	return u, nil
}

func (u *chaosUser) run(ctx context.Context) {
	defer u.hangUp()
	l := u.load
	rest(ctx, l.Ramp*time.Duration(u.number)/time.Duration(l.Users))
	for ctx.Err() == nil {
		switch l.Does {
		case ChaosDrip:
			u.drip(ctx)
			continue
		case ChaosDeaf:
			u.deaf(ctx)
			continue
		}
		start := time.Now()
		status, answer, err := u.ask(ctx)
		l.count(ctx, start, status, answer, err)
		pause := l.Pause/2 + rand.N(l.Pause+1)
		if err != nil {
			u.hangUp()
			pause = max(pause, 100*time.Millisecond)
		}
		rest(ctx, pause)
	}
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (u *chaosUser) connect(ctx context.Context) error {
	if u.conn != nil {
		return nil
	}
	conn, err := u.dialer.DialContext(ctx, "tcp", u.load.Addr)
	if err != nil {
		return err
	}
	if u.sent == 0 {
		u.load.begun.Add(1)
	}
	u.conn = conn
	if u.reader == nil {
		u.reader = bufio.NewReaderSize(nil, 1024)
	}
	u.reader.Reset(conn)
	return nil
}

func (u *chaosUser) hangUp() {
	if u.conn != nil {
		_ = u.conn.Close()
		u.conn = nil
	}
}

// ask sends one request and reads its answer. The end of ctx cuts it.
func (u *chaosUser) ask(ctx context.Context) (status int, answer []byte, err error) {
	if err := u.connect(ctx); err != nil {
		return 0, nil, &notSentError{err}
	}
	conn := u.conn
	if err := conn.SetDeadline(time.Now().Add(u.load.Timeout)); err != nil {
		return 0, nil, &notSentError{err}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	u.write()
	u.sent++
	if _, err := conn.Write(u.text); err != nil {
		return 0, nil, err
	}
	response, err := http.ReadResponse(u.reader, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return 0, nil, err
	}
	if response.Close {
		u.hangUp()
	}
	return response.StatusCode, answer, nil
}

// write puts the next request into u.text.
func (u *chaosUser) write() {
	l := u.load
	if l.Does == ChaosLive {
		u.text = append(u.text[:0], "GET /livez HTTP/1.1\r\nHost: lembra\r\n\r\n"...)
		return
	}
	body := fmt.Sprintf(`{"agent_id":%q,"content":"User %d of %s says for the %d. time that the harbour was quiet that morning."}`,
		l.Agent, u.number, l.Agent, u.sent)
	u.text = fmt.Appendf(u.text[:0], "POST /memorize HTTP/1.1\r\nHost: lembra\r\nX-Api-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		l.Key, len(body), body)
}

// begin connects for a request that is no plain one; false where it cannot.
func (u *chaosUser) begin(ctx context.Context) bool {
	if err := u.connect(ctx); err != nil {
		u.load.fail(ctx, "connect")
		rest(ctx, time.Second)
		return false
	}
	u.sent++
	return true
}

// takeLittle is a net.Dialer's Control, for clients that leave most of an answer to the
// server's side.
func takeLittle(_, _ string, socket syscall.RawConn) error {
	var failed error
	err := socket.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	})
	return errors.Join(err, failed)
}

// drip sends half a request, in its header or in its body, and then a byte now and
// then, until the server hangs up.
func (u *chaosUser) drip(ctx context.Context) {
	defer u.hangUp()
	if !u.begin(ctx) {
		return
	}
	text := "POST /memorize HTTP/1.1\r\nHost: lembra\r\nX-Api-Key: " + u.load.Key + "\r\n"
	if u.number%2 == 0 {
		text += "Content-Length: 1000\r\n\r\n{"
	}
	for ctx.Err() == nil {
		_ = u.conn.SetDeadline(time.Now().Add(u.load.Timeout))
		if _, err := io.WriteString(u.conn, text); err != nil {
			u.load.fail(ctx, "cut")
			return
		}
		text = " "
		rest(ctx, u.load.Pause)
	}
}

// deaf asks for more pages than the system's buffers hold, and stays.
func (u *chaosUser) deaf(ctx context.Context) {
	defer u.hangUp()
	if !u.begin(ctx) {
		return
	}
	get := fmt.Sprintf("GET /memories?agent_id=%s&limit=1000 HTTP/1.1\r\nHost: lembra\r\nX-Api-Key: %s\r\n\r\n", u.load.Agent, u.load.Key)
	if _, err := io.WriteString(u.conn, strings.Repeat(get, 20)); err != nil {
		u.load.fail(ctx, "cut")
		return
	}
	rest(ctx, u.load.Timeout)
}

// A notSentError is that of a request of which no byte was sent.
type notSentError struct{ error }

func (l *chaosLoad) fail(ctx context.Context, reason string) {
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Failures[reason]++
}

// count counts an answer or its lack. Requests that the end cut are no failures.
func (l *chaosLoad) count(ctx context.Context, start time.Time, status int, answer []byte, err error) {
	took := time.Since(start)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if _, ok := errors.AsType[*notSentError](err); !ok {
			l.result.Unknown++
		}
		if ctx.Err() == nil {
			l.result.Failures[failure(err)]++
		}
		return
	}
	l.result.Statuses[status]++
	rampedUp := start.Sub(l.result.Since) >= l.Ramp
	if status != http.StatusOK {
		if rampedUp {
			l.refused = append(l.refused, took)
		}
		if l.result.Examples[status] == "" {
			l.result.Examples[status] = string(answer)
		}
		return
	}
	if rampedUp {
		l.ok = append(l.ok, took)
	}
	second := int(time.Since(l.result.Since) / time.Second)
	for len(l.result.Seconds) <= second {
		l.result.Seconds = append(l.result.Seconds, 0)
	}
	l.result.Seconds[second]++
	if l.acknowledged != nil {
		// An error of the buffer comes again when it is flushed.
		_, _ = l.acknowledged.Write(append(memoryID(answer), '\n'))
	}
}

// memoryID finds the id in an answer to /memorize.
func memoryID(answer []byte) []byte {
	_, after, _ := bytes.Cut(answer, []byte(`"memory_id":"`))
	id, _, _ := bytes.Cut(after, []byte(`"`))
	return slices.Clip(id)
}

// failure is an error without the addresses in it.
func failure(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text
}
