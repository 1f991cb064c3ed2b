package main

import (
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
prints the server's answer instead. Without --agent all agents are asked.`,
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
			return c.printResults(answer, s.agent == "", q.Explain)
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

// printResults prints what was recalled as a table, with the agents where there
// may be several.
func (c *cli) printResults(answer lembra.RecallResponse, agents, explained bool) error {
	if len(answer.Results) == 0 {
		c.note("nothing was recalled")
		return nil
	}
	head := []string{"#", "SCORE"}
	if explained {
		head = append(head, "PARTS")
	}
	if agents {
		head = append(head, "AGENT")
	}
	rows := [][]string{append(head, "MEMORY", "WHEN", "SPEAKER", "CONTENT")}
	for i, r := range answer.Results {
		row := []string{strconv.Itoa(i + 1), fmt.Sprintf("%.3f", r.Score)}
		if explained {
			row = append(row, partsOf(r.Explain))
		}
		if agents {
			row = append(row, r.AgentID)
		}
		when := r.OccurredAt
		if when.IsZero() {
			when = r.CreatedAt
		}
		speaker := r.Speaker
		if speaker == "" {
			speaker = "-"
		}
		rows = append(rows, append(row, r.MemoryID, shortTime(when), speaker, r.Content))
	}
	return c.printTable(rows)
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
