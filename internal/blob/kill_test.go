package blob_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"relais/internal/blob"
	"relais/internal/blob/blobtest"
	"relais/internal/crashpoint"
	"relais/internal/mail"
)

const (
	helperDir     = "BLOB_TEST_DIR" // makes the test binary play the node that is killed
	helperCompact = "BLOB_TEST_COMPACT"
)

// told is a line of the helper: a place it was given for a body.
type told struct {
	Tenant mail.TenantID
	Hash   mail.Hash
	Ref    blob.Ref
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		if err := node(dir, os.Getenv(helperCompact) != ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// node reads the rows of earlier nodes, stores bodies from several writers and
// prints each acknowledged place, then compacts the first pack, printing the
// moved places.
func node(dir string, compact bool) error {
	var out sync.Mutex
	enc := json.NewEncoder(os.Stdout)
	var rows blobtest.Rows
	for dec := json.NewDecoder(os.Stdin); ; {
		var p told
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		rows.Set(p.Tenant, p.Hash, p.Ref)
	}
	tell := func(tenant mail.TenantID, h mail.Hash, ref blob.Ref) {
		out.Lock()
		defer out.Unlock()
		_ = enc.Encode(told{tenant, h, ref})
		rows.Set(tenant, h, ref)
	}
	open := func() (*blob.Packs, error) {
		return blob.Open(context.Background(), blob.Config{Dir: dir, Keys: &blobtest.Keys{}, Rotate: 8_000})
	}
	s, err := open()
	if err != nil {
		return err
	}
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 20 {
				body := fmt.Appendf(nil, "writer %d, body %d, process %d %s", w, i, os.Getpid(), strings.Repeat("x", 100*i))
				h := mail.Sum(body)
				refs, err := s.Append(context.Background(), []blob.Put{{Tenant: 1, Hash: h, Body: body}})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				tell(1, h, refs[0])
			}
		})
	}
	writers.Wait()
	if err := s.Close(); err != nil || !compact {
		return err
	}
	if s, err = open(); err != nil {
		return err
	}
	infos, err := s.Packs(context.Background())
	if err != nil {
		return err
	}
	if _, err := s.Compact(context.Background(), infos[0].Number, rows.Live, func(moved []blob.Moved) error {
		for _, m := range moved {
			tell(m.Tenant, m.Hash, m.To)
		}
		return nil
	}); err != nil {
		return err
	}
	return s.Close()
}

// TestKilledAtEveryPoint sends SIGKILL to a node at each of its crash points,
// again and again on the same packs: every place that it told still holds its body.
func TestKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	places := map[mail.Hash]told{}
	for _, at := range []struct {
		point   crashpoint.Point
		passage int
		compact bool
	}{
		{crashpoint.BlobBeforeWrite, 1, false},
		{crashpoint.BlobAfterWrite, 1, false},
		{crashpoint.BlobAfterSync, 1, false},
		{crashpoint.BlobBeforeWrite, 7, false},
		{crashpoint.BlobAfterWrite, 12, false},
		{crashpoint.BlobAfterSync, 9, false},
		{crashpoint.BlobCompactCopied, 1, true},
		{crashpoint.BlobCompactMoved, 1, true},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), helperDir+"="+dir, fmt.Sprintf("%s=%s:%d", crashpoint.Env, at.point, at.passage))
		if at.compact {
			cmd.Env = append(cmd.Env, helperCompact+"=1")
		}
		var rows, failure bytes.Buffer
		for _, p := range places {
			if err := json.NewEncoder(&rows).Encode(p); err != nil {
				t.Fatal(err)
			}
		}
		cmd.Stdin, cmd.Stderr = &rows, &failure
		out, err := cmd.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%s:%d: ended with %v, want SIGKILL; %s", at.point, at.passage, err, &failure)
		}
		for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
			var p told
			if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
				continue // the line that the kill cut
			}
			places[p.Hash] = p
		}
		s, err := blob.Open(t.Context(), blob.Config{Dir: dir, Keys: &blobtest.Keys{}, Rotate: 8_000})
		if err != nil {
			t.Fatalf("after %s:%d: %v", at.point, at.passage, err)
		}
		for _, p := range places {
			if _, err := s.Read(t.Context(), p.Tenant, p.Hash, p.Ref); err != nil {
				t.Errorf("after %s:%d: the body at %v: %v", at.point, at.passage, p.Ref, err)
			}
		}
		if _, err := s.Check(t.Context(), func(blob.Record) error { return nil }, func(d blob.Damage) error {
			t.Errorf("after %s:%d: damage at %v: %v", at.point, at.passage, d.Ref, d.Err)
			return nil
		}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(places) < 100 {
		t.Errorf("only %d bodies were acknowledged", len(places))
	}
}
