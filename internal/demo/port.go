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
	dnsOffset = 53 // nobody listens: a node there asks no name server of the machine's
	ownOffset = 1  // its holder listens, so that no other takes the range
)

// Ports is a --port-base that is the caller's until it is given back.
type Ports struct {
	Base int
	own  net.Listener
}

// TakePorts finds a base whose ports are all free: above 1024, so that nobody needs to be root, and below those that
// the kernel gives to outgoing connections.
func TakePorts() (*Ports, error) {
	for _, i := range rand.Perm(20) {
		base := 11500 + 1000*i
		own, err := listen(base + ownOffset)
		if err != nil {
			continue
		}
		if free(base) {
			return &Ports{base, own}, nil
		}
		_ = own.Close()
	}
	return nil, errors.New("no free ports on 127.0.0.1 between 11500 and 31500")
}

// GiveBack ends the reservation; nil has none.
func (p *Ports) GiveBack() {
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
