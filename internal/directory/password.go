package directory

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"relais/internal/fault"
)

// Argon2id as OWASP's password storage cheat sheet asks at least: 19 MiB, 2
// passes, 1 lane. About 25 ms of one core.
const (
	argonMemory = 19 * 1024 // KiB
	argonPasses = 2
	argonLanes  = 1
	argonBytes  = 32
)

// MaxPassword bounds what a stranger can make us hash, in bytes.
const MaxPassword = 1024

// scramIterations is the least that RFC 7677 §4 allows; the secret's 128 bits need no more.
const scramIterations = 4096

// HashPassphrase is the Argon2id verifier of a passphrase in PHC form
// ($argon2id$v=19$m=…). It takes tens of milliseconds: do it before the transaction.
func HashPassphrase(passphrase string) (string, error) {
	if passphrase == "" || len(passphrase) > MaxPassword {
		return "", fault.New(fault.Invalid, "a passphrase has 1 to %d bytes", MaxPassword)
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	sum := argon2.IDKey([]byte(passphrase), salt, argonPasses, argonMemory, argonLanes, argonBytes)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonPasses, argonLanes,
		b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}

// verifyPassphrase tells whether the passphrase is the verifier's. The verifier's
// own costs count, so that they can be raised; a damaged one fits nothing.
func verifyPassphrase(verifier, passphrase string) bool {
	var version int
	var memory, passes uint32
	var lanes uint8
	fields := strings.Split(verifier, "$")
	if len(fields) != 6 || fields[1] != "argon2id" {
		return false
	}
	if _, err := fmt.Sscanf(fields[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false
	}
	if _, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &memory, &passes, &lanes); err != nil || memory > 1<<20 || passes < 1 || passes > 16 || lanes < 1 {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(fields[4])
	if err != nil {
		return false
	}
	want, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil || len(want) < 16 {
		return false
	}
	got := argon2.IDKey([]byte(passphrase), salt, passes, memory, lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}

// appAlphabet has no letters that people take for digits: 32 of them, 5 bits each.
var appAlphabet = base32.NewEncoding("abcdefghjkmnpqrstuvwxyz023456789").WithPadding(base32.NoPadding)

// MakeAppPassword makes 128 random bits in five groups ("x7k2m-…", 30 characters)
// and the verifiers that are stored in its place.
func MakeAppPassword() (secret string, c NewCredential) {
	raw := make([]byte, 16)
	rand.Read(raw)
	letters := appAlphabet.EncodeToString(raw)
	var groups []string
	for len(letters) > 6 {
		groups, letters = append(groups, letters[:5]), letters[5:]
	}
	secret = strings.Join(append(groups, letters), "-")
	return secret, NewCredential{Kind: AppPassword, Verifier: appVerifier(secret), SCRAM: scramVerifier(appLetters(secret))}
}

// appLetters brings a typed app password to the letters that are hashed.
func appLetters(secret string) string {
	return strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(secret))
}

func appVerifier(secret string) string {
	sum := sha256.Sum256([]byte(appLetters(secret)))
	return hex.EncodeToString(sum[:])
}

// scramVerifier is what a server needs for SCRAM-SHA-256 (RFC 5802 §3, in the
// form of RFC 5803 §4).
func scramVerifier(secret string) string {
	salt := make([]byte, 16)
	rand.Read(salt)
	salted, err := pbkdf2.Key(sha256.New, secret, salt, scramIterations, sha256.Size)
	if err != nil {
		panic(err) // only for lengths that no key has
	}
	key := func(word string) []byte {
		m := hmac.New(sha256.New, salted)
		m.Write([]byte(word))
		return m.Sum(nil)
	}
	stored := sha256.Sum256(key("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, b64(salt), b64(stored[:]), b64(key("Server Key")))
}
