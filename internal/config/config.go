// Package config reads and writes relais.toml, the node's one configuration file.
//
// The format is docs/formats/configuration.md. A key or value that is wrong is
// an error that names the file, the line and what is allowed; nothing wrong is
// ever replaced by a default.
package config

import (
	"net/netip"
	"path/filepath"
	"strings"
	"time"
)

// FileName is the configuration file's name in the data directory.
const FileName = "relais.toml"

// Config is one node's configuration with every default filled in. Paths are as
// written; Path makes them absolute.
type Config struct {
	// Dir is the data directory: where relais.toml lies. Relative paths start there.
	Dir string `toml:"-"`

	Hostname string `toml:"hostname"` // the name this node says in SMTP and IMAP greetings and in its certificate
	Store    string `toml:"store"`    // sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE
	Packs    string `toml:"packs"`    // file:DIR
	Keys     string `toml:"keys"`     // file:PATH of the key-encryption key

	Listen     Listen     `toml:"listen"`
	TLS        TLS        `toml:"tls"`
	SignIn     SignIn     `toml:"sign_in"`
	DNS        DNS        `toml:"dns"`
	Limits     Limits     `toml:"limits"`
	Outbound   Outbound   `toml:"outbound"`
	Mirror     Mirror     `toml:"mirror"`
	Breaker    Breaker    `toml:"breaker"`
	Continuity Continuity `toml:"continuity"`
	Alarm      Alarm      `toml:"alarm"`
	Log        Log        `toml:"log"`
}

// Listen holds the address of each listener, HOST:PORT or :PORT; "" leaves it off.
type Listen struct {
	MX          string `toml:"mx"`
	Submission  string `toml:"submission"`
	Submissions string `toml:"submissions"`
	IMAP        string `toml:"imap"`
	IMAPS       string `toml:"imaps"`
	HTTP        string `toml:"http"`
	HTTPS       string `toml:"https"`
	Metrics     string `toml:"metrics"`
}

// TLS names the certificate that every listener shows.
type TLS struct {
	Cert string `toml:"cert"` // PEM, leaf first
	Key  string `toml:"key"`  // PEM
}

// SignIn says how people may sign in.
type SignIn struct {
	Plaintext bool     `toml:"plaintext"` // passwords also over connections without TLS
	Exempt    []string `toml:"exempt"`    // CIDR networks without rate and sign-in limits
}

// DNS says whom to ask for names.
type DNS struct {
	Servers []string `toml:"servers"` // HOST:PORT; none: those of /etc/resolv.conf
	Timeout Duration `toml:"timeout"` // of one question
}

// Limits bound what a stranger can make grow.
type Limits struct {
	MessageSize           Size `toml:"message_size"`
	Recipients            int  `toml:"recipients"`
	Connections           int  `toml:"connections"`
	ConnectionsPerAddress int  `toml:"connections_per_address"`
}

// Outbound says how mail leaves for elsewhere.
type Outbound struct {
	SmartHost      string            `toml:"smart_host"`
	SmartHosts     map[string]string `toml:"smart_hosts"` // by destination domain; wins over SmartHost
	Port           int               `toml:"port"`        // of mail exchangers
	PerDestination int               `toml:"per_destination"`
	GiveUpAfter    Duration          `toml:"give_up_after"`
}

// Mirror bounds the merge engine.
type Mirror struct {
	LookBack    Duration `toml:"look_back"`
	Connections int      `toml:"connections"` // to one primary
}

// Breaker is when the mirror freezes by itself (docs/merge.md).
type Breaker struct {
	AccountMessages    int `toml:"account_messages"`
	AccountHourPercent int `toml:"account_hour_percent"`
	AccountWeekPercent int `toml:"account_week_percent"`
	TenantMessages     int `toml:"tenant_messages"`
	TenantHourPercent  int `toml:"tenant_hour_percent"`
}

// Continuity says how a primary's health is judged.
type Continuity struct {
	ProbeEvery     Duration `toml:"probe_every"`      // unless the primary has its own
	ProbeTimeout   Duration `toml:"probe_timeout"`    // of one probe's dialogue
	RoundTripEvery Duration `toml:"round_trip_every"` // the marked message
	FailAfter      int      `toml:"fail_after"`       // failed probes in a row that make it failing
	References     []string `toml:"references"`       // HOST:PORT; two must answer before a switch; none: not checked
}

// Alarm says who is told, by ways that do not depend on any primary.
type Alarm struct {
	To            []string `toml:"to"`
	From          string   `toml:"from"`
	SmartHost     string   `toml:"smart_host"`
	Webhook       string   `toml:"webhook"`
	WebhookSecret string   `toml:"webhook_secret"` // signs the webhook's body
}

// Log says what is logged to standard error, and how.
type Log struct {
	Level  string `toml:"level"`  // debug, info, warn or error
	Format string `toml:"format"` // text or json
}

// Default is the configuration of an empty relais.toml in dir, hostname apart.
func Default(dir string) Config {
	return Config{
		Dir:   dir,
		Store: "sqlite:relais.db",
		Packs: "file:packs",
		Keys:  "file:keys/kek",
		Listen: Listen{
			MX: ":25", Submission: ":587", Submissions: ":465", IMAP: ":143", IMAPS: ":993",
			HTTP: ":80", HTTPS: ":443", Metrics: "127.0.0.1:9090",
		},
		TLS: TLS{Cert: "keys/cert.pem", Key: "keys/cert.key"},
		DNS: DNS{Timeout: Duration(5 * time.Second)},
		Limits: Limits{
			MessageSize: 50 << 20, Recipients: 1000, Connections: 2000, ConnectionsPerAddress: 100,
		},
		Outbound: Outbound{Port: 25, PerDestination: 10, GiveUpAfter: Duration(5 * 24 * time.Hour)},
		Mirror:   Mirror{LookBack: Duration(365 * 24 * time.Hour), Connections: 8},
		Breaker: Breaker{
			AccountMessages: 50, AccountHourPercent: 20, AccountWeekPercent: 30,
			TenantMessages: 500, TenantHourPercent: 5,
		},
		Continuity: Continuity{
			ProbeEvery: Duration(10 * time.Second), ProbeTimeout: Duration(10 * time.Second),
			RoundTripEvery: Duration(time.Minute), FailAfter: 3,
		},
		Log: Log{Level: "info", Format: "text"},
	}
}

// Path makes a path of the file absolute: relative ones start at the data directory.
func (c *Config) Path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.Dir, p)
}

// Embedded tells whether the database is a file of this node's own.
func (c *Config) Embedded() bool { return strings.HasPrefix(c.Store, "sqlite:") }

// KeyFile is the path of the key-encryption key.
func (c *Config) KeyFile() string { return c.Path(strings.TrimPrefix(c.Keys, "file:")) }

// PackDir is the directory of the packs.
func (c *Config) PackDir() string { return c.Path(strings.TrimPrefix(c.Packs, "file:")) }

// ExemptNetworks are the networks without rate and sign-in limits.
func (c *Config) ExemptNetworks() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range c.SignIn.Exempt {
		if p, err := netip.ParsePrefix(s); err == nil { // Load has refused any other
			out = append(out, p.Masked())
		}
	}
	return out
}
