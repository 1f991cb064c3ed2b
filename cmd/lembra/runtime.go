package main

import "runtime"

// threadsPerCPU is how many threads run Go code for each processor. Go looks at the
// network where one of them has nothing else to run, and otherwise every 10 ms: with a
// thread for each processor, as it has by default, requests wait for that on a busy
// server, whosever they are. See docs/performance.md.
const threadsPerCPU = 2

// addThreads lets more threads run than there are processors, unless GOMAXPROCS says how
// many. What is bounded by the number of processors is made before.
func (c *cli) addThreads() {
	if c.getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(threadsPerCPU * runtime.GOMAXPROCS(0))
	}
}

// heapSpare is memory that is reserved and never touched, so that it takes room of the
// heap and none of the machine. A collection of garbage reads all that lives, and Go starts
// one when the heap has doubled: with a small heap, several times a second under load. So
// it may double its size and heapSpare.
const heapSpare = 128 << 20

// spare reserves heapSpare, unless GOGC or GOMEMLIMIT says how large the heap may get. Go
// counts it as long as it is held.
func (c *cli) spare() []byte {
	if c.getenv("GOGC") != "" || c.getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make([]byte, heapSpare)
}
