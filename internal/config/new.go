package config

import (
	"fmt"
	"strings"
)

// Choices are what `relais init` lets the administrator choose.
type Choices struct {
	Dir      string
	Hostname string
	Store    string // "" for the embedded database
	PortBase int    // N: the listeners are at N+25, N+587 …; 0 for the usual ports
	Loopback bool   // listen on 127.0.0.1 only, plaintext sign-in allowed, 127/8 without limits
}

// The usual ports; a port base is added to each.
const (
	portMX, portSubmission, portSubmissions = 25, 587, 465
	portIMAP, portIMAPS                     = 143, 993
	portHTTP, portHTTPS, portMetrics        = 80, 443, 90
	maxPortBase                             = 65535 - portIMAPS
)

// New is the configuration that init writes for choices.
func New(ch Choices) (*Config, error) {
	if ch.PortBase < 0 || ch.PortBase > maxPortBase {
		return nil, fmt.Errorf("port base %d: want 0 to %d", ch.PortBase, maxPortBase)
	}
	c := Default(ch.Dir)
	c.Hostname = ch.Hostname
	if ch.Store != "" {
		c.Store = ch.Store
	}
	host := ""
	if ch.Loopback {
		host = "127.0.0.1"
		c.SignIn = SignIn{Plaintext: true, Exempt: []string{"127.0.0.0/8"}}
	}
	at := func(port int) string { return fmt.Sprintf("%s:%d", host, ch.PortBase+port) }
	c.Listen = Listen{
		MX: at(portMX), Submission: at(portSubmission), Submissions: at(portSubmissions),
		IMAP: at(portIMAP), IMAPS: at(portIMAPS), HTTP: at(portHTTP), HTTPS: at(portHTTPS),
		// Numbers about the node are nobody else's business: always on loopback.
		Metrics: fmt.Sprintf("127.0.0.1:%d", ch.PortBase+portMetrics),
	}
	if ch.PortBase == 0 {
		c.Listen.Metrics = Default(ch.Dir).Listen.Metrics
	}
	if found := c.problems(); len(found) > 0 {
		return nil, fmt.Errorf("%s: %s", found[0].key, found[0].text)
	}
	return &c, nil
}

// Text is the file that init writes: what was chosen. Every other key has its
// default and can be added, see docs/formats/configuration.md.
func (c *Config) Text() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `# Configuration of a Relais node. Every key, its default and what is allowed:
# docs/formats/configuration.md. Relative paths start at this file's directory.

hostname = %q
store = %q
packs = %q
keys = %q

[listen] # "" switches a listener off
`, c.Hostname, c.Store, c.Packs, c.Keys)
	for _, l := range c.Listeners() {
		fmt.Fprintf(&b, "%s = %q\n", l.Name, l.Addr)
	}
	fmt.Fprintf(&b, `
[tls] # init made a self-signed pair: replace both files by those of an authority
cert = %q
key = %q

[sign_in]
plaintext = %v
exempt = [`, c.TLS.Cert, c.TLS.Key, c.SignIn.Plaintext)
	for i, n := range c.SignIn.Exempt {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", n)
	}
	b.WriteString("]\n")
	return []byte(b.String())
}
