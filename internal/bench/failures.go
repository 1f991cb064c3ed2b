package bench

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lembra/internal/bench/run"
)

const (
	failureGroupsMax = 200
	messageMax       = 300
	idsMax           = 20_000_000 // of acknowledged memories, about 1 GB
)

// What users reported: the ids of memories, and requests that failed.
type reports struct {
	stages []run.Stage

	mu       sync.Mutex
	start    time.Time
	ids      []string
	idsLeft  bool // more were reported than are kept
	failures map[failureKey]*run.Failure
	// unanswered counts the failed writes whose outcome is not known.
	unanswered int64
}

type failureKey struct {
	kind   string
	status int
	stage  int
}

func newReports(stages []run.Stage) *reports {
	return &reports{stages: stages, failures: map[failureKey]*run.Failure{}}
}

// begin sets the moment that stages count from.
func (r *reports) begin(start time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start = start
}

// line takes in one line that a user printed: see lembra.js.
func (r *reports) line(text string) {
	what, rest, _ := strings.Cut(text, " ")
	switch what {
	case "A":
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.ids) >= idsMax {
			r.idsLeft = true
			return
		}
		r.ids = append(r.ids, rest)
	case "F":
		fields := strings.SplitN(rest, " ", 4)
		if len(fields) < 3 {
			return
		}
		route := fields[0]
		status, err1 := strconv.Atoi(fields[1])
		code, err2 := strconv.Atoi(fields[2])
		if err1 != nil || err2 != nil {
			return
		}
		message := ""
		if len(fields) == 4 {
			message = strings.TrimSpace(fields[3])
		}
		r.fail(time.Now().UTC(), route, status, code, message)
	}
}

func (r *reports) fail(now time.Time, route string, status, code int, message string) {
	kind := kindOf(status, code, message)
	r.mu.Lock()
	defer r.mu.Unlock()
	if route == routeMemorize && outcomeUnknown(status, code) {
		r.unanswered++
	}
	key := failureKey{kind: kind, status: status, stage: stageAt(r.stages, now.Sub(r.start).Seconds())}
	f := r.failures[key]
	if f == nil && len(r.failures) >= failureGroupsMax {
		key = failureKey{kind: "other", stage: key.stage}
		f = r.failures[key]
		status, message = 0, ""
	}
	if f == nil {
		if len(message) > messageMax {
			message = strings.ToValidUTF8(message[:messageMax], "") + "…"
		}
		f = &run.Failure{Kind: key.kind, Status: status, Message: message, First: now, Stage: key.stage}
		r.failures[key] = f
	}
	f.Count++
	f.Last = now
}

// grouped returns the failures, the most frequent ones first, and the number of
// writes whose outcome is not known.
func (r *reports) grouped() (failures []run.Failure, unanswered int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.failures {
		failures = append(failures, *f)
	}
	slices.SortFunc(failures, func(a, b run.Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), a.First.Compare(b.First), cmp.Compare(a.Kind, b.Kind))
	})
	return failures, r.unanswered
}

// acknowledged returns the ids that were reported, and whether they are all of
// those that should have been.
func (r *reports) acknowledged() (ids []string, whole bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids, !r.idsLeft
}

// The error codes of k6 that are told apart; see its documentation. From one
// of First to one of Last the request was not sent.
const (
	codeInvalidURL  = 1020
	codeTimeout     = 1050
	codeDNSFirst    = 1100
	codeDNSLast     = 1119
	codeDialFirst   = 1210
	codeDialTimeout = 1211
	codeRefused     = 1212
	codeDialLast    = 1219
	codeReset       = 1220
	codeTLSFirst    = 1300
	codeTLSLast     = 1319
)

// kindOf names what a failed request has in common with others: the code of
// the server's error, or what became of the connection.
func kindOf(status, code int, message string) string {
	if status > 0 {
		problem := regexp.MustCompile(`"code":\s*"([a-z_]{1,64})"`).FindStringSubmatch(message)
		if problem != nil {
			return problem[1]
		}
		return "HTTP " + strconv.Itoa(status)
	}
	switch {
	case code == codeTimeout:
		return "timeout"
	case code == codeDialTimeout:
		return "connect timeout"
	case code == codeRefused:
		return "connection refused"
	case code == codeReset || strings.Contains(message, "reset by peer"):
		return "connection reset"
	case strings.Contains(message, "EOF"):
		return "connection closed"
	case strings.Contains(message, "too many open files"):
		return "too many open files (k6)"
	case code >= codeDNSFirst && code <= codeDNSLast:
		return "name not resolved"
	case code >= codeTLSFirst && code <= codeTLSLast:
		return "TLS failed"
	}
	return "connection failed"
}

// outcomeUnknown tells whether the server may have stored what it did not
// acknowledge. A connection that was never made carried nothing; a refusal is
// an answer.
func outcomeUnknown(status, code int) bool {
	if status > 0 {
		return status >= 500 && status != http.StatusServiceUnavailable || status == http.StatusRequestTimeout
	}
	return code != codeInvalidURL && (code < codeDNSFirst || code > codeDNSLast) &&
		(code < codeDialFirst || code > codeDialLast) && (code < codeTLSFirst || code > codeTLSLast)
}
