package smtpd

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// yes is a handler that takes all and keeps nothing.
type yes struct{}

func (yes) Authenticate(context.Context, *Peer, string, string, string) (Session, error) {
	return yes{}, nil
}
func (yes) Sender(context.Context, *Transaction) error               { return nil }
func (yes) Recipient(context.Context, *Transaction, Recipient) error { return nil }
func (yes) Deliver(context.Context, *Transaction, []byte) error      { return nil }

// BenchmarkAccept sends messages of 4 KiB over loopback, one after the other on
// each of several connections; the sender's work is in the time as well.
func BenchmarkAccept(b *testing.B) {
	text := "Subject: bench\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 52) + ".\r\n"
	for _, conns := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) {
			_, addr := start(b, Config{}, yes{})
			work := make(chan struct{})
			var senders sync.WaitGroup
			for range conns {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close()
				senders.Go(func() { benchSender(b, conn, text, work) })
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			b.ResetTimer()
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			senders.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// benchSender sends one message for each value of work.
func benchSender(b *testing.B, conn net.Conn, text string, work <-chan struct{}) {
	r := bufio.NewReader(conn)
	exchange := func(say string, replies int) {
		if _, err := conn.Write([]byte(say)); err != nil {
			b.Error(err)
		}
		for range replies {
			if line, err := r.ReadSlice('\n'); err != nil || line[0] > '3' {
				b.Errorf("%q, %v", line, err)
			}
		}
	}
	exchange("HELO bench.example\r\n", 2)
	envelope := fmt.Sprintf("MAIL FROM:<a@bench.example> SIZE=%d\r\nRCPT TO:<b@example.org>\r\nDATA\r\n", len(text))
	for range work {
		exchange(envelope, 3)
		exchange(text, 1)
	}
}
