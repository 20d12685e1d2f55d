package outbound

import (
	"strings"

	"golang.org/x/net/idna"
)

// Record is a DNS record that a domain should publish.
type Record struct {
	Name  string `json:"name"`  // with the final dot
	Type  string `json:"type"`  // MX or TXT
	Value string `json:"value"` // as in a zone file: a long TXT in quoted strings of 255 bytes at most
	Why   string `json:"why"`
}

// Publish lists what a domain (U-labels) should publish so that mail reaches
// this server and mail from it is believed. public is the text that dkim's
// Keys.Public gives, topology is directory's word. SPF and DMARC are
// suggestions: where a record exists already, ours is to be merged into it.
func Publish(domain, hostname, topology, public string) []Record {
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		ascii = domain
	}
	name, host := ascii+".", strings.TrimSuffix(hostname, ".")
	var out []Record
	switch topology {
	case "inpath":
		out = append(out, Record{name, "MX", "10 " + host + ".", "mail for the domain comes to Relais, which hands it to the primary; no other MX beside it"})
	case "backup":
		out = append(out, Record{name, "MX", "50 " + host + ".", "behind the primary's MX: senders come to Relais when the primary does not answer"})
	}
	for line := range strings.Lines(public) {
		if selector, text, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			out = append(out, Record{selector + "._domainkey." + name, "TXT", quoted(text), "DKIM: receivers verify what Relais signs"})
		}
	}
	return append(out,
		Record{name, "TXT", quoted("v=spf1 mx a:" + host + " ~all"), "SPF: Relais may send for the domain; if there is a record already, add a:" + host + " to it"},
		Record{"_dmarc." + name, "TXT", quoted("v=DMARC1; p=none; rua=mailto:postmaster@" + ascii), "DMARC: start with reports, raise p to quarantine and reject when they show no mail of yours failing"})
}

// quoted is a TXT value in zone file form (RFC 1035 §5.1).
func quoted(text string) string {
	var parts []string
	for len(text) > 255 {
		parts = append(parts, `"`+text[:255]+`"`)
		text = text[255:]
	}
	return strings.Join(append(parts, `"`+text+`"`), " ")
}
