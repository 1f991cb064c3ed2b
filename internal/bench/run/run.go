// Package run is the folder one load run leaves behind: its plan and outcome
// (run.json), its figures (results.json), one line a second (samples.jsonl)
// and the server's health and statistics before and after, as they came.
//
// A run that was cut short still has a folder: a part that could not be had
// is absent and named, with the reason, in Info.Missing. The folder also
// keeps raw text (K6Log, ServerLogFile); whoever writes those passes them
// through MaskKeys, as Write does with everything it writes.
package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// The files beside those of Server.
const (
	infoFile    = "run.json"
	resultsFile = "results.json"
	samplesFile = "samples.jsonl"

	// ServerLogFile has what the server logged during the run.
	ServerLogFile = "server.log"
)

// The largest files Read takes.
const (
	infoMax    = 1 << 20
	resultsMax = 16 << 20
	samplesMax = 256 << 20 // a week
	answerMax  = 16 << 20
)

// K6Log names the file with what k6 process number, from 1, printed.
func K6Log(number int) string { return "k6-" + strconv.Itoa(number) + ".log" }

// Create makes the folder of a new run. It refuses one that has anything in it:
// what an older run left would be taken for the new one's.
func Create(folder string) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("make run folder: %w", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("make run folder: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("run folder %s is not empty: name another, or remove it", folder)
	}
	return nil
}

// Write keeps a run in folder, which it makes where it is absent, with every
// API key masked: those of Lembra by their prefix, and the keys given. A folder
// that has files but no run.json is not a run's, and refused. Each file is
// replaced as a whole; those of parts that r does not have are removed.
func Write(folder string, r Run, keys ...string) error {
	if err := checkFolder(folder); err != nil {
		return err
	}
	files, err := encode(r)
	if err != nil {
		return err
	}
	for name, data := range files {
		if err := replace(filepath.Join(folder, name), MaskKeys(data, keys...)); err != nil {
			return fmt.Errorf("write run folder: %w", err)
		}
	}
	for name := range r.Server.files() {
		if files[name] != nil {
			continue
		}
		if err := os.Remove(filepath.Join(folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("write run folder: %w", err)
		}
	}
	return nil
}

func checkFolder(folder string) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("make run folder: %w", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("read run folder: %w", err)
	}
	isRun := func(e fs.DirEntry) bool { return e.Name() == infoFile }
	if len(entries) > 0 && !slices.ContainsFunc(entries, isRun) {
		return fmt.Errorf("folder %s has files, but no %s: it is not a run's; name another", folder, infoFile)
	}
	return nil
}

// encode returns the contents of a run's files by name.
func encode(r Run) (map[string][]byte, error) {
	info, err := json.MarshalIndent(r.Info, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", infoFile, err)
	}
	results, err := json.MarshalIndent(r.Results, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", resultsFile, err)
	}
	var samples bytes.Buffer
	enc := json.NewEncoder(&samples)
	for _, s := range r.Samples {
		if err := enc.Encode(s); err != nil {
			return nil, fmt.Errorf("encode %s: %w", samplesFile, err)
		}
	}
	files := map[string][]byte{infoFile: info, resultsFile: results, samplesFile: samples.Bytes()}
	for name, answer := range r.Server.files() {
		if *answer != nil {
			files[name] = *answer
		}
	}
	return files, nil
}

// replace writes a file so that its name stands for the old content or for the
// new, never for a part.
func replace(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Read reads a run from its folder. Only run.json must be there; every other
// part may be absent, as after a run that was cut short, and is named in
// Info.Missing. A last sample that was cut in the middle is left out, and named.
func Read(folder string) (Run, error) {
	var r Run
	info, err := readBounded(filepath.Join(folder, infoFile), infoMax)
	if err != nil {
		return Run{}, fmt.Errorf("read run folder: %w", err)
	}
	if err := json.Unmarshal(info, &r.Info); err != nil {
		return Run{}, fmt.Errorf("decode %s: %w", infoFile, err)
	}
	results, err := r.optional(folder, resultsFile, resultsMax)
	if err != nil {
		return Run{}, err
	}
	if results != nil {
		if err := json.Unmarshal(results, &r.Results); err != nil {
			return Run{}, fmt.Errorf("decode %s: %w", resultsFile, err)
		}
	}
	samples, err := r.optional(folder, samplesFile, samplesMax)
	if err != nil {
		return Run{}, err
	}
	if err := r.decodeSamples(samples); err != nil {
		return Run{}, err
	}
	files := r.Server.files()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if *files[name], err = r.optional(folder, name, answerMax); err != nil {
			return Run{}, err
		}
	}
	return r, nil
}

// optional reads a file that may be absent: nil then, and it is named as missing.
func (r *Run) optional(folder, name string, limit int64) ([]byte, error) {
	data, err := readBounded(filepath.Join(folder, name), limit)
	if errors.Is(err, fs.ErrNotExist) {
		if !slices.ContainsFunc(r.Info.Missing, func(m MissingPart) bool { return m.Part == name }) {
			r.Info.Missing = append(r.Info.Missing, MissingPart{Part: name})
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read run folder: %w", err)
	}
	return data, nil
}

func readBounded(path string, limit int64) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d MiB: no run writes that much", path, limit>>20)
	}
	return data, nil
}

func (r *Run) decodeSamples(data []byte) error {
	number := 0
	for line := range bytes.Lines(data) {
		number++
		var s Sample
		if err := json.Unmarshal(line, &s); err != nil {
			if line[len(line)-1] != '\n' {
				reason := fmt.Sprintf("line %d, the last one, is cut", number)
				r.Info.Missing = append(r.Info.Missing, MissingPart{Part: samplesFile, Reason: reason})
				return nil
			}
			return fmt.Errorf("decode %s, line %d: %w", samplesFile, number, err)
		}
		r.Samples = append(r.Samples, s)
	}
	return nil
}
