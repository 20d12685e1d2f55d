package dkim

import (
	"testing"
	"time"
)

// No message, however broken, may panic or run long.
func FuzzVerify(f *testing.F) {
	f.Add(crlfText(rfc8463Message))
	f.Add([]byte("DKIM-Signature: v=1; b=; bh=\r\n"))
	f.Add([]byte("DKIM-Signature:b=\r\n \r\n\r\n \t"))
	v := NewVerifier(zone{"brisbane._domainkey.football.example.com.": {rfc8463Ed}})
	f.Fuzz(func(t *testing.T, msg []byte) {
		v.Verify(t.Context(), msg, time.Unix(1528637910, 0))
	})
}
