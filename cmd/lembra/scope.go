package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lembra"
)

// scope are the flags that narrow a recall or a forget to some memories.
type scope struct {
	agent, user, session string
	filter               string
	since, until         string
}

func (s *scope) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&s.agent, "agent", "", "only this agent's memories")
	flags.StringVar(&s.user, "user", "", "only memories of this user")
	flags.StringVar(&s.session, "session", "", "only memories of this session")
	flags.StringVar(&s.filter, "filter", "", `only memories that match, such as '{"metadata.topic":{"in":["a","b"]}}'`)
	flags.StringVar(&s.since, "since", "", "only memories of this time or later, such as 2026-01-31 or 2026-01-31T09:00:00Z")
	flags.StringVar(&s.until, "until", "", "only memories before this time")
}

// parse reads the flags that are no plain text.
func (s *scope) parse() (filter *lembra.Filter, since, until time.Time, err error) {
	if s.filter != "" {
		filter = new(lembra.Filter)
		if err := json.Unmarshal([]byte(s.filter), filter); err != nil {
			return nil, since, until, usagef("--filter: %w", err)
		}
	}
	if since, err = parseTimeFlag("since", s.since); err != nil {
		return nil, since, until, err
	}
	until, err = parseTimeFlag("until", s.until)
	return filter, since, until, err
}

func parseTimeFlag(name, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	t, err := parseTime(value)
	if err != nil {
		return t, usagef("--%s: %w", name, err)
	}
	return t, nil
}

// timeLayouts are the forms of a time that are understood; one without a zone is
// UTC.
func timeLayouts() []string {
	return []string{
		time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04",
		"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly,
	}
}

func parseTime(s string) (time.Time, error) {
	for _, layout := range timeLayouts() {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: use one like 2026-01-31T09:00:00Z", s)
}
