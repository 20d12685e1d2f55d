package bench

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"relais/test/dnsserver"
	"relais/test/proc"
)

// checkers are the milters that give Postfix what Relais does by itself: OpenDKIM verifies signatures, OpenDMARC
// checks SPF (by libspf2) and DMARC, and both write Authentication-Results.
//
// This is the leanest such set in Debian. The usual policyd-spf starts a Python interpreter per connection and would
// only make Postfix look worse.
type checkers struct {
	milters []string // as smtpd_milters names them
	groups  []*proc.Group
}

func startCheckers(t testing.TB, zone zone) *checkers {
	t.Helper()
	proc.NeedRoot(t, "OpenDMARC gets a private resolv.conf by a mount namespace")
	// Postfix, another user, must reach the sockets; over TCP each message would wait for delayed acknowledgements.
	dir, err := os.MkdirTemp("/tmp", "milter")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatalf("write %s: %v", name, err)
		}
		return path
	}
	// Both treat 127.0.0.1 as a friend that needs no check, unless told otherwise.
	nobody := write("nobody", "192.0.2.1\n")
	c := &checkers{}

	keys := write("dns", fmt.Sprintf("%s._domainkey.%s %s\n", selector, signedDomain, zone.dkim))
	dkim := write("opendkim.conf", fmt.Sprintf("Socket local:%s/dkim\nMode v\nInternalHosts refile:%s\nTestDNSData refile:%s\nSyslog no\nBackground no\nUMask 000\n", dir, nobody, keys))
	c.start(t, dir+"/dkim", exec.Command(proc.Need(t, "opendkim"), "-f", "-x", dkim))

	server := zone.serve(t, fmt.Sprintf("127.%d.%d.53:53", 1+rand.IntN(250), rand.IntN(250)))
	host, _, _ := net.SplitHostPort(server.Addr)
	resolv := write("resolv.conf", "nameserver "+host+"\n")
	dmarc := write("opendmarc.conf", fmt.Sprintf("Socket local:%s/dmarc\nIgnoreHosts %s\nSPFSelfValidate true\nSPFIgnoreResults true\nSyslog false\nBackground false\nUMask 000\nTrustedAuthservIDs mail.%s\n", dir, nobody, domain))
	script := fmt.Sprintf("mount --bind %s /etc/resolv.conf && exec %s -f -c %s", resolv, proc.Need(t, "opendmarc"), dmarc)
	c.start(t, dir+"/dmarc", exec.Command(proc.Need(t, "unshare"), "--mount", "sh", "-c", script))
	return c
}

func (c *checkers) start(t testing.TB, socket string, cmd *exec.Cmd) {
	t.Helper()
	log, err := os.CreateTemp(t.TempDir(), "checker")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	g, err := proc.Start(cmd)
	_ = log.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Kill() })
	answers := proc.Poll(10*time.Second, func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	if !answers {
		t.Fatalf("%s does not listen:\n%s", cmd.Path, proc.Tail(log.Name(), 10))
	}
	c.milters = append(c.milters, "unix:"+socket)
	c.groups = append(c.groups, g)
}

func (c *checkers) cpu() time.Duration {
	var sum time.Duration
	for _, g := range c.groups {
		sum += g.CPU()
	}
	return sum
}

// zone is the sender's part of the DNS.
type zone struct {
	dkim string // text of the key record
}

const (
	domain       = "exemple.test"
	signedDomain = "signed.test"
	selector     = "bench"
)

func newZone(publicKey []byte) zone {
	return zone{"v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(publicKey)}
}

func (z zone) serve(t testing.TB, addr string) *dnsserver.Server {
	t.Helper()
	s := dnsserver.StartAt(t, addr)
	s.Set(t,
		signedDomain+". 300 IN TXT \"v=spf1 ip4:127.0.0.1 -all\"",
		signedDomain+". 300 IN A 127.0.0.1",
		signedDomain+". 300 IN MX 10 "+signedDomain+".",
		"_dmarc."+signedDomain+". 300 IN TXT \"v=DMARC1; p=reject\"",
		// A string of a TXT record holds at most 255 bytes (RFC 1035 §3.3).
		fmt.Sprintf("%s._domainkey.%s. 300 IN TXT %q %q", selector, signedDomain, z.dkim[:200], z.dkim[200:]),
		"outside.signed.test. 300 IN A 127.0.0.1",
	)
	return s
}
