package admit

import (
	"net"
	"net/netip"
)

// Guest is a connection at a gate, and what its bounds go by.
type Guest struct {
	Conn   net.Conn
	Addr   netip.AddrPort // of the client: IPv4 never as IPv6, no zone; zero if it did not come by TCP
	Source netip.Prefix   // what counts as one place: an IPv4 address, or an IPv6 /64, which one site has
	Exempt bool           // from the bounds per source

	// The gate's, under its lock.
	stranger bool   // counted against Source
	client   Client // nil until it is opened
}

func newGuest(nc net.Conn, exempt []netip.Prefix) *Guest {
	guest := &Guest{Conn: nc}
	a, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return guest
	}
	ip := a.AddrPort().Addr().Unmap().WithZone("")
	guest.Addr = netip.AddrPortFrom(ip, a.AddrPort().Port())
	guest.Source = sourceOf(ip)
	for _, p := range exempt {
		guest.Exempt = guest.Exempt || p.Contains(ip)
	}
	return guest
}

func sourceOf(ip netip.Addr) netip.Prefix {
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // the zero Prefix for the zero Addr
	return p
}

func (guest *Guest) interrupt() {
	if guest.client != nil {
		guest.client.Interrupt()
	}
}
