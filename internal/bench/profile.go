package bench

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lembra/internal/bench/run"
)

// The scripts, and the profiles that they and the conductor go by.
//
//go:embed k6
var scripts embed.FS

// Scripts names the scripts.
func Scripts() []string { return []string{"memorize", "recall", "mixed"} }

// A profile says how many users there are when.
type profile struct {
	Start  any `json:"start"`
	Stages []struct {
		Seconds float64 `json:"seconds"`
		Target  any     `json:"target"` // a number of users, or "max"
	} `json:"stages"`
}

func profiles() (map[string]profile, error) {
	data, err := scripts.ReadFile("k6/profiles.json")
	if err != nil {
		return nil, fmt.Errorf("read profiles: %w", err)
	}
	var all map[string]profile
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("decode profiles: %w", err)
	}
	return all, nil
}

// Profiles names the profiles.
func Profiles() ([]string, error) {
	all, err := profiles()
	return slices.Sorted(maps.Keys(all)), err
}

// Stages returns the ramp of a profile with at most so many users.
func Stages(testType string, maxVUs int) ([]run.Stage, error) {
	all, err := profiles()
	if err != nil {
		return nil, err
	}
	p, ok := all[testType]
	if !ok {
		return nil, fmt.Errorf("there is no profile %q: choose one of %s", testType, strings.Join(slices.Sorted(maps.Keys(all)), ", "))
	}
	users := func(target any) int {
		if n, ok := target.(float64); ok {
			return min(int(n), maxVUs)
		}
		return maxVUs
	}
	var stages []run.Stage
	at, last := 0.0, users(p.Start)
	for _, s := range p.Stages {
		next := run.Stage{StartS: at, EndS: at + s.Seconds, StartTarget: last, Target: users(s.Target)}
		stages = append(stages, next)
		at, last = next.EndS, next.Target
	}
	return stages, nil
}

// stageAt returns the index of the stage at so many seconds, the last one for
// what comes after.
func stageAt(stages []run.Stage, seconds float64) int {
	i := slices.IndexFunc(stages, func(s run.Stage) bool { return seconds < s.EndS })
	if i < 0 {
		return max(0, len(stages)-1)
	}
	return i
}

// k6Stages writes a ramp as k6's K6_STAGES.
func k6Stages(stages []run.Stage) string {
	var texts []string
	for _, s := range stages {
		ms := strconv.Itoa(int((s.EndS - s.StartS) * 1000))
		texts = append(texts, ms+"ms:"+strconv.Itoa(s.Target))
	}
	return strings.Join(texts, ",")
}

// unpack writes the scripts into a folder, for k6 to read.
func unpack(folder string) error {
	err := fs.WalkDir(scripts, "k6", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := scripts.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(folder, filepath.Base(path)), data, 0o600)
	})
	if err != nil {
		return fmt.Errorf("unpack k6's scripts: %w", err)
	}
	return nil
}
