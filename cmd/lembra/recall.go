package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"lembra"
)

func (c *cli) recallCommand() *cobra.Command {
	var (
		o      connection
		s      scope
		q      lembra.Query
		mode   string
		asJSON bool
	)
	command := &cobra.Command{
		Use:   "recall QUESTION",
		Short: "Recall what matters for a question",
		Long: `Recall the memories that matter for a question, best first, as a table; --json
prints the server's answer instead. Without --agent all agents are asked. A terminal
narrower than 120 columns shows no ids of memories.`,
		Example: `  lembra recall --agent ada "Where does she live?"
  lembra recall --agent ada --session s1 --top-k 3 --explain "the trip to Porto"
  lembra recall --json "who likes tea?" | jq -r '.results[].content'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			q.Query, q.Mode = strings.Join(args, " "), lembra.Mode(mode)
			q.AgentID, q.UserID, q.SessionID = s.agent, s.user, s.session
			var err error
			if q.Filter, q.Since, q.Until, err = s.parse(); err != nil {
				return err
			}
			cl, err := c.connect(&o)
			if err != nil {
				return err
			}
			defer cl.Close()
			answer, err := cl.Recall(command.Context(), q)
			if err != nil {
				return fmt.Errorf("recall: %w", err)
			}
			if asJSON {
				return c.printJSON(answer)
			}
			if len(answer.Results) == 0 {
				c.note("nothing was recalled")
				return nil
			}
			return c.printTable(resultRows(answer, s.agent == "", q.Explain, terminalWidth(c.stdout)))
		},
	}
	o.flags(command, tenantKeyHelp)
	s.flags(command)
	flags := command.Flags()
	flags.IntVar(&q.TopK, "top-k", lembra.DefaultTopK, "how many memories to recall")
	flags.StringVar(&mode, "mode", string(lembra.ModeHybrid), "what to compare: hybrid, semantic or lexical")
	flags.BoolVar(&q.Explain, "explain", false, "show the parts of each score")
	flags.BoolVar(&asJSON, "json", false, "print the server's answer")
	return command
}

// wideTerminal is the width from which a terminal has room for ids beside contents.
const wideTerminal = 120

// resultRows are the rows of a table of what was recalled, with the agents where there
// may be several. On a terminal, the contents come first: a narrow one is told no ids, and
// where nobody is known to have spoken, nobody is named.
func resultRows(answer lembra.RecallResponse, agents, explained bool, width int) [][]string {
	ids := width == 0 || width >= wideTerminal
	speakers := width == 0 || slices.ContainsFunc(answer.Results, func(r lembra.Result) bool { return r.Speaker != "" })
	columns := []struct {
		name string
		has  bool
		cell func(i int, r lembra.Result) string
	}{
		{"#", true, func(i int, _ lembra.Result) string { return strconv.Itoa(i + 1) }},
		{"SCORE", true, func(_ int, r lembra.Result) string { return fmt.Sprintf("%.3f", r.Score) }},
		{"PARTS", explained, func(_ int, r lembra.Result) string { return partsOf(r.Explain) }},
		{"AGENT", agents, func(_ int, r lembra.Result) string { return r.AgentID }},
		{"MEMORY", ids, func(_ int, r lembra.Result) string { return r.MemoryID }},
		{"WHEN", true, func(_ int, r lembra.Result) string {
			if r.OccurredAt.IsZero() {
				return shortTime(r.CreatedAt)
			}
			return shortTime(r.OccurredAt)
		}},
		{"SPEAKER", speakers, func(_ int, r lembra.Result) string { return cmp.Or(r.Speaker, "-") }},
		{"CONTENT", true, func(_ int, r lembra.Result) string { return r.Content }},
	}
	rows := make([][]string, 1+len(answer.Results))
	for _, column := range columns {
		if !column.has {
			continue
		}
		rows[0] = append(rows[0], column.name)
		for i, r := range answer.Results {
			rows[i+1] = append(rows[i+1], column.cell(i, r))
		}
	}
	return rows
}

// partsOf names the parts of a score that are not zero.
func partsOf(e *lembra.Explanation) string {
	if e == nil {
		return "-"
	}
	var parts []string
	for _, p := range []struct {
		name  string
		value float64
	}{
		{"lexical", e.Lexical},
		{"session", e.Session},
		{"passage", e.Passage},
		{"pairs", e.Pairs},
		{"answer", e.Answer},
		{"vector", e.Vector},
		{"speaker", e.Speaker},
		{"time", e.Time},
		{"question", e.Question},
		{"recency", e.Recency},
		{"importance", e.Importance},
	} {
		if p.value != 0 {
			parts = append(parts, fmt.Sprintf("%s %.3f", p.name, p.value))
		}
	}
	if len(e.Terms) > 0 {
		parts = append(parts, "("+strings.Join(slices.Sorted(maps.Keys(e.Terms)), " ")+")")
	}
	return strings.Join(parts, " ")
}
