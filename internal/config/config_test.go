package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrongKeyOrValueNamesFileLineAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	const host = "hostname = \"mx.example.com\"\n"
	for name, c := range map[string]struct{ text, want string }{
		"unknown key": {
			host + "\n[listen]\nmx = \":25\"\nimap4 = \":143\"\n",
			"relais.toml:5: listen.imap4 is no key; allowed in [listen]: mx, submission, submissions, imap, imaps, http, https, metrics",
		},
		"unknown section": {
			host + "[dsn]\nservers = []\n",
			"relais.toml:2: dsn is no key; allowed at the top: hostname, store, packs, keys, listen, tls, sign_in, dns, limits, outbound, mirror, breaker, continuity, alarm, log",
		},
		"wrong type": {
			host + "[breaker]\naccount_messages = \"many\"\n",
			"relais.toml:3: breaker.account_messages: want a whole number",
		},
		"wrong duration": {
			host + "[dns]\ntimeout = \"soon\"\n",
			`relais.toml:3: dns.timeout: want a length of time such as "10s", "1h30m" or "5d"`,
		},
		"duration as number": {
			host + "[dns]\ntimeout = 5\n",
			`relais.toml:3: dns.timeout: want a length of time such as "10s", "1h30m" or "5d"`,
		},
		"wrong size":      {host + "[limits]\nmessage_size = \"big\"\n", `relais.toml:3: limits.message_size: want a size such as "50MiB" (KiB, MiB, GiB, or a number of bytes)`},
		"list wanted":     {host + "[dns]\nservers = \"1.1.1.1:53\"\n", `relais.toml:3: dns.servers: want a list of texts such as ["one", "two"]`},
		"out of range":    {host + "[breaker]\naccount_hour_percent = 101\n", "relais.toml:3: breaker.account_hour_percent: 101: want 1 to 100"},
		"bad listener":    {host + "[listen]\nmx = \"25\"\n", `relais.toml:3: listen.mx: "25": want HOST:PORT or :PORT, or "" for none`},
		"two on one port": {host + "listen.mx = \":25\"\nlisten.imap = \":25\"\n", `relais.toml:3: listen.imap: ":25" is the address of mx already`},
		"not TOML":        {host + "store = sqlite\n", "relais.toml:2: "},
		"no hostname":     {"[log]\nlevel = \"info\"\n", "relais.toml: hostname: is missing; want this node's full name"},
		"log level":       {host + "[log]\nlevel = \"loud\"\n", `relais.toml:3: log.level: "loud": want one of debug, info, warn, error`},
		"store":           {host + "store = \"mysql://root:geheim@x\"\n", "relais.toml:2: store: want sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE"},
		"one reference":   {host + "[continuity]\nreferences = [\"192.0.2.1:53\"]\n", "relais.toml:3: continuity.references: one is not enough"},
		"smart host of a domain": {
			host + "[outbound.smart_hosts]\n\"example.com\" = \"relay\"\n",
			`relais.toml:3: outbound.smart_hosts.example.com: "relay": want HOST:PORT`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("relais.toml", "/srv/relais", []byte(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "geheim") {
				t.Error("the error shows the store's password")
			}
		})
	}
}

func TestAllProblemsAreNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Parse("relais.toml", "", []byte("hostname = \"mx.example.com\"\n[log]\nlevel = \"loud\"\nformat = \"xml\"\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("want two problems, got %v", err)
	}
}

func TestWhatInitWritesReadsBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, ch := range []Choices{
		{Dir: dir, Hostname: "mx.example.com"},
		{Dir: dir, Hostname: "mx.example.com", PortBase: 20000},
		{Dir: dir, Hostname: "localhost", PortBase: 10000, Loopback: true, Store: "postgres://relais@127.0.0.1:5432/relais"},
	} {
		made, err := New(ch)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, FileName)
		if err := os.WriteFile(file, made.Text(), 0o600); err != nil {
			t.Fatal(err)
		}
		read, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(read.SignIn.Exempt) == 0 {
			read.SignIn.Exempt = nil
		}
		if diff := cmp.Diff(made, read); diff != "" {
			t.Errorf("%+v: written and read differ:\n%s", ch, diff)
		}
	}
}

func TestPortBaseOnLoopback(t *testing.T) {
	t.Parallel()
	c, err := New(Choices{Dir: "/srv/relais", Hostname: "localhost", PortBase: 10000, Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	want := Listen{
		MX: "127.0.0.1:10025", Submission: "127.0.0.1:10587", Submissions: "127.0.0.1:10465",
		IMAP: "127.0.0.1:10143", IMAPS: "127.0.0.1:10993", HTTP: "127.0.0.1:10080", HTTPS: "127.0.0.1:10443",
		Metrics: "127.0.0.1:10090",
	}
	if c.Listen != want {
		t.Errorf("listeners %+v", c.Listen)
	}
	if !c.SignIn.Plaintext || len(c.ExemptNetworks()) != 1 || c.ExemptNetworks()[0].String() != "127.0.0.0/8" {
		t.Errorf("sign-in %+v", c.SignIn)
	}
	if _, err := New(Choices{Hostname: "localhost", PortBase: 65000}); err == nil {
		t.Error("a port base beyond the last port was taken")
	}
}

// The document names each key with its default, and no key that is none.
func TestDocumentNamesEveryKeyAndDefault(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/formats/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	inDoc := map[string]string{} // "`section.key`" row → default cell
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		inDoc[strings.Trim(cells[1], " `")] = strings.Trim(cells[2], " `")
	}
	inStruct := map[string]string{}
	c := Default("/srv/relais")
	walk("", reflect.ValueOf(c), inStruct)
	if diff := cmp.Diff(inStruct, inDoc); diff != "" {
		t.Errorf("keys and defaults: - in the struct, + in the document\n%s", diff)
	}
}

// walk notes the default of each key below v, as TOML.
func walk(prefix string, v reflect.Value, into map[string]string) {
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("toml")
		if key == "-" {
			continue
		}
		switch f := v.Field(i); {
		case f.Kind() == reflect.Struct:
			walk(prefix+key+".", f, into)
		case f.Kind() == reflect.Slice:
			into[prefix+key] = "[]"
		case f.Kind() == reflect.Map:
			into[prefix+key] = "{}"
		case f.Kind() == reflect.Int, f.Kind() == reflect.Bool:
			into[prefix+key] = fmt.Sprint(f.Interface())
		default:
			into[prefix+key] = fmt.Sprintf("%q", fmt.Sprint(f.Interface()))
		}
	}
}
