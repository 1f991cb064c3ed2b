package report

import (
	"slices"
	"strings"
	"time"

	"lembra/internal/bench/run"
)

// How much of a log and of the failures a chronology shows.
const (
	chronologyGroups   = 12
	chronologyFailures = 12
)

// An event is one line of a chronology; Key names the phrase about Data.
type event struct {
	Time time.Time
	Key  string
	Data any
}

// Chronology is what happened, in order of time; empty without a time to begin
// with.
func (f *facts) Chronology() []event {
	if f.Info.StartedAt.IsZero() {
		return nil
	}
	events := []event{{f.Info.StartedAt, "event.start", nil}}
	if !f.Info.EndedAt.IsZero() {
		events = append(events, event{f.Info.EndedAt, "event.end", nil})
	}
	for i, stage := range f.Info.Stages {
		at := f.Info.StartedAt.Add(time.Duration(stage.StartS * float64(time.Second)))
		if f.Info.EndedAt.IsZero() || at.Before(f.Info.EndedAt) {
			events = append(events, event{at, "event.stage", struct {
				Number int
				Stage  run.Stage
			}{i + 1, stage}})
		}
	}
	for _, failure := range f.Results.Failures[:min(chronologyFailures, len(f.Results.Failures))] {
		events = append(events, span(failure.First, failure.Last, "event.failure", failure)...)
	}
	if f.Log != nil {
		for _, g := range f.Log.Largest(chronologyGroups) {
			events = append(events, span(g.First, g.Last, "event.log", g)...)
		}
	}
	events = append(events, f.peakEvents()...)
	slices.SortStableFunc(events, func(a, b event) int { return a.Time.Compare(b.Time) })
	return events
}

// span is the first and the last of something, one event where they are one.
func span(first, last time.Time, key string, data any) []event {
	switch {
	case first.IsZero():
		return nil
	case !last.After(first):
		return []event{{first, key + "-first", data}}
	}
	return []event{{first, key + "-first", data}, {last, key + "-last", data}}
}

func (f *facts) peakEvents() []event {
	var events []event
	for key, p := range map[string]*peak{
		"event.descriptors": f.Peaks.Descriptors, "event.waiting": f.Peaks.Waiting, "event.requests": f.Peaks.Requests,
	} {
		if p != nil && p.Value > 0 {
			events = append(events, event{p.At, key, p})
		}
	}
	if out, found := ruleSilence(f); out == fired {
		silence, _ := found.(silenceFinding)
		events = append(events, event{silence.From, "event.silence", silence})
	}
	if f.FirstMiss != nil {
		events = append(events, event{f.FirstMiss.Time, "event.probe", f.FirstMiss.Probe})
	}
	// The map has no order of its own; times that are equal keep this one.
	slices.SortFunc(events, func(a, b event) int { return strings.Compare(a.Key, b.Key) })
	return events
}
