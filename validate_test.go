package lembra_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lembra"
)

// wantInvalid checks an error's code, field and limit.
func wantInvalid(t *testing.T, name string, err error, code lembra.Code, field string, limit int64) {
	t.Helper()
	e, ok := errors.AsType[*lembra.Error](err)
	if !ok {
		t.Errorf("%s: got %v, want an error about %s", name, err, field)
		return
	}
	if e.Code != code || e.Field != field || e.Limit != limit || e.Message == "" {
		t.Errorf("%s: got %+v, want %s about %q with limit %d", name, e, code, field, limit)
	}
}

func TestValidateID(t *testing.T) {
	l := lembra.DefaultLimits()
	for _, good := range []string{"a", " ", "a b", "é", strings.Repeat("é", 128), "..", "a\\b", "%2F", "日本", "\u200b"} {
		if err := l.ValidateID("id", good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for id, limit := range map[string]int64{
		"": 0, "a/b": 0, "a\nb": 0, "\x00": 0, "a\x7f": 0, "a\u0085": 0, "a\xff": 0, strings.Repeat("é", 129): 128, strings.Repeat("a", 129): 128,
	} {
		wantInvalid(t, id, l.ValidateID("id", id), lembra.CodeInvalid, "id", limit)
	}
}

func TestValidateMemorize(t *testing.T) {
	l := lembra.DefaultLimits()
	good := func() lembra.MemorizeRequest { return lembra.MemorizeRequest{AgentID: "a", Content: "c"} }
	full := good()
	full.Content = strings.Repeat("x", l.ContentBytesMax)
	full.Importance, full.Position = new(1.0), new(int64(math.MinInt64))
	full.OccurredAt = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	full.MemoryID, full.UserID, full.SessionID, full.Speaker = "m", "u", "s", "p"
	for _, r := range []lembra.MemorizeRequest{good(), full} {
		if err := r.Validate(l); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for name, c := range map[string]struct {
		change func(*lembra.MemorizeRequest)
		code   lembra.Code
		field  string
		limit  int64
	}{
		"agent":        {func(r *lembra.MemorizeRequest) { r.AgentID = "" }, lembra.CodeInvalid, "agent_id", 0},
		"content":      {func(r *lembra.MemorizeRequest) { r.Content = "" }, lembra.CodeInvalid, "content", 0},
		"blank":        {func(r *lembra.MemorizeRequest) { r.Content = "\n\u00a0 " }, lembra.CodeInvalid, "content", 0},
		"UTF-8":        {func(r *lembra.MemorizeRequest) { r.Content = "a\xff" }, lembra.CodeInvalid, "content", 0},
		"long":         {func(r *lembra.MemorizeRequest) { r.Content = strings.Repeat("x", 32769) }, lembra.CodeTooLarge, "content", 32768},
		"memory id":    {func(r *lembra.MemorizeRequest) { r.MemoryID = "a/b" }, lembra.CodeInvalid, "memory_id", 0},
		"user":         {func(r *lembra.MemorizeRequest) { r.UserID = "a/b" }, lembra.CodeInvalid, "user_id", 0},
		"session":      {func(r *lembra.MemorizeRequest) { r.SessionID = "a/b" }, lembra.CodeInvalid, "session_id", 0},
		"speaker":      {func(r *lembra.MemorizeRequest) { r.Speaker = "a/b" }, lembra.CodeInvalid, "speaker", 0},
		"importance":   {func(r *lembra.MemorizeRequest) { r.Importance = new(-0.1) }, lembra.CodeInvalid, "importance", 1},
		"not a number": {func(r *lembra.MemorizeRequest) { r.Importance = new(math.NaN()) }, lembra.CodeInvalid, "importance", 1},
		"far future":   {func(r *lembra.MemorizeRequest) { r.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, lembra.CodeInvalid, "expires_at", 0},
		"far past":     {func(r *lembra.MemorizeRequest) { r.OccurredAt = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) }, lembra.CodeInvalid, "occurred_at", 0},
		"empty key":    {func(r *lembra.MemorizeRequest) { r.Metadata = lembra.Metadata{"": lembra.Bool(true)} }, lembra.CodeInvalid, "metadata", 0},
		"large metadata": {func(r *lembra.MemorizeRequest) {
			r.Metadata = lembra.Metadata{"k": lembra.String(strings.Repeat("x", 4096))}
		}, lembra.CodeTooLarge, "metadata", 4096},
	} {
		r := good()
		c.change(&r)
		wantInvalid(t, name, r.Validate(l), c.code, c.field, c.limit)
	}
}

// The quick look at metadata refuses and accepts as its exact size would.
func TestMetadataSizeIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := lembra.Metadata{}
		for range rapid.IntRange(1, 4).Draw(t, "fields") {
			text := rapid.StringOfN(rapid.RuneFrom([]rune{'a', '<', '"', 'é', '\u2028', '\x01'}), 0, 8, -1)
			value := rapid.OneOf(
				rapid.Map(text, lembra.String), rapid.Map(rapid.Bool(), lembra.Bool), rapid.Map(rapid.Float64Range(-1e9, 1e9), lembra.Number),
			)
			m["k"+text.Draw(t, "key")] = value.Draw(t, "value")
		}
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false) // "<" is one byte, as it is sent
		if err := e.Encode(m); err != nil {
			t.Fatal(err)
		}
		b := bytes.TrimSpace(text.Bytes())
		l := lembra.DefaultLimits()
		l.MetadataBytesMax = len(b)
		if err := l.ValidateMetadata(m); err != nil {
			t.Fatalf("%s has exactly %d bytes: %v", b, len(b), err)
		}
		l.MetadataBytesMax--
		if err := l.ValidateMetadata(m); lembra.CodeOf(err) != lembra.CodeTooLarge {
			t.Fatalf("%s is over %d bytes, but: %v", b, l.MetadataBytesMax, err)
		}
	})
}

func TestValidatePatch(t *testing.T) {
	l := lembra.DefaultLimits()
	null := lembra.Optional[string]{Set: true, Null: true}
	good := lembra.PatchRequest{UserID: null, Content: lembra.Some("c"), Importance: lembra.Some(1.)}
	for _, r := range []lembra.PatchRequest{{}, good} {
		if err := r.Validate(l); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for field, r := range map[string]lembra.PatchRequest{
		"content":     {Content: null},
		"user_id":     {UserID: lembra.Some("a/b")},
		"session_id":  {SessionID: lembra.Some("a/b")},
		"speaker":     {Speaker: lembra.Some("a/b")},
		"expires_at":  {ExpiresAt: lembra.Some(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))},
		"occurred_at": {OccurredAt: lembra.Some(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))},
	} {
		wantInvalid(t, field, r.Validate(l), lembra.CodeInvalid, field, 0)
	}
	r := lembra.PatchRequest{Importance: lembra.Some(1.5)}
	wantInvalid(t, "importance", r.Validate(l), lembra.CodeInvalid, "importance", 1)
	r = lembra.PatchRequest{Content: lembra.Some(strings.Repeat("x", 32769))}
	wantInvalid(t, "content", r.Validate(l), lembra.CodeTooLarge, "content", 32768)
}

func TestValidateQuery(t *testing.T) {
	l := lembra.DefaultLimits()
	q := lembra.Query{Query: "q"}
	if err := q.Validate(l); err != nil || q.TopK != lembra.DefaultTopK || q.Mode != lembra.ModeHybrid {
		t.Errorf("%+v, %v", q, err)
	}
	for name, c := range map[string]struct {
		q     lembra.Query
		field string
		limit int64
	}{
		"no query":   {lembra.Query{}, "query", 0},
		"top_k":      {lembra.Query{Query: "q", TopK: 101}, "top_k", 100},
		"negative":   {lembra.Query{Query: "q", TopK: -1}, "top_k", 100},
		"mode":       {lembra.Query{Query: "q", Mode: "magic"}, "mode", 0},
		"recency":    {lembra.Query{Query: "q", Weights: &lembra.Weights{Recency: 2}}, "weights.recency", 1},
		"importance": {lembra.Query{Query: "q", Weights: &lembra.Weights{Importance: -1}}, "weights.importance", 1},
		"agent":      {lembra.Query{Query: "q", AgentID: "a/b"}, "agent_id", 0},
		"user":       {lembra.Query{Query: "q", UserID: "a/b"}, "user_id", 0},
		"session":    {lembra.Query{Query: "q", SessionID: "a/b"}, "session_id", 0},
		"since":      {lembra.Query{Query: "q", Since: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "since", 0},
		"until":      {lembra.Query{Query: "q", Until: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "until", 0},
	} {
		wantInvalid(t, name, c.q.Validate(l), lembra.CodeInvalid, c.field, c.limit)
	}
	big := lembra.Query{Query: "q", Filter: &lembra.Filter{Field: "user_id", Op: lembra.OpIn, Values: make([]lembra.Value, 1000)}}
	wantInvalid(t, "filter", big.Validate(l), lembra.CodeTooLarge, "filter", 1000)
}

func TestValidateListAndForget(t *testing.T) {
	l := lembra.DefaultLimits()
	q := lembra.ListQuery{}
	if err := q.Validate(l); err != nil || q.Limit != lembra.DefaultPage {
		t.Errorf("%+v, %v", q, err)
	}
	for _, limit := range []int{-1, 1001} {
		q := lembra.ListQuery{Limit: limit}
		wantInvalid(t, "limit", q.Validate(l), lembra.CodeInvalid, "limit", 1000)
	}
	q = lembra.ListQuery{AgentID: "a/b"}
	wantInvalid(t, "agent", q.Validate(l), lembra.CodeInvalid, "agent_id", 0)
	for _, r := range []lembra.ForgetRequest{
		{AgentID: "a"}, {UserID: "u"}, {SessionID: "s"}, {Since: time.Now()}, {Until: time.Now()}, {Filter: &lembra.Filter{Field: "speaker"}},
	} {
		if err := r.Validate(l); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	r := lembra.ForgetRequest{DryRun: true, TenantID: "t"}
	wantInvalid(t, "nothing named", r.Validate(l), lembra.CodeInvalid, "", 0)
	r = lembra.ForgetRequest{AgentID: "a/b"}
	wantInvalid(t, "agent", r.Validate(l), lembra.CodeInvalid, "agent_id", 0)
}
