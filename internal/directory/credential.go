package directory

import (
	"context"
	"crypto/subtle"
	"time"

	"relais/internal/db"
	"relais/internal/fault"
	"relais/internal/mail"
)

// CredentialKind says what a person shows to sign in.
type CredentialKind string

// The kinds of credentials.
const (
	Passphrase  CredentialKind = "passphrase" // made by a person; Argon2id
	AppPassword CredentialKind = "app"        // made by Relais, 128 bits; SHA-256 and SCRAM
)

// Credential is one way for a person to sign in. The verifier does not tell the secret.
type Credential struct {
	ID         int64
	Person     mail.PersonID
	Kind       CredentialKind
	Label      string
	Verifier   string // Argon2id in PHC form, or SHA-256 in hexadecimal
	SCRAM      string // SCRAM-SHA-256 verifier (RFC 5803), of app passwords only
	CreatedAt  time.Time
	LastUsedAt time.Time
	RevokedAt  time.Time
}

const credentialColumns = `id, person_id, kind, label, verifier, scram_sha256, created_at, last_used_at, revoked_at` //nolint:gosec // names of columns

func scanCredential(s db.Scanner) (Credential, error) {
	var c Credential
	var created, used, revoked int64
	err := s.Scan(&c.ID, &c.Person, &c.Kind, &c.Label, &c.Verifier, &c.SCRAM, &created, &used, &revoked)
	c.CreatedAt, c.LastUsedAt, c.RevokedAt = mail.FromMicros(created), mail.FromMicros(used), mail.FromMicros(revoked)
	return c, err
}

// NewCredential is a secret already hashed: see HashPassphrase and MakeAppPassword.
type NewCredential struct {
	Person   mail.PersonID
	Kind     CredentialKind
	Label    string
	Verifier string
	SCRAM    string
}

// AddCredential stores a credential. A new passphrase takes the place of the old.
func (tx *Tx) AddCredential(ctx context.Context, n NewCredential) (Credential, error) {
	c := Credential{Person: n.Person, Kind: n.Kind, Label: db.Text(n.Label), Verifier: n.Verifier, SCRAM: n.SCRAM, CreatedAt: tx.Now}
	if n.Kind != Passphrase && n.Kind != AppPassword || n.Verifier == "" {
		return c, fault.New(fault.Invalid, "a credential is a passphrase or an app password, with its verifier")
	}
	if n.Kind == Passphrase {
		_, err := tx.Exec(ctx, `UPDATE credentials SET revoked_at = $2 WHERE person_id = $1 AND kind = $3 AND revoked_at = 0`,
			n.Person, mail.Micros(tx.Now), string(Passphrase))
		if err != nil {
			return c, err
		}
	}
	err := tx.QueryRow(ctx, `INSERT INTO credentials (person_id, kind, label, verifier, scram_sha256, created_at)
 VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`, c.Person, string(c.Kind), c.Label, c.Verifier, c.SCRAM, mail.Micros(tx.Now)).Scan(&c.ID)
	return c, err
}

// Credentials lists a person's credentials that are not revoked, in order of age.
func (tx *Tx) Credentials(ctx context.Context, person mail.PersonID) ([]Credential, error) {
	return db.Collect(scanCredential)(tx.Query(ctx,
		`SELECT `+credentialColumns+` FROM credentials WHERE person_id = $1 AND revoked_at = 0 ORDER BY id`, person))
}

// Revoke ends a credential of the person; fault.NotFound.
func (tx *Tx) Revoke(ctx context.Context, person mail.PersonID, id int64) error {
	res, err := tx.Exec(ctx, `UPDATE credentials SET revoked_at = $3 WHERE id = $2 AND person_id = $1 AND revoked_at = 0`,
		person, id, mail.Micros(tx.Now))
	return changed(res, err, "credential")
}

// TouchCredential notes that the credential was used now.
func (tx *Tx) TouchCredential(ctx context.Context, id int64) error {
	res, err := tx.Exec(ctx, `UPDATE credentials SET last_used_at = $2 WHERE id = $1`, id, mail.Micros(tx.Now))
	return changed(res, err, "credential")
}

// AddAdministrator stores an administrator's secret, or replaces it.
func (tx *Tx) AddAdministrator(ctx context.Context, name, verifier string) error {
	if name == "" || verifier == "" {
		return fault.New(fault.Invalid, "an administrator has a name and a verifier")
	}
	_, err := tx.Exec(ctx, `INSERT INTO administrators (name, verifier, created_at) VALUES ($1, $2, $3)
 ON CONFLICT (name) DO UPDATE SET verifier = $2, removed_at = 0`, name, verifier, mail.Micros(tx.Now))
	return err
}

// CheckAdministrator compares an administrator's generated token (see
// MakeAppPassword); fault.Unauthenticated.
func (tx *Tx) CheckAdministrator(ctx context.Context, name, token string) error {
	var verifier string
	err := found(tx.QueryRow(ctx, `SELECT verifier FROM administrators WHERE name = $1 AND removed_at = 0`, name).Scan(&verifier), "administrator")
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(verifier), []byte(appVerifier(token))) != 1 {
		return fault.New(fault.Unauthenticated, "name or token is wrong")
	}
	return nil
}

// Administrators lists the names of the administrators.
func (tx *Tx) Administrators(ctx context.Context) ([]string, error) {
	return db.Collect(func(s db.Scanner) (name string, err error) { return name, s.Scan(&name) })(
		tx.Query(ctx, `SELECT name FROM administrators WHERE removed_at = 0 ORDER BY name`))
}

// RemoveAdministrator ends an administrator's access; fault.NotFound.
func (tx *Tx) RemoveAdministrator(ctx context.Context, name string) error {
	res, err := tx.Exec(ctx, `UPDATE administrators SET removed_at = $2 WHERE name = $1 AND removed_at = 0`, name, mail.Micros(tx.Now))
	return changed(res, err, "administrator")
}
