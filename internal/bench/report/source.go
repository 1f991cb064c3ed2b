package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"lembra/internal/bench/run"
)

// Source is one run as it was found: a run folder, or what k6 said alone.
type Source struct {
	// Name is the base name of the folder or file, without a file's suffix.
	Name string
	run.Run
	// Alone is true where there was no run folder: only Results is known then.
	Alone bool
	// Interrupted is how many iterations k6 cut off at the end, where that is
	// known.
	Interrupted *int64
	// Log is the server's, nil where none was kept.
	Log *Log
}

// Open reads a run folder, a file of k6's --summary-export, or a text that
// holds what k6 prints at the end of a run.
func Open(path string) (Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Source{}, fmt.Errorf("open run: %w", err)
	}
	if info.IsDir() {
		return openFolder(path)
	}
	return openSummary(path)
}

func openFolder(folder string) (Source, error) {
	absolute, err := filepath.Abs(folder)
	if err != nil {
		return Source{}, fmt.Errorf("open run: %w", err)
	}
	s := Source{Name: filepath.Base(absolute)}
	if s.Run, err = run.Read(folder); err != nil {
		return Source{}, fmt.Errorf("open run %s: %w", folder, err)
	}
	if len(s.Results.Metrics) > 0 {
		s.Interrupted = &s.Results.Interrupted
	}
	f, err := os.Open(filepath.Join(folder, run.ServerLogFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return Source{}, fmt.Errorf("open server's log: %w", err)
	}
	l, err := readLog(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return Source{}, fmt.Errorf("read server's log: %w", err)
	}
	s.Log = &l
	return s, nil
}

func openSummary(path string) (Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return Source{}, fmt.Errorf("open run: %w", err)
	}
	summary, err := ReadSummary(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return Source{}, fmt.Errorf("open run %s: %w", path, err)
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	s := Source{Name: name, Alone: true}
	s.Results = run.Results{Metrics: summary.Metrics, Checks: summary.Checks}
	if s.Interrupted, err = interrupted(path); err != nil {
		return Source{}, err
	}
	return s, nil
}

// interrupted returns the last count of interrupted iterations in a file of
// k6's output; its progress lines have one each.
func interrupted(path string) (*int64, error) {
	data, err := readTail(path, maxTail)
	if err != nil {
		return nil, err
	}
	line := regexp.MustCompile(`\d+ complete and (\d+) interrupted iterations`)
	all := line.FindAllSubmatch(data, -1)
	if len(all) == 0 {
		return nil, nil // no count is no error
	}
	n, err := strconv.ParseInt(string(all[len(all)-1][1]), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read %s: interrupted iterations: %w", path, err)
	}
	return &n, nil
}

// maxTail is where k6's last progress line is looked for: what follows it is
// the summary, of a few kilobytes.
const maxTail = 1 << 20

// readTail reads the last bytes of a file.
func readTail(path string, limit int64) (_ []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read k6's output: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read k6's output: %w", err)
	}
	data := make([]byte, min(limit, info.Size()))
	if _, err := f.ReadAt(data, info.Size()-int64(len(data))); err != nil {
		return nil, fmt.Errorf("read k6's output: %w", err)
	}
	return data, nil
}
