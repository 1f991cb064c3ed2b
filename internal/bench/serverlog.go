package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"lembra/internal/bench/run"
)

// serverLogMax bounds what is kept of the server's log.
const serverLogMax = 64 << 20

// A serverLog keeps what the server logs during a run: what was appended to a
// file, or what a command printed. A nil one keeps nothing.
type serverLog struct {
	kept    *lineWriter
	source  *os.File  // a file, read from where it ended before
	command *exec.Cmd // or a command
}

func (c *conductor) openServerLog() (*serverLog, error) {
	if c.ServerLog == "" && c.ServerLogCommand == "" {
		return nil, nil
	}
	l := &serverLog{}
	if c.ServerLog != "" {
		f, err := os.Open(c.ServerLog)
		if err != nil {
			return nil, fmt.Errorf("open the server's log: %w", err)
		}
		if _, err := f.Seek(0, io.SeekEnd); err != nil {
			return nil, errors.Join(fmt.Errorf("open the server's log: %w", err), f.Close())
		}
		l.source = f
	}
	to, err := os.OpenFile(filepath.Join(c.Out, run.ServerLogFile), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keep the server's log: %w", err), l.close())
	}
	l.kept = &lineWriter{to: to, left: serverLogMax, keys: []string{c.Key}}
	if c.ServerLogCommand == "" {
		return l, nil
	}
	// It is ended at the run's end, with all that it started.
	l.command = exec.Command("sh", "-c", c.ServerLogCommand) //nolint:noctx // see above
	l.command.Stdout, l.command.Stderr = l.kept, l.kept
	l.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := l.command.Start(); err != nil {
		l.command = nil
		return nil, errors.Join(fmt.Errorf("start the command that prints the server's log: %w", err), l.close())
	}
	return l, nil
}

// close takes in the rest, and ends the command.
func (l *serverLog) close() error {
	if l == nil {
		return nil
	}
	var err error
	if l.source != nil && l.kept != nil {
		if _, cerr := io.Copy(l.kept, io.LimitReader(l.source, serverLogMax+1)); cerr != nil {
			err = fmt.Errorf("read the server's log: %w", cerr)
		}
	}
	if l.command != nil {
		_ = syscall.Kill(-l.command.Process.Pid, syscall.SIGTERM) // it may have ended
		kill := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(-l.command.Process.Pid, syscall.SIGKILL) })
		// How it ends says nothing: it was told to.
		_ = l.command.Wait()
		kill.Stop()
	}
	if l.source != nil {
		err = errors.Join(err, l.source.Close())
	}
	if l.kept != nil {
		err = errors.Join(err, l.kept.close())
	}
	return err
}
