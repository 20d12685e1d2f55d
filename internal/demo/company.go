package demo

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"relais/internal/demo/tamper"
	"relais/internal/demo/traffic"
)

// probeEvery is how often the standby asks the old server how it is.
const probeEvery = time.Second

// newServer makes a node, runs it and gives it the company's domain and people.
func (s *stage) newServer(ctx context.Context, name string, base int) (*node, error) {
	dir := filepath.Join(s.dir, name)
	n, err := newNode(ctx, s.Binary, dir, base, name+"."+domainName, s.world.Addr)
	if err != nil {
		return nil, err
	}
	if err := n.serve(ctx); err != nil {
		return nil, err
	}
	people := filepath.Join(s.dir, "people.csv")
	if err := s.writePeople(people); err != nil {
		n.kill()
		return nil, err
	}
	for _, args := range [][]string{
		{"org", "add", orgName},
		{"domain", "add", domainName, "--org", orgName, "--topology", "inpath"},
		{"people", "import", people, "--org", orgName},
	} {
		if _, err := n.run(ctx, args...); err != nil {
			n.kill()
			return nil, err
		}
	}
	return n, nil
}

// writePeople writes the file that "people import" reads.
func (s *stage) writePeople(path string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{"email", "name", "phone", "password"}}
	for i, p := range s.company.Staff {
		rows = append(rows, []string{p.Email, p.Name, fmt.Sprintf("+33 6 00 00 00 %02d", i), p.Password})
	}
	if err := w.WriteAll(rows); err != nil { // to memory
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}

// connect introduces the old server to the standby as its primary, or again with its new master password.
func (s *stage) connect(ctx context.Context) error {
	secret := filepath.Join(s.dir, "secret")
	if err := os.WriteFile(secret, []byte(s.old.token+"\n"), 0o600); err != nil {
		return err
	}
	_, err := s.standby.run(ctx, "primary", "add", domainName, "--imap", s.old.imap(), "--imap-tls", "none", "--smtp", s.old.mx(), "--smtp-tls", "none",
		"--master", s.old.master, "--secret-file", secret, "--probe-every", probeEvery.String())
	return err
}

// workers is how many people are at work at a time.
const workers = 4

// everyone lets each of the staff do something, a few at a time, and adds up what they did.
func (s *stage) everyone(do func(i int, p traffic.Person) (traffic.Tally, error)) (traffic.Tally, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		all   traffic.Tally
		first error
	)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(s.company.Staff); i += workers {
				did, err := do(i, s.company.Staff[i])
				mu.Lock()
				all.Add(did)
				if first == nil {
					first = err
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return all, first
}

// workday is what people do with a server: they write inside and outside, move, flag and delete messages of at least
// an age, and make folders.
func (s *stage) workday(on *node, tag string, sent int, age time.Duration) (traffic.Tally, error) {
	return s.everyone(func(i int, p traffic.Person) (traffic.Tally, error) {
		session, err := traffic.SignIn(s.book, on.imap(), p, s.Seed+uint64(i))
		if err != nil {
			return traffic.Tally{}, err
		}
		defer session.Close()
		session.Age = age
		sender := &traffic.Sender{Addr: on.submission(), Helo: "desk", User: p.Email, Password: p.Password}
		defer sender.Close()
		writer := s.writer(fmt.Sprintf("%s%d", tag, i))
		for k := i; k < sent; k += len(s.company.Staff) {
			to := s.company.Staff[(i+1+k)%len(s.company.Staff)]
			if k%2 == 0 || to.Email == p.Email {
				to = s.company.Outside[(i+k)%len(s.company.Outside)]
			}
			m := writer.Write(p, []traffic.Person{to}, time.Now())
			if err := sender.Deliver(m, patience); err != nil {
				return session.Tally, err
			}
			s.book.Submitted(m)
			session.Tally.Sent++
		}
		err = session.Work(s.Size.Work)
		return session.Tally, err
	})
}

// sabotage alters the old server behind Relais's back.
func (s *stage) sabotage() ([]tamper.Deed, error) {
	return tamper.Do(s.old.imap(), s.company.Staff, s.Sabotage)
}
