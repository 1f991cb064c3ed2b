package storetest_test

import (
	"testing"

	"go.uber.org/goleak"

	"lembra/internal/access"
	"lembra/internal/storetest"
)

var (
	_ storetest.Store = (*storetest.Memory)(nil)
	_ access.Tenants  = (*storetest.Memory)(nil)
	_ access.Keys     = (*storetest.Memory)(nil)
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	storetest.Test(t, func(*testing.T) storetest.Store { return storetest.NewMemory() })
}
