package admit

import "golang.org/x/sys/unix"

// acceptQueue returns how many connections wait to be accepted from a socket that
// listens, and how many may. Both 0 where the kernel does not tell.
func acceptQueue(fd int) (n, most int64) {
	// Of a socket that listens, these fields tell of its queue (tcp_get_info).
	i, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, 0
	}
	return int64(i.Unacked), int64(i.Sacked)
}
