package engine_test

import (
	"testing"

	"lembra"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

// What another analyser left in the log is analysed anew when the shelf is built:
// terms, and what kind of text it is.
func TestOlderAnalyser(t *testing.T) {
	s := storetest.NewMemory()
	log := record.LogID{Tenant: tenant(acme), Agent: "a", AgentGeneration: 1}
	records := []*record.Record{
		{Body: &record.Record_Put{Put: &record.Put{
			MemoryId: "question", Content: "Did you buy it yesterday?", SessionId: "s", Speaker: "Ana",
			Terms: &record.Terms{Analyzer: 1, Language: 1, Text: "stale terms"},
		}}},
		{Body: &record.Record_Put{Put: &record.Put{
			MemoryId: "answer", Content: "Of course.", SessionId: "s", Speaker: "Rui", CreatedAtUs: 1,
			Terms: &record.Terms{Analyzer: 1, Language: 1, Text: "stale terms"},
		}}},
	}
	for i, r := range records {
		r.Number, r.WriteId, r.Live = uint64(i)+1, []byte("sixteen bytes-16"), uint64(i)+1
		r.GetPut().First, r.GetPut().Version = r.Number, 1
	}
	if _, _, err := s.Append(t.Context(), log, 0, records); err != nil {
		t.Fatal(err)
	}
	e := open(t, s)
	got, err := e.Recall(t.Context(), tenant(acme), lembra.Query{AgentID: "a", Query: "When did Ana buy it?", Mode: lembra.ModeLexical, Explain: true})
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]*lembra.Explanation{}
	for _, r := range got.Results {
		parts[r.MemoryID] = r.Explain
	}
	if x := parts["question"]; x == nil || x.Terms["buy"] == 0 || x.Question >= 0 || x.Time <= 0 || x.Speaker <= 0 {
		t.Errorf("the question: %+v, want its term, and what a question with a time, by the speaker named, has", x)
	}
	if x := parts["answer"]; x == nil || x.Answer <= 0 || x.Question != 0 || x.Time != 0 || x.Speaker != 0 {
		t.Errorf("the answer: %+v, want a share of the question", x)
	}
}
