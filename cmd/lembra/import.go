package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

const (
	importBatchDefault = 500
	importLanesMax     = 64
	// importLineBytesMax bounds a line: no memory of the default limits is longer.
	importLineBytesMax = 4 << 20
)

func (c *cli) importCommand() *cobra.Command {
	var (
		o       connection
		options importOptions
	)
	command := &cobra.Command{
		Use:   "import FILE",
		Short: "Import memories from a file of JSON lines",
		Long: `Import memories from a file of JSON lines, or from standard input where FILE is "-".

A line is an object in the shape of POST /memorize. --map takes foreign ones: it
names, for fields of a memory, the fields of the line they come from; fields of
the same name need no mention, and what is left is dropped and named once. A
number becomes a string where one is needed, a time without a zone is UTC, empty
strings count as missing, and the line's number becomes the position unless the
line has one.

Importing a file again stores nothing: by the memory_id of a line, or else by an
Idempotency-Key of its agent, number and bytes. So an import that was interrupted
is just run again. While the server is away, the import waits for it for two
minutes.

A bad line is told with its number, and the rest goes on; the exit code is 1 then.`,
		Example: `  lembra import --agent ada memories.jsonl
  lembra import --map agent_id=conv,memory_id=dia_id,content=text,session_id=session,occurred_at=session_iso corpus.jsonl
  zcat memories.jsonl.gz | lembra import -`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if err := options.check(); err != nil {
				return err
			}
			cl, err := c.connect(&o)
			if err != nil {
				return err
			}
			defer cl.Close()
			input, size, err := c.openInput(args[0])
			if err != nil {
				return err
			}
			err = newImporter(c, cl, options, c.progress(size)).run(command.Context(), input)
			return errors.Join(err, input.Close())
		},
	}
	o.flags(command, tenantKeyHelp)
	flags := command.Flags()
	flags.StringVar(&options.agent, "agent", "", "the agent of lines that name none")
	flags.StringToStringVar(&options.from, "map", nil, "where fields of a memory come from: FIELD=FIELD-OF-THE-LINE,…")
	flags.IntVar(&options.batch, "batch", importBatchDefault, "how many memories to send at once, at most")
	flags.IntVar(&options.lanes, "parallel", 4, "how many batches, of different agents, to send in parallel")
	return command
}

// openInput opens a file, and tells its size, -1 where that is unknown.
func (c *cli) openInput(name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(c.stdin), -1, nil
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("there is no file %s", name)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open input: %w", err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, 0, errors.Join(fmt.Errorf("open input: %w", err), f.Close())
	case info.IsDir():
		return nil, 0, errors.Join(fmt.Errorf("%s is a folder: name a file of JSON lines", name), f.Close())
	case !info.Mode().IsRegular():
		return f, -1, nil
	}
	return f, info.Size(), nil
}

// progress returns a bar on a terminal, and nil elsewhere.
func (c *cli) progress(size int64) *progressbar.ProgressBar {
	if !isTerminal(c.stderr) {
		return nil
	}
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(c.stderr), progressbar.OptionShowBytes(true),
		progressbar.OptionSetDescription("importing"), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetPredictTime(true),
	)
}

// importOptions are the flags of an import.
type importOptions struct {
	agent string
	from  map[string]string // field of a memory -> field of the line
	batch int
	lanes int
}

func (o *importOptions) check() error {
	if o.batch < 1 {
		return usagef("--batch: must be at least 1")
	}
	if o.lanes < 1 || o.lanes > importLanesMax {
		return usagef("--parallel: must be between 1 and %d", importLanesMax)
	}
	for field, source := range o.from {
		if _, ok := importFields()[field]; !ok {
			return usagef("--map: a memory has no field %q: did you mean %q?", field, nearest(field, importFieldNames()))
		}
		if source == "" {
			return usagef("--map: %s needs the name of a field of the line", field)
		}
	}
	return nil
}

// contextError prefers why a context ended over what it made fail.
func contextError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted: run it again to go on")
	}
	return err
}
