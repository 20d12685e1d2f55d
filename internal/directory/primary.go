package directory

import (
	"context"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// TLS says how a connection to the primary is protected.
type TLS string

// The ways of TLS.
const (
	TLSNone     TLS = "none"
	TLSStart    TLS = "starttls"
	TLSImplicit TLS = "tls"
)

// Primary is the mail system that Relais stands in for. A pin is the SHA-256 of
// the certificate's public key (SPKI) in hexadecimal; without pin and CA the
// first certificate seen is trusted, and its pin stored.
type Primary struct {
	Domain       mail.DomainID
	Kind         string // "imap"
	IMAPAddr     string // host:port
	IMAPTLS      TLS
	SMTPAddr     string
	SMTPTLS      TLS
	CAPEM        string
	PinIMAP      string
	PinSMTP      string
	MasterUser   string
	Separator    string // between a person's sign-in name and the master's; "*" when ""
	SecretSealed []byte
	ProbeEvery   time.Duration
	ProbeAddress string // mailbox of the marked round trip; "" is none
	CreatedAt    time.Time
	RebuiltAt    time.Time // declared rebuilt; zero: never
	Isolated     bool
}

// SetPrimary stores or replaces the primary of its domain; CreatedAt is kept of the first.
func (tx *Tx) SetPrimary(ctx context.Context, p Primary) error {
	if p.Kind == "" {
		p.Kind = "imap"
	}
	for _, t := range []TLS{p.IMAPTLS, p.SMTPTLS} {
		if t != TLSNone && t != TLSStart && t != TLSImplicit {
			return fault.New(fault.Invalid, "TLS %q: allowed are none, starttls, tls", t)
		}
	}
	if _, err := tx.DomainByID(ctx, p.Domain); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO primaries (domain_id, kind, imap_addr, imap_tls, smtp_addr, smtp_tls, ca_pem, pin_imap, pin_smtp,
 master_user, master_separator, secret_sealed, probe_every_us, probe_address, created_at, rebuilt_at, isolated)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
 ON CONFLICT (domain_id) DO UPDATE SET kind = $2, imap_addr = $3, imap_tls = $4, smtp_addr = $5, smtp_tls = $6, ca_pem = $7,
 pin_imap = $8, pin_smtp = $9, master_user = $10, master_separator = $11, secret_sealed = $12, probe_every_us = $13,
 probe_address = $14, rebuilt_at = $16, isolated = $17`,
		p.Domain, p.Kind, p.IMAPAddr, string(p.IMAPTLS), p.SMTPAddr, string(p.SMTPTLS), p.CAPEM, p.PinIMAP, p.PinSMTP,
		p.MasterUser, p.Separator, db.Bytes(p.SecretSealed), p.ProbeEvery.Microseconds(), p.ProbeAddress,
		mail.Micros(tx.Now), mail.Micros(p.RebuiltAt), db.Bool(p.Isolated))
	tx.Touched.Topic("continuity")
	return err
}

// Primary finds the primary of a domain; fault.NotFound.
func (tx *Tx) Primary(ctx context.Context, domain mail.DomainID) (Primary, error) {
	p := Primary{Domain: domain}
	var every, created, rebuilt int64
	err := tx.QueryRow(ctx, `SELECT kind, imap_addr, imap_tls, smtp_addr, smtp_tls, ca_pem, pin_imap, pin_smtp, master_user, master_separator,
 secret_sealed, probe_every_us, probe_address, created_at, rebuilt_at, isolated FROM primaries WHERE domain_id = $1`, domain).
		Scan(&p.Kind, &p.IMAPAddr, &p.IMAPTLS, &p.SMTPAddr, &p.SMTPTLS, &p.CAPEM, &p.PinIMAP, &p.PinSMTP, &p.MasterUser, &p.Separator,
			&p.SecretSealed, &every, &p.ProbeAddress, &created, &rebuilt, &p.Isolated)
	p.ProbeEvery = time.Duration(every) * time.Microsecond
	p.CreatedAt, p.RebuiltAt = mail.FromMicros(created), mail.FromMicros(rebuilt)
	return p, found(err, "primary")
}

// SetPins stores the pins of the certificates that were trusted on first use.
func (tx *Tx) SetPins(ctx context.Context, domain mail.DomainID, imap, smtp string) error {
	res, err := tx.Exec(ctx, `UPDATE primaries SET pin_imap = $2, pin_smtp = $3 WHERE domain_id = $1`, domain, imap, smtp)
	return changed(res, err, "primary")
}

// SetRebuilt declares that the primary was built anew and lacks what it held; the zero time takes it back.
func (tx *Tx) SetRebuilt(ctx context.Context, domain mail.DomainID, at time.Time) error {
	res, err := tx.Exec(ctx, `UPDATE primaries SET rebuilt_at = $2 WHERE domain_id = $1`, domain, mail.Micros(at))
	tx.Touched.Topic("continuity")
	return changed(res, err, "primary")
}

// SetIsolated cuts the primary off, or connects it again.
func (tx *Tx) SetIsolated(ctx context.Context, domain mail.DomainID, isolated bool) error {
	res, err := tx.Exec(ctx, `UPDATE primaries SET isolated = $2 WHERE domain_id = $1`, domain, db.Bool(isolated))
	tx.Touched.Topic("continuity")
	return changed(res, err, "primary")
}

// RemovePrimary forgets the primary of a domain.
func (tx *Tx) RemovePrimary(ctx context.Context, domain mail.DomainID) error {
	res, err := tx.Exec(ctx, `DELETE FROM primaries WHERE domain_id = $1`, domain)
	tx.Touched.Topic("continuity")
	return changed(res, err, "primary")
}
