package pebblestore

import (
	"maps"
	"testing"

	"lembra/internal/record"
)

func TestReclaimer(t *testing.T) {
	c := newReclaimer()
	logOf := func(agent string) record.LogID { return record.LogID{Agent: agent} }
	numbers := func(first, n uint64) []uint64 {
		all := make([]uint64, n)
		for i := range all {
			all[i] = first + uint64(i)
		}
		return all
	}
	due := func(want int) {
		t.Helper()
		if n := len(c.due); n != want {
			t.Errorf("%d are due, want %d", n, want)
		}
	}
	counted := func(want int) {
		t.Helper()
		parts := 0
		for _, d := range c.logs {
			parts += len(d.parts)
		}
		if c.parts != want || parts != want {
			t.Errorf("%d parts are counted, and reckoned as %d; want %d", parts, c.parts, want)
		}
	}
	c.note(logOf("nobody died"), 1000, nil)
	counted(0)
	c.note(logOf("a"), 7, numbers(1, deadMin-1))
	due(0)
	counted(deadMin / deadPart)
	c.note(logOf("a"), 7, numbers(deadMin, 1))
	due(1)
	counted(0)
	d := <-c.due
	if d.log != logOf("a") || d.died != deadMin || d.parts[0] != deadPart-1 || d.parts[1] != deadPart || d.parts[deadMin/deadPart] != 1 {
		t.Errorf("due is %+v", d)
	}
	// What is put back is due with the next that dies.
	delete(d.parts, 0)
	c.putBack(d)
	counted(deadMin / deadPart)
	c.note(logOf("a"), 7, numbers(1, deadPart-1))
	due(1)
	<-c.due
	// Few beside those that live.
	c.note(logOf("b"), 5*deadMin, numbers(1, deadMin))
	due(0)
	c.note(logOf("b"), 4*deadMin, numbers(1<<40, 1))
	due(1)
	<-c.due
	// What finds no place waits for the next that dies.
	for range deadQueueMax + 1 {
		c.note(logOf("b"), 0, numbers(1, deadMin))
	}
	due(deadQueueMax)
	<-c.due
	c.note(logOf("b"), 0, numbers(1, 1))
	due(deadQueueMax)
	counted(0)
}

// The parts that are counted are bounded, and those of the logs with the most dead stay.
func TestReclaimerForgets(t *testing.T) {
	c := newReclaimer()
	many := record.LogID{Agent: "many"}
	nearly := make([]uint64, deadMin-1)
	for i := range nearly {
		nearly[i] = uint64(i)
	}
	c.note(many, 0, nearly)
	for i := range 2 * deadPartsMax {
		c.note(record.LogID{AgentGeneration: uint64(i)}, 0, []uint64{1})
	}
	if c.parts > deadPartsMax || len(c.logs) < deadPartsMax/2 {
		t.Errorf("%d parts of %d logs are counted", c.parts, len(c.logs))
	}
	if d := c.logs[many]; d == nil || d.died != deadMin-1 {
		t.Error("the log with the most dead is forgotten")
	}
	// One log alone.
	c = newReclaimer()
	for i := range uint64(2 * deadPartsMax) {
		c.note(many, 1<<60, []uint64{i * deadPart})
	}
	if d := c.logs[many]; c.parts != deadPartsMax || len(d.parts) != deadPartsMax || d.died != deadPartsMax {
		t.Errorf("%d parts are counted, and %d dead in %d", c.parts, d.died, len(d.parts))
	}
	sum := uint64(0)
	for n := range maps.Values(c.logs[many].parts) {
		sum += n
	}
	if sum != deadPartsMax {
		t.Errorf("%d dead in the parts", sum)
	}
}
