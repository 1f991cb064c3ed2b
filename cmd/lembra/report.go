package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lembra/internal/bench/report"
)

// The forms of a report.
const (
	formatMarkdown = "md"
	formatHTML     = "html"
)

func (c *cli) reportCommand() *cobra.Command {
	var language, format, out string
	command := &cobra.Command{
		Use:   "report RUN [OTHER…]",
		Short: "Write the report of a load run",
		Long: `Write the report of a load run, compared with others.

A run is the folder that "lembra bench" wrote, the file of k6's --summary-export,
or a text with what k6 prints at the end of a run.

Markdown has its plots beside it, in a folder with the report's name; without
--out it has none. HTML is one file with everything in it.

The exit code is 0, 1 where the run missed a threshold or lost a memory, and 2
where the run is incomplete.`,
		Example: `  lembra report runs/stress --out stress.md
  lembra report runs/today runs/yesterday --lang en --format html --out today.html`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if format == "" {
				format = formatMarkdown
				if strings.EqualFold(filepath.Ext(out), ".html") {
					format = formatHTML
				}
			}
			if format != formatMarkdown && format != formatHTML {
				return usagef("--format is %q: want %s or %s", format, formatMarkdown, formatHTML)
			}
			if !slices.Contains(report.Languages(), report.Language(language)) {
				return usagef("--lang is %q: want one of %v", language, report.Languages())
			}
			return c.report(args, report.Language(language), format, out)
		},
	}
	flags := command.Flags()
	flags.StringVar(&language, "lang", string(report.Portuguese), "language: pt-BR or en")
	flags.StringVar(&format, "format", "", "md or html (default: by the name of --out, else md)")
	flags.StringVar(&out, "out", "", "file to write (default: standard output)")
	return command
}

// report writes the report of the first run of paths, compared with the others.
func (c *cli) report(paths []string, language report.Language, format, out string) error {
	var sources []report.Source
	for _, path := range paths {
		s, err := report.Open(path)
		if err != nil {
			return err
		}
		sources = append(sources, s)
	}
	r, err := report.New(language, sources[0], sources[1:]...)
	if err != nil {
		return fmt.Errorf("make report: %w", err)
	}
	if err := c.writeReport(r, format, out); err != nil {
		return err
	}
	switch sources[0].Outcome() {
	case report.Missed:
		return &exitError{code: exitMissed}
	case report.Incomplete:
		return &exitError{code: exitIncomplete}
	case report.Kept, report.Unjudged:
	}
	return nil
}

func (c *cli) writeReport(r *report.Report, format, out string) error {
	if format == formatHTML {
		page, err := r.HTML()
		if err != nil {
			return fmt.Errorf("make report: %w", err)
		}
		return c.writeFile(out, page)
	}
	plots := ""
	if out != "" {
		if plots = strings.TrimSuffix(filepath.Base(out), filepath.Ext(out)); plots == filepath.Base(out) {
			plots += "-plots" // the report itself has the name
		}
		if err := writePlots(filepath.Join(filepath.Dir(out), plots), r.Plots()); err != nil {
			return err
		}
	}
	text, err := r.Markdown(plots)
	if err != nil {
		return fmt.Errorf("make report: %w", err)
	}
	return c.writeFile(out, text)
}

func writePlots(folder string, plots []report.Plot) error {
	if len(plots) == 0 {
		return nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("make folder of plots: %w", err)
	}
	for _, p := range plots {
		if err := os.WriteFile(filepath.Join(folder, p.File()), p.SVG, 0o644); err != nil {
			return fmt.Errorf("write plot: %w", err)
		}
	}
	return nil
}

// writeFile writes to a file, or to standard output where it has no name.
func (c *cli) writeFile(path string, data []byte) error {
	if path == "" {
		return c.printf("%s", data)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}
