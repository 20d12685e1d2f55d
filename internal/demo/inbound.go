package demo

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"relais/internal/demo/traffic"
)

// inbound is the outside writing to the company, without a pause, from the beginning to the end.
type inbound struct {
	book   *traffic.Book
	sender *traffic.Sender
	writer *traffic.Writer

	every    atomic.Int64 // time.Duration between two messages
	accepted atomic.Int64 // messages that got their 250
	stop     chan struct{}
	stopped  chan struct{}
	once     sync.Once
	err      error // read after stopped
}

// The pace of the outside in quiet times, and when an outage's worth of mail comes in seconds.
const (
	quiet = 60 * time.Millisecond
	busy  = 15 * time.Millisecond
)

// patience is how long a sender tries to hand a message over: the door that it uses never closes in this story.
const patience = 10 * time.Second

func startInbound(book *traffic.Book, addr string, writer *traffic.Writer) *inbound {
	i := &inbound{
		book: book, sender: &traffic.Sender{Addr: addr, Helo: "outside.test", Wait: patience}, writer: writer,
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	i.every.Store(int64(quiet))
	go i.run()
	return i
}

func (i *inbound) run() {
	defer close(i.stopped)
	defer i.sender.Close()
	for {
		select {
		case <-i.stop:
			return
		case <-time.After(time.Duration(i.every.Load())):
		}
		m := i.writer.Inbound(time.Now())
		if err := i.sender.Deliver(m, patience); err != nil {
			i.err = fmt.Errorf("mail from outside: %w", err)
			return
		}
		i.book.Delivered(m)
		i.accepted.Add(1)
	}
}

// pace sets how fast the outside writes.
func (i *inbound) pace(every time.Duration) { i.every.Store(int64(every)) }

// count is how many messages were accepted.
func (i *inbound) count() int { return int(i.accepted.Load()) }

// failed is the error that ended it; nil while it runs.
func (i *inbound) failed() error {
	select {
	case <-i.stopped:
		return i.err
	default:
		return nil
	}
}

// silence ends it after the message under way and tells what went wrong. It may be called again, and on nil.
func (i *inbound) silence() error {
	if i == nil {
		return nil
	}
	i.once.Do(func() { close(i.stop) })
	<-i.stopped
	return i.err
}
