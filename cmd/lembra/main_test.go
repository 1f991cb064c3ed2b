package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain makes this binary the command "lembra" for scripts, and for tests that
// start it as a process of its own; "lembra-fatal" is its end where the store fails.
func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){
		"lembra":       main,
		"lembra-load":  chaosLoadMain,
		"lembra-slow":  lembraSlowMain,
		"lembra-fatal": func() { (&cli{stderr: os.Stderr}).endFatally(errors.New("input/output error")) },
	})
}

// leakless fails tests that leave goroutines behind.
type leakless struct{ *testing.M }

// Run runs the tests.
func (m leakless) Run() int {
	code := m.M.Run()
	http.DefaultClient.CloseIdleConnections()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left behind:", err)
		return 1
	}
	return 0
}
