package demo

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// offsets are where a node's listeners lie above its --port-base (docs/formats/cli.md).
var offsets = []int{25, 80, 90, 143, 443, 465, 587, 993}

// More ports of a node's range.
const (
	dnsOffset = 53 // nobody listens: the demo asks no name server of the machine's
	ownOffset = 1  // the demo listens, so that no other demo takes the range
)

// ports is a --port-base that is this demo's until it is given back.
type ports struct {
	base int
	own  net.Listener
}

// takePorts finds a base whose ports are all free: above 1024, so that nobody needs to be root, and below those that
// the kernel gives to outgoing connections.
func takePorts() (*ports, error) {
	for _, i := range rand.Perm(20) {
		base := 11500 + 1000*i
		own, err := listen(base + ownOffset)
		if err != nil {
			continue
		}
		if free(base) {
			return &ports{base, own}, nil
		}
		_ = own.Close()
	}
	return nil, errors.New("no free ports on 127.0.0.1 between 11500 and 31500")
}

// giveBack ends the reservation; nil has none.
func (p *ports) giveBack() {
	if p != nil {
		_ = p.own.Close()
	}
}

func free(base int) bool {
	for _, o := range offsets {
		l, err := listen(base + o)
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
}
