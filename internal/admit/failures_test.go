package admit

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"relais/internal/clock"
)

func TestFailuresAreCountedInBoundedMemory(t *testing.T) {
	t.Parallel()
	hour := clock.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	f := NewFailures(hour)
	a, b := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	for i := range maxFailuresIP {
		f.Failed(a, fmt.Sprint("user", i))
	}
	if !f.Blocked(a, "someone") || f.Blocked(b, "someone") {
		t.Error("the bound of an address is not that of an address")
	}
	for i := range maxFailuresUser {
		f.Failed(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 32), "Ann")
	}
	if !f.Blocked(b, "ann") || f.Blocked(b, "bob") {
		t.Error("the bound of a name is not that of a name")
	}
	for i := range maxFailureCounts {
		f.Failed(b, fmt.Sprint(i))
	}
	if len(f.counts) > maxFailureCounts+3 {
		t.Errorf("%d counts", len(f.counts))
	}
}
