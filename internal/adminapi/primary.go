package adminapi

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"time"

	"relais/internal/directory"
	"relais/internal/fault"
	"relais/internal/mail"
	"relais/internal/record"
)

// Primary is a domain's first mail system, as Relais reaches it.
type Primary struct {
	Domain       string    `json:"domain"`
	IMAP         string    `json:"imap"`
	IMAPTLS      string    `json:"imap_tls" enum:"none,starttls,tls"`
	SMTP         string    `json:"smtp"`
	SMTPTLS      string    `json:"smtp_tls" enum:"none,starttls,tls"`
	CA           bool      `json:"ca" doc:"an authority of its own is set"`
	PinIMAP      string    `json:"pin_imap,omitempty" doc:"SHA-256 of the certificate's public key, hexadecimal"`
	PinSMTP      string    `json:"pin_smtp,omitempty"`
	Trusted      bool      `json:"trusted_on_first_use,omitempty" doc:"the pins were taken from the server just now"`
	Master       string    `json:"master"`
	ProbeEvery   string    `json:"probe_every"`
	ProbeAddress string    `json:"probe_address,omitempty" doc:"the mailbox of the marked round trip"`
	Created      time.Time `json:"created"`
	Rebuilt      time.Time `json:"rebuilt,omitzero" doc:"declared rebuilt at"`
	Isolated     bool      `json:"isolated,omitempty"`
}

// NewPrimary is what connects one.
type NewPrimary struct {
	IMAP         string `json:"imap" doc:"HOST:PORT"`
	IMAPTLS      string `json:"imap_tls" enum:"none,starttls,tls"`
	SMTP         string `json:"smtp" doc:"HOST:PORT"`
	SMTPTLS      string `json:"smtp_tls" enum:"none,starttls,tls"`
	CA           string `json:"ca,omitempty" doc:"PEM of the authority to trust"`
	Pin          string `json:"pin,omitempty" pattern:"^[0-9a-fA-F:]*$" doc:"SHA-256 of the public key; neither pin nor CA: trusted on first use"`
	Master       string `json:"master" minLength:"1"`
	Secret       string `json:"secret" minLength:"1"`
	ProbeEvery   string `json:"probe_every,omitempty" doc:"left out: as the configuration says"`
	ProbeAddress string `json:"probe_address,omitempty"`
}

// Primaries is a list of them.
type Primaries struct {
	Primaries []Primary `json:"primaries"`
}

func (a *API) primaryRoutes() {
	handle(a, http.MethodGet, "/primaries", "list-primaries", "List the primaries", a.listPrimaries)
	handle(a, http.MethodGet, "/domains/{domain}/primary", "get-primary", "Show a domain's primary", a.getPrimary)
	handle(a, http.MethodPut, "/domains/{domain}/primary", "set-primary", "Connect a domain's primary", a.setPrimary)
	handle(a, http.MethodDelete, "/domains/{domain}/primary", "remove-primary", "Disconnect a domain's primary", a.removePrimary)
}

// PrimarySecretContext is the context under which a primary's secret is sealed.
func PrimarySecretContext(domain string) string { return "primary/" + domain + "/master" }

func primaryOf(d directory.Domain, p directory.Primary) Primary {
	return Primary{
		Domain: d.Name, IMAP: p.IMAPAddr, IMAPTLS: string(p.IMAPTLS), SMTP: p.SMTPAddr, SMTPTLS: string(p.SMTPTLS),
		CA: p.CAPEM != "", PinIMAP: p.PinIMAP, PinSMTP: p.PinSMTP, Master: p.MasterUser, ProbeEvery: p.ProbeEvery.String(),
		ProbeAddress: p.ProbeAddress, Created: p.CreatedAt, Rebuilt: p.RebuiltAt, Isolated: p.Isolated,
	}
}

func (a *API) listPrimaries(ctx context.Context, _ *none) (*body[Primaries], error) {
	out := &body[Primaries]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		out.Body.Primaries = []Primary{}
		domains, err := tx.Directory.Domains(ctx, 0)
		if err != nil {
			return err
		}
		for _, d := range domains {
			p, err := tx.Directory.Primary(ctx, d.ID)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			out.Body.Primaries = append(out.Body.Primaries, primaryOf(d, p))
		}
		return nil
	})
}

func (a *API) getPrimary(ctx context.Context, in *DomainPath) (*body[Primary], error) {
	out := &body[Primary]{}
	return out, a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) error {
		d, err := tx.Directory.Domain(ctx, in.Domain)
		if err != nil {
			return err
		}
		p, err := tx.Directory.Primary(ctx, d.ID)
		if err != nil {
			return err
		}
		out.Body = primaryOf(d, p)
		return nil
	})
}

func (a *API) setPrimary(ctx context.Context, in *struct {
	DomainPath
	Body NewPrimary
}) (*body[Primary], error) {
	var d directory.Domain
	err := a.Store.View(ctx, func(ctx context.Context, tx *record.Tx) (err error) {
		d, err = tx.Directory.Domain(ctx, in.Domain)
		return err
	})
	if err != nil {
		return nil, err
	}
	p, err := a.newPrimary(d, in.Body)
	if err != nil {
		return nil, err
	}
	trusted := false
	if p.CAPEM == "" && p.PinIMAP == "" {
		if p.PinIMAP, err = fetchPin(ctx, p.IMAPAddr, p.IMAPTLS, imapStartTLS); err != nil {
			return nil, err
		}
		if p.PinSMTP, err = fetchPin(ctx, p.SMTPAddr, p.SMTPTLS, smtpStartTLS(a.Hostname)); err != nil {
			return nil, err
		}
		trusted = p.PinIMAP != "" || p.PinSMTP != ""
	}
	out := &body[Primary]{}
	return out, a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		if err := tx.Directory.SetPrimary(ctx, p); err != nil {
			return err
		}
		stored, err := tx.Directory.Primary(ctx, d.ID)
		if err != nil {
			return err
		}
		out.Body = primaryOf(d, stored)
		out.Body.Trusted = trusted
		return note(ctx, tx, d.Tenant, "primary.set", d.Name, out.Body) // without the secret
	})
}

// newPrimary checks what is asked for and seals the secret.
func (a *API) newPrimary(d directory.Domain, n NewPrimary) (directory.Primary, error) {
	p := directory.Primary{
		Domain: d.ID, IMAPAddr: n.IMAP, IMAPTLS: directory.TLS(n.IMAPTLS), SMTPAddr: n.SMTP, SMTPTLS: directory.TLS(n.SMTPTLS),
		CAPEM: n.CA, MasterUser: n.Master, ProbeEvery: a.ProbeEvery, ProbeAddress: n.ProbeAddress,
	}
	for _, addr := range []string{n.IMAP, n.SMTP} {
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			return p, fault.New(fault.Invalid, "%q: want HOST:PORT", addr)
		}
	}
	if n.CA != "" && n.Pin != "" {
		return p, fault.New(fault.Invalid, "an authority or a pin, not both")
	}
	if n.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(n.CA)) {
		return p, fault.New(fault.Invalid, "the authority holds no certificate in PEM")
	}
	if n.Pin != "" {
		raw, err := hex.DecodeString(strings.ReplaceAll(n.Pin, ":", ""))
		if err != nil || len(raw) != sha256.Size {
			return p, fault.New(fault.Invalid, "the pin is no SHA-256: want 64 hexadecimal digits")
		}
		p.PinIMAP = hex.EncodeToString(raw)
		p.PinSMTP = p.PinIMAP
	}
	if n.ProbeEvery != "" {
		every, err := time.ParseDuration(n.ProbeEvery)
		if err != nil || every < minProbeEvery {
			return p, fault.New(fault.Invalid, "probe period %q: want %s or more", n.ProbeEvery, minProbeEvery)
		}
		p.ProbeEvery = every
	}
	if n.ProbeAddress != "" {
		probe, err := mail.ParseAddress(n.ProbeAddress)
		if err != nil || probe.Domain != d.Name {
			return p, fault.New(fault.Invalid, "the probe address is none of %s", d.Name)
		}
		p.ProbeAddress = probe.String()
	}
	var err error
	p.SecretSealed, err = a.Keys.Seal(PrimarySecretContext(d.Name), []byte(n.Secret))
	return p, err
}

// minProbeEvery keeps a probe from being a load.
const minProbeEvery = 100 * time.Millisecond

func (a *API) removePrimary(ctx context.Context, in *DomainPath) (*none, error) {
	return nil, a.Store.Update(ctx, func(ctx context.Context, tx *record.Tx) error {
		d, err := tx.Directory.Domain(ctx, in.Domain)
		if err != nil {
			return err
		}
		if err := tx.Directory.RemovePrimary(ctx, d.ID); err != nil {
			return err
		}
		return note(ctx, tx, d.Tenant, "primary.remove", d.Name, nil)
	})
}
