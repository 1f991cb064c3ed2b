package api

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lembra"
)

const memory = `{"agent_id":"a","content":"hello"}`

func TestMemorize(t *testing.T) {
	l := newLab(t)
	w := l.send("POST", "/memorize", keyWrite, `{"agent_id":"a/1","content":"é\u0041"}`)
	wantProblem(t, w, lembra.CodeInvalid, "agent_id")
	w = l.send("POST", "/memorize", keyWrite, `{"agent_id":"a \"1\"","content":"é\u0041","tenant_id":"acme","position":-1,
		"occurred_at":"2026-01-31T09:00:00+02:00","importance":0.5,"metadata":{"n":12345678901234567890,"b":true,"s":"<x>"}}`, "Idempotency-Key", "once")
	wantBody(t, w, `{"memory_id":"m1","tenant_id":"acme","agent_id":"a \"1\"","embedding_model":"lembra-hash-1","created_at":"2026-01-31T09:00:00.123456Z"}`)
	if ct := w.Header().Get("Content-Type"); ct != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", w.Header())
	}
	position, importance := int64(-1), 0.5
	want := []lembra.MemorizeRequest{{
		AgentID: `a "1"`, Content: "éA", TenantID: "acme", Position: &position, Importance: &importance,
		OccurredAt: time.Date(2026, 1, 31, 7, 0, 0, 0, time.UTC),
		Metadata: lembra.Metadata{
			"n": {Kind: lembra.NumberValue, Text: "12345678901234567890", Number: 12345678901234567890},
			"b": lembra.Bool(true), "s": lembra.String("<x>"),
		},
	}}
	if diff := cmp.Diff(want, l.fake.requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if l.fake.idem != "once" || l.fake.tenant != (lembra.Tenant{ID: "acme", Generation: 1}) {
		t.Errorf("idempotency key %q, tenant %v", l.fake.idem, l.fake.tenant)
	}
	// null is the same as absent.
	wantStatus(t, l.send("POST", "/memorize", keyWrite, `{"agent_id":"a","content":"c","tenant_id":null,"position":null,"expires_at":null,"importance":null,"metadata":null}`), 200)
}

func TestMemorizeErrors(t *testing.T) {
	l := newLab(t)
	for name, c := range map[string]struct {
		body, field string
		code        lembra.Code
		says        string
	}{
		"empty body":             {"", "", lembra.CodeInvalid, "empty"},
		"blank body":             {" \n\t", "", lembra.CodeInvalid, "empty"},
		"array":                  {`[]`, "", lembra.CodeInvalid, "object"},
		"null":                   {`null`, "", lembra.CodeInvalid, "object"},
		"byte order mark":        {"\xef\xbb\xbf" + memory, "", lembra.CodeInvalid, "byte order mark"},
		"cut short":              {`{"agent_id":"a","content":"c"`, "", lembra.CodeInvalid, "no valid JSON"},
		"trailing data":          {memory + memory, "", lembra.CodeInvalid, "no valid JSON"},
		"trailing comma":         {`{"agent_id":"a",}`, "", lembra.CodeInvalid, "no valid JSON"},
		"single quotes":          {`{'agent_id':'a'}`, "", lembra.CodeInvalid, "no valid JSON"},
		"invalid UTF-8":          {"{\"agent_id\":\"a\xff\",\"content\":\"c\"}", "agent_id", lembra.CodeInvalid, "UTF-8"},
		"lone surrogate":         {`{"agent_id":"a","content":"\ud800"}`, "content", lembra.CodeInvalid, "surrogate"},
		"control character":      {"{\"agent_id\":\"a\",\"content\":\"a\nb\"}", "content", lembra.CodeInvalid, "malformed"},
		"unknown field":          {`{"agent_id":"a","content":"c","colour":"red"}`, "colour", lembra.CodeInvalid, "not a field"},
		"other letter case":      {`{"Agent_ID":"a","content":"c"}`, "Agent_ID", lembra.CodeInvalid, "not a field"},
		"repeated field":         {`{"agent_id":"a","content":"c","agent_id":"b"}`, "agent_id", lembra.CodeInvalid, "more than once"},
		"repeated in metadata":   {`{"agent_id":"a","content":"c","metadata":{"x":1,"x":2}}`, "metadata.x", lembra.CodeInvalid, "more than once"},
		"repeated by escape":     {`{"agent_id":"a","content":"c","metadata":{"x":1,"\u0078":2}}`, "metadata.x", lembra.CodeInvalid, "more than once"},
		"wrong type":             {`{"agent_id":7,"content":"c"}`, "agent_id", lembra.CodeInvalid, "must be a string, not a number"},
		"no agent":               {`{"content":"c"}`, "agent_id", lembra.CodeInvalid, "required"},
		"null agent":             {`{"agent_id":null,"content":"c"}`, "agent_id", lembra.CodeInvalid, "required"},
		"no content":             {`{"agent_id":"a"}`, "content", lembra.CodeInvalid, "required"},
		"blank content":          {`{"agent_id":"a","content":" "}`, "content", lembra.CodeInvalid, "blank"},
		"long content":           {`{"agent_id":"a","content":"` + strings.Repeat("x", 32<<10+1) + `"}`, "content", lembra.CodeTooLarge, "32768"},
		"long id":                {`{"agent_id":"` + strings.Repeat("é", 129) + `","content":"c"}`, "agent_id", lembra.CodeInvalid, "128"},
		"id with slash":          {`{"agent_id":"a","content":"c","session_id":"a/b"}`, "session_id", lembra.CodeInvalid, "/"},
		"id with control":        {`{"agent_id":"a","content":"c","speaker":"a\u0000b"}`, "speaker", lembra.CodeInvalid, "control"},
		"time of another kind":   {`{"agent_id":"a","content":"c","occurred_at":1}`, "occurred_at", lembra.CodeInvalid, "RFC 3339"},
		"time without a zone":    {`{"agent_id":"a","content":"c","occurred_at":"2026-01-31T09:00:00"}`, "occurred_at", lembra.CodeInvalid, "RFC 3339"},
		"fraction as position":   {`{"agent_id":"a","content":"c","position":1.5}`, "position", lembra.CodeInvalid, "whole number"},
		"huge position":          {`{"agent_id":"a","content":"c","position":9223372036854775808}`, "position", lembra.CodeInvalid, "64 bits"},
		"importance over 1":      {`{"agent_id":"a","content":"c","importance":1.01}`, "importance", lembra.CodeInvalid, "between 0 and 1"},
		"importance of no size":  {`{"agent_id":"a","content":"c","importance":1e999}`, "importance", lembra.CodeInvalid, "number"},
		"nested metadata":        {`{"agent_id":"a","content":"c","metadata":{"x":{"y":1}}}`, "metadata.x", lembra.CodeInvalid, "not an object"},
		"null in metadata":       {`{"agent_id":"a","content":"c","metadata":{"x":null}}`, "metadata.x", lembra.CodeInvalid, "not null"},
		"numbered metadata":      {`{"agent_id":"a","content":"c","metadata":{"0":[]}}`, "metadata.0", lembra.CodeInvalid, "not an array"},
		"metadata as list":       {`{"agent_id":"a","content":"c","metadata":[]}`, "metadata", lembra.CodeInvalid, "object, not an array"},
		"empty metadata key":     {`{"agent_id":"a","content":"c","metadata":{"":1}}`, "metadata", lembra.CodeInvalid, "empty key"},
		"large metadata":         {`{"agent_id":"a","content":"c","metadata":{"x":"` + strings.Repeat("x", 4<<10) + `"}}`, "metadata", lembra.CodeTooLarge, "4096"},
		"too deep":               {`{"agent_id":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, "", lembra.CodeTooLarge, "deeper than 32"},
		"foreign tenant":         {`{"agent_id":"a","content":"c","tenant_id":"rival"}`, "tenant_id", lembra.CodeTenantMismatch, "tenant"},
		"foreign, otherwise bad": {`{"tenant_id":"rival"}`, "tenant_id", lembra.CodeTenantMismatch, "tenant"},
		"long unknown field":     {`{"` + strings.Repeat("é", 5000) + `":1}`, strings.Repeat("é", 100) + "…", lembra.CodeInvalid, "not a field"},
	} {
		t.Run(name, func(t *testing.T) {
			l.fake.called = ""
			p := wantProblem(t, l.send("POST", "/memorize", keyWrite, c.body), c.code, c.field)
			if !strings.Contains(p.Detail, c.says) {
				t.Errorf("detail %q does not say %q", p.Detail, c.says)
			}
			if l.fake.called != "" {
				t.Error("it was stored")
			}
		})
	}
	if strings.Contains(l.logs.String(), `"level":"ERROR"`) {
		t.Error("a client's mistake is logged as the server's")
	}
}

func TestDepthCountsNoBracketsInStrings(t *testing.T) {
	l := newLab(t)
	text := strings.Repeat(`[{\"\\`, 50)
	wantStatus(t, l.send("POST", "/memorize", keyWrite, `{"agent_id":"a","content":"`+text+`"}`), 200)
	if got, want := l.fake.requests[0].Content, strings.Repeat(`[{"\`, 50); got != want {
		t.Errorf("content %q, want %q", got, want)
	}
}

func TestIdempotencyKey(t *testing.T) {
	l := newLab(t)
	for _, good := range []string{"x", strings.Repeat("~", 255), "!\"#"} {
		for path, body := range map[string]string{"/memorize": memory, "/memorize/batch": `{"memories":[` + memory + `]}`} {
			wantStatus(t, l.send("POST", path, keyWrite, body, "Idempotency-Key", good), 200)
			if l.fake.idem != good {
				t.Errorf("%s: engine got key %q, want %q", path, l.fake.idem, good)
			}
		}
	}
	for _, bad := range []string{"", strings.Repeat("x", 256), "a b", "é", "a\tb"} {
		p := wantProblem(t, l.send("POST", "/memorize", keyWrite, memory, "Idempotency-Key", bad), lembra.CodeInvalid, "Idempotency-Key")
		if p.Limit != 255 {
			t.Errorf("%q: limit %d", bad, p.Limit)
		}
	}
	wantProblem(t, l.send("POST", "/memorize/batch", keyWrite, memory, "Idempotency-Key", "a", "Idempotency-Key", "b"), lembra.CodeInvalid, "Idempotency-Key")
}

func TestBatch(t *testing.T) {
	l := newLab(t)
	l.fake.outcomes = nil
	w := l.send("POST", "/memorize/batch", keyWrite, `{"memories":[`+strings.Join([]string{
		memory,
		`{"agent_id":"a","content":"c","colour":1}`,
		`{"agent_id":7,"content":"c"}`,
		`{"agent_id":"a","content":""}`,
		`5`,
		`{"agent_id":"a","content":"c","agent_id":"b"}`,
		`{"agent_id":"a","content":"c","tenant_id":"rival"}`,
		"{\"agent_id\":\"\xff\",\"content\":\"c\"}",
		`{"agent_id":"b","content":"c","metadata":{"x":{}}}`,
		`{"agent_id":"b","content":"last"}`,
	}, ",")+`],"tenant_id":"acme"}`, "Idempotency-Key", "k")
	ok := func(agent string) string {
		return `{"memory_id":"m1","tenant_id":"acme","agent_id":"` + agent + `","embedding_model":"lembra-hash-1","created_at":"2026-01-31T09:00:00.123456Z"}`
	}
	wantBody(t, w, `{"results":[`+strings.Join([]string{
		ok("a"),
		`{"error":{"code":"invalid_request","message":"is not a field of this request","field":"memories[1].colour"}}`,
		`{"error":{"code":"invalid_request","message":"must be a string, not a number","field":"memories[2].agent_id"}}`,
		`{"error":{"code":"invalid_request","message":"is required and must not be blank","field":"memories[3].content"}}`,
		`{"error":{"code":"invalid_request","message":"must be an object, not a number","field":"memories[4]"}}`,
		`{"error":{"code":"invalid_request","message":"is given more than once","field":"memories[5].agent_id"}}`,
		`{"error":{"code":"tenant_mismatch","message":"is not the tenant of this API key: leave it out, or use a key of that tenant","field":"memories[6].tenant_id"}}`,
		`{"error":{"code":"invalid_request","message":"is malformed: invalid UTF-8","field":"memories[7].agent_id"}}`,
		`{"error":{"code":"invalid_request","message":"must be a string, a number or a boolean, not an object","field":"memories[8].metadata.x"}}`,
		ok("b"),
	}, ",")+`]}`)
	// Positions count for the idempotency key, so the bad ones keep their places.
	if n := len(l.fake.requests); n != 10 || l.fake.requests[9].Content != "last" {
		t.Errorf("the engine got %+v", l.fake.requests)
	}
	for i, r := range l.fake.requests[1:9] {
		if diff := cmp.Diff(lembra.MemorizeRequest{}, r); diff != "" {
			t.Errorf("the engine got something of the bad memory %d:\n%s", i+1, diff)
		}
	}
	// The engine's own errors get their place too.
	l.fake.err = &lembra.Error{Code: lembra.CodeConflict, Field: "memory_id", Message: "taken"}
	w = l.send("POST", "/memorize/batch", keyWrite, `{"memories":[`+memory+`]}`)
	wantBody(t, w, `{"results":[{"error":{"code":"conflict","message":"taken","field":"memories[0].memory_id"}}]}`)
	// All bad: nothing to store, no turn needed.
	l.fake.refused, l.fake.called = errors.New("no turn"), ""
	wantStatus(t, l.send("POST", "/memorize/batch", keyWrite, `{"memories":[{}]}`), 200)
	if l.fake.called != "" {
		t.Error("the engine was called for nothing")
	}
}

func TestBatchErrors(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Limits = lembra.DefaultLimits(); c.Limits.BatchMax = 3 })
	for name, c := range map[string]struct {
		body, field string
		code        lembra.Code
	}{
		"empty body":       {"", "", lembra.CodeInvalid},
		"no memories":      {`{}`, "memories", lembra.CodeInvalid},
		"empty memories":   {`{"memories":[]}`, "memories", lembra.CodeInvalid},
		"null memories":    {`{"memories":null}`, "memories", lembra.CodeInvalid},
		"object":           {`{"memories":{}}`, "memories", lembra.CodeInvalid},
		"unknown field":    {`{"memories":[` + memory + `],"x":1}`, "x", lembra.CodeInvalid},
		"repeated":         {`{"memories":[` + memory + `],"memories":[]}`, "memories", lembra.CodeInvalid},
		"repeated tenant":  {`{"tenant_id":"acme","tenant_id":"acme","memories":[` + memory + `]}`, "tenant_id", lembra.CodeInvalid},
		"tenant's type":    {`{"tenant_id":5,"memories":[` + memory + `]}`, "tenant_id", lembra.CodeInvalid},
		"foreign tenant":   {`{"memories":[` + memory + `],"tenant_id":"rival"}`, "tenant_id", lembra.CodeTenantMismatch},
		"cut short":        {`{"memories":[` + memory, "", lembra.CodeInvalid},
		"cut in a memory":  {`{"memories":[{"agent_id":"a`, "memories[0].agent_id", lembra.CodeInvalid},
		"trailing data":    {`{"memories":[` + memory + `]} {}`, "", lembra.CodeInvalid},
		"too many":         {`{"memories":[` + strings.Repeat(memory+",", 3) + memory + `]}`, "memories", lembra.CodeTooLarge},
		"too deep":         {`{"memories":[` + strings.Repeat("[", 40) + `]}`, "", lembra.CodeTooLarge},
		"array":            {`[` + memory + `]`, "", lembra.CodeInvalid},
		"malformed memory": {`{"memories":[{"agent_id":}]}`, "memories[0].agent_id", lembra.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			l.fake.called = ""
			w := l.send("POST", "/memorize/batch", keyWrite, c.body)
			if c.field == "" || strings.HasPrefix(name, "cut") || strings.HasPrefix(name, "malformed") {
				// Where malformed JSON breaks is the decoder's to say.
				if status, _ := statusOf(c.code); w.Code != status {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
			} else {
				wantProblem(t, w, c.code, c.field)
			}
			if l.fake.called != "" {
				t.Error("it was stored")
			}
		})
	}
}

func TestRecall(t *testing.T) {
	l := newLab(t)
	w := l.send("POST", "/recall", keyRead, `{"query":"q","agent_id":"a","since":"2026-01-01T00:00:00Z","filter":{"AND":[{"metadata.topic":{"in":["a","b"]}}]},"weights":{"recency":0.5}}`)
	wantStatus(t, w, 200)
	if !strings.HasPrefix(w.Body.String(), `{"results":[],"took_ms":`) {
		t.Errorf("body %s", w.Body)
	}
	want := lembra.Query{
		Query: "q", AgentID: "a", Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), TopK: 10, Mode: lembra.ModeHybrid,
		Weights: &lembra.Weights{Recency: .5},
		Filter:  &lembra.Filter{And: []lembra.Filter{{Field: "metadata.topic", Op: lembra.OpIn, Values: []lembra.Value{lembra.String("a"), lembra.String("b")}}}},
	}
	if diff := cmp.Diff(want, l.fake.query); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	for name, c := range map[string]struct {
		body, field string
		code        lembra.Code
		says        string
	}{
		"no query":             {`{"agent_id":"a"}`, "query", lembra.CodeInvalid, "required"},
		"top_k":                {`{"query":"q","top_k":101}`, "top_k", lembra.CodeInvalid, "100"},
		"top_k's type":         {`{"query":"q","top_k":1.0}`, "top_k", lembra.CodeInvalid, "whole number"},
		"mode":                 {`{"query":"q","mode":"magic"}`, "mode", lembra.CodeInvalid, "hybrid"},
		"weights":              {`{"query":"q","weights":{"recency":2}}`, "weights.recency", lembra.CodeInvalid, "between"},
		"unknown weight":       {`{"query":"q","weights":{"luck":1}}`, "weights.luck", lembra.CodeInvalid, "not a field"},
		"filter's type":        {`{"query":"q","filter":5}`, "filter", lembra.CodeInvalid, "object"},
		"empty filter":         {`{"query":"q","filter":{}}`, "filter", lembra.CodeInvalid, "empty"},
		"filter's field":       {`{"query":"q","filter":{"AND":[{"tenant_id":"rival"}]}}`, "filter", lembra.CodeInvalid, `"tenant_id": use user_id, session_id, speaker, position, importance, occurred_at, created_at, updated_at, expires_at, metadata.KEY, AND, OR or NOT`},
		"filter's operator":    {`{"query":"q","filter":{"user_id":{"like":"x"}}}`, "filter", lembra.CodeInvalid, `user_id: unknown operator "like"`},
		"filter's value":       {`{"query":"q","filter":{"occurred_at":{"gte":"soon"}}}`, "filter", lembra.CodeInvalid, "occurred_at: must be compared with a time"},
		"repeated in a filter": {`{"query":"q","filter":{"user_id":{"eq":"a","eq":"b"}}}`, "filter.user_id.eq", lembra.CodeInvalid, "more than once"},
		"filter too big":       {`{"query":"q","filter":{"user_id":{"in":[` + strings.Repeat(`"a",`, 1000) + `"a"]}}}`, "filter", lembra.CodeTooLarge, "1000"},
		"filter too deep":      {`{"query":"q","filter":` + strings.Repeat(`{"NOT":`, 31) + `{"user_id":"a"}` + strings.Repeat(`}`, 31) + `}`, "", lembra.CodeTooLarge, "deeper"},
		"foreign tenant":       {`{"query":"q","tenant_id":"rival"}`, "tenant_id", lembra.CodeTenantMismatch, "tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			p := wantProblem(t, l.send("POST", "/recall", keyRead, c.body), c.code, c.field)
			if !strings.Contains(p.Detail, c.says) {
				t.Errorf("detail %q does not say %q", p.Detail, c.says)
			}
		})
	}
}

// A condition that is there and empty is no condition left out: what is to be forgotten
// must not become more for it. Nor is the first instant of the year 1 no time at all.
func TestEmptyConditionsAreRefused(t *testing.T) {
	l := newLab(t)
	for _, name := range []string{"agent_id", "user_id", "session_id", "since", "until", "filter"} {
		for _, empty := range []string{`""`, `null`} {
			w := l.send("POST", "/forget", keyWrite, `{"agent_id":"a","`+name+`":`+empty+`}`)
			if name == "agent_id" {
				w = l.send("POST", "/forget", keyWrite, `{"user_id":"u","agent_id":`+empty+`}`)
			}
			if wantProblem(t, w, lembra.CodeInvalid, name); w.Code != 400 {
				t.Errorf("%s: %s: status %d", name, empty, w.Code)
			}
		}
	}
	for _, name := range []string{"agent_id", "user_id", "session_id"} {
		wantProblem(t, l.send("GET", "/memories?"+name+"=", keyRead, ""), lembra.CodeInvalid, name)
	}
	const never = `"0001-01-01T00:00:00Z"`
	for target, body := range map[string]string{
		"POST /forget":       `{"agent_id":"a","until":` + never + `}`,
		"POST /recall":       `{"agent_id":"a","query":"q","until":` + never + `}`,
		"POST /memorize":     `{"agent_id":"a","content":"c","until":` + never + `}`,
		"PATCH /memories/id": `{"until":` + never + `}`,
		"POST /keys":         `{"tenant_id":"t","until":` + never + `}`,
	} {
		field := "until"
		if !strings.Contains(target, "forget") && !strings.Contains(target, "recall") {
			field = "expires_at"
		}
		method, path, _ := strings.Cut(target, " ")
		key := keyWrite
		switch path {
		case "/recall":
			key = keyRead
		case "/keys":
			key = keyServer
		}
		p := wantProblem(t, l.send(method, path, key, strings.ReplaceAll(body, "until", field)), lembra.CodeInvalid, field)
		if !strings.Contains(p.Detail, "after 0001-01-01") {
			t.Errorf("%s: %s", target, p.Detail)
		}
	}
	wantProblem(t, l.send("GET", "/memories?since=0001-01-01T00:00:00Z", keyRead, ""), lembra.CodeInvalid, "since")
	wantStatus(t, l.send("POST", "/recall", keyRead, `{"agent_id":"a","query":"q","until":null}`), 200)
}

func TestForget(t *testing.T) {
	l := newLab(t)
	wantBody(t, l.send("POST", "/forget", keyWrite, `{"user_id":"u","dry_run":true}`), `{"deleted":1,"remaining":0}`)
	if diff := cmp.Diff(lembra.ForgetRequest{UserID: "u", DryRun: true}, l.fake.forget); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	wantProblem(t, l.send("POST", "/forget", keyWrite, `{"dry_run":true}`), lembra.CodeInvalid, "")
	wantProblem(t, l.send("POST", "/forget", keyWrite, `{"dry_run":"no"}`), lembra.CodeInvalid, "dry_run")
	wantProblem(t, l.send("POST", "/forget", keyWrite, `{"tenant_id":"rival"}`), lembra.CodeTenantMismatch, "tenant_id")
}

func TestList(t *testing.T) {
	l := newLab(t)
	wantBody(t, l.send("GET", "/memories?agent_id=a%2Bb&user_id=u&session_id=s&since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00%2B01:00&filter=%7B%22speaker%22%3A%22x%22%7D&limit=7&cursor=c%3D", keyRead, ""), `{"memories":[]}`)
	want := lembra.ListQuery{
		AgentID: "a+b", UserID: "u", SessionID: "s", Limit: 7, Cursor: "c=",
		Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 1, 1, 23, 0, 0, 0, time.UTC),
		Filter: &lembra.Filter{Field: "speaker", Op: lembra.OpEqual, Values: []lembra.Value{lembra.String("x")}},
	}
	if diff := cmp.Diff(want, l.fake.list); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	wantStatus(t, l.send("GET", "/memories", keyRead, ""), 200)
	if l.fake.list.Limit != lembra.DefaultPage {
		t.Errorf("limit %d, want the default", l.fake.list.Limit)
	}
	for query, field := range map[string]string{
		"tenant_id=acme":                       "tenant_id",
		"agent_id=a&agent_id=a":                "agent_id",
		"colour=red":                           "colour",
		"limit=0":                              "limit",
		"limit=1001":                           "limit",
		"limit=x":                              "limit",
		"limit=":                               "limit",
		"since=yesterday":                      "since",
		"until=":                               "until",
		"filter=5":                             "filter",
		"filter=":                              "filter",
		"filter=null":                          "filter",
		"filter=%7B%22x%22:1%7D":               "filter",
		"filter=%7B%22speaker%22:%5B%5D%7D%7D": "filter",
		"filter=%7B%22speaker%22:1,%22speaker%22:1%7D": "filter.speaker",
		"agent_id=a%2Fb": "agent_id",
		"agent_id=%zz":   "",
		"a;b":            "",
	} {
		wantProblem(t, l.send("GET", "/memories?"+query, keyRead, ""), lembra.CodeInvalid, field)
	}
	wantProblem(t, l.send("GET", "/memories?filter="+strings.Repeat("%5B", 33), keyRead, ""), lembra.CodeTooLarge, "filter")
	// The others take no parameters but their own.
	wantProblem(t, l.send("POST", "/memorize?agent_id=a", keyWrite, memory), lembra.CodeInvalid, "agent_id")
}

func TestMemoryByID(t *testing.T) {
	l := newLab(t)
	const found = `"tenant_id":"acme","agent_id":"a","content":"c","metadata":{"n":1},"embedding_model":"m","version":3,"created_at":"2026-01-31T09:00:00.123456Z","updated_at":"2026-01-31T09:00:00.123456Z"}`
	for path, id := range map[string]string{"/memories/m1": "m1", "/memories/a%20%C3%A9": "a é", "/memories/%2E%2E?agent_id=x": "..", "/memories/.x": ".x"} {
		w := l.send("GET", path, keyRead, "")
		wantBody(t, w, fmt.Sprintf(`{"memory_id":%q,`, id)+found)
		if l.fake.id != id || w.Header().Get("ETag") != `"3"` {
			t.Errorf("%s: id %q, ETag %s", path, l.fake.id, w.Header().Get("ETag"))
		}
	}
	wantStatus(t, l.send("GET", "/memories/m1/history?agent_id=b&before=7", keyRead, ""), 200)
	if l.fake.called != "history" || l.fake.agent != "b" || l.fake.version != 7 {
		t.Errorf("called %q for agent %q", l.fake.called, l.fake.agent)
	}
	w := l.send("PATCH", "/memories/m1?agent_id=b", keyWrite, `{"content":"new"}`, "If-Match", `"2"`, "Content-Type", "application/merge-patch+json")
	wantStatus(t, w, 200)
	if l.fake.version != 2 || l.fake.agent != "b" || w.Header().Get("ETag") != `"3"` {
		t.Errorf("version %d, agent %q, header %v", l.fake.version, l.fake.agent, w.Header())
	}
	w = l.send("DELETE", "/memories/m1", keyWrite, "", "If-Match", "*")
	if w.Code != 204 || w.Body.Len() != 0 || l.fake.version != 0 || l.fake.agent != "" {
		t.Errorf("status %d, %q, version %d, agent %q", w.Code, w.Body, l.fake.version, l.fake.agent)
	}
	for _, bad := range []string{"3", `""`, `"x"`, `W/"3"`, `"3", "4"`, `"0"`, `"-1"`, ``, `"18446744073709551616"`} {
		for _, method := range []string{"PATCH", "DELETE"} {
			p := wantProblem(t, l.send(method, "/memories/m1", keyWrite, `{}`, "If-Match", bad), lembra.CodeInvalid, "If-Match")
			if !strings.Contains(p.Detail, `"3"`) {
				t.Errorf("%s: detail %q shows no example", bad, p.Detail)
			}
		}
	}
	wantProblem(t, l.send("DELETE", "/memories/m1", keyWrite, "", "If-Match", `"1"`, "If-Match", `"2"`), lembra.CodeInvalid, "If-Match")
	for _, bad := range []string{"", "0", "-1", "x", "1.5", "9223372036854775808"} {
		wantProblem(t, l.send("GET", "/memories/m1/history?before="+bad, keyRead, ""), lembra.CodeInvalid, "before")
	}
	wantProblem(t, l.send("GET", "/memories/a%2Fb", keyRead, ""), lembra.CodeInvalid, "memory_id")
	wantProblem(t, l.send("GET", "/memories/a%0Ab", keyRead, ""), lembra.CodeInvalid, "memory_id")
	wantProblem(t, l.send("GET", "/memories/m1?agent_id=", keyRead, ""), lembra.CodeInvalid, "agent_id")
	wantProblem(t, l.send("GET", "/memories/"+strings.Repeat("x", 129), keyRead, ""), lembra.CodeInvalid, "memory_id")
}

func TestPatchBody(t *testing.T) {
	l := newLab(t)
	one := lembra.Number(1)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for body, want := range map[string]lembra.PatchRequest{
		`{}`:                {},
		`{"content":"new"}`: {Content: lembra.Some("new")},
		`{"user_id":null,"session_id":"s","importance":0.5,"expires_at":null,"occurred_at":"2026-01-01T00:00:00Z"}`: {
			UserID: lembra.Optional[string]{Set: true, Null: true}, SessionID: lembra.Some("s"), Importance: lembra.Some(0.5),
			ExpiresAt: lembra.Optional[time.Time]{Set: true, Null: true}, OccurredAt: lembra.Some(at),
		},
		`{"metadata":{"gone":null,"n":1}}`: {Metadata: lembra.Some(map[string]*lembra.Value{"gone": nil, "n": &one})},
		`{"metadata":null}`:                {Metadata: lembra.Optional[map[string]*lembra.Value]{Set: true, Null: true}},
	} {
		wantStatus(t, l.send("PATCH", "/memories/m1", keyWrite, body), 200)
		if diff := cmp.Diff(want, l.fake.patch); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	for body, field := range map[string]string{
		``:                                "",
		`{"content":null}`:                "content",
		`{"content":5}`:                   "content",
		`{"content":" "}`:                 "content",
		`{"agent_id":"b"}`:                "agent_id",
		`{"position":1}`:                  "position",
		`{"importance":7}`:                "importance",
		`{"importance":"x"}`:              "importance",
		`{"occurred_at":"x"}`:             "occurred_at",
		`{"metadata":5}`:                  "metadata",
		`{"metadata":{"a":{"b":1}}}`:      "metadata.a",
		`{"metadata":{"a":1,"a":2}}`:      "metadata.a",
		`{"user_id":null,"user_id":null}`: "user_id",
		`{"user_id":"a/b"}`:               "user_id",
	} {
		wantProblem(t, l.send("PATCH", "/memories/m1", keyWrite, body), lembra.CodeInvalid, field)
	}
	wantProblem(t, l.send("PATCH", "/memories/m1", keyWrite, `{"tenant_id":"rival"}`), lembra.CodeTenantMismatch, "tenant_id")
}

func TestAgents(t *testing.T) {
	l := newLab(t)
	wantBody(t, l.send("GET", "/agents?cursor=c&limit=3", keyRead, ""), `{"agents":[]}`)
	if l.fake.cursor != "c" || l.fake.limit != 3 {
		t.Errorf("cursor %q, limit %d", l.fake.cursor, l.fake.limit)
	}
	wantStatus(t, l.send("GET", "/agents", keyRead, ""), 200)
	if l.fake.limit != lembra.DefaultPage {
		t.Errorf("limit %d", l.fake.limit)
	}
	wantStatus(t, l.send("DELETE", "/agents/a%20b", keyWrite, ""), 204)
	if l.fake.agent != "a b" {
		t.Errorf("agent %q", l.fake.agent)
	}
	wantBody(t, l.send("GET", "/tenants/acme/stats", keyRead, ""), `{"tenant_id":"acme","total_memories":0,"agent_count":0,"agents":{}}`)
	l.fake.called = ""
	wantProblem(t, l.send("GET", "/tenants/rival/stats", keyRead, ""), lembra.CodeNotFound, "tenant_id")
	if l.fake.called != "" {
		t.Error("another tenant's statistics were asked for")
	}
}

func TestTenantsAndKeys(t *testing.T) {
	l := newLab(t)
	w := l.send("POST", "/tenants", keyServer, `{"tenant_id":"new"}`)
	wantStatus(t, w, 201)
	if got := w.Body.String(); got != `{"tenant_id":"new","created_at":"2026-01-31T09:00:00.123456Z"}` {
		t.Errorf("body %s", got)
	}
	wantProblem(t, l.send("POST", "/tenants", keyServer, `{"tenant_id":"a/b"}`), lembra.CodeInvalid, "tenant_id")
	wantProblem(t, l.send("POST", "/tenants", keyServer, `{}`), lembra.CodeInvalid, "tenant_id")
	wantBody(t, l.send("GET", "/tenants", keyServer, ""), `{"tenants":[]}`)
	// The data that cannot be dropped now is the sweep's; the deletion stands.
	l.fake.dropErr = errors.New("later")
	wantStatus(t, l.send("DELETE", "/tenants/acme", keyServer, ""), 204)
	if l.fake.called != "drop tenant" || l.fake.tenant.ID != "acme" || !strings.Contains(l.logs.String(), "later") {
		t.Errorf("called %q for %v", l.fake.called, l.fake.tenant)
	}
	w = l.send("POST", "/keys", keyAdmin, `{"name":"n","scopes":["read"],"expires_at":"2030-01-01T00:00:00Z"}`)
	wantStatus(t, w, 201)
	if !strings.Contains(w.Body.String(), `"key":"lmb_aaa`) || l.fake.key.Name != "n" {
		t.Errorf("body %s, request %+v", w.Body, l.fake.key)
	}
	wantProblem(t, l.send("POST", "/keys", keyAdmin, `{"scopes":["read",1]}`), lembra.CodeInvalid, "scopes[1]")
	wantProblem(t, l.send("POST", "/keys", keyAdmin, `{"scopes":"read"}`), lembra.CodeInvalid, "scopes")
	wantBody(t, l.send("GET", "/keys?tenant_id=acme", keyServer, ""), `{"keys":[]}`)
	wantProblem(t, l.send("GET", "/keys?tenant_id=", keyServer, ""), lembra.CodeInvalid, "tenant_id")
	wantStatus(t, l.send("DELETE", "/keys/k1", keyAdmin, ""), 204)
	if l.fake.id != "k1" {
		t.Errorf("revoked %q", l.fake.id)
	}
}

// Every route is closed to every key that lacks its scope, and open to the
// others.
func TestScopes(t *testing.T) {
	l := newLab(t)
	may := map[need][]string{
		needRead: {keyAll, keyRead}, needWrite: {keyAll, keyWrite},
		needAdmin: {keyAll, keyAdmin, keyServer}, needServer: {keyServer},
	}
	for _, rt := range routes() {
		target := strings.NewReplacer("{memory_id}", "m", "{agent_id}", "a", "{tenant_id}", "acme", "{key_id}", "k").Replace(rt.path)
		if rt.need == needNone {
			if w := l.send(rt.method, target, "", ""); w.Code >= 400 {
				t.Errorf("%s %s without a key: %d", rt.method, target, w.Code)
			}
			continue
		}
		for _, key := range []string{keyAll, keyRead, keyWrite, keyAdmin, keyServer} {
			w := l.send(rt.method, target, key, "{}")
			allowed := false
			for _, k := range may[rt.need] {
				allowed = allowed || k == key
			}
			if allowed == (w.Code == 403) || w.Code == 401 {
				t.Errorf("%s %s with %s: %d, allowed %t", rt.method, target, key, w.Code, allowed)
			}
		}
		w := l.send(rt.method, target, "", "{}")
		wantProblem(t, w, lembra.CodeUnauthorized, "")
		if w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s: 401 without WWW-Authenticate", rt.method, target)
		}
	}
	p := wantProblem(t, l.send("POST", "/recall", keyServer, `{}`), lembra.CodeForbidden, "")
	if !strings.Contains(p.Detail, "reads and writes no memories") {
		t.Errorf("detail %q gives no reason", p.Detail)
	}
}

func TestKeyHeaders(t *testing.T) {
	l := newLab(t)
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"X-API-Key":        {[]string{"X-API-Key", keyRead}, 200},
		"bearer":           {[]string{"Authorization", "Bearer " + keyRead}, 200},
		"token":            {[]string{"Authorization", "token  " + keyRead + " "}, 200},
		"both the same":    {[]string{"X-API-Key", keyRead, "Authorization", "Bearer " + keyRead}, 200},
		"both different":   {[]string{"X-API-Key", keyRead, "Authorization", "Bearer " + keyAll}, 401},
		"two of one":       {[]string{"X-API-Key", keyRead, "X-API-Key", keyAll}, 401},
		"basic":            {[]string{"Authorization", "Basic " + keyRead}, 401},
		"no scheme":        {[]string{"Authorization", keyRead}, 401},
		"empty":            {[]string{"X-API-Key", ""}, 401},
		"bearer of naught": {[]string{"Authorization", "Bearer "}, 401},
		"unknown":          {[]string{"X-API-Key", "nonsense"}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			w := l.send("GET", "/agents", "", "", c.headers...)
			wantStatus(t, w, c.status)
			if c.status == 401 {
				wantProblem(t, w, lembra.CodeUnauthorized, "")
			}
		})
	}
}

func TestUnknownRoutesAndMethods(t *testing.T) {
	l := newLab(t)
	for _, target := range []string{"/nope", "/memorize/", "/memorize/batch/x", "//memorize", "/memories/", "/memories//history", "/a/../memorize", "/./memorize", "/v1/memorize", "/index.html"} {
		w := l.send("POST", target, keyAll, memory)
		wantProblem(t, w, lembra.CodeNotFound, "")
	}
	for target, allow := range map[string]string{
		"/memorize": "POST", "/memories/m1": "GET, HEAD, PATCH, DELETE", "/memories": "GET, HEAD", "/tenants": "POST, GET, HEAD",
		"/livez": "GET, HEAD", "/": "GET, HEAD",
	} {
		for _, method := range []string{"PUT", "OPTIONS", "BREW"} {
			w := l.send(method, target, "", "")
			wantProblem(t, w, lembra.CodeMethodNotAllowed, "")
			if got := w.Header().Get("Allow"); got != allow {
				t.Errorf("%s %s: Allow %q, want %q", method, target, got, allow)
			}
		}
	}
	wantStatus(t, l.send("HEAD", "/memories/m1", keyRead, ""), 200)
}
