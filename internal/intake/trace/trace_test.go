package trace

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestLineIsReadBack(t *testing.T) {
	t.Parallel()
	id := NewID(noon)
	l := Line{Helo: "evil) by (x;\r\nX: y", Peer: netip.MustParseAddr("::ffff:192.0.2.7"), By: "mx.test", Protocol: "ESMTPS", ID: id, At: noon}
	line := string(l.Received())
	want := "Received: from evilbyxX:y ([192.0.2.7])\r\n\tby mx.test (Relais) with ESMTPS\r\n\tid " + id + ";\r\n\tMon, 02 Mar 2026 12:00:00 +0000\r\n"
	if line != want {
		t.Errorf("got\n%s\nwant\n%s", line, want)
	}
	other := "Received: from a by b (Postfix) with ESMTP id 01ARZ3NDEKTSV4RRFFQ69G5FAV; x\r\n"
	earlier := Line{By: "old.test", Protocol: "UTF8SMTPA", ID: NewID(noon.Add(-time.Hour)), At: noon}
	tr := Read([]byte(other + line + "Subject: s\r\n" + string(earlier.Received()) + "\r\n" + line))
	if tr.Hops != 3 || len(tr.IDs) != 2 || tr.IDs[0] != id || tr.IDs[1] != earlier.ID {
		t.Errorf("trace %+v", tr)
	}
	// A server on the way may fold the line anew.
	folded := strings.ReplaceAll(strings.ReplaceAll(line, "\r\n\t", " "), " id ", "\r\n\tid ")
	if got := IntakeIDs([]byte(folded + "\r\n")); len(got) != 1 || got[0] != id {
		t.Errorf("folded anew: %v", got)
	}
	v6 := Line{Peer: netip.MustParseAddr("fe80::1%eth0"), By: "mx.test", Protocol: "SMTP", ID: id, At: noon}
	if got := string(v6.Received()); !strings.Contains(got, "from unknown ([IPv6:fe80::1])") {
		t.Errorf("got %s", got)
	}
}

func TestProbesAreKnown(t *testing.T) {
	t.Parallel()
	if !IsProbe([]byte("Subject: s\r\nrelais-probe: 1\r\n\r\n")) || IsProbe([]byte("Subject: s\r\n\r\nRelais-Probe: 1\r\n")) {
		t.Error("a probe is known by its header, and by that alone")
	}
}

func TestIDsSortByTime(t *testing.T) {
	t.Parallel()
	before := NewID(noon)
	for i := range 100 {
		id := NewID(noon.Add(time.Duration(i+1) * time.Millisecond))
		if !isID(id) || id <= before {
			t.Fatalf("%s after %s", id, before)
		}
		before = id
	}
}
