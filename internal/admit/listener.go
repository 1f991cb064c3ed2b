package admit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenersOnLinux is how many listeners share the port: each has a queue of its
// own in the kernel (of 4,096 connections, mostly), and a connection that finds it
// full comes again only after a second or more.
const listenersOnLinux = 4

// listen opens the listeners of one address. Where its port is 0, they share the
// one that the first is given.
func listen(ctx context.Context, addr string) ([]net.Listener, error) {
	// The first is opened without SO_REUSEPORT, so that an address in use is an
	// error and not half of another server's connections.
	var plain net.ListenConfig
	first, err := plain.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	listeners := []net.Listener{first}
	if runtime.GOOS != "linux" { // elsewhere the option does not spread connections
		return listeners, nil
	}
	tcp, ok := first.(*net.TCPListener)
	if !ok {
		return listeners, nil
	}
	socket, err := tcp.SyscallConn()
	if err == nil {
		err = sharePort("", "", socket)
	}
	shared := net.ListenConfig{Control: sharePort}
	for err == nil && len(listeners) < listenersOnLinux {
		var l net.Listener
		if l, err = shared.Listen(ctx, "tcp", first.Addr().String()); err == nil {
			listeners = append(listeners, l)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("share the port of %s: %w", addr, err), closeAll(listeners))
	}
	return listeners, nil
}

func sharePort(_, _ string, socket syscall.RawConn) error {
	var failed error
	err := socket.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("set SO_REUSEPORT: %w", err)
	}
	return nil
}

func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, l := range listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close listener: %w", err))
		}
	}
	return errors.Join(errs...)
}
