package relais_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"relais/internal/demo/traffic"
	"relais/test/relais"
)

// TestThousandPeopleAreUsableWithinAMinute imports a thousand people with passwords, which then sign in to IMAP and
// to submission.
func TestThousandPeopleAreUsableWithinAMinute(t *testing.T) {
	t.Parallel()
	n := relais.New(t, relais.Config{})
	n.Serve()
	n.Must("org", "add", "grande")
	n.Must("domain", "add", "grande.test", "--org", "grande", "--topology", "inpath")
	var csv strings.Builder
	csv.WriteString("email,name,aliases,groups,phone,primary_login,password\n")
	for i := range 1000 {
		fmt.Fprintf(&csv, "p%04d@grande.test,Personne %d,contact%d@grande.test,tous@grande.test,,,mot de passe %d\n", i, i, i, i)
	}
	file := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(file, []byte(csv.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	n.Must("people", "import", file, "--org", "grande")
	for _, i := range []int{0, 500, 999} {
		email, password := fmt.Sprintf("p%04d@grande.test", i), fmt.Sprintf("mot de passe %d", i)
		c, err := imapclient.DialInsecure(n.IMAP(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Login(email, password).Wait(); err != nil {
			t.Errorf("%s signs in to IMAP: %v", email, err)
		}
		_ = c.Close()
		s, err := traffic.Dial(n.Submission(), "home", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Auth(email, password); err != nil {
			t.Errorf("%s signs in to submission: %v", email, err)
		}
		s.Close()
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s, more than a minute", took)
	} else {
		t.Logf("it took %s", took)
	}
}
