package storetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"lembra"
	"lembra/internal/access"
	"lembra/internal/record"
	"lembra/internal/storetest"
)

var (
	_ storetest.Store = (*storetest.Memory)(nil)
	_ access.Tenants  = (*storetest.Memory)(nil)
	_ access.Keys     = (*storetest.Memory)(nil)
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	storetest.Test(t, func(*testing.T) storetest.Store { return storetest.NewMemory() })
}

var errLost = errors.New("connection lost")

func newWriter() *storetest.Writer {
	return storetest.NewWriter(record.LogID{Tenant: lembra.Tenant{ID: "t", Generation: 1}, Agent: "a", AgentGeneration: 1})
}

// last returns the number of the log's last record.
func last(t *testing.T, m *storetest.Memory) uint64 {
	t.Helper()
	head, err := m.Head(t.Context(), lembra.Tenant{ID: "t", Generation: 1}, "a")
	if err != nil {
		t.Fatal(err)
	}
	return head.Last
}

func TestFaultsOfOneAppend(t *testing.T) {
	foreign := func(m *storetest.Memory) func(context.Context) {
		return func(ctx context.Context) {
			w := newWriter()
			w.Put("foreign")
			if err := w.Append(ctx, m); err != nil {
				t.Error(err)
			}
		}
	}
	for name, test := range map[string]struct {
		fault   func(*storetest.Memory)
		n       int
		end     uint64
		err     error
		written uint64
	}{
		"none":           {func(*storetest.Memory) {}, 2, 2, nil, 2},
		"a prefix":       {func(m *storetest.Memory) { m.WritePrefix(1) }, 1, 1, nil, 1},
		"an empty one":   {func(m *storetest.Memory) { m.WritePrefix(0) }, 0, 0, nil, 0},
		"answer lost":    {func(m *storetest.Memory) { m.LoseAnswer(errLost) }, 0, 0, errLost, 2},
		"write lost":     {func(m *storetest.Memory) { m.LoseWrite(errLost) }, 0, 0, errLost, 0},
		"foreign writer": {func(m *storetest.Memory) { m.BeforeAppend(foreign(m)) }, 0, 1, record.ErrCollision, 1},
		"read-only":      {func(m *storetest.Memory) { m.SetReadOnly(true) }, 0, 0, record.ErrReadOnly, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := storetest.NewMemory()
			test.fault(m)
			w := newWriter()
			w.Put("m1")
			w.Put("m2")
			after, records := w.Pending()
			n, end, err := m.Append(t.Context(), w.Log, after, records)
			if n != test.n || end != test.end || !errors.Is(err, test.err) {
				t.Errorf("Append = %d, %d, %v, want %d, %d, %v", n, end, err, test.n, test.end, test.err)
			}
			if got := last(t, m); got != test.written {
				t.Errorf("log ends at %d, want %d", got, test.written)
			}
			m.SetReadOnly(false)
			if _, _, err := m.Append(t.Context(), w.Log, test.written, nil); err != nil {
				t.Errorf("the fault outlives its append: %v", err)
			}
		})
	}
}

func TestReadOnlyDeletes(t *testing.T) {
	m, w := storetest.NewMemory(), newWriter()
	w.Put("m1")
	if err := w.Append(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	m.SetReadOnly(true)
	w.Delete("m1")
	if err := w.Append(t.Context(), m); err != nil {
		t.Errorf("delete in a read-only store: %v", err)
	}
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, w := storetest.NewMemory(), newWriter()
		held, release := m.Hold()
		answers := make(chan error, 2)
		w.Put("m1")
		after, records := w.Pending()
		for range 2 { // the second is a duplicate
			go func() {
				_, _, err := m.Append(t.Context(), w.Log, after, records)
				answers <- err
			}()
			<-held
		}
		synctest.Wait()
		if len(answers) > 0 || last(t, m) != 1 {
			t.Errorf("%d answers, log ends at %d: want a write that is visible and not acknowledged", len(answers), last(t, m))
		}
		release()
		for range 2 {
			if err := <-answers; err != nil && !errors.Is(err, record.ErrCollision) {
				t.Error(err)
			}
		}
		w.Put("m2")
		if err := w.Append(t.Context(), m); err != nil {
			t.Errorf("after the release: %v", err)
		}
	})
}

func TestRollback(t *testing.T) {
	m, w := storetest.NewMemory(), newWriter()
	empty := m.Save(w.Log)
	w.Put("m1")
	w.Put("m2")
	if err := w.Append(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	saved := m.Save(w.Log)
	w.Delete("m1")
	w.Patch("m2")
	w.Erase()
	if err := w.Append(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	m.Rollback(saved)
	records, err := m.Read(t.Context(), w.Log, 1, 10)
	if err != nil || len(records) != 2 || records[0].Purged || records[0].GetPut().Content != storetest.Secret("m1", 1) {
		t.Errorf("log after the rollback: %v, %v", records, err)
	}
	if err := storetest.Check(t.Context(), m); err != nil {
		t.Error(err)
	}
	m.Rollback(empty)
	if got := last(t, m); got != 0 {
		t.Errorf("log ends at %d after a rollback to nothing", got)
	}
}

// Check must see what is wrong: a store whose answers do not follow from its
// records.
func TestCheckSees(t *testing.T) {
	for name, wrong := range map[string]func(*storetest.Memory, *storetest.Writer) storetest.Checked{
		"a head that lags": func(m *storetest.Memory, _ *storetest.Writer) storetest.Checked { return laggingHead{m} },
		"an id not found":  func(m *storetest.Memory, _ *storetest.Writer) storetest.Checked { return noIDs{m} },
		"a wrong count": func(m *storetest.Memory, w *storetest.Writer) storetest.Checked {
			w.Put("m3")
			_, records := w.Pending()
			records[0].Live = 99
			if _, _, err := m.Append(t.Context(), w.Log, records[0].Number-1, records); err != nil {
				t.Fatal(err)
			}
			return m
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, w := storetest.NewMemory(), newWriter()
			w.Put("m1")
			w.Put("m2")
			if err := w.Append(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if err := storetest.Check(t.Context(), m); err != nil {
				t.Errorf("before: %v", err)
			}
			if err := storetest.Check(t.Context(), wrong(m, w)); err == nil {
				t.Error("Check sees nothing wrong")
			}
		})
	}
}

type laggingHead struct{ *storetest.Memory }

func (l laggingHead) Head(ctx context.Context, t lembra.Tenant, agent string) (record.Head, error) {
	head, err := l.Memory.Head(ctx, t, agent)
	head.Last--
	return head, err
}

type noIDs struct{ *storetest.Memory }

func (noIDs) Locate(context.Context, lembra.Tenant, string, string, int) ([]record.Location, error) {
	return nil, nil
}
