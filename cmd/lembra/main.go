// Command lembra is a long-term memory server for AI agents, and the commands to
// use one.
//
// Every subcommand is a file of this package; the rest of it is configuration
// (config*.go) and wiring (program.go), where all packages meet. The exit code
// is 0, 1 where the command failed (or a part of it), 2 where it was called
// wrongly (or the load run it conducts or reports is incomplete), and 3 where
// the store failed for good and the server had to end.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"lembra"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitStore  = 3 // the store failed, and the server with it

	exitMissed     = 1 // a load run missed a threshold
	exitIncomplete = 2 // a load run lacks a part
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())) }

// An exitError is a command's outcome with an exit code of its own. Its message
// may be empty: the command has said what there is to say.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}
func (e *exitError) Unwrap() error { return e.err }

// A cli is what the commands share: the streams and the environment.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            []string // KEY=value
	// running tells a command's own failure from a wrong call of it.
	running bool
}

// run runs one command line and returns its exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, env []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// The second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	c := &cli{stdin: stdin, stdout: stdout, stderr: stderr, env: env}
	root := c.root()
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if message := err.Error(); message != "" {
		c.note("lembra: %s", message)
	}
	if _, ok := errors.AsType[*usageError](err); ok || !c.running {
		c.note("Run \"%s --help\" for usage.", command.CommandPath())
		return exitUsage
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return exitFailed
}

// A usageError is a wrong call: of flags, arguments, or settings.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "lembra",
		Short: "Long-term memory for AI agents",
		Long: `Lembra is a long-term memory server for AI agents, and the commands to use one.

"lembra serve" starts a server. The other commands talk to a running one: by
default http://127.0.0.1:8080 with the key in ./lembra-data/default.key, or what
--url and --key (LEMBRA_URL and LEMBRA_API_KEY) say.`,
		Example: `  lembra serve
  lembra import --agent ada memories.jsonl
  lembra recall --agent ada "Where does she live?"`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       lembra.Version,
	}
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetVersionTemplate("lembra {{.Version}}\n")
	root.AddCommand(
		c.serveCommand(), c.configCommand(), c.keyCommand(), c.tenantCommand(),
		c.importCommand(), c.recallCommand(), c.forgetCommand(), c.statsCommand(),
		c.healthCommand(), c.versionCommand(), c.benchCommand(), newBenchBareCommand(), c.reportCommand(),
		c.evalCommand(),
	)
	c.mark(root)
	return root
}

// mark has every command note that it runs.
func (c *cli) mark(command *cobra.Command) {
	if inner := command.RunE; inner != nil {
		command.RunE = func(command *cobra.Command, args []string) error {
			c.running = true
			return inner(command, args)
		}
	}
	for _, child := range command.Commands() {
		c.mark(child)
	}
}

// group is a command that only has subcommands.
func group(command *cobra.Command, children ...*cobra.Command) *cobra.Command {
	command.AddCommand(children...)
	command.Args = cobra.NoArgs
	command.RunE = func(command *cobra.Command, _ []string) error {
		var names []string
		for _, child := range children {
			names = append(names, child.Name())
		}
		return usagef("%s needs a subcommand: %s", command.CommandPath(), strings.Join(names, ", "))
	}
	return command
}

// getenv returns an environment variable, "" where it is not set.
func (c *cli) getenv(name string) string {
	value := ""
	for _, e := range c.env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}
