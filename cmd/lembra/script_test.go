package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/script, one file a command or so. Beside testscript's
// own commands there are:
//
//	server        starts a server in this process on ./data, and sets LEMBRA_URL
//	stop          stops it
//	address NAME  sets a variable to an address that is free
//	await URL     waits until the server there is ready
//	code N COMMAND…  runs a command and wants its exit code
//
// RUNS is the folder of runs that reports are tested with; K6 is the path of k6,
// and the condition k6 tells whether it is there.
func TestScripts(t *testing.T) {
	k6, err := filepath.Abs("../../bin/k6")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": scriptServer, "stop": scriptStop, "address": scriptAddress, "await": scriptAwait, "code": scriptCode,
		},
		Setup: func(e *testscript.Env) error {
			e.Values[scriptStopKey{}] = new(func() error)
			e.Setenv("ADMIN", testAdminKey)
			e.Setenv("GORACE", os.Getenv("GORACE")) // scripts/test.sh has it
			runs, err := filepath.Abs("../../internal/bench/report/testdata/runs")
			if err != nil {
				return fmt.Errorf("find runs: %w", err)
			}
			e.Setenv("RUNS", runs)
			e.Setenv("K6", k6)
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "k6" {
				return false, fmt.Errorf("there is no condition %q", name)
			}
			_, err := os.Stat(k6)
			return err == nil, nil
		},
	})
}

type scriptStopKey struct{}

func scriptServer(ts *testscript.TestScript, _ bool, _ []string) {
	p, stop, err := start(testConfig(ts.MkAbs("data")), Parts{})
	ts.Check(err)
	ts.Setenv(envURL, p.URL())
	ts.Setenv(envData, ts.MkAbs("data"))
	current, _ := ts.Value(scriptStopKey{}).(*func() error)
	*current = stop
	ts.Defer(func() { _ = stop() })
}

func scriptStop(ts *testscript.TestScript, _ bool, _ []string) {
	stop, _ := ts.Value(scriptStopKey{}).(*func() error)
	ts.Check((*stop)())
}

func scriptAddress(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], listener.Addr().String())
	ts.Check(listener.Close())
}

func scriptAwait(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		w, err := http.Get(args[0] + "/readyz")
		if err != nil {
			continue
		}
		ts.Check(w.Body.Close())
		if w.StatusCode == http.StatusOK {
			return
		}
	}
	ts.Fatalf("%s is not ready", args[0])
}

func scriptCode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
