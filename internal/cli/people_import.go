package cli

import (
	"errors"
	"net/url"
	"time"

	"relais/internal/adminapi"
)

// pollEvery is how often the node is asked how far long work is.
const pollEvery = 250 * time.Millisecond

type peopleImportCmd struct {
	File string `arg:"" type:"existingfile" help:"CSV file." placeholder:"FILE.csv"`
	Org  string `required:"" help:"Their organisation." placeholder:"ORG"`
}

// Help is the long help.
func (peopleImportCmd) Help() string {
	return `The header is email,name,aliases,groups,phone,primary_login,password in any
order; email must be there. Fields are apart by comma or semicolon, lists inside
a field by |. UTF-8 with or without BOM, or cp1252.

When any line is wrong nothing is imported, and every wrong line is named. People
who are there already are updated; an empty password keeps the one they have.

Example:
  relais people import staff.csv --org exemple`
}

// Run imports them.
func (c *peopleImportCmd) Run(s *session) error {
	f, err := readPeople(c.File)
	if err != nil {
		return err
	}
	f.Org = c.Org
	var i adminapi.Import
	if err := s.post("/imports", f, &i); err != nil {
		return err
	}
	bar := s.progress("Hashing passwords", i.Total)
	defer bar.end()
	for i.State == "running" {
		bar.at(i.Done)
		if err := s.wait(pollEvery); err != nil {
			return err
		}
		if err := s.get("/imports/"+url.PathEscape(i.ID), &i); err != nil {
			return err
		}
	}
	bar.end()
	if i.State == "failed" {
		return errors.New("nothing was imported: " + i.Error)
	}
	s.answer(i, func(t *table) {
		t.line("Imported %d people: %d new, %d updated.", i.Created+i.Updated, i.Created, i.Updated)
	})
	return nil
}

// wait pauses for d, or ends early with the command's context.
func (s *session) wait(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}
