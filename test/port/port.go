// Package port reserves loopback ports for servers that a test starts, kills and starts again.
//
// A port from 127.0.0.1:0 would lie in the kernel's ephemeral range, where an outgoing connection can take it
// while the server is down. These lie below that range, and a lock file keeps other test processes off them
// until this process ends.
package port

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// Relais's listeners lie at these offsets from its --port-base.
var relaisOffsets = []int{25, 80, 90, 143, 443, 465, 587, 993}

// held keeps the lock files open, and so locked, for the life of the process.
var held struct {
	sync.Mutex
	files []*os.File
}

// Free reserves one port between 2000 and 9999.
func Free(t testing.TB) int {
	t.Helper()
	return reserve(t, 2000, 8000, 1, []int{0})
}

// Addr reserves one port and gives its loopback address, "127.0.0.1:port".
func Addr(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", Free(t))
}

// Base reserves a number N for relais init --port-base: a multiple of 1,000 whose listeners' ports are all free.
func Base(t testing.TB) int {
	t.Helper()
	return reserve(t, 10000, 22, 1000, relaisOffsets)
}

func reserve(t testing.TB, first, count, step int, offsets []int) int {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "relais-test-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatalf("reserve a port: %v", err)
	}
	for _, i := range rand.Perm(count) {
		n := first + i*step
		if lock(filepath.Join(dir, fmt.Sprint(n))) && allFree(n, offsets) {
			return n
		}
	}
	t.Fatalf("no free port between %d and %d", first, first+count*step)
	return 0
}

func lock(path string) bool {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return false
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return false
	}
	held.Lock()
	defer held.Unlock()
	held.files = append(held.files, f)
	return true
}

func allFree(base int, offsets []int) bool {
	for _, o := range offsets {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+o))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
