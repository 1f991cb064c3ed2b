package observe

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Descriptors are the process's file descriptors: how many are open, and how
// many may be.
type Descriptors struct {
	Open, Limit uint64
}

// ReadDescriptors counts the open descriptors and reads their limit.
func ReadDescriptors() (Descriptors, error) {
	limit, err := descriptorLimit()
	if err != nil {
		return Descriptors{}, err
	}
	open, err := openDescriptors()
	if err != nil {
		return Descriptors{}, err
	}
	return Descriptors{Open: open, Limit: limit}, nil
}

// RaiseDescriptorLimit raises the soft limit of descriptors to the hard one and
// returns it. Package os does so at the start too, where nobody hears of it.
func RaiseDescriptorLimit() (uint64, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("read descriptor limit: %w", err)
	}
	if l.Cur < l.Max {
		l.Cur = l.Max
		// Where this is not allowed, the limit stays what it is.
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
	}
	return descriptorLimit()
}

func descriptorLimit() (uint64, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("read descriptor limit: %w", err)
	}
	return l.Cur, nil
}

// openDescriptors counts without opening a descriptor where the kernel tells (as
// the size of the folder, since Linux 6.2), so that it also works when there is
// none left.
func openDescriptors() (uint64, error) {
	const folder = "/proc/self/fd"
	info, err := os.Stat(folder)
	if err != nil {
		return 0, fmt.Errorf("count descriptors: %w", err)
	}
	if n := info.Size(); n > 0 {
		return uint64(n), nil
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, fmt.Errorf("count descriptors: %w", err)
	}
	return uint64(len(entries)) - 1, nil // the one that reads the folder is no more
}
