package demo

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// offsets are where a node's listeners lie above its --port-base (docs/formats/cli.md).
var offsets = []int{25, 80, 90, 143, 443, 465, 587, 993}

// dnsOffset is a port of the node's range on which nobody listens: the demo asks no name server of the machine's.
const dnsOffset = 53

// freeBases finds n numbers for --port-base whose listeners' ports are all free: above 1024, so that nobody needs to
// be root, and below the ports that the kernel gives to outgoing connections.
func freeBases(n int) ([]int, error) {
	var found []int
	for _, i := range rand.Perm(21) {
		if base := 11000 + 1000*i; free(base) {
			if found = append(found, base); len(found) == n {
				return found, nil
			}
		}
	}
	return nil, errors.New("no free ports on 127.0.0.1 between 11000 and 32000")
}

func free(base int) bool {
	for _, o := range offsets {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+o))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
