package demo

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"relais/internal/demo/traffic"
)

// gauge counts, again and again, the messages in everyone's mailboxes on a server, to show how far a copy is.
type gauge struct {
	found   atomic.Int64
	stop    chan struct{}
	stopped sync.WaitGroup
}

// gaugeEvery is the time between two counts of a mailbox.
const gaugeEvery = 400 * time.Millisecond

// startGauge signs in as each of the staff. A connection that breaks counts no more: the gauge is for the eyes alone.
func startGauge(addr string, staff []traffic.Person) *gauge {
	g := &gauge{stop: make(chan struct{})}
	for _, p := range staff {
		g.stopped.Go(func() { _ = g.watch(addr, p) })
	}
	return g
}

func (g *gauge) watch(addr string, p traffic.Person) error {
	c, err := imapclient.DialInsecure(addr, nil)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.Login(p.Email, p.Password).Wait(); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	tick := time.NewTicker(gaugeEvery)
	defer tick.Stop()
	var before int64
	for {
		list, err := c.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{NumMessages: true}}).Collect()
		if err != nil {
			return err
		}
		var now int64
		for _, m := range list {
			if m.Status != nil && m.Status.NumMessages != nil {
				now += int64(*m.Status.NumMessages)
			}
		}
		g.found.Add(now - before)
		before = now
		select {
		case <-g.stop:
			return nil
		case <-tick.C:
		}
	}
}

// of tells how many of the book's messages are there.
func (g *gauge) of(book *traffic.Book) func() (done, of int) {
	return func() (int, int) { return int(g.found.Load()), book.Messages() }
}

// close ends the counting.
func (g *gauge) close() {
	close(g.stop)
	g.stopped.Wait()
}
