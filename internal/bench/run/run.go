// Package run is the folder one load run leaves behind: its plan and outcome
// (run.json), its figures (results.json), one line a second (samples.jsonl)
// and the server's health and statistics before and after, as they came.
//
// A run that was cut short still has a folder: a part that could not be had
// is absent and named, with the reason, in Info.Missing. The folder also
// keeps raw text (k6.txt, k6-1.log, server.log); whoever writes those passes
// them through MaskKeys, as Write does with everything it writes.
package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// The files beside those of Server.
const (
	infoFile    = "run.json"
	resultsFile = "results.json"
	samplesFile = "samples.jsonl"
)

// Write keeps a run in folder, which it makes where it is absent, with every
// API key masked.
func Write(folder string, r Run) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("make run folder: %w", err)
	}
	info, err := json.MarshalIndent(r.Info, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", infoFile, err)
	}
	results, err := json.MarshalIndent(r.Results, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", resultsFile, err)
	}
	var samples bytes.Buffer
	enc := json.NewEncoder(&samples)
	for _, s := range r.Samples {
		if err := enc.Encode(s); err != nil {
			return fmt.Errorf("encode %s: %w", samplesFile, err)
		}
	}
	files := map[string][]byte{infoFile: info, resultsFile: results, samplesFile: samples.Bytes()}
	for name, answer := range r.Server.files() {
		if *answer != nil {
			files[name] = *answer
		}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(folder, name), MaskKeys(data), 0o600); err != nil {
			return fmt.Errorf("write run folder: %w", err)
		}
	}
	return nil
}

// Read reads a run from its folder. Only run.json must be there; every other
// part may be absent, as after a run that was cut short.
func Read(folder string) (Run, error) {
	var r Run
	info, err := os.ReadFile(filepath.Join(folder, infoFile))
	if err != nil {
		return Run{}, fmt.Errorf("read run folder: %w", err)
	}
	if err := json.Unmarshal(info, &r.Info); err != nil {
		return Run{}, fmt.Errorf("decode %s: %w", infoFile, err)
	}
	results, err := optional(folder, resultsFile)
	if err != nil {
		return Run{}, err
	}
	if results != nil {
		if err := json.Unmarshal(results, &r.Results); err != nil {
			return Run{}, fmt.Errorf("decode %s: %w", resultsFile, err)
		}
	}
	samples, err := optional(folder, samplesFile)
	if err != nil {
		return Run{}, err
	}
	if r.Samples, err = decodeSamples(samples); err != nil {
		return Run{}, err
	}
	for name, into := range r.Server.files() {
		if *into, err = optional(folder, name); err != nil {
			return Run{}, err
		}
	}
	return r, nil
}

// optional reads a file that may be absent: nil then.
func optional(folder, name string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read run folder: %w", err)
	}
	return data, nil
}

func decodeSamples(data []byte) ([]Sample, error) {
	var samples []Sample
	dec := json.NewDecoder(bytes.NewReader(data))
	for {
		var s Sample
		err := dec.Decode(&s)
		if errors.Is(err, io.EOF) {
			return samples, nil
		}
		if err != nil {
			return nil, fmt.Errorf("decode %s, line %d: %w", samplesFile, len(samples)+1, err)
		}
		samples = append(samples, s)
	}
}

// MaskKeys replaces the middle of every API key in text: of lmb_… only the
// last four characters stay, as in lmb_*****9164.
func MaskKeys(text []byte) []byte {
	key := regexp.MustCompile(`(lmb_)[A-Za-z0-9_-]*([A-Za-z0-9_-]{4})`)
	return key.ReplaceAll(text, []byte("${1}*****${2}"))
}
